//! A cell of any source → a value of the row: the one place that knows what a value means (`docs/models.md` has the
//! table).
//!
//! Called for CSV, lines of JSON, Parquet and requests. Allocates nothing.

use super::categories::{Number, boolean_word};
use super::{Categories, Schema};

/// A value as its source holds it, before it means anything.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cell<'a> {
    /// Nothing: a null.
    Null,
    /// A boolean of a source that has booleans.
    Boolean(bool),
    /// An integer, exactly.
    Integer(i64),
    /// An integer that may lie beyond those.
    Unsigned(u64),
    /// A number; one of 32 bits is widened, which is exact.
    Float(f64),
    /// Text of a source that has numbers too: it is no number of a numeric feature, and never a code.
    Text(&'a str),
    /// Text of a source that has nothing else, as CSV; also the decimal digits of a decimal. It may be anything.
    Untyped(&'a [u8]),
}

/// Why a cell has no value in the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CellError {
    /// Neither a number nor `true` or `false`, for a feature of numbers or of codes.
    NoNumber,
    /// No category's name, where the training library refuses those that it never saw; or a number that several names
    /// equal.
    UnknownCategory,
}

impl Schema {
    /// The value that a row has for a cell of a column; NaN is missing. The manifest's rules are not looked at.
    ///
    /// # Errors
    /// The cell means nothing for this feature.
    #[inline]
    pub fn value(&self, column: usize, cell: Cell<'_>) -> Result<f64, CellError> {
        match self.categories(column) {
            None => number(cell).ok_or(CellError::NoNumber),
            Some(categories) => category(cell, categories).ok_or(CellError::UnknownCategory),
        }
    }
}

/// Numeric features, and codes of categories without names: true is 1 and false is 0.
#[expect(
    clippy::cast_precision_loss,
    reason = "an integer becomes the nearest double, ties to even, as its text would"
)]
fn number(cell: Cell<'_>) -> Option<f64> {
    match cell {
        Cell::Null => Some(f64::NAN),
        Cell::Boolean(boolean) => Some(f64::from(u8::from(boolean))),
        Cell::Integer(integer) => Some(integer as f64),
        Cell::Unsigned(integer) => Some(integer as f64),
        Cell::Float(float) => Some(float),
        Cell::Text(_) => None,
        Cell::Untyped(text) => untyped_number(text),
    }
}

/// The number of a text, the double nearest to it; NaN when it is missing; none when it is neither.
fn untyped_number(text: &[u8]) -> Option<f64> {
    let text = text.trim_ascii();
    if text.is_empty() || text.eq_ignore_ascii_case(b"nan") || text.eq_ignore_ascii_case(b"null") {
        return Some(f64::NAN);
    }
    match std::str::from_utf8(text).ok()?.parse() {
        Ok(number) => Some(number),
        Err(_) => boolean_word(text).map(|boolean| f64::from(u8::from(boolean))),
    }
}

/// The code of a category with names.
fn category(cell: Cell<'_>, categories: &Categories) -> Option<f64> {
    match cell {
        Cell::Null => Some(f64::NAN),
        Cell::Boolean(boolean) => categories.code_of_boolean(boolean),
        Cell::Integer(integer) => categories.code_of_number(Number::Whole(integer.into())),
        Cell::Unsigned(integer) => categories.code_of_number(Number::Whole(integer.into())),
        Cell::Float(float) if float.is_nan() => Some(f64::NAN),
        Cell::Float(float) => categories.code_of_number(Number::of(float)),
        Cell::Text(text) => categories.code(text),
        Cell::Untyped(text) => untyped_category(text, categories),
    }
}

/// In this order: a text that is missing as pandas reads it is missing, even if it is also a name; one that is exactly
/// a name, spaces and case included, is that category; then a boolean or a number is the name that equals it.
fn untyped_category(text: &[u8], categories: &Categories) -> Option<f64> {
    // The reader leaves the CR of a line's end in its last cell.
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    if matches!(text, b"" | b"nan" | b"NaN" | b"null" | b"NULL") {
        return Some(f64::NAN);
    }
    // What is no text is never taken for missing.
    let name = std::str::from_utf8(text).ok()?;
    if text.trim_ascii().eq_ignore_ascii_case(b"nan") && categories.code(name).is_none_or(f64::is_nan) {
        return Some(f64::NAN);
    }
    categories.code_of_untyped(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Unseen;

    #[test]
    fn a_cell_of_csv_is_missing_or_a_name_or_what_equals_one_in_this_order() {
        let names = ["b", "7", "null", "Null", "", " 2 ", "1e3", "a\r"]
            .map(str::to_owned)
            .to_vec();
        for unseen in [Unseen::Refused, Unseen::Missing] {
            let other = (unseen == Unseen::Missing).then_some(f64::NAN);
            let categories = Categories::new(names.clone(), unseen).unwrap();
            for (cell, expected) in [
                ("b", Some(0.0)),
                ("b\r", Some(0.0)),
                ("7", Some(1.0)),
                ("7.0", Some(1.0)),
                (" 7", Some(1.0)),
                ("Null", Some(3.0)),
                (" 2 ", Some(5.0)),
                ("1e3", Some(6.0)),
                ("1000", Some(6.0)),
                ("null", Some(f64::NAN)),
                ("NULL", Some(f64::NAN)),
                ("", Some(f64::NAN)),
                ("\r", Some(f64::NAN)),
                ("nan", Some(f64::NAN)),
                (" NAN ", Some(f64::NAN)),
                ("2", other),
                ("-1", other),
                ("0.5", other),
                ("inf", other),
                ("B", other),
                (" b", other),
                ("NA", other),
                ("1,5", other),
                ("true", other),
            ] {
                let actual = category(Cell::Untyped(cell.as_bytes()), &categories);
                assert_eq!(format!("{actual:?}"), format!("{expected:?}"), "{cell:?} {unseen:?}");
            }
        }
        let missing = Categories::new(names, Unseen::Missing).unwrap();
        assert_eq!(
            category(Cell::Untyped(b"\xff"), &missing),
            None,
            "what is no text is never taken for missing"
        );
    }

    #[test]
    fn numeric_features_take_numbers_and_booleans() {
        for (cell, expected) in [
            (Cell::Untyped(b" TRUE\r"), Some(1.0)),
            (Cell::Untyped(b"false"), Some(0.0)),
            (Cell::Untyped(b"1.50"), Some(1.5)),
            (Cell::Untyped(b"yes"), None),
            (Cell::Untyped(b"NA"), None),
            (Cell::Boolean(true), Some(1.0)),
            (Cell::Integer((1 << 53) + 1), Some(9_007_199_254_740_992.0)),
            (Cell::Unsigned(u64::MAX), Some(18_446_744_073_709_551_616.0)),
            (Cell::Float(f64::INFINITY), Some(f64::INFINITY)),
            (Cell::Text("1"), None),
        ] {
            assert_eq!(number(cell), expected, "{cell:?}");
        }
        assert!(number(Cell::Null).is_some_and(f64::is_nan) && number(Cell::Untyped(b" ")).is_some_and(f64::is_nan));
    }
}
