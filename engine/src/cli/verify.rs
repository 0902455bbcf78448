//! `quintile verify`: the arguments, and how the report is printed. [`quintile_scoring::verify`] compares.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use quintile_model::{KernelChoice, Options, Trees};
use quintile_scoring::rows::Format;
use quintile_scoring::verify::{Difference, Distance, Quantity, Report, VerifyError, VerifyJob, verify};

use super::args::{kernel_parser, rows_parser, trees_parser};
use super::json::{Object, array};
use super::print::{PrintArgs, PrintFormat};
use super::{Exit, Streams, report};

pub(super) const EXAMPLES: &str = "Examples:
  quintile verify model.ubj --rows rows.csv --expect predictions.csv
  quintile verify model.txt --rows rows.parquet --expect prediction
  quintile verify model.ubj --rows rows.csv --expect margins.csv --of margin --json";

/// What the numbers may be.
const QUANTITIES: [(&str, Quantity); 2] = [("prediction", Quantity::Prediction), ("margin", Quantity::Margin)];

/// `verify`.
#[derive(Debug, clap::Args)]
pub(crate) struct VerifyArgs {
    /// The model file; without it the embedded demo
    #[arg(value_name = "MODEL")]
    model: Option<PathBuf>,
    /// The rows, as score reads them
    #[arg(long, value_name = "FILE")]
    rows: PathBuf,
    /// The library's numbers: a file with a row a line, or the name of a column of the rows (several with commas
    /// between them, one for each output; column:NAME where a file has that name too)
    #[arg(long, value_name = "FILE|COLUMN")]
    expect: String,
    /// What the numbers are; without it, what fits them best
    #[arg(long, value_name = "NUMBERS", value_parser = quantity_parser())]
    of: Option<Quantity>,
    /// Units in the last place that a number may be off
    #[arg(long, value_name = "N", default_value_t = 0)]
    ulps: u64,
    /// What the rows are; without it the file says so
    #[arg(long, value_parser = rows_parser(), value_name = "FORMAT")]
    input: Option<Format>,
    /// Which trees make the prediction: all, or those up to the file's best_iteration
    #[arg(long, value_parser = trees_parser(), default_value = "all")]
    trees: Trees,
    /// The code that evaluates the trees
    #[arg(long, value_parser = kernel_parser(), default_value = "auto")]
    kernel: KernelChoice,
    #[command(flatten)]
    print: PrintArgs<false>,
}

fn quantity_parser() -> impl TypedValueParser<Value = Quantity> {
    PossibleValuesParser::new(QUANTITIES.map(|(name, _)| name)).map(|word| {
        let known = QUANTITIES.into_iter().find(|(name, _)| *name == word);
        known.map_or(Quantity::Prediction, |(_, quantity)| quantity)
    })
}

/// Compares, and prints what came out.
pub(super) fn run(args: &VerifyArgs, streams: &mut Streams<'_>) -> Exit {
    let job = VerifyJob {
        model: args.model.as_deref(),
        options: Options {
            trees: args.trees,
            kernel: args.kernel,
        },
        rows: &args.rows,
        input: args.input,
        expect: &args.expect,
        quantity: args.of,
    };
    let compared = match verify(&job) {
        Ok(compared) => compared,
        Err(VerifyError::Load(error)) => return report::model(&error, streams),
        Err(error) => return report::failure(error, streams),
    };
    let is_equal = compared.is_within(args.ulps);
    let text = match args.print.format() {
        PrintFormat::Json => json(&compared, is_equal) + "\n",
        PrintFormat::Table | PrintFormat::Csv => table(&compared, args.ulps),
    };
    match report::print(&text, streams) {
        Exit::Success if !is_equal => Exit::CommandError,
        exit => exit,
    }
}

