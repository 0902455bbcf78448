//! Results as workers write them: lines of CSV or NDJSON, or columns of Parquet.

use std::collections::HashSet;

use arrow_array::ArrayRef;
use quintile_model::Explainer;

use super::dialect::Decimal;
use super::passthrough::Echo;
use super::source::{Chunk, RowSource};
use super::{Format, Job, Output, ScoreError, cells, column_names, values};
use crate::render;
use crate::text::excerpt;

/// How results look.
pub(super) struct Style {
    pub(super) to: Format,
    pub(super) output: Output,
    pub(super) id: Option<String>,
    /// The columns behind the id or the input's own: `margin`, or `margin_0`, `margin_1`, …, under names that occur
    /// once.
    pub(super) names: Vec<String>,
    /// The input's columns that come back. None but for [`Output::Rows`].
    kept: Vec<String>,
    /// Their types in Parquet.
    pub(super) fields: Vec<arrow_schema::Field>,
    /// What stands between cells of CSV.
    pub(super) separator: u8,
    /// The decimal sign of numbers in CSV.
    pub(super) decimal: u8,
    /// What ends a line of CSV.
    line_end: &'static [u8],
    /// What stands above the header of CSV.
    above_header: Vec<u8>,
    /// What is worth knowing about the columns.
    pub(super) said: Vec<String>,
    /// Whether a bad row is a row of the results.
    pub(super) keeps_faults: bool,
    /// Which predictions are given back.
    predictions: std::ops::Range<usize>,
    /// What explains the rows, where contributions are asked for.
    pub(super) explainer: Option<Explainer>,
}

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
}

impl Style {
    /// Names the columns, and refuses those that the results cannot hold.
    pub(super) fn new(job: &Job<'_>, source: &RowSource<'_>) -> Result<Self, ScoreError> {
        let model = &job.loaded.model;
        let own = cells::names(job.output, model);
        let (mut kept, mut fields) = (Vec::new(), Vec::new());
        if job.output == Output::Rows {
            kept = source.cells().map_or_else(Vec::new, |cells| cells.names.clone());
            fields = source.fields();
        }
        if job.to != Format::Csv
            && let Some(name) = column_names::twice(kept.iter().map(String::as_str))
        {
            return Err(ScoreError::NameTwice {
                name: excerpt(name),
                to: job.to.name(),
            });
        }
        let unwritable = |field: &&arrow_schema::Field| !values::is_writable(field.data_type());
        if job.to != Format::Parquet
            && let Some(field) = fields.iter().find(unwritable)
        {
            return Err(ScoreError::NoText {
                name: excerpt(field.name()),
                holds: excerpt(&field.data_type().to_string()),
                to: job.to.name(),
            });
        }
        // Where everything comes back, so does the id.
        let is_whole = job.output == Output::Rows && (source.cells().is_some() || job.to == Format::Ndjson);
        let id = job.id.filter(|_| !is_whole).map(str::to_owned);
        let members = match (job.output, job.to) {
            (Output::Rows, Format::Ndjson) => source.members(),
            _ => HashSet::new(),
        };
        let mut theirs: HashSet<&str> = kept.iter().chain(&id).map(String::as_str).collect();
        theirs.extend(members.iter().map(String::as_str));
        if job.output == Output::Rows && source.cells().is_none() {
            theirs.extend(model.schema().names());
        }
        let names = job.unique(&own, &theirs);
        let is_theirs = |own: &String| theirs.contains(own.as_str());
        let renamed = own
            .iter()
            .zip(&names)
            .filter(|(own, name)| own != name && is_theirs(own));
        let said =
            renamed.map(|(own, name)| format!("the rows have a column \"{own}\"; that of the results is \"{name}\""));
        // Rows of CSV come back as they are written.
        let dialect = source
            .dialect()
            .filter(|_| job.output == Output::Rows && job.to == Format::Csv);
        let dialect = dialect.unwrap_or_default();
        Ok(Self {
            said: said.collect(),
            to: job.to,
            output: job.output,
            id,
            names,
            kept,
            fields,
            separator: dialect.separator,
            decimal: if dialect.decimal == Decimal::Comma { b',' } else { b'.' },
            line_end: dialect.spelling.line_end.bytes(),
            above_header: dialect.above_header(),
            keeps_faults: job.output == Output::Rows && !job.strict,
            explainer: job.explainer()?,
            predictions: match model.probability_output() {
                Some(output) => output..output + 1,
                None => 0..model.prediction_len(),
            },
        })
    }

    /// The name of the column that says what is wrong with a row.
    pub(super) fn error_name(&self) -> &str {
        self.names.last().map_or("error", String::as_str)
    }

    pub(super) fn csv_header(&self) -> Vec<u8> {
        let mut line = self.above_header.clone();
        for name in self.id.iter().chain(&self.kept).chain(&self.names) {
            self.cell(&mut line, name.as_bytes());
            line.push(self.separator);
        }
        line.pop();
        line.extend_from_slice(self.line_end);
        line
    }

    /// Numbers of CSV, with separators between them.
    fn numbers_text(&self, line: &mut Vec<u8>, numbers: &[f64]) {
        for (index, &number) in numbers.iter().enumerate() {
            if index > 0 {
                line.push(self.separator);
            }
            let start = line.len();
            cells::numbers(line, &[number]);
            if self.decimal != b'.'
                && let Some(point) = line[start..].iter().position(|&byte| byte == b'.')
            {
                line[start + point] = self.decimal;
            }
        }
    }

    /// A cell of CSV, in quotes where it needs them.
    pub(super) fn cell(&self, line: &mut Vec<u8>, cell: &[u8]) {
        cells::bytes(line, cell, self.separator);
    }

    /// The numbers of a row that are asked for.
    fn numbers<'a>(&self, answer: &Answer<'a>) -> &'a [f64] {
        match self.output {
            Output::Margin => answer.margins,
            Output::Prediction => answer.predictions,
            Output::Score => &[],
            Output::Contributions => answer.contributions,
            Output::Rows => answer.predictions.get(self.predictions.clone()).unwrap_or_default(),
        }
    }
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
                self.text.extend_from_slice(style.line_end);
            }
            (Format::Ndjson, Output::Rows) => {
                self.lead_object(style, id);
                Echo::object(&mut self.text, style, at)?;
                self.end_object(style, answer.band, numbers);
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
                    self.errors.push(None);
                }
            }
        }
        Ok(())
    }

    /// The members behind those of the input, for a row that has a score.
    fn end_object(&mut self, style: &Style, band: Option<u8>, numbers: &[f64]) {
        let line = &mut self.text;
        let mut names = style.names.iter();
        if let Some(name) = names.next() {
            render::string(line, name);
            line.push(b':');
        }
        match band {
            Some(band) => line.push(b'0' + band),
            None => line.extend_from_slice(b"null"),
        }
        for (name, &number) in names.zip(numbers) {
            line.push(b',');
            render::string(line, name);
            line.push(b':');
            render::number(line, number);
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
                self.numbers.extend(std::iter::repeat_n(f64::NAN, numbers));
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
