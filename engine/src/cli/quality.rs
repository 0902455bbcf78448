//! `quintile quality`: the arguments, and how the report is printed. [`quintile_scoring::quality`] joins and measures.

use std::path::PathBuf;

use quintile_scoring::quality::{QualityJob, quality};
use quintile_scoring::text::harmless_lines;

use super::print::{PrintArgs, PrintFormat};
use super::{Exit, Streams, report};

pub(super) const EXAMPLES: &str = "Examples:
  quintile quality --scores data/scores --outcomes converted.csv
  quintile quality --scores data/scores --outcomes converted.csv --segment model_version
  quintile quality --scores data/scores --outcomes converted.csv --json";

/// `quality`.
#[derive(Debug, clap::Args)]
pub(crate) struct QualityArgs {
    /// The folder of records, usually DATA_DIR/scores, a folder in it, or one file
    #[arg(long, value_name = "FOLDER")]
    scores: PathBuf,
    /// What became of leads: CSV with the columns lead_id and outcome (1 or 0), and time where it is known
    #[arg(long, value_name = "FILE")]
    outcomes: PathBuf,
    /// A feature or another column of records whose values are measured apart; may be given several times
    #[arg(long, value_name = "COLUMN")]
    segment: Vec<String>,
    #[command(flatten)]
    print: PrintArgs<false>,
}

/// Joins, measures, and prints what came out.
pub(super) fn run(args: &QualityArgs, streams: &mut Streams<'_>) -> Exit {
    let job = QualityJob {
        scores: &args.scores,
        outcomes: &args.outcomes,
        segments: &args.segment,
    };
    let found = match quality(&job) {
        Ok(found) => found,
        Err(error) => return report::failure(error, streams),
    };
    let text = match args.print.format() {
        PrintFormat::Json => found.json().to_string() + "\n",
        PrintFormat::Table | PrintFormat::Csv => harmless_lines(&found.text()),
    };
    report::print(&text, streams)
}
