//! `{"leads":[…]}` as its bytes arrive: the leads are cut out, and the rest is small enough to be parsed at once.
//!
//! ```text
//! body      {"leads":[  {"lead_id":…}  ,  {"lead_id":…}  ]}
//! spans                 [───────────]     [───────────]          where each element is
//! skeleton  {"leads":[                                 ]}        all else: a document of its own
//! ```
//! Cutting looks only at brackets and strings. The reader of an element decides whether it is JSON and a lead; the same
//! parser decides whether the skeleton is a batch.

use super::{LeadPlace, Piece, Pieces};
use crate::read::JsonFault;
use crate::read::faults::JsonType;
use crate::read::scan::{Expected, JsonReason, scan};

/// Bytes of a block of the body: few enough to be freed without notice when its leads are scored.
const BLOCK_BYTES: usize = 64 << 10;

/// Bytes around the leads at most. `{"leads":[]}` is 12; the rest is for the errors that clients make.
const SKELETON_BYTES_MAX: usize = 4 << 10;

/// Why a body is no batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EnvelopeError {
    /// It is not JSON.
    NotJson(JsonFault),
    /// It is JSON of another type than an object.
    NotObject(JsonType),
    /// More leads than are accepted.
    TooManyLeads,
    /// Too much beside the leads.
    Skeleton,
}

/// An element of the list. The limit of a body's bytes is below 4 GiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    start: u32,
    end: u32,
}

/// A body that is still arriving.
#[derive(Debug)]
pub struct Envelope {
    lead_bytes_max: usize,
    leads_max: usize,
    body: Blocks,
    spans: Vec<Span>,
    skeleton: Vec<u8>,
    /// Bytes cut out of the skeleton so far, after this many of its own.
    cuts: Vec<(usize, usize)>,
    place: Scan,
    /// Whether anything but white space has come.
    has_begun: bool,
    /// Open brackets: around the list in the skeleton, inside of it in an element.
    depth: usize,
    is_string: bool,
    is_escaped: bool,
}

/// Where the scan stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scan {
    /// Outside of the list.
    Around,
    /// In the list, before an element.
    Before { is_first: bool },
    /// In an element, since this byte.
    Element { start: usize },
}

impl Envelope {
    /// With at most this many leads, each of at most this many bytes.
    #[must_use]
    pub fn new(lead_bytes_max: usize, leads_max: usize) -> Self {
        Self {
            lead_bytes_max,
            leads_max,
            body: Blocks::default(),
            spans: Vec::new(),
            skeleton: Vec::new(),
            cuts: Vec::new(),
            place: Scan::Around,
            has_begun: false,
            depth: 0,
            is_string: false,
            is_escaped: false,
        }
    }

    /// Bytes of what has come, and of the places of the leads in it.
    pub fn bytes(&self) -> usize {
        self.body.bytes() + self.spans.capacity() * size_of::<Span>()
    }

    /// Takes the next bytes of the body.
    ///
    /// # Errors
    /// What no further byte can make right; the envelope is of no use then.
    pub fn add(&mut self, more: &[u8]) -> Result<(), EnvelopeError> {
        let before = self.body.len;
        let mut at = 0;
        while at < more.len() {
            at += match self.place {
                Scan::Around => self.around(before + at, &more[at..])?,
                Scan::Before { is_first } => self.before(before + at, &more[at..], is_first)?,
                Scan::Element { start } => self.element(before + at, &more[at..], start)?,
            };
        }
        self.body.add(more);
        Ok(())
    }

