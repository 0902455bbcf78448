//! A model of which only the outline is known: the features and bands of its manifest. A remote scorer evaluates it.

use super::{BuildError, Identity, Model, Options};
use crate::ensemble::{Codes, Comparison, Ensemble, EnsembleParts, Finish, Input, Precision};
use crate::manifest::{FeatureNote, Manifest, ManifestError, ManifestFault, ManifestPlace};
use crate::objective::Objective;
use crate::schema::{FeatureKind, Schema};

impl Model {
    /// What a manifest alone says: features in the order of its lines, bands, name and version. There is one
    /// prediction. Evaluating it here gives zero, which is no prediction: use it only with a remote scorer.
    ///
    /// # Errors
    /// A manifest without features, or with names that no schema takes.
    pub fn outline(mut manifest: Manifest, identity: Identity) -> Result<Self, BuildError> {
        let whole = |message: String| {
            let place = ManifestPlace { line: 1, column: 1 };
            let faults = vec![ManifestFault { place, message }];
            BuildError::Manifest(ManifestError { faults })
        };
        if manifest.features.is_empty() {
            return Err(whole(
                "it names no features: a [features.NAME] for each, in the model's order".into(),
            ));
        }
        manifest.features.sort_by_key(|note| note.place);
        manifest.golden.clear();
        let kind = |note: &FeatureNote| (note.name.clone(), note.kind.unwrap_or(FeatureKind::Number));
        let features = manifest.features.iter().map(kind).collect();
        // Only its name counts: whether the prediction is a probability.
        let objective = match manifest.probability_output {
            Some(_) => "binary:logistic",
            None => "reg:squarederror",
        };
        let schema = Schema::try_new(features).map_err(|error| whole(error.to_string()))?;
        let ensemble = Ensemble::try_new(EnsembleParts {
            format: "manifest",
            written_by: None,
            // What a client sends goes on as it came; a prediction comes back as it is.
            precision: Precision::F64,
            comparison: Comparison::Less,
            input: Input::Rounded,
            codes: Codes::Below24Bits,
            schema,
            objective: Objective::xgboost(objective),
            base_margins: vec![0.0],
            trees: Vec::new(),
            finish: Finish::Nothing,
            linear: None,
            iteration_ends: Vec::new(),
            best_iteration: None,
            notes: Vec::new(),
        });
        let ensemble = ensemble.map_err(|error| whole(error.to_string()))?;
        Self::build(ensemble, manifest, identity, Options::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outline(text: &str) -> Result<Model, BuildError> {
        let identity = Identity {
            name: "file".into(),
            version: "0".into(),
        };
        Model::outline(Manifest::parse(text).unwrap(), identity)
    }

    #[test]
    fn features_come_in_the_order_of_their_lines() {
        let text = "name = \"leads\"\nedges = [0.1, 0.2, 0.3, 0.4]\n[features.z]\n[features.a]\nlabel = \"A\"\n[features.f10]\n";
        let model = outline(text).unwrap();
        assert_eq!(model.schema().names().collect::<Vec<_>>(), ["z", "a", "f10"]);
        assert_eq!((model.name(), model.version()), ("leads", "0"));
        assert_eq!(model.schema().label(1), Some("A"));
        assert_eq!((model.prediction_len(), model.band(&[0.25])), (1, Some(3)));
        assert!(!model.is_probability());
        let model = outline("probability_output = 0\n[features.a]\n").unwrap();
        assert!(model.is_probability() && model.band(&[0.9]) == Some(5));
    }

    #[test]
    fn a_manifest_without_features_is_no_outline() {
        let error = outline("name = \"leads\"").unwrap_err().to_string();
        assert!(error.contains("it names no features"), "{error}");
    }
}
