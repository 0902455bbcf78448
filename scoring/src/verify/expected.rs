//! The numbers of the training library: a text with one row on each line, or columns of the rows themselves.

use std::fs;
use std::path::Path;

use super::VerifyError;
use crate::rows::{Decimal, NumberShape, WITHOUT_THOUSANDS};

/// Bytes of a text of expected numbers: a hundred million of them.
const TEXT_BYTES_MAX: u64 = 2 << 30;

/// Numbers, one row after the other.
#[derive(Debug, Clone, PartialEq)]
pub struct Expected {
    /// `width` numbers for each row.
    pub values: Vec<f64>,
    /// Numbers a row.
    pub width: usize,
    /// The most significant digits that any of the texts has.
    pub digits: usize,
    /// The most digits behind the decimal sign that any of the texts has.
    pub decimals: usize,
}

impl Expected {
    /// Reads a text: numbers with commas, semicolons, tabs or spaces between them, a row a line, with or without a line
    /// of names above.
    pub(super) fn of_file(path: &Path) -> Result<Self, VerifyError> {
        let at = || path.to_path_buf();
        let read = |source| VerifyError::Expect { path: at(), source };
        let metadata = fs::metadata(path).map_err(read)?;
        if !metadata.is_file() || metadata.len() > TEXT_BYTES_MAX {
            return Err(VerifyError::ExpectKind { path: at() });
        }
        let bytes = fs::read(path).map_err(read)?;
        if bytes.starts_with(b"PAR1") || bytes.starts_with(b"\x93NUMPY") || bytes.starts_with(&[0x1f, 0x8b]) {
            return Err(VerifyError::ExpectKind { path: at() });
        }
        let text = String::from_utf8(bytes).map_err(|_| VerifyError::ExpectKind { path: at() })?;
        Self::parse(text.trim_start_matches('\u{feff}')).map_err(|fault| VerifyError::ExpectText {
            path: at(),
            line: fault.line,
            why: fault.why,
        })
    }

    /// The numbers of a text.
    fn parse(text: &str) -> Result<Self, TextFault> {
        let mut lines = lines(text);
        // Names stand above the numbers where nothing of the first line is a number.
        let is_number =
            |cell: &String| number(cell).is_some() || NumberShape::of(cell.as_bytes()) != NumberShape::Other;
        let names = match lines.first() {
            Some(first) if !first.cells.iter().any(is_number) => Some(lines.remove(0).cells.len()),
            _ => None,
        };
        join_decimals(&mut lines, names)?;
        let width = lines.first().map_or(0, |line| line.cells.len());
        if width == 0 {
            let why = "there are no numbers".into();
            return Err(TextFault { line: 1, why });
        }
        if let Some(Line { number, cells }) = lines.iter().find(|line| line.cells.len() != width) {
            let why = format!("it has {} numbers, the lines above have {width}", cells.len());
            return Err(TextFault { line: *number, why });
        }
        let places = lines
            .iter()
            .flat_map(|line| line.cells.iter().map(|cell| (cell.as_str(), line.number)));
        let (cells, numbers): (Vec<&str>, Vec<usize>) = places.unzip();
        Self::of_cells(&cells, width).map_err(|fault| TextFault {
            line: numbers[fault.cell],
            why: format!("{} {}", crate::text::excerpt(cells[fault.cell]), fault.says),
        })
    }

    /// Puts columns of texts side by side.
    pub(super) fn of_columns(columns: &[Vec<String>], names: &[&str]) -> Result<Self, VerifyError> {
        let rows = columns.first().map_or(0, Vec::len);
        let cells = (0..rows).flat_map(|row| columns.iter().map(move |column| column[row].trim()));
        let cells: Vec<&str> = cells.collect();
        Self::of_cells(&cells, columns.len()).map_err(|fault| VerifyError::ExpectCell {
            row: fault.cell / columns.len() + 1,
            column: names[fault.cell % columns.len()].to_owned(),
            cell: crate::text::excerpt(cells[fault.cell]),
            says: fault.says,
        })
    }

