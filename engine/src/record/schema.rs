//! What must be known of a model to read its records, apart from the model itself: it may be gone when they are read.

use quintile_scoring::loaded::Served;

use super::Frame;

/// The names and counts behind the numbers of a record.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Schema {
    /// What records name it by: [`Frame::model`].
    pub number: u32,
    /// The model's name.
    pub model: String,
    /// The model's version.
    pub version: String,
    /// Margins of a record.
    pub margins: usize,
    /// Predictions of a record.
    pub predictions: usize,
    /// Features by column.
    pub features: Vec<String>,
}

impl Schema {
    /// What the records of a model will be read with.
    #[must_use]
    pub fn of(served: &Served) -> Self {
        let model = &served.model;
        Self {
            number: served.generation,
            model: model.name().into(),
            version: model.version().into(),
            margins: model.margin_len(),
            predictions: model.prediction_len(),
            features: model.schema().names().map(String::from).collect(),
        }
    }

    /// Whether a record has as many outputs and features as its model.
    #[must_use]
    pub fn fits(&self, record: &Frame<'_>) -> bool {
        [record.margins.len(), record.predictions.len(), record.row.len()]
            == [self.margins, self.predictions, self.features.len()]
    }
}
