//! Feature names → columns.

use std::collections::HashMap;
use std::ops::Range;

use quintile_model::Schema;

/// The columns of a model by feature name.
#[derive(Debug)]
pub struct Columns {
    by_name: HashMap<Box<str>, u32, foldhash::fast::FixedState>,
    /// All names in column order, one after the other, so that guessing the next column stays in few cache lines.
    text: Box<[u8]>,
    spans: Box<[Range<u32>]>,
}

impl Columns {
    /// Indexes a schema.
    #[must_use]
    pub fn new(schema: &Schema) -> Self {
        let by_name = schema.names().map(Box::from).zip(0..).collect();
        let mut text = Vec::new();
        let spans = schema
            .names()
            .map(|name| {
                let start = offset(&text);
                text.extend_from_slice(name.as_bytes());
                start..offset(&text)
            })
            .collect();
        Self {
            by_name,
            text: text.into(),
            spans,
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
        let guessed = self
            .spans
            .get(guess)
            .and_then(|span| self.text.get(span.start as usize..span.end as usize));
        if guessed == Some(name.as_bytes()) {
            return Some(guess);
        }
        self.column(name)
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a schema's names have at most FEATURES_MAX × NAME_BYTES_MAX = 64 MiB"
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
}
