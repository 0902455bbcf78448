//! What batches do to the shard that answers them, and what becomes of them when it cannot.

use std::io::Write as _;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use super::{LINES, PATH, leads, lines, list, results};
use crate::client::{Connection, End, request};
use crate::harness::{Launch, Server};
use crate::on_both;
use crate::records;
use crate::score::lead;

/// A client that sends lines and reads nothing: the server stops reading, keeps little, and closes in time.
fn client_that_does_not_read(runtime: &str) {
    let server = Launch::new(runtime)
        .no_sink()
        .set("LIMITS__BATCH_LEADS_MAX", "1000000")
        .set("LIMITS__WRITE_MS", "1500")
        .start();
    let warm = server.connect().post_with(PATH, LINES, b"x\n");
    assert_eq!(warm.status, 200);
    let before = server.anonymous_bytes();
    let mut connection = server.connect();
    connection
        .socket
        .set_write_timeout(Some(Duration::from_millis(300)))
        .expect("a TCP socket");
    let body = b"x\n".repeat(1_000_000);
    // The answers would be 150 MB.
    let _ = connection.socket.write_all(&request(PATH, LINES, &body));
    thread::sleep(Duration::from_millis(600));
    let stalled = server.anonymous_bytes();
    assert!(stalled < before + (24 << 20), "{before} bytes grew to {stalled}");
    assert_eq!(server.connect().post("/score", &lead(1)).status, 200);
    server.await_metric("quintile_timeouts_total{phase=\"write\"}", |count| count >= 1.0);
    server.await_metric("quintile_connections_open{shard=\"0\"}", |count| count <= 1.0);
}

/// SIGTERM while a batch is being sent and answered: it is finished, and all of it is delivered.
fn drain_finishes_batches(runtime: &str) {
    let mut server = Launch::new(runtime).start();
    let all = leads(2000);
    let bodies = [
        request(PATH, "", list(&all).as_bytes()),
        request(PATH, LINES, lines(&all).as_bytes()),
    ];
    let mut connections: Vec<Connection> = bodies.iter().map(|_| server.connect()).collect();
    for (connection, body) in connections.iter_mut().zip(&bodies) {
        connection.send(&body[..body.len() / 2]);
    }
    thread::sleep(Duration::from_millis(200));
    server.signal(Signal::TERM);
    thread::sleep(Duration::from_millis(300));
    assert!(server.is_running(), "it ended with batches half read");
    thread::scope(|scope| {
        for (mut connection, body) in connections.into_iter().zip(&bodies) {
            scope.spawn(move || {
                connection.send(&body[body.len() / 2..]);
                assert_eq!(results(&connection.answer()).len(), 2000);
                assert_eq!(connection.end(), End::Closed);
            });
        }
    });
    assert_eq!(server.wait(), 0, "{}", server.log());
    assert_eq!(records::read(&server.data()).len(), 4000);
}

/// No room for records: what cannot be recorded has an error of its own, and nothing else is lost.
fn leads_without_room_for_records_are_shed(runtime: &str) {
    let mut server = Launch::new(runtime)
        .set("RECORDS__SPOOL_BYTES", "1048576")
        .set("RECORDS__ROLL_SECONDS", "1")
        .start();
    let scores = server.data().join("scores");
    let _ = std::fs::remove_dir_all(&scores);
    std::fs::write(&scores, "in the way").expect("the folder is ours");
    let mut connection = server.connect();
    let (mut scored, mut shed) = (0, 0);
    while shed == 0 && scored < 50_000 {
        for result in results(&connection.post(PATH, &list(&leads(1000)))) {
            match result["error"]["code"].as_str() {
                None => scored += 1,
                Some("record_queue_full") => shed += 1,
                Some(other) => panic!("{other}"),
            }
        }
    }
    assert!(
        shed > 0,
        "{scored} were answered and none shed, though none can be written"
    );
    server.await_metric("quintile_shed_total", |count| count >= f64::from(shed));
    std::fs::remove_file(&scores).expect("it is there");
    assert_eq!(records::read(&server.stop()).len(), scored);
}

/// While a batch of 10,000 leads is answered, single requests on the same shard are answered between its slices. On a
/// busy machine the client may not get to ask: one round of several in which it did is enough, and without slices there
/// is none.
fn single_requests_pass_a_batch(runtime: &str) {
    let server = Launch::new(runtime).no_sink().start();
    let body = request(PATH, "", list(&leads(10_000)).as_bytes());
    let most = (0..10).fold(0, |most, _| {
        if most < 10 {
            passed(&server, &body).max(most)
        } else {
            most
        }
    });
    assert!(most >= 10, "only {most} single requests were answered beside a batch");
}

/// How many single requests are answered between the first and the last part of a batch's answer.
fn passed(server: &Server, body: &[u8]) -> usize {
    let (alone, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut connection = server.connect();
            while !is_over.load(Ordering::Relaxed) {
                assert_eq!(connection.post("/score", &lead(1)).status, 200);
                alone.fetch_add(1, Ordering::Relaxed);
            }
        });
        let mut connection = server.connect();
        connection.send(body);
        assert_eq!(connection.head().expect("an answer").status, 200);
        let mut before = None;
        let mut got = Vec::new();
        while let Some(chunk) = connection.chunk().expect("whole") {
            before.get_or_insert_with(|| alone.load(Ordering::Relaxed));
            got.extend(chunk);
        }
        let after = alone.load(Ordering::Relaxed);
        is_over.store(true, Ordering::Relaxed);
        let answer: Value = serde_json::from_slice(&got).expect("JSON");
        assert_eq!(answer["scored"], 10_000);
        after - before.expect("a part")
    })
}

/// SageMaker scores: batches are refused, unless a client asks for this process.
fn batches_for_sagemaker_are_refused(runtime: &str) {
    let server = Launch::new(runtime)
        .no_sink()
        .set("SCORING__PRIMARY", "sagemaker")
        .set("SCORING__ENDPOINT", "leads")
        .set("AWS__REGION", "eu-central-1")
        .set("AWS__ENDPOINT", "http://127.0.0.1:9")
        .start();
    let mut connection = server.connect();
    let answer = connection.post(PATH, &list(&leads(1)));
    assert_eq!(
        (answer.status, answer.json()["error"]["code"].clone()),
        (501, json!("batch_not_local"))
    );
    let answer = server
        .connect()
        .post_with(PATH, "x-quintile-scorer: local\r\n", list(&leads(1)).as_bytes());
    assert_eq!(results(&answer).len(), 1);
}

on_both!(
    client_that_does_not_read,
    drain_finishes_batches,
    leads_without_room_for_records_are_shed,
    single_requests_pass_a_batch,
    batches_for_sagemaker_are_refused,
);
