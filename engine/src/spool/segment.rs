//! One file of the spool.
//!
//! ```text
//!    0 magic u64     zero while the file is not in use: written last, taken away first
//!    8 version u32   12 crc32 u32 of the bytes from 16 to 64
//!   16 serial u64    which generation of which file this is: rises with every use
//!   24 bytes u64     of the file
//!   32 tag u32       mixed into the checksum of every frame      36 shard u32
//!   40 made i64      microseconds since 1970                     48 marked u64: slots that have marks   56 zeros
//!   64 32 slots      of 64 bytes: a sink's name (48), how far it has acknowledged u64 ([`ALL`]: everything), zeros
//! 4096 frames
//!  end marks         of the first `marked` slots: a bit for every 64 bytes of the file, set where a frame begins that the
//!                    sink has although it has not acknowledged all before it
//! ```
//! A sink's checkpoint lies in the segment itself: a store to memory that outlives the process, and no other file that
//! could disagree. Slots and marks are written by one thread each, after the segment was published. Version 1 has no
//! marks, and is read as one with none.

use std::fs::File;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::map::Map;
use super::protocol::{Look, SEAL_BYTES, look};
use crate::record::{FRAME_BYTES_MIN, check, may_begin};

const MAGIC: u64 = u64::from_le_bytes(*b"QNTSPOOL");
const VERSION: u32 = 2;
const VERSION_MIN: u32 = 1;
const CRC: Range<usize> = 16..64;
const SLOTS: usize = 64;
const SLOT_BYTES: usize = 64;
const NAME_BYTES: usize = 48;

/// Sinks that a segment has checkpoints of.
pub(super) const SLOTS_MAX: usize = 32;

/// Where frames begin: a page, so that checkpoints and frames dirty different ones.
pub(super) const BODY: usize = 4096;

/// Bytes of the file for which there is one bit among the marks. No frame is shorter, so each has a bit of its own.
const MARK_UNIT: usize = 64;

const _: () = assert!(MARK_UNIT <= FRAME_BYTES_MIN, "two frames never share a bit");

/// In the place of an offset: everything was acknowledged.
pub(super) const ALL: u64 = u64::MAX;

const _: () = assert!(SLOTS + SLOTS_MAX * SLOT_BYTES <= BODY, "slots lie in the header");

/// Why a file is no segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum HeaderError {
    #[error("it is shorter than a segment's head")]
    Short,
    #[error("its head is damaged")]
    Damaged,
    #[error("it is of version {0}, which is not known")]
    Version(u32),
}

/// A file of the spool, mapped.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) map: Map,
    pub(super) file: File,
    pub(super) path: PathBuf,
    pub(super) serial: u64,
    tag: u32,
    shard: u16,
    /// Slots that have marks.
    marked: usize,
    /// Records in it. One writer.
    appended: AtomicU64,
    /// Its writer will append no more.
    sealed: AtomicBool,
    /// Of a process that has ended: where whole frames lie behind each other.
    old: Option<Vec<Range<usize>>>,
}

/// What a segment is made for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Use<'a> {
    pub(super) serial: u64,
    pub(super) tag: u32,
    pub(super) shard: u16,
    pub(super) now_us: i64,
    pub(super) sinks: &'a [&'static str],
}

/// What a walk through a segment has met.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Walk {
    /// Whole frames that lie behind each other.
    pub(super) extents: Vec<Range<usize>>,
    pub(super) frames: u64,
    /// Bytes between and behind them that hold something else.
    pub(super) damaged_bytes: usize,
    /// Whether the last record was being written when the process died.
    pub(super) is_torn: bool,
}

impl Walk {
    fn extend(&mut self, more: Range<usize>) {
        match self.extents.last_mut() {
            Some(last) if last.end == more.start => last.end = more.end,
            _ => self.extents.push(more),
        }
    }
}

