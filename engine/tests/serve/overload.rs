//! A shard that falls behind refuses what has waited too long: batches and scores, and never health or metrics.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use crate::client::{Connection, request};
use crate::harness::{Launch, PATIENCE, Server};
use crate::on_both;
use crate::score::lead;

on_both!(what_has_waited_too_long_is_refused, nothing_is_refused_that_waits_less,);

const THREADS: usize = 6;
const CONNECTIONS: usize = 48;

/// What clients have seen.
#[derive(Default)]
struct Seen {
    ends: AtomicBool,
    answered: AtomicUsize,
    refused: AtomicUsize,
    batches_refused: AtomicUsize,
}

impl Seen {
    fn note(&self, connection: &mut Connection, refused: &AtomicUsize) {
        let answer = connection.answer();
        if answer.status == 200 {
            self.answered.fetch_add(1, Ordering::Relaxed);
            return;
        }
        assert_eq!(answer.status, 503, "{}", answer.text());
        assert_eq!(answer.header("retry-after"), Some("1"));
        assert!(answer.text().contains("\"overloaded\"") && answer.text().contains("waited too long"));
        refused.fetch_add(1, Ordering::Relaxed);
    }
}

/// Keeps a request waiting on each of its connections; the first connection sends batches.
fn press(server: &Server, seen: &Seen) {
    let mut connections: Vec<Connection> = (0..CONNECTIONS).map(|_| server.connect()).collect();
    let single = request("/score", "", lead(1).as_bytes());
    let batch = request("/score/batch", "", format!("{{\"leads\":[{}]}}", lead(1)).as_bytes());
    while !seen.ends.load(Ordering::Relaxed) {
        for (place, connection) in connections.iter_mut().enumerate() {
            connection.send(if place == 0 { &batch } else { &single });
        }
        for (place, connection) in connections.iter_mut().enumerate() {
            let refused = if place == 0 {
                &seen.batches_refused
            } else {
                &seen.refused
            };
            seen.note(connection, refused);
        }
    }
}

/// Presses until `is_enough`, while health and metrics are asked for.
fn press_until(server: &Server, is_enough: impl Fn(&Seen) -> bool) -> Seen {
    let seen = Seen::default();
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| press(server, &seen));
        }
        let mut bystander = server.connect();
        let began = Instant::now();
        while !is_enough(&seen) && began.elapsed() < PATIENCE {
            for path in ["/healthz", "/readyz", "/metrics", "/v1/status"] {
                assert_eq!(bystander.get(path).status, 200, "{path}");
            }
        }
        seen.ends.store(true, Ordering::Relaxed);
    });
    seen
}

/// A batch on each thread is no reason to refuse one.
fn launch(runtime: &str, queue_ms: &str) -> Server {
    let launch = Launch::new(runtime).no_sink().set("LIMITS__BATCHES_MAX", "100");
    launch.set("LIMITS__QUEUE_MS", queue_ms).start()
}

fn what_has_waited_too_long_is_refused(runtime: &str) {
    let server = launch(runtime, "1");
    let seen = press_until(&server, |seen| {
        seen.refused.load(Ordering::Relaxed) > 0 && seen.batches_refused.load(Ordering::Relaxed) > 0
    });
    let count = |count: &AtomicUsize| count.load(Ordering::Relaxed);
    assert!(count(&seen.refused) > 0 && count(&seen.batches_refused) > 0);
    assert!(count(&seen.answered) > 0, "some are answered at any load");
    // Nothing of it stays.
    let mut later = server.connect();
    let began = Instant::now();
    while later.post("/score", &lead(2)).status != 200 {
        assert!(began.elapsed() < PATIENCE);
    }
    let text = loop {
        let text = later.get("/metrics").text();
        let of = |what: &str| !text.contains(&format!("quintile_late_total{{what=\"{what}\"}} 0"));
        if of("score") && of("batch") {
            break text;
        }
        assert!(began.elapsed() < PATIENCE, "{text}");
    };
    assert!(text.contains("quintile_late_total{what=\"score\"}"));
}

fn nothing_is_refused_that_waits_less(runtime: &str) {
    let server = launch(runtime, "60000");
    let seen = press_until(&server, |seen| seen.answered.load(Ordering::Relaxed) > 5_000);
    let refused = seen.refused.load(Ordering::Relaxed) + seen.batches_refused.load(Ordering::Relaxed);
    assert_eq!(refused, 0);
}
