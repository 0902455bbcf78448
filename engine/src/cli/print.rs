//! How commands print their results.

use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::args::OF_RESULTS;

/// How a command prints its result: one option for all commands that have one. `ROWS` says whether it knows CSV, which
/// takes a result that is a list.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct PrintArgs<const ROWS: bool> {
    /// How to print the result
    #[arg(long, value_name = "FORMAT", value_parser = print_parser(ROWS), default_value = "table", help_heading = OF_RESULTS)]
    format: PrintFormat,
    /// The same as --format json
    #[arg(long, conflicts_with = "format", help_heading = OF_RESULTS)]
    json: bool,
}

impl<const ROWS: bool> PrintArgs<ROWS> {
    /// What was asked for.
    pub(crate) fn format(&self) -> PrintFormat {
        if self.json { PrintFormat::Json } else { self.format }
    }
}

/// How a command prints its result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PrintFormat {
    /// For people
    Table,
    /// One JSON object, with everything
    Json,
    /// The rows of the result alone: a header line, then a line a row
    Csv,
}

const PRINT_FORMATS: [(&str, PrintFormat); 3] = [
    ("table", PrintFormat::Table),
    ("json", PrintFormat::Json),
    ("csv", PrintFormat::Csv),
];

fn print_parser(rows: bool) -> impl TypedValueParser<Value = PrintFormat> {
    let known = PRINT_FORMATS
        .into_iter()
        .filter(move |(_, format)| rows || *format != PrintFormat::Csv);
    PossibleValuesParser::new(known.map(|(name, _)| name)).map(|word| {
        PRINT_FORMATS
            .into_iter()
            .find(|(name, _)| *name == word)
            .map_or(PrintFormat::Table, |(_, format)| format)
    })
}
