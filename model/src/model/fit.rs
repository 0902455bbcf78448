//! Applies a manifest and options to an ensemble, and checks that they fit.

use std::collections::HashMap;

use crate::bands::Bands;
use crate::ensemble::{Codes, Ensemble, Input, Precision, Trees};
use crate::manifest::{FeatureNote, Manifest, ManifestFault, ManifestPlace};
use crate::nearest::nearest;
use crate::objective::Objective;
use crate::schema::{FeatureKind, MissingMarkers, Schema};

/// Features of a model whose names are still searched for one that was probably meant.
const FEATURES_COMPARED_MAX: usize = 4_096;

/// What in a manifest contradicts the model, in the order of its lines.
pub(super) fn misfits(manifest: &Manifest, ensemble: &Ensemble) -> Vec<ManifestFault> {
    let (schema, margins) = (ensemble.schema(), ensemble.base_margins().len());
    let mut faults = outputs(manifest, ensemble.objective(), margins);
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
    for golden in &manifest.golden {
        if golden.features.len() != schema.len() {
            let message = format!(
                "a golden row has {} features, the model {}",
                golden.features.len(),
                schema.len()
            );
            faults.push(ManifestFault {
                place: golden.place,
                message,
            });
        }
        if golden.margin.len() != margins {
            let message = format!("a golden row has {} margins, the model {margins}", golden.margin.len());
            faults.push(ManifestFault {
                place: golden.place,
                message,
            });
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
    } else if predictions != 1 {
        let need = |what: &str| {
            format!(
                "{what} need a single prediction, but the model gives {predictions}: say which by probability_output"
            )
        };
        if let Some((_, place)) = manifest.edges {
            fault(place, need("edges"));
        }
        if let Some((_, place)) = manifest.band_names {
            fault(place, need("band_names"));
        }
    }
    faults
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
            "the file names best_iteration {best} of its {iterations} iterations, but all trees are used, as XGBoost's \
             Booster.predict does; its scikit-learn wrapper would use the best only"
        )
    })
}

/// The prediction that is a probability: the one that the manifest names, or the only one.
pub(super) fn probability(manifest: &Manifest, objective: &Objective, margin_len: usize) -> Option<usize> {
    let only = super::is_probability(objective, margin_len).then_some(0);
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
