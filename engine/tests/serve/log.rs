//! What the log says of requests and of the start, and what it never says.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::{Launch, PATIENCE, Server};
use crate::on_both;

/// The first line with this body and this request id, looked for until patience ends.
fn await_line(server: &Server, body: &str, request_id: &str) -> Value {
    let began = Instant::now();
    loop {
        let log = server.log();
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let mut lines = lines.filter(|line| line["body"] == body);
        if let Some(line) = lines.find(|line| line["attributes"]["quintile.request_id"] == request_id) {
            return line;
        }
        assert!(began.elapsed() < PATIENCE, "no {body} of {request_id} in\n{log}");
        thread::sleep(Duration::from_millis(5));
    }
}

fn a_failed_request_is_logged_with_its_trace(runtime: &str) {
    let server = Launch::new(runtime).no_sink().start();
    let w3c = "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n";
    let aws = "X-Amzn-Trace-Id: Root=1-67891233-abcdef012345678912345678;Parent=463ac35c9f6413ad;Sampled=0\r\n";
    let w3c_told = (
        Some("0af7651916cd43dd8448eb211c80319c"),
        Some("b7ad6b7169203331"),
        Some(1),
    );
    let aws_told = (
        Some("67891233abcdef012345678912345678"),
        Some("463ac35c9f6413ad"),
        Some(0),
    );
    for (id, headers, told) in [
        ("both", format!("{aws}{w3c}"), w3c_told),
        ("w3c", w3c.to_owned(), w3c_told),
        ("aws", aws.to_owned(), aws_told),
        ("neither", "traceparent: 00-0-0-00\r\n".to_owned(), (None, None, None)),
    ] {
        let headers = format!("x-request-id: {id}\r\n{headers}");
        let answer = server.connect().post_with("/debug/panic", &headers, b"{}");
        assert_eq!(answer.status, 500);
        let line = await_line(&server, "failed request", id);
        let found = (
            line["trace_id"].as_str(),
            line["span_id"].as_str(),
            line["trace_flags"].as_i64(),
        );
        assert_eq!(found, told, "{line}");
        let attributes = &line["attributes"];
        assert_eq!(attributes["http.request.method"], "POST");
        assert_eq!(attributes["http.response.status_code"], 500);
        assert!(attributes["quintile.duration_us"].is_u64(), "{line}");
        assert_eq!(
            (&line["severity_text"], &line["severity_number"]),
            (&"WARN".into(), &13.into())
        );
    }
}

fn requests_and_what_they_hold_are_not_logged(runtime: &str) {
    let mut server = Launch::new(runtime).no_sink().start();
    let hostile = r#"{"lead_id":"\u001b[31mzebra\u009b","features":{"f1":987654.321,"zebra":1,"f2":"zebra"}}"#;
    let mut connection = server.connect();
    assert_eq!(connection.post("/score", hostile).status, 422);
    let headers = "x-request-id: zebra\u{9b}\r\n";
    let lead = r#"{"lead_id":"\u001b[31mzebra","features":{"f1":987654.321}}"#;
    assert_eq!(connection.post_with("/score", headers, lead.as_bytes()).status, 200);
    assert_eq!(connection.get("/zebra%1b%5b31m").status, 404);
    server.stop();
    let log = server.log();
    assert!(
        !log.contains("zebra") && !log.contains("987654") && !log.contains('\u{1b}'),
        "{log}"
    );
}

fn the_start_says_what_was_chosen_and_why(runtime: &str) {
    let server = Launch::new(runtime).set("LIMITS__IDLE_MS", "61000").start();
    let log = server.log();
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let line = |body: &str| {
        let found = lines
            .iter()
            .find(|line| line["body"].as_str().is_some_and(|said| said.starts_with(body)));
        found.unwrap_or_else(|| panic!("no {body} in\n{log}"))["attributes"].clone()
    };
    let set = line("quintile")["quintile.set"].as_str().expect("text").to_owned();
    assert!(
        set.contains("limits.idle_ms = 61000 (QUINTILE_LIMITS__IDLE_MS)"),
        "{set}"
    );
    assert!(
        set.contains(&format!("server.runtime = {runtime} (--runtime)")),
        "{set}"
    );
    let model = line("model");
    assert!(model["quintile.kernel"].is_string() && model["quintile.why"].as_str().is_some_and(|why| why.len() > 9));
    assert_eq!(line("runtime")["quintile.why"], "asked for");
    assert_eq!(
        (&line("records")["quintile.sinks"], &line("limits")["quintile.idle_ms"]),
        (&"parquet".into(), &61000.into())
    );
    line("shards 1, CPUs");
    assert!(lines.len() <= 12, "a few lines:\n{log}");
}

fn names_that_a_terminal_would_obey_stay_letters(runtime: &str) {
    for (format, shown) in [("json", "\\u001b[2J\\u009b"), ("text", "\\u{1b}[2J\\u{9b}")] {
        let launch = Launch::new(runtime).no_sink().set("LOG__FORMAT", format);
        let (code, log) = launch.set("MODEL__PATH", "/no/\u{1b}[2J\u{9b}\r.ubj").refused();
        assert_eq!(code, Some(78), "{log}");
        assert!(log.contains(shown), "{log}");
        let unfit: Vec<char> = log
            .chars()
            .filter(|letter| letter.is_control() && *letter != '\n')
            .collect();
        assert!(unfit.is_empty(), "{unfit:?} in {log:?}");
    }
}

on_both!(
    a_failed_request_is_logged_with_its_trace,
    requests_and_what_they_hold_are_not_logged,
    the_start_says_what_was_chosen_and_why,
    names_that_a_terminal_would_obey_stay_letters,
);
