//! The description of a model that is needed to read its records. It is kept apart from the model, which may not exist
//! any more when they are read.

use quintile_scoring::loaded::LoadedModel;

use super::Frame;

/// The names and counts behind the numbers of a record.
///
/// Kept beside the records. What builds of earlier releases have not written is optional: their records have codes
/// where this one has names.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Schema {
    /// What records name it by: [`Frame::model_number`].
    #[serde(rename = "number")]
    pub model_number: u32,
    /// The model's name.
    pub model: String,
    /// The model's version.
    pub version: String,
    /// SHA-256 of the model's file, in hexadecimal digits. None when no file was loaded, and before schema version 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Margins of a record.
    pub margins: usize,
    /// Predictions of a record.
    pub predictions: usize,
    /// Features by column.
    pub features: Vec<String>,
    /// The features whose categories have names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub categories: Vec<CategoryNames>,
}

/// The names of a feature's categories.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct CategoryNames {
    /// The feature's place in [`Schema::features`].
    pub column: usize,
    /// The names in the order of their codes.
    pub names: Vec<String>,
}

impl Schema {
    /// What the records of a model will be read with.
    #[must_use]
    pub fn of(loaded: &LoadedModel) -> Self {
        let model = &loaded.model;
        let schema = model.schema();
        let names_of = |column| {
            let names = schema.categories(column)?.names().to_vec();
            Some(CategoryNames { column, names })
        };
        Self {
            model_number: loaded.model_number,
            model: model.name().into(),
            version: model.version().into(),
            sha256: loaded.model_sha256.clone(),
            margins: model.margin_len(),
            predictions: model.prediction_len(),
            features: schema.names().map(String::from).collect(),
            categories: (0..schema.len()).filter_map(names_of).collect(),
        }
    }

    /// Whether a record has as many outputs and features as its model.
    #[must_use]
    pub fn fits(&self, record: &Frame<'_>) -> bool {
        [record.margins.len(), record.predictions.len(), record.row.len()]
            == [self.margins, self.predictions, self.features.len()]
    }

    /// What can be said of a record whose model is not known: how many numbers it has. Features are named `column_0`,
    /// `column_1`, …
    #[must_use]
    pub fn numbered(record: &Frame<'_>) -> Self {
        Self {
            model_number: record.model_number,
            model: String::new(),
            version: String::new(),
            sha256: None,
            margins: record.margins.len(),
            predictions: record.predictions.len(),
            features: (0..record.row.len()).map(|column| format!("column_{column}")).collect(),
            categories: Vec::new(),
        }
    }
}
