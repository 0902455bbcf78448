//! One record as bytes: encoded by a shard, decoded by side's worker.
//!
//! ```text
//!  0 length u32   bytes of the whole frame, a multiple of 8; zero where nothing was written yet
//!  4 crc32 u32    of the length and of everything from byte 8 on
//!  8 version u8   9 score u8 (0: none)  10 shard u16  12 model_number u32
//! 16 record id    16 bytes
//! 32 time i64     microseconds since 1970      40 latency u64  nanoseconds
//! 48 lead id bytes u16   50 request id bytes u16   52 margins u32   56 predictions u32   60 features u32
//! 64 source u8   65 zero   66 reason bytes u16   68 tail bytes u32
//! 72 margins, predictions, row  f64 each; then lead id, request id, reason, tail; then zeros up to a multiple of 8
//! ```
//! All little-endian. Length and checksum are at the same place in every version. The tail has values that only some
//! records have ([`super::Extras`]): a new value is a new tag and no new version. Version 2 has zeros in the place of
//! the tail's length, and no tail. Version 1 has neither the line that begins at 64 nor a reason. Both are read and
//! never written. An incomplete frame has zeros or old bytes after its length, which the checksum detects; an unwritten
//! place starts with a zero length. Lengths are multiples of 8, so that the floats of the next frame are aligned.

use quintile_scoring::limits::{LEAD_ID_BYTES_MAX, REQUEST_ID_BYTES_MAX};
use quintile_scoring::text::truncate;
use uuid::Uuid;

use super::extras::TAIL_BYTES_MAX;
use super::{Extras, RecordSource};
use crate::limits::{REASON_BYTES_MAX, SHARDS_MAX};

const VERSION: u8 = 3;
const HEAD: usize = 72;
/// Of version 1, and so the part of the head that every version has.
const HEAD_MIN: usize = 64;
const ALIGN: usize = 8;
/// Where the checksum begins, and what it covers beyond the length.
const CRC: usize = 4;
const CHECKED: usize = 8;

const _: () = assert!(LEAD_ID_BYTES_MAX <= u16::MAX as usize, "its length takes two bytes");
const _: () = assert!(REQUEST_ID_BYTES_MAX <= u16::MAX as usize, "its length takes two bytes");
const _: () = assert!(REASON_BYTES_MAX <= u16::MAX as usize, "its length takes two bytes");
const _: () = assert!(SHARDS_MAX <= 1 << 16, "a shard's number takes two bytes");
const _: () = assert!(
    cfg!(target_endian = "little"),
    "the spool stores a frame's length as a word of memory"
);

/// Bytes of the shortest frame of any version.
pub(crate) const FRAME_BYTES_MIN: usize = HEAD_MIN;

/// What a shard knows of one answered score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Entry<'a> {
    /// Time-ordered; from [`super::IdSource`].
    pub record_id: Uuid,
    /// When the score was made, in microseconds since 1970.
    pub time_us: i64,
    /// Which model made it: `LoadedModel::model_number`.
    pub model_number: u32,
    /// Which shard.
    pub shard: u16,
    /// The band, 1 to 5, of a model that has bands.
    pub score: Option<u8>,
    /// From the complete body to the rendered answer.
    pub latency_ns: u64,
    /// The client's name for the lead, at most [`LEAD_ID_BYTES_MAX`] bytes.
    pub lead_id: &'a str,
    /// The request, at most [`REQUEST_ID_BYTES_MAX`] bytes.
    pub request_id: &'a str,
    /// Raw sums.
    pub margins: &'a [f64],
    /// After the objective's transform.
    pub predictions: &'a [f64],
    /// The features by column; NaN is missing.
    pub row: &'a [f64],
    /// Who scored. A reason is cut to [`REASON_BYTES_MAX`] bytes.
    pub source: RecordSource<'a>,
    /// What only some records say.
    pub extras: Extras<'a>,
}

