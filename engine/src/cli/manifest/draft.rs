//! The text of a manifest, with comments that say what each key does and where its value comes from.

use std::path::Path;

use quintile_model::is_derived_version;
use quintile_model::{FeatureKind, Manifest, MissingMarkers, Model, Precision, ReferenceProfile};
use quintile_scoring::loaded::LoadedModel;

use super::edges;
use super::profile;
use super::reasons;
use super::survey::{Column, Survey, missing_flags, told};
use super::toml_text::{basic, key, line, numbers, texts};

/// Categories that a comment lists; the file's own names need not be repeated.
const CATEGORIES_TOLD: usize = 8;

/// Names of a file without any that a comment lists.
const NAMES_TOLD: usize = 64;

/// What a draft is made from.
pub(super) struct Draft<'s> {
    pub(super) loaded: &'s LoadedModel,
    /// The model's path, for the first comment.
    pub(super) model: &'s Path,
    /// The rows and what they hold.
    pub(super) survey: Option<(&'s Path, &'s Survey)>,
    /// What the rows hold, for comparisons with later ones.
    pub(super) profile: Option<&'s ReferenceProfile>,
    /// Whether ranges and types that were seen are demanded, and no comments.
    pub(super) is_strict: bool,
    /// What the manifest says that is there.
    pub(super) before: Option<&'s Manifest>,
}

