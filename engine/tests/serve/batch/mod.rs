//! `POST /score/batch`: lists and lines of leads, as a client sees them.

mod shard;

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::client::{Answer, Connection, End};
use crate::harness::Launch;
use crate::on_both;
use crate::records;
use crate::score::lead;

const PATH: &str = "/score/batch";
pub(crate) const LINES: &str = "content-type: application/x-ndjson\r\n";

pub(crate) fn list<'a>(leads: impl IntoIterator<Item = &'a String>) -> String {
    let leads: Vec<&str> = leads.into_iter().map(String::as_str).collect();
    format!("{{\"leads\":[{}]}}", leads.join(","))
}

pub(crate) fn lines<'a>(leads: impl IntoIterator<Item = &'a String>) -> String {
    leads.into_iter().map(|lead| format!("{lead}\n")).collect()
}

fn leads(count: usize) -> Vec<String> {
    (0..count).map(lead).collect()
}

fn results(answer: &Answer) -> Vec<Value> {
    assert_eq!(answer.status, 200, "{}", answer.text());
    match answer.header("content-type") {
        Some("application/json") => answer.json()["results"].as_array().expect("a list").clone(),
        Some("application/x-ndjson") => answer
            .text()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
            .collect(),
        other => panic!("{other:?}"),
    }
}

/// A result of a batch says what the answer to the lead alone says, in the same characters.
fn equals_leads_that_come_alone(runtime: &str) {
    let mut server = Launch::new(runtime).start();
    let all = leads(3000);
    let mut connection = server.connect();
    let alone: Vec<Value> = all.iter().map(|lead| connection.post("/score", lead).json()).collect();
    let list = connection.post(PATH, &list(&all));
    let lines = connection.post_with(PATH, LINES, lines(&all).as_bytes());
    let envelope = list.json();
    assert_eq!((&envelope["scored"], &envelope["failed"]), (&json!(3000), &json!(0)));
    assert_eq!(envelope["model"], alone[0]["model"]);
    assert_eq!(envelope["request_id"].as_str(), list.header("x-request-id"));
    assert!(envelope["latency_us"]["total"].as_f64().expect("a number") > 0.0);
    for answer in [&list, &lines] {
        let results = results(answer);
        assert_eq!(results.len(), alone.len());
        for (result, alone) in results.iter().zip(&alone) {
            assert_eq!(result.as_object().expect("an object").len(), 3, "{result}");
            for key in ["lead_id", "score", "probability"] {
                assert_eq!(result[key].to_string(), alone[key].to_string(), "{result} {alone}");
            }
        }
    }
    server.await_metric("quintile_batch_leads_total{result=\"scored\"}", |count| count >= 6000.0);
    server.await_metric(
        "quintile_requests_total{route=\"/score/batch\",status=\"200\"}",
        |count| count >= 2.0,
    );
    let alone_only = server.await_metric("quintile_score_duration_seconds_count", |count| count >= 3000.0);
    assert!(
        alone_only < 3001.0,
        "batches are not in the histogram of leads that come alone"
    );
    // Each lead three times, with the same bits.
    let records = records::read(&server.stop());
    assert_eq!(records.len(), 9000);
    let mut by_lead: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for record in &records {
        by_lead
            .entry(&record.lead_id)
            .or_default()
            .push(record.prediction.to_bits());
    }
    for (result, alone) in results(&list).iter().zip(&alone) {
        let lead_id = result["lead_id"].as_str().expect("text");
        let bits = alone["probability"].as_f64().expect("a number").to_bits();
        assert_eq!(by_lead[lead_id], [bits; 3], "{lead_id}");
    }
    let of_batch = records
        .iter()
        .filter(|record| Some(record.request_id.as_str()) == list.header("x-request-id"));
    assert_eq!(of_batch.count(), 3000, "a lead's record names its batch");
}