/// A record read back: every field is checked, the floats are still bytes.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    /// As in [`Entry`].
    pub record_id: Uuid,
    /// As in [`Entry`].
    pub time_us: i64,
    /// As in [`Entry`].
    pub model_number: u32,
    /// As in [`Entry`].
    pub shard: u16,
    /// As in [`Entry`].
    pub score: Option<u8>,
    /// As in [`Entry`].
    pub latency_ns: u64,
    /// As in [`Entry`].
    pub lead_id: &'a str,
    /// As in [`Entry`].
    pub request_id: &'a str,
    /// As in [`Entry`].
    pub margins: Floats<'a>,
    /// As in [`Entry`].
    pub predictions: Floats<'a>,
    /// As in [`Entry`].
    pub row: Floats<'a>,
    /// As in [`Entry`]; none in frames of version 1, which do not say.
    pub source: Option<RecordSource<'a>>,
    /// As in [`Entry`]; nothing in frames of versions 1 and 2.
    pub extras: Extras<'a>,
}

/// Why bytes are no frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Nothing was written here: the length is zero.
    #[error("no record was written here")]
    Unwritten,
    /// The bytes end before the frame does.
    #[error("a record of {needed} bytes is cut off after {found}")]
    Truncated {
        /// Bytes of the frame, or of its head while that is incomplete.
        needed: usize,
        /// Bytes that are there.
        found: usize,
    },
    /// A length that no frame has.
    #[error("a record cannot have a length of {0} bytes")]
    Length(usize),
    /// The bytes are not those that were written.
    #[error("the checksum of a record of {0} bytes is wrong")]
    Checksum(usize),
    /// A record of another version of this program.
    #[error("version {0} of a record is not known")]
    Version(u8),
    /// The checksum is right and yet the parts do not add up: a fault of the writer.
    #[error("the parts of a record of {0} bytes do not add up")]
    FrameParts(usize),
}

/// Bytes of the largest frame of a model with these numbers of outputs and features.
#[must_use]
pub fn frame_bytes_max(margin_len: usize, prediction_len: usize, features: usize) -> usize {
    let floats = margin_len + prediction_len + features;
    let texts = LEAD_ID_BYTES_MAX + REQUEST_ID_BYTES_MAX + REASON_BYTES_MAX + TAIL_BYTES_MAX;
    HEAD + (floats * 8 + texts).next_multiple_of(ALIGN)
}

impl Entry<'_> {
    /// Writes the frame over the contents of `out`. Allocates only when its capacity is below the frame's length.
    ///
    /// # Panics
    /// When an id is longer than its limit, which the request path has checked.
    pub fn encode(&self, out: &mut Vec<u8>) {
        assert!(
            self.lead_id.len() <= LEAD_ID_BYTES_MAX && self.request_id.len() <= REQUEST_ID_BYTES_MAX,
            "ids are cut to their limits before they are recorded"
        );
        let floats = [self.margins, self.predictions, self.row];
        let float_count: usize = floats.iter().map(|part| part.len()).sum();
        let reason = self
            .source
            .reason()
            .map_or("", |reason| truncate(reason, REASON_BYTES_MAX));
        let tail_len = self.extras.encoded_len();
        let texts = self.lead_id.len() + self.request_id.len() + reason.len() + tail_len;
        let length = HEAD + (float_count * 8 + texts).next_multiple_of(ALIGN);
        out.clear();
        out.reserve(length);
        out.extend_from_slice(&count_u32(length).to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&[VERSION, self.score.unwrap_or(0)]);
        out.extend_from_slice(&self.shard.to_le_bytes());
        out.extend_from_slice(&self.model_number.to_le_bytes());
        out.extend_from_slice(self.record_id.as_bytes());
        out.extend_from_slice(&self.time_us.to_le_bytes());
        out.extend_from_slice(&self.latency_ns.to_le_bytes());
        out.extend_from_slice(&count_u16(self.lead_id.len()).to_le_bytes());
        out.extend_from_slice(&count_u16(self.request_id.len()).to_le_bytes());
        for part in floats {
            out.extend_from_slice(&count_u32(part.len()).to_le_bytes());
        }
        out.extend_from_slice(&[self.source.code(), 0]);
        out.extend_from_slice(&count_u16(reason.len()).to_le_bytes());
        out.extend_from_slice(&count_u32(tail_len).to_le_bytes());
        debug_assert_eq!(out.len(), HEAD, "the head has a fixed size");
        for part in floats {
            put_floats(out, part);
        }
        out.extend_from_slice(self.lead_id.as_bytes());
        out.extend_from_slice(self.request_id.as_bytes());
        out.extend_from_slice(reason.as_bytes());
        self.extras.encode(out);
        out.resize(length, 0);
        let checksum = checksum(out);
        out[CRC..CHECKED].copy_from_slice(&checksum.to_le_bytes());
    }
}

