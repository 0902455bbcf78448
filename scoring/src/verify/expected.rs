//! The numbers of the training library: a text with one row on each line, or columns of the rows themselves.

use std::fs;
use std::path::Path;

use super::VerifyError;

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
        let mut expected = Self {
            values: Vec::new(),
            width: 0,
            digits: 0,
        };
        let lines = text.lines().enumerate().map(|(number, line)| (number + 1, line.trim()));
        let mut lines = lines.filter(|(_, line)| !line.is_empty()).peekable();
        // Names stand above the numbers where nothing of the first line is a number.
        if let Some(&(_, first)) = lines.peek()
            && cells(first).all(|cell| number(cell).is_none())
        {
            lines.next();
        }
        for (line, text) in lines {
            let before = expected.values.len();
            for cell in cells(text) {
                let value = number(cell).ok_or_else(|| TextFault {
                    line,
                    why: format!("{} is no number", crate::text::excerpt(cell)),
                })?;
                expected.values.push(value);
                expected.digits = expected.digits.max(digits(cell));
            }
            let width = expected.values.len() - before;
            if expected.width == 0 {
                expected.width = width;
            }
            if width != expected.width {
                let why = format!("it has {width} numbers, the lines above have {}", expected.width);
                return Err(TextFault { line, why });
            }
        }
        if expected.width == 0 {
            let why = "there are no numbers".into();
            return Err(TextFault { line: 1, why });
        }
        Ok(expected)
    }

    /// Puts columns of texts side by side.
    pub(super) fn of_columns(columns: &[Vec<String>], names: &[&str]) -> Result<Self, VerifyError> {
        let rows = columns.first().map_or(0, Vec::len);
        let mut expected = Self {
            values: Vec::with_capacity(rows * columns.len()),
            width: columns.len(),
            digits: 0,
        };
        for row in 0..rows {
            for (column, name) in columns.iter().zip(names) {
                let text = column[row].trim();
                let value = number(text).ok_or_else(|| VerifyError::ExpectCell {
                    row: row + 1,
                    column: (*name).to_owned(),
                    cell: crate::text::excerpt(text),
                })?;
                expected.values.push(value);
                expected.digits = expected.digits.max(digits(text));
            }
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

fn cells(line: &str) -> impl Iterator<Item = &str> {
    let separator = [',', ';', '\t'].into_iter().find(|&sign| line.contains(sign));
    let parts: Box<dyn Iterator<Item = &str>> = match separator {
        Some(sign) => Box::new(line.split(sign)),
        None => Box::new(line.split_whitespace()),
    };
    parts.map(|cell| cell.trim().trim_matches('"'))
}

fn number(cell: &str) -> Option<f64> {
    match cell {
        "" | "nan" | "NaN" | "null" => Some(f64::NAN),
        _ => cell.parse().ok(),
    }
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
        ] {
            let expected = Expected::parse(text).unwrap_or_else(|fault| panic!("{text:?}: {fault:?}"));
            assert_eq!(
                (expected.width, expected.values.as_slice()),
                (width, values),
                "{text:?}"
            );
        }
        for (text, line) in [("", 1), ("a\n", 1), ("1\nx\n", 2), ("1,2\n3\n", 2), ("1,x\n", 1)] {
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