/// Good, unfit, no JSON, too large, unfit, good: each has a result of its own.
fn bad_leads_fail_alone(runtime: &str) {
    let mut server = Launch::new(runtime).set("LIMITS__BODY_BYTES_MAX", "4096").start();
    let mut connection = server.connect();
    let large = format!(
        "{{\"lead_id\":\"large\",\"features\":{{}},\"x\":\"{}\"}}",
        "x".repeat(5000)
    );
    let all = [
        lead(1),
        r#"{"lead_id":"b","features":{"f1":"hot","f51":1}}"#.to_owned(),
        r#"{"lead_id":"c","features":{"f1":01}}"#.to_owned(),
        large,
        r#"[1]"#.to_owned(),
        lead(2),
    ];
    let answer = connection.post(PATH, &list(&all));
    assert_eq!(answer.json()["scored"], 2);
    assert_eq!(answer.json()["failed"], 4);
    let of_list = results(&answer);
    let of_lines = results(&connection.post_with(PATH, LINES, lines(&all).as_bytes()));
    for results in [&of_list, &of_lines] {
        let codes: Vec<&str> = results
            .iter()
            .map(|result| result["error"]["code"].as_str().unwrap_or("scored"))
            .collect();
        assert_eq!(
            codes,
            [
                "scored",
                "invalid_request",
                "not_json",
                "lead_too_large",
                "invalid_request",
                "scored"
            ]
        );
        let ids: Vec<Option<&str>> = results.iter().map(|result| result["lead_id"].as_str()).collect();
        assert_eq!(ids, [Some("lead-1"), Some("b"), None, None, None, Some("lead-2")]);
        assert_eq!(results[1]["error"]["faults_total"], 2);
        let text = results[1].to_string();
        assert!(!text.contains("hot"), "a feature's value is repeated: {text}");
    }
    let pointer = |result: &Value, fault: usize| result["error"]["faults"][fault]["pointer"].clone();
    assert_eq!(pointer(&of_list[1], 0), "/leads/1/features/f1");
    assert_eq!(pointer(&of_list[1], 1), "/leads/1/features/f51");
    assert_eq!(pointer(&of_list[4], 0), "/leads/4");
    assert_eq!(pointer(&of_lines[1], 0), "/features/f1");
    assert_eq!(pointer(&of_lines[4], 0), "");
    assert_eq!(of_list[1].get("line"), None);
    assert_eq!(of_lines[1]["line"], 2);
    // The place where a text stops being JSON is an offset in the client's body.
    let offset = of_list[2]["error"]["offset"].as_u64().expect("a number");
    assert_eq!(&list(&all)[usize::try_from(offset).expect("small")..][..3], "01}");
    assert_eq!(of_lines[2]["error"]["offset"], all[2].find("01}").expect("it is there"));
    assert_eq!(
        connection.post("/score", &lead(3)).status,
        200,
        "the connection goes on"
    );
    assert_eq!(records::read(&server.stop()).len(), 5, "what is no score is no record");
}

fn what_is_no_batch_is_refused_whole(runtime: &str) {
    let mut server = Launch::new(runtime).start();
    let mut connection = server.connect();
    for (body, status, code) in [
        ("", 400, "not_json"),
        ("{\"leads\":[{}", 400, "not_json"),
        ("{\"leads\":[{},]}", 400, "not_json"),
        ("{\"leads\":[]},", 400, "not_json"),
        ("{}", 422, "invalid_request"),
        ("[]", 422, "invalid_request"),
        ("{\"leads\":{}}", 422, "invalid_request"),
        ("{\"leads\":[],\"leads\":[]}", 422, "invalid_request"),
    ] {
        let answer = connection.post(PATH, body);
        assert_eq!(answer.status, status, "{body:?}: {}", answer.text());
        assert_eq!(answer.json()["error"]["code"], code, "{body:?}");
    }
    let alone = connection.post(PATH, &lead(1)).json();
    let faults: Vec<(&str, &str)> = alone["error"]["faults"]
        .as_array()
        .expect("faults")
        .iter()
        .map(|fault| {
            (
                fault["code"].as_str().expect("text"),
                fault["pointer"].as_str().expect("text"),
            )
        })
        .collect();
    assert_eq!(
        faults,
        [
            ("unknown_field", "/lead_id"),
            ("unknown_field", "/features"),
            ("missing_field", "/leads")
        ]
    );
    let answer = connection.get(PATH);
    assert_eq!((answer.status, answer.header("allow")), (405, Some("POST, OPTIONS")));
    let answer = connection.post_with(PATH, "content-type: text/csv\r\n", b"{}");
    assert_eq!(answer.status, 415);
    assert!(answer.text().contains("application/x-ndjson"), "{}", answer.text());
    assert_eq!(results(&connection.post(PATH, "{\"leads\":[]}")).len(), 0);
    assert_eq!(results(&connection.post_with(PATH, LINES, b"\n \n")).len(), 0);
    assert!(records::read(&server.stop()).is_empty());
}