/// On a little-endian machine the loop is one copy.
fn put_floats(out: &mut Vec<u8>, values: &[f64]) {
    let start = out.len();
    out.resize(start + values.len() * 8, 0);
    for (bytes, value) in out[start..].chunks_exact_mut(8).zip(values) {
        bytes.copy_from_slice(&value.to_le_bytes());
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "OUTPUTS_MAX and FEATURES_MAX keep a frame below 1 MiB"
)]
pub(super) fn count_u32(count: usize) -> u32 {
    debug_assert!(u32::try_from(count).is_ok());
    count as u32
}

#[expect(clippy::cast_possible_truncation, reason = "checked where the ids are checked")]
fn count_u16(count: usize) -> u16 {
    debug_assert!(u16::try_from(count).is_ok());
    count as u16
}

fn checksum(frame: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&frame[..CRC]);
    hasher.update(&frame[CHECKED..]);
    hasher.finalize()
}

/// The length that bytes claim to have, before anything about them is checked.
fn claimed_length(bytes: [u8; 4]) -> usize {
    u32::from_le_bytes(bytes) as usize
}

/// Reads the frame that `bytes` begin with, and says how many bytes it takes.
///
/// # Errors
/// Any bytes that [`Entry::encode`] has not written, and where they stop to make sense.
pub fn decode(bytes: &[u8]) -> Result<(Frame<'_>, usize), FrameError> {
    let length = check(bytes, 0)?;
    Ok((parse(&bytes[..length])?, length))
}

/// The length of the frame that `bytes` begin with, whose checksum is right once `tag` is taken out of it.
pub(crate) fn check(bytes: &[u8], tag: u32) -> Result<usize, FrameError> {
    let found = bytes.len();
    let &length = bytes.first_chunk::<4>().ok_or(FrameError::Truncated {
        needed: HEAD_MIN,
        found,
    })?;
    let length = claimed_length(length);
    if length == 0 {
        return Err(FrameError::Unwritten);
    }
    if length < HEAD_MIN || !length.is_multiple_of(ALIGN) {
        return Err(FrameError::Length(length));
    }
    let frame = bytes
        .get(..length)
        .ok_or(FrameError::Truncated { needed: length, found })?;
    if Reader(&frame[CRC..CHECKED]).u32() ^ tag != checksum(frame) {
        return Err(FrameError::Checksum(length));
    }
    Ok(length)
}

/// Whether a frame could begin with these bytes: a cheap test before [`check`], for a search.
pub(crate) fn may_begin(bytes: &[u8]) -> bool {
    let length = bytes.first_chunk().map_or(0, |&bytes| claimed_length(bytes));
    (HEAD_MIN..=bytes.len()).contains(&length)
        && length.is_multiple_of(ALIGN)
        && (1..=VERSION).contains(&bytes[CHECKED])
}

