//! `quintile manifest init` and `quintile fit-bands`: manifests from model files and rows of leads.

mod draft;
mod edges;
mod fit;
mod golden;
mod init;
mod library;
mod profile;
mod reasons;
mod renew;
mod sentinels;
mod survey;
mod toml_text;

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use quintile_model::{Options, Trees};
use quintile_scoring::rows::{Format, Rows, ScoreError};

use super::{Exit, Streams, report};
use survey::Survey;

const INIT_EXAMPLES: &str = "Examples:
  quintile manifest init model.ubj
  quintile manifest init model.ubj leads.csv --renew
  quintile manifest init model.ubj leads.parquet --strict --out -";

const FIT_EXAMPLES: &str = "Examples:
  quintile fit-bands model.ubj leads.csv
  quintile fit-bands model.ubj leads.parquet --dry-run
  quintile fit-bands model.ubj leads.ndjson --manifest other.toml";

/// `manifest`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum ManifestCommand {
    /// Write a complete, commented manifest
    ///
    /// From the model file: name, features, kinds, categories. From rows of your own: ranges, types, the quintiles of
    /// the model's predictions as band edges, and golden rows. Ranges and types are comments, and nothing is demanded
    /// of requests, unless --strict says so. After retraining, --renew takes what rows say from the new ones and keeps
    /// what people wrote.
    #[command(after_long_help = INIT_EXAMPLES)]
    Init(InitArgs),
}

/// `manifest init`.
#[derive(Debug, clap::Args)]
pub(crate) struct InitArgs {
    /// The model file or folder
    #[arg(value_name = "MODEL")]
    pub(crate) model: PathBuf,
    /// Rows of your own as score takes them: CSV, NDJSON or Parquet
    #[arg(value_name = "ROWS")]
    pub(crate) rows: Option<PathBuf>,
    /// Where to write it; without it beside the model, and - is standard output
    #[arg(short = 'o', long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Write a manifest that is there anew; names, descriptions, labels and what is missing are kept
    #[arg(long, conflicts_with = "renew")]
    pub(crate) force: bool,
    /// Renew what rows say in a manifest that is there, and keep all else: comments, and edges and ranges that a person
    /// wrote
    #[arg(long, requires = "rows")]
    pub(crate) renew: bool,
    /// Demand the types and ranges that were seen of every request, in place of writing them as comments
    #[arg(long)]
    pub(crate) strict: bool,
    /// What is the default: types and ranges as comments
    #[arg(long, hide = true, conflicts_with = "strict")]
    pub(crate) loose: bool,
    /// Names of the features in the model's order, for a model file without names; without it those of the rows' header
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    pub(crate) names: Vec<String>,
    /// The training library's predictions or margins for the rows, as verify takes them: golden rows are proofs then
    #[arg(long, value_name = "FILE|COLUMN", requires = "rows")]
    pub(crate) expect: Option<String>,
    /// Which trees make the predictions that edges are taken from: give what serve is given
    #[arg(long, value_parser = super::args::trees_parser(), default_value = "all")]
    pub(crate) trees: Trees,
    /// What the rows are; without it the file's name says so, and any other is CSV
    #[arg(long, value_parser = super::args::rows_parser(), value_name = "FORMAT")]
    pub(crate) input: Option<Format>,
    /// A text that is a missing value, as NA or \N; may be given several times
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub(crate) missing: Vec<String>,
}

/// `fit-bands`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = FIT_EXAMPLES)]
pub(crate) struct FitArgs {
    /// The model file or folder
    #[arg(value_name = "MODEL")]
    pub(crate) model: PathBuf,
    /// Rows of your own as score takes them: CSV, NDJSON or Parquet
    #[arg(value_name = "ROWS")]
    pub(crate) rows: PathBuf,
    /// The manifest to change; without it the one beside the model
    #[arg(long, value_name = "FILE")]
    pub(crate) manifest: Option<PathBuf>,
    /// Print the edges and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Which trees make the predictions that edges are taken from: give what serve is given
    #[arg(long, value_parser = super::args::trees_parser(), default_value = "all")]
    pub(crate) trees: Trees,
    /// What the rows are; without it the file's name says so, and any other is CSV
    #[arg(long, value_parser = super::args::rows_parser(), value_name = "FORMAT")]
    pub(crate) input: Option<Format>,
    /// A text that is a missing value, as NA or \N; may be given several times
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub(crate) missing: Vec<String>,
}

/// `quintile manifest …`.
pub(crate) fn run(command: &ManifestCommand, streams: &mut Streams<'_>) -> Exit {
    match command {
        ManifestCommand::Init(args) => init::run(args, streams),
    }
}

/// `quintile fit-bands`.
pub(crate) fn fit(args: &FitArgs, streams: &mut Streams<'_>) -> Exit {
    fit::run(args, streams)
}

/// The options of a model of which other trees than all may be asked for.
fn options(trees: Trees) -> Options {
    Options {
        trees,
        ..Options::default()
    }
}

/// What was seen of the rows, of which there must be some.
fn survey(rows: &Rows<'_>, seen: Result<Survey, ScoreError>, streams: &mut Streams<'_>) -> Result<Survey, Exit> {
    let path = rows.path.display();
    match seen {
        Ok(survey) if survey.rows == 0 => Err(report::failure(format_args!("{path}: there are no rows"), streams)),
        Ok(survey) => Ok(survey),
        Err(error) => Err(report::failure(format_args!("{path}: {error}"), streams)),
    }
}

/// What to say of texts that were taken for missing.
fn taken(texts: &[&str]) -> Option<String> {
    if texts.is_empty() {
        return None;
    }
    let flags = survey::missing_flags(texts);
    Some(format!(
        "some cells are no values but texts that programs write where one is missing, and were taken for it: score these rows \
         with quintile score {flags}"
    ))
}

/// Writes a file whole or not at all: a server that reloads never sees half of it.
fn replace(place: &Path, text: &str) -> io::Result<()> {
    let folder = place.parent().filter(|folder| !folder.as_os_str().is_empty());
    let name = place.file_name().unwrap_or_default().to_string_lossy();
    let fresh = folder
        .unwrap_or(Path::new("."))
        .join(format!(".{name}.{}", std::process::id()));
    let written = fs::File::create(&fresh)
        .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&fresh, place));
    if written.is_err() {
        // What could not be renamed is of no use.
        let _ = fs::remove_file(&fresh);
    }
    written
}
