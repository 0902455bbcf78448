//! The slow reader: where a body stops being JSON, and why.
//!
//! simd-json's own errors name no usable place, so a body it refused is read once more, byte by byte, without recursion
//! and without allocating. It is as strict about RFC 8259 as simd-json; tests check that both accept and refuse the
//! same bodies.

use std::fmt;
use std::ops::Range;

use crate::limits::BODY_NESTING_MAX;

/// Where a body stops being JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JsonFault {
    /// Bytes before it.
    pub offset: usize,
    /// What is wrong there.
    pub reason: JsonReason,
}

/// Why a body is not JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JsonReason {
    /// Nothing but whitespace.
    Empty,
    /// A byte-order mark.
    ByteOrderMark,
    /// Bytes that are not UTF-8.
    Utf8,
    /// The end, in the middle of a value.
    End,
    /// More after the value.
    Trailing,
    /// A byte where something else must stand.
    Expected(Expected),
    /// A string without its closing quote. The offset is that of the opening one.
    Unterminated,
    /// A control character that is not escaped.
    Control,
    /// A backslash before something that is no escape.
    Escape,
    /// A `\u` escape of half a surrogate pair.
    Surrogate,
    /// A number like `01`.
    LeadingZero,
    /// A number like `1.` or `1e` or `-`.
    Digit,
    /// `NaN` or `Infinity`.
    NotFinite,
    /// More levels than [`BODY_NESTING_MAX`].
    Deep,
    /// The parser refuses what this reader takes. No such body is known.
    Refused,
}

/// What must stand somewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// A value.
    Value,
    /// A key in quotes.
    Key,
    /// A key, or the end of the object.
    KeyOrEnd,
    /// The colon after a key.
    Colon,
    /// A comma, or the end of the object.
    CommaOrBrace,
    /// A comma, or the end of the array.
    CommaOrBracket,
}

impl fmt::Display for JsonFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { offset, reason } = self;
        write!(f, "not JSON at byte {offset}: {reason}")
    }
}

impl fmt::Display for JsonReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the body is empty",
            Self::ByteOrderMark => "a byte-order mark is not accepted",
            Self::Utf8 => "invalid UTF-8",
            Self::End => "the body ends too early",
            Self::Trailing => "something follows the end of the value",
            Self::Expected(Expected::Value) => "expected a value",
            Self::Expected(Expected::Key) => "expected a key in double quotes",
            Self::Expected(Expected::KeyOrEnd) => "expected a key in double quotes or `}`",
            Self::Expected(Expected::Colon) => "expected `:`",
            Self::Expected(Expected::CommaOrBrace) => "expected `,` or `}`",
            Self::Expected(Expected::CommaOrBracket) => "expected `,` or `]`",
            Self::Unterminated => "the string that begins here has no end",
            Self::Control => "control character in a string; it must be escaped",
            Self::Escape => "invalid escape in a string",
            Self::Surrogate => "half a surrogate pair in a string",
            Self::LeadingZero => "a number must not begin with 0 and another digit",
            Self::Digit => "expected a digit",
            Self::NotFinite => "NaN and Infinity are not JSON; send null for a missing value",
            Self::Deep => return write!(f, "more than {BODY_NESTING_MAX} levels of nesting"),
            Self::Refused => "refused by the parser",
        })
    }
}

/// Reads a body. `huge` gets the places of numbers that no double can hold, which are valid JSON.
///
/// # Errors
/// The first fault.
pub fn scan(body: &[u8], huge: impl FnMut(Range<usize>)) -> Result<(), JsonFault> {
    let Err(error) = std::str::from_utf8(body) else {
        return Scanner::resume(body, 0, 0..0).document(huge);
    };
    let offset = error.valid_up_to();
    let before = Scanner::resume(&body[..offset], 0, 0..0).document(huge);
    Err(before_bad_utf8(before, offset))
}

/// The first fault of a body that is no UTF-8 from `offset` on, of which the part before was read.
pub(super) fn before_bad_utf8(before: Result<(), JsonFault>, offset: usize) -> JsonFault {
    match before {
        // A fault that only comes from stopping here does not count.
        Err(fault)
            if fault.offset < offset && !matches!(fault.reason, JsonReason::Unterminated | JsonReason::Empty) =>
        {
            fault
        }
        _ => JsonFault {
            offset,
            reason: JsonReason::Utf8,
        },
    }
}

