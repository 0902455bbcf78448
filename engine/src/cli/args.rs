//! The grammar of the command line. The flags of `serve` come from the configuration's table of keys.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Parser, Subcommand, ValueEnum};
use quintile_model::{KernelChoice, Trees};
use quintile_scoring::rows::{Format, Output};

use super::check::CheckArgs;
use super::config::ConfigCommand;
use super::drift::DriftArgs;
use super::explain::ExplainArgs;
use super::health::HealthArgs;
use super::manifest::{FitArgs, ManifestCommand};
use super::models::ModelsCommand;
use super::openapi::OpenApiArgs;
use super::print::PrintArgs;
use super::quality::QualityArgs;
use super::records::RecordsCommand;
use super::replay::ReplayArgs;
use super::shell::{CompletionsArgs, EXIT_CODES, ManArgs};
use super::spool::ExportArgs;
use super::tls::TlsCommand;
use super::verify::VerifyArgs;
use super::version::VersionArgs;
use crate::config::Flags;
use crate::config::keys::{KEYS, TREES};

const ABOUT: &str = "Serves gradient-boosted tree models over REST, exactly and in microseconds";

/// What stands under the help of the whole program.
fn examples() -> String {
    let codes = EXIT_CODES.map(|(code, meaning)| format!("{code} {meaning}"));
    format!(
        "Examples:\n  quintile serve\n  quintile score --model model.ubj rows.csv\n  quintile inspect model.ubj\n\nExit codes: {}",
        codes.join(", ")
    )
}

const SERVE_EXAMPLES: &str = "Examples:
  quintile serve
  quintile serve --model model.ubj --listen 0.0.0.0:8080 --data-dir /var/lib/quintile
  QUINTILE_LIMITS__DRAIN_MS=20000 quintile serve --config quintile.toml --sink none";

const SCORE_EXAMPLES: &str = "Examples:
  quintile score leads.csv > scored.csv
  quintile score --model model.ubj --output prediction --id lead_id rows.parquet --out predictions.parquet
  head -n 1001 rows.csv | quintile score --model model.ubj --output score -";

const INSPECT_EXAMPLES: &str = "Examples:
  quintile inspect
  quintile inspect model.ubj --all
  quintile inspect model.ubj --json";

const TIME_EXAMPLES: &str = "Examples:
  quintile time
  quintile time --model model.ubj --rows leads.parquet
  quintile time --model model.ubj --kernel auto --batch 64 --json";

const SPOOL_EXAMPLES: &str = "Examples:
  quintile spool inspect
  quintile spool inspect /data/spool --json
  quintile spool export /data/spool --sink firehose --out waiting.ndjson";

/// Headings of the help: what options are about.
pub(super) const OF_MODEL: &str = "Model";
pub(super) const OF_ROWS: &str = "Rows";
pub(super) const OF_RESULTS: &str = "Results";
const OF_TIMING: &str = "Timing";

