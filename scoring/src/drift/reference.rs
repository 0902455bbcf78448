//! What rows are compared with, and rows that are counted.

use std::path::Path;

use quintile_model::{FeatureKind, Manifest, ReferenceProfile};

use super::counts::{ColumnBins, RowSample};
use super::read::{self, Source};
use super::{DriftError, DriftJob, SampleCounts};
use crate::loaded::LoadedModel;

/// The reference: bins of all columns and the counts in them.
pub(super) struct Reference {
    pub(super) rows: u64,
    pub(super) columns: Vec<ColumnBins>,
    pub(super) prediction: Option<ColumnBins>,
    pub(super) counts: (Vec<SampleCounts>, Option<SampleCounts>),
}

impl Reference {
    pub(super) fn open(
        job: &DriftJob<'_>,
        loaded: &LoadedModel,
        manifest: Option<(&Path, &Manifest)>,
    ) -> Result<Self, DriftError> {
        let (path, profile) = match job.reference {
            Some(path) if path.extension().is_some_and(|ending| ending == "toml") => (path, read::profile(path)?),
            Some(path) => {
                let counted = Counted::new(loaded, &Source::open(path, job.missing))?;
                return match counted.rows {
                    0 => Err(DriftError::NoRows {
                        path: path.display().to_string(),
                    }),
                    _ => Ok(Self::of_rows(counted)),
                };
            }
            None => match manifest {
                Some((path, manifest)) => (path, manifest.profile.clone()),
                None => (Path::new("the model"), None),
            },
        };
        let profile = profile.ok_or_else(|| DriftError::NoProfile {
            path: path.display().to_string(),
        })?;
        Self::of_profile(loaded, &profile)
    }

    fn of_rows(counted: Counted) -> Self {
        let (columns, counts) = counted.columns.into_iter().unzip();
        let (prediction, prediction_counts) = counted.prediction.unzip();
        Self {
            rows: counted.rows,
            columns,
            prediction,
            counts: (counts, prediction_counts),
        }
    }

    fn of_profile(loaded: &LoadedModel, profile: &ReferenceProfile) -> Result<Self, DriftError> {
        let schema = loaded.model.schema();
        let counts = |counts: Vec<u64>, missing: u64| SampleCounts {
            rows: counts.iter().sum::<u64>() + missing,
            missing,
            unknown: 0,
            counts,
        };
        let (mut columns, mut features) = (Vec::new(), Vec::new());
        for (column, name) in schema.names().enumerate() {
            let stated = profile
                .feature(name)
                .ok_or_else(|| DriftError::Foreign { name: name.to_owned() })?;
            let (bins, stated_counts) = ColumnBins::of_profile(schema, column, stated);
            columns.push(bins);
            features.push(counts(stated_counts, stated.missing));
        }
        let prediction = profile.prediction.as_ref();
        let prediction = prediction.map(|stated| (ColumnBins::of_prediction(stated), counts(stated.counts.clone(), 0)));
        let (prediction, prediction_counts) = prediction.unzip();
        Ok(Self {
            rows: profile.rows,
            columns,
            prediction,
            counts: (features, prediction_counts),
        })
    }
}

/// Rows that are counted.
pub(super) struct Counted {
    pub(super) rows: u64,
    pub(super) columns: Vec<(ColumnBins, SampleCounts)>,
    pub(super) prediction: Option<(ColumnBins, SampleCounts)>,
}

impl Counted {
    /// Reads the rows twice: for the bins, and for the counts.
    pub(super) fn new(loaded: &LoadedModel, source: &Source<'_>) -> Result<Self, DriftError> {
        let schema = loaded.model.schema();
        let width = schema.len() + 1;
        let mut sample = RowSample::new(width);
        source.each(loaded, None, |row| {
            let values = row.values.iter().enumerate();
            let values = values.map(|(column, &value)| read::unmarked(schema, column, value));
            sample.add(values.chain(std::iter::once(row.prediction.unwrap_or(f64::NAN))));
        })?;
        let bins = |column: usize| match (schema.categories(column), schema.kind(column)) {
            (Some(categories), _) => ColumnBins::Categories(categories.names().to_vec()),
            (None, FeatureKind::Category) => sample.codes(column),
            (None, _) => sample.bins(column),
        };
        let columns = (0..schema.len()).map(bins).collect();
        let prediction = loaded.banded_output().map(|_| sample.bins(schema.len()));
        let mut counted = Self::in_bins(columns, prediction);
        source.each(loaded, None, |row| counted.add(loaded, row.values, row.prediction))?;
        Ok(counted)
    }

    pub(super) fn in_bins(columns: Vec<ColumnBins>, prediction: Option<ColumnBins>) -> Self {
        let empty = |bins: ColumnBins| {
            let counts = SampleCounts::none(&bins);
            (bins, counts)
        };
        Self {
            rows: 0,
            columns: columns.into_iter().map(empty).collect(),
            prediction: prediction.map(empty),
        }
    }

    pub(super) fn add(&mut self, loaded: &LoadedModel, values: &[f64], prediction: Option<f64>) {
        let schema = loaded.model.schema();
        self.rows += 1;
        for (column, ((bins, counts), &value)) in self.columns.iter_mut().zip(values).enumerate() {
            counts.add(bins, read::unmarked(schema, column, value));
        }
        if let (Some((bins, counts)), Some(prediction)) = (&mut self.prediction, prediction) {
            counts.add(bins, prediction);
        }
    }
}