    /// Reads on in the skeleton; returns how many bytes were read.
    fn around(&mut self, before: usize, bytes: &[u8]) -> Result<usize, EnvelopeError> {
        for (at, &byte) in bytes.iter().enumerate() {
            if self.skeleton.len() == SKELETON_BYTES_MAX {
                return Err(EnvelopeError::Skeleton);
            }
            if !self.has_begun && !is_white(byte) {
                begins_object(before + at, &bytes[at..])?;
                self.has_begun = true;
            }
            self.skeleton.push(byte);
            if self.is_string {
                self.in_string(byte);
                continue;
            }
            match byte {
                b'"' => self.is_string = true,
                b'[' if self.depth == 1 => {
                    self.place = Scan::Before { is_first: true };
                    self.cuts.push((self.skeleton.len(), before + at + 1));
                    return Ok(at + 1);
                }
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
        }
        Ok(bytes.len())
    }

    /// Reads on in a string, to its end or that of the bytes; returns how many were read.
    fn string(&mut self, bytes: &[u8]) -> usize {
        for (at, &byte) in bytes.iter().enumerate() {
            self.in_string(byte);
            if !self.is_string {
                return at + 1;
            }
        }
        bytes.len()
    }

    fn in_string(&mut self, byte: u8) {
        match byte {
            _ if self.is_escaped => self.is_escaped = false,
            b'\\' => self.is_escaped = true,
            b'"' => self.is_string = false,
            _ => {}
        }
    }

    /// Looks for the start of an element.
    fn before(&mut self, before: usize, bytes: &[u8], is_first: bool) -> Result<usize, EnvelopeError> {
        let Some(at) = bytes.iter().position(|&byte| !is_white(byte)) else {
            return Ok(bytes.len());
        };
        match bytes[at] {
            b']' if is_first => {
                self.leave(before + at);
                Ok(at + 1)
            }
            b']' | b',' => Err(EnvelopeError::NotJson(JsonFault {
                offset: before + at,
                reason: JsonReason::Expected(Expected::Value),
            })),
            _ if self.spans.len() == self.leads_max => Err(EnvelopeError::TooManyLeads),
            _ => {
                self.place = Scan::Element { start: before + at };
                self.depth = 0;
                Ok(at)
            }
        }
    }

    /// Looks for the end of an element: a comma or a bracket that it has not opened.
    fn element(&mut self, before: usize, bytes: &[u8], start: usize) -> Result<usize, EnvelopeError> {
        let Some(at) = self.element_end(bytes) else {
            return Ok(bytes.len());
        };
        self.spans.push(Span {
            start: position(start),
            end: position(before + at),
        });
        if bytes[at] == b',' {
            self.place = Scan::Before { is_first: false };
        } else {
            self.leave(before + at);
        }
        Ok(at + 1)
    }

    /// Where the element ends, if it ends here. A loop in strings and one outside take 0.85 ns a byte, one loop with a
    /// state 2.2 (Intel Xeon, family 6, model 207).
    fn element_end(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        while at < bytes.len() {
            if self.is_string {
                at += self.string(&bytes[at..]);
                continue;
            }
            let byte = bytes[at];
            match STRUCTURE[usize::from(byte)] {
                Structure::None => {}
                Structure::Quote => self.is_string = true,
                Structure::Open => self.depth += 1,
                Structure::Comma if self.depth > 0 => {}
                Structure::Comma => return Some(at),
                Structure::Close if self.depth > 0 => self.depth -= 1,
                // One brace too many is a fault of the element: its reader will say so.
                Structure::Close if byte == b'}' => {}
                Structure::Close => return Some(at),
            }
            at += 1;
        }
        None
    }

    /// The list ends with the bracket at `end`.
    fn leave(&mut self, end: usize) {
        self.skeleton.push(b']');
        if let Some((_, cut)) = self.cuts.last_mut() {
            *cut = end - *cut;
        }
        self.place = Scan::Around;
        self.depth = 1;
    }

    /// The body is complete: its skeleton, and what a fault of the skeleton is one of the body.
    ///
    /// # Errors
    /// A list that does not end.
    pub fn skeleton(&self) -> Result<&[u8], EnvelopeError> {
        if self.place == Scan::Around {
            return Ok(&self.skeleton);
        }
        Err(EnvelopeError::NotJson(JsonFault {
            offset: self.body.len,
            reason: JsonReason::End,
        }))
    }

    /// A fault of the skeleton as one of the body.
    pub fn fault(&self, fault: JsonFault) -> JsonFault {
        let passed = self.cuts.iter().take_while(|(after, _)| *after <= fault.offset);
        let removed: usize = passed.map(|(_, bytes)| bytes).sum();
        JsonFault {
            offset: fault.offset + removed,
            ..fault
        }
    }

    /// The leads. The skeleton must have been found to be that of a batch.
    pub fn cut(self) -> Cut {
        Cut {
            lead_bytes_max: self.lead_bytes_max,
            body: self.body,
            spans: self.spans,
            next: 0,
            joined: Vec::new(),
        }
    }
}

/// What a byte outside of strings means for where an element ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Structure {
    None,
    Quote,
    Open,
    Close,
    Comma,
}

