//! A model folder of another server: its description must fit the model file.

use std::path::Path;

use quintile_model::{Cell, Manifest, Options, Schema};

use super::draft::ManifestChange;

use super::files::{beside_archive, manifest, text_of};
use super::{LoadError, LoadedModel};
use crate::loaded::bundle::{self, Bundle};
use crate::loaded::describe;

/// What is wrong with the names of a folder, if a feature of the model has none of them.
fn unknown_names(kind: &str, signed: &[String], schema: &Schema) -> Option<String> {
    let is_unknown = |name: &&String| schema.column(name).is_none();
    let unknown: Vec<_> = signed.iter().filter(is_unknown).take(4).cloned().collect();
    (!unknown.is_empty()).then(|| {
        format!(
            "the {kind} names features that the model does not have: {unknown:?}; the model's are {:?}",
            schema.names().take(4).collect::<Vec<_>>()
        )
    })
}

impl LoadedModel {
    /// Loads what a folder points at, and holds the two against each other.
    pub(super) fn of_bundle(
        path: &Path,
        bundle: Bundle,
        change: ManifestChange<'_>,
        options: Options,
        model_number: u32,
    ) -> Result<Self, LoadError> {
        let Bundle {
            kind,
            model,
            says,
            example,
            features,
            manner,
        } = bundle;
        let contradicted = |message| LoadError::Contradicted {
            path: path.to_path_buf(),
            message,
        };
        // Names that the model does not have would be faults of a manifest that does not exist.
        let signed: Vec<String> = says.features.iter().map(|note| note.name.clone()).collect();
        let mut unsigned = says.clone();
        unsigned.features.clear();
        let build = |says: &Manifest| match &model {
            bundle::ModelSource::File(file) => Self::of_file(file, change.with(says), options, model_number),
            bundle::ModelSource::Entry {
                archive,
                name,
                bytes,
                manifest: inside,
            } => {
                let place = beside_archive(archive);
                let inner = inside
                    .as_ref()
                    .map(|bytes| text_of(&place, bytes.clone()))
                    .transpose()?;
                let beside = match inner {
                    Some(text) => Some(text),
                    None => manifest(archive, &place)?,
                };
                let beside = beside.as_deref().map(|text| (place.as_path(), text));
                Self::build(
                    (Path::new(name), bytes),
                    beside,
                    change.with(says),
                    options,
                    model_number,
                )
            }
        };
        let mut loaded = build(&unsigned)?;
        let schema = loaded.model.schema();
        if let Some(features) = features.filter(|&features| features != schema.len()) {
            return Err(contradicted(format!(
                "the {kind} states {features} features, but the model has {}",
                schema.len()
            )));
        }
        if !signed.is_empty() {
            if let Some(message) = unknown_names(kind, &signed, schema) {
                return Err(contradicted(message));
            }
            loaded = build(&says)?;
        }
        (loaded.folder, loaded.manner) = (Some(kind), manner);
        if let Some(row) = loaded.row_of(&example) {
            loaded.example = Some(row);
        }
        Ok(loaded)
    }

    /// An example as a row of the model; none when it does not fit.
    fn row_of(&self, example: &[(String, bundle::Value)]) -> Option<Vec<f64>> {
        let schema = self.model.schema();
        let mut row = vec![f64::NAN; schema.len()];
        for (name, value) in example {
            let column = schema.column(name)?;
            row[column] = match value {
                bundle::Value::Number(number) => schema.value(column, Cell::Float(*number)).ok()?,
                bundle::Value::Text(name) => schema.category_code(column, name)?,
            };
        }
        (describe::is_fit(schema, &row) && !example.is_empty()).then_some(row)
    }
}
