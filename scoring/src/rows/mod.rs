//! Files of rows: rows in, results out in their order, on all cores and in constant memory.
//!
//! ```text
//!   calling thread                worker threads (--threads)              calling thread
//!   Source ──chunks of rows──▶ Worker: cells → row → Model → Results ──in order──▶ Sink
//! ```
//!
//! The calling thread alone touches files and streams. A chunk is a few hundred kilobytes, and only so many are under way
//! at once. A fault in row n takes back none of the n − 1 before it and lets none after it out.

mod batches;
mod cells;
mod each;
mod echo;
mod error;
mod gather;
mod header;
mod lines;
mod progress;
mod results;
mod rows;
mod sink;
mod source;
mod table;
#[cfg(test)]
mod tests;
mod workers;

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::thread;

use crate::loaded::Served;
use crate::text::clip;
pub use cells::csv_cell;
pub use each::Rows;
pub use error::ScoreError;
pub use gather::{Gathered, gather};
pub use header::HeaderError;
use progress::Progress;
use results::Style;
use sink::Sink;
use source::Source;

/// Bytes of the first fault that a note repeats.
const FIRST_BYTES_MAX: usize = 400;

/// How rows and results are written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A header line, then a line a row.
    Csv,
    /// A JSON object a line.
    Ndjson,
    /// Columns; a file, not a stream.
    Parquet,
}

impl Format {
    /// What the name of a file says of it.
    #[must_use]
    pub fn of_file(file: &Path) -> Option<Self> {
        let suffix = file.extension()?.to_str()?.to_ascii_lowercase();
        match suffix.as_str() {
            "csv" => Some(Self::Csv),
            "ndjson" | "jsonl" => Some(Self::Ndjson),
            "parquet" => Some(Self::Parquet),
            _ => None,
        }
    }
}

/// What is written for each row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// Every column of the input, then score, probability and error.
    Rows,
    /// The raw sums of the trees.
    Margin,
    /// After the objective's transform: probabilities, counts, classes.
    Prediction,
    /// The band, 1 to 5.
    Score,
}

/// Where rows come from. Only a file can be read from its end, as Parquet must be.
pub enum Input<'i> {
    /// Bytes that come once.
    Stream(Box<dyn Read + 'i>),
    /// A file.
    File(File),
}

impl std::fmt::Debug for Input<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Stream(_) => "Stream",
            Self::File(_) => "File",
        })
    }
}

/// What is asked for.
#[derive(Debug)]
pub struct Job<'s> {
    /// The model.
    pub served: &'s Served,
    /// What is written for each row.
    pub output: Output,
    /// What the rows are.
    pub input: Format,
    /// What the results are.
    pub to: Format,
    /// A column of the rows that comes first in the results.
    pub id: Option<&'s str>,
    /// How many threads score; 0: the calling thread does it itself.
    pub threads: usize,
    /// Whether somebody watches how far it is.
    pub progress: bool,
    /// Whether a bad row ends the job where it could be a row of the results.
    pub strict: bool,
}

/// Rows in memory to predictions as CSV, and the fault in words that ended it: `quintile score` for the fuzz targets.
pub fn score_rows(served: &Served, rows: &[u8], format: Format) -> (Vec<u8>, Result<(), String>) {
    let mut job = Job::new(served, Output::Prediction);
    job.threads = 0;
    job.input = format;
    let mut results = Vec::new();
    let input = Input::Stream(Box::new(rows));
    let outcome = job.run(input, || Ok(Box::new(&mut results)), io::sink());
    (results, outcome.map_err(|error| error.to_string()))
}

/// Rows from a file, or from standard input for `-`.
///
/// # Errors
/// A file that cannot be opened.
pub fn open<'i>(rows: &Path, stdin: &'i mut dyn Read) -> Result<Input<'i>, ScoreError> {
    Ok(if rows == Path::new("-") {
        Input::Stream(Box::new(stdin))
    } else {
        Input::File(File::open(rows).map_err(ScoreError::Read)?)
    })
}

impl<'s> Job<'s> {
    /// CSV to CSV on all cores.
    #[must_use]
    pub fn new(served: &'s Served, output: Output) -> Self {
        Self {
            served,
            output,
            input: Format::Csv,
            to: Format::Csv,
            id: None,
            threads: thread::available_parallelism().map_or(1, usize::from),
            progress: false,
            strict: false,
        }
    }

    /// Scores all rows. The results are opened when the header fits; notes go to `notes`.
    ///
    /// # Errors
    /// Rows that cannot be read or do not fit the model, and results that cannot be written.
    pub fn run<'w>(
        &self,
        input: Input<'_>,
        results: impl FnOnce() -> io::Result<Box<dyn Write + 'w>>,
        mut notes: impl Write,
    ) -> Result<(), ScoreError> {
        let model = &self.served.model;
        if self.output == Output::Score && model.bands().is_none() {
            return Err(ScoreError::NoBands {
                objective: model.objective().to_owned(),
                predictions: model.prediction_len(),
            });
        }
        let mut source = Source::open(self, input)?;
        for text in source.said() {
            // Standard error may be gone; the results are what counts.
            let _ = writeln!(notes, "quintile: note: {text}");
        }
        let style = Style::new(self, &source);
        if self.output == Output::Rows && self.input == Format::Ndjson && self.to != Format::Ndjson {
            let _ = writeln!(
                notes,
                "quintile: note: lines of JSON have no columns to keep; --id names one, --to ndjson keeps all"
            );
        }
        let mut sink = Sink::new(results().map_err(ScoreError::Write)?, &style)?;
        let mut progress = self.progress.then(|| Progress::new(&mut notes));
        let scored = workers::run(self, &mut source, &style, &mut sink, &mut progress);
        if let Some(progress) = progress {
            progress.end();
        }
        // A fault in row n does not take back the n − 1 before it.
        let finished = sink.finish().map_err(ScoreError::Write);
        let tally = scored?;
        finished?;
        if let Some(first) = tally.first.filter(|_| tally.bad > 0) {
            let (bad, rows) = (tally.bad, tally.rows);
            let _ = writeln!(
                notes,
                "quintile: note: {bad} of {rows} rows have no score, their column \"error\" says why; the first: {}",
                clip(&first, FIRST_BYTES_MAX)
            );
        }
        Ok(())
    }
}
