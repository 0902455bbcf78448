//! A long lead, read a slice at a time, so that a shard can look at its other requests in between.
//!
//! ```text
//! {"lead_id":…,"features":{ "a":1,"b":2, … ,"y":3,"z":4 }}      one scan over the text, which stops anywhere
//!                          [──── {…} ────]  [──── {…} ────]      groups of members, each read as a document of its own
//! ```
//! It has the same result as [`super::Workspace::read_any`]: the same row, the same faults in the same order, the same
//! offset of what is not JSON. Only the scan checks the contents of lists and objects, because no feature takes one.

use std::ops::Range;

use super::ReadError;
use super::faults::JsonType;
use super::lead::{Lead, Members};
use super::parser::Parser;
use super::scan::{JsonFault, JsonReason, Nesting, Scanner};
use crate::loaded::LoadedModel;

/// Bytes of a group of members: few enough to be read within a slice, enough to be worth a document. A longer member is
/// a group of its own.
const GROUP_BYTES: usize = 4 << 10;

/// Bytes of the longest way to write `"features"`, each letter as an escape.
const FEATURES_KEY_BYTES_MAX: usize = 2 + 6 * "features".len();

/// Whose members a group has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Lead,
    Features,
}

/// A lead that is being read.
#[derive(Debug)]
pub struct SlicedRead {
    lead: Lead,
    /// Bytes of the text that are UTF-8.
    end: usize,
    /// How far it is read.
    at: usize,
    nesting: Nesting,
    /// The key before the value that comes next.
    key: Range<usize>,
    level: Option<Level>,
    seen: Members,
    /// The column after the one that was named last.
    guess: usize,
    group: Vec<u8>,
}

/// What a slice works with.
struct Slice<'a> {
    parser: &'a mut Parser,
    loaded: &'a LoadedModel,
    scanner: Scanner<'a>,
}

impl SlicedRead {
    /// Begins to read a body.
    #[must_use]
    pub fn new(loaded: &LoadedModel, body: &[u8]) -> Self {
        Self {
            lead: Lead::new(loaded),
            end: std::str::from_utf8(body).map_or_else(|error| error.valid_up_to(), str::len),
            at: 0,
            nesting: Nesting::default(),
            key: 0..0,
            level: None,
            seen: Members::default(),
            guess: 0,
            group: Vec::new(),
        }
    }

    /// The lead, when it is read; another is left in its place.
    pub(super) fn swap(&mut self, lead: &mut Lead) {
        std::mem::swap(&mut self.lead, lead);
    }

    /// Reads about this many more bytes; none if there is more to read. The body is the same each time.
    pub(super) fn step(
        &mut self,
        parser: &mut Parser,
        loaded: &LoadedModel,
        body: &[u8],
        bytes: usize,
    ) -> Option<Result<(), ReadError>> {
        let stop = self.at + bytes;
        let mut slice = Slice {
            parser,
            loaded,
            scanner: Scanner::resume(&body[..self.end], self.at, self.key.clone()),
        };
        let is_whole = loop {
            match self.value(&mut slice) {
                Ok(true) => break Ok(()),
                Ok(false) if slice.scanner.at() < stop => {}
                Ok(false) => {
                    (self.at, self.key) = slice.scanner.position();
                    return None;
                }
                Err(fault) => break Err(fault),
            }
        };
        Some(self.outcome(is_whole, body.len()))
    }

    fn outcome(&mut self, is_whole: Result<(), JsonFault>, bytes: usize) -> Result<(), ReadError> {
        let is_whole = if self.end < bytes {
            Err(super::scan::before_bad_utf8(is_whole, self.end))
        } else {
            is_whole
        };
        is_whole.map_err(ReadError::NotJson)?;
        if self.level.is_some() {
            self.lead.require_members(self.seen);
        }
        if self.lead.faults().total() == 0 {
            Ok(())
        } else {
            Err(ReadError::Invalid)
        }
    }

