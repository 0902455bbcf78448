//! `quintile drift`: the arguments, and how the report is printed. [`quintile_scoring::drift`] compares.

use std::path::PathBuf;

use quintile_model::{Manifest, Options, Trees};
use quintile_scoring::drift::{DriftJob, DriftStatus, drift};
use quintile_scoring::loaded::{self, LoadedModel};
use quintile_scoring::text::harmless_lines;

use super::args::trees_parser;
use super::print::{PrintArgs, PrintFormat};
use super::{Exit, Streams, report};

pub(super) const EXAMPLES: &str = "Examples:
  quintile drift --model model.ubj --reference rows.csv --current leads.csv
  quintile drift --model model.ubj --reference rows.csv --current data/scores --segment f1
  quintile drift --model model.ubj --reference rows.csv --current data/scores --fail-on drift --json";

/// `drift`.
#[derive(Debug, clap::Args)]
pub(crate) struct DriftArgs {
    /// The model file, with its manifest beside it
    #[arg(short = 'm', long, value_name = "MODEL")]
    model: PathBuf,
    /// What rows were like in training: rows, a folder of records, or a manifest with a profile; without it, the profile in the
    /// model's manifest
    #[arg(long, value_name = "ROWS|MANIFEST")]
    reference: Option<PathBuf>,
    /// The rows to compare: CSV, NDJSON or Parquet, or the folder of records, usually DATA_DIR/scores
    #[arg(long, value_name = "ROWS|FOLDER")]
    current: PathBuf,
    /// A column whose values are segments: which share of each has a score of 4 or 5; may be given several times
    #[arg(long, value_name = "COLUMN")]
    segment: Vec<String>,
    /// End with code 1 for this status
    #[arg(long, value_name = "STATUS", value_parser = ["drift"])]
    fail_on: Option<String>,
    /// Which trees make the prediction: all, or those up to the file's best_iteration
    #[arg(long, value_parser = trees_parser(), default_value = "all")]
    trees: Trees,
    /// A text that is a missing value, as NA or \N; may be given several times
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    missing: Vec<String>,
    #[command(flatten)]
    print: PrintArgs<false>,
}

/// Compares, and prints what came out.
pub(super) fn run(args: &DriftArgs, streams: &mut Streams<'_>) -> Exit {
    let options = Options {
        trees: args.trees,
        ..Options::default()
    };
    let mut loaded = match LoadedModel::load(Some(&args.model), options, 0) {
        Ok(loaded) => loaded,
        Err(error) => return report::model(&error, streams),
    };
    loaded.model.take_all_values();
    let place = loaded::manifest_path(&args.model).filter(|place| place.is_file());
    let manifest = place.as_ref().and_then(|place| {
        let text = quintile_scoring::regular_file::open(place)
            .and_then(std::io::read_to_string)
            .ok()?;
        // The model was loaded under it, so it can be read.
        Some((place.as_path(), Manifest::parse(&text).ok()?))
    });
    let job = DriftJob {
        reference: args.reference.as_deref(),
        current: &args.current,
        missing: &args.missing,
        segments: &args.segment,
    };
    let found = match drift(
        &job,
        &loaded,
        manifest.as_ref().map(|(place, manifest)| (*place, manifest)),
    ) {
        Ok(found) => found,
        Err(error) => return report::failure(error, streams),
    };
    let text = match args.print.format() {
        PrintFormat::Json => found.json().to_string() + "\n",
        PrintFormat::Table | PrintFormat::Csv => harmless_lines(&found.text()),
    };
    match report::print(&text, streams) {
        Exit::Success if args.fail_on.is_some() && found.status == DriftStatus::Drift => Exit::CommandError,
        exit => exit,
    }
}
