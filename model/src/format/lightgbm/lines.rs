//! Lines of the text with their places, and the `key=value` fields of a block.

use std::collections::BTreeMap;

use super::super::FormatError;
use super::super::document::shortened;

/// Lines without their ends, `\n` or `\r\n`.
pub(super) struct Lines<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Lines<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Result<Self, FormatError> {
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Self { text, at: 0 }),
            Err(error) => Err(fault(error.valid_up_to(), "the text is not UTF-8")),
        }
    }

    /// The line the reader stands on.
    pub(super) fn peek(&self) -> Option<&'a str> {
        let rest = &self.text[self.at..];
        let line = rest.split('\n').next().filter(|_| !rest.is_empty())?;
        Some(line.strip_suffix('\r').unwrap_or(line))
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
        let line = self.peek()?;
        let rest = &self.text[self.at..];
        self.at += rest.find('\n').map_or(rest.len(), |end| end + 1);
        Some(line)
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

    /// Exactly so many numbers, separated by spaces.
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
