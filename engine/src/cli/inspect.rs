//! `quintile inspect`: the contents of a model file, and how it is evaluated.

use std::fmt::Write as _;
use std::path::Path;

use quintile_model::{FeatureKind, KernelChoice, Model, Options, Precision, Unseen};
use quintile_scoring::loaded::LoadedModel;
use quintile_scoring::text::harmless;

use super::args::InspectArgs;
use super::json::{Object, array, quoted};
use super::print::PrintFormat;
use super::{Exit, Streams, report};

/// Features that are listed without `--all`.
const FEATURES_SHOWN: usize = 60;

/// Loads the model and prints what it is.
pub(crate) fn run(args: &InspectArgs, streams: &mut Streams<'_>) -> Exit {
    let options = Options {
        trees: args.trees,
        kernel: args.kernel,
    };
    let loaded = match LoadedModel::load(args.model.as_deref(), options, 0) {
        Ok(loaded) => loaded,
        Err(error) => return report::model(&error, streams),
    };
    let file = args.model.as_deref().unwrap_or(Path::new("the embedded demo"));
    let file = file.display().to_string();
    let text = match args.print.format() {
        PrintFormat::Table => text(&file, &loaded, args.all),
        PrintFormat::Json => json(&file, &loaded),
        PrintFormat::Csv => csv(&loaded.model),
    };
    let written = streams
        .stdout
        .write_all(text.as_bytes())
        .and_then(|()| streams.stdout.flush());
    report::finish(written, streams)
}

/// A feature's kind as a list of features shows it: with the number of its categories where their names are known.
fn kind_told(model: &Model, column: usize) -> String {
    match model
        .schema()
        .categories(column)
        .map(|categories| categories.names().len())
    {
        Some(1) => "1 category".to_owned(),
        Some(count) => format!("{count} categories"),
        None => kind(model, column).to_owned(),
    }
}

fn kind(model: &Model, column: usize) -> &'static str {
    match model.schema().kind(column) {
        FeatureKind::Number => "number",
        FeatureKind::Integer => "integer",
        FeatureKind::Boolean => "boolean",
        FeatureKind::Category => "category",
    }
}

/// What becomes of a category's name that training never saw.
fn unseen(unseen: Unseen) -> &'static str {
    match unseen {
        Unseen::Refused => "refused",
        Unseen::Missing => "missing",
    }
}

fn precision(model: &Model) -> &'static str {
    match model.precision() {
        Precision::F32 => "32-bit floats",
        Precision::F64 => "64-bit floats",
    }
}

/// What values are rounded to before they are compared, and who says so.
fn input(model: &Model) -> &'static str {
    match (model.input_precision(), model.is_input_stated()) {
        (Precision::F32, false) => "float32, as the format has it",
        (Precision::F64, false) => "float64, as the format has it",
        (Precision::F32, true) => "float32, as the manifest says",
        (Precision::F64, true) => "float64, as the manifest says",
    }
}

/// How many golden rows were met, and whose numbers they have.
fn golden_rows(loaded: &LoadedModel) -> String {
    match loaded.golden_rows {
        0 => "none: nothing says what the training library answered".to_owned(),
        count => match loaded.own_golden_rows() {
            0 => format!("{count} met to the last bit"),
            own => format!(
                "{count} met to the last bit; {own} have Quintile's own numbers, not the library's (manifest init --expect FILE)"
            ),
        },
    }
}

/// Which of the predictions is a probability, as the end of a sentence.
fn probability(model: &Model) -> String {
    match model.probability_output() {
        Some(_) if model.is_probability() => ", a probability".to_owned(),
        Some(output) => format!(", of which number {output} is the probability that is banded"),
        None => String::new(),
    }
}

