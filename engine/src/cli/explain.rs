//! `quintile explain`: one row's way from the bias to its margin and its score, drawn for a terminal.

use std::fmt::Write as _;
use std::path::PathBuf;

use quintile_model::{KernelChoice, Options, Scratch, Trees};
use quintile_scoring::changes::{Found, Search};
use quintile_scoring::limits::REASONS_MAX;
use quintile_scoring::loaded::LoadedModel;
use quintile_scoring::reasons::{ReasonsRequest, ReasonsWorkspace, Unit};
use quintile_scoring::rows::Rows;
use quintile_scoring::text::harmless;

use super::args::{OF_MODEL, OF_ROWS};
use super::print::{PrintArgs, PrintFormat};
use super::{Exit, Streams, report};

pub(crate) const EXAMPLES: &str = "Examples:
  quintile explain model.ubj rows.csv
  quintile explain model.ubj rows.csv --row 17 --reasons 20
  quintile explain model.ubj rows.csv --row 17 --target 4
  quintile explain model.ubj leads.ndjson --json";

/// Columns that the way from bias to margin is drawn in.
const BAR_WIDTH: usize = 40;

/// Rows that are scored together while it is searched what would change a score.
const ROWS_TRIED: usize = 64;

/// `explain`.
#[derive(Debug, clap::Args)]
pub(crate) struct ExplainArgs {
    /// The model file, with its manifest beside it
    #[arg(value_name = "MODEL")]
    pub(crate) model: PathBuf,
    /// A file of rows, as score reads it
    #[arg(value_name = "ROWS")]
    pub(crate) rows: PathBuf,
    /// Which row, from 1
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u64).range(1..), help_heading = OF_ROWS)]
    pub(crate) row: u64,
    /// How many reasons to draw, 1 to 1000; what all others add is one line
    #[arg(long, value_name = "N", default_value = "12", value_parser = clap::value_parser!(u16).range(1..=i64::from(REASONS_MAX)))]
    pub(crate) reasons: u16,
    /// Say what would bring the row to this score, from 1 to 5: features that the manifest calls actionable
    #[arg(long, value_name = "SCORE", value_parser = clap::value_parser!(u8).range(1..=5))]
    pub(crate) target: Option<u8>,
    /// Which trees make the prediction: all, or those up to the file's best_iteration
    #[arg(long, value_parser = super::args::trees_parser(), default_value = "all", help_heading = OF_MODEL)]
    pub(crate) trees: Trees,
    /// The code that explains
    #[arg(long, value_parser = super::args::kernel_parser(), default_value = "auto", help_heading = OF_MODEL)]
    pub(crate) kernel: KernelChoice,
    #[command(flatten)]
    pub(crate) print: PrintArgs<false>,
}

/// A row with its score and why it has it.
struct Explained<'l> {
    loaded: &'l LoadedModel,
    row: Vec<f64>,
    score: Option<u8>,
    predictions: Vec<f64>,
    workspace: ReasonsWorkspace,
    found: Option<Found>,
}

/// Loads the model, finds the row and draws it.
pub(crate) fn run(args: &ExplainArgs, streams: &mut Streams<'_>) -> Exit {
    let options = Options {
        trees: args.trees,
        kernel: KernelChoice::Auto,
    };
    let loaded = match LoadedModel::load(Some(&args.model), options, 0) {
        Ok(loaded) => loaded,
        Err(error) => return report::model(&error, streams),
    };
    let explainer = match loaded.model.explainer(args.kernel) {
        Ok(explainer) => explainer,
        Err(error) => return report::failure(error, streams),
    };
    let row = match find(args, &loaded) {
        Ok(row) => row,
        Err(says) => return report::failure(format_args!("{}: {says}", args.rows.display()), streams),
    };
    let mut scratch = loaded.model.scratch();
    let score = loaded.model.score_row(&row, &mut scratch);
    let mut workspace = ReasonsWorkspace::new(&loaded, &explainer);
    let request = ReasonsRequest {
        count: args.reasons,
        direction: None,
        is_demanded: true,
    };
    workspace.explain(&loaded, &explainer, &row, request);
    if args.target.is_some() && score.is_none() {
        let message = "this model gives no scores from 1 to 5, so nothing can bring a row to one";
        return report::failure(message, streams);
    }
    let predictions = scratch.predictions().to_vec();
    let found = args
        .target
        .map(|target| search(&loaded, &row, (score, target), &mut scratch));
    let explained = Explained {
        loaded: &loaded,
        score,
        predictions,
        row,
        workspace,
        found,
    };
    let text = match args.print.format() {
        PrintFormat::Json => explained.json(),
        PrintFormat::Table | PrintFormat::Csv => explained.text(),
    };
    report::print(&text, streams)
}

/// What would bring a row from one score to another.
fn search(loaded: &LoadedModel, row: &[f64], (score, target): (Option<u8>, u8), scratch: &mut Scratch) -> Found {
    let mut search = Search::new(loaded, row, score, target);
    let mut results = Vec::new();
    loop {
        let rows = search.rows(ROWS_TRIED);
        if rows.is_empty() {
            return search.finish();
        }
        results.clear();
        loaded.model.score_rows(rows, scratch, |_, score, scratch| {
            results.push((score, loaded.model.banded(scratch.predictions())));
        });
        search.take(&results);
    }
}