impl Draft<'_> {
    /// The whole manifest.
    pub(super) fn text(&self) -> String {
        let mut out = String::new();
        self.head(&mut out);
        self.bands(&mut out);
        (0..self.loaded.model.schema().len()).for_each(|column| self.feature(&mut out, column));
        reasons::groups(&mut out, self.loaded.model.schema());
        self.golden(&mut out);
        self.init(&mut out);
        out.push_str(&self.profile.map(profile::text).unwrap_or_default());
        out
    }

    fn head(&self, out: &mut String) {
        let model = &self.loaded.model;
        line(
            out,
            format_args!(
                "# The manifest of {}: what the model file does not say.",
                told(self.model)
            ),
        );
        line(
            out,
            format_args!("# Everything is optional; a key that is not known is a fault. See docs/models.md."),
        );
        if let Some((rows, survey)) = self.survey {
            let demanded = if self.is_strict { model.schema().len() } else { 0 };
            line(
                out,
                format_args!("{}", head_line(rows, survey, demanded, model.schema().len())),
            );
            if !survey.taken.is_empty() {
                let flags = missing_flags(&survey.taken);
                line(
                    out,
                    format_args!("# Some cells of them are texts: quintile score {flags}"),
                );
            }
        }
        self.identity(out);
        self.inputs(out);
    }

    /// Which model it is, and whose.
    fn identity(&self, out: &mut String) {
        let model = &self.loaded.model;
        line(out, format_args!("\nname = {}", basic(model.name())));
        match self.before.and_then(|before| before.version.as_deref()) {
            Some(version) if !is_derived_version(version) => line(out, format_args!("version = {}", basic(version))),
            _ => line(
                out,
                format_args!("# version = \"2026-11-24\"  # without it, digits of the model file's SHA-256"),
            ),
        }
        match model.description() {
            Some(text) => line(out, format_args!("description = {}", basic(text))),
            None => line(
                out,
                format_args!("# description = \"What is predicted, for whom, over which time?\""),
            ),
        }
        match model.owner() {
            Some(text) => line(out, format_args!("owner = {}", basic(text))),
            None => line(out, format_args!("# owner = \"team@example.com\"")),
        }
    }

    /// What becomes of values before they are compared, and what features are called.
    fn inputs(&self, out: &mut String) {
        let model = &self.loaded.model;
        match model.schema().markers().map(MissingMarkers::common) {
            Some(stated) if !stated.is_empty() => line(out, format_args!("missing = {}", numbers(&stated))),
            _ => line(
                out,
                format_args!(
                    "# Numbers that training took for missing, if any: missing = [0.0, -999.0]; then --renew, for golden rows change."
                ),
            ),
        }
        if model.is_input_stated() {
            let bits = match model.input_precision() {
                Precision::F32 => 32,
                Precision::F64 => 64,
            };
            line(
                out,
                format_args!("input = \"float{bits}\"  # what values are rounded to before they are compared"),
            );
        }
        let schema = model.schema();
        if let Some(names) = self.names() {
            line(
                out,
                format_args!(
                    "names = {}  # of the features, for the model file has none",
                    texts(&names)
                ),
            );
        } else if schema.is_numbered() && (1..=NAMES_TOLD).contains(&schema.len()) {
            let names: Vec<String> = schema.names().map(str::to_owned).collect();
            line(
                out,
                format_args!("# names = {}  # the model file has none", texts(&names)),
            );
        }
    }

    /// The names that the manifest gives to a model file without any.
    pub(super) fn names(&self) -> Option<Vec<String>> {
        let schema = self.loaded.model.schema();
        let is_named = self.loaded.names_are_stated;
        is_named.then(|| schema.names().map(str::to_owned).collect())
    }

    fn bands(&self, out: &mut String) {
        let model = &self.loaded.model;
        line(
            out,
            format_args!("\n# A prediction's score: 1 below the first edge, one more from each edge on."),
        );
        if self.loaded.banded_output().is_none() {
            let (count, last) = (model.prediction_len(), model.prediction_len().saturating_sub(1));
            if !model.gives_probabilities() {
                let what = format_args!(
                    "# The model gives {count} predictions, none of them a probability: \"score\" is null."
                );
                return line(out, what);
            }
            line(
                out,
                format_args!(
                    "# The model gives {count} predictions: say which one is banded, from 0 to {last}.\n# probability_output = \
                     {last}"
                ),
            );
            return;
        }
        if let Some(output) = model.probability_output().filter(|_| model.prediction_len() > 1) {
            line(out, format_args!("probability_output = {output}"));
        }
        match (self.fitted(), model.bands()) {
            (Some((rows, edges)), _) => {
                line(out, format_args!("{}", rows));
                line(out, format_args!("edges = {edges:?}"));
            }
            (None, Some(bands)) => {
                if self.survey.is_some() {
                    line(
                        out,
                        format_args!("# The rows have fewer than five different predictions: no edges were fitted."),
                    );
                } else {
                    line(
                        out,
                        format_args!("# `quintile fit-bands` takes the quintiles of your own leads instead."),
                    );
                }
                let before = self.before.and_then(Manifest::edges).filter(|_| self.survey.is_none());
                line(out, format_args!("edges = {:?}", before.unwrap_or(bands.edges())));
            }
            (None, None) => {
                line(
                    out,
                    format_args!("# Without edges predictions are served with \"score\": null."),
                );
                line(out, format_args!("# edges = [0.2, 0.4, 0.6, 0.8]"));
                return;
            }
        }
        match model.band_names() {
            Some(names) => line(out, format_args!("band_names = {}", texts(names))),
            None => line(out, format_args!("{BAND_NAMES}")),
        }
    }

    fn feature(&self, out: &mut String, column: usize) {
        let (model, schema) = (&self.loaded.model, self.loaded.model.schema());
        let seen = self.survey.map(|(_, survey)| (survey.rows, survey.columns[column]));
        line(out, format_args!("\n[features.{}]", key(schema.name(column))));
        match schema.label(column) {
            Some(text) => line(out, format_args!("label = {}", basic(text))),
            None => line(out, format_args!("# label = \"A name for people\"")),
        }
        match schema.description(column) {
            Some(text) => line(out, format_args!("description = {}", basic(text))),
            None => line(out, format_args!("# description = \"\"")),
        }
        match schema.unit(column) {
            Some(text) => line(out, format_args!("unit = {}", basic(text))),
            None if schema.kind(column) == FeatureKind::Category => {}
            None => line(out, format_args!("# unit = \"EUR\"")),
        }
        for text in self.demands(column) {
            line(out, format_args!("{text}"));
        }
        missing(out, model, column, seen);
        reasons::of_feature(out, schema, column);
    }

    /// Edges that are the quintiles of the rows' predictions, and a comment that says so.
    pub(super) fn fitted(&self) -> Option<(String, [f64; 4])> {
        let (rows, survey) = self.survey?;
        let fitted = edges::quintiles(&survey.predictions)?;
        let counts = edges::counts(&fitted, &survey.predictions);
        let comment = format!("{QUINTILES_OF} {}: {counts:?} rows from 1 to 5.", told(rows));
        Some((comment, fitted))
    }

    /// What rows say of a feature's values, a line each.
    pub(super) fn demands(&self, column: usize) -> Vec<String> {
        let seen = self.survey.map(|(_, survey)| (survey.rows, survey.columns[column]));
        let mut lines = kind(&self.loaded.model, column, seen, self.is_strict);
        lines.push(match seen {
            Some((_, Column { missing: 0, .. })) => "# required = true  # it never was missing".to_owned(),
            Some((rows, column)) => format!(
                "required = false  # it was missing in {} of {rows} rows",
                column.missing
            ),
            None => "required = false".to_owned(),
        });
        lines
    }

    fn init(&self, out: &mut String) {
        line(
            out,
            format_args!("\n# What `manifest init` wrote, so that --renew can tell it from what people write.\n[init]"),
        );
        for (name, value) in self.init_note() {
            line(out, format_args!("{name} = {value}"));
        }
    }

    /// What is remembered of this run: keys and values as TOML has them.
    pub(super) fn init_note(&self) -> Vec<(&'static str, String)> {
        let mut note = Vec::new();
        if let Some(digest) = &self.loaded.model_sha256 {
            note.push(("model_sha256", basic(digest)));
        }
        if let Some((rows, _)) = self.survey {
            note.push(("rows", basic(&told(rows))));
        }
        if let Some((_, edges)) = self.fitted().filter(|_| self.loaded.banded_output().is_some()) {
            note.push(("edges", numbers(&edges)));
        }
        note
    }
}

