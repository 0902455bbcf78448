//! Why rows could not be scored. A fault of a row names its line in an editor and its number in the results.

use std::io;

use super::HeaderError;
use super::signatures::Foreign;
use crate::missing_texts;

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
        "row {row} (line {line}), column {name}: {text} is no number{hint}; a missing value is an empty cell, nan or null \
         (--missing TEXT names others)"
    )]
    Cell {
        row: u64,
        line: u64,
        name: String,
        text: String,
        hint: &'static str,
    },
    #[error(
        "row {row} (line {line}), column {name}: {text} is no category of this feature, which has {accepted}{nor}{hint}; a \
         missing value is an empty cell, nan or null (--missing TEXT names others)"
    )]
    Category {
        row: u64,
        line: u64,
        name: String,
        text: String,
        accepted: Box<str>,
        nor: &'static str,
        hint: &'static str,
    },
    #[error("row {row} (line {line}) is blank: none of its cells has a value")]
    BlankRow { row: u64, line: u64 },
    #[error("row {row} (line {line}), column {name}: {text} {says}")]
    Decimal {
        row: u64,
        line: u64,
        name: String,
        text: String,
        says: String,
    },
    #[error(
        "numbers have commas ({comma}) and points ({point}): state which is the decimal sign with --decimal , or --decimal ."
    )]
    MixedDecimals { comma: String, point: String },
    #[error("the header is no UTF-8 text: save the rows as UTF-8 (in Excel: Save As, CSV UTF-8)")]
    HeaderNotUtf8,
    #[error("line {line} begins a row that does not end: a quote is not closed")]
    Unclosed { line: u64 },
    #[error("line {line} begins a row of more than {bytes_max} bytes; is a quote not closed?")]
    Long { line: u64, bytes_max: usize },
    #[error(
        "the model gives no scores: objective {objective} with {predictions} predictions has no natural bands; state edges in \
         its manifest, or ask for --output prediction"
    )]
    NoBands { objective: String, predictions: usize },
    #[error(transparent)]
    Explain(#[from] quintile_model::ExplainerError),
    #[error("row {row} (line {line}): {says}")]
    Line { row: u64, line: u64, says: String },
    #[error(
        "row {row} (line {line}): {says}; a missing value is null (--missing TEXT names texts that are missing too)"
    )]
    Text {
        row: u64,
        line: u64,
        says: String,
        text: String,
    },
    #[error("line {line} is blank, and only the last may be: a row whose values are all missing is {{}}")]
    BlankObject { line: u64 },
    #[error("line {line} has more than {bytes_max} bytes")]
    LongLine { line: u64, bytes_max: usize },
    #[error("the array of rows does not end: line {line} is the last, and no ] closes it")]
    OpenArray { line: u64 },
    #[error("line {line} has something behind the ] that closes the array of rows")]
    BehindArray { line: u64 },
    #[error("read the rows: {0}")]
    Parquet(String),
    #[error("Parquet is read from its end, so the rows must be a file")]
    Stream,
    #[error("the file is {}, not rows of CSV, NDJSON or Parquet: {}", .0.name, .0.remedy)]
    Foreign(Foreign),
    #[error("the rows are compressed twice, with {inner} and then with {outer}: decompress them once")]
    CompressedTwice { outer: &'static str, inner: &'static str },
    #[error("the rows are {is}, but --input says {flag}: leave --input out, or name the format that they have")]
    NotAsStated { flag: &'static str, is: &'static str },
    #[error(
        "the first row is an object over several lines: write each object on a line of its own (jq -c . ROWS), or all of them as \
         one array"
    )]
    ObjectOverLines,
    #[error("{name}: {error}")]
    Part { name: String, error: Box<ScoreError> },
    #[error("the folder has no files of rows; those whose names begin with _ or . are not read")]
    EmptyFolder,
    #[error("a folder is read as parts of Parquet, not of {0}: join the files, or name one")]
    FolderOfText(&'static str),
    #[error("the part has no column {column}, which other parts have and the model or --id takes")]
    PartLacks { column: String },
    #[error(
        "column {column} holds {holds} in {part} and {other_holds} in {other}, and one column of Parquet has one type: write CSV \
         or NDJSON (--to), or numbers alone (--output)"
    )]
    PartTypes {
        column: String,
        part: String,
        holds: String,
        other: String,
        other_holds: String,
    },
    #[error(
        "column {name} is compressed with {codec}, which is not read: write it with zstd, snappy, gzip, brotli or LZ4, or without \
         compression"
    )]
    Codec { name: String, codec: &'static str },
    #[error("column {name} holds {holds}; it may hold numbers, booleans or the names of a feature's categories")]
    Column { name: String, holds: String },
    #[error(
        "row {row}, column {name}: {text} is no category of this feature, which has {accepted}; a missing value is \
         null (--missing TEXT names texts that are missing too)"
    )]
    Name {
        row: u64,
        name: String,
        text: String,
        accepted: String,
    },
    #[error("row {row}, column {name} {says}")]
    Rule { row: u64, name: String, says: String },
    #[error("row {row}, column {name} {says}")]
    Value { row: u64, name: String, says: &'static str },
    #[error(
        "the rows have two columns {name}, which {to} cannot hold: rename one, or write CSV (--to csv); --output prediction \
         gives numbers alone"
    )]
    NameTwice { name: String, to: &'static str },
    #[error(
        "column {name} holds {holds}, which has no text for {to}: write Parquet (--to parquet), or leave the column out"
    )]
    NoText {
        name: String,
        holds: String,
        to: &'static str,
    },
    #[error("row {row} (line {line}) has two members {name}, which an object can have once")]
    MemberTwice { row: u64, line: u64, name: String },
    #[error(
        "row {row} (line {line}) has a member {name}, and the results have a column of that name, which the first rows have \
         not: rename the member, or put that row first, which renames the column"
    )]
    MemberOurs { row: u64, line: u64, name: String },
    #[error("Parquet is nothing for a terminal: name a file by --out, or print with --to csv")]
    Terminal,
    #[error(
        "results are CSV, NDJSON or Parquet, and no workbook: write {0}, which Excel opens, or say with --to what the file is to hold"
    )]
    WorkbookOut(String),
    #[error("results are not compressed: name a file without .{0}, or compress what comes on standard output")]
    CompressedOut(&'static str),
    #[error("{0} is both the rows and the results")]
    Same(String),
    #[error("write the results: {0}")]
    Write(io::Error),
}

impl ScoreError {
    /// The text that is at fault, if it is one that programs write where a value is missing.
    #[must_use]
    pub fn usual_missing(&self) -> Option<&'static str> {
        match self {
            Self::Cell { text, .. }
            | Self::Category { text, .. }
            | Self::Text { text, .. }
            | Self::Decimal { text, .. }
            | Self::Name { text, .. } => missing_texts::usual(text),
            Self::Part { error, .. } => error.usual_missing(),
            _ => None,
        }
    }
}
