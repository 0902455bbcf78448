//! Recorded values → rows of a model, by the names that its features have as columns of records.
//!
//! Values are what the model got when they were recorded, so numbers are taken as they are. A category is its name: the model's
//! own code is looked up by that name, because the recorded model may have had another one.

use arrow_array::cast::AsArray as _;
use arrow_array::types::Float64Type;
use arrow_array::{Array, ArrayRef, Float64Array, RecordBatch};
use arrow_schema::Fields;
use quintile_model::{Cell, Model, Scratch};

use crate::loaded::LoadedModel;
use crate::record_columns::{CategoryLabels, feature_columns};
use crate::render;
use crate::rows::{numbers, values};
use crate::text::excerpt;

/// What a model takes of records.
#[derive(Debug)]
pub(super) struct ModelRows<'m> {
    loaded: &'m LoadedModel,
    /// The column of each feature.
    columns: Vec<String>,
    labels: Vec<Option<CategoryLabels>>,
}

/// Rows that a model cannot score.
#[derive(Debug)]
pub(super) struct RefusedRows {
    is_refused: Vec<bool>,
    /// The first of them and why.
    first: Option<(usize, String)>,
}

impl RefusedRows {
    pub(super) fn none(rows: usize) -> Self {
        Self {
            is_refused: vec![false; rows],
            first: None,
        }
    }

    fn add(&mut self, row: usize, says: impl FnOnce() -> String) {
        self.is_refused[row] = true;
        // Columns come one after the other, so a later one may have an earlier row.
        if self.first.as_ref().is_none_or(|(first, _)| row < *first) {
            self.first = Some((row, says()));
        }
    }

    pub(super) fn has(&self, row: usize) -> bool {
        self.is_refused[row]
    }

    /// Why a row is refused, if it is the first.
    pub(super) fn why(&self, row: usize) -> Option<&str> {
        self.first
            .as_ref()
            .filter(|(first, _)| *first == row)
            .map(|(_, says)| says.as_str())
    }
}

impl<'m> ModelRows<'m> {
    pub(super) fn new(loaded: &'m LoadedModel) -> Self {
        let schema = loaded.model.schema();
        let labels = (0..schema.len()).map(|column| {
            let categories = schema.categories(column)?;
            Some(CategoryLabels::new(categories.names().to_vec()))
        });
        Self {
            loaded,
            columns: feature_columns(schema.names()),
            labels: labels.collect(),
        }
    }