/// As many leads and bytes as there may be, and one more.
fn limits_are_met_exactly(runtime: &str) {
    let bodies = [list(&leads(5)), lines(&leads(5))];
    let bytes_max = bodies.iter().map(String::len).max().expect("two").max(1024);
    let mut server = Launch::new(runtime)
        .set("LIMITS__BATCH_LEADS_MAX", "5")
        .set("LIMITS__BATCH_BYTES_MAX", &bytes_max.to_string())
        .set("LIMITS__BATCHES_MAX", "2")
        .start();
    let post = |lines: bool, body: &str| {
        let headers = if lines { LINES } else { "" };
        server.connect().post_with(PATH, headers, body.as_bytes())
    };
    for (lines, body) in [(false, &bodies[0]), (true, &bodies[1])] {
        let padded = format!("{body}{}", " ".repeat(bytes_max - body.len()));
        assert_eq!(results(&post(lines, &padded)).len(), 5);
        let answer = post(lines, &format!("{padded} "));
        assert_eq!((answer.status, answer.header("connection")), (413, Some("close")));
        assert_eq!(answer.json()["error"]["code"], "body_too_large");
    }
    let six: Vec<String> = (0..6)
        .map(|number| format!("{{\"lead_id\":\"{number}\",\"features\":{{}}}}"))
        .collect();
    let answer = post(false, &list(&six));
    assert_eq!(
        (answer.status, answer.json()["error"]["code"].clone()),
        (413, json!("too_many_leads"))
    );
    // Lines before the one too many have been answered by then.
    let of_lines = results(&post(true, &lines(&six)));
    assert_eq!(of_lines.len(), 6);
    assert_eq!(of_lines[4]["lead_id"], "4");
    assert_eq!(of_lines[5]["error"]["code"], "too_many_leads");
    assert_eq!((of_lines[5].get("lead_id"), &of_lines[5]["line"]), (None, &json!(6)));
    // Two batches are being read; a third is refused, and has its place when one of them ends.
    let mut open: Vec<Connection> = (0..2)
        .map(|_| {
            let mut connection = server.connect();
            connection.send(format!("POST {PATH} HTTP/1.1\r\nhost: q\r\ncontent-length: 12\r\n\r\n"));
            connection
        })
        .collect();
    thread::sleep(Duration::from_millis(200));
    let answer = post(false, "{\"leads\":[]}");
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
    assert_eq!(answer.json()["error"]["code"], "overloaded");
    assert_eq!(server.connect().post("/score", &lead(1)).status, 200);
    open[0].send("{\"leads\":[]}");
    assert_eq!(open[0].answer().status, 200);
    assert_eq!(post(false, "{\"leads\":[]}").status, 200);
    drop(open);
    assert_eq!(records::read(&server.stop()).len(), 16);
}

