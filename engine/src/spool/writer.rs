//! A shard's end of the spool. Nothing here allocates, locks, waits or enters the kernel.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::protocol;
use super::segment::{BODY, Segment};
use super::shared::Shared;

/// There was no room for a record; nothing of it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the spool is full")]
pub struct Full;

/// Where a shard puts records.
#[derive(Debug)]
pub struct Writer {
    spool: Option<Ends>,
}

#[derive(Debug)]
struct Ends {
    shared: Arc<Shared>,
    ready: rtrb::Consumer<Arc<Segment>>,
    segment: Option<Arc<Segment>>,
    /// Where the next frame begins.
    at: usize,
}

impl Writer {
    /// A writer whose records go nowhere.
    #[must_use]
    pub fn nowhere() -> Self {
        Self { spool: None }
    }

    pub(super) fn new(shared: Arc<Shared>, ready: rtrb::Consumer<Arc<Segment>>) -> Self {
        shared.writers.fetch_add(1, Ordering::Relaxed);
        Self {
            spool: Some(Ends {
                shared,
                ready,
                segment: None,
                at: BODY,
            }),
        }
    }

    /// Whether records are kept at all.
    #[must_use]
    pub fn keeps(&self) -> bool {
        self.spool.is_some()
    }

    /// Whether a segment is ready behind the one that is being written.
    #[must_use]
    pub fn has_room_ahead(&self) -> bool {
        self.spool.as_ref().is_none_or(|ends| !ends.ready.is_empty())
    }

    /// Writes a whole frame, or nothing. When this returns, the frame survives the death of the process.
    ///
    /// # Errors
    /// When the segment is full and no other is ready: the bytes are used up, or the disk is too slow or has failed.
    #[inline]
    pub fn append(&mut self, frame: &[u8]) -> Result<(), Full> {
        let Some(ends) = &mut self.spool else {
            return Ok(());
        };
        if ends
            .segment
            .as_ref()
            .is_none_or(|segment| !segment.has_room(ends.at, frame.len()))
        {
            ends.change(frame.len())?;
        }
        let segment = ends.segment.as_ref().ok_or(Full)?;
        protocol::append(&segment.map, ends.at, frame, segment.tag());
        segment.count_one();
        ends.at += frame.len();
        Ok(())
    }
}

impl Ends {
    #[cold]
    fn change(&mut self, frame_bytes: usize) -> Result<(), Full> {
        // A frame that fits into no segment would use them all up.
        let fits = self.ready.peek().is_ok_and(|next| next.has_room(BODY, frame_bytes));
        let next = if fits { self.ready.pop() } else { return Err(Full) };
        let next = next.map_err(|_| Full)?;
        self.seal();
        self.segment = Some(next);
        self.at = BODY;
        Ok(())
    }

    fn seal(&mut self) {
        if let Some(segment) = self.segment.take() {
            protocol::seal(&segment.map, self.at);
            segment.set_sealed();
            // Not the last reference: the keeper has one until it finds that nobody else has.
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Some(ends) = &mut self.spool {
            ends.seal();
            ends.shared.writers.fetch_sub(1, Ordering::Release);
        }
    }
}
