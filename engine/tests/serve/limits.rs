//! Limits of time, size and number: each is met, and meets only whom it should.

use std::thread;
use std::time::{Duration, Instant};

use crate::client::{Connection, End, request};
use crate::harness::{Launch, Server};
use crate::on_both;
use crate::score::lead;

/// Short limits, far enough apart that a test can tell which one it met.
fn server(runtime: &str) -> Server {
    Launch::new(runtime)
        .no_sink()
        .set("LIMITS__FIRST_BYTE_MS", "600")
        .set("LIMITS__HEAD_MS", "600")
        .set("LIMITS__BODY_MS", "600")
        .set("LIMITS__IDLE_MS", "600")
        .set("LIMITS__WRITE_MS", "600")
        .set("LIMITS__BODY_BYTES_MAX", "4096")
        .set("LIMITS__HEAD_BYTES_MAX", "8192")
        .set("LIMITS__HEADERS_MAX", "20")
        .start()
}

/// A limit is 600 ms: it must not come at once (on a busy machine our clock starts well after the server's), and the
/// counts tell that it was this one.
fn ends_late(connection: &mut Connection) -> End {
    let began = Instant::now();
    let end = connection.end();
    assert!(
        began.elapsed() >= Duration::from_millis(300),
        "cut short after {:?}",
        began.elapsed()
    );
    end
}

fn timeouts(server: &Server, phase: &str) {
    server.await_metric(&format!("quintile_timeouts_total{{phase=\"{phase}\"}}"), |count| {
        count >= 1.0
    });
}

fn silence_before_the_first_byte(runtime: &str) {
    let server = server(runtime);
    let mut connection = server.connect();
    assert_eq!(ends_late(&mut connection), End::Closed);
    assert_eq!(connection.text(), "", "a client that said nothing is told nothing");
    timeouts(&server, "first_byte");
}

fn slow_head(runtime: &str) {
    let server = server(runtime);
    let mut connection = server.connect();
    connection.send("POST /sc");
    assert_eq!(ends_late(&mut connection), End::Closed);
    assert!(
        !connection.text().contains("408"),
        "408 is for bodies: {}",
        connection.text()
    );
    timeouts(&server, "head");
}

/// A byte now and then must not keep a head alive.
fn dripping_head(runtime: &str) {
    let server = server(runtime);
    let mut connection = server.connect();
    let began = Instant::now();
    connection.send("POST /score HTTP/1.1\r\n");
    while began.elapsed() < Duration::from_secs(10) {
        if !connection.is_quiet_for(Duration::from_millis(100)) {
            break;
        }
        use std::io::Write as _;
        if connection.socket.write_all(b"x").is_err() {
            break;
        }
    }
    assert!(began.elapsed() < Duration::from_secs(10), "still open");
    timeouts(&server, "head");
}

fn slow_body_is_told_408(runtime: &str) {
    let server = server(runtime);
    let mut connection = server.connect();
    connection.send("POST /score HTTP/1.1\r\nhost: q\r\ncontent-length: 100\r\n\r\n{\"lead_id\":");
    let answer = connection.answer();
    assert_eq!((answer.status, answer.header("connection")), (408, Some("close")));
    assert_eq!(answer.json()["error"]["code"], "body_timeout");
    assert_eq!(connection.end(), End::Closed);
    timeouts(&server, "body");
}

fn idle_connection_is_closed(runtime: &str) {
    let server = server(runtime);
    let mut connection = server.connect();
    assert_eq!(connection.get("/healthz").status, 200);
    assert_eq!(ends_late(&mut connection), End::Closed);
    timeouts(&server, "idle");
}

/// Requests that come in time keep a connection open far beyond any single limit.
fn busy_connection_is_kept(runtime: &str) {
    let server = server(runtime);
    let mut connection = server.connect();
    for number in 0..8 {
        std::thread::sleep(Duration::from_millis(250));
        assert_eq!(connection.post("/score", &lead(number)).status, 200);
    }
}

/// A peer that asks and asks but reads nothing: the socket's buffers fill, and writing has a limit.
fn peer_that_does_not_read(runtime: &str) {
    use std::io::Write as _;
    let server = server(runtime);
    let mut connection = server.connect();
    connection
        .socket
        .set_write_timeout(Some(Duration::from_millis(200)))
        .expect("a TCP socket");
    let ask = b"GET /metrics HTTP/1.1\r\nhost: q\r\n\r\n".repeat(64);
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(15) {
        match connection.socket.write(&ask) {
            Ok(_) => {}
            Err(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                ) => {}
            Err(_) => break,
        }
    }
    assert!(began.elapsed() < Duration::from_secs(15), "the server waits for ever");
    timeouts(&server, "write");
    assert_eq!(server.connect().get("/healthz").status, 200);
}

fn large_body(runtime: &str) {
    let server = server(runtime);
    // Said before it is sent.
    let mut connection = server.connect();
    let answer = connection.post_with("/score", "", &[b' '; 5000]);
    assert_eq!((answer.status, answer.header("connection")), (413, Some("close")));
    assert_eq!(
        connection.end(),
        End::Closed,
        "the answer must not be destroyed by a reset"
    );
    // Found out on the way.
    let mut connection = server.connect();
    connection.send("POST /score HTTP/1.1\r\nhost: q\r\ntransfer-encoding: chunked\r\n\r\n");
    for _ in 0..6 {
        connection.send(format!("3e8\r\n{}\r\n", " ".repeat(1000)));
    }
    assert_eq!(connection.answer().status, 413);
    // Exactly as large as it may be.
    let mut connection = server.connect();
    let body = lead(1);
    let padded = format!("{body}{}", " ".repeat(4096 - body.len()));
    assert_eq!(connection.post("/score", &padded).status, 200);
    assert_eq!(connection.post("/score", &body).status, 200, "the connection goes on");
}

