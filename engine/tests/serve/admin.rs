//! The listener for operators: a flame graph of the running server, while it answers.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::client::Connection;
use crate::harness::{Launch, PATIENCE, Server};
use crate::on_both;
use crate::score::lead;

fn start(runtime: &str) -> Server {
    Launch::new(runtime)
        .no_sink()
        .set("SERVER__ADMIN", "127.0.0.1:0")
        .start()
}

/// The port in the line that says the server is ready.
fn admin_port(server: &Server) -> u16 {
    let log = server.log();
    let (_, rest) = log.split_once("\"quintile.admin\":\"127.0.0.1:").expect("it is logged");
    rest.split('"')
        .next()
        .and_then(|port| port.parse().ok())
        .expect("a port")
}

/// Asks for leads to be scored on some connections while `run` runs; every one must be.
fn under_load<T>(server: &Server, run: impl FnOnce() -> T) -> T {
    let (done, answered) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for number in 0..4 {
            let mut connection = server.connect();
            let (done, answered) = (&done, &answered);
            let thread = std::thread::Builder::new().name("load".into());
            let load = move || {
                while !done.load(Ordering::Relaxed) {
                    let answer = connection.post("/score", &lead(number));
                    assert_eq!(answer.status, 200, "{}", answer.text());
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            };
            thread.spawn_scoped(scope, load).expect("a thread");
        }
        // So that a panic in here ends the load.
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run));
        done.store(true, Ordering::Relaxed);
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn a_server_under_load_draws_itself(runtime: &str) {
    let mut server = start(runtime);
    let mut operator = Connection::open(admin_port(&server));
    under_load(&server, || {
        let answer = operator.get("/debug/flamegraph?seconds=1&hertz=199&format=folded");
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
        let text = answer.text();
        let of_shard = |line: &&str| line.starts_with("shard-0;");
        assert!(text.lines().any(|line| of_shard(&line)), "{text}");
        let counted = text.lines().all(|line| {
            let count = line.rsplit_once(' ').map(|(_, count)| count.parse::<u64>());
            matches!(count, Some(Ok(1..)))
        });
        assert!(counted, "{text}");
        // Stacks go from the thread's start to what scores.
        let deep = |line: &str| line.contains("quintile::shard::") && line.contains("quintile::http::routes::");
        assert!(text.lines().filter(of_shard).any(deep), "{text}");
        let answer = operator.get("/debug/flamegraph?seconds=1");
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.header("content-type"), Some("image/svg+xml"));
        let text = answer.text();
        assert!(text.contains("<svg") && text.contains("</svg>"), "{text}");
        assert!(text.contains("samples at 99 a second of CPU time"), "{text}");
    });
    server.stop();
}

fn one_recording_at_a_time_and_none_that_nobody_waits_for(runtime: &str) {
    let server = start(runtime);
    let port = admin_port(&server);
    let mut second = Connection::open(port);
    let began = Instant::now();
    let status = |connection: &mut Connection| connection.get("/debug/flamegraph?seconds=1&format=folded").status;
    // The client that comes first is recorded; wait until that is not the second.
    let first = loop {
        let mut first = Connection::open(port);
        first.send("GET /debug/flamegraph?seconds=60 HTTP/1.1\r\nhost: q\r\n\r\n");
        if status(&mut second) == 409 {
            break first;
        }
        assert!(began.elapsed() < PATIENCE, "the first is recorded");
    };
    drop(first);
    while status(&mut second) != 200 {
        assert!(began.elapsed() < PATIENCE, "nobody waits for the first");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn what_cannot_be_asked_is_told(runtime: &str) {
    let server = start(runtime);
    let mut operator = Connection::open(admin_port(&server));
    assert!(operator.get("/").text().contains("/debug/flamegraph"));
    let answer = operator.get("/debug/flamegraph?seconds=100");
    assert_eq!(
        (answer.status, answer.json()["error"]["code"].as_str()),
        (400, Some("bad_query"))
    );
    assert_eq!(
        answer.json()["error"]["message"],
        "seconds is a whole number from 1 to 60"
    );
    assert_eq!(operator.get("/score").status, 404);
    let answer = operator.post("/debug/flamegraph", "");
    assert_eq!((answer.status, answer.header("allow")), (405, Some("GET")));
    // Nor is it on the clients' listener.
    assert_eq!(server.connect().get("/debug/flamegraph").status, 404);
}

fn an_address_that_is_taken_is_a_fault_if_somebody_chose_it(runtime: &str) {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("it is bound").to_string();
    let (code, log) = Launch::new(runtime).set("SERVER__ADMIN", &address).refused();
    assert_eq!(code, Some(1), "{log}");
    assert!(
        log.contains(&format!("listen on {address} for operators (server.admin)")),
        "{log}"
    );
}

fn drains_while_it_records(runtime: &str) {
    let mut server = start(runtime);
    let mut operator = Connection::open(admin_port(&server));
    operator.send("GET /debug/flamegraph?seconds=60 HTTP/1.1\r\nhost: q\r\n\r\n");
    std::thread::sleep(Duration::from_millis(100));
    server.stop();
}

on_both!(
    a_server_under_load_draws_itself,
    one_recording_at_a_time_and_none_that_nobody_waits_for,
    what_cannot_be_asked_is_told,
    an_address_that_is_taken_is_a_fault_if_somebody_chose_it,
    drains_while_it_records
);
