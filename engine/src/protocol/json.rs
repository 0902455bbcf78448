//! A cursor over a JSON text, for the protocols whose bodies are more than a lead: names, lists and numbers in one pass,
//! with the reader of numbers that leads have. Nothing is copied.

use std::borrow::Cow;

use quintile_scoring::read::number;

/// Levels of nesting that are followed. The deepest protocol has six.
const NESTING_MAX: usize = 16;

/// A place where the text is not what it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JsonError {
    /// The byte.
    pub offset: usize,
    /// What would be right there.
    pub wanted: &'static str,
}

/// A string of the text, without its quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    start: usize,
    end: usize,
    has_escapes: bool,
}

/// A value that holds no others.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scalar {
    /// `null`
    Null,
    /// `true` or `false`
    Boolean(bool),
    /// A number, NaN where the token is taken.
    Number(f64),
    /// A string.
    Text(Span),
}

/// A place in a text.
#[derive(Debug, Clone, Copy)]
pub struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
    takes_nan: bool,
}

impl Span {
    /// The string.
    #[must_use]
    pub fn text<'a>(&self, text: &'a [u8]) -> Option<Cow<'a, str>> {
        let inner = text.get(self.start..self.end)?;
        if !self.has_escapes {
            return std::str::from_utf8(inner).ok().map(Cow::Borrowed);
        }
        let quoted = text.get(self.start - 1..self.end + 1)?;
        serde_json::from_slice(quoted).ok().map(Cow::Owned)
    }

    /// Its bytes as they stand.
    #[must_use]
    pub fn raw<'a>(&self, text: &'a [u8]) -> &'a [u8] {
        text.get(self.start..self.end).unwrap_or_default()
    }

    /// Where it begins.
    #[must_use]
    pub fn offset(&self) -> usize {
        self.start
    }
}

impl<'a> Cursor<'a> {
    /// At a place of a text. `takes_nan` is whether the token `NaN` is a number.
    #[must_use]
    pub fn new(text: &'a [u8], at: usize, takes_nan: bool) -> Self {
        Self { text, at, takes_nan }
    }

    /// The place.
    #[must_use]
    pub fn at(&self) -> usize {
        self.at
    }

    /// Goes on at another place.
    pub fn go_to(&mut self, at: usize) {
        self.at = at;
    }

    /// That something else should stand here.
    #[cold]
    #[must_use]
    pub fn wrong(&self, wanted: &'static str) -> JsonError {
        JsonError {
            offset: self.at,
            wanted,
        }
    }