fn large_head(runtime: &str) {
    let server = server(runtime);
    let mut connection = server.connect();
    let answer = connection.post_with("/score", &format!("x-long: {}\r\n", "x".repeat(9000)), b"{}");
    assert_eq!(answer.status, 431);
    let many: String = (0..30).map(|number| format!("x-{number}: 1\r\n")).collect();
    let answer = server.connect().post_with("/score", &many, lead(1).as_bytes());
    assert_eq!(answer.status, 431);
    assert_eq!(answer.json()["error"]["code"], "too_many_headers");
    let beyond_the_parser: String = (0..150).map(|number| format!("x{number}:1\r\n")).collect();
    assert_eq!(
        server.connect().post_with("/score", &beyond_the_parser, b"{}").status,
        431
    );
    let few: String = (0..15).map(|number| format!("x-{number}: 1\r\n")).collect();
    assert_eq!(
        server.connect().post_with("/score", &few, lead(1).as_bytes()).status,
        200
    );
}

fn connections_beyond_the_limit_wait(runtime: &str) {
    let server = Launch::new(runtime)
        .no_sink()
        .set("LIMITS__CONNECTIONS_MAX", "4")
        .start();
    let mut loaded: Vec<Connection> = (0..4).map(|_| server.connect()).collect();
    assert!(
        loaded
            .iter_mut()
            .all(|connection| connection.get("/healthz").status == 200)
    );
    let mut fifth = server.connect();
    assert!(
        fifth.is_quiet_for(Duration::from_millis(300)),
        "a fifth connection was closed"
    );
    drop(loaded.pop());
    // It has its place when the server has noticed; before that it would get 503.
    thread::sleep(Duration::from_millis(300));
    assert_eq!(fifth.post("/score", &lead(1)).status, 200);
    assert_eq!(fifth.post("/score", &lead(2)).status, 200);
}

/// Out of descriptors: open connections are served, no thread spins, and when there are descriptors again everything
/// continues.
fn out_of_descriptors(runtime: &str) {
    let limit_descriptors = || {
        use rustix::process::{Resource, Rlimit, setrlimit};
        Ok(setrlimit(
            Resource::Nofile,
            Rlimit {
                current: Some(64),
                maximum: Some(64),
            },
        )?)
    };
    let server = Launch::new(runtime).no_sink().before_exec(limit_descriptors).start();
    let mut first = server.connect();
    assert_eq!(first.get("/healthz").status, 200);
    let mut rest: Vec<Connection> = (0..100).map(|_| server.connect()).collect();
    std::thread::sleep(Duration::from_millis(300));
    let before = server.cpu_ticks();
    std::thread::sleep(Duration::from_secs(1));
    let used = server.cpu_ticks() - before;
    assert!(
        used < 50,
        "{used} of 100 ticks of a second were burnt while waiting for descriptors"
    );
    assert_eq!(first.post("/score", &lead(1)).status, 200);
    assert!(server.log().contains("connections wait"), "{}", server.log());
    // The last ones were connected by the kernel only. They are served as soon as others go.
    let mut last = rest.pop().expect("there are a hundred");
    drop(rest);
    assert_eq!(last.get("/healthz").status, 200);
    assert_eq!(server.connect().get("/healthz").status, 200);
}

/// Connections that come and go, in every way a peer can leave, cost no descriptor and no place.
fn leaves_nothing_behind(runtime: &str) {
    let server = server(runtime);
    assert_eq!(server.connect().get("/healthz").status, 200);
    let before = server.open_descriptors();
    for round in 0..200 {
        let mut connection = server.connect();
        match round % 5 {
            0 => {}
            1 => connection.send("GE"),
            2 => connection.send("POST /score HTTP/1.1\r\ncontent-length: 10\r\n\r\n{"),
            3 => connection.send(request("/score", "", lead(1).as_bytes())),
            _ => {
                connection.half_close();
                assert_eq!(connection.end(), End::Closed);
            }
        }
    }
    let open = server.await_metric("quintile_connections_open{shard=\"0\"}", |count| count <= 1.0);
    assert!(open <= 1.0);
    assert!(
        server.open_descriptors() <= before + 1,
        "{} descriptors, {before} before",
        server.open_descriptors()
    );
}

/// A client that sends its request and half-closes still gets its answer.
fn half_closed_client_is_answered(runtime: &str) {
    let server = server(runtime);
    let mut connection = server.connect();
    connection.send(request("/score", "", lead(1).as_bytes()));
    connection.half_close();
    assert_eq!(connection.answer().status, 200);
    assert_eq!(connection.end(), End::Closed);
}

on_both!(
    silence_before_the_first_byte,
    slow_head,
    dripping_head,
    slow_body_is_told_408,
    idle_connection_is_closed,
    busy_connection_is_kept,
    peer_that_does_not_read,
    large_body,
    large_head,
    connections_beyond_the_limit_wait,
    out_of_descriptors,
    leaves_nothing_behind,
    half_closed_client_is_answered,
);
