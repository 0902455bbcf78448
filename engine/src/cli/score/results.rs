//! Results as workers write them down: lines of CSV or NDJSON, or the columns of Parquet.

use super::{Format, Job, Output, cells};
use crate::score::render;

/// How results look.
pub(super) struct Style {
    pub(super) to: Format,
    pub(super) output: Output,
    pub(super) id: Option<String>,
    /// The columns behind the id: `margin`, or `margin_0`, `margin_1`, ….
    pub(super) names: Vec<String>,
}

/// The results of some rows.
#[derive(Default)]
pub(super) struct Results {
    rows: u64,
    pub(super) text: Vec<u8>,
    /// Of Parquet only, a row after the other.
    pub(super) ids: Vec<Option<String>>,
    pub(super) numbers: Vec<f64>,
    pub(super) bands: Vec<i8>,
}

impl Style {
    pub(super) fn new(job: &Job<'_>) -> Self {
        Self {
            to: job.to,
            output: job.output,
            id: job.id.map(str::to_owned),
            names: cells::names(job.output, &job.served.model),
        }
    }

    pub(super) fn csv_header(&self) -> Vec<u8> {
        let mut line = Vec::new();
        if let Some(id) = &self.id {
            cells::text(&mut line, id);
            line.push(b',');
        }
        line.extend_from_slice(self.names.join(",").as_bytes());
        line.push(b'\n');
        line
    }
}

impl Results {
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// Adds a row.
    pub(super) fn push(
        &mut self,
        style: &Style,
        id: Option<&str>,
        band: Option<u8>,
        margins: &[f64],
        predictions: &[f64],
    ) {
        self.rows += 1;
        let numbers = match style.output {
            Output::Margin => margins,
            Output::Prediction => predictions,
            Output::Score => &[],
        };
        match style.to {
            Format::Csv => self.push_csv(style, id, band, numbers),
            Format::Ndjson => self.push_object(style, id, band, numbers),
            Format::Parquet => {
                if style.id.is_some() {
                    self.ids.push(id.map(str::to_owned));
                }
                self.numbers.extend_from_slice(numbers);
                let band = (style.output == Output::Score).then_some(band).flatten();
                self.bands.extend(band.and_then(|band| i8::try_from(band).ok()));
            }
        }
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
            Output::Margin | Output::Prediction => cells::numbers(line, numbers),
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
            Output::Margin | Output::Prediction => {
                for (name, &number) in style.names.iter().zip(numbers) {
                    key(line, name);
                    render::number(line, number);
                }
            }
        }
        line.extend_from_slice(b"}\n");
    }
}
