//! What the keeper, the cursors and the metrics share. Behind a lock that no shard takes.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::schemas::Schemas;
use super::segment::Segment;

/// See the head of this file.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) folder: PathBuf,
    /// The sinks, in the order of their cursors.
    pub(super) sinks: Vec<&'static str>,
    pub(super) schemas: Schemas,
    pub(super) segment_bytes: usize,
    pub(super) bytes_max: usize,
    /// Writers that have not ended.
    pub(super) writers: AtomicUsize,
    /// No writer appends any more.
    pub(super) has_ended: AtomicBool,
    /// Rises when a segment was added, so that cursors know when to look.
    pub(super) version: AtomicU64,
    pub(super) state: Mutex<State>,
    /// The keeper is to end.
    pub(super) is_closing: AtomicBool,
    /// Attempts at the disk that failed.
    pub(super) errors: AtomicU64,
    /// Segments made ready that no shard has taken yet.
    pub(super) ready: AtomicUsize,
}

#[derive(Debug, Default)]
pub(super) struct State {
    /// Every segment that some sink has not finished, by serial.
    pub(super) live: BTreeMap<u64, Live>,
    /// Segments that every sink has finished.
    pub(super) finished: Vec<Arc<Segment>>,
    pub(super) serial: u64,
    /// Bytes of all files.
    pub(super) bytes: usize,
    /// Records of segments that are gone, apart from those that were found at the start.
    retired: u64,
}

#[derive(Debug)]
pub(super) struct Live {
    pub(super) segment: Arc<Segment>,
    /// A bit for each sink that has finished it.
    finished: u64,
    /// Given to be synced, or not in need of it.
    pub(super) is_synced: bool,
}

impl Live {
    pub(super) fn new(segment: Arc<Segment>) -> Self {
        let is_synced = segment.old().is_some();
        Self {
            segment,
            finished: 0,
            is_synced,
        }
    }
}

impl Shared {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        // Nothing is left half done by a panic: each critical section changes one thing.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a segment visible to every cursor.
    pub(super) fn publish(&self, segment: &Arc<Segment>) {
        self.state().live.insert(segment.serial, Live::new(Arc::clone(segment)));
        self.version.fetch_add(1, Ordering::Release);
    }

    /// Segments whose serial is above one.
    pub(super) fn segments_after(&self, serial: Option<u64>) -> Vec<Arc<Segment>> {
        let state = self.state();
        let from = serial.map_or(0, |serial| serial + 1);
        state
            .live
            .range(from..)
            .map(|(_, live)| Arc::clone(&live.segment))
            .collect()
    }

    /// A sink has everything of a segment.
    pub(super) fn finish(&self, serial: u64, sink: usize) {
        let mut state = self.state();
        let Some(live) = state.live.get_mut(&serial) else {
            return;
        };
        live.finished |= 1 << sink;
        if live.finished.count_ones() as usize >= self.sinks.len() {
            state.retire(serial);
        }
    }

    /// Records appended since the start.
    pub(super) fn appended(&self) -> u64 {
        let state = self.state();
        let new = state.live.values().filter(|live| live.segment.old().is_none());
        state.retired + new.map(|live| live.segment.appended()).sum::<u64>()
    }
}

impl State {
    fn retire(&mut self, serial: u64) {
        if let Some(live) = self.live.remove(&serial) {
            if live.segment.old().is_none() {
                self.retired += live.segment.appended();
            }
            self.finished.push(live.segment);
        }
    }
}
