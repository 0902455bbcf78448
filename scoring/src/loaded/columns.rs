//! Feature names → columns.

use std::collections::HashMap;
use std::ops::Range;

use quintile_model::Schema;

/// Bytes of a key that are compared at once.
const HEAD: usize = 16;

/// The columns of a model by feature name.
#[derive(Debug)]
pub struct Columns {
    by_name: HashMap<Box<str>, u32, foldhash::fast::FixedState>,
    /// All keys as bodies write them, `"name":`, in column order, so that guessing the next column stays in few cache
    /// lines.
    text: Box<[u8]>,
    keys: Box<[Key]>,
}

/// A column's key in the text.
#[derive(Debug, Clone, Copy)]
struct Key {
    start: u32,
    end: u32,
    /// Its first bytes, and which of them count. None does for names that bodies write with escapes.
    head: u128,
    mask: u128,
}

impl Columns {
    /// Indexes a schema.
    #[must_use]
    pub fn new(schema: &Schema) -> Self {
        let by_name = schema.names().map(Box::from).zip(0..).collect();
        let mut text = Vec::new();
        let keys = schema.names().map(|name| Key::append(&mut text, name)).collect();
        Self {
            by_name,
            text: text.into(),
            keys,
        }
    }

    /// The column of a feature.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).map(|&column| column as usize)
    }

    /// The column of a feature that may well be `guess`: clients send features in the model's order, and comparing one
    /// name is several times cheaper than hashing it.
    #[must_use]
    pub fn column_near(&self, name: &str, guess: usize) -> Option<usize> {
        let guessed = self.keys.get(guess).and_then(|key| self.text.get(key.name()));
        if guessed == Some(name.as_bytes()) {
            return Some(guess);
        }
        self.column(name)
    }

    /// The bytes of a column's key and its colon, if a body goes on with just these, and with 16 bytes at least.
    #[inline]
    pub fn key_at(&self, body: &[u8], column: usize) -> Option<usize> {
        let key = self.keys.get(column)?;
        let head = u128::from_le_bytes(*body.first_chunk()?);
        if (head ^ key.head) & key.mask != 0 || key.mask == 0 {
            return None;
        }
        let len = (key.end - key.start) as usize;
        if len > HEAD && body.get(HEAD..len) != self.text.get(key.start as usize + HEAD..key.end as usize) {
            return None;
        }
        Some(len)
    }
}

impl Key {
    fn append(text: &mut Vec<u8>, name: &str) -> Self {
        let start = offset(text);
        text.push(b'"');
        text.extend_from_slice(name.as_bytes());
        text.extend_from_slice(b"\":");
        let bytes = &text[start as usize..];
        let (mut head, mut mask) = ([0; HEAD], [0; HEAD]);
        let counts = bytes.len().min(HEAD);
        head[..counts].copy_from_slice(&bytes[..counts]);
        mask[..counts].fill(0xFF);
        if name.bytes().any(|byte| matches!(byte, b'"' | b'\\' | 0..0x20)) {
            // A body that goes on with these very bytes has another key, or is no JSON.
            mask = [0; HEAD];
        }
        Self {
            start,
            end: offset(text),
            head: u128::from_le_bytes(head),
            mask: u128::from_le_bytes(mask),
        }
    }

    /// Without quotes and colon.
    fn name(&self) -> Range<usize> {
        self.start as usize + 1..self.end as usize - 2
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a schema's names have at most FEATURES_MAX × NAME_BYTES_MAX = 64 MiB, and three bytes more each"
)]
fn offset(text: &[u8]) -> u32 {
    text.len() as u32
}

#[cfg(test)]
mod tests {
    use quintile_model::FeatureKind;

    use super::*;

    #[test]
    fn guesses_only_save_time() {
        let names = ["a", "bb", "", "c"].map(|name| (format!("x{name}"), FeatureKind::Number));
        let schema = Schema::try_new(names.to_vec()).unwrap();
        let columns = Columns::new(&schema);
        for guess in 0..6 {
            for (column, name) in schema.names().enumerate() {
                assert_eq!(columns.column_near(name, guess), Some(column));
            }
            assert_eq!(columns.column_near("xb", guess), None);
            assert_eq!(columns.column_near("", guess), None);
        }
    }
    #[test]
    fn keys_are_known_by_their_bytes() {
        let names = [
            "a",
            "ab",
            "a name of 13",
            "a name of 13b",
            "a name that is longer than a head",
            "é",
            "q\"",
            "b\\",
        ];
        let schema = Schema::try_new(names.map(|name| (name.to_owned(), FeatureKind::Number)).to_vec()).unwrap();
        let columns = Columns::new(&schema);
        for (column, name) in names.into_iter().enumerate() {
            for (other, written) in names.into_iter().enumerate() {
                let body = format!("\"{written}\":0,\"and so on, long enough\"");
                let plain = column == other && !written.contains(['"', '\\']);
                let expected = plain.then_some(written.len() + 3);
                assert_eq!(columns.key_at(body.as_bytes(), column), expected, "{name} in {body}");
                assert_eq!(columns.key_at(&body.as_bytes()[..written.len() + 2], column), None);
            }
        }
        assert_eq!(columns.key_at(b"\"a\":0,\"and so on\"", names.len()), None);
    }
}
