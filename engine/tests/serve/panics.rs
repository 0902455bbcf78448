//! A panic costs its own connection and is counted; the shard goes on. The paths that panic are in test builds only.

use crate::client::End;
use crate::harness::Launch;
use crate::on_both;
use crate::score::lead;

fn a_panic_while_scoring_is_answered_500(runtime: &str) {
    let server = Launch::new(runtime).no_sink().start();
    let mut other = server.connect();
    assert_eq!(other.post("/score", &lead(1)).status, 200);
    for _ in 0..3 {
        let mut connection = server.connect();
        let answer = connection.post("/debug/panic", "{}");
        assert_eq!((answer.status, answer.header("connection")), (500, Some("close")));
        assert_eq!(answer.json()["error"]["code"], "internal_error");
        assert_eq!(connection.end(), End::Closed);
    }
    assert_eq!(
        other.post("/score", &lead(2)).status,
        200,
        "a neighbour on the same shard is served on"
    );
    server.await_metric("quintile_panics_total", |count| (count - 3.0).abs() < 0.5);
}

fn a_panic_anywhere_else_closes_the_connection(runtime: &str) {
    let mut server = Launch::new(runtime).no_sink().start();
    let mut other = server.connect();
    assert_eq!(other.post("/score", &lead(1)).status, 200);
    for _ in 0..3 {
        let mut connection = server.connect();
        connection.send("GET /debug/panic-outside HTTP/1.1\r\nhost: q\r\n\r\n");
        assert!(connection.try_answer().is_err());
    }
    assert_eq!(other.post("/score", &lead(2)).status, 200);
    server.await_metric("quintile_panics_total", |count| (count - 3.0).abs() < 0.5);
    server.await_metric("quintile_connections_open{shard=\"0\"}", |count| count <= 2.0);
    server.stop();
}

on_both!(
    a_panic_while_scoring_is_answered_500,
    a_panic_anywhere_else_closes_the_connection
);
