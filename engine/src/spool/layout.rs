//! The layout of a file of the spool, and how damage to it is found.
//!
//! ```text
//!    0 head          magic u64                              8 version u32   12 crc32 u32 of the other bytes up to 64
//!                    16 serial u64: rises with every segment  24 bytes u64 of the file
//!                    32 tag u32: mixed into each checksum   36 shard u32
//!                    40 made i64: microseconds since 1970   48 marked u64: slots that have marks   56 zeros
//!   64 32 slots      of 64 bytes: a sink's name (48), how far it has acknowledged u64, zeros
//! 2112 end u64      where frames ended when the page was written: at least so many must be there
//! 4096 frames
//!      marks         of the first `marked` slots: a bit for every 64 bytes of the file, set where a frame begins that the
//!                    sink has although it has not acknowledged all before it
//! -4096 head again   a copy of the first page
//! ```
//! The position of a sink, the end of the frames, and every word of marks have 32 bits and a checksum of 32 bits over
//! them, the segment's tag and the sink's name. A damaged one counts as not acknowledged, so records come again and
//! none is lost.
//!
//! Version 2 had no second head, no such checksums (a word of 64 bits each), and did not mix a frame's place into its
//! checksum; version 1 had no marks either. Files of both versions are read, and are written on in their own version.
//! Nothing here reads or writes a file.

use std::ops::Range;

use super::protocol::SEAL_BYTES;
use crate::record::FRAME_BYTES_MIN;

const MAGIC: u64 = u64::from_le_bytes(*b"QNTSPOOL");
pub(super) const VERSION: u32 = 3;
const CRC: Range<usize> = 12..16;

/// Segments of a spool that there may ever be: so many that serials never run out behind what a file says.
const SERIAL_MAX: u64 = u64::MAX >> 1;

/// Bytes of the head that one checksum covers.
pub(super) const HEAD_BYTES: usize = 64;
const SLOTS: usize = HEAD_BYTES;
const SLOT_BYTES: usize = 64;
pub(super) const NAME_BYTES: usize = 48;

/// Sinks that a segment has checkpoints of.
pub(super) const SLOTS_MAX: usize = 32;

/// Bytes of the first page, and where frames begin.
pub(super) const BODY: usize = 4096;

/// Bytes of the file for which there is one bit among the marks. No frame is shorter, so each has a bit of its own.
const MARK_UNIT: usize = 64;

const _: () = assert!(MARK_UNIT <= FRAME_BYTES_MIN, "two frames never share a bit");
/// Where the first page says where frames end.
pub(super) const END_AT: usize = SLOTS + SLOTS_MAX * SLOT_BYTES;

const _: () = assert!(END_AT + 8 <= BODY, "all of it lies in the first page");

/// In the place of an offset: everything was acknowledged.
pub(super) const ALL: u64 = u64::MAX;

/// A sink's name as it stands in a slot.
pub(super) type Name = [u8; NAME_BYTES];

/// Why a file's head says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum HeadError {
    #[error("it is shorter than a segment's head")]
    Short,
    #[error("its head is damaged")]
    Damaged,
    #[error("it is of version {0}, which is not known")]
    Version(u32),
}

/// What a head says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) version: u32,
    pub(super) serial: u64,
    /// Bytes of the file, as it was made.
    pub(super) bytes: usize,
    pub(super) tag: u32,
    pub(super) shard: u16,
    pub(super) made_us: i64,
    /// Slots that have marks.
    pub(super) marked: usize,
}

impl Layout {
    /// Of a segment that is made now.
    pub(super) fn new(serial: u64, bytes: usize, shard: u16, made_us: i64, marked: usize) -> Self {
        Self {
            version: VERSION,
            serial,
            bytes,
            tag: tag(serial),
            shard,
            made_us,
            marked,
        }
    }

    /// Of a file whose heads are lost, from what its frames say. What it had besides frames is lost too.
    pub(super) fn of_frames(version: u32, tag: u32, bytes: usize, shard: u16) -> Self {
        Self {
            version,
            serial: serial_of(tag),
            bytes,
            tag,
            shard,
            made_us: 0,
            marked: 0,
        }
    }

    pub(super) fn encode(&self) -> [u8; HEAD_BYTES] {
        let mut head = [0; HEAD_BYTES];
        let both = u64::from(self.tag) | u64::from(self.shard) << 32;
        let words = [
            (0, MAGIC),
            (8, u64::from(self.version)),
            (16, self.serial),
            (24, self.bytes as u64),
            (32, both),
            (40, self.made_us.cast_unsigned()),
            (48, self.marked as u64),
        ];
        for (at, word) in words {
            head[at..at + 8].copy_from_slice(&word.to_le_bytes());
        }
        let crc = checksum(self.version, &head);
        head[CRC].copy_from_slice(&crc.to_le_bytes());
        head
    }

