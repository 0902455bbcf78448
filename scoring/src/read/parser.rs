//! Body bytes → tape, in memory that is reused for each request.
//!
//! simd-json unescapes strings in place and needs padding after its input, so the body is copied once into a scratch of
//! our own; the owner of the body may free it at once. When simd-json refuses, `scan` reads the original again to find
//! out why. One refusal is not final: numbers beyond the range of a double, which are JSON.

use std::mem;

use simd_json::{Buffers, INPUT_PADDING, Node, Tape, fill_tape_padded};

use super::scan::{JsonFault, JsonReason, scan};
use crate::limits::BODY_NESTING_MAX;

/// Structural characters whose memory is kept after any body, at 28 bytes each: enough for a clumsy request.
const STRUCTURALS_KEPT_MIN: usize = 16_384;

/// simd-json makes room for this many structural characters before it looks at the next block.
const STRUCTURALS_AHEAD: usize = 64;

/// Reused memory of the parser.
pub(super) struct Parser {
    scratch: Vec<u8>,
    buffers: Buffers,
    tape: Tape<'static>,
    body_bytes_max: usize,
    features: usize,
}

/// A parsed body: simd-json's nodes in the order of the text.
pub(super) struct Document<'a> {
    pub(super) nodes: &'a [Node<'a>],
    patched: Option<Patched<'a>>,
}

/// A body whose numbers beyond a double's range were overwritten with strings of the same length, in the scratch.
struct Patched<'a> {
    body: &'a [u8],
    scratch_address: usize,
}

impl Document<'_> {
    /// The text, if all there is is a string.
    pub(super) fn string(&self) -> Option<&str> {
        match self.nodes.first() {
            Some(Node::String(text)) => Some(text),
            _ => None,
        }
    }

    /// Whether a string of the tape is in truth a number that no double can hold: the body has no quote there.
    pub(super) fn is_huge_number(&self, text: &str) -> bool {
        self.patched.as_ref().is_some_and(|patched| {
            let quote = text.as_ptr().addr().wrapping_sub(patched.scratch_address + 1);
            patched.body.get(quote) != Some(&b'"')
        })
    }
}

impl Parser {
    pub(super) fn new(body_bytes_max: usize) -> Self {
        Self {
            // Zeroed pages come from the system untouched: only what bodies use becomes resident.
            scratch: vec![0; body_bytes_max + INPUT_PADDING],
            buffers: Buffers::with_max_depth(body_bytes_max, BODY_NESTING_MAX),
            tape: Tape(Vec::new()),
            body_bytes_max,
            features: 0,
        }
    }

    /// Grows all buffers to the size for the largest valid body with this many features.
    pub(super) fn warm(&mut self, features: usize) {
        self.features = features;
        // In an array each value brings two structural characters. A body has no more of them than bytes.
        let values = (self.structurals() / 2).min(self.body_bytes_max / 2);
        let mut body = b"[0".to_vec();
        body.extend(b",0".repeat(values.saturating_sub(2)));
        body.push(b']');
        let parsed = self.parse(&body, |document| document.nodes.len());
        debug_assert!(parsed.is_ok(), "an array of zeros is JSON: {parsed:?}");
    }

    /// As [`Self::warm`], for more models than one: room for the largest of them.
    pub(super) fn make_room(&mut self, features: usize) {
        if features > self.features {
            self.warm(features);
        }
    }

    /// Structural characters of the largest body that can be right, with room for simd-json's next block.
    fn structurals(&self) -> usize {
        // {"lead_id":"x","features":{"a":1,"b":2}}: four for each feature (the last has no comma), ten around them.
        4 * self.features + 10 + STRUCTURALS_AHEAD
    }

    /// Parses a body and lets `walk` read it.
    ///
    /// # Errors
    /// A body that is not JSON, or nested too deep.
    pub(super) fn parse<R>(&mut self, body: &[u8], walk: impl FnOnce(&Document<'_>) -> R) -> Result<R, JsonFault> {
        self.load(body);
        let mut tape = self.take_tape();
        let outcome = if fill_tape_padded(&mut self.scratch, body.len(), &mut self.buffers, &mut tape).is_ok() {
            let document = Document {
                nodes: &tape.0,
                patched: None,
            };
            let walked = walk(&document);
            self.tape = tape.reset();
            Ok(walked)
        } else {
            self.tape = tape.reset();
            self.parse_again(body, walk)
        };
        if self.buffers.structural_indexes().len() > self.structurals().max(STRUCTURALS_KEPT_MIN) {
            self.release();
        }
        outcome
    }

    /// Finds the reason of a refusal; or, if it was only for numbers that no double can hold, parses without them.
    #[cold]
    fn parse_again<R>(&mut self, body: &[u8], walk: impl FnOnce(&Document<'_>) -> R) -> Result<R, JsonFault> {
        self.load(body);
        let scratch = &mut self.scratch;
        let mut patches = 0_usize;
        scan(body, |number| {
            // The shortest such number is 1e309, so there is room for two quotes.
            let (first, last) = (number.start, number.end - 1);
            scratch[number].fill(b' ');
            scratch[first] = b'"';
            scratch[last] = b'"';
            patches += 1;
        })?;
        let refused = JsonFault {
            offset: 0,
            reason: JsonReason::Refused,
        };
        if patches == 0 {
            return Err(refused);
        }
        let scratch_address = self.scratch.as_ptr().addr();
        let mut tape = self.take_tape();
        let outcome = match fill_tape_padded(&mut self.scratch, body.len(), &mut self.buffers, &mut tape) {
            Ok(()) => Ok(walk(&Document {
                nodes: &tape.0,
                patched: Some(Patched { body, scratch_address }),
            })),
            Err(_) => Err(refused),
        };
        self.tape = tape.reset();
        outcome
    }

    fn load(&mut self, body: &[u8]) {
        let needed = body.len() + INPUT_PADDING;
        if self.scratch.len() < needed {
            self.scratch.resize(needed, 0);
        }
        self.scratch[..body.len()].copy_from_slice(body);
    }

    fn take_tape<'any>(&mut self) -> Tape<'any> {
        mem::replace(&mut self.tape, Tape(Vec::new())).reset()
    }

    /// Gives back what a hostile body has made us allocate: up to 28 times its length.
    #[cold]
    fn release(&mut self) {
        self.buffers = Buffers::with_max_depth(self.body_bytes_max, BODY_NESTING_MAX);
        self.tape = Tape(Vec::new());
        self.warm(self.features);
    }
}

impl std::fmt::Debug for Parser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parser")
            .field("body_bytes_max", &self.body_bytes_max)
            .field("features", &self.features)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_bodies_leave_no_memory_behind() {
        let mut parser = Parser::new(1 << 20);
        parser.warm(50);
        let warm = parser.tape.0.capacity();
        assert!((210..1000).contains(&warm), "{warm}");
        // All is structure: good JSON, JSON too deep, no JSON, no UTF-8.
        let numbers = format!("[{}0]", "0,".repeat(500_000)).into_bytes();
        for body in [
            &numbers[..],
            &numbers[1..],
            &b"[".repeat(1_000_000),
            &[&numbers[..], b"\xFF"].concat(),
        ] {
            let _ = parser.parse(body, |document| document.nodes.len());
            assert!(parser.tape.0.capacity() <= STRUCTURALS_KEPT_MIN);
            assert!(parser.buffers.structural_indexes().len() <= STRUCTURALS_KEPT_MIN);
        }
        let nodes = parser.parse(b"[1,{\"a\":[]}]", |document| document.nodes.len());
        assert_eq!(nodes, Ok(5));
    }
}