/// Reads a whole frame that [`check`] has passed.
pub(crate) fn parse(frame: &[u8]) -> Result<Frame<'_>, FrameError> {
    let length = frame.len();
    let (version, size) = match frame[CHECKED] {
        1 => (1, HEAD_MIN),
        version @ 2..=VERSION => (version, HEAD),
        other => return Err(FrameError::Version(other)),
    };
    let (head, body) = frame.split_at_checked(size).ok_or(FrameError::FrameParts(length))?;
    let mut head = Reader(&head[CHECKED..]);
    let [_, score] = head.take::<2>();
    let (shard, model_number) = (head.u16(), head.u32());
    let record_id = Uuid::from_bytes(head.take());
    let (time_us, latency_ns) = (i64::from_le_bytes(head.take()), u64::from_le_bytes(head.take()));
    let (lead_len, request_len) = (usize::from(head.u16()), usize::from(head.u16()));
    let counts = [head.u32(), head.u32(), head.u32()];
    let (code, reason_len, tail_len) = match version {
        1 => (None, 0, 0),
        _ => {
            let [code, zero] = head.take::<2>();
            if zero != 0 && version == VERSION {
                return Err(FrameError::FrameParts(length));
            }
            let (reason_len, tail_len) = (usize::from(head.u16()), head.u32());
            // A frame of version 2 has zeros there; any other value would not have been read.
            (Some(code), reason_len, if version == 2 { 0 } else { tail_len })
        }
    };
    let parts = FrameParts { rest: body }.split(counts, [lead_len, request_len, reason_len], tail_len);
    let ([margins, predictions, row], [lead_id, request_id, reason], tail) =
        parts.ok_or(FrameError::FrameParts(length))?;
    let extras = Extras::decode(tail).ok_or(FrameError::FrameParts(length))?;
    let source = code.map(|code| RecordSource::of(code, reason).ok_or(FrameError::FrameParts(length)));
    let source = source.transpose()?;
    Ok(Frame {
        record_id,
        time_us,
        model_number,
        shard,
        score: (score != 0).then_some(score),
        latency_ns,
        lead_id,
        request_id,
        margins,
        predictions,
        row,
        source,
        extras,
    })
}

/// Reads the head, whose length was checked before.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (&taken, rest) = self.0.split_first_chunk().expect("the head is longer than its fields");
        self.0 = rest;
        taken
    }

    fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.take())
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take())
    }
}

struct FrameParts<'a> {
    rest: &'a [u8],
}

/// Floats, texts and tail of a frame.
type Split<'a> = ([Floats<'a>; 3], [&'a str; 3], &'a [u8]);

impl<'a> FrameParts<'a> {
    /// None unless the parts and less than [`ALIGN`] zeros fill the frame.
    fn split(mut self, counts: [u32; 3], texts: [usize; 3], tail: u32) -> Option<Split<'a>> {
        let mut floats = [Floats { bytes: &[] }; 3];
        for (part, count) in floats.iter_mut().zip(counts) {
            part.bytes = self.take((count as usize).checked_mul(8)?)?;
        }
        let mut words = [""; 3];
        for (word, length) in words.iter_mut().zip(texts) {
            *word = std::str::from_utf8(self.take(length)?).ok()?;
        }
        let tail = self.take(tail as usize)?;
        let padded = self.rest.len() < ALIGN && self.rest.iter().all(|&byte| byte == 0);
        padded.then_some((floats, words, tail))
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }
}

/// `f64`s that may lie at any address.
#[derive(Clone, Copy)]
pub struct Floats<'a> {
    bytes: &'a [u8],
}

impl<'a> Floats<'a> {
    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len() / 8
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The value at a place.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<f64> {
        let bytes = self.bytes.get(index.checked_mul(8)?..)?.first_chunk()?;
        Some(f64::from_le_bytes(*bytes))
    }

    /// All values, to the bit as they were recorded.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = f64> + use<'a> {
        let (chunks, _) = self.bytes.as_chunks::<8>();
        chunks.iter().map(|&bytes| f64::from_le_bytes(bytes))
    }
}

impl std::fmt::Debug for Floats<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
#[path = "frame_tests.rs"]
mod tests;
