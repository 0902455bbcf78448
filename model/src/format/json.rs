//! JSON as XGBoost writes and reads it: `NaN`, `Infinity` and `-Infinity` have no quotes, and a number with a point or
//! an exponent is an `f32`, rounded once from the text (`src/common/json.cc`, `JsonReader::ParseNumber`).
//!
//! Stricter than the library where a damaged file would pass: nothing may follow the document, keys do not repeat,
//! integers fit 64 bits, nesting is bounded.

use super::FormatError;
use super::document::{ArrayBuilder, Budget, Object, Value};
use crate::limits::NESTING_MAX;

/// Reads a whole document whose numbers are `f32`.
pub(super) fn parse(bytes: &[u8]) -> Result<Value, FormatError> {
    document(bytes, false)
}

/// Reads a whole document whose numbers are `f64`.
pub(super) fn parse_doubles(bytes: &[u8]) -> Result<Value, FormatError> {
    document(bytes, true)
}

fn document(bytes: &[u8], is_double: bool) -> Result<Value, FormatError> {
    let mut reader = Reader {
        bytes,
        is_double,
        at: 0,
        depth: 0,
        budget: Budget::new(bytes.len()),
    };
    let value = reader.value()?;
    reader.skip_space();
    match reader.peek() {
        None => Ok(value),
        Some(_) => Err(reader.fault("the document has ended, but the file has not")),
    }
}

struct Reader<'b> {
    bytes: &'b [u8],
    is_double: bool,
    at: usize,
    depth: usize,
    budget: Budget,
}

impl<'b> Reader<'b> {
    fn fault(&self, message: impl Into<String>) -> FormatError {
        FormatError::Syntax {
            format: "JSON",
            offset: self.at,
            message: message.into(),
        }
    }