    pub(super) fn loaded(&self) -> &'m LoadedModel {
        self.loaded
    }

    pub(super) fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// What the model is called.
    pub(super) fn name(&self) -> String {
        let model = &self.loaded.model;
        format!("the model {} {}", model.name(), model.version())
    }

    /// The columns that the model takes.
    pub(super) fn columns(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(String::as_str)
    }

    /// The first column that records do not have.
    pub(super) fn lacks(&self, fields: &Fields) -> Option<&str> {
        let has = |column: &str| fields.iter().any(|field| field.name() == column);
        self.columns().find(|column| !has(column))
    }

    /// The model's rows of some records, one after the other. `is_own` says of which rows the model is the recorded one.
    pub(super) fn of(&self, batch: &RecordBatch, is_own: &[bool], refused: &mut RefusedRows) -> Vec<f64> {
        let (schema, width) = (self.loaded.model.schema(), self.columns.len());
        let mut rows = vec![f64::NAN; width * batch.num_rows()];
        for (column, name) in self.columns.iter().enumerate() {
            let Some(array) = batch.column_by_name(name) else {
                continue;
            };
            match &self.labels[column] {
                Some(labels) => self.add_categories(&mut rows, (column, labels), array, (is_own, &mut *refused)),
                None if values::is_bytes(array) => {
                    for row in (0..array.len()).filter(|&row| array.is_valid(row)) {
                        refused.add(row, || {
                            format!(
                                "column {} holds names of categories, and the model takes numbers",
                                excerpt(name)
                            )
                        });
                    }
                }
                None => numbers::fill(rows[column..].iter_mut().step_by(width), array),
            }
            if !schema.has_rules() {
                continue;
            }
            for (row, &value) in rows[column..].iter().step_by(width).enumerate() {
                if let Err(violation) = schema.check(column, value) {
                    refused.add(row, || {
                        format!("column {} {}", excerpt(name), render::broken(schema, column, violation))
                    });
                }
            }
        }
        rows
    }

    fn add_categories(
        &self,
        rows: &mut [f64],
        (column, labels): (usize, &CategoryLabels),
        array: &ArrayRef,
        (is_own, refused): (&[bool], &mut RefusedRows),
    ) {
        let (schema, width) = (self.loaded.model.schema(), self.columns.len());
        let name = || excerpt(&self.columns[column]);
        for row in (0..array.len()).filter(|&row| array.is_valid(row)) {
            let value = &mut rows[row * width + column];
            let Some(bytes) = values::bytes(array, row) else {
                // Only the recorded model knows what its codes mean.
                match array.as_primitive_opt::<Float64Type>().filter(|_| is_own[row]) {
                    Some(codes) => *value = codes.value(row),
                    None => refused.add(row, || {
                        format!(
                            "column {} holds codes of categories, which only the recorded model knows",
                            name()
                        )
                    }),
                }
                continue;
            };
            let text = std::str::from_utf8(bytes).unwrap_or_default();
            let found = match labels.number(text) {
                Some(number) if is_own[row] => Some(number),
                Some(number) => schema.value(column, Cell::Float(number)).ok(),
                None => schema.value(column, Cell::Text(text)).ok(),
            };
            match found {
                Some(found) => *value = found,
                None => refused.add(row, || {
                    format!("column {}: {} is no category of this feature", name(), excerpt(text))
                }),
            }
        }
    }
}

/// What a model makes of rows.
#[derive(Debug, Default)]
pub(super) struct RowScores {
    margins: Vec<f64>,
    predictions: Vec<f64>,
    bands: Vec<Option<u8>>,
    lengths: [usize; 2],
}

impl RowScores {
    pub(super) fn of(model: &Model, rows: &[f64], scratch: &mut Scratch) -> Self {
        let mut scores = Self {
            lengths: [model.margin_len(), model.prediction_len()],
            ..Self::default()
        };
        model.score_rows(rows, scratch, |_, band, scratch| {
            scores.margins.extend_from_slice(scratch.margins());
            scores.predictions.extend_from_slice(scratch.predictions());
            scores.bands.push(band);
        });
        scores
    }

    pub(super) fn margins(&self, row: usize) -> &[f64] {
        &self.margins[row * self.lengths[0]..][..self.lengths[0]]
    }

    pub(super) fn predictions(&self, row: usize) -> &[f64] {
        &self.predictions[row * self.lengths[1]..][..self.lengths[1]]
    }

    pub(super) fn band(&self, row: usize) -> Option<u8> {
        self.bands[row]
    }
}

/// Numbers of records: one a row, or a list of them.
#[derive(Debug)]
pub(super) enum RecordedNumbers<'b> {
    One(&'b Float64Array),
    Many(&'b arrow_array::ListArray),
}

impl<'b> RecordedNumbers<'b> {
    /// None for a column of something else.
    pub(super) fn new(array: &'b ArrayRef) -> Option<Self> {
        if let Some(one) = array.as_primitive_opt::<Float64Type>() {
            return Some(Self::One(one));
        }
        let many = array.as_list_opt::<i32>()?;
        many.values()
            .as_primitive_opt::<Float64Type>()
            .map(|_| Self::Many(many))
    }

    /// A row's numbers, NaN where one is null; none where there are none at all.
    pub(super) fn at(&self, row: usize, numbers: &mut Vec<f64>) -> Option<()> {
        numbers.clear();
        match self {
            Self::One(array) if array.is_valid(row) => numbers.push(array.value(row)),
            Self::Many(array) if array.is_valid(row) => {
                let list = array.value(row);
                numbers.extend(
                    list.as_primitive::<Float64Type>()
                        .iter()
                        .map(|number| number.unwrap_or(f64::NAN)),
                );
            }
            _ => return None,
        }
        Some(())
    }
}