    /// Reads a value up to the one that follows: true at the end of the text.
    fn value(&mut self, slice: &mut Slice<'_>) -> Result<bool, JsonFault> {
        let depth = self.nesting.depth();
        if slice.scanner.at() == 0 {
            slice.scanner.begin()?;
        }
        slice.scanner.whitespace();
        let (start, first) = (slice.scanner.at(), slice.scanner.peek());
        let key = slice.scanner.last_key();
        let has_opened = slice.scanner.value(&mut self.nesting, &mut |_| {})?;
        let text = start..slice.scanner.at();
        match (depth, self.level) {
            (0, _) => self.root(first),
            (1, Some(Level::Lead)) if first == Some(b'{') && self.is_features(slice, key.clone()) => {
                self.flush(slice)?;
                self.lead.begin_features(&mut self.seen);
                self.level = Some(Level::Features);
                self.guess = 0;
            }
            (1, Some(Level::Lead)) | (2, Some(Level::Features)) => self.member(slice, key, first, text)?,
            _ => {}
        }
        let is_end = !has_opened && slice.scanner.close(&mut self.nesting)?;
        if self.level == Some(Level::Features) && self.nesting.depth() < 2 {
            self.flush(slice)?;
            self.lead.require(slice.loaded);
            self.level = Some(Level::Lead);
        }
        if is_end {
            self.flush(slice)?;
        }
        Ok(is_end)
    }

    /// What the text is as a whole.
    fn root(&mut self, first: Option<u8>) {
        let found = match first {
            Some(b'{') => {
                self.level = Some(Level::Lead);
                return;
            }
            Some(b'[') => JsonType::Array,
            Some(b'"') => JsonType::String,
            Some(b't' | b'f') => JsonType::Bool,
            Some(b'n') => JsonType::Null,
            _ => JsonType::Number,
        };
        self.lead.refuse_type(found);
    }

    fn is_features(&self, slice: &mut Slice<'_>, key: Range<usize>) -> bool {
        let key = slice.scanner.text(key);
        if key == b"\"features\"" {
            return true;
        }
        if key.len() > FEATURES_KEY_BYTES_MAX || !key.contains(&b'\\') {
            return false;
        }
        let name = slice
            .parser
            .parse(key, |document| document.string() == Some("features"));
        name == Ok(true)
    }

    /// Adds a member to the group. What a list or an object holds is of no interest.
    fn member(
        &mut self,
        slice: &mut Slice<'_>,
        key: Range<usize>,
        first: Option<u8>,
        text: Range<usize>,
    ) -> Result<(), JsonFault> {
        let value = match first {
            Some(b'{') => &b"{}"[..],
            Some(b'[') => b"[]",
            _ => slice.scanner.text(text),
        };
        let begins = if self.group.is_empty() { b'{' } else { b',' };
        self.group.push(begins);
        self.group.extend_from_slice(slice.scanner.text(key));
        self.group.push(b':');
        self.group.extend_from_slice(value);
        if self.group.len() >= GROUP_BYTES {
            self.flush(slice)?;
        }
        Ok(())
    }

    /// Reads the group.
    fn flush(&mut self, slice: &mut Slice<'_>) -> Result<(), JsonFault> {
        if self.group.is_empty() {
            return Ok(());
        }
        self.group.push(b'}');
        let (lead, seen, guess) = (&mut self.lead, &mut self.seen, &mut self.guess);
        let is_features = self.level == Some(Level::Features);
        let loaded = slice.loaded;
        let read = slice.parser.parse(&self.group, |document| {
            if is_features {
                lead.take_feature_members(loaded, document, 0, guess);
            } else {
                lead.take_members(loaded, document, seen);
            }
        });
        self.group.clear();
        // The scan has found it to be JSON.
        read.map_err(|_| JsonFault {
            offset: slice.scanner.at(),
            reason: JsonReason::Refused,
        })
    }
}