    /// Numbers of cells, all of which have the decimal sign that some of them prove.
    fn of_cells(cells: &[&str], width: usize) -> Result<Self, CellFault> {
        let decimal = Decimal::proven(cells.iter().map(|cell| cell.as_bytes())).map_err(|mixed| CellFault {
            cell: 0,
            says: format!(
                "is one of numbers of which {} has a decimal comma and {} a decimal point: write all of them alike",
                mixed.comma, mixed.point
            ),
        })?;
        let mut expected = Self {
            values: Vec::with_capacity(cells.len()),
            width,
            digits: 0,
            decimals: 0,
        };
        let mut buffer = Vec::new();
        for (cell, text) in cells.iter().enumerate() {
            let with_point = decimal.number(text.as_bytes(), &mut buffer).map_err(|says| CellFault {
                cell,
                says: says.to_string(),
            })?;
            let value = std::str::from_utf8(with_point).ok().and_then(number);
            let hint = match NumberShape::of(text.as_bytes()) {
                NumberShape::Thousands => WITHOUT_THOUSANDS,
                _ => "",
            };
            expected.values.push(value.ok_or_else(|| CellFault {
                cell,
                says: format!("is no number{hint}"),
            })?);
            expected.digits = expected.digits.max(digits(text));
            expected.decimals = expected.decimals.max(decimals(text));
        }
        Ok(expected)
    }

    /// Leaves out a first line that numbers the columns from 0, which is what pandas writes for a frame without names.
    pub(super) fn leave_out_numbered_names(&mut self) {
        let first = self.values.iter().take(self.width).zip(0u32..);
        let is_numbered = first
            .clone()
            .all(|(value, number)| value.to_bits() == f64::from(number).to_bits());
        if is_numbered && first.count() == self.width {
            self.values.drain(..self.width);
        }
    }

    /// How many rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.values.len() / self.width.max(1)
    }

    /// The numbers of a row.
    #[must_use]
    pub fn row(&self, row: usize) -> &[f64] {
        &self.values[row * self.width..][..self.width]
    }
}

/// What is wrong with a line.
#[derive(Debug)]
struct TextFault {
    line: usize,
    why: String,
}

/// What is wrong with a cell.
#[derive(Debug)]
struct CellFault {
    /// Which, from 0.
    cell: usize,
    says: String,
}

/// The cells of a line.
#[derive(Debug)]
struct Line {
    /// From 1.
    number: usize,
    cells: Vec<String>,
}

/// The lines of a text that are not blank, cut where most programs cut them: at semicolons, else tabs, else commas, else
/// spaces. Cells may stand in quotes.
fn lines(text: &str) -> Vec<Line> {
    let separator = [';', '\t', ','].into_iter().find(|&sign| text.contains(sign));
    let lines = text.lines().enumerate().map(|(at, line)| (at + 1, line.trim()));
    let lines = lines.filter(|(_, line)| !line.is_empty());
    let cells = |line: &str| -> Vec<String> {
        let Some(separator) = separator else {
            let parts = line.split_whitespace();
            return parts.map(|cell| cell.trim_matches('"').to_owned()).collect();
        };
        let mut cells = vec![String::new()];
        let mut is_quoted = false;
        for sign in line.chars() {
            match sign {
                '"' => is_quoted = !is_quoted,
                sign if sign == separator && !is_quoted => cells.push(String::new()),
                sign => cells.last_mut().unwrap_or(&mut String::new()).push(sign),
            }
        }
        cells.iter().map(|cell| cell.trim().to_owned()).collect()
    };
    lines
        .map(|(number, line)| Line {
            number,
            cells: cells(line),
        })
        .collect()
}

