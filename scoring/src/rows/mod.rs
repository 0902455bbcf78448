//! Files of rows: rows in, results out in their order, on all cores and in constant memory.
//!
//! ```text
//!   calling thread                worker threads (--threads)              calling thread
//!   Source ──chunks of rows──▶ Worker: cells → row → Model → Results ──in order──▶ Sink
//! ```
//!
//! The calling thread alone touches files and streams. A chunk is a few hundred kilobytes, and the number of chunks in
//! progress is limited. With a fault in row n, the n − 1 rows before it are written, and none after it.

mod array;
mod batches;
mod cells;
mod collect;
mod column_names;
mod csv_rows;
mod dialect;
mod each;
mod encoding;
mod error;
pub(crate) mod folder;
mod gather;
mod header;
mod header_names;
mod lines;
mod members;
mod number_shape;
pub(crate) mod numbers;
mod opening;
mod parquet_file;
mod parquet_parts;
mod passthrough;
pub(crate) mod progress;
mod results;
mod signatures;
mod sink;
mod source;
mod style;
mod table;
#[cfg(test)]
mod tests;
pub(crate) mod values;
mod workers;

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::thread;

use quintile_model::{Explainer, ExplainerError, KernelChoice};

use crate::loaded::LoadedModel;
use crate::text::clip;
pub use cells::csv_cell;
pub use collect::{Collect, Collected};
pub use dialect::Decimal;
pub use each::Rows;
pub use error::ScoreError;
pub use gather::{Gathered, gather};
pub use header::HeaderError;
pub use header_names::header_names;
pub(crate) use number_shape::{NumberShape, WITHOUT_THOUSANDS};
pub use opening::{Opened, Stated};
use progress::Progress;
use sink::Sink;
use source::RowSource;
use style::Style;

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
    /// The format that a file's name states, with any compression.
    #[must_use]
    pub fn of_file(file: &Path) -> Option<Self> {
        let stem = match compression_of(file) {
            Some(_) => Path::new(file.file_stem()?),
            None => file,
        };
        let suffix = stem.extension()?.to_str()?.to_ascii_lowercase();
        match suffix.as_str() {
            "csv" | "tsv" | "tab" => Some(Self::Csv),
            "ndjson" | "jsonl" => Some(Self::Ndjson),
            "parquet" => Some(Self::Parquet),
            _ => None,
        }
    }

    /// As it is called.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Csv => "CSV",
            Self::Ndjson => "NDJSON",
            Self::Parquet => "Parquet",
        }
    }
}

/// The compression that a file's name states.
#[must_use]
pub fn compression_of(file: &Path) -> Option<&'static str> {
    let suffix = file.extension()?.to_str()?.to_ascii_lowercase();
    ["gz", "zst", "bz2", "xz", "zip", "lz4"]
        .into_iter()
        .find(|known| *known == suffix)
}

/// Whether a file's name is that of a spreadsheet's workbook, which is never written.
#[must_use]
pub fn is_workbook(file: &Path) -> bool {
    let suffix = file.extension().and_then(|suffix| suffix.to_str()).unwrap_or_default();
    ["xlsx", "xlsm", "xlsb", "xls", "ods", "numbers"]
        .iter()
        .any(|known| suffix.eq_ignore_ascii_case(known))
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
    /// What each feature adds to the margins, and then the bias, output by output.
    Contributions,
}

/// Where rows come from. Only a file can be read from its end, as Parquet must be.
pub enum Input<'i> {
    /// Bytes that come once.
    Stream(Box<dyn Read + 'i>),
    /// A file.
    File(File),
    /// A folder of Parquet parts.
    Folder(PathBuf),
}

impl std::fmt::Debug for Input<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Stream(_) => "Stream",
            Self::File(_) => "File",
            Self::Folder(_) => "Folder",
        })
    }
}

/// How many rows there were.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowCounts {
    /// Rows with a score.
    pub scored: u64,
    /// Rows without one, whose error says why.
    pub unscored: u64,
}

/// What is asked for.
#[derive(Debug)]
pub struct Job<'s> {
    /// The model.
    pub loaded: &'s LoadedModel,
    /// What is written for each row.
    pub output: Output,
    /// What the rows are, once they are open.
    pub input: Format,
    /// The separator of the cells of CSV; none if the header decides.
    pub delimiter: Option<u8>,
    /// The decimal sign of numbers in CSV; none where the first rows tell.
    pub decimal: Option<Decimal>,
    /// What the results are.
    pub to: Format,
    /// A column of the rows that comes first in the results.
    pub id: Option<&'s str>,
    /// Columns of the rows that stand for a feature of another name: the rows' name, then the model's.
    pub renames: &'s [(String, String)],
    /// How many threads score; 0: the calling thread does it itself.
    pub threads: usize,
    /// Whether to show the progress.
    pub progress: bool,
    /// Whether a bad row ends the job where it could be a row of the results.
    pub strict: bool,
    /// Whether rows whose cells are all empty are left out, where answers are no rows of their own.
    pub skips_blank_rows: bool,
    /// Texts, in rows of any format, that are missing in addition to the usual ones.
    pub missing: &'s [String],
    /// The code that explains, where contributions or reasons are asked for.
    pub kernel: KernelChoice,
    /// Columns of words behind whole rows: so many reasons of each score.
    pub reasons: u16,
}

