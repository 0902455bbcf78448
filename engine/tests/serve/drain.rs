//! SIGTERM and SIGINT: requests in flight finish, no connection is reset, all records are delivered, and the exit code
//! is 0.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::client::{Connection, End, request};
use crate::harness::Launch;
use crate::on_both;
use crate::records;
use crate::score::lead;

fn request_in_flight_is_answered(runtime: &str) {
    for signal in [Signal::TERM, Signal::INT] {
        let mut server = Launch::new(runtime).start();
        let bytes = request("/score", "", lead(1).as_bytes());
        let (first, rest) = bytes.split_at(bytes.len() / 2);
        let mut connection = server.connect();
        connection.send(first);
        thread::sleep(Duration::from_millis(100));
        server.signal(signal);
        thread::sleep(Duration::from_millis(200));
        assert!(server.is_running(), "it ended with a request half read");
        connection.send(rest);
        let answer = connection.answer();
        assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
        assert_eq!(connection.end(), End::Closed);
        assert_eq!(server.wait(), 0, "{}", server.log());
        assert_eq!(records::read(&server.data()).len(), 1);
    }
}

fn readyz_says_no_and_the_port_closes(runtime: &str) {
    let mut server = Launch::new(runtime)
        .no_sink()
        .set("LIMITS__DRAIN_IDLE_MS", "5000")
        .start();
    let mut open = server.connect();
    assert_eq!(open.get("/readyz").status, 200);
    server.signal(Signal::TERM);
    thread::sleep(Duration::from_millis(150));
    let answer = open.get("/readyz");
    assert_eq!((answer.status, answer.header("connection")), (503, Some("close")));
    assert!(
        std::net::TcpStream::connect(("127.0.0.1", server.port)).is_err(),
        "new connections are taken"
    );
    assert_eq!(server.wait(), 0);
    assert!(!server.log().contains("failed request"), "{}", server.log());
}

fn idle_connections_do_not_hold_it_up(runtime: &str) {
    let mut server = Launch::new(runtime).no_sink().start();
    let mut idle: Vec<Connection> = (0..20).map(|_| server.connect()).collect();
    for connection in idle.iter_mut().take(10) {
        assert_eq!(connection.get("/healthz").status, 200);
    }
    let began = Instant::now();
    server.signal(Signal::TERM);
    assert_eq!(server.wait(), 0);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    assert!(
        idle.iter_mut().all(|connection| connection.end() == End::Closed),
        "an idle connection was reset"
    );
}

/// The bound: a request that never ends does not keep the process alive for ever.
fn a_request_that_never_ends_is_cut_off(runtime: &str) {
    let mut server = Launch::new(runtime).no_sink().set("LIMITS__DRAIN_MS", "500").start();
    let mut connection = server.connect();
    connection.send("POST /score HTTP/1.1\r\ncontent-length: 100\r\n\r\n{");
    thread::sleep(Duration::from_millis(100));
    let began = Instant::now();
    server.signal(Signal::TERM);
    assert_eq!(server.wait(), 0, "{}", server.log());
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
}

/// Eight clients ask as fast as they can while the server is told to stop. Every connection that was accepted ends with
/// a proper close, and as many records are found as answers were received.
fn under_load_nothing_is_reset_or_lost(runtime: &str) {
    let mut server = Launch::new(runtime).shards(2).start();
    let (answered, resets) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let stopping = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..8)
        .map(|client| {
            let (answered, resets, stopping) = (Arc::clone(&answered), Arc::clone(&resets), Arc::clone(&stopping));
            let mut connection = server.connect();
            let name = format!("client-{client}");
            let run = move || {
                for number in 0.. {
                    use std::io::Write as _;
                    let bytes = request("/score", "", lead(number).as_bytes());
                    // A peer that has closed makes the second write fail: that is an end, not a reset of ours.
                    if connection.socket.write_all(&bytes).is_err() {
                        break;
                    }
                    match connection.try_answer() {
                        Ok(answer) => {
                            assert_eq!(answer.status, 200, "{}", answer.text());
                            answered.fetch_add(1, Ordering::Relaxed);
                            if answer.header("connection") == Some("close") {
                                break;
                            }
                        }
                        Err(end) => {
                            assert!(stopping.load(Ordering::Relaxed), "closed before anybody asked to stop");
                            resets.fetch_add(usize::from(end == End::Reset), Ordering::Relaxed);
                            break;
                        }
                    }
                }
            };
            thread::Builder::new().name(name).spawn(run).expect("a thread")
        })
        .collect();
    thread::sleep(Duration::from_millis(400));
    stopping.store(true, Ordering::Relaxed);
    server.signal(Signal::TERM);
    for client in clients {
        client.join().expect("a client does not fail");
    }
    assert_eq!(server.wait(), 0, "{}", server.log());
    assert_eq!(resets.load(Ordering::Relaxed), 0, "connections were reset");
    assert_eq!(records::read(&server.data()).len(), answered.load(Ordering::Relaxed));
}

on_both!(
    request_in_flight_is_answered,
    readyz_says_no_and_the_port_closes,
    idle_connections_do_not_hold_it_up,
    a_request_that_never_ends_is_cut_off,
    under_load_nothing_is_reset_or_lost,
);
