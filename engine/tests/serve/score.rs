//! `/score` and its neighbours, as a client sees them.

use crate::client::{Connection, request};
use crate::harness::Launch;
use crate::on_both;

/// A lead of the demo model, each with other values, some missing.
pub(crate) fn lead(number: usize) -> String {
    let features: Vec<String> = (1..=50)
        .filter(|column| !(number + column).is_multiple_of(7))
        .map(|column| match (number * column) % 11 {
            0 => format!("\"f{column}\":null"),
            value => format!("\"f{column}\":{}.{:02}", value * column % 90, number * 31 % 100),
        })
        .collect();
    format!(
        "{{\"lead_id\":\"lead-{number}\",\"features\":{{{}}}}}",
        features.join(",")
    )
}

fn answers_a_lead(runtime: &str) {
    let server = Launch::new(runtime).no_sink().start();
    let mut connection = server.connect();
    let answer = connection.post("/score", &lead(7));
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let json = answer.json();
    assert_eq!(json["lead_id"], "lead-7");
    assert!((1..=5).contains(&json["score"].as_u64().expect("a band")));
    let probability = json["probability"].as_f64().expect("a number");
    assert!((0.0..=1.0).contains(&probability));
    assert_eq!(json["model"]["name"], "demo");
    assert_eq!(json["model"]["version"], "1.0.0");
    assert_eq!(
        Some(json["request_id"].as_str().expect("text")),
        answer.header("x-request-id")
    );
    for stage in ["parse", "score", "total"] {
        assert!(json["latency_us"][stage].as_f64().expect("a number") >= 0.0);
    }
    let timing = answer.header("server-timing").expect("server-timing");
    assert!(
        timing.starts_with("parse;dur=0.") && timing.contains(", total;dur=0."),
        "{timing}"
    );
}

fn keys_may_stand_in_any_order_and_be_escaped(runtime: &str) {
    let server = Launch::new(runtime).no_sink().start();
    let mut connection = server.connect();
    let plain = connection
        .post(
            "/score",
            r#"{"lead_id":"a\"b","features":{"f1":3,"f2":null,"f3":2.5e0}}"#,
        )
        .json();
    let odd = "{ \"features\" :{\"f3\":25e-1,\"\\u00661\":3.0},\t\"\\u006cead_id\":\"a\\u0022b\" }\r\n";
    let odd = connection.post("/score", odd).json();
    assert_eq!(plain["lead_id"], "a\"b");
    assert_eq!(
        (&plain["lead_id"], &plain["probability"]),
        (&odd["lead_id"], &odd["probability"])
    );
}

fn all_faults_come_in_one_answer(runtime: &str) {
    let server = Launch::new(runtime).no_sink().start();
    let mut connection = server.connect();
    let body = r#"{"features":{"f1":"hot","f51":1,"f2":1,"f2":2,"f3":1e39,"f4":true},"colour":"crimson"}"#;
    let answer = connection.post("/score", body);
    assert_eq!(answer.status, 422);
    let json = answer.json();
    assert_eq!(json["error"]["code"], "invalid_request");
    let faults = json["error"]["faults"].as_array().expect("faults");
    let mut pointers: Vec<&str> = faults
        .iter()
        .map(|fault| fault["pointer"].as_str().expect("a pointer"))
        .collect();
    pointers.sort_unstable();
    let wanted = [
        "/colour",
        "/features/f1",
        "/features/f2",
        "/features/f3",
        "/features/f4",
        "/features/f51",
    ];
    assert!(wanted.iter().all(|pointer| pointers.contains(pointer)), "{pointers:?}");
    assert!(
        answer.text().contains("lead_id"),
        "the missing id is a fault too: {}",
        answer.text()
    );
    for value in ["hot", "1e39", "crimson"] {
        assert!(!answer.text().contains(value), "echoes {value}: {}", answer.text());
    }
    assert_eq!(
        connection.post("/score", &lead(1)).status,
        200,
        "the connection goes on"
    );
}

fn what_is_not_json_is_told_where(runtime: &str) {
    let server = Launch::new(runtime).no_sink().start();
    let mut connection = server.connect();
    for (body, offset) in [
        ("", 0),
        ("{\"lead_id\":\"a\",}", 15),
        ("[1,2", 4),
        ("{\"lead_id\":\"\u{1}\"}", 12),
    ] {
        let answer = connection.post("/score", body);
        assert_eq!(answer.status, 400, "{body:?}: {}", answer.text());
        assert_eq!(answer.json()["error"]["offset"], offset, "{body:?}: {}", answer.text());
    }
}

