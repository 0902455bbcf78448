//! Applies a manifest and options to an ensemble, and checks that they fit.

use std::collections::HashMap;

use crate::bands::Bands;
use crate::ensemble::{Codes, Ensemble, Input, Precision, Trees};
use crate::manifest::{FeatureNote, GoldenSource, Manifest, ManifestError, ManifestFault, ManifestPlace};
use crate::nearest::nearest;
use crate::objective::Objective;
use crate::schema::{FeatureKind, MissingMarkers, Schema};

/// Features of a model whose names are still searched for one that was probably meant.
const FEATURES_COMPARED_MAX: usize = 4_096;

/// Takes the manifest's names of features into the ensemble.
pub(super) fn rename(manifest: &Manifest, ensemble: &mut Ensemble) -> Option<ManifestFault> {
    let (names, place) = manifest.names.as_ref()?;
    let schema = ensemble.schema();
    let fault = |message: String| Some(ManifestFault { place: *place, message });
    if names.len() != schema.len() {
        return fault(format!(
            "names are {}, but the model has {} features; each has one, in column order",
            names.len(),
            schema.len()
        ));
    }
    // LightGBM writes spaces of names as underscores; a manifest may give them back.
    let is_same = |(own, stated): (&str, &String)| own == stated || own == stated.replace(' ', "_");
    let other = schema.names().zip(names).position(|pair| !is_same(pair));
    if let Some(column) = other.filter(|_| !schema.is_numbered()) {
        return fault(format!(
            "feature {column} is {:?} in the model file and {:?} here: names are for files that have none of their own",
            schema.name(column),
            names[column]
        ));
    }
    let renamed = ensemble.rename_features(names);
    renamed.err().and_then(|error| fault(format!("names: {error}")))
}

impl super::Model {
    /// Reads the manifest of a model. If its text has faults, those that only the model shows are reported with them.
    ///
    /// # Errors
    /// Every fault, with its line and column.
    pub fn parse_manifest(text: &str, ensemble: &Ensemble) -> Result<Manifest, ManifestError> {
        Manifest::parse_and(text, |manifest| misfits(manifest, ensemble))
    }
}

/// What in a manifest contradicts the model, in the order of its lines.
pub(super) fn misfits(manifest: &Manifest, ensemble: &Ensemble) -> Vec<ManifestFault> {
    let (schema, margins) = (ensemble.schema(), ensemble.base_margins().len());
    let mut faults = outputs(manifest, ensemble.objective(), margins);
    faults.extend(edges(manifest, ensemble.objective(), margins));
    if let Some((Precision::F64, place)) = manifest.input
        && narrows(ensemble.precision(), ensemble.input())
    {
        let message = format!(
            "{} rounds every value to 32 bits before it is compared: input is \"float32\"",
            ensemble.format()
        );
        faults.push(ManifestFault { place, message });
    }
    let names: HashMap<&str, usize> = schema.names().zip(0..).collect();
    for note in &manifest.features {
        match names.get(note.name.as_str()) {
            Some(&column) => faults.extend(categories(note, schema, column)),
            None => faults.push(ManifestFault {
                place: note.place,
                message: no_feature(&note.name, schema),
            }),
        }
    }
    faults.extend(groups(manifest, schema, &names));
    let predictions = ensemble.objective().prediction_len(margins);
    for golden in &manifest.golden {
        let is_stated = |count: usize| count > 0;
        let (sums, answers) = (golden.margin.len(), golden.prediction.len());
        for (what, count, own) in [
            ("features", golden.features.len(), schema.len()),
            ("margins", if is_stated(sums) { sums } else { margins }, margins),
            (
                "predictions",
                if is_stated(answers) { answers } else { predictions },
                predictions,
            ),
        ] {
            if count != own {
                faults.push(ManifestFault {
                    place: golden.place,
                    message: format!("a golden row has {count} {what}, the model {own}"),
                });
            }
        }
    }
    faults.sort_by_key(|fault| fault.place);
    faults.truncate(crate::limits::MANIFEST_FAULTS_MAX);
    faults
}

