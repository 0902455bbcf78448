//! UBJSON as XGBoost writes it (`src/common/json.cc`, `UBJReader`): big-endian, typed arrays `[$d#L…`, counted arrays
//! `[#L…`, objects closed by `}`. Lengths of any integer type are read, as the UBJSON draft 12 allows.
//!
//! A claimed length reserves nothing: a typed array must fit the bytes that are left, and every element of a counted
//! one takes at least one of them.

use super::FormatError;
use super::document::{ArrayBuilder, Budget, Object, Value};
use crate::limits::NESTING_MAX;

/// Reads a whole document.
pub(super) fn parse(bytes: &[u8]) -> Result<Value, FormatError> {
    let mut reader = Reader {
        bytes,
        at: 0,
        depth: 0,
        budget: Budget::new(bytes.len()),
    };
    let value = reader.value()?;
    if reader.at < bytes.len() {
        return Err(reader.fault("the document has ended, but the file has not"));
    }
    Ok(value)
}

struct Reader<'b> {
    bytes: &'b [u8],
    at: usize,
    depth: usize,
    budget: Budget,
}

impl<'b> Reader<'b> {
    fn fault(&self, message: impl Into<String>) -> FormatError {
        FormatError::Syntax {
            format: "UBJSON",
            offset: self.at,
            message: message.into(),
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn marker(&mut self, accepted: &str) -> Result<u8, FormatError> {
        let marker = self.peek();
        let marker =
            marker.ok_or_else(|| self.fault(format!("the file ends where {accepted} is accepted: it is cut off")))?;
        self.at += 1;
        Ok(marker)
    }

    /// The fault of a marker that was just taken.
    fn wrong_marker(&mut self, marker: u8, accepted: &str) -> FormatError {
        self.at -= 1;
        self.fault(format!(
            "{accepted} is accepted, not the marker {:?}",
            char::from(marker)
        ))
    }

    fn take(&mut self, len: usize) -> Result<&'b [u8], FormatError> {
        let left = &self.bytes[self.at..];
        let Some(taken) = left.get(..len) else {
            return Err(self.fault(format!("{len} bytes are claimed, but only {} are left", left.len())));
        };
        self.at += len;
        Ok(taken)
    }

    fn array_of<const N: usize>(&mut self) -> Result<[u8; N], FormatError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn integer(&mut self, marker: u8) -> Result<i64, FormatError> {
        Ok(match marker {
            b'i' => i8::from_be_bytes(self.array_of()?).into(),
            b'U' | b'C' => u8::from_be_bytes(self.array_of()?).into(),
            b'I' => i16::from_be_bytes(self.array_of()?).into(),
            b'l' => i32::from_be_bytes(self.array_of()?).into(),
            b'L' => i64::from_be_bytes(self.array_of()?),
            other => return Err(self.wrong_marker(other, "an integer (i, U, I, l, L)")),
        })
    }

    fn length(&mut self) -> Result<usize, FormatError> {
        let at = self.at;
        let marker = self.marker("a length")?;
        let length = self.integer(marker)?;
        usize::try_from(length).map_err(|_| {
            self.at = at;
            self.fault(format!("a length is {length}"))
        })
    }

    fn string(&mut self) -> Result<String, FormatError> {
        let length = self.length()?;
        let at = self.at;
        let text = self.take(length)?;
        std::str::from_utf8(text).map(str::to_owned).map_err(|_| {
            self.at = at;
            self.fault("a string is not UTF-8")
        })
    }

    fn value(&mut self) -> Result<Value, FormatError> {
        match self.marker("a value")? {
            b'{' => self.nested(Self::object),
            b'[' => self.nested(Self::array),
            b'Z' => Ok(Value::Null),
            b'T' => Ok(Value::Bool(true)),
            b'F' => Ok(Value::Bool(false)),
            b'S' => self.string().map(Value::Text),
            b'd' => self.array_of().map(|bytes| Value::Float(f32::from_be_bytes(bytes))),
            b'D' => self.array_of().map(|eight| Value::Double(f64::from_be_bytes(eight))),
            marker @ (b'i' | b'U' | b'C' | b'I' | b'l' | b'L') => self.integer(marker).map(Value::Int),
            other => Err(self.wrong_marker(other, "a value")),
        }
    }

    fn nested(&mut self, read: fn(&mut Self) -> Result<Value, FormatError>) -> Result<Value, FormatError> {
        if self.depth == NESTING_MAX {
            return Err(self.fault(format!("values nest deeper than the {NESTING_MAX} levels accepted")));
        }
        self.depth += 1;
        let value = read(self);
        self.depth -= 1;
        value
    }

    fn object(&mut self) -> Result<Value, FormatError> {
        let (mut fields, mut places) = (Vec::new(), Vec::new());
        while self.peek() != Some(b'}') {
            places.push(self.at);
            let key = self.string()?;
            let value = self.value()?;
            self.budget.take(1).map_err(|message| self.fault(message))?;
            fields.push((key.into_boxed_str(), value));
        }
        let object = Object::try_new(fields, &places).map_err(|place| {
            self.at = place;
            self.fault("the object has this key twice")
        })?;
        self.at += 1;
        Ok(Value::Object(object))
    }

    fn array(&mut self) -> Result<Value, FormatError> {
        match self.peek() {
            Some(b'$') => return self.typed_array(),
            Some(b'#') => {}
            _ => return self.open_array(),
        }
        self.at += 1;
        let length = self.length()?;
        let mut array = ArrayBuilder::new();
        for _ in 0..length {
            self.push(&mut array)?;
        }
        Ok(array.finish())
    }

    fn open_array(&mut self) -> Result<Value, FormatError> {
        let mut array = ArrayBuilder::new();
        while self.peek() != Some(b']') {
            self.push(&mut array)?;
        }
        self.at += 1;
        Ok(array.finish())
    }

    fn push(&mut self, array: &mut ArrayBuilder) -> Result<(), FormatError> {
        let value = self.value()?;
        array
            .push(value, &mut self.budget)
            .map_err(|message| self.fault(message))
    }

    fn typed_array(&mut self) -> Result<Value, FormatError> {
        self.at += 1;
        let kind = self.marker("an element type")?;
        let size = match kind {
            b'i' | b'U' => 1,
            b'I' => 2,
            b'l' | b'd' => 4,
            b'L' | b'D' => 8,
            other => return Err(self.wrong_marker(other, "an element type (i, U, I, l, L, d, D)")),
        };
        let hash = self.marker("'#'")?;
        if hash != b'#' {
            return Err(self.wrong_marker(hash, "'#' and a length"));
        }
        let length = self.length()?;
        let bytes = self.take(length.saturating_mul(size))?;
        Ok(match kind {
            b'U' => Value::Bytes(bytes.to_vec()),
            b'd' => Value::Floats(elements(bytes, f32::from_be_bytes)),
            b'D' => Value::Doubles(elements(bytes, f64::from_be_bytes)),
            b'i' => Value::Ints(elements(bytes, |byte| i8::from_be_bytes(byte).into())),
            b'I' => Value::Ints(elements(bytes, |pair| i16::from_be_bytes(pair).into())),
            b'l' => Value::Ints(elements(bytes, |four| i32::from_be_bytes(four).into())),
            _ => Value::Ints(elements(bytes, i64::from_be_bytes)),
        })
    }
}

fn elements<const N: usize, T>(bytes: &[u8], read: impl Fn([u8; N]) -> T) -> Vec<T> {
    let (chunks, _) = bytes.as_chunks::<N>();
    chunks.iter().map(|chunk| read(*chunk)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offset(bytes: &[u8]) -> usize {
        match parse(bytes) {
            Err(FormatError::Syntax { offset, .. }) => offset,
            other => panic!("{bytes:?}: {other:?}"),
        }
    }

    #[test]
    fn reads_what_xgboost_writes() {
        let fields = vec![
            ("a".into(), Value::Floats(vec![0.5])),
            ("b".into(), Value::Ints(vec![-2, 3])),
            ("c".into(), Value::Bytes(vec![1, 0])),
        ];
        let object = Object::try_new(fields, &[0, 0, 0]).unwrap();
        let bytes = b"{L\0\0\0\0\0\0\0\x01a[$d#L\0\0\0\0\0\0\0\x01\x3f\0\0\0\
            i\x01b[#i\x02i\xfei\x03i\x01c[$U#i\x02\x01\0}";
        assert_eq!(parse(bytes), Ok(Value::Object(object)));
        assert_eq!(parse(b"[$l#i\x01\xff\xff\xff\xff"), Ok(Value::Ints(vec![-1])));
        assert_eq!(parse(b"[TF]"), Ok(Value::Bools(vec![true, false])));
        assert_eq!(parse(b"Si\x02hi"), Ok(Value::Text("hi".into())));
    }

    #[test]
    fn a_claimed_length_reserves_nothing() {
        for claim in [
            &b"[#L\x40\0\0\0\0\0\0\0"[..],
            b"[$L#L\x7f\xff\xff\xff\xff\xff\xff\xff",
            b"SL\x40\0\0\0\0\0\0\0ab",
        ] {
            assert!(offset(claim) > 0, "{claim:?}");
        }
        assert_eq!(offset(b"[#L\xff\xff\xff\xff\xff\xff\xff\xff"), 2);
        assert_eq!(offset(b"{L\x80\0\0\0\0\0\0\0"), 1);
    }

    #[test]
    fn faults_name_the_byte() {
        assert_eq!(offset(b"{i\x01a"), 4);
        assert_eq!(offset(b"{i\x01aTi\x01aT}"), 5);
        assert_eq!(offset(b"H"), 0);
        assert_eq!(offset(b"TT"), 1);
        assert_eq!(offset(b"[$S#i\x01"), 2);
        assert_eq!(offset(b"Si\x01\xff"), 3);
        assert!(offset(&b"[".repeat(1_000_000)) < 100);
    }
}