fn request_ids_are_taken_or_made(runtime: &str) {
    let server = Launch::new(runtime).no_sink().start();
    let mut connection = server.connect();
    let answer = connection.post_with("/score", "X-Request-Id: crm-42\r\n", lead(1).as_bytes());
    assert_eq!(
        (answer.header("x-request-id"), answer.json()["request_id"].as_str()),
        (Some("crm-42"), Some("crm-42"))
    );
    let long = format!("x-request-id: {}\r\n", "x".repeat(200));
    let replaced = connection.post_with("/score", &long, lead(1).as_bytes());
    let made = replaced.header("x-request-id").expect("an id").to_owned();
    assert_eq!(made.len(), 36, "{made}");
    let failed = connection.post_with("/score", "x-request-id: bad-1\r\n", b"{");
    assert_eq!(failed.header("x-request-id"), Some("bad-1"));
    assert_ne!(connection.get("/healthz").header("x-request-id"), Some(made.as_str()));
}

fn statuses_users_expect(runtime: &str) {
    let server = Launch::new(runtime).no_sink().start();
    let mut connection = server.connect();
    assert_eq!(connection.get("/nowhere").status, 404);
    let answer = connection.get("/score");
    assert_eq!((answer.status, answer.header("allow")), (405, Some("POST, OPTIONS")));
    let answer = connection.post("/healthz", "");
    assert_eq!(
        (answer.status, answer.header("allow")),
        (405, Some("GET, HEAD, OPTIONS"))
    );
    let answer = connection.post_with("/score", "content-type: text/csv\r\n", lead(1).as_bytes());
    assert_eq!(answer.status, 415);
    let answer = connection.post_with("/score", "content-encoding: br\r\n", lead(1).as_bytes());
    assert_eq!(answer.status, 415);
    for kind in ["application/json", "application/json; charset=utf-8"] {
        let answer = connection.post_with("/score", &format!("content-type: {kind}\r\n"), lead(1).as_bytes());
        assert_eq!(answer.status, 200);
    }
    assert_eq!(connection.get("/healthz").text(), "ok\n");
    assert_eq!(connection.get("/readyz").status, 200);
}

fn bodies_come_in_any_pieces(runtime: &str) {
    let server = Launch::new(runtime).no_sink().start();
    let whole = server.connect().post("/score", &lead(3)).json();
    for pieces in [1usize, 2, 7, 100] {
        let (mut connection, bytes) = (server.connect(), request("/score", "", lead(3).as_bytes()));
        for piece in bytes.chunks(bytes.len().div_ceil(pieces)) {
            connection.send(piece);
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        assert_eq!(
            connection.answer().json()["probability"],
            whole["probability"],
            "in {pieces} pieces"
        );
        let mut chunked = b"POST /score HTTP/1.1\r\nhost: q\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
        for piece in lead(3).as_bytes().chunks(lead(3).len().div_ceil(pieces)) {
            chunked.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
            chunked.extend_from_slice(piece);
            chunked.extend_from_slice(b"\r\n");
        }
        chunked.extend_from_slice(b"0\r\n\r\n");
        connection.send(&chunked);
        assert_eq!(
            connection.answer().json()["probability"],
            whole["probability"],
            "in {pieces} chunks"
        );
    }
}

/// Requests for so many leads, one behind the other.
fn pipelined(leads: usize) -> Vec<u8> {
    (0..leads)
        .flat_map(|number| request("/score", "", lead(number).as_bytes()))
        .collect()
}

fn pipelined_requests_are_answered_in_order(runtime: &str) {
    let server = Launch::new(runtime).no_sink().start();
    let mut connection = server.connect();
    connection.send(pipelined(50));
    for number in 0..50 {
        let answer = connection.answer();
        assert_eq!(answer.json()["lead_id"], format!("lead-{number}"));
    }
}

fn a_half_sent_request_holds_no_answer_back(runtime: &str) {
    let server = Launch::new(runtime).no_sink().start();
    let mut connection = server.connect();
    let all = pipelined(5);
    // Within the head of the last request, and within its body.
    for cut in [all.len() - lead(4).len() - 10, all.len() - 10] {
        connection.send(&all[..cut]);
        for number in 0..4 {
            assert_eq!(connection.answer().json()["lead_id"], format!("lead-{number}"));
        }
        connection.send(&all[cut..]);
        assert_eq!(connection.answer().json()["lead_id"], "lead-4");
    }
}

fn a_forced_kernel_answers_the_same(runtime: &str) {
    let ask = |connection: &mut Connection| -> Vec<String> {
        (0..20)
            .map(|number| connection.post("/score", &lead(number)).json()["probability"].to_string())
            .collect()
    };
    let kernels = ["reference", "scalar", "auto"];
    let answers = kernels.map(|kernel| {
        let server = Launch::new(runtime).no_sink().args(&["--kernel", kernel]).start();
        ask(&mut server.connect())
    });
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[0], answers[2]);
}

on_both!(
    answers_a_lead,
    keys_may_stand_in_any_order_and_be_escaped,
    all_faults_come_in_one_answer,
    what_is_not_json_is_told_where,
    request_ids_are_taken_or_made,
    statuses_users_expect,
    bodies_come_in_any_pieces,
    pipelined_requests_are_answered_in_order,
    a_half_sent_request_holds_no_answer_back,
    a_forced_kernel_answers_the_same,
);