    fn unexpected(&self, accepted: &str) -> FormatError {
        match self.peek() {
            None => self.fault(format!("the file ends where {accepted} is accepted: it is cut off")),
            Some(byte) => self.fault(format!("{accepted} is accepted, not {:?}", char::from(byte))),
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    fn expect(&mut self, byte: u8) -> Result<(), FormatError> {
        self.skip_space();
        if self.peek() != Some(byte) {
            return Err(self.unexpected(&format!("{:?}", char::from(byte))));
        }
        self.at += 1;
        Ok(())
    }

    fn word(&mut self, word: &'static str, value: Value) -> Result<Value, FormatError> {
        if !self.bytes[self.at..].starts_with(word.as_bytes()) {
            return Err(self.fault(format!("{word:?} is accepted here")));
        }
        self.at += word.len();
        Ok(value)
    }

    fn value(&mut self) -> Result<Value, FormatError> {
        self.skip_space();
        match self.peek() {
            Some(b'{') => self.nested(Self::object),
            Some(b'[') => self.nested(Self::array),
            Some(b'"') => self.string().map(Value::Text),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(b'n') => self.word("null", Value::Null),
            Some(b'N') => self.word("NaN", Value::Float(f32::NAN)),
            Some(b'I') => self.word("Infinity", Value::Float(f32::INFINITY)),
            Some(b'-') if self.bytes.get(self.at + 1) == Some(&b'I') => {
                self.word("-Infinity", Value::Float(f32::NEG_INFINITY))
            }
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => Err(self.unexpected("a value")),
        }
    }

    fn nested(&mut self, read: fn(&mut Self) -> Result<Value, FormatError>) -> Result<Value, FormatError> {
        if self.depth == NESTING_MAX {
            return Err(self.fault(format!("values nest deeper than the {NESTING_MAX} levels accepted")));
        }
        self.depth += 1;
        self.at += 1;
        let value = read(self);
        self.depth -= 1;
        value
    }

    fn object(&mut self) -> Result<Value, FormatError> {
        let (mut fields, mut places) = (Vec::new(), Vec::new());
        self.skip_space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Value::Object(Object::default()));
        }
        loop {
            self.skip_space();
            places.push(self.at);
            if self.peek() != Some(b'"') {
                return Err(self.unexpected("a key"));
            }
            let key = self.string()?;
            self.expect(b':')?;
            let value = self.value()?;
            self.budget.take(1).map_err(|message| self.fault(message))?;
            fields.push((key.into_boxed_str(), value));
            self.skip_space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => break,
                _ => return Err(self.unexpected("',' or '}'")),
            }
        }
        let object = Object::try_new(fields, &places).map_err(|place| {
            self.at = place;
            self.fault("the object has this key twice")
        })?;
        self.at += 1;
        Ok(Value::Object(object))
    }

    fn array(&mut self) -> Result<Value, FormatError> {
        let mut array = ArrayBuilder::new();
        self.skip_space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(array.finish());
        }
        loop {
            let value = self.value()?;
            array
                .push(value, &mut self.budget)
                .map_err(|message| self.fault(message))?;
            self.skip_space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => break,
                _ => return Err(self.unexpected("',' or ']'")),
            }
        }
        self.at += 1;
        Ok(array.finish())
    }

    fn number(&mut self) -> Result<Value, FormatError> {
        let start = self.at;
        let is_part = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E');
        while self.peek().is_some_and(is_part) {
            self.at += 1;
        }
        let text = std::str::from_utf8(&self.bytes[start..self.at]).unwrap_or_default();
        let value = if text.contains(['.', 'e', 'E']) {
            match self.is_double {
                true => text.parse().ok().map(Value::Double),
                false => text.parse().ok().map(Value::Float),
            }
        } else {
            let wide = || text.parse().ok().filter(|_| self.is_double).map(Value::Double);
            text.parse().ok().map(Value::Int).or_else(wide)
        };
        value.ok_or_else(|| {
            let message = format!("{:?} is no number that fits 64 bits", super::document::shortened(text));
            FormatError::Syntax {
                format: "JSON",
                offset: start,
                message,
            }
        })
    }

    /// A string; the reader stands on its opening quote.
    fn string(&mut self) -> Result<String, FormatError> {
        self.at += 1;
        let mut text = Vec::new();
        loop {
            let rest = &self.bytes[self.at..];
            let plain = rest
                .iter()
                .take_while(|&&byte| byte != b'"' && byte != b'\\' && byte >= b' ')
                .count();
            text.extend_from_slice(&rest[..plain]);
            self.at += plain;
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => self.escape(&mut text)?,
                Some(_) => return Err(self.fault("a control character stands in a string")),
                None => return Err(self.unexpected("the end of a string")),
            }
        }
        let text = String::from_utf8(text).map_err(|_| self.fault("the string that ends here is not UTF-8"))?;
        self.at += 1;
        Ok(text)
    }

    fn escape(&mut self, text: &mut Vec<u8>) -> Result<(), FormatError> {
        let plain = match self.bytes.get(self.at + 1) {
            Some(b'u') => return self.unicode_escape(text),
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(b'b') => 8,
            Some(b'f') => 12,
            Some(&byte @ (b'"' | b'\\' | b'/')) => byte,
            _ => return Err(self.fault("an unknown escape")),
        };
        text.push(plain);
        self.at += 2;
        Ok(())
    }

    fn unicode_escape(&mut self, text: &mut Vec<u8>) -> Result<(), FormatError> {
        let high = self.code_unit(self.at)?;
        let is_pair = (0xD800..0xDC00).contains(&high);
        let code = if is_pair {
            let low = self.code_unit(self.at + 6)?;
            0x10000 + ((high - 0xD800) << 10) + (low.wrapping_sub(0xDC00) & 0x3FF)
        } else {
            high
        };
        let character = char::from_u32(code).ok_or_else(|| self.fault("half a surrogate pair"))?;
        text.extend(character.encode_utf8(&mut [0; 4]).as_bytes());
        self.at += if is_pair { 12 } else { 6 };
        Ok(())
    }

    fn code_unit(&self, at: usize) -> Result<u32, FormatError> {
        let unit = self.bytes.get(at..at + 6).filter(|unit| unit.starts_with(b"\\u"));
        let digits = unit.and_then(|unit| std::str::from_utf8(&unit[2..]).ok());
        let digits = digits.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        digits
            .and_then(|digits| u32::from_str_radix(digits, 16).ok())
            .ok_or_else(|| self.fault("\\u and four digits"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn floats(text: &str) -> Vec<u32> {
        match parse(text.as_bytes()) {
            Ok(Value::Floats(floats)) => floats.iter().map(|float| float.to_bits()).collect(),
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn floats_are_rounded_once_from_the_text() {
        // Halfway cases in f64 that a detour over f64 would round twice.
        let text = "[5E-1, 1.00000017881393432617187499, 1.00000017881393432617187501, -0E0, 1E-45, 7E-46, 4E38, 1.5]";
        let expected = [0.5, 1.000_000_1, 1.000_000_2, -0.0, 1e-45, 0.0, f32::INFINITY, 1.5f32].map(f32::to_bits);
        assert_eq!(floats(text), expected);
        assert_eq!(floats("[1, NaN, -Infinity,Infinity]")[0], 1f32.to_bits());
    }

    #[test]
    fn arrays_are_packed_while_they_can_be() {
        assert_eq!(parse(b" [1, -2] "), Ok(Value::Ints(vec![1, -2])));
        assert_eq!(parse(b"[true,false]"), Ok(Value::Bools(vec![true, false])));
        assert_eq!(parse(b"[1,null]"), Ok(Value::List(vec![Value::Int(1), Value::Null])));
        assert_eq!(parse(b"[]"), Ok(Value::List(vec![])));
    }

    #[test]
    fn strings_are_decoded() {
        let text = r#""a\"\\\n\u00e9\ud83d\ude00ü""#;
        assert_eq!(parse(text.as_bytes()), Ok(Value::Text("a\"\\\né😀ü".into())));
    }

    #[test]
    fn faults_name_the_byte() {
        for (text, offset) in [
            (&b"{\"a\":1,\"a\":2}"[..], 7),
            (b"[1,2", 4),
            (b"[1 2]", 3),
            (b"{\"a\" 1}", 5),
            (b"[99999999999999999999]", 1),
            (b"[1.2.3]", 1),
            (b"[--1]", 1),
            (b"nul", 0),
            (b"\"\\x\"", 1),
            (b"\"\\ud800\"", 1),
            (b"\"\xff\"", 2),
            (b"1 1", 2),
            (b"", 0),
            (b"\"a\nb\"", 2),
        ] {
            match parse(text) {
                Err(FormatError::Syntax { offset: actual, .. }) => assert_eq!(actual, offset, "{text:?}"),
                other => panic!("{text:?}: {other:?}"),
            }
        }
    }

    #[test]
    fn deep_nesting_is_refused_before_the_stack_ends() {
        for deep in ["[".repeat(1_000_000), "{\"a\":".repeat(1_000_000)] {
            assert!(matches!(parse(deep.as_bytes()), Err(FormatError::Syntax { .. })));
        }
    }
}
