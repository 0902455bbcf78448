//! `quintile score`: rows in, results out in their order, on all cores and in constant memory.
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

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;
use std::thread;

use quintile_model::Options;

use super::args::{Format, Output, ScoreArgs};
use super::{Exit, Streams, report};
use crate::config::screen::clip;
use crate::served::Served;
pub(crate) use cells::csv_cell;
pub(crate) use each::Rows;
pub(crate) use error::ScoreError;
pub(crate) use gather::gather;
pub(crate) use header::HeaderError;
use progress::Progress;
use results::Style;
use sink::Sink;
use source::Source;

/// Bytes of the first fault that a note repeats.
const FIRST_BYTES_MAX: usize = 400;

/// Where rows come from. Only a file can be read from its end, as Parquet must be.
pub(super) enum Input<'i> {
    Stream(Box<dyn Read + 'i>),
    File(File),
}

/// What is asked for.
struct Job<'s> {
    served: &'s Served,
    output: Output,
    input: Format,
    to: Format,
    id: Option<&'s str>,
    /// How many score; 0: the calling thread does it itself.
    threads: usize,
    progress: bool,
    /// Whether a bad row ends the job where it could be a row of the results.
    strict: bool,
}

/// Loads the model, opens the rows and scores them.
pub(crate) fn run(args: &ScoreArgs, streams: &mut Streams<'_>) -> Exit {
    let options = Options {
        trees: args.trees,
        kernel: args.kernel,
    };
    let served = match Served::load(args.model.as_deref(), options, 0) {
        Ok(served) => served,
        Err(error) => return report::model(&error, streams),
    };
    for text in served.model.notes() {
        report::note(text, streams);
    }
    let mut job = Job::new(&served, args.output);
    job.input = args.input.or_else(|| format_of(&args.rows)).unwrap_or(Format::Csv);
    // Rows come back in the format they came in; bare numbers are CSV unless something else is asked for.
    let usual = if args.output == Output::Rows {
        job.input
    } else {
        Format::Csv
    };
    job.to = args.to.or_else(|| format_of(args.out.as_deref()?)).unwrap_or(usual);
    job.strict = args.strict;
    if job.to == Format::Parquet && args.out.is_none() && streams.watched.stdout {
        let message = "Parquet is nothing for a terminal: name a file by --out, or print with --to csv";
        return report::failure(message, streams);
    }
    job.id = args.id.as_deref();
    job.threads = args.threads.map_or(job.threads, usize::from);
    // Where results and progress would meet on one screen, results have it.
    job.progress = streams.watched.stderr && (args.out.is_some() || !streams.watched.stdout);
    match run_job(&job, args, streams) {
        Ok(()) => Exit::Success,
        Err(ScoreError::Write(error)) => report::finish(Err(error), streams),
        Err(error) => report::failure(format_args!("{}: {error}", args.rows.display()), streams),
    }
}

/// What [`score_rows`] reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowFormat {
    /// A header line, then a line a row.
    Csv,
    /// A JSON object a line.
    Ndjson,
}

/// Rows in memory to predictions as CSV, and the fault in words that ended it: `quintile score` for the fuzz targets.
pub fn score_rows(served: &Served, rows: &[u8], format: RowFormat) -> (Vec<u8>, Result<(), String>) {
    let mut job = Job::new(served, Output::Prediction);
    job.threads = 0;
    job.input = match format {
        RowFormat::Csv => Format::Csv,
        RowFormat::Ndjson => Format::Ndjson,
    };
    let mut results = Vec::new();
    let input = Input::Stream(Box::new(rows));
    let outcome = job.run(input, || Ok(Box::new(&mut results)), io::sink());
    (results, outcome.map_err(|error| error.to_string()))
}

fn run_job(job: &Job<'_>, args: &ScoreArgs, streams: &mut Streams<'_>) -> Result<(), ScoreError> {
    let input = open(&args.rows, &mut *streams.stdin)?;
    match &args.out {
        Some(out) => {
            if let (Ok(rows), Ok(results)) = (fs::canonicalize(&args.rows), fs::canonicalize(out))
                && rows == results
            {
                return Err(ScoreError::Same(out.display().to_string()));
            }
            let open = || Ok(Box::new(File::create(out)?) as Box<dyn Write>);
            job.run(input, open, &mut *streams.stderr)
        }
        None => job.run(input, || Ok(Box::new(&mut *streams.stdout)), &mut *streams.stderr),
    }
}

/// Rows from a file, or from standard input for `-`.
fn open<'i>(rows: &Path, stdin: &'i mut dyn Read) -> Result<Input<'i>, ScoreError> {
    Ok(if rows == Path::new("-") {
        Input::Stream(Box::new(stdin))
    } else {
        Input::File(File::open(rows).map_err(ScoreError::Read)?)
    })
}

fn format_of(file: &Path) -> Option<Format> {
    let suffix = file.extension()?.to_str()?.to_ascii_lowercase();
    match suffix.as_str() {
        "csv" => Some(Format::Csv),
        "ndjson" | "jsonl" => Some(Format::Ndjson),
        "parquet" => Some(Format::Parquet),
        _ => None,
    }
}

impl<'s> Job<'s> {
    /// CSV to CSV on all cores.
    fn new(served: &'s Served, output: Output) -> Self {
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
    fn run<'w>(
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
