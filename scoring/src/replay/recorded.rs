//! What records say beside their features: ids, whose score it is, and the score.

use std::path::Path;

use arrow_array::cast::AsArray as _;
use arrow_array::types::Int8Type;
use arrow_array::{Array as _, Int8Array, RecordBatch, StringArray};
use uuid::Uuid;

use super::rows::RecordedNumbers;
use super::{RecordedModel, ReplayError};
use crate::text::excerpt;

/// The columns that are read beside features. Files of older schema versions lack some of them.
pub(super) const COLUMNS: [&str; 10] = [
    "record_id",
    "lead_id",
    "model",
    "model_version",
    "model_sha256",
    "role",
    "source",
    "margin",
    "prediction",
    "score",
];

/// Some records of a file.
pub(super) struct RecordedScores<'b> {
    path: &'b Path,
    record_id: &'b StringArray,
    lead_id: &'b StringArray,
    model: &'b StringArray,
    version: &'b StringArray,
    sha256: Option<&'b StringArray>,
    role: Option<&'b StringArray>,
    source: Option<&'b StringArray>,
    margin: RecordedNumbers<'b>,
    prediction: RecordedNumbers<'b>,
    score: Option<&'b Int8Array>,
}

impl<'b> RecordedScores<'b> {
    /// # Errors
    /// A column that is not there, or holds something else.
    pub(super) fn new(batch: &'b RecordBatch, path: &'b Path) -> Result<Self, ReplayError> {
        let absent = |column, accepted| ReplayError::Column {
            path: path.to_path_buf(),
            column,
            accepted,
        };
        let optional = |column: &str| {
            batch
                .column_by_name(column)
                .and_then(|array| array.as_string_opt::<i32>())
        };
        let text = |column| optional(column).ok_or_else(|| absent(column, "text"));
        let numbers = |column| {
            let array = batch.column_by_name(column).and_then(RecordedNumbers::new);
            array.ok_or_else(|| absent(column, "doubles, or lists of them"))
        };
        Ok(Self {
            path,
            record_id: text("record_id")?,
            lead_id: text("lead_id")?,
            model: text("model")?,
            version: text("model_version")?,
            sha256: optional("model_sha256"),
            role: optional("role"),
            source: optional("source"),
            margin: numbers("margin")?,
            prediction: numbers("prediction")?,
            score: batch
                .column_by_name("score")
                .and_then(|array| array.as_primitive_opt::<Int8Type>()),
        })
    }

    /// # Errors
    /// A text that is no id.
    pub(super) fn id(&self, row: usize) -> Result<u128, ReplayError> {
        let text = self.record_id(row);
        match Uuid::try_parse(text) {
            Ok(id) => Ok(id.as_u128()),
            Err(_) => Err(ReplayError::RecordId {
                path: self.path.to_path_buf(),
                id: excerpt(text),
            }),
        }
    }

    pub(super) fn record_id(&self, row: usize) -> &str {
        present(Some(self.record_id), row).unwrap_or_default()
    }

    pub(super) fn lead_id(&self, row: usize) -> &str {
        present(Some(self.lead_id), row).unwrap_or_default()
    }

    /// Name, version and SHA-256 of the model.
    pub(super) fn model(&self, row: usize) -> (&str, &str, Option<&str>) {
        let name = present(Some(self.model), row).unwrap_or_default();
        let version = present(Some(self.version), row).unwrap_or_default();
        (name, version, present(self.sha256, row))
    }

    /// Whether the score was not answered.
    pub(super) fn is_shadow(&self, row: usize) -> bool {
        present(self.role, row) == Some("shadow")
    }

    /// Whether another program made the score.
    pub(super) fn is_from_elsewhere(&self, row: usize) -> bool {
        present(self.source, row).is_some_and(|source| source != "local")
    }

    pub(super) fn margins(&self, row: usize, numbers: &mut Vec<f64>) -> Option<()> {
        self.margin.at(row, numbers)
    }

    pub(super) fn predictions(&self, row: usize, numbers: &mut Vec<f64>) {
        // A null is what no number is, and differs from whatever comes out.
        let _ = self.prediction.at(row, numbers);
    }

    pub(super) fn band(&self, row: usize) -> Option<u8> {
        let score = self.score.filter(|scores| scores.is_valid(row))?.value(row);
        u8::try_from(score).ok()
    }
}

fn present(array: Option<&StringArray>, row: usize) -> Option<&str> {
    array.filter(|array| array.is_valid(row)).map(|array| array.value(row))
}

impl RecordedModel {
    pub(super) fn is_named(&self, (name, version, sha256): (&str, &str, Option<&str>)) -> bool {
        self.name == name && self.version == version && self.sha256.as_deref() == sha256
    }

    pub(super) fn of((name, version, sha256): (&str, &str, Option<&str>)) -> Self {
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            sha256: sha256.map(str::to_owned),
        }
    }
}