    /// Reads a head. Whether its bytes are those of the file at hand, the caller knows.
    pub(super) fn decode(head: &[u8]) -> Result<Self, HeadError> {
        let head: &[u8; HEAD_BYTES] = head.first_chunk().ok_or(HeadError::Short)?;
        let word = |at: usize| u64::from_le_bytes(*head[at..].first_chunk().expect("inside of the head"));
        #[expect(clippy::cast_possible_truncation, reason = "halves of a word")]
        let halves = |at: usize| (word(at) as u32, (word(at) >> 32) as u32);
        let (version, crc) = halves(8);
        if word(0) != MAGIC || crc != checksum(version, head) {
            return Err(HeadError::Damaged);
        }
        if !(1..=VERSION).contains(&version) {
            return Err(HeadError::Version(version));
        }
        let (tag, shard) = halves(32);
        let size = |at: usize| usize::try_from(word(at)).map_err(|_| HeadError::Damaged);
        let layout = Self {
            version,
            serial: word(16),
            bytes: size(24)?,
            tag,
            shard: u16::try_from(shard).map_err(|_| HeadError::Damaged)?,
            made_us: word(40).cast_signed(),
            marked: size(48)?,
        };
        let is_sound = layout.serial <= SERIAL_MAX
            && layout.marked <= SLOTS_MAX
            && layout.bytes.is_multiple_of(8)
            && u32::try_from(layout.bytes).is_ok()
            && layout.fixed_bytes() < layout.bytes;
        if is_sound { Ok(layout) } else { Err(HeadError::Damaged) }
    }

    fn has_checks(&self) -> bool {
        self.version >= 3
    }

    /// Bytes that are not for frames.
    fn fixed_bytes(&self) -> usize {
        self.marks_bytes() + SEAL_BYTES + if self.has_checks() { 2 * BODY } else { BODY }
    }

    /// What is mixed into the checksum of the frame that begins at a place: a frame of another segment, or of another
    /// place in this one, is none here.
    #[inline]
    pub(super) fn frame_tag(&self, at: usize) -> u32 {
        self.tag ^ place_tag(self.version, at)
    }

    /// Where frames end at the latest.
    pub(super) fn end(&self) -> usize {
        self.bytes + BODY - self.fixed_bytes()
    }

    pub(super) fn has_room(&self, at: usize, frame_bytes: usize) -> bool {
        frame_bytes <= self.end().saturating_sub(at)
    }

    /// Where the copies of the first page begin in the file.
    pub(super) fn heads(&self) -> impl Iterator<Item = usize> + use<> {
        let second = self.has_checks().then_some(self.bytes - BODY);
        std::iter::once(0).chain(second)
    }

    /// Where marks begin in the file.
    pub(super) fn marks_at(&self) -> usize {
        self.end() + SEAL_BYTES
    }

    /// Bytes of one slot's marks.
    fn mark_bytes(&self) -> usize {
        mark_bytes(self.bytes, self.has_checks())
    }

    /// Bytes of all marks.
    pub(super) fn marks_bytes(&self) -> usize {
        self.marked * self.mark_bytes()
    }

    /// Bytes of the first page and the marks, as they are held in memory.
    pub(super) fn control_bytes(&self) -> usize {
        BODY + self.marks_bytes()
    }

    /// Where in the control the mark of a frame lies, and which bit of the word it is, if a slot has marks.
    fn mark_of(&self, slot: usize, at: usize) -> Option<(usize, u64)> {
        if slot >= self.marked {
            return None;
        }
        let bits = if self.has_checks() { 32 } else { 64 };
        let unit = at / MARK_UNIT;
        let word = BODY + slot * self.mark_bytes() + unit / bits * 8;
        (word < self.control_bytes()).then_some((word, 1 << (unit % bits)))
    }

    /// Where the word lies in the control that has a frame's mark, and its new value.
    pub(super) fn mark(
        &self,
        name: &Name,
        slot: usize,
        at: usize,
        read: impl Fn(usize) -> u64,
    ) -> Option<(usize, u64)> {
        let (word, bit) = self.mark_of(slot, at)?;
        let bits = self.marks_of(name, word, read(word)).unwrap_or(0) | bit;
        let value = if self.has_checks() {
            bits | u64::from(self.check(name, word, bits)) << 32
        } else {
            bits
        };
        Some((word, value))
    }

    /// Whether a frame is marked.
    pub(super) fn is_marked(&self, name: &Name, slot: usize, at: usize, read: impl Fn(usize) -> u64) -> bool {
        self.mark_of(slot, at)
            .is_some_and(|(word, bit)| self.marks_of(name, word, read(word)).unwrap_or(0) & bit != 0)
    }

    /// The marks in a word; none when it is damaged.
    fn marks_of(&self, name: &Name, word: usize, value: u64) -> Option<u64> {
        if !self.has_checks() || value == 0 {
            return Some(value);
        }
        let bits = value & u64::from(u32::MAX);
        (value >> 32 == u64::from(self.check(name, word, bits))).then_some(bits)
    }

