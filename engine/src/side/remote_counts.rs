//! Numbers of remote scoring, written by its task on side and read for the metrics.

use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};

use crate::remote::{Circuit, RemoteError};

/// Results by name, as the metrics have them.
pub(super) const RESULTS: [&str; 5] = ["answered", "open", "late", "busy", "failed"];

/// Circuits by name.
pub(super) const CIRCUITS: [&str; 3] = ["closed", "open", "half_open"];

/// Counts and gauges of calls to SageMaker.
#[derive(Debug, Default)]
pub(super) struct RemoteCounts {
    calls: AtomicU64,
    throttled: AtomicU64,
    results: [AtomicU64; RESULTS.len()],
    under_way: AtomicUsize,
    circuit: AtomicU8,
}

impl RemoteCounts {
    pub(super) fn calls(&self, calls: u64, throttled: u64) {
        self.calls.fetch_add(calls, Ordering::Relaxed);
        self.throttled.fetch_add(throttled, Ordering::Relaxed);
    }

    pub(super) fn result(&self, result: &Result<Box<[f64]>, RemoteError>) {
        let place = match result {
            Ok(_) => 0,
            Err(RemoteError::Open) => 1,
            Err(RemoteError::Late) => 2,
            Err(RemoteError::Busy) => 3,
            Err(RemoteError::Failed(_)) => 4,
        };
        self.results[place].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn under_way(&self, questions: usize) {
        self.under_way.store(questions, Ordering::Relaxed);
    }

    pub(super) fn circuit(&self, circuit: Circuit) {
        self.circuit.store(circuit as u8, Ordering::Relaxed);
    }

    /// Calls made, and those of them that were throttled.
    pub(super) fn made(&self) -> (u64, u64) {
        (
            self.calls.load(Ordering::Relaxed),
            self.throttled.load(Ordering::Relaxed),
        )
    }

    /// Requests by result, in the order of [`RESULTS`].
    pub(super) fn by_result(&self) -> [u64; RESULTS.len()] {
        self.results.each_ref().map(|count| count.load(Ordering::Relaxed))
    }

    pub(super) fn open_questions(&self) -> usize {
        self.under_way.load(Ordering::Relaxed)
    }

    /// The circuit's place in [`CIRCUITS`].
    pub(super) fn current(&self) -> usize {
        usize::from(self.circuit.load(Ordering::Relaxed))
    }
}
