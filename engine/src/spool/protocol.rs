//! How one writer and any number of readers share a segment without a lock.
//!
//! ```text
//!   word        word                    word
//!  ┌──────┬────┬──────┬────────────────┬──────┬───────────────
//!  │ 96   │ …  │ 152  │ …              │ 0    │ 0 0 0 0 …          the segment was zero to its end when it was published
//!  └──────┴────┴──────┴────────────────┴──────┴───────────────
//!   frame       frame                   next: its bytes first, its length with Release last
//! ```
//! A frame's first word is its length. The writer fills in everything else and stores the word last, with Release; a
//! reader that loads it with Acquire and finds it set sees the whole frame, which never changes again. [`SEALED`] in
//! its place means that the segment has ended. A process that dies at any instant leaves a set word and a complete
//! frame, or a zero word, because the page cache has every store that was made.
//!
//! Generic over the memory, so that a model checker can run the same code over memory of its own.

use std::sync::atomic::{AtomicU32, Ordering};

/// In the place of a length: nothing follows in this segment. No frame is this long.
pub(super) const SEALED: u32 = u32::MAX;

/// Bytes that stay free at the end of a segment, for [`SEALED`].
pub(super) const SEAL_BYTES: usize = 8;

/// A word that is stored and loaded as a whole.
pub(super) trait Word {
    fn load(&self, order: Ordering) -> u32;
    fn store(&self, value: u32, order: Ordering);
}

impl Word for AtomicU32 {
    #[inline]
    fn load(&self, order: Ordering) -> u32 {
        AtomicU32::load(self, order)
    }

    #[inline]
    fn store(&self, value: u32, order: Ordering) {
        AtomicU32::store(self, value, order);
    }
}

/// What a segment lies in.
pub(super) trait Memory {
    type Word: Word;

    /// The word at a byte.
    fn word(&self, at: usize) -> &Self::Word;

    /// Writes bytes.
    ///
    /// # Safety
    /// No other thread reads or writes there in the meantime.
    #[expect(
        unsafe_code,
        reason = "the writer owns what it has not published, which only it knows"
    )]
    unsafe fn fill(&self, at: usize, bytes: &[u8]);
}

/// What lies at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FrameLook {
    /// Nothing yet.
    Nothing,
    /// A frame of this many bytes, complete if its checksum is right.
    Frame(usize),
    /// Nothing, ever.
    Sealed,
}

/// Appends a frame at `at`, where only this writer may write and all is zero. `tag` is mixed into its checksum, so that
/// bytes of another generation of the segment are none of this one's.
#[inline]
pub(super) fn append<M: Memory>(memory: &M, at: usize, frame: &[u8], tag: u32) {
    let &[length, checksum] = frame.as_chunks::<4>().0.first_chunk().expect("a frame has a head");
    let checksum = u32::from_le_bytes(checksum) ^ tag;
    #[expect(unsafe_code, reason = "see the trait")]
    // SAFETY: readers look at what is behind a word only after it was set, and that of this frame is set below. There
    // is one writer, for appending takes its `&mut`.
    unsafe {
        memory.fill(at + 4, &checksum.to_le_bytes());
        memory.fill(at + 8, &frame[8..]);
    }
    // The order of memory is that of the file: little-endian machines only, as `frame` asserts.
    memory.word(at).store(u32::from_le_bytes(length), Ordering::Release);
}

/// Says that nothing follows.
pub(super) fn seal<M: Memory>(memory: &M, at: usize) {
    memory.word(at).store(SEALED, Ordering::Release);
}

/// Looks at a place. What a frame holds may be read after this has found it.
#[inline]
pub(super) fn look<M: Memory>(memory: &M, at: usize) -> FrameLook {
    match memory.word(at).load(Ordering::Acquire) {
        0 => FrameLook::Nothing,
        SEALED => FrameLook::Sealed,
        length => FrameLook::Frame(length as usize),
    }
}

#[cfg(test)]
#[path = "protocol_tests.rs"]
mod tests;
