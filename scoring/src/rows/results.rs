//! Results as workers write them down: lines of CSV or NDJSON, or the columns of Parquet.

use arrow_array::ArrayRef;

use super::echo::Echo;
use super::source::{Chunk, Source};
use super::{Format, Job, Output, ScoreError, cells};
use crate::render;

/// How results look.
pub(super) struct Style {
    pub(super) to: Format,
    pub(super) output: Output,
    pub(super) id: Option<String>,
    /// The columns behind the id or the input's own: `margin`, or `margin_0`, `margin_1`, ….
    pub(super) names: Vec<String>,
    /// The input's columns that come back, by number and name. None but for [`Output::Rows`].
    pub(super) kept: Vec<(usize, String)>,
    /// Their types in Parquet.
    pub(super) fields: Vec<arrow_schema::Field>,
    /// Whether a bad row is a row of the results.
    pub(super) keeps_faults: bool,
    /// Which predictions are given back.
    predictions: std::ops::Range<usize>,
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
}

impl Style {
    pub(super) fn new(job: &Job<'_>, source: &Source<'_>) -> Self {
        let model = &job.served.model;
        let names = cells::names(job.output, model);
        let is_ours = |name: &str| job.served.columns.column(name).is_none() && names.iter().any(|ours| ours == name);
        let mut kept = Vec::new();
        let mut fields = Vec::new();
        if job.output == Output::Rows {
            // What is ours is written anew: a file may be scored twice.
            let cells = source.cells().map_or(&[][..], |cells| &cells.names);
            kept.extend(cells.iter().cloned().enumerate().filter(|(_, name)| !is_ours(name)));
            fields = source.fields();
            fields.retain(|field| !is_ours(field.name()));
        }
        Self {
            to: job.to,
            output: job.output,
            id: job.id.filter(|_| kept.is_empty()).map(str::to_owned),
            names,
            kept,
            fields,
            keeps_faults: job.output == Output::Rows && !job.strict,
            predictions: match model.probability_output() {
                Some(output) => output..output + 1,
                None => 0..model.prediction_len(),
            },
        }
    }

    pub(super) fn csv_header(&self) -> Vec<u8> {
        let mut line = Vec::new();
        for name in self.id.iter().chain(self.kept.iter().map(|(_, name)| name)) {
            cells::text(&mut line, name);
            line.push(b',');
        }
        line.extend_from_slice(self.names.join(",").as_bytes());
        line.push(b'\n');
        line
    }

    /// The numbers of a row that are asked for.
    fn numbers<'a>(&self, answer: &Answer<'a>) -> &'a [f64] {
        match self.output {
            Output::Margin => answer.margins,
            Output::Prediction => answer.predictions,
            Output::Score => &[],
            Output::Rows => answer.predictions.get(self.predictions.clone()).unwrap_or_default(),
        }
    }
}

impl Results {
    pub(super) fn new(style: &Style, chunk: &Chunk) -> Self {
        let kept = match (style.output, style.to) {
            (Output::Rows, Format::Parquet) => Echo::columns(style, chunk),
            _ => Vec::new(),
        };
        Self {
            kept,
            ..Self::default()
        }
    }

    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// Adds a row: `at` is where it stands in the input.
    pub(super) fn push(&mut self, style: &Style, at: (&Chunk, usize), id: Option<&str>, answer: &Answer<'_>) {
        self.rows += 1;
        let numbers = style.numbers(answer);
        match (style.to, style.output) {
            (Format::Csv, Output::Rows) => {
                self.lead_csv(style, at, id);
                self.text.extend(answer.band.map(|band| b'0' + band));
                self.text.push(b',');
                cells::numbers(&mut self.text, numbers);
                self.text.extend_from_slice(b",\n");
            }
            (Format::Ndjson, Output::Rows) => {
                self.lead_object(style, at, id);
                let line = &mut self.text;
                line.extend_from_slice(b"\"score\":");
                match answer.band {
                    Some(band) => line.push(b'0' + band),
                    None => line.extend_from_slice(b"null"),
                }
                for (name, &number) in style.names.iter().skip(1).zip(numbers) {
                    line.push(b',');
                    render::string(line, name);
                    line.push(b':');
                    render::number(line, number);
                }
                line.extend_from_slice(b",\"error\":null}\n");
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
    }

    /// Adds a row that has no score.
    pub(super) fn push_fault(&mut self, style: &Style, at: (&Chunk, usize), error: &ScoreError) {
        self.rows += 1;
        self.bad += 1;
        let error = error.to_string();
        let says = without_place(&error);
        // Behind the score and before the error.
        let numbers = style.names.len().saturating_sub(2);
        match style.to {
            Format::Csv => {
                self.lead_csv(style, at, None);
                self.text.extend(std::iter::repeat_n(b',', numbers + 1));
                cells::text(&mut self.text, says);
                self.text.push(b'\n');
            }
            Format::Ndjson => {
                self.lead_object(style, at, None);
                self.text.extend_from_slice(b"\"score\":null");
                for name in style.names.iter().skip(1).take(numbers) {
                    self.text.push(b',');
                    render::string(&mut self.text, name);
                    self.text.extend_from_slice(b":null");
                }
                self.text.extend_from_slice(b",\"error\":");
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
        self.first = self.first.take().or(Some(error));
    }

    /// The input's own columns, or the id.
    fn lead_csv(&mut self, style: &Style, at: (&Chunk, usize), id: Option<&str>) {
        if style.id.is_some() {
            cells::text(&mut self.text, id.unwrap_or_default());
            self.text.push(b',');
        }
        Echo::csv(&mut self.text, style, at);
    }

    fn lead_object(&mut self, style: &Style, at: (&Chunk, usize), id: Option<&str>) {
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
        Echo::object(&mut self.text, style, at);
    }

    fn push_csv(&mut self, style: &Style, id: Option<&str>, band: Option<u8>, numbers: &[f64]) {
        let line = &mut self.text;
        if style.id.is_some() {
            cells::text(line, id.unwrap_or_default());
            line.push(b',');
        }
        match style.output {
            // A model with bands gives one for every row.
            Output::Score => line.extend(band.map(|band| b'0' + band)),
            _ => cells::numbers(line, numbers),
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
                key(line, "score");
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