/// Joins `0` and `5` of `0,5`, where the comma cannot stand between numbers: below a single name. Without names nobody
/// can know, where all numbers may be halves.
fn join_decimals(lines: &mut [Line], names: Option<usize>) -> Result<(), TextFault> {
    let is_whole = |cell: &String| !cell.is_empty() && cell.bytes().all(|byte| byte.is_ascii_digit());
    let is_split = |line: &Line| matches!(&line.cells[..], [whole, part] if is_whole(part) && is_whole(&whole.replacen('-', "", 1)));
    if names == Some(1) {
        for line in lines.iter_mut().filter(|line| line.cells.len() == 2) {
            line.cells = vec![line.cells.join(",")];
        }
        return Ok(());
    }
    let may_be_halves = |line: &&Line| is_split(line) && line.cells[1].len() > 2;
    match lines.iter().find(may_be_halves) {
        Some(line) if names.is_none() && lines.iter().all(|line| line.cells.len() == 1 || is_split(line)) => {
            Err(TextFault {
                line: line.number,
                why: format!(
                    "{} may be one number or two: write a decimal point, or a line with a name above the numbers",
                    crate::text::excerpt(&line.cells.join(","))
                ),
            })
        }
        _ => Ok(()),
    }
}

fn is_missing(cell: &str) -> bool {
    matches!(cell, "" | "nan" | "NaN" | "null")
}

fn number(cell: &str) -> Option<f64> {
    match cell {
        cell if is_missing(cell) => Some(f64::NAN),
        _ => cell.parse().ok(),
    }
}

/// Digits behind the decimal sign of a number's text; as many as there can be where it has an exponent.
fn decimals(text: &str) -> usize {
    if text.contains(['e', 'E']) {
        return usize::MAX;
    }
    text.split_once(['.', ',']).map_or(0, |(_, part)| part.len())
}

/// Significant digits of a number's text.
fn digits(text: &str) -> usize {
    let mantissa = text.split(['e', 'E']).next().unwrap_or_default();
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    digits.trim_start_matches('0').len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_numbers_with_or_without_names() {
        for (text, width, values) in [
            ("0.5\n1\n", 1, &[0.5, 1.0][..]),
            ("prediction\n0.5\n\n1e-3\n", 1, &[0.5, 0.001]),
            ("a,b\r\n1,2\r\n3,4\r\n", 2, &[1.0, 2.0, 3.0, 4.0]),
            ("1.000e+00 2.5\n3 4\n", 2, &[1.0, 2.5, 3.0, 4.0]),
            ("1;2\n3;4", 2, &[1.0, 2.0, 3.0, 4.0]),
            ("\"p\"\n\"0.25\"\n", 1, &[0.25]),
            ("p\n0,5\n1\n0,125\n", 1, &[0.5, 1.0, 0.125]),
            ("0,5;1\n0;0,25\n", 2, &[0.5, 1.0, 0.0, 0.25]),
            ("a\tb\n-0,5\t1,5e-3\n", 2, &[-0.5, 0.0015]),
            ("\"p\"\n\"0,25\"\n", 1, &[0.25]),
            ("0,1\n1,0\n", 2, &[0.0, 1.0, 1.0, 0.0]),
        ] {
            let expected = Expected::parse(text).unwrap_or_else(|fault| panic!("{text:?}: {fault:?}"));
            assert_eq!(
                (expected.width, expected.values.as_slice()),
                (width, values),
                "{text:?}"
            );
        }
        for (text, line) in [
            ("", 1),
            ("a\n", 1),
            ("1\nx\n", 2),
            ("1,2\n3\n", 2),
            ("1,x\n", 1),
            ("0,125\n0,5\n", 1),
            ("p\n1,500\n2,250\n", 2),
            ("0.5;1\n0,5;1\n", 1),
            ("p\n10.060,31\n0,5\n", 2),
        ] {
            assert_eq!(Expected::parse(text).unwrap_err().line, line, "{text:?}");
        }
    }

    #[test]
    fn numbers_of_columns_are_names() {
        let left = |text: &str| {
            let mut expected = Expected::parse(text).expect("numbers");
            expected.leave_out_numbered_names();
            expected.rows()
        };
        assert_eq!((left("0,1\n0.5,0.5\n"), left("0\n0.5\n")), (1, 1));
        assert_eq!((left("0,1.5\n0.5,0.5\n"), left("1\n0.5\n")), (2, 2));
    }

    #[test]
    fn digits_are_the_significant_ones() {
        for (text, count) in [("0.00123", 3), ("1.50", 3), ("-12e-4", 2), ("0", 0), ("0.333333343", 9)] {
            assert_eq!(digits(text), count, "{text}");
        }
    }
}