/// Version, commit and target: what a report of a fault needs.
pub(super) const VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    " (",
    env!("BUILD_COMMIT"),
    ", ",
    env!("BUILD_TARGET"),
    ")"
);

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "quintile",
    version = VERSION,
    about = ABOUT,
    after_long_help = examples(),
    subcommand_required = true,
    arg_required_else_help = true
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve a model over HTTP
    ///
    /// Settings come from a TOML file, QUINTILE_SECTION__KEY variables and flags, each over the one before. All faults
    /// are reported at once.
    #[command(after_long_help = serve_help())]
    Serve(ServeArgs),
    /// Score the rows of a file
    ///
    /// Every column comes back, in the format it came in, with score, probability and error behind it: what is wrong
    /// with a row stands in its error. --output margin, prediction, score or contributions prints those
    /// numbers alone, in their shortest exact form, and a bad row ends the run, as it does with --strict. A column of
    /// the results whose name the rows have is called quintile.NAME. An empty cell, nan or null is missing. Columns
    /// match by name when the header has all of the model's names, and by position when it has none of them and their
    /// number fits; so do those of Parquet, where null is missing. A line of NDJSON is {"f1":1,"f2":null} or a request
    /// as the server takes it; a feature that is not there is missing.
    #[command(after_long_help = SCORE_EXAMPLES)]
    Score(ScoreArgs),
    /// Draw why a row has its score
    ///
    /// The way from the bias to the margin, feature by feature: what the row has, and what that adds. docs/reasons.md
    /// says what the numbers mean.
    #[command(after_long_help = super::explain::EXAMPLES)]
    Explain(ExplainArgs),
    /// Compare the scores of rows with those that the training library gave, to the last bit
    ///
    /// Says how many rows are equal, shows the first that differ, and tries to find the cause: the order of columns, a
    /// column's name, a number that counts as missing, values of 32 bits, the best iteration, margins for predictions,
    /// the order of classes or categories. The exit code is 0 only if all rows are equal.
    #[command(after_long_help = super::verify::EXAMPLES)]
    Verify(VerifyArgs),
    /// Score recorded rows again: proof to the last bit, and what another model would have said
    ///
    /// Reads the Parquet files of records, weeks of them in flat memory. Records of --model itself must come out again to the last
    /// bit. All other records are compared with it: differences, the scores as a table of 5 by 5, how predictions are
    /// distributed, who moves from 4-5 to 1-3, with --outcomes the AUC of both, and whether the model may be promoted. Scores of
    /// shadows are left out. The exit code is 1 if a recorded score does not come out again, whatever the comparison says.
    #[command(after_long_help = super::replay::EXAMPLES)]
    Replay(ReplayArgs),
    /// Say whether rows are still what they were in training
    ///
    /// Compares each feature and the model's predictions with a reference: rows, records, or the profile that manifest init keeps
    /// in the manifest. A difference counts if chance does not explain it and if it is large; docs/drift.md has the definitions.
    /// --segment says which share of each group of leads has a score of 4 or 5. No value of a row is in the output.
    #[command(after_long_help = super::drift::EXAMPLES)]
    Drift(DriftArgs),
    /// Say how good recorded scores were, once it is known what became of the leads
    ///
    /// Joins outcomes with the last recorded score before them: AUC, Brier score, log loss, and for each score from 1 to 5 the
    /// share that converted. docs/quality.md has the definitions.
    #[command(after_long_help = super::quality::EXAMPLES)]
    Quality(QualityArgs),
    /// Show what a model file holds and how it is evaluated
    ///
    /// Without a model it shows the embedded demo.
    #[command(after_long_help = INSPECT_EXAMPLES)]
    Inspect(InspectArgs),
    /// Tell what a model costs on this machine, in nanoseconds a row
    ///
    /// Times every kernel that takes the model, one row a call and many, interleaved on one CPU, from a row of numbers
    /// to its prediction and score. Rows come from a file as score reads it; without one they are made from the model's
    /// own thresholds. Without a model it times the embedded demo.
    #[command(after_long_help = TIME_EXAMPLES)]
    Time(TimeArgs),
    /// Print the OpenAPI document of a model, as its server has it at /openapi.json
    ///
    /// Features with their types, ranges and categories, every path and status, and an example that scores.
    #[command(name = "openapi", after_long_help = super::openapi::EXAMPLES)]
    OpenApi(OpenApiArgs),
    /// Look into a spool: what is not delivered yet
    ///
    /// The server may be running; nothing is changed.
    #[command(after_long_help = SPOOL_EXAMPLES)]
    Spool(SpoolArgs),
    /// Say which columns the records of a model have
    #[command(subcommand)]
    Records(RecordsCommand),
    /// See and change which versions of models are served, in a store or at a running server
    #[command(subcommand)]
    Models(ModelsCommand),
    /// Write manifests: what a model file does not say about itself
    #[command(subcommand)]
    Manifest(ManifestCommand),
    /// Fit the band edges of a manifest to rows of your own, and change nothing else in it
    ///
    /// The edges become the quintiles of the model's predictions, so that each score from 1 to 5 is a fifth of the
    /// rows.
    FitBands(FitArgs),
    /// Check configuration, model, manifest, address and folders without serving
    ///
    /// Takes the flags of serve. All faults are printed at once; exit code 78 says that there are some.
    #[command(after_long_help = super::check::EXAMPLES)]
    Check(CheckArgs),
    /// Show the configuration, or what it may be
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Make certificates for development
    #[command(subcommand)]
    Tls(TlsCommand),
    /// Ask a server whether it is ready, for images without curl
    ///
    /// Success is an answer with a status of 200 to 299. --wait asks again until there is one, and is quiet meanwhile.
    #[command(after_long_help = super::health::EXAMPLES)]
    Healthcheck(HealthArgs),
    /// Print what this program is and what it can do on this machine
    #[command(after_long_help = super::version::EXAMPLES)]
    Version(VersionArgs),
    /// Print what a shell needs to complete commands and flags
    #[command(after_long_help = super::shell::COMPLETIONS_EXAMPLES)]
    Completions(CompletionsArgs),
    /// Print the manual page
    #[command(after_long_help = super::shell::MAN_EXAMPLES)]
    Man(ManArgs),
    /// Panic with a value, for the test of what is reported then
    #[cfg(debug_assertions)]
    #[command(hide = true)]
    Panic {
        /// What must not be told
        value: String,
    },
}

/// `serve`.
#[derive(Debug, Default)]
pub(crate) struct ServeArgs {
    pub(crate) flags: Flags,
}

