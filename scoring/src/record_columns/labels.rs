//! A category's code → the text of its column, and back.

use std::fmt::Write as _;

/// In front of a number that is no category's code. Doubled, and so on, where a category's name begins like that.
const UNNAMED: char = '#';

/// The names of one feature's categories, and how a number is written that none of them belongs to.
#[derive(Debug, Clone)]
pub struct CategoryLabels {
    names: Vec<String>,
    prefix: String,
}

/// What stands for a value of a feature with named categories.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum CategoryValue {
    /// It was missing.
    Missing,
    /// The category with this code.
    Named(usize),
    /// A number that is no category's code, as a client may send it: [`CategoryLabels::unnamed`] writes it.
    Unnamed(f64),
}

impl CategoryLabels {
    /// Names in the order of their codes.
    #[must_use]
    pub fn new(names: Vec<String>) -> Self {
        let mut prefix = String::from(UNNAMED);
        while names.iter().any(|name| name.starts_with(&prefix)) {
            prefix.push(UNNAMED);
        }
        Self { names, prefix }
    }

    /// The names in the order of their codes.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// What a value of a row stands for.
    #[must_use]
    pub fn value(&self, value: f64) -> CategoryValue {
        if value.is_nan() {
            return CategoryValue::Missing;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "what does not fit is another number when it comes back, and so has no name"
        )]
        let code = value as usize;
        #[expect(clippy::cast_precision_loss, reason = "lists of names are shorter than 2^52")]
        let is_code = code < self.names.len() && (code as f64 - value).abs() <= 0.0;
        match is_code {
            true => CategoryValue::Named(code),
            false => CategoryValue::Unnamed(value),
        }
    }

    /// How a number is written that no name belongs to: `#7`. No category has that name.
    pub fn unnamed(&self, value: f64, out: &mut String) {
        out.clear();
        // Writing to a String cannot fail.
        let _ = write!(out, "{}{value}", self.prefix);
    }

    /// The number that a text stands for which [`Self::unnamed`] has written; none for a category's name.
    #[must_use]
    pub fn number(&self, text: &str) -> Option<f64> {
        text.strip_prefix(&self.prefix)?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(names: &[&str]) -> CategoryLabels {
        CategoryLabels::new(names.iter().map(|&name| name.to_owned()).collect())
    }

    #[test]
    fn only_a_code_has_a_name() {
        let labels = labels(&["ad", "organic"]);
        for (value, code) in [(0.0, 0), (-0.0, 0), (1.0, 1)] {
            assert_eq!(labels.value(value), CategoryValue::Named(code));
        }
        assert_eq!(labels.value(f64::NAN), CategoryValue::Missing);
        for value in [2.0, -1.0, 0.5, -0.5, 1e300, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(labels.value(value), CategoryValue::Unnamed(value));
        }
    }

    #[test]
    fn a_number_without_a_name_is_written_as_no_category_is() {
        let mut text = String::from("before");
        for (names, value, expected) in [
            (&["ad"][..], 7.0, "#7"),
            (&[], -1.5, "#-1.5"),
            (&["#7", "##"], 7.0, "###7"),
            (&["a"], f64::INFINITY, "#inf"),
        ] {
            labels(names).unnamed(value, &mut text);
            assert_eq!(text, expected);
            assert!(!names.contains(&text.as_str()));
            assert_eq!(labels(names).number(&text), Some(value));
            assert!(names.iter().all(|name| labels(names).number(name).is_none()));
        }
    }
}
