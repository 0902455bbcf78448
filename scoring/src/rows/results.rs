//! Results as workers write them: lines of CSV or NDJSON, or columns of Parquet.

use arrow_array::ArrayRef;

use super::passthrough::Echo;
use super::source::Chunk;
use super::style::Style;
use super::{Format, Output, ScoreError};
use crate::render;

/// The results of some rows.
#[derive(Default)]
pub(super) struct Results {
    rows: u64,
    /// Rows that have an error in place of a score, and the first one's.
    pub(super) bad: u64,
    pub(super) first: Option<String>,
    pub(super) text: Vec<u8>,
    /// Of Parquet only, a row after the other.
    pub(super) ids: Vec<Option<String>>,
    pub(super) numbers: Vec<f64>,
    pub(super) bands: Vec<Option<i8>>,
    /// So many of a row as the style has columns for.
    pub(super) reasons: Vec<Option<String>>,
    pub(super) errors: Vec<Option<String>>,
    /// The input's columns that come back.
    pub(super) kept: Vec<ArrayRef>,
}

/// What the model says of a row.
pub(super) struct Answer<'a> {
    pub(super) band: Option<u8>,
    pub(super) margins: &'a [f64],
    pub(super) predictions: &'a [f64],
    /// Empty where they are not asked for.
    pub(super) contributions: &'a [f64],
    /// Words of reasons, the most important first; as many as there are.
    pub(super) reasons: &'a [String],
}

impl Results {
    pub(super) fn new(style: &Style, chunk: &Chunk) -> Result<Self, ScoreError> {
        let kept = match (style.output, style.to) {
            (Output::Rows, Format::Parquet) => Echo::columns(chunk)?,
            _ => Vec::new(),
        };
        Ok(Self {
            kept,
            ..Self::default()
        })
    }

    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// Adds a row: `at` is where it stands in the input. A row that cannot be written is left out.
    pub(super) fn push(
        &mut self,
        style: &Style,
        at: (&Chunk, usize),
        id: Option<&str>,
        answer: &Answer<'_>,
    ) -> Result<(), ScoreError> {
        let start = self.text.len();
        let pushed = self.try_push(style, at, id, answer);
        match pushed {
            Ok(()) => self.rows += 1,
            Err(_) => self.text.truncate(start),
        }
        match pushed {
            Err(error @ ScoreError::MemberTwice { .. }) if style.keeps_faults => self.push_fault(style, at, &error),
            pushed => pushed,
        }
    }

    fn try_push(
        &mut self,
        style: &Style,
        at: (&Chunk, usize),
        id: Option<&str>,
        answer: &Answer<'_>,
    ) -> Result<(), ScoreError> {
        let numbers = style.numbers(answer);
        match (style.to, style.output) {
            (Format::Csv, Output::Rows) => {
                self.lead_csv(style, at, id)?;
                self.text.extend(answer.band.map(|band| b'0' + band));
                self.text.push(style.separator);
                style.numbers_text(&mut self.text, numbers);
                self.text.push(style.separator);
                for number in 0..style.reasons {
                    let reason = answer.reasons.get(number).map_or("", String::as_str);
                    style.cell(&mut self.text, reason.as_bytes());
                    self.text.push(style.separator);
                }
                self.text.extend_from_slice(style.line_end);
            }
            (Format::Ndjson, Output::Rows) => {
                self.lead_object(style, id);
                Echo::object(&mut self.text, style, at)?;
                self.end_object(style, answer, numbers);
            }
            (Format::Csv, _) => self.push_csv(style, id, answer.band, numbers),
            (Format::Ndjson, _) => self.push_object(style, id, answer.band, numbers),
            (Format::Parquet, output) => {
                if style.id.is_some() {
                    self.ids.push(id.map(str::to_owned));
                }
                self.numbers.extend_from_slice(numbers);
                if matches!(output, Output::Score | Output::Rows) {
                    self.bands.push(answer.band.and_then(|band| i8::try_from(band).ok()));
                }
                if output == Output::Rows {
                    let reasons = answer.reasons.iter().cloned().map(Some);
                    self.reasons
                        .extend(reasons.chain(std::iter::repeat(None)).take(style.reasons));
                    self.errors.push(None);
                }
            }
        }
        Ok(())
    }

    /// The members behind those of the input, for a row that has a score.
    fn end_object(&mut self, style: &Style, answer: &Answer<'_>, numbers: &[f64]) {
        let line = &mut self.text;
        let mut names = style.names.iter();
        if let Some(name) = names.next() {
            render::string(line, name);
            line.push(b':');
        }
        match answer.band {
            Some(band) => line.push(b'0' + band),
            None => line.extend_from_slice(b"null"),
        }
        for (name, &number) in names.by_ref().zip(numbers) {
            line.push(b',');
            render::string(line, name);
            line.push(b':');
            render::number(line, number);
        }
        let reasons = style.names.iter().rev().skip(1).take(style.reasons).rev();
        for (number, name) in reasons.enumerate() {
            line.push(b',');
            render::string(line, name);
            line.push(b':');
            match answer.reasons.get(number) {
                Some(reason) => render::string(line, reason),
                None => line.extend_from_slice(b"null"),
            }
        }
        line.push(b',');
        render::string(line, style.error_name());
        line.extend_from_slice(b":null}\n");
    }

