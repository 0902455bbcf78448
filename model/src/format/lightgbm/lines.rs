//! Lines of the text with their places, and the `key=value` fields of a block.

use std::collections::BTreeMap;

use super::super::FormatError;
use super::super::document::shortened;

/// Lines without their ends, `\n` or `\r\n`. LightGBM's command line writes its parameters in the system's code page,
/// paths included: bytes that are not UTF-8 cut a line, and are a fault only where the line counts ([`Lines::check`]).
pub(super) struct Lines<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Where the last line that [`Iterator::next`] gave begins.
    last: usize,
}

impl<'a> Lines<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, last: 0 }
    }

    /// The line the reader stands on.
    pub(super) fn peek(&self) -> Option<&'a str> {
        self.line(self.at).map(|(line, _)| text_of(line))
    }

    /// A line's bytes, and where the next one begins.
    fn line(&self, at: usize) -> Option<(&'a [u8], usize)> {
        let rest = self.bytes.get(at..).filter(|rest| !rest.is_empty())?;
        let end = rest.iter().position(|&byte| byte == b'\n');
        let line = &rest[..end.unwrap_or(rest.len())];
        let next = at + end.map_or(rest.len(), |end| end + 1);
        Some((line.strip_suffix(b"\r").unwrap_or(line), next))
    }

    /// Refuses the last line, whose key is given, if it is not UTF-8.
    ///
    /// # Errors
    /// What is not UTF-8, and what to do.
    pub(super) fn check(&self, key: &str) -> Result<(), FormatError> {
        let Some((line, _)) = self.line(self.last) else {
            return Ok(());
        };
        let Err(error) = std::str::from_utf8(line) else {
            return Ok(());
        };
        let offset = self.last + error.valid_up_to();
        let (what, advice) = match key {
            "feature_names" | "feature_infos" => (
                "the names of features are",
                "save the model again with UTF-8 names (Booster.save_model from Python writes these), or convert the file",
            ),
            "pandas_categorical" => ("the names of categories are", "save the model again from Python"),
            _ => ("this line is", "the file is damaged"),
        };
        Err(fault(offset, format!("{key}: {what} not UTF-8: {advice}")))
    }

    /// A fault of this line.
    pub(super) fn fault(&self, message: impl Into<String>) -> FormatError {
        fault(self.at, message)
    }

    pub(super) fn cut_off(&self, accepted: &str) -> FormatError {
        fault(self.at, format!("the file ends before {accepted}: it is cut off"))
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let (line, next) = self.line(self.at)?;
        self.last = std::mem::replace(&mut self.at, next);
        Some(text_of(line))
    }
}

/// A line up to the first byte that is not UTF-8.
fn text_of(line: &[u8]) -> &str {
    match std::str::from_utf8(line) {
        Ok(text) => text,
        Err(error) => line
            .get(..error.valid_up_to())
            .map_or("", |valid| std::str::from_utf8(valid).unwrap_or_default()),
    }
}

fn fault(offset: usize, message: impl Into<String>) -> FormatError {
    FormatError::Syntax {
        format: "LightGBM text",
        offset,
        message: message.into(),
    }
}

/// The fields of the header or of a tree, whose name is a path's beginning.
pub(super) struct Fields<'a> {
    name: String,
    fields: BTreeMap<&'a str, &'a str>,
}

impl<'a> Fields<'a> {
    pub(super) fn new(name: String) -> Self {
        Self {
            name,
            fields: BTreeMap::new(),
        }
    }

    pub(super) fn insert(&mut self, key: &'a str, value: &'a str) -> Result<(), FormatError> {
        match self.fields.insert(key, value) {
            None => Ok(()),
            Some(_) => Err(self.fault(key, "the key is there twice")),
        }
    }

    pub(super) fn fault(&self, key: &str, message: impl Into<String>) -> FormatError {
        FormatError::Field {
            path: format!("{}{key}", self.name),
            message: message.into(),
        }
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.fields.contains_key(key)
    }

    pub(super) fn get(&self, key: &str) -> Option<&'a str> {
        self.fields.get(key).copied()
    }

    pub(super) fn require(&self, key: &str) -> Result<&'a str, FormatError> {
        self.get(key).ok_or_else(|| self.fault(key, "the line is missing"))
    }

    pub(super) fn count(&self, key: &str) -> Result<usize, FormatError> {
        let text = self.require(key)?.trim();
        let wrong = |_| self.fault(key, format!("a count is accepted, not {:?}", shortened(text)));
        text.parse().map_err(wrong)
    }

    /// Exactly this many numbers, separated by spaces.
    pub(super) fn numbers<T: std::str::FromStr>(&self, key: &str, count: usize) -> Result<Vec<T>, FormatError> {
        let text = self.require(key)?;
        // What is claimed reserves nothing: a number takes two bytes at least.
        let mut numbers = Vec::with_capacity(count.min(text.len() / 2 + 1));
        for word in text.split_ascii_whitespace() {
            if numbers.len() == count {
                return Err(self.fault(key, format!("more entries than {count}")));
            }
            let index = numbers.len();
            let number = word.parse().map_err(|_| {
                self.fault(
                    &format!("{key}[{index}]"),
                    format!("{:?} is no such number", shortened(word)),
                )
            })?;
            numbers.push(number);
        }
        match numbers.len() == count {
            true => Ok(numbers),
            false => Err(self.fault(key, format!("{} entries where {count} are accepted", numbers.len()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::format::load;

    const MODEL: &[u8] = include_bytes!("../../../tests/fixtures/lightgbm-names.txt");

    /// The model with a text of it replaced.
    fn with(text: &str, other: &[u8]) -> Vec<u8> {
        let places = MODEL.windows(text.len()).position(|window| window == text.as_bytes());
        let place = places.unwrap_or_else(|| panic!("{text} is not in the model"));
        [&MODEL[..place], other, &MODEL[place + text.len()..]].concat()
    }

    #[test]
    fn parameters_in_another_code_page_are_not_looked_at() {
        // C:\Kunden\Müller\leads.csv as Windows-1252 and as Shift JIS have it.
        for path in [
            &b"C:\\Kunden\\M\xfcller\\leads.csv"[..],
            b"C:\\\x8c\xda\x8bq\\leads.csv",
        ] {
            let line = [b"\nparameters:\n[data: ", path, b"]\n"].concat();
            let read = load(&with("\nparameters:\n", &line)).unwrap_or_else(|error| panic!("{error}"));
            let plain = load(MODEL).unwrap();
            assert_eq!(format!("{:?}", read.trees()), format!("{:?}", plain.trees()));
            assert_eq!(read.schema(), plain.schema());
        }
    }

    #[test]
    fn names_that_are_no_text_are_refused_with_what_to_do() {
        for (text, other, says) in [
            (
                "feature_names=",
                &b"feature_names=M\xfcller_"[..],
                "feature_names: the names of features are not UTF-8: save the model again",
            ),
            (
                "pandas_categorical:[[\"",
                b"pandas_categorical:[[\"M\xfcller",
                "the names of categories are not UTF-8",
            ),
        ] {
            let error = load(&with(text, other)).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
