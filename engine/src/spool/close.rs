//! The end of a spool: the last records go to their files, what is delivered is removed, and the rest is synced, or is
//! left to the keeper process where the disk refuses it.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::segment::Segment;
use super::{Spool, disk};

/// How long the end waits for a disk that does not answer. The time in which a thread waits for a CPU is not counted.
const CLOSE: Duration = Duration::from_secs(5);

/// Between two looks at a thread that is to end.
const LOOK: Duration = Duration::from_millis(1);

/// Looks after which it is found out what the thread waits for.
const LOOKS: u32 = 50;

/// What is left in a spool that was closed: records that a sink has not acknowledged, by sink.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeftoverRecords {
    /// For each sink that has some.
    pub records: HashMap<&'static str, u64>,
    /// Segments that were kept for them.
    pub segments: usize,
    /// The files have not got everything: the keeper process has the rest, if there is one.
    pub is_cut_short: bool,
}

/// Why the files have not got everything.
#[derive(Debug, thiserror::Error)]
enum UnsavedError {
    #[error("its thread waits for the disk, which has not answered for {} s", CLOSE.as_secs())]
    Waits,
    #[error("its folder was removed or replaced, and cannot be made anew")]
    Folder,
    #[error("{path}: {source}")]
    Segment { path: String, source: io::Error },
}

impl Spool {
    /// Ends the threads, removes what is delivered, and syncs what is not. Writers and cursors must have ended. A disk
    /// that does not answer is waited for in bounded time: what it has not got stays with the keeper process.
    pub fn close(mut self) -> LeftoverRecords {
        let ended = self.end_threads();
        let mut remains = LeftoverRecords::default();
        let state = std::mem::take(&mut *self.shared.state());
        let live: Vec<_> = state.live.values().map(|live| &live.segment).collect();
        if let Err(error) = ended {
            remains.segments = live.len();
            remains.is_cut_short = true;
            self.leave(&error);
            return remains;
        }
        for segment in &state.finished {
            note(disk::remove(segment), segment);
        }
        for segment in live {
            // What cannot be counted is kept.
            let left = left(segment, &self.shared.sinks).unwrap_or_else(|error| {
                tracing::error!(path = %segment.path().display(), %error, "cannot count what is left in a segment; it is kept");
                None
            });
            let Some(left) = left else {
                remains.segments += 1;
                continue;
            };
            if left.iter().all(|&(_, records)| records == 0) {
                segment.set_finished();
                note(disk::remove(segment), segment);
                continue;
            }
            remains.segments += 1;
            for (sink, records) in left.into_iter().filter(|(_, records)| *records > 0) {
                *remains.records.entry(sink).or_default() += records;
            }
            let home = segment.home();
            let file = home
                .file
                .map_or_else(|| home.folder.open_to_write(&home.name).map(Into::into), Ok);
            if let Err(error) = file.and_then(|file| file.sync_data()) {
                tracing::error!(path = %segment.path().display(), %error, "cannot sync a segment");
            }
        }
        self.keepers.end();
        self.shared.folder().unlock();
        remains
    }

    /// What cannot be written is the keeper process's, which has the lock for as long as it tries.
    fn leave(&self, error: &UnsavedError) {
        let path = self.shared.folder().path.display().to_string();
        match self.keepers.leave() {
            Some(pid) => {
                tracing::error!(%path, %error, pid, "the spool's disk does not take the last records: they stay with the keeper process, which goes on trying");
            }
            None => {
                tracing::error!(%path, %error, "the spool's disk does not take the last records, and there is no keeper process: they are lost");
            }
        }
    }

    /// Ends the threads; an error says what its files have not got.
    fn end_threads(&mut self) -> Result<(), UnsavedError> {
        self.shared.is_closing.store(true, Ordering::Release);
        let mut left = CLOSE;
        for thread in std::mem::take(&mut self.threads) {
            for look in 1.. {
                if thread.is_finished() {
                    break;
                }
                if left.is_zero() {
                    // It stands in the kernel, for as long as the disk does.
                    return Err(UnsavedError::Waits);
                }
                std::thread::sleep(LOOK);
                if look % LOOKS == 0 && self.shared.disk_thread.stands() {
                    left = left.saturating_sub(LOOK * LOOKS);
                }
            }
            if thread.join().is_err() {
                tracing::error!("a thread of the spool panicked");
            }
        }
        if self.shared.is_lost.load(Ordering::Acquire) {
            return Err(UnsavedError::Folder);
        }
        // What came behind the last look of the thread that writes, if anything did: nobody else writes now.
        for segment in self.shared.segments_after(None) {
            if !segment.is_saved() {
                segment.write().map_err(|source| UnsavedError::Segment {
                    path: segment.path().display().to_string(),
                    source,
                })?;
            }
        }
        Ok(())
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        if self.threads.is_empty() {
            return;
        }
        // Before the lock goes: another process may come at once.
        match self.end_threads() {
            Ok(()) => {
                self.keepers.end();
                self.shared.folder().unlock();
            }
            Err(error) => self.leave(&error),
        }
    }
}

/// How many records of a segment each sink has not acknowledged; none when part of what is left is damaged.
fn left<'s>(segment: &Segment, sinks: &[&'s str]) -> io::Result<Option<Vec<(&'s str, u64)>>> {
    if sinks.iter().all(|sink| segment.has_all(segment.slot(sink))) {
        return Ok(Some(sinks.iter().map(|&sink| (sink, 0)).collect()));
    }
    let Some(places) = segment.places()? else {
        tracing::error!(path = %segment.path().display(), "part of a segment that is left is damaged");
        return Ok(None);
    };
    let of = |&sink: &&'s str| (sink, segment.left(segment.slot(sink), &places));
    Ok(Some(sinks.iter().map(of).collect()))
}

/// What fails here only leaves a file whose records are delivered; a sink's checkpoint says so.
fn note(removed: io::Result<()>, segment: &Segment) {
    if let Err(error) = removed {
        tracing::warn!(path = %segment.path().display(), %error, "cannot remove a segment that is delivered");
    }
}