    /// Adds a row that has no score.
    pub(super) fn push_fault(
        &mut self,
        style: &Style,
        at: (&Chunk, usize),
        error: &ScoreError,
    ) -> Result<(), ScoreError> {
        let start = self.text.len();
        let error = error.to_string();
        let says = without_place(&error);
        if let Err(error) = self.try_push_fault(style, at, says) {
            self.text.truncate(start);
            return Err(error);
        }
        self.rows += 1;
        self.bad += 1;
        self.first = self.first.take().or(Some(error));
        Ok(())
    }

    fn try_push_fault(&mut self, style: &Style, at: (&Chunk, usize), says: &str) -> Result<(), ScoreError> {
        // Behind the score and before the error.
        let numbers = style.names.len().saturating_sub(2);
        match style.to {
            Format::Csv => {
                self.lead_csv(style, at, None)?;
                self.text.extend(std::iter::repeat_n(style.separator, numbers + 1));
                style.cell(&mut self.text, says.as_bytes());
                self.text.extend_from_slice(style.line_end);
            }
            Format::Ndjson => {
                self.lead_object(style, None);
                Echo::faulty_object(&mut self.text, style, at)?;
                for name in style.names.iter().take(numbers + 1) {
                    render::string(&mut self.text, name);
                    self.text.extend_from_slice(b":null,");
                }
                render::string(&mut self.text, style.error_name());
                self.text.push(b':');
                render::string(&mut self.text, says);
                self.text.extend_from_slice(b"}\n");
            }
            Format::Parquet => {
                if style.id.is_some() {
                    self.ids.push(None);
                }
                self.numbers
                    .extend(std::iter::repeat_n(f64::NAN, numbers.saturating_sub(style.reasons)));
                self.reasons.extend(std::iter::repeat_n(None, style.reasons));
                self.bands.push(None);
                self.errors.push(Some(says.to_owned()));
            }
        }
        Ok(())
    }

    /// The input's own columns, or the id.
    fn lead_csv(&mut self, style: &Style, at: (&Chunk, usize), id: Option<&str>) -> Result<(), ScoreError> {
        if style.id.is_some() {
            style.cell(&mut self.text, id.unwrap_or_default().as_bytes());
            self.text.push(style.separator);
        }
        match style.kept.is_empty() {
            true => Ok(()),
            false => Echo::csv(&mut self.text, style, at),
        }
    }

    fn lead_object(&mut self, style: &Style, id: Option<&str>) {
        self.text.push(b'{');
        if let Some(name) = &style.id {
            render::string(&mut self.text, name);
            self.text.push(b':');
            match id {
                Some(id) => render::string(&mut self.text, id),
                None => self.text.extend_from_slice(b"null"),
            }
            self.text.push(b',');
        }
    }

    fn push_csv(&mut self, style: &Style, id: Option<&str>, band: Option<u8>, numbers: &[f64]) {
        let line = &mut self.text;
        if style.id.is_some() {
            style.cell(line, id.unwrap_or_default().as_bytes());
            line.push(style.separator);
        }
        match style.output {
            // A model with bands gives one for every row.
            Output::Score => line.extend(band.map(|band| b'0' + band)),
            _ => style.numbers_text(line, numbers),
        }
        line.push(b'\n');
    }

    fn push_object(&mut self, style: &Style, id: Option<&str>, band: Option<u8>, numbers: &[f64]) {
        let line = &mut self.text;
        let mut before = b'{';
        let mut key = |line: &mut Vec<u8>, name: &str| {
            line.push(std::mem::replace(&mut before, b','));
            render::string(line, name);
            line.push(b':');
        };
        if let Some(name) = &style.id {
            key(line, name);
            match id {
                Some(id) => render::string(line, id),
                None => line.extend_from_slice(b"null"),
            }
        }
        match style.output {
            Output::Score => {
                key(line, style.names.first().map_or("score", String::as_str));
                line.extend(band.map(|band| b'0' + band));
            }
            _ => {
                for (name, &number) in style.names.iter().zip(numbers) {
                    key(line, name);
                    render::number(line, number);
                }
            }
        }
        line.extend_from_slice(b"}\n");
    }
}

/// An error without the row's number, which stands beside the row.
fn without_place(error: &str) -> &str {
    let Some(rest) = error.strip_prefix("row ") else {
        return error;
    };
    let rest = rest.trim_start_matches(|letter: char| letter.is_ascii_digit());
    let rest = match rest.strip_prefix(" (line ").and_then(|rest| rest.split_once(')')) {
        Some((_, rest)) => rest,
        None => rest,
    };
    rest.trim_start_matches([',', ':', ' '])
}

#[cfg(test)]
mod tests {
    use super::without_place;

    #[test]
    fn a_row_does_not_name_itself() {
        for (error, says) in [
            (
                "row 3 (line 4), column \"a\": \"x\" is no number",
                "column \"a\": \"x\" is no number",
            ),
            (
                "row 3 (line 4) has 2 cells, but the header has 3",
                "has 2 cells, but the header has 3",
            ),
            ("row 12, column \"a\" must be 1", "column \"a\" must be 1"),
            ("row 1 (line 1): the row is no JSON", "the row is no JSON"),
            ("something else", "something else"),
        ] {
            assert_eq!(without_place(error), says);
        }
    }
}