/// `score`.
#[derive(Debug, clap::Args)]
pub(crate) struct ScoreArgs {
    /// The model file, with its manifest beside it; without it the embedded demo
    #[arg(short = 'm', long, value_name = "FILE", help_heading = OF_MODEL)]
    pub(crate) model: Option<PathBuf>,
    /// What to print for each row
    #[arg(long, value_parser = output_parser(), default_value = "rows", help_heading = OF_RESULTS)]
    pub(crate) output: Output,
    /// Add so many columns of words to each row, reason_1 and so on: why it has its score, 1 to 100
    #[arg(long, value_name = "N", default_value = "0", hide_default_value = true, value_parser = clap::value_parser!(u16).range(0..=100), help_heading = OF_RESULTS)]
    pub(crate) reasons: u16,
    /// What the rows are; without it their first bytes say so, or the file's name
    #[arg(long, value_parser = rows_parser(), value_name = "FORMAT", help_heading = OF_ROWS)]
    pub(crate) input: Option<Format>,
    /// What stands between the cells of CSV: a character, or tab; without it the header tells
    #[arg(long, value_name = "CHARACTER", value_parser = delimiter, help_heading = OF_ROWS)]
    pub(crate) delimiter: Option<u8>,
    /// The decimal sign in the numbers of CSV; without it the first rows tell
    #[arg(long, value_enum, value_name = "SIGN", help_heading = OF_ROWS)]
    pub(crate) decimal: Option<DecimalSign>,
    /// What to write; without it the name of --out says so, otherwise rows as they came and numbers as CSV
    #[arg(long, value_parser = rows_parser(), value_name = "FORMAT", help_heading = OF_RESULTS)]
    pub(crate) to: Option<Format>,
    /// Where to write the results; without it, to standard output
    #[arg(short = 'o', long, value_name = "FILE", help_heading = OF_RESULTS)]
    pub(crate) out: Option<PathBuf>,
    /// A column of the rows that comes first in the results, as text
    #[arg(long, value_name = "COLUMN", help_heading = OF_ROWS)]
    pub(crate) id: Option<String>,
    /// Fail at the first bad row instead of writing what is wrong with it into its column "error"
    #[arg(long, help_heading = OF_ROWS)]
    pub(crate) strict: bool,
    /// A text that is a missing value, as NA or \N; may be given several times
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, help_heading = OF_ROWS)]
    pub(crate) missing: Vec<String>,
    /// Threads that score, 1 to 1024; without it, as many as there are cores
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,
    /// Which trees make the prediction: all, or those up to the file's best_iteration
    #[arg(long, value_parser = trees_parser(), default_value = "all", help_heading = OF_MODEL)]
    pub(crate) trees: Trees,
    /// The code that evaluates the trees
    #[arg(long, value_parser = kernel_parser(), default_value = "auto", help_heading = OF_MODEL)]
    pub(crate) kernel: KernelChoice,
    /// The rows: a file, a folder of Parquet parts, or - for standard input
    #[arg(value_name = "ROWS.csv")]
    pub(crate) rows: PathBuf,
}

/// What stands before the digits behind the point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DecimalSign {
    /// As in 0.5
    #[value(name = ".")]
    Point,
    /// As in 0,5
    #[value(name = ",")]
    Comma,
}

/// One byte that may stand between cells.
fn delimiter(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        _ if text == "tab" || text == "\\t" => Ok(b'\t'),
        [byte] if *byte == b'\t' || (byte.is_ascii_punctuation() && *byte != b'"') || *byte == b' ' => Ok(*byte),
        _ => Err("it may be one character of ASCII that is neither a letter, a digit nor a quote, or tab".to_owned()),
    }
}

/// `inspect`.
#[derive(Debug, clap::Args)]
pub(crate) struct InspectArgs {
    /// The model file; without it the embedded demo
    #[arg(value_name = "FILE")]
    pub(crate) model: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) print: PrintArgs<true>,
    /// List every feature, however many there are
    #[arg(long, help_heading = OF_RESULTS)]
    pub(crate) all: bool,
    /// Which trees make the prediction: all, or those up to the file's best_iteration
    #[arg(long, value_parser = trees_parser(), default_value = "all", help_heading = OF_MODEL)]
    pub(crate) trees: Trees,
    /// The code that evaluates the trees
    #[arg(long, value_parser = kernel_parser(), default_value = "auto", help_heading = OF_MODEL)]
    pub(crate) kernel: KernelChoice,
}