fn table(compared: &Report, ulps: u64) -> String {
    let mut out = String::new();
    let (tally, rows) = (compared.tally, compared.rows);
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "{rows} rows, compared with the model's {}",
        compared.quantity.plural()
    );
    for note in &compared.notes {
        let _ = writeln!(out, "note: {note}");
    }
    for (what, count) in [
        ("equal to the last bit", tally.equal),
        ("one unit in the last place apart", tally.one_unit),
        ("further apart", tally.beyond),
    ] {
        let _ = writeln!(out, "  {what:<34}{count:>10}");
    }
    if ulps > 0 {
        let is = if compared.furthest.is_within(ulps) {
            "no"
        } else {
            "some"
        };
        let _ = writeln!(
            out,
            "{is} number is more than {ulps} units in the last place off (--ulps)"
        );
    }
    if !compared.differences.is_empty() {
        out.push_str("\nThe first rows that differ:\n");
    }
    for difference in &compared.differences {
        let Difference {
            row, ours, expected, ..
        } = difference;
        let output = if difference.output > 0 {
            format!(", output {}", difference.output)
        } else {
            String::new()
        };
        let _ = writeln!(
            out,
            "  row {row}{output}: {ours:?} here, {expected:?} expected, {}",
            apart(difference.distance)
        );
        if let Some(parting) = &difference.parting {
            let _ = writeln!(out, "      {parting}");
        }
    }
    if !compared.findings.is_empty() {
        out.push_str("\nWhat was found:\n");
    }
    for finding in &compared.findings {
        let _ = match finding.cause {
            "unexplained" => writeln!(out, "  {}", finding.what),
            _ if finding.equal == rows => writeln!(out, "  all {rows} rows are equal when {}", finding.what),
            _ => writeln!(
                out,
                "  {} of {rows} rows are equal when {}",
                finding.equal, finding.what
            ),
        };
        let _ = writeln!(out, "      {}", finding.advice);
    }
    out
}

fn apart(distance: Distance) -> String {
    match distance {
        Distance::Equal => "equal".into(),
        Distance::Units(1) => "one unit in the last place apart".into(),
        Distance::Units(units) => format!("{units} units in the last place apart"),
        Distance::Nan => "one of them is no number".into(),
    }
}

fn json(compared: &Report, is_equal: bool) -> String {
    let mut object = Object::default();
    let number = |value: f64| {
        if value.is_finite() {
            format!("{value:?}")
        } else {
            "null".into()
        }
    };
    object.raw("is_equal", if is_equal { "true" } else { "false" });
    object.raw("rows", &compared.rows.to_string());
    object.text("compared_with", Some(quantity_name(compared.quantity)));
    object.raw("equal", &compared.tally.equal.to_string());
    object.raw("one_unit", &compared.tally.one_unit.to_string());
    object.raw("beyond", &compared.tally.beyond.to_string());
    object.raw(
        "notes",
        &array(compared.notes.iter().map(|note| super::json::quoted(note))),
    );
    let differences = compared.differences.iter().map(|difference| {
        let mut object = Object::default();
        object.raw("row", &difference.row.to_string());
        object.raw("output", &difference.output.to_string());
        object.raw("ours", &number(difference.ours));
        object.raw("expected", &number(difference.expected));
        let units = match difference.distance {
            Distance::Equal => "0".into(),
            Distance::Units(units) => units.to_string(),
            Distance::Nan => "null".into(),
        };
        object.raw("units", &units);
        object.text("parting", difference.parting.as_deref());
        object.finish()
    });
    object.raw("differences", &array(differences));
    let findings = compared.findings.iter().map(|finding| {
        let mut object = Object::default();
        object.text("cause", Some(finding.cause));
        object.text("what", Some(&finding.what));
        object.text("advice", Some(&finding.advice));
        object.raw("equal", &finding.equal.to_string());
        object.finish()
    });
    object.raw("findings", &array(findings));
    object.finish()
}

fn quantity_name(quantity: Quantity) -> &'static str {
    match quantity {
        Quantity::Prediction => "prediction",
        Quantity::Margin => "margin",
        Quantity::Probability => "probability",
        Quantity::BothClasses => "both_classes",
        Quantity::OtherClass => "other_class",
    }
}
