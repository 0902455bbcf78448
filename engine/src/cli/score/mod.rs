//! `quintile score`: CSV in, CSV out, one line a row, in constant memory.

mod cells;
mod header;
mod rows;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;

use quintile_model::{Model, Options, Schema};

use super::args::{Output, ScoreArgs};
use super::{Exit, Streams, report};
use crate::config::screen::excerpt;
use crate::score::categories::Accepted;
use crate::served::Served;
pub(crate) use header::HeaderError;
use rows::{Row, Rows};

/// Bytes gathered before they are written.
const WRITE_BYTES: usize = 64 << 10;

/// Why rows could not be scored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ScoreError {
    #[error("read the rows: {0}")]
    Read(io::Error),
    #[error(transparent)]
    Header(#[from] HeaderError),
    #[error("line {line} is blank, and only the last may be: a row whose values are all missing has commas or nan")]
    Blank { line: u64 },
    #[error("row {row} (line {line}) has {cells} cells, but the header has {expected}")]
    Ragged {
        row: u64,
        line: u64,
        cells: usize,
        expected: usize,
    },
    #[error(
        "row {row} (line {line}), column {name}: {text} is no number; a missing value is an empty cell, nan or null"
    )]
    Cell {
        row: u64,
        line: u64,
        name: String,
        text: String,
    },
    #[error(
        "row {row} (line {line}), column {name}: {text} is no category of this feature, which has {accepted}, nor a code; a \
         missing value is an empty cell, nan or null"
    )]
    Category {
        row: u64,
        line: u64,
        name: String,
        text: String,
        accepted: String,
    },
    #[error("line {line} begins a row that does not end: a quote is not closed")]
    Unclosed { line: u64 },
    #[error("line {line} begins a row of more than {bytes_max} bytes; is a quote not closed?")]
    Long { line: u64, bytes_max: usize },
    #[error(
        "the model gives no scores: objective {objective} with {predictions} predictions has no natural bands; state edges in \
         its manifest, or ask for --output prediction"
    )]
    NoBands { objective: String, predictions: usize },
    #[error("write the results: {0}")]
    Write(io::Error),
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
    let result = if args.rows == Path::new("-") {
        score(
            &served.model,
            args.output,
            &mut *streams.stdin,
            &mut *streams.stdout,
            &mut *streams.stderr,
        )
    } else {
        match File::open(&args.rows) {
            Ok(file) => score(
                &served.model,
                args.output,
                file,
                &mut *streams.stdout,
                &mut *streams.stderr,
            ),
            Err(error) => Err(ScoreError::Read(error)),
        }
    };
    match result {
        Ok(()) => Exit::Success,
        Err(ScoreError::Write(error)) => report::finish(Err(error), streams),
        Err(error) => report::failure(format_args!("{}: {error}", args.rows.display()), streams),
    }
}

/// Scores all rows. What was scored before a fault is written; notes go to `notes`.
pub(crate) fn score<R: Read>(
    model: &Model,
    output: Output,
    rows: R,
    results: impl Write,
    notes: impl Write,
) -> Result<(), ScoreError> {
    let mut results = BufWriter::with_capacity(WRITE_BYTES, results);
    let scored = score_rows(model, output, rows, &mut results, notes);
    // A fault in row n does not take back the n − 1 before it.
    let flushed = results.flush().map_err(ScoreError::Write);
    scored.and(flushed)
}

fn score_rows<R: Read>(
    model: &Model,
    output: Output,
    rows: R,
    results: &mut impl Write,
    mut notes: impl Write,
) -> Result<(), ScoreError> {
    if output == Output::Score && model.bands().is_none() {
        return Err(ScoreError::NoBands {
            objective: model.objective().to_owned(),
            predictions: model.prediction_len(),
        });
    }
    let mut rows = Rows::new(rows);
    let names = rows.header()?;
    let (places, said) = header::places(&names, model.schema())?;
    for text in said {
        // Standard error may be gone; the results are what counts.
        let _ = writeln!(notes, "quintile: note: {text}");
    }
    let mut line = Vec::new();
    cells::header(&mut line, output, model);
    results.write_all(&line).map_err(ScoreError::Write)?;
    let mut row = vec![f64::NAN; model.schema().len()];
    let mut scratch = model.scratch();
    let mut record = csv::ByteRecord::new();
    while let Some(at) = rows.next(&mut record)? {
        fill(&mut row, &record, &places, model.schema(), at, &names)?;
        let band = model.score_row(&row, &mut scratch);
        line.clear();
        match output {
            Output::Margin => cells::numbers(&mut line, scratch.margins()),
            Output::Prediction => cells::numbers(&mut line, scratch.predictions()),
            // A model with bands gives one for every row.
            Output::Score => line.extend(band.map(|band| b'0' + band)),
        }
        line.push(b'\n');
        results.write_all(&line).map_err(ScoreError::Write)?;
    }
    Ok(())
}

/// One row of the model from one of the file. `places` has the column of each cell, or none for one that is ignored.
fn fill(
    row: &mut [f64],
    record: &csv::ByteRecord,
    places: &[Option<usize>],
    schema: &Schema,
    Row { row: number, line }: Row,
    names: &[String],
) -> Result<(), ScoreError> {
    if record.len() != places.len() {
        return Err(ScoreError::Ragged {
            row: number,
            line,
            cells: record.len(),
            expected: places.len(),
        });
    }
    for (index, (cell, place)) in record.iter().zip(places).enumerate() {
        let Some((column, value)) = place.and_then(|column| Some((column, row.get_mut(column)?))) else {
            continue;
        };
        let name = || excerpt(names.get(index).map_or("", String::as_str));
        let text = || excerpt(&String::from_utf8_lossy(cell.trim_ascii()));
        *value = match schema.categories(column) {
            Some(categories) => match cells::category(cell, categories) {
                cells::Cell::Value(value) => value,
                cells::Cell::Unknown => {
                    return Err(ScoreError::Category {
                        row: number,
                        line,
                        name: name(),
                        text: text(),
                        accepted: Accepted(categories).to_string(),
                    });
                }
            },
            None => cells::value(cell).ok_or_else(|| ScoreError::Cell {
                row: number,
                line,
                name: name(),
                text: text(),
            })?,
        };
    }
    Ok(())
}