/// For people. Names and texts come from files that others wrote, so control characters are escaped.
pub(super) fn text(file: &str, loaded: &LoadedModel, all: bool) -> String {
    let model = &loaded.model;
    let mut out = String::new();
    // Writing to a String cannot fail.
    let mut line = |name: &str, value: String| {
        let _ = writeln!(out, "{name:<12} {value}");
    };
    line("file", harmless(file));
    line(
        "model",
        format!("{} {}", harmless(model.name()), harmless(model.version())),
    );
    if let Some(description) = model.description() {
        line("description", harmless(description));
    }
    line("format", model.format().to_owned());
    line(
        "written by",
        harmless(model.written_by().unwrap_or("the file does not say")),
    );
    line("objective", harmless(model.objective()));
    line("precision", precision(model).to_owned());
    line("input", input(model).to_owned());
    line(
        "outputs",
        format!(
            "margins {}, predictions {}{}",
            model.margin_len(),
            model.prediction_len(),
            probability(model)
        ),
    );
    let statistics = model.statistics();
    line(
        "trees",
        format!(
            "{} with {} nodes and {} leaves, at most {} deep",
            model.tree_count(),
            model.node_count(),
            statistics.leaves,
            statistics.depth
        ),
    );
    line("memory", format!("{} bytes to evaluate", model.bytes()));
    match model.bands() {
        Some(bands) => line("bands", format!("1 to 5, cut at {:?}", bands.edges())),
        None => line("bands", "none: predictions are served without a score".into()),
    }
    line("golden rows", golden_rows(loaded));
    for (index, note) in model.notes().iter().enumerate() {
        line(if index == 0 { "notes" } else { "" }, harmless(note));
    }
    for (index, text) in model.explain().lines().enumerate() {
        line(if index == 0 { "plan" } else { "" }, text.to_owned());
    }
    for (index, text) in explanations(model).iter().enumerate() {
        line(if index == 0 { "reasons" } else { "" }, harmless(text));
    }
    let gain = match statistics.gain {
        Some(_) => "gain is the share of what all splits gained in training",
        None => "the file does not say what the splits gained in training",
    };
    line("features", format!("{}; {gain}", model.schema().len()));
    table(&mut out, model, all);
    out
}

/// How scores are explained, a line each: what is kept for it, and what is made when it is first asked for.
fn explanations(model: &Model) -> Vec<String> {
    match model.explainer(KernelChoice::Auto) {
        Ok(explainer) => {
            let kept = format!(
                "{} bytes are kept for reasons, and {} more when they are first asked for",
                model.explained_bytes(),
                explainer.bytes()
            );
            let plan = explainer.explain();
            std::iter::once(kept).chain(plan.lines().map(str::to_owned)).collect()
        }
        Err(error) => vec![format!("none: {error}")],
    }
}

/// The features: what each is, and what the trees make of it.
fn table(out: &mut String, model: &Model, all: bool) {
    let (schema, statistics) = (model.schema(), model.statistics());
    let shown = if all {
        schema.len()
    } else {
        schema.len().min(FEATURES_SHOWN)
    };
    let width = schema
        .names()
        .take(shown)
        .map(|name| harmless(name).chars().count())
        .max()
        .unwrap_or(0)
        .clamp(4, 40);
    let kinds: Vec<_> = (0..shown).map(|column| kind_told(model, column)).collect();
    let kind_width = kinds.iter().map(String::len).max().unwrap_or(0).max(8);
    let _ = writeln!(
        out,
        "       {:<width$}  {:<kind_width$}  splits    gain",
        "name", "kind"
    );
    for (column, kind) in kinds.iter().enumerate() {
        let label = schema
            .label(column)
            .or_else(|| schema.description(column))
            .unwrap_or_default();
        let share = statistics.gain_share(column);
        let row = format!(
            "{column:>5}  {:<width$}  {kind:<kind_width$}  {:>6}  {:>6}  {}",
            harmless(schema.name(column)),
            statistics.features.get(column).map_or(0, |used| used.splits),
            share.map_or_else(|| "-".to_owned(), |share| format!("{:.1} %", 100.0 * share)),
            harmless(label)
        );
        let _ = writeln!(out, "{}", row.trim_end());
    }
    if shown < schema.len() {
        let _ = writeln!(out, "       and {} more (--all lists them)", schema.len() - shown);
    }
}

