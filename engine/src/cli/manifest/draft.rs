//! The text of a manifest, with comments that say what each key does and where its value comes from.

use std::fmt::Write as _;
use std::path::Path;

use quintile_model::{FeatureKind, Form, MissingMarkers, Model, Precision};
use quintile_scoring::loaded::LoadedModel;

use super::edges;
use super::survey::{Column, Survey, missing_flags, told};

/// Categories that a comment lists; the file's own names need not be repeated.
const CATEGORIES_TOLD: usize = 8;

/// What a draft is made from.
pub(super) struct Draft<'s> {
    pub(super) loaded: &'s LoadedModel,
    /// The model's path, for the first comment.
    pub(super) model: &'s Path,
    /// The rows and what they hold.
    pub(super) survey: Option<(&'s Path, &'s Survey)>,
    /// Whether ranges and types that were seen become comments instead of demands.
    pub(super) is_loose: bool,
}

impl Draft<'_> {
    /// The whole manifest.
    pub(super) fn text(&self) -> String {
        let mut out = String::new();
        self.head(&mut out);
        self.bands(&mut out);
        for column in 0..self.loaded.model.schema().len() {
            self.feature(&mut out, column);
        }
        self.golden(&mut out);
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
            let what = if self.is_loose {
                "in comments"
            } else {
                "demanded of every request: widen what may be exceeded"
            };
            line(
                out,
                format_args!(
                    "# Ranges and types are those of {} rows in {}, {what}.",
                    survey.rows,
                    told(rows)
                ),
            );
            if !survey.taken.is_empty() {
                let flags = missing_flags(&survey.taken);
                line(
                    out,
                    format_args!("# Some cells of them are texts: quintile score {flags}"),
                );
            }
        }
        line(out, format_args!("\nname = {}", basic(model.name())));
        line(out, format_args!("version = {}", basic(model.version())));
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
        match model.schema().markers().map(MissingMarkers::common) {
            Some(stated) if !stated.is_empty() => line(out, format_args!("missing = {}", numbers(&stated))),
            _ => line(
                out,
                format_args!("# missing = [0.0, -999.0]  # numbers that training took for missing"),
            ),
        }
        if model.is_input_stated() {
            let bits = match model.input_precision() {
                Precision::F32 => 32,
                Precision::F64 => 64,
            };
            line(out, format_args!("input = \"float{bits}\""));
        }
    }

    fn bands(&self, out: &mut String) {
        let model = &self.loaded.model;
        line(
            out,
            format_args!("\n# A prediction's score: 1 below the first edge, one more from each edge on."),
        );
        if super::survey::banded(self.loaded).is_none() {
            let last = model.prediction_len().saturating_sub(1);
            line(
                out,
                format_args!(
                    "# The model gives {} predictions: say which one is banded, from 0 to {last}.\n# probability_output = {last}\n# \
                     edges = [0.2, 0.4, 0.6, 0.8]",
                    model.prediction_len()
                ),
            );
            return line(out, format_args!("{BAND_NAMES}"));
        }
        if let Some(output) = model.probability_output().filter(|_| model.prediction_len() > 1) {
            line(out, format_args!("probability_output = {output}"));
        }
        let fitted = self
            .survey
            .and_then(|(rows, survey)| Some((rows, survey, edges::quintiles(&survey.predictions)?)));
        match (fitted, model.bands()) {
            (Some((rows, survey, fitted)), _) => {
                let counts = edges::counts(&fitted, &survey.predictions);
                line(
                    out,
                    format_args!(
                        "# The quintiles of the predictions for {}: {counts:?} rows from 1 to 5.",
                        told(rows)
                    ),
                );
                line(out, format_args!("edges = {fitted:?}"));
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
                line(out, format_args!("edges = {:?}", bands.edges()));
            }
            (None, None) => {
                line(
                    out,
                    format_args!("# Without edges predictions are served with \"score\": null."),
                );
                line(out, format_args!("# edges = [0.2, 0.4, 0.6, 0.8]"));
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
            None => line(out, format_args!("# unit = \"\"")),
        }
        kind(out, model, column, seen, self.is_loose);
        required(out, model, column, seen);
        missing(out, model, column, seen);
    }

    fn golden(&self, out: &mut String) {
        let model = &self.loaded.model;
        line(
            out,
            format_args!(
                "\n# Rows in column order (nan is missing) with their margins, checked to the last bit whenever the model is \
                 loaded."
            ),
        );
        let stated: Vec<_> = model
            .golden()
            .map(|(row, margins)| (row.to_vec(), margins.to_vec()))
            .collect();
        let kept = self.survey.map_or(&[][..], |(_, survey)| &survey.golden);
        let mut rows: Vec<_> = kept
            .iter()
            .map(|row| (row.features.clone(), row.margins.clone()))
            .collect();
        if rows.is_empty() {
            rows = stated;
        }
        line(
            out,
            format_args!(
                "# These margins are Quintile's own: compare them once with the library's, as \
                 Booster.predict(…, output_margin=True)."
            ),
        );
        if rows.is_empty() {
            let mut scratch = model.scratch();
            let missing = vec![f64::NAN; model.schema().len()];
            model.score_row(&missing, &mut scratch);
            rows.push((missing, scratch.margins().to_vec()));
        }
        for (features, margins) in rows {
            line(out, format_args!("\n[[golden]]\nfeatures = {}", numbers(&features)));
            line(out, format_args!("margin = {}", numbers(&margins)));
        }
    }
}