/// Answers to the first lines come before the last line is sent, and each answered lead is recorded by then.
fn lines_are_answered_as_they_come(runtime: &str) {
    let server = Launch::new(runtime).no_sink().start();
    let mut connection = server.connect();
    connection.send(format!(
        "POST {PATH} HTTP/1.1\r\nhost: q\r\n{LINES}transfer-encoding: chunked\r\n\r\n"
    ));
    let send = |connection: &mut Connection, text: &str| {
        connection.send(format!("{:x}\r\n{text}\r\n", text.len()));
    };
    let mut got = String::new();
    let mut head = None;
    for number in 0..50 {
        let line = lead(number) + "\n";
        let (start, end) = line.split_at(line.len() / 2);
        send(&mut connection, start);
        send(&mut connection, end);
        head.get_or_insert_with(|| connection.head().expect("an answer"));
        while got.lines().count() <= number {
            let chunk = connection.chunk().expect("open").expect("more to come");
            got.push_str(&String::from_utf8(chunk).expect("text"));
        }
        assert!(
            got.ends_with('\n') && got.contains(&format!("\"lead-{number}\"")),
            "{got}"
        );
    }
    let last = lead(50);
    send(&mut connection, &last);
    connection.send("0\r\n\r\n");
    let chunk = connection.chunk().expect("open").expect("the last lead");
    assert!(
        String::from_utf8(chunk).expect("text").contains("lead-50"),
        "a last line needs no end"
    );
    assert_eq!(connection.chunk().expect("open"), None);
    assert_eq!(
        connection.post("/score", &lead(1)).status,
        200,
        "the connection goes on"
    );
}

/// Chunks of any size, lists and lines.
fn bodies_come_in_any_pieces(runtime: &str) {
    let server = Launch::new(runtime).no_sink().start();
    let all = leads(40);
    for (headers, body) in [("", list(&all)), (LINES, lines(&all))] {
        let whole = results(&server.connect().post_with(PATH, headers, body.as_bytes()));
        for size in [1usize, 7, 1000] {
            let mut chunked =
                format!("POST {PATH} HTTP/1.1\r\nhost: q\r\n{headers}transfer-encoding: chunked\r\n\r\n").into_bytes();
            for piece in body.as_bytes().chunks(size) {
                chunked.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
                chunked.extend_from_slice(piece);
                chunked.extend_from_slice(b"\r\n");
            }
            chunked.extend_from_slice(b"0\r\n\r\n");
            let mut connection = server.connect();
            connection.send(&chunked);
            assert_eq!(results(&connection.answer()), whole, "in chunks of {size}");
        }
    }
}

/// A body that stops: reported with a status if there is none yet, otherwise in a line of its own.
fn bodies_that_stop(runtime: &str) {
    let server = Launch::new(runtime).no_sink().set("LIMITS__BATCH_MS", "500").start();
    let mut connection = server.connect();
    connection.send(format!(
        "POST {PATH} HTTP/1.1\r\nhost: q\r\ncontent-length: 100\r\n\r\n{{\"leads\":["
    ));
    let answer = connection.answer();
    assert_eq!(
        (answer.status, answer.json()["error"]["code"].clone()),
        (408, json!("body_timeout"))
    );
    let mut connection = server.connect();
    let line = lead(1) + "\n";
    connection.send(format!(
        "POST {PATH} HTTP/1.1\r\nhost: q\r\n{LINES}content-length: 100000\r\n\r\n{line}{line}{{"
    ));
    let results = results(&connection.answer());
    assert_eq!(results.len(), 3);
    assert_eq!(results[1]["lead_id"], "lead-1");
    assert_eq!(
        (&results[2]["line"], &results[2]["error"]["code"]),
        (&json!(3), &json!("body_timeout"))
    );
    assert_eq!(connection.end(), End::Closed);
    server.await_metric("quintile_timeouts_total{phase=\"body\"}", |count| count >= 2.0);
}

on_both!(
    equals_leads_that_come_alone,
    bad_leads_fail_alone,
    what_is_no_batch_is_refused_whole,
    limits_are_met_exactly,
    lines_are_answered_as_they_come,
    bodies_come_in_any_pieces,
    bodies_that_stop,
);