impl Segment {
    /// Makes a file that nobody uses one of a new generation, for one shard. The caller must be its only owner.
    pub(super) fn prepare(map: Map, file: File, path: PathBuf, wanted: &Use<'_>) -> Self {
        map.long(0).store(0, Ordering::Release);
        #[expect(unsafe_code, reason = "see `Map::zero`")]
        // SAFETY: the map is owned here, and a file without magic is nobody's in another process either.
        unsafe {
            map.zero(8);
        }
        map.long(16).store(wanted.serial, Ordering::Relaxed);
        map.long(24).store(map.len() as u64, Ordering::Relaxed);
        let both = u64::from(wanted.tag) | u64::from(wanted.shard) << 32;
        map.long(32).store(both, Ordering::Relaxed);
        map.long(40).store(wanted.now_us.cast_unsigned(), Ordering::Relaxed);
        let marked = wanted.sinks.len();
        map.long(48).store(marked as u64, Ordering::Relaxed);
        for (slot, sink) in wanted.sinks.iter().enumerate() {
            name_slot(&map, slot, sink);
        }
        let crc = crc32fast::hash(&header(&map)[CRC]);
        map.long(8)
            .store(u64::from(VERSION) | u64::from(crc) << 32, Ordering::Relaxed);
        map.long(0).store(MAGIC, Ordering::Release);
        Self {
            map,
            file,
            path,
            serial: wanted.serial,
            tag: wanted.tag,
            shard: wanted.shard,
            marked,
            appended: AtomicU64::new(0),
            sealed: AtomicBool::new(false),
            old: None,
        }
    }

    /// Reads a file that another process has left; none when it was not in use.
    pub(super) fn read(map: Map, file: File, path: PathBuf) -> Result<Option<(Self, Walk)>, HeaderError> {
        if map.len() <= BODY {
            return Err(HeaderError::Short);
        }
        match map.long(0).load(Ordering::Acquire) {
            0 => return Ok(None),
            MAGIC => {}
            _ => return Err(HeaderError::Damaged),
        }
        let head = header(&map);
        let word = |at: usize| u64::from_le_bytes(*head[at..].first_chunk().expect("inside of the head"));
        #[expect(clippy::cast_possible_truncation, reason = "halves of a word")]
        let halves = |at: usize| (word(at) as u32, (word(at) >> 32) as u32);
        let (version, crc) = halves(8);
        if !(VERSION_MIN..=VERSION).contains(&version) {
            return Err(HeaderError::Version(version));
        }
        if crc != crc32fast::hash(&head[CRC]) || word(24) != map.len() as u64 {
            return Err(HeaderError::Damaged);
        }
        let marked = usize::try_from(word(48)).unwrap_or(usize::MAX);
        if marked > SLOTS_MAX {
            return Err(HeaderError::Damaged);
        }
        let (tag, shard) = halves(32);
        let mut segment = Self {
            serial: word(16),
            tag,
            shard: u16::try_from(shard).map_err(|_| HeaderError::Damaged)?,
            marked,
            map,
            file,
            path,
            appended: AtomicU64::new(0),
            sealed: AtomicBool::new(true),
            old: None,
        };
        let walk = segment.walk();
        segment.appended = AtomicU64::new(walk.frames);
        segment.old = Some(walk.extents.clone());
        Ok(Some((segment, walk)))
    }

    pub(super) fn has_room(&self, at: usize, frame_bytes: usize) -> bool {
        frame_bytes <= self.end().saturating_sub(at)
    }

    /// Where frames end at the latest.
    fn end(&self) -> usize {
        self.map.len() - self.marked * mark_bytes(self.map.len()) - SEAL_BYTES
    }

    pub(super) fn tag(&self) -> u32 {
        self.tag
    }

    pub(super) fn shard(&self) -> u16 {
        self.shard
    }

    pub(super) fn old(&self) -> Option<&[Range<usize>]> {
        self.old.as_deref()
    }

    /// For the one writer.
    #[inline]
    pub(super) fn count_one(&self) {
        let before = self.appended.load(Ordering::Relaxed);
        self.appended.store(before + 1, Ordering::Relaxed);
    }

    pub(super) fn appended(&self) -> u64 {
        self.appended.load(Ordering::Relaxed)
    }

    pub(super) fn set_sealed(&self) {
        self.sealed.store(true, Ordering::Release);
    }

    pub(super) fn is_sealed(&self) -> bool {
        self.sealed.load(Ordering::Acquire)
    }

