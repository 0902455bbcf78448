//! The state that the spool's threads, the cursors and the metrics share. Its locks are never taken by a shard, and
//! never held while waiting for a disk.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::arena::Arena;
use super::folder::Folder;
use super::schemas::Schemas;
use super::segment::Segment;
use super::standing::Thread;

/// What the spool's threads and cursors share.
#[derive(Debug)]
pub(super) struct Shared {
    /// The folder as it is now: another one if it had to be made again.
    folder: Mutex<Arc<Folder>>,
    pub(super) arena: Arc<Arena>,
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
    /// The threads are to end.
    pub(super) is_closing: AtomicBool,
    /// Attempts at the disk that failed.
    pub(super) errors: AtomicU64,
    /// Segments made ready that no shard has taken yet.
    pub(super) ready: AtomicUsize,
    /// The last attempt at the disk failed, or the folder is not there.
    pub(super) is_failing: AtomicBool,
    /// The folder is not what its path leads to, and could not be made anew yet.
    pub(super) is_lost: AtomicBool,
    /// The disk has not answered for some time.
    pub(super) is_stalled: AtomicBool,
    /// Rises with every step of the thread that writes, and is odd while it waits for the disk.
    pub(super) steps: AtomicU64,
    /// That thread.
    pub(super) disk_thread: Thread,
    /// A keeper process is there.
    pub(super) has_keeper: AtomicBool,
}

#[derive(Debug, Default)]
pub(super) struct State {
    /// Every segment that some sink has not finished, by its order.
    pub(super) live: BTreeMap<u64, Live>,
    /// Segments that every sink has finished, whose files are to be removed.
    pub(super) finished: Vec<Arc<Segment>>,
    /// The order of the last segment; no serial is above it.
    pub(super) order: u64,
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
}

impl Shared {
    pub(super) fn new(
        folder: Folder,
        arena: Arc<Arena>,
        schemas: Schemas,
        options: &super::Options,
        segment_bytes: usize,
    ) -> Self {
        Self {
            folder: Mutex::new(Arc::new(folder)),
            arena,
            sinks: options.sinks.clone(),
            schemas,
            segment_bytes,
            bytes_max: options.bytes_max,
            writers: AtomicUsize::default(),
            has_ended: AtomicBool::default(),
            version: AtomicU64::default(),
            state: Mutex::default(),
            is_closing: AtomicBool::default(),
            errors: AtomicU64::default(),
            ready: AtomicUsize::default(),
            is_failing: AtomicBool::default(),
            is_lost: AtomicBool::default(),
            is_stalled: AtomicBool::default(),
            steps: AtomicU64::default(),
            disk_thread: Thread::default(),
            has_keeper: AtomicBool::default(),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        // Nothing is left half done by a panic: each critical section changes one thing.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn folder(&self) -> Arc<Folder> {
        Arc::clone(&self.folder.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn set_folder(&self, folder: &Arc<Folder>) {
        *self.folder.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(folder);
    }

    /// The order of a segment that is made now, and its serial.
    pub(super) fn next_order(&self) -> u64 {
        let mut state = self.state();
        state.order += 1;
        state.order
    }

    /// Makes a segment visible to every cursor.
    pub(super) fn publish(&self, segment: &Arc<Segment>) {
        let live = Live {
            segment: Arc::clone(segment),
            finished: 0,
        };
        self.state().live.insert(segment.order, live);
        self.version.fetch_add(1, Ordering::Release);
    }

    /// Segments whose order is above one.
    pub(super) fn segments_after(&self, order: Option<u64>) -> Vec<Arc<Segment>> {
        let state = self.state();
        let from = order.map_or(0, |order| order + 1);
        state
            .live
            .range(from..)
            .map(|(_, live)| Arc::clone(&live.segment))
            .collect()
    }

    /// A sink has everything of a segment.
    pub(super) fn finish(&self, order: u64, sink: usize) {
        let mut state = self.state();
        let Some(live) = state.live.get_mut(&order) else {
            return;
        };
        live.finished |= 1 << sink;
        if live.finished.count_ones() as usize >= self.sinks.len() {
            state.retire(order);
        }
    }

    /// Records appended since the start.
    pub(super) fn appended(&self) -> u64 {
        let state = self.state();
        let new = state.live.values().filter(|live| live.segment.old().is_none());
        state.retired + new.map(|live| live.segment.appended()).sum::<u64>()
    }

    /// An attempt at the disk failed.
    pub(super) fn count_error(&self) {
        self.errors.fetch_add(1, Ordering::Relaxed);
    }
}

impl State {
    fn retire(&mut self, order: u64) {
        if let Some(live) = self.live.remove(&order) {
            if live.segment.old().is_none() {
                self.retired += live.segment.appended();
            }
            live.segment.set_finished();
            self.finished.push(live.segment);
        }
    }
}
