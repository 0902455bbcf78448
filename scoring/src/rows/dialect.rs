//! The separator between the cells of a CSV, and the decimal sign of its numbers.
//!
//! The header decides the separator: it is the one with which the header has the model's names. A comma is the decimal
//! sign only if commas do not separate cells, and only if the first rows prove it: `0,5` does, but `1,500` may be a
//! thousand and a half. Without proof, a number with a comma is an error that asks for `--decimal`, because a wrong
//! score is worse.

use quintile_model::Schema;

use super::ScoreError;
use super::encoding::Spelling;
use super::header::{Cells, NamedColumns};
use super::number_shape::NumberShape;
use crate::text::excerpt;

/// Separators that are looked for, the usual one first.
const SEPARATORS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// How the cells of a CSV are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Dialect {
    /// What stands between cells.
    pub(super) separator: u8,
    pub(super) decimal: Decimal,
    /// Whether a line above the header states the separator.
    pub(super) is_stated: bool,
    /// How the text was written.
    pub(super) spelling: Spelling,
}

/// The decimal sign of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decimal {
    /// `0.5`.
    Point,
    /// `0,5`.
    Comma,
    /// Not decided yet: a number with a comma may be either.
    Unknown,
}

/// Of the same cells one has a decimal comma, and another a decimal point.
#[derive(Debug)]
pub(crate) struct MixedDecimals {
    /// The first cell with a comma, shortened.
    pub(crate) comma: String,
    /// The first cell with a point, shortened.
    pub(crate) point: String,
}

/// Why a number may be misread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DecimalFault {
    #[error("has a point, but numbers of these rows have decimal commas: write no thousands separators")]
    Point,
    #[error("has a comma, and the first rows do not tell what it means: write a point")]
    Undecided,
}

impl DecimalFault {
    /// The flag of `score` that decides it.
    pub(super) fn flag(self) -> &'static str {
        match self {
            Self::Point => "--decimal .",
            Self::Undecided => "--decimal ,",
        }
    }
}

impl Decimal {
    /// The decimal sign that cells prove.
    pub(crate) fn proven<'c>(cells: impl Iterator<Item = &'c [u8]>) -> Result<Self, MixedDecimals> {
        let (mut comma, mut point) = (None, None);
        for cell in cells {
            match NumberShape::of(cell) {
                NumberShape::Comma => comma = comma.or(Some(cell)),
                NumberShape::Point => point = point.or(Some(cell)),
                _ => {}
            }
        }
        let shown = |cell: &[u8]| excerpt(&String::from_utf8_lossy(cell));
        match (comma, point) {
            (Some(comma), Some(point)) => Err(MixedDecimals {
                comma: shown(comma),
                point: shown(point),
            }),
            (Some(_), None) => Ok(Self::Comma),
            (None, Some(_)) => Ok(Self::Point),
            (None, None) => Ok(Self::Unknown),
        }
    }

    /// A number's cell with a decimal point, or why it may be misread.
    pub(crate) fn number<'c>(self, cell: &'c [u8], buffer: &'c mut Vec<u8>) -> Result<&'c [u8], DecimalFault> {
        match self {
            Self::Point => Ok(cell),
            Self::Comma if cell.contains(&b'.') && NumberShape::of(cell) != NumberShape::Other => {
                Err(DecimalFault::Point)
            }
            Self::Comma => {
                let Some(comma) = cell.iter().position(|&byte| byte == b',') else {
                    return Ok(cell);
                };
                buffer.clear();
                buffer.extend_from_slice(cell);
                buffer[comma] = b'.';
                Ok(buffer)
            }
            Self::Unknown => match NumberShape::of(cell) {
                NumberShape::Comma | NumberShape::CommaOrThousands => Err(DecimalFault::Undecided),
                _ => Ok(cell),
            },
        }
    }
}

impl Default for Dialect {
    fn default() -> Self {
        Self {
            separator: b',',
            decimal: Decimal::Point,
            is_stated: false,
            spelling: Spelling::default(),
        }
    }
}

impl Dialect {
    /// In words, where it is not the usual one.
    pub(super) fn said(&self) -> Option<String> {
        let name = separator_name(self.separator);
        match (self.separator, self.decimal) {
            (b',', Decimal::Point | Decimal::Unknown) => None,
            (_, Decimal::Comma) => Some(format!(
                "cells are separated by {name}, and numbers have decimal commas"
            )),
            _ => Some(format!("cells are separated by {name}")),
        }
    }

    /// The mark and the line with the separator that the rows had, so that Excel opens the results as it wrote the
    /// rows.
    pub(super) fn above_header(&self) -> Vec<u8> {
        let mut above = Vec::new();
        if self.spelling.has_mark {
            above.extend_from_slice(b"\xef\xbb\xbf");
        }
        if self.is_stated {
            above.extend_from_slice(&[b's', b'e', b'p', b'=', self.separator]);
            above.extend_from_slice(self.spelling.line_end.bytes());
        }
        above
    }
}