    /// The whole frame that begins at a place, or why there is none.
    pub(super) fn frame(&self, at: usize) -> Result<&[u8], Look> {
        let found = look(&self.map, at);
        let Look::Frame(length) = found else {
            return Err(found);
        };
        if !length.is_multiple_of(8) || !self.has_room(at, length) {
            return Err(found);
        }
        let bytes = self.committed(at, length);
        match check(bytes, self.tag) {
            Ok(_) => Ok(bytes),
            Err(_) => Err(found),
        }
    }

    /// Copies the whole frame that begins at a place over `out`, and says whether there was one. Also where another process
    /// may use the segment again meanwhile: the copy is what is checked.
    pub(super) fn copy_frame(&self, at: usize, out: &mut Vec<u8>) -> bool {
        out.clear();
        match look(&self.map, at) {
            Look::Frame(length) if length.is_multiple_of(8) && self.has_room(at, length) => {
                out.extend_from_slice(self.committed(at, length));
                check(out, self.tag).is_ok_and(|checked| checked == length)
            }
            _ => false,
        }
    }

    /// Whether the file is still what was read: its process may have used it again.
    pub(super) fn is_in_use(&self) -> bool {
        self.map.long(0).load(Ordering::Acquire) == MAGIC && self.map.long(16).load(Ordering::Acquire) == self.serial
    }

    /// Bytes behind a word that was found set. Whoever wrote them has finished.
    pub(super) fn committed(&self, at: usize, len: usize) -> &[u8] {
        #[expect(unsafe_code, reason = "see `Map::bytes`")]
        // SAFETY: a word that is set is stored after all that belongs to it, and nobody writes there again before the
        // segment has one owner (`Segment::prepare` takes the map by value).
        unsafe {
            self.map.bytes(at, len)
        }
    }

    /// The next place from `at` on at which a whole frame begins. Everything may lie between.
    pub(super) fn next_frame(&self, at: usize) -> Option<usize> {
        let end = self.end();
        let begins = |place: usize| may_begin(self.committed(place, end - place)) && self.frame(place).is_ok();
        (at.next_multiple_of(8)..end.saturating_sub(8))
            .step_by(8)
            .find(|&place| begins(place))
    }

    /// Whether anything but zeros lies in a range. Only where nobody writes.
    fn holds_anything(&self, range: Range<usize>) -> bool {
        self.committed(range.start, range.len()).iter().any(|&byte| byte != 0)
    }

    /// Everything that can be read of a segment whose writer is gone, or in another process.
    pub(super) fn walk(&self) -> Walk {
        let mut walk = Walk::default();
        let end = self.end();
        let mut at = BODY;
        loop {
            let start = at;
            let stopped = loop {
                match self.frame(at) {
                    Ok(frame) => (at, walk.frames) = (at + frame.len(), walk.frames + 1),
                    Err(look) => break look,
                }
            };
            if at > start {
                walk.extend(start..at);
            }
            if stopped == Look::Sealed || at >= end {
                return walk;
            }
            let next = self.next_frame(at + 8);
            if stopped == Look::Nothing && look(&self.map, at) != Look::Nothing {
                // Its writer lives, and went on meanwhile.
                continue;
            }
            let gap = at..next.unwrap_or(end);
            if self.holds_anything(gap.clone()) {
                if next.is_none() && stopped == Look::Nothing {
                    // Its length is stored last, and was not.
                    walk.is_torn = true;
                } else {
                    walk.damaged_bytes += gap.len();
                }
            } else if next.is_some() {
                walk.damaged_bytes += gap.len();
            }
            match next {
                Some(next) => at = next,
                None => return walk,
            }
        }
    }

    /// The slot of a sink's checkpoint, made if there is none. None when all slots are other sinks'.
    pub(super) fn slot(&self, sink: &str) -> Option<usize> {
        let named = (0..SLOTS_MAX).find(|&slot| self.slot_name(slot) == sink);
        named.or_else(|| {
            let free = (0..SLOTS_MAX).find(|&slot| self.slot_name(slot).is_empty())?;
            name_slot(&self.map, free, sink);
            Some(free)
        })
    }

