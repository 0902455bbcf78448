//! Rows of a file, or records of a folder, with the prediction and the band of each.

use std::path::Path;

use quintile_model::{Manifest, ReferenceProfile, Schema, UNKNOWN_CATEGORY, Unseen};

use super::DriftError;
use crate::loaded::LoadedModel;
use crate::replay::each_record;
use crate::rows::Rows;

/// Where rows come from.
pub(super) enum Source<'s> {
    /// A file of rows, or a folder of Parquet that holds no records.
    Rows(Rows<'s>),
    /// A folder of records, or one file of them.
    Records(&'s Path),
}

/// One row.
pub(super) struct SourceRow<'r> {
    /// The values of the model's features in column order; [`UNKNOWN_CATEGORY`] for a name that is no category.
    pub(super) values: &'r [f64],
    /// The prediction that is banded; none for a row that the model does not take.
    pub(super) prediction: Option<f64>,
    /// Its band.
    pub(super) band: Option<u8>,
    /// The text of the column that was asked for.
    pub(super) text: Option<&'r str>,
}

impl<'s> Source<'s> {
    /// Records are told by their columns.
    pub(super) fn open(path: &'s Path, missing: &'s [String]) -> Self {
        if crate::replay::are_records(path) {
            return Self::Records(path);
        }
        Self::Rows(Rows {
            path,
            input: None,
            missing,
        })
    }

    /// Gives every row to `take`. `column` names one whose text is wanted.
    pub(super) fn each(
        &self,
        loaded: &LoadedModel,
        column: Option<&str>,
        mut take: impl FnMut(SourceRow<'_>),
    ) -> Result<(), DriftError> {
        let schema = loaded.model.schema();
        let feature = column.and_then(|column| schema.column(column));
        let other = column.filter(|_| feature.is_none());
        let of_feature = |values: &[f64]| feature.and_then(|column| value_text(schema, column, values[column]));
        match self {
            Self::Records(path) => each_record(path, loaded, other, |row| {
                let text = of_feature(row.values);
                take(SourceRow {
                    values: row.values,
                    prediction: row.prediction,
                    band: row.band,
                    text: text.as_deref().or(row.text.as_deref()),
                });
            })
            .map_err(|error| DriftError::Records(Box::new(error))),
            Self::Rows(rows) => {
                let mut scorer = RowScorer::new(loaded);
                rows.each_with(loaded, other, |values, id| {
                    let (prediction, band) = scorer.score(values);
                    let text = of_feature(values);
                    take(SourceRow {
                        values,
                        prediction,
                        band,
                        text: text.as_deref().or(id),
                    });
                })
                .map_err(|source| DriftError::Rows {
                    path: rows.path.display().to_string(),
                    source: Box::new(source),
                })
            }
        }
    }
}

/// Scores rows that may hold unknown categories.
struct RowScorer<'m> {
    loaded: &'m LoadedModel,
    scratch: quintile_model::Scratch,
    row: Vec<f64>,
}

impl<'m> RowScorer<'m> {
    fn new(loaded: &'m LoadedModel) -> Self {
        Self {
            loaded,
            scratch: loaded.model.scratch(),
            row: Vec::new(),
        }
    }

    /// The prediction that is banded, and its band; none for a row that the training library would refuse.
    fn score(&mut self, values: &[f64]) -> (Option<f64>, Option<u8>) {
        let model = &self.loaded.model;
        self.row.clear();
        self.row.extend_from_slice(values);
        for (column, value) in self.row.iter_mut().enumerate() {
            let Some(categories) = model.schema().categories(column).filter(|_| *value >= UNKNOWN_CATEGORY) else {
                continue;
            };
            match categories.unseen() {
                Unseen::Missing => *value = f64::NAN,
                Unseen::Refused => return (None, None),
            }
        }
        let band = model.score_row(&self.row, &mut self.scratch);
        let prediction = self
            .loaded
            .banded_output()
            .and_then(|output| self.scratch.predictions().get(output).copied());
        (prediction, band)
    }
}

/// A value, NaN where it is a number that counts as missing.
pub(super) fn unmarked(schema: &Schema, column: usize, value: f64) -> f64 {
    match schema.markers() {
        Some(markers) if markers.is_missing(column, value) => f64::NAN,
        _ => value,
    }
}

/// A feature's value in words: a category's name, or the number; none where it is missing.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a code that is no place has no name"
)]
fn value_text(schema: &Schema, column: usize, value: f64) -> Option<String> {
    if unmarked(schema, column, value).is_nan() {
        return None;
    }
    let names = schema.categories(column).map(|categories| categories.names());
    let name = names.and_then(|names| names.get(value as usize).filter(|_| value >= 0.0));
    Some(match (name, names) {
        (Some(name), _) => name.clone(),
        (None, Some(_)) => "unknown".to_owned(),
        (None, None) => value.to_string(),
    })
}

/// The profile of a manifest that is named as a reference.
pub(super) fn profile(path: &Path) -> Result<Option<ReferenceProfile>, DriftError> {
    let fault = |says: String| DriftError::Manifest {
        path: path.display().to_string(),
        says,
    };
    let text = crate::regular_file::open(path).and_then(std::io::read_to_string);
    let text = text.map_err(|error| fault(error.to_string()))?;
    let manifest = Manifest::parse(&text).map_err(|error| fault(error.to_string()))?;
    Ok(manifest.profile)
}