const BAND_NAMES: &str = "# band_names = [\"cold\", \"cool\", \"fair\", \"warm\", \"hot\"]";

/// Type and range: what the manifest says already, else what was seen, else what the file says.
fn kind(out: &mut String, model: &Model, column: usize, seen: Option<(u64, Column)>, is_loose: bool) {
    let (schema, rule) = (model.schema(), model.schema().rule(column));
    if schema.kind(column) == FeatureKind::Category {
        line(out, format_args!("type = \"category\""));
        match schema.categories(column).map(|categories| categories.names()) {
            Some(names) if names.len() <= CATEGORIES_TOLD => line(out, format_args!("categories = {}", texts(names))),
            Some(names) => line(
                out,
                format_args!(
                    "# {} categories, from {} on; the model file has them all",
                    names.len(),
                    basic(&names[0])
                ),
            ),
            None => line(
                out,
                format_args!("# categories = [\"the name of code 0\", \"of code 1\"]"),
            ),
        }
        return;
    }
    let seen = seen.filter(|(_, column)| column.is_known());
    let stated = (rule.form != Form::Any).then(|| schema.kind(column));
    let kind = match (stated, seen) {
        (Some(kind), _) => kind,
        (None, Some((_, column))) if column.is_binary => FeatureKind::Boolean,
        (None, Some((_, column))) if column.is_whole => FeatureKind::Integer,
        (None, Some(_)) => FeatureKind::Number,
        (None, None) => schema.kind(column),
    };
    let mark = if is_loose && stated.is_none() { "# " } else { "" };
    line(out, format_args!("{mark}type = \"{}\"", kind.name()));
    if kind == FeatureKind::Boolean {
        return;
    }
    let has_range = rule.least.is_finite() || rule.greatest.is_finite();
    match seen {
        _ if has_range => line(out, format_args!("range = {}", numbers(&[rule.least, rule.greatest]))),
        Some((_, column)) => {
            let mark = if is_loose { "# " } else { "" };
            line(
                out,
                format_args!("{mark}range = {}", numbers(&[column.least, column.greatest])),
            );
        }
        None => line(out, format_args!("# range = [0, inf]")),
    }
}

fn required(out: &mut String, model: &Model, column: usize, seen: Option<(u64, Column)>) {
    let is_stated = model.schema().rule(column).required;
    match seen {
        _ if is_stated => line(out, format_args!("required = true")),
        Some((_, Column { missing: 0, .. })) => line(out, format_args!("# required = true  # it never was missing")),
        Some((rows, column)) => line(
            out,
            format_args!(
                "required = false  # it was missing in {} of {rows} rows",
                column.missing
            ),
        ),
        None => line(out, format_args!("required = false")),
    }
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

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{text}");
}

/// A TOML key: bare where it may be.
fn key(name: &str) -> String {
    let is_bare = !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    if is_bare { name.to_owned() } else { basic(name) }
}

/// A TOML basic string on one line, which a key must be.
fn basic(text: &str) -> String {
    let mut out = String::from('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => out.extend(['\\', letter]),
            letter if letter.is_control() => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{:04X}", u32::from(letter));
            }
            letter => out.push(letter),
        }
    }
    out + "\""
}

fn texts(texts: &[String]) -> String {
    let texts: Vec<_> = texts.iter().map(|text| basic(text)).collect();
    format!("[{}]", texts.join(", "))
}

/// A TOML array of numbers, each of which reads back as the same double.
fn numbers(numbers: &[f64]) -> String {
    let texts: Vec<_> = numbers
        .iter()
        .map(|number| match number {
            number if number.is_nan() => "nan".to_owned(),
            number => format!("{number:?}"),
        })
        .collect();
    format!("[{}]", texts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_numbers_are_toml() {
        for name in ["f1", "Total Time", "a\"b\\", "\u{7f}\n", "ü", "", "a.b"] {
            let text = format!(
                "{} = {}",
                key(name),
                numbers(&[f64::NAN, f64::INFINITY, -0.0, 1e300, 0.1])
            );
            let table: toml::Table = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            let values = table[name].as_array().unwrap();
            assert!(values[0].as_float().unwrap().is_nan());
            assert_eq!(values[3].as_float(), Some(1e300));
        }
    }
}
