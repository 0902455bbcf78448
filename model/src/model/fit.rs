//! What a manifest and options have to say about an ensemble, and whether it is true.

use crate::bands::Bands;
use crate::ensemble::{Ensemble, Trees};
use crate::manifest::{Manifest, ManifestFault, Place};
use crate::objective::Objective;

/// What in a manifest contradicts the model, in the order of its lines.
pub(super) fn misfits(manifest: &Manifest, ensemble: &Ensemble) -> Vec<ManifestFault> {
    let (schema, margins) = (ensemble.schema(), ensemble.base_margins().len());
    let mut faults = Vec::new();
    let mut fault = |place: Place, message: String| faults.push(ManifestFault { place, message });
    let predictions = ensemble.objective().prediction_len(margins);
    if let (Some((_, place)), true) = (manifest.edges, predictions != 1) {
        fault(
            place,
            format!("edges need a single prediction, but the model gives {predictions}"),
        );
    }
    for note in &manifest.features {
        if schema.column(&note.name).is_none() {
            fault(note.place, format!("the model has no feature {:?}", note.name));
        }
    }
    for golden in &manifest.golden {
        if golden.features.len() != schema.len() {
            let message = format!(
                "a golden row has {} features, the model {}",
                golden.features.len(),
                schema.len()
            );
            fault(golden.place, message);
        }
        if golden.margin.len() != margins {
            fault(
                golden.place,
                format!("a golden row has {} margins, the model {margins}", golden.margin.len()),
            );
        }
    }
    faults.sort_by_key(|fault| fault.place);
    faults.truncate(crate::limits::MANIFEST_FAULTS_MAX);
    faults
}

pub(super) fn tree_note(ensemble: &Ensemble, trees: Trees) -> Option<String> {
    let best = ensemble.best_iteration()?;
    let iterations = ensemble.iterations();
    (trees == Trees::All).then(|| {
        format!(
            "the file names best_iteration {best} of its {iterations} iterations, but all trees are used, as XGBoost's \
             Booster.predict does; its scikit-learn wrapper would use the best only"
        )
    })
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
    if super::is_probability(objective, margin_len) {
        return Some(Bands::PROBABILITY);
    }
    notes.push(format!(
        "objective {name} with {margin_len} outputs has no natural bands: predictions are served without a score"
    ));
    None
}
