//! Feature names → columns.

use std::collections::HashMap;
use std::ops::Range;

use arrayvec::ArrayString;
use quintile_model::Schema;
use quintile_model::limits::NAME_BYTES_MAX;

/// Bytes of a key that are compared at once.
const HEAD: usize = 16;

type ColumnsByName = HashMap<Box<str>, u32, foldhash::fast::FixedState>;

/// The columns of a model by feature name.
#[derive(Debug)]
pub struct Columns {
    by_name: ColumnsByName,
    /// All keys as bodies write them, `"name":`, in column order, so that guessing the next column stays in few cache
    /// lines.
    text: Box<[u8]>,
    keys: Box<[Key]>,
    /// Columns by their names with underscores for spaces, where both spellings mean the feature.
    by_spelling: Option<ColumnsByName>,
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
            by_spelling: spellings(schema),
        }
    }

    /// The column of a feature.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<usize> {
        match self.by_name.get(name) {
            Some(&column) => Some(column as usize),
            None => column_spelled(self.by_spelling.as_ref()?, name),
        }
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

/// The column of a name with spaces where the model file has underscores, or the other way round.
#[cold]
fn column_spelled(by_spelling: &ColumnsByName, name: &str) -> Option<usize> {
    let mut spelled = ArrayString::<NAME_BYTES_MAX>::new();
    for letter in name.chars() {
        spelled.try_push(if letter == ' ' { '_' } else { letter }).ok()?;
    }
    by_spelling.get(spelled.as_str()).map(|&column| column as usize)
}

/// Columns by their names with underscores for spaces. A spelling that two features share means neither.
fn spellings(schema: &Schema) -> Option<ColumnsByName> {
    if !schema.has_lost_spaces() {
        return None;
    }
    let mut columns = ColumnsByName::default();
    let mut shared = Vec::new();
    for (name, column) in schema.names().zip(0..) {
        let spelled: Box<str> = name.replace(' ', "_").into();
        if columns.insert(spelled.clone(), column).is_some() {
            shared.push(spelled);
        }
    }
    columns.retain(|name, _| !shared.contains(name));
    Some(columns)
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

    #[test]
    fn spaces_that_a_library_lost_are_found_again() {
        let text = "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nlabel_index=0\nmax_feature_idx=1\n\
                    objective=regression\nfeature_names=Total_Time b\nfeature_infos=[0:1] [0:1]\n\n\
                    Tree=0\nnum_leaves=1\nnum_cat=0\nleaf_value=1\n\nend of trees\n";
        let ensemble = quintile_model::load(text.as_bytes()).unwrap();
        let columns = Columns::new(ensemble.schema());
        for (name, column) in [
            ("Total_Time", Some(0)),
            ("Total Time", Some(0)),
            ("b", Some(1)),
            ("total time", None),
            ("Total  Time", None),
        ] {
            assert_eq!(columns.column(name), column, "{name}");
        }
        let exact = Schema::try_new(vec![("a_b".to_owned(), FeatureKind::Number)]).unwrap();
        assert_eq!(Columns::new(&exact).column("a b"), None);
    }
}
