//! The memory budget: what clients hold is bounded, small requests are served beyond it, and all of it is given back.

use std::io::Write as _;

use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use http::{Request, StatusCode};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::client::{Connection, request};
use crate::harness::{Launch, PATIENCE, Server};
use crate::on_both;
use crate::score::lead;

const MIB: u64 = 1 << 20;

/// Bytes of the budget in these tests. Large bodies may take three quarters of it.
const BUDGET: usize = 16 << 20;

fn server(runtime: &str) -> Server {
    Launch::new(runtime)
        .no_sink()
        .set("LIMITS__MEMORY_BYTES", &BUDGET.to_string())
        .set("LIMITS__WRITE_MS", "600")
        .start()
}

fn used(purpose: &str) -> String {
    format!("quintile_memory_used_bytes{{purpose=\"{purpose}\"}}")
}

/// A small lead is answered, and all that is held fits into the budget.
fn still_serves(server: &Server) {
    assert_eq!(server.connect().post("/score", &lead(7)).status, 200);
    server.await_metric("quintile_memory_refused_total", |count| count >= 1.0);
    let text = server.connect().get("/metrics").text();
    let values = text
        .lines()
        .filter_map(|line| line.strip_prefix("quintile_memory_used_bytes"));
    let sum: f64 = values
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum();
    assert!(sum > 0.0 && sum <= 16.0 * 1_048_576.0, "{sum} bytes in use");
}

/// Nothing is held any more, and the system has its pages back.
fn gives_back(server: &Server, before: u64) {
    for purpose in ["bodies", "batches", "answers"] {
        server.await_metric(&used(purpose), |bytes| bytes == 0.0);
    }
    let after = server.anonymous_bytes();
    assert!(
        after < before + 48 * MIB,
        "{} MiB before, {} after",
        before / MIB,
        after / MIB
    );
}

/// A lead of so many bytes, most of which are white space.
fn padded(bytes: usize) -> Vec<u8> {
    let lead = lead(7);
    let mut body = lead.as_bytes()[..lead.len() - 1].to_vec();
    body.resize(bytes - 1, b' ');
    body.push(b'}');
    body
}

fn bodies_of_many_connections(runtime: &str) {
    let server = server(runtime);
    let before = server.anonymous_bytes();
    let body = padded(700_000);
    let message = request("/score", "", &body);
    let mut connections: Vec<Connection> = (0..40).map(|_| server.connect()).collect();
    for connection in &mut connections {
        // One that is refused may be closed before all of this is written.
        let _ = connection.socket.write_all(&message[..message.len() - 1]);
    }
    still_serves(&server);
    let mut statuses = Vec::new();
    for mut connection in connections {
        let _ = connection.socket.write_all(b"}");
        let Ok(answer) = connection.try_answer() else { continue };
        if answer.status == 503 {
            assert_eq!(answer.header("retry-after"), Some("1"));
            assert_eq!(answer.json()["error"]["code"], "overloaded");
        }
        statuses.push(answer.status);
    }
    statuses.sort_unstable();
    statuses.dedup();
    assert_eq!(statuses, [200, 503], "some had room, some had not");
    gives_back(&server, before);
}

/// Runs a client of HTTP/2 whose streams start with windows of so many bytes.
fn client<F: Future>(port: u16, window: u32, run: impl FnOnce(SendRequest<Bytes>) -> F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let socket = TcpStream::connect(("127.0.0.1", port)).await.expect("it listens");
        let builder = Builder::new().initial_window_size(window).clone();
        let (sender, connection) = builder.handshake(socket).await.expect("an h2 handshake");
        tokio::spawn(connection);
        tokio::time::timeout(PATIENCE, run(sender)).await.expect("done in time")
    })
}