/// What is said of the predictions.
fn outputs(manifest: &Manifest, objective: &Objective, margins: usize) -> Vec<ManifestFault> {
    let predictions = objective.prediction_len(margins);
    let mut faults = Vec::new();
    let mut fault = |place: ManifestPlace, message: String| faults.push(ManifestFault { place, message });
    if let Some((output, place)) = manifest.probability_output {
        if output >= predictions {
            let last = predictions.saturating_sub(1);
            fault(
                place,
                format!("probability_output is {output}, but the model's predictions are 0 to {last}"),
            );
        } else if !objective.gives_probabilities() {
            fault(place, format!("objective {} gives no probabilities", objective.name()));
        }
    } else if probability(manifest, objective, margins).is_none() && predictions != 1 {
        let which = if objective.gives_probabilities() {
            "say which by probability_output"
        } else {
            "none of them is a probability, so none has bands"
        };
        let need = |what: &str| format!("{what} need a single prediction, but the model gives {predictions}: {which}");
        if let Some((_, place)) = manifest.edges {
            fault(place, need("edges"));
        }
        if let Some((_, place)) = manifest.band_names {
            fault(place, need("band_names"));
        }
    }
    faults
}

/// Edges that no prediction of the model reaches.
fn edges(manifest: &Manifest, objective: &Objective, margins: usize) -> Option<ManifestFault> {
    let (bands, place) = manifest.edges.as_ref()?;
    let (least, greatest) = objective.prediction_range(margins);
    let edges = bands.edges();
    let outside = edges.iter().position(|&edge| edge < least || edge > greatest)?;
    let are = match objective.gives_probabilities() {
        true => "are probabilities, from 0 to 1".to_owned(),
        false if greatest.is_finite() => format!("lie between {least} and {greatest}"),
        false => format!("are at least {least}"),
    };
    let is_percent = objective.gives_probabilities() && edges.iter().all(|edge| (0.0..=100.0).contains(edge));
    let hint = if is_percent {
        format!("; percent? write edges = {:?}", edges.map(|edge| edge / 100.0))
    } else {
        String::new()
    };
    Some(ManifestFault {
        place: *place,
        message: format!(
            "edge {outside} is {}, but the model's predictions {are}: no prediction reaches every band{hint}",
            edges[outside]
        ),
    })
}

/// What is said of a feature's categories and the model file contradicts.
fn categories(note: &FeatureNote, schema: &Schema, column: usize) -> Option<ManifestFault> {
    let fault = |place, message| Some(ManifestFault { place, message });
    let is_category = note.kind == Some(FeatureKind::Category);
    if schema.kind(column) == FeatureKind::Category && note.kind.is_some() && !is_category {
        let message = format!(
            "{:?} is a category in the model file: its type is \"category\"",
            note.name
        );
        return fault(note.place, message);
    }
    let (stated, own) = (note.categories.as_deref()?, schema.categories(column)?.names());
    if stated == own {
        return None;
    }
    let differs = stated.iter().zip(own).position(|(stated, own)| stated != own);
    let message = match differs {
        Some(code) => format!(
            "category {code} is {:?} here and {:?} in the model file, whose names count",
            stated[code], own[code]
        ),
        None => format!(
            "{} categories are here, but {} in the model file",
            stated.len(),
            own.len()
        ),
    };
    fault(note.categories_place, message)
}

fn no_feature(name: &str, schema: &Schema) -> String {
    // Comparing takes a microsecond a name: a list of thousands that is all wrong must not take minutes.
    let is_short = schema.len() <= FEATURES_COMPARED_MAX;
    let near = is_short.then(|| nearest(name, schema.names())).flatten();
    let hint = near.map_or_else(String::new, |near| format!("; did you mean {near:?}?"));
    format!("the model has no feature {name:?}{hint}")
}

/// Features of groups that the model does not have, or that are in two.
fn groups(manifest: &Manifest, schema: &Schema, names: &HashMap<&str, usize>) -> Vec<ManifestFault> {
    let mut taken: HashMap<&str, &str> = HashMap::new();
    let mut faults = Vec::new();
    for group in &manifest.groups {
        for (name, place) in &group.features {
            let message = match taken.insert(name, &group.name) {
                Some(other) => format!("{name:?} is in the group {other:?} already, and a feature is in one"),
                None if names.contains_key(name.as_str()) => continue,
                None => no_feature(name, schema),
            };
            faults.push(ManifestFault { place: *place, message });
        }
    }
    faults
}

/// Whether values are rounded to `f32` before anything looks at them.
fn narrows(precision: Precision, input: Input) -> bool {
    precision == Precision::F32 || matches!(input, Input::Narrowed | Input::NarrowedFlushed)
}