/// The containers that are open, a bit each: set for an object.
#[derive(Debug, Default)]
pub(super) struct Nesting {
    depth: usize,
    objects: u32,
}

const _: () = assert!(BODY_NESTING_MAX <= 32, "the scanner keeps a bit for each level");

impl Nesting {
    pub(super) fn depth(&self) -> usize {
        self.depth
    }

    fn push(&mut self, object: bool) -> bool {
        self.depth += 1;
        self.objects = self.objects << 1 | u32::from(object);
        self.depth <= BODY_NESTING_MAX
    }

    fn pop(&mut self) {
        self.depth -= 1;
        self.objects >>= 1;
    }

    fn in_object(&self) -> bool {
        self.objects & 1 == 1
    }
}

/// Reads JSON token by token. It may stop between any two values and be resumed.
pub(super) struct Scanner<'a> {
    body: &'a [u8],
    at: usize,
    /// The key that was read last, with its quotes.
    key: Range<usize>,
}

impl<'a> Scanner<'a> {
    /// Reads on at a place, behind a key.
    pub(super) fn resume(body: &'a [u8], at: usize, key: Range<usize>) -> Self {
        Self { body, at, key }
    }

    /// What [`Self::resume`] takes.
    pub(super) fn position(&self) -> (usize, Range<usize>) {
        (self.at, self.last_key())
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn last_key(&self) -> Range<usize> {
        self.key.clone()
    }

    pub(super) fn text(&self, range: Range<usize>) -> &'a [u8] {
        &self.body[range]
    }

    /// What comes before the first value.
    pub(super) fn begin(&mut self) -> Result<(), JsonFault> {
        if self.body.starts_with(b"\xEF\xBB\xBF") {
            return self.fail(JsonReason::ByteOrderMark);
        }
        self.whitespace();
        if self.peek().is_none() {
            return fault(0, JsonReason::Empty);
        }
        Ok(())
    }

    fn document(mut self, mut huge: impl FnMut(Range<usize>)) -> Result<(), JsonFault> {
        self.begin()?;
        let mut nesting = Nesting::default();
        loop {
            let opened = self.value(&mut nesting, &mut huge)?;
            if opened {
                continue;
            }
            if self.close(&mut nesting)? {
                return Ok(());
            }
        }
    }

    /// Reads a scalar or an empty container, or enters one: then it stands before the first value and returns true.
    pub(super) fn value(
        &mut self,
        nesting: &mut Nesting,
        huge: &mut impl FnMut(Range<usize>),
    ) -> Result<bool, JsonFault> {
        self.whitespace();
        match self.peek() {
            Some(open @ (b'{' | b'[')) => {
                let object = open == b'{';
                if !nesting.push(object) {
                    return self.fail(JsonReason::Deep);
                }
                self.at += 1;
                self.whitespace();
                if self.peek() == Some(if object { b'}' } else { b']' }) {
                    self.at += 1;
                    nesting.pop();
                    return Ok(false);
                }
                if object {
                    self.key(Expected::KeyOrEnd)?;
                }
                Ok(true)
            }
            Some(b'"') => self.string().map(|()| false),
            Some(b'-' | b'0'..=b'9') => self.number(huge).map(|()| false),
            Some(b't') => self.literal(b"true").map(|()| false),
            Some(b'f') => self.literal(b"false").map(|()| false),
            Some(b'n') => self.literal(b"null").map(|()| false),
            _ => self.no_value(),
        }
    }

    /// After a value: closes what ends here, up to the next value (false) or the end of the body (true).
    pub(super) fn close(&mut self, nesting: &mut Nesting) -> Result<bool, JsonFault> {
        while nesting.depth > 0 {
            self.whitespace();
            let object = nesting.in_object();
            match (self.peek(), object) {
                (Some(b','), _) => {
                    self.at += 1;
                    if object {
                        self.whitespace();
                        self.key(Expected::Key)?;
                    }
                    return Ok(false);
                }
                (Some(b'}'), true) | (Some(b']'), false) => {
                    self.at += 1;
                    nesting.pop();
                }
                (_, true) => return self.expected(Expected::CommaOrBrace),
                (_, false) => return self.expected(Expected::CommaOrBracket),
            }
        }
        self.whitespace();
        if self.peek().is_some() {
            return self.fail(JsonReason::Trailing);
        }
        Ok(true)
    }