/// One JSON object, for scripts.
pub(super) fn json(file: &str, loaded: &LoadedModel) -> String {
    let model = &loaded.model;
    let mut object = Object::default();
    object.text("file", Some(file));
    object.text("name", Some(model.name()));
    object.text("version", Some(model.version()));
    object.text("description", model.description());
    object.text("format", Some(model.format()));
    object.text("written_by", model.written_by());
    object.text("objective", Some(model.objective()));
    object.text("precision", Some(precision(model)));
    object.text("input", Some(input(model)));
    object.raw("margins", &model.margin_len().to_string());
    object.raw("predictions", &model.prediction_len().to_string());
    object.raw("probability", &model.is_probability().to_string());
    object.raw("trees", &model.tree_count().to_string());
    object.raw("nodes", &model.node_count().to_string());
    let statistics = model.statistics();
    object.raw("leaves", &statistics.leaves.to_string());
    object.raw("depth", &statistics.depth.to_string());
    object.raw("gain", &number(statistics.gain));
    object.raw("bytes", &model.bytes().to_string());
    match model.bands() {
        // Edges are finite, and Rust prints a finite double as JSON does.
        Some(bands) => object.raw("bands", &format!("{:?}", bands.edges())),
        None => object.raw("bands", "null"),
    }
    object.raw("golden_rows", &loaded.golden_rows.to_string());
    object.raw("golden_rows_own", &loaded.own_golden_rows().to_string());
    object.raw("notes", &array(model.notes().iter().map(|note| quoted(note))));
    object.text("kernel", Some(&model.kernel().to_string()));
    object.raw("plan", &array(model.explain().lines().map(quoted)));
    object.raw("reasons", &array(explanations(model).iter().map(|text| quoted(text))));
    let schema = model.schema();
    let features = (0..schema.len()).map(|column| {
        let mut feature = Object::default();
        feature.raw("column", &column.to_string());
        feature.text("name", Some(schema.name(column)));
        feature.text("kind", Some(kind(model, column)));
        let categories = schema.categories(column);
        let count = categories.map_or_else(|| "null".into(), |categories| categories.names().len().to_string());
        feature.raw("categories", &count);
        feature.text("unseen", categories.map(|categories| unseen(categories.unseen())));
        let names = |names: &[String]| array(names.iter().map(|name| quoted(name)));
        let names = categories.map_or_else(|| "null".into(), |categories| names(categories.names()));
        feature.raw("category_names", &names);
        let used = statistics.features.get(column).copied().unwrap_or_default();
        feature.raw("splits", &used.splits.to_string());
        feature.raw("gain", &number(statistics.gain.map(|_| used.gain)));
        feature.raw("gain_share", &number(statistics.gain_share(column)));
        feature.text("label", schema.label(column));
        feature.text("description", schema.description(column));
        feature.finish()
    });
    object.raw("features", &array(features));
    object.finish() + "\n"
}

/// A number that is finite, or null.
fn number(number: Option<f64>) -> String {
    match number.filter(|number| number.is_finite()) {
        Some(number) => format!("{number:?}"),
        None => "null".to_owned(),
    }
}

/// A line a feature, for spreadsheets.
pub(super) fn csv(model: &Model) -> String {
    let schema = model.schema();
    let statistics = model.statistics();
    let mut writer = csv::Writer::from_writer(Vec::new());
    // Writing to a Vec cannot fail.
    let _ = writer.write_record([
        "column",
        "name",
        "kind",
        "categories",
        "unseen",
        "splits",
        "gain_share",
        "label",
        "description",
    ]);
    for column in 0..schema.len() {
        let categories = schema.categories(column);
        let _ = writer.write_record([
            column.to_string().as_str(),
            schema.name(column),
            kind(model, column),
            &categories.map_or_else(String::new, |categories| categories.names().len().to_string()),
            categories.map_or("", |categories| unseen(categories.unseen())),
            &statistics
                .features
                .get(column)
                .map_or(0, |used| used.splits)
                .to_string(),
            &statistics
                .gain_share(column)
                .map_or_else(String::new, |share| share.to_string()),
            schema.label(column).unwrap_or_default(),
            schema.description(column).unwrap_or_default(),
        ]);
    }
    let bytes = writer.into_inner().unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}
