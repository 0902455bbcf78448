//! A shard's end of the spool. No function here allocates, locks, waits or enters the kernel.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::arena::Slot;
use super::layout::BODY;
use super::protocol;
use super::segment::Segment;
use super::shared::Shared;

/// There was no room for a record; nothing of it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the spool is full")]
pub struct SpoolFullError;

/// Where a shard puts records.
#[derive(Debug)]
pub struct Writer {
    spool: Option<Ends>,
}

/// A segment without a writer yet, and the memory of its frames.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) segment: Arc<Segment>,
    pub(super) slot: Arc<Slot>,
}

#[derive(Debug)]
struct Ends {
    shared: Arc<Shared>,
    ready: rtrb::Consumer<Ready>,
    current: Option<Ready>,
    /// Where the next frame begins.
    at: usize,
    /// The last record had no room.
    is_refusing: bool,
}

impl Writer {
    /// A writer whose records go nowhere.
    #[must_use]
    pub fn nowhere() -> Self {
        Self { spool: None }
    }

    pub(super) fn new(shared: Arc<Shared>, ready: rtrb::Consumer<Ready>) -> Self {
        shared.writers.fetch_add(1, Ordering::Relaxed);
        Self {
            spool: Some(Ends {
                shared,
                ready,
                current: None,
                at: BODY,
                is_refusing: false,
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

    /// Whether the last record had no room, and nothing has become ready since.
    #[must_use]
    pub fn is_full(&self) -> bool {
        let is_full = |ends: &Ends| ends.is_refusing && ends.ready.is_empty();
        self.spool.as_ref().is_some_and(is_full)
    }

    /// Writes a whole frame, or nothing. When this returns, the frame survives the death of the process, in memory that
    /// the keeper process has too.
    ///
    /// # Errors
    /// When the segment is full and no other is ready: the bytes are used up, or the disk is too slow or has failed.
    #[inline]
    pub fn append(&mut self, frame: &[u8]) -> Result<(), SpoolFullError> {
        let Some(ends) = &mut self.spool else {
            return Ok(());
        };
        if ends
            .current
            .as_ref()
            .is_none_or(|current| !current.segment.layout.has_room(ends.at, frame.len()))
        {
            ends.change(frame.len())?;
        }
        let Ready { segment, slot } = ends.current.as_ref().ok_or(SpoolFullError)?;
        protocol::append(&slot.piece, ends.at, frame, segment.layout.frame_tag(ends.at));
        segment.count_one();
        ends.at += frame.len();
        Ok(())
    }
}

impl Ends {
    #[cold]
    fn change(&mut self, frame_bytes: usize) -> Result<(), SpoolFullError> {
        self.is_refusing = true;
        // A frame that fits into no segment would use them all up.
        let fits = |next: &Ready| next.segment.layout.has_room(BODY, frame_bytes);
        let fits = self.ready.peek().is_ok_and(fits);
        let next = if fits {
            self.ready.pop()
        } else {
            return Err(SpoolFullError);
        };
        let next = next.map_err(|_| SpoolFullError)?;
        self.seal();
        self.current = Some(next);
        self.at = BODY;
        self.is_refusing = false;
        Ok(())
    }

    fn seal(&mut self) {
        if let Some(Ready { segment, slot }) = self.current.take() {
            protocol::seal(&slot.piece, self.at);
            // Neither is the last reference: the spool's thread gives back the memory when it finds that no other
            // thread has it, and keeps the segment until every sink has it.
            drop(slot);
            segment.set_sealed();
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