/// How a line begins that says whose quintiles edges are.
pub(super) const QUINTILES_OF: &str = "# The quintiles of the predictions for";

/// How a line begins that says where types and ranges come from.
pub(super) const SEEN_IN: &str = "# Types and ranges are those of";

/// Where types and ranges come from, and of how many features they are demanded.
pub(super) fn head_line(rows: &Path, survey: &Survey, demanded: usize, features: usize) -> String {
    let what = match demanded {
        0 => "in comments: nothing is demanded of requests (--strict demands it)".to_owned(),
        _ if demanded == features => "demanded of every request: widen what may be exceeded".to_owned(),
        _ => format!("demanded of every request for {demanded} of {features} features, else in comments"),
    };
    format!("{SEEN_IN} {} rows in {}, {what}.", survey.rows, told(rows))
}

const BAND_NAMES: &str = "# band_names = [\"cold\", \"cool\", \"fair\", \"warm\", \"hot\"]";

/// Type and range, as far as rows or the model file say them.
fn kind(model: &Model, column: usize, seen: Option<(u64, Column)>, is_strict: bool) -> Vec<String> {
    let schema = model.schema();
    if schema.kind(column) == FeatureKind::Category {
        let names = match schema.categories(column).map(|categories| categories.names()) {
            Some(names) if names.len() <= CATEGORIES_TOLD => format!("categories = {}", texts(names)),
            Some(names) => format!(
                "# {} categories, from {} on; the model file has them all",
                names.len(),
                basic(&names[0])
            ),
            None => "# categories = [\"the name of code 0\", \"of code 1\"]".to_owned(),
        };
        return vec!["type = \"category\"".to_owned(), names];
    }
    let seen = seen.filter(|(_, column)| column.is_known());
    let kind = match seen {
        Some((_, column)) if column.is_binary => FeatureKind::Boolean,
        Some((_, column)) if column.is_whole => FeatureKind::Integer,
        Some(_) => FeatureKind::Number,
        None => schema.kind(column),
    };
    let mark = if is_strict && seen.is_some() { "" } else { "# " };
    let mut lines = vec![format!("{mark}type = \"{}\"", kind.name())];
    let range = seen.map(|(_, column)| numbers(&[column.least, column.greatest]));
    match &range {
        _ if kind == FeatureKind::Boolean => {}
        Some(range) => lines.push(format!("{mark}range = {range}")),
        None => lines.push("# range = [0, inf]".to_owned()),
    }
    if let Some(range) = range {
        lines.push(format!(
            "seen = {range}  # in training: values far outside are counted, not refused"
        ));
    }
    lines
}

/// Numbers that count as missing for a feature: what the manifest says already, else a proposal.
fn missing(out: &mut String, model: &Model, column: usize, seen: Option<(u64, Column)>) {
    let schema = model.schema();
    let markers = schema.markers();
    if let Some(own) = markers.and_then(|markers| markers.own(column)) {
        return line(out, format_args!("missing = {}", numbers(&own)));
    }
    let Some((rows, seen)) = seen.filter(|_| schema.kind(column) != FeatureKind::Category) else {
        return;
    };
    let found = seen.sentinels.found(rows);
    if found.is_empty() {
        return;
    }
    // A feature's list takes the place of the model's.
    let mut list = markers.map(MissingMarkers::common).unwrap_or_default();
    list.extend(found.iter().map(|&(number, _)| number));
    let list = match list[..] {
        [one] => format!("{one:?}"),
        _ => numbers(&list),
    };
    let (counts, them) = match found[..] {
        [(_, count)] => (count.to_string(), "it"),
        _ => {
            let counts: Vec<_> = found
                .iter()
                .map(|(number, count)| format!("{number:?} in {count}"))
                .collect();
            (counts.join(", "), "them")
        }
    };
    line(
        out,
        format_args!(
            "# missing = {list}   # {counts} of {rows} rows of {} hold {them}: remove the # if training took {them} for missing",
            basic(schema.name(column))
        ),
    );
}