fn bodies_of_many_streams(runtime: &str) {
    let server = server(runtime);
    let before = server.anonymous_bytes();
    client(server.port, 65_535, async |sender| {
        let (mut answers, mut streams) = (JoinSet::new(), Vec::new());
        for _ in 0..100 {
            let mut sender = sender.clone().ready().await.expect("the connection is open");
            let request = Request::post("http://q/score").body(()).expect("a request");
            let (answer, mut stream) = sender.send_request(request, false).expect("a stream");
            stream.send_data(vec![b' '; 400_000].into(), false).expect("it is open");
            streams.push(stream);
            answers.spawn(answer);
        }
        let first = answers
            .join_next()
            .await
            .expect("one")
            .expect("no panic")
            .expect("an answer");
        assert_eq!(first.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(first.headers()["retry-after"], "1");
        still_serves(&server);
    });
    gives_back(&server, before);
}

fn streams_that_are_not_read(runtime: &str) {
    let server = server(runtime);
    let before = server.anonymous_bytes();
    client(server.port, 0, async |sender| {
        let mut heads = Vec::new();
        // The limit may end it before all have asked.
        'all: for path in ["/docs/swagger-ui-bundle.js", "/metrics", "/openapi.json"] {
            for _ in 0..30 {
                let Ok(mut sender) = sender.clone().ready().await else {
                    break 'all;
                };
                let request = Request::get(format!("http://q{path}")).body(()).expect("a request");
                let Ok((answer, _)) = sender.send_request(request, true) else {
                    break 'all;
                };
                let Ok(head) = answer.await else { break 'all };
                heads.push(head);
            }
        }
        assert!(!heads.is_empty());
        assert!(server.anonymous_bytes() < before + 48 * MIB);
        // Nothing is read, though the socket takes all that is written: the limit of writing ends it.
        server.await_metric("quintile_timeouts_total{phase=\"write\"}", |count| count >= 1.0);
    });
    gives_back(&server, before);
}

fn connections_that_are_not_read(runtime: &str) {
    let server = server(runtime);
    let before = server.anonymous_bytes();
    let mut connections: Vec<Connection> = (0..40).map(|_| server.connect()).collect();
    for connection in &mut connections {
        let page = "GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nhost: q\r\n\r\n";
        let _ = connection.socket.write_all(page.repeat(20).as_bytes());
    }
    server.await_metric("quintile_timeouts_total{phase=\"write\"}", |count| count >= 1.0);
    assert!(server.anonymous_bytes() < before + 48 * MIB);
    assert_eq!(server.connect().post("/score", &lead(7)).status, 200);
    drop(connections);
    gives_back(&server, before);
}

fn empty_members(runtime: &str) {
    let server = server(runtime);
    let before = server.anonymous_bytes();
    let member = [31, 139, 8, 0, 0, 0, 0, 0, 0, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let body = member.repeat(20_000);
    let mut clients: Vec<Connection> = (0..4).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.send(request("/score", "content-encoding: gzip\r\n", &body));
    }
    assert_eq!(server.connect().post("/score", &lead(7)).status, 200);
    for client in &mut clients {
        let answer = client.answer();
        assert_eq!(
            (answer.status, &answer.json()["error"]["code"]),
            (400, &"not_json".into())
        );
    }
    gives_back(&server, before);
}

fn long_leads(runtime: &str) {
    let server = server(runtime);
    let mut connection = server.connect();
    let plain = connection.post("/score", &lead(7)).json();
    for bytes in [20_000, 300_000] {
        let answer = connection.post_with("/score", "", &padded(bytes));
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.json()["probability"], plain["probability"]);
    }
    let keys: Vec<String> = (0..90_000).map(|key| format!("\"k{key}\":1")).collect();
    let body = format!("{{\"lead_id\":\"long\",\"features\":{{{}}}}}", keys.join(","));
    let answer = connection.post("/score", &body);
    let error = &answer.json()["error"];
    assert_eq!(answer.status, 422);
    assert_eq!(error["faults_total"], 90_000);
    assert_eq!(error["faults"][31]["pointer"], "/features/k31");
    let cut = connection.post("/score", &body[..body.len() - 1]);
    assert_eq!(
        (cut.status, &cut.json()["error"]["offset"]),
        (400, &(body.len() - 1).into())
    );
}

fn the_budget_is_told(runtime: &str) {
    let server = server(runtime);
    server.await_metric("quintile_memory_budget_bytes", |bytes| {
        (bytes - 16_777_216.0).abs() < 0.5
    });
    let log = server.log();
    let line = log.lines().find(|line| line.contains("memory budget")).expect("a line");
    assert!(
        line.contains("16777216") && line.contains("limits.memory_bytes"),
        "{line}"
    );
}

on_both!(
    bodies_of_many_connections,
    bodies_of_many_streams,
    streams_that_are_not_read,
    connections_that_are_not_read,
    empty_members,
    long_leads,
    the_budget_is_told
);
