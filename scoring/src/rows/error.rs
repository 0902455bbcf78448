//! Why rows could not be scored, in words. A fault of a row names it as an editor and as a reader of the results finds it.

use std::io;

use super::HeaderError;

/// Why rows could not be scored.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what each is")]
pub enum ScoreError {
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
    #[error("row {row} (line {line}): {says}")]
    Line { row: u64, line: u64, says: String },
    #[error("line {line} is blank, and only the last may be: a row whose values are all missing is {{}}")]
    BlankObject { line: u64 },
    #[error("line {line} has more than {bytes_max} bytes")]
    LongLine { line: u64, bytes_max: usize },
    #[error("read the rows: {0}")]
    Parquet(String),
    #[error("Parquet is read from its end, so the rows must be a file")]
    Stream,
    #[error("column {name} holds {holds}; it may hold numbers, booleans or the names of a feature's categories")]
    Column { name: String, holds: String },
    #[error("row {row}, column {name}: {text} is no category of this feature, which has {accepted}")]
    Name {
        row: u64,
        name: String,
        text: String,
        accepted: String,
    },
    #[error("row {row}, column {name} {says}")]
    Rule { row: u64, name: String, says: String },
    #[error("{0} is both the rows and the results")]
    Same(String),
    #[error("write the results: {0}")]
    Write(io::Error),
}