/// How values are read: as the format says, or rounded to `f32` first where the manifest says so.
pub(super) fn input(manifest: &Manifest, ensemble: &Ensemble) -> Input {
    match (manifest.input, ensemble.precision(), ensemble.input()) {
        (Some((Precision::F32, _)), Precision::F64, Input::Rounded) => Input::Narrowed,
        (Some((Precision::F32, _)), Precision::F64, Input::Flushed) => Input::NarrowedFlushed,
        (_, _, input) => input,
    }
}

/// The numbers that count as missing. XGBoost compares codes too, so that its first category is missing where 0 is;
/// others have no such parameter, and a number of people's is no code.
pub(super) fn markers(manifest: &Manifest, ensemble: &Ensemble, input: Input) -> MissingMarkers {
    let schema = ensemble.schema();
    let mut markers = MissingMarkers::new(&manifest.missing, schema.len(), narrows(ensemble.precision(), input));
    if ensemble.codes() != Codes::Below24Bits {
        let is_named = |&column: &usize| schema.categories(column).is_some();
        (0..schema.len())
            .filter(is_named)
            .for_each(|column| markers.set(column, &[]));
    }
    for note in &manifest.features {
        if let (Some(numbers), Some(column)) = (&note.missing, schema.column(&note.name)) {
            markers.set(column, numbers);
        }
    }
    markers
}

pub(super) fn tree_note(ensemble: &Ensemble, trees: Trees) -> Option<String> {
    let best = ensemble.best_iteration()?;
    let iterations = ensemble.iterations();
    // XGBoost 1.3 to 1.7 write the last one where nothing was stopped early. A linear booster has no iterations to
    // choose.
    let is_last = best.checked_add(1) == Some(iterations as u64) || iterations == 0 || ensemble.linear().is_some();
    if is_last {
        return None;
    }
    (trees == Trees::All).then(|| {
        format!(
            "the file names best_iteration {best} of its {iterations} iterations, for training stopped early, and all trees are \
             used, as Booster.predict does; --trees best (model.trees = \"best\") uses those up to the best, as XGBoost's \
             scikit-learn wrapper does"
        )
    })
}

/// What to say of golden rows that are of other trees than those that are taken.
pub(super) fn golden_note(manifest: &Manifest, is_cut: bool) -> Option<String> {
    let (trees, flag, other) = match is_cut {
        true => (Trees::Best, " --trees best", "all trees"),
        false => (Trees::All, "", "the best trees"),
    };
    let rows = manifest.golden.iter();
    let passed_over = rows.filter(|row| row.source == GoldenSource::Quintile && row.trees != trees);
    match passed_over.count() {
        0 => None,
        count => Some(format!(
            "{count} golden rows of the manifest are Quintile's own and of {other}, so they were not compared: `quintile manifest \
             init MODEL ROWS --renew{flag}` writes rows of the trees that are used here"
        )),
    }
}

/// What is worth saying of a forest's averaged votes.
pub(super) fn shares_note(manifest: &Manifest, ensemble: &Ensemble) -> Option<String> {
    let narrows = narrows(ensemble.precision(), ensemble.input()) || manifest.input.is_some();
    (ensemble.objective().are_shares() && !narrows).then(|| {
        "predictions are averaged votes of classes, as of scikit-learn's forests, which round values to 32 bits before they \
         compare them; this file does not say so: input = \"float32\" in the manifest does (`quintile manifest init` writes it)"
            .to_owned()
    })
}

/// The prediction that is a probability: the one that the manifest names, or the only one.
pub(super) fn probability(manifest: &Manifest, objective: &Objective, margin_len: usize) -> Option<usize> {
    let only = match margin_len {
        1 if objective.is_probability() => Some(0),
        // As in scikit-learn: the second of two classes is the one that is asked for.
        2 if objective.are_shares() => Some(1),
        _ => None,
    };
    manifest.probability_output.map(|(output, _)| output).or(only)
}

pub(super) fn bands(
    manifest: &Manifest,
    objective: &Objective,
    margin_len: usize,
    notes: &mut Vec<String>,
) -> Option<Bands> {
    let name = objective.name();
    if !objective.is_known() {
        notes.push(format!(
            "objective {name} is none of the library's own: predictions are the margins, not transformed"
        ));
    }
    if let Some((bands, _)) = manifest.edges {
        return Some(bands);
    }
    if probability(manifest, objective, margin_len).is_some() {
        return Some(Bands::PROBABILITY);
    }
    notes.push(format!(
        "objective {name} with {margin_len} outputs has no natural bands: predictions are served without a score"
    ));
    None
}
