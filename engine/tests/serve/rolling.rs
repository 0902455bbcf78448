//! A rolling restart behind a load balancer that looks at `/readyz`: nobody who opens a connection is refused.

use std::io::ErrorKind;
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::client::Connection;
use crate::harness::{Launch, PATIENCE, Server};
use crate::on_both;
use crate::score::lead;

/// A balancer in three lines: which servers there are, and which of them were ready when it looked last.
#[derive(Default)]
struct Balancer {
    known: Mutex<Vec<u16>>,
    ready: Mutex<Vec<u16>>,
    ends: AtomicBool,
    answered: AtomicUsize,
}

impl Balancer {
    /// Looks at every server again and again, by a new connection each time, as balancers do.
    fn look(&self) {
        while !self.ends.load(Ordering::Relaxed) {
            let known = self.known.lock().expect("nobody panics with it").clone();
            let is_ready = |port: &u16| {
                TcpStream::connect(("127.0.0.1", *port)).is_ok() && Connection::open(*port).get("/readyz").status == 200
            };
            let ready = known.into_iter().filter(is_ready).collect();
            *self.ready.lock().expect("nobody panics with it") = ready;
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Opens a connection for each lead, to a server that was ready.
    fn ask(&self) {
        for number in 0.. {
            if self.ends.load(Ordering::Relaxed) {
                return;
            }
            let ready = self.ready.lock().expect("nobody panics with it").clone();
            let Some(&port) = ready.get(number % ready.len().max(1)) else {
                continue;
            };
            let socket = TcpStream::connect(("127.0.0.1", port));
            if let Err(error) = &socket {
                assert_ne!(error.kind(), ErrorKind::ConnectionRefused, "a connection was refused");
            }
            drop(socket);
            let answer = Connection::open(port).post_with("/score", "connection: close\r\n", lead(number).as_bytes());
            assert_eq!(answer.status, 200, "{}", answer.text());
            self.answered.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn wait_until(&self, what: &str, port: u16, is_ready: bool) {
        let began = Instant::now();
        while self.ready.lock().expect("nobody panics with it").contains(&port) != is_ready {
            assert!(began.elapsed() < PATIENCE, "{what}");
            thread::sleep(Duration::from_millis(5));
        }
    }
}

fn launch(runtime: &str) -> Server {
    Launch::new(runtime)
        .no_sink()
        .set("LIMITS__DRAIN_DELAY_MS", "5s")
        .start()
}

fn a_rolling_restart_refuses_nobody(runtime: &str) {
    let balancer = Balancer::default();
    let mut servers = vec![launch(runtime), launch(runtime)];
    let ports = servers.iter().map(|server| server.port);
    balancer.known.lock().expect("nobody panics with it").extend(ports);
    thread::scope(|scope| {
        scope.spawn(|| balancer.look());
        let clients: Vec<_> = (0..3).map(|_| scope.spawn(|| balancer.ask())).collect();
        for _ in 0..2 {
            let new = launch(runtime);
            balancer.known.lock().expect("nobody panics with it").push(new.port);
            balancer.wait_until("the new one is found", new.port, true);
            let mut old = servers.remove(0);
            servers.push(new);
            old.signal(Signal::TERM);
            balancer.wait_until("the old one is left out", old.port, false);
            // The port is still open: a client that had chosen it a moment before is answered.
            assert_eq!(Connection::open(old.port).get("/readyz").status, 503);
            assert_eq!(Connection::open(old.port).post("/score", &lead(1)).status, 200);
            balancer
                .known
                .lock()
                .expect("nobody panics with it")
                .retain(|&port| port != old.port);
            assert_eq!(old.wait(), 0, "{}", old.log());
            assert!(old.log().contains("the port stays open"), "{}", old.log());
        }
        balancer.ends.store(true, Ordering::Relaxed);
        for client in clients {
            client.join().expect("no client was refused");
        }
    });
    assert!(balancer.answered.load(Ordering::Relaxed) > 100);
}

on_both!(a_rolling_restart_refuses_nobody);