/// `;` in words.
fn separator_name(separator: u8) -> String {
    match separator {
        b',' => "commas".to_owned(),
        b';' => "semicolons".to_owned(),
        b'\t' => "tabs".to_owned(),
        other => format!("{:?}", char::from(other)),
    }
}

/// The separator that Excel states in a line above the header (`sep=;`), and the bytes of that line.
pub(super) fn stated_line(head: &[u8]) -> Option<(u8, usize)> {
    let end = head.iter().position(|&byte| byte == b'\n')?;
    let line = head[..end].strip_suffix(b"\r").unwrap_or(&head[..end]);
    let line = line
        .strip_prefix(b"\"")
        .and_then(|line| line.strip_suffix(b"\""))
        .unwrap_or(line);
    match line {
        [b's' | b'S', b'e' | b'E', b'p' | b'P', b'=', separator] => Some((*separator, end + 1)),
        _ => None,
    }
}

/// The separator of a text that begins so: the first under which the header has the model's names, or most of them.
pub(super) fn separator(head: &[u8], schema: &Schema) -> u8 {
    let columns = NamedColumns::new(schema);
    let known = SEPARATORS.map(|separator| {
        let header = records(head, separator).next().unwrap_or_default();
        let is_name = |cell: &&Vec<u8>| std::str::from_utf8(cell).is_ok_and(|name| columns.get(name.trim()).is_some());
        (separator, header.iter().filter(is_name).count(), header.len())
    });
    let is_split = known[0].2 > 1;
    let best = known.into_iter().rev().max_by_key(|&(separator, names, cells)| {
        // Without a name of the model, commas count if there are any.
        let cells = if is_split && separator != b',' { 0 } else { cells };
        (names, cells)
    });
    best.map_or(b',', |(separator, ..)| separator)
}

/// The separator of a text whose names nobody knows: the first that splits the header.
pub(super) fn separator_of_nothing_known(head: &[u8]) -> u8 {
    let splits = |&&separator: &&u8| records(head, separator).next().is_some_and(|header| header.len() > 1);
    SEPARATORS.iter().find(splits).copied().unwrap_or(b',')
}

/// The decimal sign that the first rows prove.
pub(super) fn decimal(head: &[u8], separator: u8, cells: &Cells, schema: &Schema) -> Result<Decimal, ScoreError> {
    if separator == b',' {
        return Ok(Decimal::Point);
    }
    let is_number = |cell: usize| {
        let column = cells.places.get(cell).copied().flatten();
        column.is_some_and(|column| schema.categories(column).is_none())
    };
    let rows: Vec<_> = records(head, separator).skip(1).collect();
    let cells = rows.iter().flat_map(|record| record.iter().enumerate());
    let numbers = cells
        .filter(|(cell, _)| is_number(*cell))
        .map(|(_, cell)| cell.as_slice());
    Decimal::proven(numbers).map_err(|MixedDecimals { comma, point }| ScoreError::MixedDecimals { comma, point })
}

/// The whole records of a text's beginning.
fn records(head: &[u8], separator: u8) -> impl Iterator<Item = Vec<Vec<u8>>> {
    // The last line may be cut off; a header alone is one.
    let whole = match head.iter().rposition(|&byte| byte == b'\n') {
        Some(end) => &head[..=end],
        None => head,
    };
    let mut builder = csv::ReaderBuilder::new();
    builder.has_headers(false).flexible(true).delimiter(separator);
    let records = builder.from_reader(whole).into_byte_records().map_while(Result::ok);
    records
        .map(|record| record.iter().map(<[u8]>::to_vec).collect())
        .collect::<Vec<_>>()
        .into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn excel_states_the_separator_in_a_line() {
        assert_eq!(stated_line(b"sep=;\r\na;b\r\n"), Some((b';', 7)));
        assert_eq!(stated_line(b"\"sep=\t\"\na\tb\n"), Some((b'\t', 8)));
        assert_eq!(stated_line(b"sep;a\n"), None);
        assert_eq!(stated_line(b"sep="), None);
    }

    #[test]
    fn a_cell_is_never_misread() {
        let read = |decimal, cell: &str| {
            let mut buffer = Vec::new();
            let read = Decimal::number(decimal, cell.as_bytes(), &mut buffer);
            read.map(|cell| String::from_utf8(cell.to_vec()).unwrap()).ok()
        };
        for (decimal, cell, expected) in [
            (Decimal::Comma, "1,500", Some("1.500")),
            (Decimal::Comma, "-0,5", Some("-0.5")),
            (Decimal::Comma, "15", Some("15")),
            (Decimal::Comma, "1.500", None),
            (Decimal::Comma, "10.060,31", None),
            (Decimal::Comma, "0.5", None),
            (Decimal::Unknown, "0,5", None),
            (Decimal::Unknown, "1,500", None),
            (Decimal::Unknown, "1.500", Some("1.500")),
            (Decimal::Point, "0,5", Some("0,5")),
        ] {
            assert_eq!(read(decimal, cell).as_deref(), expected, "{decimal:?} {cell}");
        }
    }
}
