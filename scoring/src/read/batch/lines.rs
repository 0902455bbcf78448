//! One lead on each line, from a body that comes in pieces. Memory is one piece and one line.

use bytes::{Buf, Bytes};
use memchr::memchr;

use super::{LeadPlace, Piece, Pieces};

/// Cuts a body into lines.
#[derive(Debug)]
pub struct Lines {
    /// Bytes of a line at most.
    line_bytes_max: usize,
    /// Leads at most.
    leads_max: usize,
    /// What came last and is not read yet.
    piece: Bytes,
    /// The start of a line whose end has not come.
    start: Vec<u8>,
    /// The line that was handed on last; it lives until the next one is asked for.
    line: Line,
    /// Whether the line under way is too long already: the rest of it is passed over.
    is_too_long: bool,
    has_ended: bool,
    /// Lines begun.
    number: u64,
    leads: usize,
    is_over: bool,
}

/// Where the current line is.
#[derive(Debug)]
enum Line {
    /// A part of one piece.
    Whole(Bytes),
    /// In [`Lines::start`], which its end was added to.
    Joined,
}

impl Lines {
    /// With at most this many leads, each of at most this many bytes.
    #[must_use]
    pub fn new(line_bytes_max: usize, leads_max: usize) -> Self {
        Self {
            line_bytes_max,
            leads_max,
            piece: Bytes::new(),
            start: Vec::new(),
            line: Line::Whole(Bytes::new()),
            is_too_long: false,
            has_ended: false,
            number: 0,
            leads: 0,
            is_over: false,
        }
    }

    /// Adds what has come; the piece before must be read up.
    pub fn add(&mut self, piece: Bytes) {
        debug_assert!(self.piece.is_empty(), "a piece is read up before the next one comes");
        self.piece = piece;
    }

    /// Bytes of the line that has only begun.
    pub fn kept_bytes(&self) -> usize {
        self.start.capacity()
    }

    /// Nothing more will come: the last line may lack its end.
    pub fn end(&mut self) {
        self.has_ended = true;
    }

    /// Whether nothing can be read before more comes.
    pub fn wants_more(&self) -> bool {
        !self.has_ended && memchr(b'\n', &self.piece).is_none()
    }

    /// Whether there are more leads than there may be; the first of these is on the line of this number.
    pub fn is_over(&self) -> Option<u64> {
        self.is_over.then_some(self.number)
    }

    /// The line that was read last, or that is being read.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The line after the last one, if there is a whole one.
    fn advance(&mut self) -> Option<Ended> {
        if matches!(self.line, Line::Joined) {
            self.start.clear();
            self.line = Line::Whole(Bytes::new());
        }
        let Some(end) = memchr(b'\n', &self.piece) else {
            let rest = std::mem::take(&mut self.piece);
            self.keep(&rest);
            let is_last = self.has_ended && (!self.start.is_empty() || self.is_too_long);
            return is_last.then(|| self.joined());
        };
        let text = self.piece.split_to(end);
        self.piece.advance(1);
        if self.start.is_empty() && !self.is_too_long {
            self.number += 1;
            self.line = Line::Whole(text);
            return Some(Ended { is_too_long: false });
        }
        self.keep(&text);
        Some(self.joined())
    }

    fn joined(&mut self) -> Ended {
        self.number += 1;
        self.line = Line::Joined;
        let is_too_long = std::mem::take(&mut self.is_too_long);
        Ended { is_too_long }
    }

    /// Adds to the start of a line, or lets it go when that becomes too long.
    fn keep(&mut self, more: &[u8]) {
        if self.is_too_long || more.len() > self.line_bytes_max - self.start.len() {
            self.is_too_long = true;
            self.start = Vec::new();
        } else {
            self.start.extend_from_slice(more);
        }
    }

    fn text(&self) -> &[u8] {
        match &self.line {
            Line::Whole(text) => text,
            Line::Joined => &self.start,
        }
    }
}

/// A line is complete.
struct Ended {
    is_too_long: bool,
}

impl Pieces for Lines {
    fn next(&mut self) -> Option<Piece<'_>> {
        loop {
            if self.is_over {
                return None;
            }
            let is_too_long = self.advance()?.is_too_long || self.text().len() > self.line_bytes_max;
            // Clients separate blocks by empty lines and end with one.
            if !is_too_long && self.text().trim_ascii().is_empty() {
                continue;
            }
            if self.leads == self.leads_max {
                self.is_over = true;
                return None;
            }
            self.leads += 1;
            return Some(Piece {
                place: LeadPlace::Line(self.number),
                text: (!is_too_long).then(|| self.text()),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The number of a line, and its text unless that is too long.
    type Read = (u64, Option<Vec<u8>>);

    /// What is read of a body in pieces of this size.
    fn read(body: &[u8], piece_bytes: usize, mut lines: Lines) -> (Vec<Read>, Lines) {
        let mut read = Vec::new();
        let mut pieces = body.chunks(piece_bytes);
        loop {
            while let Some(piece) = lines.next() {
                let LeadPlace::Line(number) = piece.place else {
                    unreachable!()
                };
                read.push((number, piece.text.map(<[u8]>::to_vec)));
            }
            if lines.is_over().is_some() || lines.has_ended {
                return (read, lines);
            }
            assert!(lines.wants_more());
            match pieces.next() {
                Some(piece) => lines.add(Bytes::copy_from_slice(piece)),
                None => lines.end(),
            }
        }
    }

    #[test]
    fn pieces_of_any_size_give_the_same_lines() {
        let body = b"{\"a\":1}\r\n\n{}\n  \n[\n\nlast";
        let wanted: Vec<Read> = [(1, &b"{\"a\":1}\r"[..]), (3, b"{}"), (5, b"["), (7, b"last")]
            .map(|(number, text)| (number, Some(text.to_vec())))
            .into();
        for size in 1..=body.len() {
            assert_eq!(read(body, size, Lines::new(10, 4)).0, wanted, "pieces of {size}");
        }
        assert_eq!(read(b"", 1, Lines::new(10, 4)).0, []);
        assert_eq!(read(b"\n\n \n", 1, Lines::new(10, 4)).0, []);
    }

    #[test]
    fn a_line_that_is_too_long_is_passed_over() {
        let body = b"12345\n123456\n1\n12345678901234567890\n12345\n1234567";
        for size in 1..=body.len() {
            let (read, lines) = read(body, size, Lines::new(5, 10));
            let lengths: Vec<_> = read.iter().map(|(_, text)| text.as_ref().map(Vec::len)).collect();
            assert_eq!(
                lengths,
                [Some(5), None, Some(1), None, Some(5), None],
                "pieces of {size}"
            );
            assert!(lines.start.capacity() <= 16, "what is passed over is not kept");
        }
    }

    #[test]
    fn one_lead_too_many_ends_it_and_says_where() {
        for size in 1..=8 {
            let (read, lines) = read(b"1\n\n2\n\n3\n4\n", size, Lines::new(5, 2));
            assert_eq!(read.len(), 2);
            assert_eq!(lines.is_over(), Some(5), "pieces of {size}");
        }
        let (read, lines) = read(b"1\n2\n\n \n", 3, Lines::new(5, 2));
        assert_eq!((read.len(), lines.is_over()), (2, None), "blank lines are no leads");
    }
}