/// The row that is asked for, in column order.
fn find(args: &ExplainArgs, loaded: &LoadedModel) -> Result<Vec<f64>, String> {
    let rows = Rows {
        path: &args.rows,
        input: None,
        missing: &[],
    };
    let (mut number, mut found) = (0, None);
    let read = rows.each(loaded, |row| {
        number += 1;
        if number == args.row {
            found = Some(row.to_vec());
        }
    });
    // A fault behind the row does not matter.
    match (found, read) {
        (Some(row), _) => Ok(row),
        (None, Err(error)) => Err(error.to_string()),
        (None, Ok(())) => Err(format!("it has {number} rows, and row {} is asked for", args.row)),
    }
}

impl Explained<'_> {
    /// What is told of each reason: what the feature is and has, and what it adds.
    fn lines(&self) -> Vec<(String, f64)> {
        let schema = self.loaded.model.schema();
        let reason = |(unit, contribution): (Unit, f64)| {
            let value = unit.named_value(self.loaded, &self.row);
            let text = unit.text(schema, &self.row, contribution);
            let is_sentence = text != unit.label(schema).unwrap_or(unit.name(schema));
            let told = if is_sentence { text.into_owned() } else { value };
            (harmless(&told), contribution)
        };
        self.workspace.reasons(self.loaded).map(reason).collect()
    }

    fn text(&self) -> String {
        let (bias, others) = self.workspace.bias_and_others();
        let mut lines = self.lines();
        lines.push(("all others".to_owned(), others));
        let widest = lines
            .iter()
            .map(|(told, _)| told.chars().count())
            .max()
            .unwrap_or(0)
            .clamp(6, 60);
        let mut at = bias;
        let mut ends = vec![bias];
        for (_, contribution) in &lines {
            at += contribution;
            ends.push(at);
        }
        let low = ends.iter().copied().fold(f64::INFINITY, f64::min);
        let high = ends.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{:<widest$}  {:>10.4}  {}",
            "bias",
            bias,
            bar(bias, bias, low, high)
        );
        let mut at = bias;
        for (told, contribution) in &lines {
            let told: String = told.chars().take(widest).collect();
            let drawn = bar(at, at + contribution, low, high);
            let _ = writeln!(text, "{told:<widest$}  {contribution:>+10.4}  {drawn}");
            at += contribution;
        }
        let _ = writeln!(text, "{:<widest$}  {at:>10.4}  {}", "margin", bar(at, at, low, high));
        let _ = write!(text, "\nprediction {}", numbers(&self.predictions));
        if let Some(score) = self.score {
            let names = self.loaded.model.band_names();
            let name = names.and_then(|names| names.get(usize::from(score) - 1));
            let name = name.map_or_else(String::new, |name| format!(" ({})", harmless(name)));
            let _ = write!(text, ", score {score}{name}");
        }
        text.push('\n');
        if let Some(found) = &self.found {
            let _ = writeln!(text, "\nTo reach {}:", found.target);
            match found.changes.as_slice() {
                [] => {
                    let _ = writeln!(text, "  {}", harmless(&found.text(self.loaded)));
                }
                changes => {
                    for change in changes {
                        let _ = writeln!(text, "  {}", harmless(&change.text(self.loaded, &found.row)));
                    }
                }
            }
        }
        if self.loaded.model.margin_len() > 1 {
            let _ = writeln!(text, "Explained is output {}.", self.workspace.output());
        }
        text
    }

    fn json(&self) -> String {
        let mut bytes = Vec::new();
        self.workspace.write(&mut bytes);
        if let Some(found) = &self.found {
            found.write(&mut bytes, self.loaded);
        }
        let score = self.score.map_or_else(|| "null".to_owned(), |score| score.to_string());
        let predictions = format!("[{}]", numbers(&self.predictions));
        let told = String::from_utf8_lossy(&bytes).into_owned();
        format!("{{\"score\":{score},\"predictions\":{predictions}{told}}}\n")
    }
}

fn numbers(numbers: &[f64]) -> String {
    let texts: Vec<String> = numbers.iter().map(f64::to_string).collect();
    texts.join(",")
}

/// A bar from one number to another within a range; a stroke where they are the same place.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of a range is from 0 to 1"
)]
fn bar(from: f64, to: f64, low: f64, high: f64) -> String {
    let place = |number: f64| match high > low {
        true => ((number - low) / (high - low) * BAR_WIDTH as f64).round() as usize,
        false => 0,
    };
    let (from, to) = (place(from), place(to));
    let sign = match from.cmp(&to) {
        std::cmp::Ordering::Less => '█',
        std::cmp::Ordering::Greater => '░',
        std::cmp::Ordering::Equal => return format!("{}│", " ".repeat(from)),
    };
    let (start, end) = (from.min(to), from.max(to));
    format!("{}{}", " ".repeat(start), String::from(sign).repeat(end - start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_lie_between_their_numbers() {
        assert_eq!(bar(0.0, 1.0, 0.0, 1.0), "█".repeat(BAR_WIDTH));
        assert_eq!(bar(1.0, 0.5, 0.0, 1.0), format!("{}{}", " ".repeat(20), "░".repeat(20)));
        assert_eq!(bar(0.5, 0.5, 0.0, 1.0), format!("{}│", " ".repeat(20)));
        assert_eq!(bar(3.0, 3.0, 3.0, 3.0), "│");
        assert_eq!(bar(f64::NAN, 1.0, f64::INFINITY, f64::NEG_INFINITY), "│");
    }
}
