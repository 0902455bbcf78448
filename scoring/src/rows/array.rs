//! A JSON array of rows, cut into its elements while it is read, so that a long array takes no more memory than its
//! longest row.
//!
//! It looks only at brackets, commas and quotes; the reader of an element decides whether it is JSON.

use std::io::{self, BufRead};

use super::ScoreError;
use super::csv_rows::RECORD_BYTES_MAX;

/// How far an array was read.
#[derive(Default)]
pub(super) struct ArrayReader {
    state: State,
    /// Line ends that were read.
    lines: u64,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the bracket that opens it.
    #[default]
    Before,
    /// Before its first element.
    First,
    /// Behind a comma.
    Next,
    /// Behind the bracket that closes it.
    After,
}

/// An element that is being read.
#[derive(Default)]
struct Element {
    depth: usize,
    is_text: bool,
    is_escaped: bool,
    /// The line of its first byte, from 1.
    line: Option<u64>,
}

impl Element {
    /// Whether a byte ends the element.
    fn ends_at(&mut self, byte: u8) -> bool {
        match (self.is_text, byte) {
            (true, _) if self.is_escaped => self.is_escaped = false,
            (true, b'\\') => self.is_escaped = true,
            (_, b'"') => self.is_text = !self.is_text,
            (true, _) => {}
            (false, b',' | b']') if self.depth == 0 => return true,
            (false, b'{' | b'[') => self.depth += 1,
            (false, b'}' | b']') => self.depth = self.depth.saturating_sub(1),
            (false, _) => {}
        }
        false
    }
}

impl ArrayReader {
    /// Adds the next element to `out`, in one line; gives the line it begins on, none at the end of the array.
    pub(super) fn next(&mut self, text: &mut impl BufRead, out: &mut Vec<u8>) -> Result<Option<u64>, ScoreError> {
        if self.state == State::After {
            return Ok(None);
        }
        let start = out.len();
        let mut element = Element::default();
        while let Some(byte) = read(text)? {
            self.lines += u64::from(byte == b'\n');
            if self.state == State::Before {
                // What opened the text has seen the bracket behind white space.
                if byte == b'[' {
                    self.state = State::First;
                }
                continue;
            }
            if element.ends_at(byte) {
                let is_empty = element.line.is_none();
                let was = self.state;
                self.state = State::Next;
                if byte == b']' {
                    self.state = State::After;
                    self.end(text)?;
                    if is_empty && was == State::First {
                        return Ok(None);
                    }
                }
                return Ok(Some(element.line.unwrap_or(self.lines + 1)));
            }
            if element.line.is_none() && byte.is_ascii_whitespace() {
                continue;
            }
            element.line = element.line.or(Some(self.lines + 1 - u64::from(byte == b'\n')));
            // Outside of texts a line's end is white space; inside, no JSON.
            out.push(match byte {
                b'\n' | b'\r' if !element.is_text => b' ',
                byte => byte,
            });
            if out.len() - start > RECORD_BYTES_MAX {
                return Err(ScoreError::LongLine {
                    line: element.line.unwrap_or(1),
                    bytes_max: RECORD_BYTES_MAX,
                });
            }
        }
        Err(ScoreError::OpenArray { line: self.lines + 1 })
    }

    /// Reads on to the end of the text: nothing may stand behind the array.
    fn end(&mut self, text: &mut impl BufRead) -> Result<(), ScoreError> {
        while let Some(byte) = read(text)? {
            self.lines += u64::from(byte == b'\n');
            if !byte.is_ascii_whitespace() {
                return Err(ScoreError::BehindArray { line: self.lines + 1 });
            }
        }
        Ok(())
    }
}

/// The next byte; none at the end.
fn read(text: &mut impl BufRead) -> Result<Option<u8>, ScoreError> {
    loop {
        match text.fill_buf() {
            Ok(bytes) => {
                let byte = bytes.first().copied();
                text.consume(usize::from(byte.is_some()));
                return Ok(byte);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(ScoreError::Read(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elements(text: &str) -> Result<Vec<(u64, String)>, String> {
        let (mut array, mut bytes, mut elements) = (ArrayReader::default(), text.as_bytes(), Vec::new());
        loop {
            let mut out = Vec::new();
            match array.next(&mut bytes, &mut out) {
                Ok(Some(line)) => elements.push((line, String::from_utf8(out).unwrap())),
                Ok(None) => return Ok(elements),
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    #[test]
    fn elements_are_cut_at_commas_outside_of_them() {
        let of = |text: &str| {
            let elements = elements(text).unwrap();
            elements
                .into_iter()
                .map(|(line, text)| format!("{line}:{text}"))
                .collect::<Vec<_>>()
        };
        assert_eq!(of("[]"), [""; 0]);
        assert_eq!(of(" [ \r\n ] \n"), [""; 0]);
        assert_eq!(
            of("[{\"a\":[1,2]},{\"a\":\"],\\\"\"}]"),
            ["1:{\"a\":[1,2]}", "1:{\"a\":\"],\\\"\"}"]
        );
        assert_eq!(of("[\n{\n\"a\":\r\n1},\n\n{}]\n"), ["2:{ \"a\":  1}", "6:{}"]);
        assert_eq!(
            of("[1,,2,]"),
            ["1:1", "1:", "1:2", "1:"],
            "what is empty is no JSON, and its reader says so"
        );
        assert_eq!(of("[},1]"), ["1:}", "1:1"]);
    }

    #[test]
    fn an_array_ends_and_nothing_is_behind_it() {
        assert_eq!(
            elements("[{},\n{}").unwrap_err(),
            "the array of rows does not end: line 2 is the last, and no ] closes it"
        );
        assert_eq!(
            elements("[{}]\n x").unwrap_err(),
            "line 2 has something behind the ] that closes the array of rows"
        );
    }
}
