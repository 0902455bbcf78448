//! What must come back: the model's own prediction for a lead, computed here and compared bit for bit.

use std::fs;
use std::path::Path;

use quintile_model::{Cell, Identity, Manifest, Model, Options, Schema, Scratch, load};

use super::{Lead, PayloadError, Value};

/// A model that knows what must come back.
#[derive(Debug)]
pub struct Oracle {
    model: Model,
    scratch: Scratch,
    row: Vec<f64>,
}

/// What a right answer says.
#[derive(Debug, Clone, PartialEq)]
pub struct Expected {
    /// The score; none for a model without bands.
    pub score: Option<u8>,
    /// The predictions.
    pub predictions: Vec<f64>,
}

impl Oracle {
    /// Loads a model, and the manifest beside it if there is one.
    ///
    /// # Errors
    /// The step that failed.
    pub fn load(path: &Path) -> Result<Self, PayloadError> {
        let failed = |reason: String| PayloadError::Model {
            path: path.into(),
            reason,
        };
        let bytes = fs::read(path).map_err(|error| failed(error.to_string()))?;
        let ensemble = load(&bytes).map_err(|error| failed(error.to_string()))?;
        let manifest = match fs::read_to_string(path.with_extension("toml")) {
            Ok(text) => Manifest::parse(&text).map_err(|error| failed(error.to_string()))?,
            Err(_) => Manifest::empty(),
        };
        let identity = Identity {
            name: "checked".into(),
            version: "1".into(),
        };
        let model = Model::build(ensemble, manifest, identity, Options::default());
        let model = model.map_err(|error| failed(error.to_string()))?;
        let scratch = model.scratch();
        let row = vec![f64::NAN; model.schema().len()];
        Ok(Self { model, scratch, row })
    }

    /// What the model takes.
    #[must_use]
    pub fn schema(&self) -> &Schema {
        self.model.schema()
    }

    /// Leaves of leads what the model knows, with numbers as names where the model wants names.
    ///
    /// # Errors
    /// When nothing is left.
    pub fn keep_known(&self, path: &Path, leads: &mut [Lead]) -> Result<(), PayloadError> {
        let schema = self.model.schema();
        let mut known = 0;
        for lead in leads.iter_mut() {
            lead.retain(|(name, _)| schema.column(name).is_some());
            known += lead.len();
            for (name, value) in lead.iter_mut() {
                let has_names = schema
                    .column(name)
                    .is_some_and(|column| schema.categories(column).is_some());
                if let (true, Value::Number(number)) = (has_names, &*value) {
                    *value = Value::Text(zmij::Buffer::new().format(*number).trim_end_matches(".0").to_owned());
                }
            }
        }
        if known == 0 {
            let names: Vec<&str> = schema.names().take(8).collect();
            return Err(PayloadError::Foreign {
                path: path.into(),
                features: names.join(", "),
            });
        }
        Ok(())
    }

    /// What must come back for a lead; none when the model refuses a category's name.
    pub fn expect(&mut self, lead: &Lead) -> Option<Expected> {
        let schema = self.model.schema();
        self.row.fill(f64::NAN);
        for (name, value) in lead {
            let column = schema.column(name)?;
            self.row[column] = match value {
                Value::Number(number) => schema.value(column, Cell::Float(*number)).ok()?,
                Value::Boolean(value) => schema.value(column, Cell::Boolean(*value)).ok()?,
                Value::Null => f64::NAN,
                Value::Text(text) => schema.category_code(column, text)?,
            };
        }
        let score = self.model.score_row(&self.row, &mut self.scratch);
        let predictions = self.scratch.predictions().to_vec();
        Some(Expected { score, predictions })
    }
}