    /// The sinks that this segment has checkpoints of.
    pub(super) fn sinks(&self) -> Vec<(String, u64)> {
        let names = (0..SLOTS_MAX).map(|slot| (self.slot_name(slot), self.acknowledged(slot)));
        names.filter(|(name, _)| !name.is_empty()).collect()
    }

    fn slot_name(&self, slot: usize) -> String {
        let mut bytes = [0; NAME_BYTES];
        let at = SLOTS + slot * SLOT_BYTES;
        for (place, chunk) in bytes.as_chunks_mut::<8>().0.iter_mut().enumerate() {
            *chunk = self.map.long(at + 8 * place).load(Ordering::Acquire).to_le_bytes();
        }
        let name = bytes.split(|&byte| byte == 0).next().unwrap_or_default();
        String::from_utf8_lossy(name).into_owned()
    }

    fn acknowledged_word(&self, slot: usize) -> &AtomicU64 {
        self.map.long(SLOTS + slot * SLOT_BYTES + NAME_BYTES)
    }

    /// The offset below which a sink has everything; [`BODY`] at least.
    pub(super) fn acknowledged(&self, slot: usize) -> u64 {
        self.acknowledged_word(slot).load(Ordering::Acquire).max(BODY as u64)
    }

    pub(super) fn acknowledge(&self, slot: usize, offset: u64) {
        self.acknowledged_word(slot).store(offset, Ordering::Release);
    }

    /// The word and the bit of the frame that begins at a place, if a slot has marks.
    fn mark_of(&self, slot: usize, at: usize) -> Option<(&AtomicU64, u64)> {
        if slot >= self.marked {
            return None;
        }
        let marks = self.map.len() - (self.marked - slot) * mark_bytes(self.map.len());
        let bit = at / MARK_UNIT;
        Some((self.map.long(marks + bit / 64 * 8), 1 << (bit % 64)))
    }

    /// Notes that a sink has the frame that begins at a place. Without marks it comes again after a crash.
    pub(super) fn mark(&self, slot: usize, at: usize) {
        if let Some((word, bit)) = self.mark_of(slot, at) {
            word.fetch_or(bit, Ordering::Release);
        }
    }

    /// Whether a sink has the frame that begins at a place, apart from what it has acknowledged.
    pub(super) fn is_marked(&self, slot: usize, at: usize) -> bool {
        self.mark_of(slot, at)
            .is_some_and(|(word, bit)| word.load(Ordering::Acquire) & bit != 0)
    }

    /// Where a sink goes on in an old segment: at its checkpoint, or at the beginning if that is no place at which a
    /// record begins or ends, for twice is better than never.
    pub(super) fn resume(&self, slot: usize) -> usize {
        let Ok(at) = usize::try_from(self.acknowledged(slot)) else {
            return usize::MAX;
        };
        let mut place = BODY;
        for extent in self.old().unwrap_or_default() {
            place = extent.start;
            while place < extent.end && place < at {
                let Ok(frame) = self.frame(place) else { break };
                place += frame.len();
            }
            if place >= at {
                break;
            }
        }
        if place == at || at == usize::MAX { at } else { BODY }
    }
}

/// Bytes of a slot's marks, in a segment of so many.
pub(super) const fn mark_bytes(segment_bytes: usize) -> usize {
    segment_bytes.div_ceil(MARK_UNIT * 64) * 8
}

fn name_slot(map: &Map, slot: usize, sink: &str) {
    let mut name = [0; NAME_BYTES];
    let len = sink.len().min(NAME_BYTES);
    name[..len].copy_from_slice(&sink.as_bytes()[..len]);
    let at = SLOTS + slot * SLOT_BYTES;
    map.long(at + NAME_BYTES).store(BODY as u64, Ordering::Release);
    for (place, chunk) in name.as_chunks::<8>().0.iter().enumerate() {
        map.long(at + 8 * place)
            .store(u64::from_le_bytes(*chunk), Ordering::Release);
    }
}

fn header(map: &Map) -> [u8; SLOTS] {
    let mut head = [0; SLOTS];
    for (place, chunk) in head.as_chunks_mut::<8>().0.iter_mut().enumerate() {
        *chunk = map.long(8 * place).load(Ordering::Relaxed).to_le_bytes();
    }
    head
}

#[cfg(test)]
#[path = "segment_tests.rs"]
mod tests;
