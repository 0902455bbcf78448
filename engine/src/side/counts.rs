//! Numbers that side's two threads and `finish` share, and the moment at which both must have ended.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// What became of the records. Each number only grows and has one writer; they are read for metrics and at the end.
#[derive(Debug)]
pub(super) struct Counts {
    /// Taken from the queues, by the pump.
    taken: AtomicU64,
    delivered: AtomicU64,
    damaged: AtomicU64,
    write_errors: AtomicU64,
    files: AtomicU64,
    /// Bytes that wait in each shard's queue, as the pump last saw them.
    queued_bytes: Box<[AtomicUsize]>,
}

impl Counts {
    pub(super) fn new(shards: usize) -> Self {
        Self {
            taken: AtomicU64::new(0),
            delivered: AtomicU64::new(0),
            damaged: AtomicU64::new(0),
            write_errors: AtomicU64::new(0),
            files: AtomicU64::new(0),
            queued_bytes: (0..shards).map(|_| AtomicUsize::new(0)).collect(),
        }
    }

    pub(super) fn took(&self, records: usize) {
        self.taken.fetch_add(records as u64, Ordering::Relaxed);
    }

    pub(super) fn waits(&self, shard: usize, bytes: usize) {
        self.queued_bytes[shard].store(bytes, Ordering::Relaxed);
    }

    pub(super) fn deliveries(&self, records: u64, files: u64) {
        self.delivered.store(records, Ordering::Relaxed);
        self.files.store(files, Ordering::Relaxed);
    }

    pub(super) fn lost_one(&self) {
        self.damaged.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn failed_once(&self) {
        self.write_errors.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn delivered(&self) -> u64 {
        self.delivered.load(Ordering::Relaxed)
    }

    pub(super) fn damaged(&self) -> u64 {
        self.damaged.load(Ordering::Relaxed)
    }

    pub(super) fn write_errors(&self) -> u64 {
        self.write_errors.load(Ordering::Relaxed)
    }

    pub(super) fn files(&self) -> u64 {
        self.files.load(Ordering::Relaxed)
    }

    pub(super) fn queued_bytes(&self, shard: usize) -> usize {
        self.queued_bytes[shard].load(Ordering::Relaxed)
    }

    /// Taken and not delivered, for whatever reason.
    pub(super) fn left(&self) -> u64 {
        self.taken.load(Ordering::Relaxed).saturating_sub(self.delivered())
    }

    /// Taken and still to be delivered.
    pub(super) fn pending(&self) -> u64 {
        self.left().saturating_sub(self.damaged())
    }
}

/// Tells both threads that the end has come, and by when.
#[derive(Debug, Clone, Default)]
pub(super) struct Stop(Arc<OnceLock<Instant>>);

impl Stop {
    pub(super) fn at(&self, deadline: Instant) {
        // The first deadline stands.
        let _ = self.0.set(deadline);
    }

    pub(super) fn is_set(&self) -> bool {
        self.0.get().is_some()
    }

    pub(super) fn has_passed(&self) -> bool {
        self.0.get().is_some_and(|&deadline| Instant::now() >= deadline)
    }
}

/// Ends the threads of a side that nobody finishes, as when the start of something else fails.
#[derive(Debug)]
pub(super) struct StopOnDrop(pub(super) Stop);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.at(Instant::now() + Duration::from_secs(5));
    }
}