/// `time`.
#[derive(Debug, clap::Args)]
pub(crate) struct TimeArgs {
    /// The model file; without it the embedded demo
    #[arg(short = 'm', long, value_name = "FILE", help_heading = OF_MODEL)]
    pub(crate) model: Option<PathBuf>,
    /// Rows to time it with; - is standard input
    #[arg(long, value_name = "FILE", help_heading = OF_ROWS)]
    pub(crate) rows: Option<PathBuf>,
    /// What the rows are; without it their first bytes say so, or the file's name
    #[arg(long, value_parser = rows_parser(), value_name = "FORMAT", requires = "rows", help_heading = OF_ROWS)]
    pub(crate) input: Option<Format>,
    /// Rows of a call that takes many, 2 to 65535
    #[arg(long, value_name = "N", default_value = "1024", value_parser = clap::value_parser!(u16).range(2..), help_heading = OF_TIMING)]
    pub(crate) batch: u16,
    /// Seconds after which no more rounds begin, 1 to 600
    #[arg(long, value_name = "N", default_value = "10", value_parser = clap::value_parser!(u16).range(1..=600), help_heading = OF_TIMING)]
    pub(crate) seconds: u16,
    #[command(flatten)]
    pub(crate) print: PrintArgs<true>,
    /// Which trees make the prediction: all, or those up to the file's best_iteration
    #[arg(long, value_parser = trees_parser(), default_value = "all", help_heading = OF_MODEL)]
    pub(crate) trees: Trees,
    /// Time this one only; auto is the one that the server takes
    #[arg(long, value_parser = kernel_parser(), help_heading = OF_MODEL)]
    pub(crate) kernel: Option<KernelChoice>,
}

/// `spool`.
#[derive(Debug, clap::Args)]
pub(crate) struct SpoolArgs {
    #[command(subcommand)]
    pub(crate) command: SpoolCommand,
}

/// What to do with a spool.
#[derive(Debug, Subcommand)]
pub(crate) enum SpoolCommand {
    /// List its files: records, damage, and what each sink has still to get
    #[command(after_long_help = SPOOL_EXAMPLES)]
    Inspect {
        /// The spool's folder
        #[arg(value_name = "DIR", default_value = "data/spool")]
        folder: PathBuf,
        #[command(flatten)]
        print: PrintArgs<true>,
    },
    /// Print its records as lines of JSON, oldest file first
    ///
    /// The lines are those of the sinks firehose and stdout. What is damaged is reported on standard error and left
    /// out; the exit code is 1 then.
    #[command(after_long_help = super::spool::EXPORT_EXAMPLES)]
    Export(ExportArgs),
}

/// How rows and results are written down.
const ROW_FORMATS: [(&str, Format, &str); 3] = [
    ("csv", Format::Csv, "A header line, then a line a row"),
    ("ndjson", Format::Ndjson, "A JSON object a line"),
    ("parquet", Format::Parquet, "Columns; a file, not standard input"),
];

/// What `score` prints.
const OUTPUTS: [(&str, Output, &str); 5] = [
    (
        "rows",
        Output::Rows,
        "Every column of the input, then score, probability and error",
    ),
    ("margin", Output::Margin, "The raw sums of the trees"),
    (
        "prediction",
        Output::Prediction,
        "After the objective's transform: probabilities, counts, classes",
    ),
    ("score", Output::Score, "The band, 1 to 5"),
    (
        "contributions",
        Output::Contributions,
        "What each feature adds to the margin, exactly, and then the bias",
    ),
];

/// One of the values of a table, by its name.
fn one_of<T: Copy + Send + Sync + 'static, const N: usize>(
    table: [(&'static str, T, &'static str); N],
) -> impl TypedValueParser<Value = T> {
    let names = table.map(|(name, _, help)| PossibleValue::new(name).help(help));
    PossibleValuesParser::new(names).try_map(move |word| {
        let known = table.into_iter().find(|(name, ..)| *name == word);
        known.map(|(_, value, _)| value).ok_or("no value of this flag")
    })
}

pub(super) fn rows_parser() -> impl TypedValueParser<Value = Format> {
    one_of(ROW_FORMATS)
}

fn output_parser() -> impl TypedValueParser<Value = Output> {
    one_of(OUTPUTS)
}

pub(super) fn trees_parser() -> impl TypedValueParser<Value = Trees> {
    PossibleValuesParser::new(TREES.map(|(name, _)| name)).map(|word| {
        TREES
            .into_iter()
            .find(|(name, _)| *name == word)
            .map_or(Trees::All, |(_, trees)| trees)
    })
}

pub(super) fn kernel_parser() -> impl TypedValueParser<Value = KernelChoice> {
    PossibleValuesParser::new(KernelChoice::NAMES.map(|(name, _)| name)).map(|word| word.parse().unwrap_or_default())
}

/// The examples, and every key that has no flag.
fn serve_help() -> String {
    let mut text = String::from("Settings without a flag, in the file or as variables:\n");
    for key in KEYS.iter().filter(|key| key.flag.is_none()) {
        let default = key
            .default
            .map_or_else(String::new, |default| format!(" [default: {default}]"));
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "  {} = {}\n          {}{default}",
            key.path(),
            key.kind.accepts(),
            key.help
        );
    }
    text + "\n" + SERVE_EXAMPLES
}
