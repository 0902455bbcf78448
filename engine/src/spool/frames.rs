//! The frames in the bytes of a file: complete ones, and the gaps between them. It is for files that another process
//! has left, or that are read back; [`super::segment`] reads a segment that is in memory. Pure: bytes in, places out.

use std::collections::HashMap;
use std::ops::Range;

use super::layout::{BODY, Layout, VERSION, place_tag};
use super::protocol::{FrameLook, SEALED};
use crate::record::{check, may_begin, parse};

/// A serial up to this is believed when a single frame says it, as one in 65,536 damaged ones would.
const SERIAL_LIKELY: u64 = 1 << 16;

/// What a walk through a segment has met.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Walk {
    /// Whole frames that lie behind each other.
    pub(super) extents: Vec<Range<usize>>,
    pub(super) frames: u64,
    /// Bytes between and behind them that hold something else, or are missing.
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

    /// Where the last whole frame ends.
    pub(super) fn end(&self) -> usize {
        self.extents.last().map_or(BODY, |last| last.end)
    }
}

/// What the word at a place says; nothing where bytes end.
fn look(bytes: &[u8], at: usize) -> FrameLook {
    let word = bytes.get(at..).and_then(<[u8]>::first_chunk);
    match word.map_or(0, |&word| u32::from_le_bytes(word)) {
        0 => FrameLook::Nothing,
        SEALED => FrameLook::Sealed,
        length => FrameLook::Frame(length as usize),
    }
}

/// The length of the whole frame that begins at a place of the file, or why there is none. `bytes` begin at `from` of
/// the file.
pub(super) fn frame(bytes: &[u8], from: usize, at: usize, layout: &Layout) -> Result<usize, FrameLook> {
    let here = at - from;
    let found = look(bytes, here);
    let FrameLook::Frame(length) = found else {
        return Err(found);
    };
    let is_whole = length.is_multiple_of(8)
        && layout.has_room(at, length)
        && bytes
            .get(here..here + length)
            .is_some_and(|bytes| check(bytes, layout.frame_tag(at)).is_ok());
    if is_whole { Ok(length) } else { Err(found) }
}

/// The next place from `at` on at which a whole frame begins. Everything may lie between.
pub(super) fn next_frame(bytes: &[u8], from: usize, at: usize, layout: &Layout) -> Option<usize> {
    let end = layout.end().min(from + bytes.len());
    let begins =
        |place: usize| may_begin(&bytes[place - from..end - from]) && frame(bytes, from, place, layout).is_ok();
    (at.next_multiple_of(8)..end.saturating_sub(8))
        .step_by(8)
        .find(|&place| begins(place))
}

/// Everything that can be read of a file, `bytes` being all of it.
pub(super) fn walk(bytes: &[u8], layout: &Layout) -> Walk {
    let mut walk = Walk::default();
    let end = layout.end().min(bytes.len());
    let mut at = BODY;
    loop {
        let start = at;
        let stopped = loop {
            match frame(bytes, 0, at, layout) {
                Ok(length) => (at, walk.frames) = (at + length, walk.frames + 1),
                Err(look) => break look,
            }
        };
        if at > start {
            walk.extend(start..at);
        }
        if stopped == FrameLook::Sealed && bytes.len() >= layout.bytes && !holds_more(bytes, at + 8, layout) {
            return walk;
        }
        let next = next_frame(bytes, 0, at + 8, layout);
        let gap = at.min(end)..next.unwrap_or(end);
        if holds_anything(&bytes[gap.clone()]) && !(stopped == FrameLook::Sealed && next.is_none()) {
            if next.is_none() && stopped == FrameLook::Nothing && bytes.len() >= layout.bytes {
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
            None => {
                // What was cut off may have held records, unless the segment ends before that.
                if stopped != FrameLook::Sealed {
                    walk.damaged_bytes += layout.end().saturating_sub(bytes.len());
                }
                return walk;
            }
        }
    }
}

/// Whether anything lies behind the end of a sealed segment, which is then no end.
fn holds_more(bytes: &[u8], at: usize, layout: &Layout) -> bool {
    holds_anything(bytes.get(at..layout.end().min(bytes.len())).unwrap_or_default())
}

pub(super) fn holds_anything(bytes: &[u8]) -> bool {
    bytes.iter().any(|&byte| byte != 0)
}

/// What the frames of a file say of its head when that is lost: they agree in what is mixed into their checksums.
pub(super) fn layout_of(bytes: &[u8]) -> Option<Layout> {
    let mut votes: HashMap<(u32, u32), (u32, u16)> = HashMap::new();
    let mut at = BODY;
    while at + 8 < bytes.len() {
        let rest = &bytes[at..];
        if !may_begin(rest) {
            at += 8;
            continue;
        }
        let length = rest.first_chunk().map_or(0, |&word| u32::from_le_bytes(word) as usize);
        let Some(shard) = parse(&rest[..length]).ok().map(|record| record.shard) else {
            at += 8;
            continue;
        };
        // What makes the checksum right.
        let Some(mixed) = mixed_in(&rest[..length]) else {
            at += 8;
            continue;
        };
        for version in [VERSION, 2] {
            let vote = votes.entry((version, mixed ^ place_tag(version, at)));
            vote.or_insert((0, shard)).0 += 1;
        }
        at += length;
    }
    let (&(version, tag), &(count, shard)) = votes.iter().max_by_key(|(_, (count, _))| *count)?;
    let layout = Layout::of_frames(if version == 2 { 1 } else { version }, tag, bytes.len(), shard);
    // One frame is consistent, with any content; then it must at least be of a segment that can exist.
    let is_likely = count >= 2 || layout.serial <= SERIAL_LIKELY;
    (is_likely && layout.end() > BODY).then_some(layout)
}

/// The difference between a frame's checksum and that of its bytes.
fn mixed_in(frame: &[u8]) -> Option<u32> {
    let stored = u32::from_le_bytes(*frame.get(4..)?.first_chunk()?);
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&frame[..4]);
    hasher.update(&frame[8..]);
    Some(stored ^ hasher.finalize())
}