/// Rows in memory to predictions as CSV, and the fault in words that ended it: `quintile score` for the fuzz targets.
pub fn score_rows(loaded: &LoadedModel, rows: &[u8], format: Format) -> (Vec<u8>, Result<(), String>) {
    let mut job = Job::new(loaded, Output::Prediction);
    job.threads = 0;
    job.input = format;
    let mut results = Vec::new();
    let stated = Stated {
        flag: Some(job.input),
        name: None,
    };
    let outcome = Opened::new(Input::Stream(Box::new(rows)), stated)
        .and_then(|rows| job.run(rows, || Ok(Box::new(&mut results)), io::sink()));
    (results, outcome.map(drop).map_err(|error| error.to_string()))
}

/// Rows from a file or a folder, or from standard input for `-`. `flag` says what they are; without it their first
/// bytes do, then the file's name.
///
/// # Errors
/// A file that cannot be opened, or is none of rows.
pub fn open<'i>(rows: &Path, flag: Option<Format>, stdin: &'i mut dyn Read) -> Result<Opened<'i>, ScoreError> {
    let input = if rows == Path::new("-") {
        Input::Stream(Box::new(stdin))
    } else if rows.is_dir() {
        Input::Folder(rows.to_owned())
    } else {
        Input::File(File::open(rows).map_err(ScoreError::Read)?)
    };
    let name = Format::of_file(rows);
    Opened::new(input, Stated { flag, name })
}

impl<'s> Job<'s> {
    /// CSV to CSV on all cores.
    #[must_use]
    pub fn new(loaded: &'s LoadedModel, output: Output) -> Self {
        Self {
            loaded,
            output,
            input: Format::Csv,
            delimiter: None,
            decimal: None,
            to: Format::Csv,
            id: None,
            renames: &[],
            threads: thread::available_parallelism().map_or(1, usize::from),
            progress: false,
            strict: false,
            skips_blank_rows: false,
            missing: &[],
            kernel: KernelChoice::Auto,
            reasons: 0,
        }
    }

    /// The columns of the rows under the names that they stand for.
    fn renamed(&self, names: Vec<String>) -> Vec<String> {
        let rename = |name: String| {
            let known = self.renames.iter().find(|(from, _)| from.trim() == name.trim());
            known.map_or(name, |(_, to)| to.clone())
        };
        names.into_iter().map(rename).collect()
    }

    /// Whether the model can answer what is asked.
    ///
    /// # Errors
    /// A model that gives no scores, or none that can be explained.
    pub fn check(&self) -> Result<(), ScoreError> {
        let model = &self.loaded.model;
        if self.output == Output::Score && model.bands().is_none() {
            return Err(ScoreError::NoBands {
                objective: model.objective().to_owned(),
                predictions: model.prediction_len(),
            });
        }
        if self.output == Output::Contributions || self.reasons > 0 {
            model.explainable().map_err(ExplainerError::from)?;
        }
        Ok(())
    }

    /// Names of our columns that occur once. But a feature may be called bias, and in CSV the last of two such columns is
    /// the bias.
    fn unique(&self, own: &[String], theirs: &HashSet<&str>) -> Vec<String> {
        match (self.output, self.to) {
            (Output::Contributions, Format::Csv) => own.to_vec(),
            _ => column_names::unique(own, theirs),
        }
    }

    /// What explains the rows, where contributions or reasons are asked for.
    fn explainer(&self) -> Result<Option<Explainer>, ScoreError> {
        match self.output {
            _ if self.reasons > 0 => Ok(Some(self.loaded.model.explainer(self.kernel)?)),
            Output::Contributions => Ok(Some(self.loaded.model.explainer(self.kernel)?)),
            _ => Ok(None),
        }
    }

    /// Scores all rows. The results are opened when the header fits; notes go to `notes`.
    ///
    /// # Errors
    /// Rows that cannot be read or do not fit the model, and results that cannot be written.
    pub fn run<'w>(
        &self,
        rows: Opened<'_>,
        results: impl FnOnce() -> io::Result<Box<dyn Write + 'w>>,
        mut notes: impl Write,
    ) -> Result<RowCounts, ScoreError> {
        self.check()?;
        let mut source = RowSource::open(self, rows)?;
        for text in source.said() {
            // Standard error may be gone; the results are what counts.
            let _ = writeln!(notes, "quintile: note: {text}");
        }
        let style = Style::new(self, &source)?;
        for text in &style.said {
            let _ = writeln!(notes, "quintile: note: {text}");
        }
        if self.output == Output::Rows && self.input == Format::Ndjson && self.to != Format::Ndjson {
            let _ = writeln!(
                notes,
                "quintile: note: lines of JSON have no columns to keep; --id names one, --to ndjson keeps all"
            );
        }
        let mut sink = Sink::open(&style, results)?;
        let mut progress = self.progress.then(|| Progress::new(&mut notes, None));
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
                "quintile: note: {bad} of {rows} rows have no score, their column \"{}\" says why; the first: {}",
                style.error_name(),
                clip(&first, FIRST_BYTES_MAX)
            );
        }
        Ok(RowCounts {
            scored: tally.rows - tally.bad,
            unscored: tally.bad,
        })
    }
}