    /// The next byte that is no whitespace.
    #[inline]
    pub fn peek(&mut self) -> Option<u8> {
        loop {
            let byte = *self.text.get(self.at)?;
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Some(byte);
            }
            self.at += 1;
        }
    }

    /// Goes on behind the byte that was peeked at.
    #[inline]
    pub fn step(&mut self) {
        self.at += 1;
    }

    /// Takes one byte.
    ///
    /// # Errors
    /// Another one stands there.
    pub fn take(&mut self, byte: u8, wanted: &'static str) -> Result<(), JsonError> {
        if self.peek() != Some(byte) {
            return Err(self.wrong(wanted));
        }
        self.at += 1;
        Ok(())
    }

    /// Nothing but whitespace follows.
    ///
    /// # Errors
    /// Something does.
    pub fn end(&mut self) -> Result<(), JsonError> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.wrong("the end of the JSON text")),
        }
    }

    /// The next key of an object whose brace is taken, and its colon; none at the end of the object.
    ///
    /// # Errors
    /// Neither stands there.
    pub fn member(&mut self, is_first: &mut bool) -> Result<Option<Span>, JsonError> {
        if !self.goes_on(is_first, b'}')? {
            return Ok(None);
        }
        let key = self.string()?;
        self.take(b':', "a colon")?;
        Ok(Some(key))
    }

    /// Whether another element of a list whose bracket is taken follows.
    ///
    /// # Errors
    /// Neither an element nor the end stands there.
    pub fn element(&mut self, is_first: &mut bool) -> Result<bool, JsonError> {
        self.goes_on(is_first, b']')
    }

    fn goes_on(&mut self, is_first: &mut bool, end: u8) -> Result<bool, JsonError> {
        match self.peek() {
            Some(byte) if byte == end => {
                self.at += 1;
                *is_first = false;
                return Ok(false);
            }
            _ if std::mem::take(is_first) => return Ok(true),
            Some(b',') => self.at += 1,
            _ => return Err(self.wrong("a comma or the end of the list or object")),
        }
        match self.peek() {
            Some(byte) if byte != end => Ok(true),
            _ => Err(self.wrong("a value behind the comma")),
        }
    }

    /// A string.
    ///
    /// # Errors
    /// None stands there, or it does not end.
    pub fn string(&mut self) -> Result<Span, JsonError> {
        self.take(b'"', "a string")?;
        let start = self.at;
        let mut has_escapes = false;
        loop {
            match self.text.get(self.at) {
                Some(b'"') => {
                    let end = self.at;
                    self.at += 1;
                    return Ok(Span {
                        start,
                        end,
                        has_escapes,
                    });
                }
                Some(b'\\') => {
                    has_escapes = true;
                    self.at += 2;
                }
                Some(0..0x20) | None => {
                    self.at = self.at.min(self.text.len());
                    return Err(self.wrong("the end of a string"));
                }
                Some(_) => self.at += 1,
            }
        }
    }

    /// A value that holds no others.
    ///
    /// # Errors
    /// None stands there.
    #[inline]
    pub fn scalar(&mut self) -> Result<Scalar, JsonError> {
        match self.peek() {
            Some(b'"') => self.string().map(Scalar::Text),
            Some(b'-' | b'0'..=b'9') => self.number().map(Scalar::Number),
            Some(b'n') => self.word(b"null", Scalar::Null),
            Some(b't') => self.word(b"true", Scalar::Boolean(true)),
            Some(b'f') => self.word(b"false", Scalar::Boolean(false)),
            Some(b'N') if self.takes_nan => self.word(b"NaN", Scalar::Number(f64::NAN)),
            _ => Err(self.wrong("a number, a string, a boolean or null")),
        }
    }

    #[inline]
    fn number(&mut self) -> Result<f64, JsonError> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let Some((number, behind)) = number(rest) else {
            return Err(self.wrong("a number that a double holds"));
        };
        self.at = self.text.len() - behind.len();
        Ok(number)
    }

    fn word(&mut self, word: &[u8], value: Scalar) -> Result<Scalar, JsonError> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        if !rest.starts_with(word) {
            return Err(self.wrong("a number, a string, a boolean or null"));
        }
        self.at += word.len();
        Ok(value)
    }

    /// Goes past any value.
    ///
    /// # Errors
    /// None stands there, or it is nested too deeply.
    pub fn skip(&mut self) -> Result<(), JsonError> {
        // A bit a level: whether it is an object. The lowest is the innermost one's.
        let (mut kinds, mut depth, mut is_first) = (0_u32, 0_usize, true);
        loop {
            if depth > 0 {
                let goes_on = if kinds & 1 == 1 {
                    self.member(&mut is_first)?.is_some()
                } else {
                    self.element(&mut is_first)?
                };
                if !goes_on {
                    depth -= 1;
                    kinds >>= 1;
                    if depth == 0 {
                        return Ok(());
                    }
                    continue;
                }
            }
            match self.peek() {
                Some(bracket @ (b'{' | b'[')) => {
                    if depth == NESTING_MAX {
                        return Err(self.wrong("less nesting"));
                    }
                    self.at += 1;
                    depth += 1;
                    kinds = kinds << 1 | u32::from(bracket == b'{');
                    is_first = true;
                }
                _ => {
                    self.scalar()?;
                    if depth == 0 {
                        return Ok(());
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn skipped(text: &str) -> Result<(), JsonError> {
        let mut cursor = Cursor::new(text.as_bytes(), 0, false);
        cursor.skip()?;
        cursor.end()
    }

    #[test]
    fn what_is_json_is_passed_and_what_is_not_is_refused() {
        for text in [
            "1",
            " {} ",
            "[]",
            "[1,[2,{\"a\":[null,true,false]}],\"x\\\"]\"]",
            "{\"a\":{\"b\":[]},\"c\":-1e-3}",
        ] {
            assert_eq!(skipped(text), Ok(()), "{text}");
            assert!(serde_json::from_str::<serde_json::Value>(text).is_ok());
        }
        let deep = "[".repeat(40);
        for text in [
            "",
            "[1,]",
            "[1 2]",
            "{\"a\"}",
            "{\"a\":1,}",
            "[1}",
            "nul",
            "\"abc",
            "\"a\\",
            "NaN",
            "01",
            "1 1",
            "{1:2}",
            "[,1]",
            &deep,
        ] {
            assert!(skipped(text).is_err(), "{text}");
        }
        let mut cursor = Cursor::new(b"NaN", 0, true);
        assert!(matches!(cursor.scalar(), Ok(Scalar::Number(number)) if number.is_nan()));
    }

    #[test]
    fn strings_with_escapes_are_what_they_mean() {
        let text = br#" "gr\u00f6\"sse" "#;
        let span = Cursor::new(text, 0, false).string().expect("a string");
        assert_eq!(span.text(text).as_deref(), Some("grö\"sse"));
        let plain = Cursor::new(b"\"abc\"", 0, false).string().expect("a string");
        assert_eq!(plain.text(b"\"abc\"").as_deref(), Some("abc"));
    }
}