const STRUCTURE: [Structure; 256] = {
    let mut table = [Structure::None; 256];
    table[b'"' as usize] = Structure::Quote;
    table[b'{' as usize] = Structure::Open;
    table[b'[' as usize] = Structure::Open;
    table[b'}' as usize] = Structure::Close;
    table[b']' as usize] = Structure::Close;
    table[b',' as usize] = Structure::Comma;
    table
};

/// What JSON calls white space.
fn is_white(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// Whether a body may be an object, judged by the first byte that is not white space.
fn begins_object(before: usize, bytes: &[u8]) -> Result<(), EnvelopeError> {
    Err(EnvelopeError::NotObject(match bytes[0] {
        b'{' => return Ok(()),
        b'[' => JsonType::Array,
        b'"' => JsonType::String,
        b'-' | b'0'..=b'9' => JsonType::Number,
        b't' | b'f' => JsonType::Bool,
        b'n' => JsonType::Null,
        // No JSON begins like this: the reader stops here and knows why.
        _ => {
            let found = scan(bytes, |_| {}).err();
            let fault = found.filter(|fault| fault.offset == 0).unwrap_or(JsonFault {
                offset: 0,
                reason: JsonReason::Expected(Expected::Value),
            });
            return Err(EnvelopeError::NotJson(JsonFault {
                offset: before,
                ..fault
            }));
        }
    }))
}

/// The leads of a whole body.
#[derive(Debug)]
pub struct Cut {
    lead_bytes_max: usize,
    body: Blocks,
    spans: Vec<Span>,
    next: usize,
    /// A lead that lies in several blocks.
    joined: Vec<u8>,
}

impl Cut {
    /// Bytes of what is not handed on yet, and of the places of all leads.
    pub fn bytes(&self) -> usize {
        self.body.bytes() + self.spans.capacity() * size_of::<Span>() + self.joined.capacity()
    }

    /// Whether all have been handed on.
    pub fn is_empty(&self) -> bool {
        self.next == self.spans.len()
    }
}

impl Pieces for Cut {
    fn next(&mut self) -> Option<Piece<'_>> {
        let index = self.next;
        let &span = self.spans.get(index)?;
        self.next += 1;
        let (start, end) = (span.start as usize, span.end as usize);
        let place = LeadPlace::Element { index, offset: start };
        let fits = end - start <= self.lead_bytes_max;
        self.body.release(start);
        Some(Piece {
            place,
            text: fits.then(|| self.body.text(start, end, &mut self.joined)),
        })
    }
}

/// A body in blocks of equal size.
#[derive(Debug, Default)]
struct Blocks {
    blocks: Vec<Vec<u8>>,
    len: usize,
    /// Blocks that are read and gone.
    released: usize,
}

impl Blocks {
    /// Bytes of the blocks that are there.
    fn bytes(&self) -> usize {
        (self.blocks.len() - self.released) * BLOCK_BYTES
    }

    fn add(&mut self, mut more: &[u8]) {
        self.len += more.len();
        while !more.is_empty() {
            match self.blocks.last_mut() {
                Some(block) if block.len() < BLOCK_BYTES => {
                    let (fits, rest) = more.split_at(more.len().min(BLOCK_BYTES - block.len()));
                    block.extend_from_slice(fits);
                    more = rest;
                }
                _ => self.blocks.push(Vec::with_capacity(BLOCK_BYTES)),
            }
        }
    }

    /// The bytes from `start` to `end`, which `joined` holds when they lie in several blocks.
    fn text<'a>(&'a self, start: usize, end: usize, joined: &'a mut Vec<u8>) -> &'a [u8] {
        let (first, from) = (start / BLOCK_BYTES, start % BLOCK_BYTES);
        if from + (end - start) <= BLOCK_BYTES {
            return &self.blocks[first][from..from + (end - start)];
        }
        joined.clear();
        let mut at = start;
        while at < end {
            let (block, from) = (&self.blocks[at / BLOCK_BYTES], at % BLOCK_BYTES);
            let to = BLOCK_BYTES.min(from + (end - at));
            joined.extend_from_slice(&block[from..to]);
            at += to - from;
        }
        joined
    }

    /// Gives back what lies before `start`.
    fn release(&mut self, start: usize) {
        while self.released < start / BLOCK_BYTES {
            self.blocks[self.released] = Vec::new();
            self.released += 1;
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "limits.batch_bytes_max is at most 256 MiB"
)]
fn position(bytes: usize) -> u32 {
    debug_assert!(u32::try_from(bytes).is_ok());
    bytes as u32
}

#[cfg(test)]
mod tests;
