//! `quintile replay`: what is asked for, and how the report is printed. The work is [`quintile_scoring::replay`]'s.

use std::path::{Path, PathBuf};
use std::thread;

use quintile_model::{KernelChoice, Options, Trees};
use quintile_scoring::loaded::LoadedModel;
use quintile_scoring::replay::{LeadOutcomes, ReplayJob, replay};
use quintile_scoring::text::harmless_lines;

use super::args::{kernel_parser, trees_parser};
use super::print::{PrintArgs, PrintFormat};
use super::{Exit, Streams, report};

pub(super) const EXAMPLES: &str = "Examples:
  quintile replay --scores data/scores --model model.ubj
  quintile replay --scores data/scores --model new.ubj --outcomes converted.csv
  quintile replay --scores data/scores --model new.ubj --against old.ubj --json";

/// Headings of the help.
const OF_RECORDS: &str = "Records";
const OF_MODELS: &str = "Models";

/// `replay`.
#[derive(Debug, clap::Args)]
pub(crate) struct ReplayArgs {
    /// The folder of records, usually DATA_DIR/scores, a folder in it, or one file
    #[arg(long, value_name = "FOLDER", help_heading = OF_RECORDS)]
    scores: PathBuf,
    /// Whose records: a model's name, or NAME@VERSION; without it, those of the only model, or of the one named as --model is
    #[arg(long, value_name = "NAME", help_heading = OF_RECORDS)]
    recorded: Option<String>,
    /// What became of leads: CSV or Parquet with a column lead_id and a column outcome of 1 and 0
    #[arg(long, value_name = "FILE", help_heading = OF_RECORDS)]
    outcomes: Option<PathBuf>,
    /// The column of --outcomes that says whether a lead converted
    #[arg(long, value_name = "COLUMN", requires = "outcomes", help_heading = OF_RECORDS)]
    outcome_column: Option<String>,
    /// The model that scores the rows again, with its manifest beside it
    #[arg(long, value_name = "NEW", help_heading = OF_MODELS)]
    model: PathBuf,
    /// A model to compare it with; without it, the recorded scores
    #[arg(long, value_name = "OLD", help_heading = OF_MODELS)]
    against: Option<PathBuf>,
    /// Which trees make the prediction: all, or those up to the file's best_iteration
    #[arg(long, value_parser = trees_parser(), default_value = "all", help_heading = OF_MODELS)]
    trees: Trees,
    /// The code that evaluates the trees
    #[arg(long, value_parser = kernel_parser(), default_value = "auto", help_heading = OF_MODELS)]
    kernel: KernelChoice,
    /// Threads that read and score, 1 to 1024; without it, as many as there are cores
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    #[command(flatten)]
    print: PrintArgs<false>,
}

/// Loads the models, replays, and prints what came out.
pub(super) fn run(args: &ReplayArgs, streams: &mut Streams<'_>) -> Exit {
    let options = Options {
        trees: args.trees,
        kernel: args.kernel,
    };
    let load = |path: &Path| LoadedModel::load(Some(path), options, 0);
    let new = match load(&args.model) {
        Ok(new) => new,
        Err(error) => return report::model(&error, streams),
    };
    let old = match args.against.as_deref().map(load).transpose() {
        Ok(old) => old,
        Err(error) => return report::model(&error, streams),
    };
    let read = |path: &PathBuf| LeadOutcomes::read(path, args.outcome_column.as_deref());
    let outcomes = match args.outcomes.as_ref().map(read).transpose() {
        Ok(outcomes) => outcomes,
        Err(error) => return report::failure(error, streams),
    };
    let job = ReplayJob {
        scores: &args.scores,
        new: &new,
        against: old.as_ref(),
        recorded: args.recorded.as_deref(),
        outcomes: outcomes.as_ref(),
        threads: args
            .threads
            .map_or_else(|| thread::available_parallelism().map_or(1, usize::from), usize::from),
        progress: streams.watched.stderr,
    };
    let replayed = match replay(&job, &mut *streams.stderr) {
        Ok(replayed) => replayed,
        Err(error) => return report::failure(error, streams),
    };
    let text = match args.print.format() {
        PrintFormat::Json => replayed.json().to_string() + "\n",
        PrintFormat::Table | PrintFormat::Csv => harmless_lines(&replayed.text()),
    };
    match report::print(&text, streams) {
        Exit::Success if !replayed.is_reproduced() => Exit::CommandError,
        exit => exit,
    }
}
