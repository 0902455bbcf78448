//! Numbers of a spool, for metrics.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::shared::Shared;

/// Looks at a spool from outside, for metrics and counts.
#[derive(Debug, Clone)]
pub struct Gauges(pub(super) Arc<Shared>);

impl Gauges {
    /// Records appended since the start.
    #[must_use]
    pub fn appended(&self) -> u64 {
        self.0.appended()
    }

    /// Bytes of all files.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.state().bytes
    }

    /// Bytes that all files may have.
    #[must_use]
    pub fn bytes_max(&self) -> usize {
        self.0.bytes_max
    }

    /// Segments that hold something for a sink, or are about to.
    #[must_use]
    pub fn segments(&self) -> usize {
        self.0.state().live.len()
    }

    /// Segments that wait for a shard to need them.
    #[must_use]
    pub fn ready(&self) -> usize {
        self.0.ready.load(Ordering::Relaxed)
    }

    /// Attempts at the disk that failed.
    #[must_use]
    pub fn errors(&self) -> u64 {
        self.0.errors.load(Ordering::Relaxed)
    }

    /// Whether the disk took what was last written, and the folder is there.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        !self.0.is_failing.load(Ordering::Relaxed) && !self.0.is_stalled.load(Ordering::Relaxed)
    }

    /// Whether a keeper process would write what this one leaves in memory.
    #[must_use]
    pub fn has_keeper(&self) -> bool {
        self.0.has_keeper.load(Ordering::Relaxed)
    }

    /// Bytes of memory that records lie in before they are in files.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let plan = self.0.arena.plan();
        plan.slots * plan.slot_bytes
    }
}