    /// Words among the marks of a slot that are neither empty nor what was written.
    pub(super) fn damaged_marks(&self, name: &Name, slot: usize, read: impl Fn(usize) -> u64) -> usize {
        if slot >= self.marked {
            return 0;
        }
        let first = BODY + slot * self.mark_bytes();
        let words = (first..first + self.mark_bytes()).step_by(8);
        words
            .filter(|&word| self.marks_of(name, word, read(word)).is_none())
            .count()
    }

    /// An offset as it stands in a sink's slot.
    pub(super) fn checkpoint(&self, name: &Name, slot: usize, offset: u64) -> u64 {
        if !self.has_checks() {
            return offset;
        }
        let offset = u32::try_from(offset).unwrap_or(u32::MAX);
        u64::from(offset) | u64::from(self.check(name, slot_at(slot), offset.into())) << 32
    }

    /// The offset that a sink's slot says; none when it is damaged.
    pub(super) fn acknowledged(&self, name: &Name, slot: usize, value: u64) -> Option<u64> {
        if !self.has_checks() {
            return Some(value);
        }
        let offset = value & u64::from(u32::MAX);
        let is_whole = value >> 32 == u64::from(self.check(name, slot_at(slot), offset));
        is_whole.then_some(if offset == u64::from(u32::MAX) { ALL } else { offset })
    }

    /// How the first page says where frames end; nothing in versions that do not.
    pub(super) fn end_word(&self, end: usize) -> u64 {
        if !self.has_checks() {
            return 0;
        }
        u64::from(self.check(&[0; NAME_BYTES], END_AT, end as u64)) << 32 | end as u64
    }

    /// Where it says that frames end, if that is legible.
    pub(super) fn end_in(&self, word: u64) -> Option<usize> {
        let end = usize::try_from(word & u64::from(u32::MAX)).ok()?;
        (self.has_checks() && end <= self.end() && word == self.end_word(end)).then_some(end)
    }

    fn check(&self, name: &Name, place: usize, value: u64) -> u32 {
        let mut hasher = crc32fast::Hasher::new_with_initial(self.tag);
        hasher.update(name);
        hasher.update(&(place as u64).to_le_bytes());
        hasher.update(&value.to_le_bytes());
        hasher.finalize()
    }
}

/// Where a slot begins in the first page.
pub(super) fn slot_at(slot: usize) -> usize {
    SLOTS + slot * SLOT_BYTES
}

/// Where a slot says how far its sink is.
pub(super) fn checkpoint_at(slot: usize) -> usize {
    slot_at(slot) + NAME_BYTES
}

/// A sink's name as it stands in a slot.
pub(super) fn name_of(sink: &str) -> Name {
    let mut name = [0; NAME_BYTES];
    let len = sink.len().min(NAME_BYTES);
    name[..len].copy_from_slice(&sink.as_bytes()[..len]);
    name
}

/// What a slot's name says.
pub(super) fn text_of(name: &Name) -> String {
    let text = name.split(|&byte| byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).into_owned()
}

fn checksum(version: u32, head: &[u8; HEAD_BYTES]) -> u32 {
    if (1..=2).contains(&version) {
        return crc32fast::hash(&head[CRC.end..]);
    }
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&head[..CRC.start]);
    hasher.update(&head[CRC.end..]);
    hasher.finalize()
}

/// Bytes of one sink's marks in a segment of this many bytes.
pub(super) const fn mark_bytes(segment_bytes: usize, has_checks: bool) -> usize {
    let bits = if has_checks { 32 } else { 64 };
    segment_bytes.div_ceil(MARK_UNIT * bits) * 8
}

/// Bytes of a segment's file that are for the frame of a record, when `segment_bytes` is what it has in all.
pub(super) fn room(segment_bytes: usize, sinks: usize) -> usize {
    let fixed = 2 * BODY + SEAL_BYTES + sinks * mark_bytes(segment_bytes, true);
    segment_bytes.saturating_sub(fixed)
}

/// What a frame's place adds to its segment's tag.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "segments have less than 4 GiB")]
pub(super) fn place_tag(version: u32, at: usize) -> u32 {
    if version >= 3 {
        (at as u32).wrapping_mul(0x9E37_79B1)
    } else {
        0
    }
}

/// What sets the frames of one segment apart from those of any other.
fn tag(serial: u64) -> u32 {
    // The finaliser of MurmurHash3: every serial has another tag, and neighbours have nothing in common.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "serials below 2^32 stay apart, later ones by the upper half"
    )]
    let mut tag = (serial ^ serial >> 32) as u32;
    tag ^= tag >> 16;
    tag = tag.wrapping_mul(0x85EB_CA6B);
    tag ^= tag >> 13;
    tag = tag.wrapping_mul(0xC2B2_AE35);
    tag ^ tag >> 16
}

/// The serial, if it is below 2^32, of a tag: the same steps backwards.
fn serial_of(tag: u32) -> u64 {
    let mut serial = tag ^ tag >> 16;
    serial = serial.wrapping_mul(0x7ED1_B41D);
    serial ^= serial >> 13 ^ serial >> 26;
    serial = serial.wrapping_mul(0xA5CB_9243);
    u64::from(serial ^ serial >> 16)
}