    fn key(&mut self, expected: Expected) -> Result<(), JsonFault> {
        if self.peek() != Some(b'"') {
            return self.expected(expected);
        }
        let start = self.at;
        self.string()?;
        self.key = start..self.at;
        self.whitespace();
        if self.peek() != Some(b':') {
            return self.expected(Expected::Colon);
        }
        self.at += 1;
        Ok(())
    }

    fn string(&mut self) -> Result<(), JsonFault> {
        let open = self.at;
        self.at += 1;
        loop {
            match self.peek() {
                None => return fault(open, JsonReason::Unterminated),
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => self.escape(open)?,
                Some(0..0x20) => return self.fail(JsonReason::Control),
                Some(_) => self.at += 1,
            }
        }
    }

    fn escape(&mut self, open: usize) -> Result<(), JsonFault> {
        match self.body.get(self.at + 1) {
            None => fault(open, JsonReason::Unterminated),
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 2;
                Ok(())
            }
            Some(b'u') => match self.unicode(self.at) {
                None => self.fail(JsonReason::Escape),
                Some(0xDC00..0xE000) => self.fail(JsonReason::Surrogate),
                Some(0xD800..0xDC00) => match self.unicode(self.at + 6) {
                    Some(0xDC00..0xE000) => {
                        self.at += 12;
                        Ok(())
                    }
                    _ => self.fail(JsonReason::Surrogate),
                },
                Some(_) => {
                    self.at += 6;
                    Ok(())
                }
            },
            Some(_) => self.fail(JsonReason::Escape),
        }
    }

    /// The four digits of an escape that begins at `at`.
    fn unicode(&self, at: usize) -> Option<u32> {
        let digits = self.body.get(at..at + 6)?.strip_prefix(b"\\u")?;
        digits.iter().try_fold(0, |unit, &digit| {
            char::from(digit).to_digit(16).map(|digit| unit << 4 | digit)
        })
    }

    fn number(&mut self, huge: &mut impl FnMut(Range<usize>)) -> Result<(), JsonFault> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
            if matches!(self.peek(), Some(b'I' | b'N')) {
                return fault(start, JsonReason::NotFinite);
            }
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
            if matches!(self.peek(), Some(b'0'..=b'9')) {
                return fault(self.at - 1, JsonReason::LeadingZero);
            }
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        let text = std::str::from_utf8(&self.body[start..self.at]).unwrap_or_default();
        if text.parse().is_ok_and(f64::is_infinite) {
            huge(start..self.at);
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), JsonFault> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at > start {
            return Ok(());
        }
        if self.peek().is_none() {
            return self.fail(JsonReason::End);
        }
        self.fail(JsonReason::Digit)
    }

    fn literal(&mut self, word: &[u8]) -> Result<(), JsonFault> {
        let rest = &self.body[self.at..];
        if rest.starts_with(word) {
            self.at += word.len();
            return Ok(());
        }
        if word.starts_with(rest) {
            return fault(self.body.len(), JsonReason::End);
        }
        self.no_value()
    }

    fn no_value<T>(&self) -> Result<T, JsonFault> {
        let rest = &self.body[self.at..];
        let infinite = ["NaN", "nan", "Infinity", "Inf", "inf"];
        if infinite.iter().any(|word| rest.starts_with(word.as_bytes())) {
            return self.fail(JsonReason::NotFinite);
        }
        self.expected(Expected::Value)
    }

    fn expected<T>(&self, expected: Expected) -> Result<T, JsonFault> {
        match self.peek() {
            None => self.fail(JsonReason::End),
            Some(_) => self.fail(JsonReason::Expected(expected)),
        }
    }

    fn fail<T>(&self, reason: JsonReason) -> Result<T, JsonFault> {
        fault(self.at, reason)
    }

    pub(super) fn whitespace(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.body.get(self.at).copied()
    }
}

fn fault<T>(offset: usize, reason: JsonReason) -> Result<T, JsonFault> {
    Err(JsonFault { offset, reason })
}
