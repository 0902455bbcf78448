//! Whether rows are still what they were when a model was trained: each feature, the model's predictions, and which share of
//! each segment's leads is selected.
//!
//! ```text
//! rows or records ─▶ RowSample (edges) ─▶ SampleCounts ─▶ ReferenceProfile ─┐
//! rows or records ─────────────────────▶ SampleCounts ────────────────────┴─▶ ShiftStatistics ─▶ judge ─▶ DriftReport
//! ```
//! The definitions are in `docs/drift.md`. Flat memory: rows are counted, and only a sample of them is kept while edges are
//! looked for. Changes no score and no file.

mod counts;
mod json;
mod judge;
mod read;
mod reference;
mod segments;
pub(crate) mod statistics;
mod text;

use std::path::Path;

use quintile_model::{Manifest, ReferenceProfile, Schema};

use crate::loaded::{LoadError, LoadedModel};
use crate::replay::ReplayError;
use crate::rows::ScoreError;
use counts::ColumnBins;
pub use judge::ROWS_MIN;
use read::Source;
use reference::{Counted, Reference};
use segments::SegmentCounts;
pub use segments::SegmentReport;
pub use statistics::ShiftStatistics;
use statistics::share_p;

/// Why rows cannot be compared.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what each is")]
pub enum DriftError {
    #[error(transparent)]
    Load(#[from] Box<LoadError>),
    #[error("{path}: {source}")]
    Rows { path: String, source: Box<ScoreError> },
    #[error(transparent)]
    Records(#[from] Box<ReplayError>),
    #[error("{path}: there are no rows")]
    NoRows { path: String },
    #[error("{path} is no manifest: {says}; --reference takes rows, a folder of records, or a manifest with a profile")]
    Manifest { path: String, says: String },
    #[error(
        "{path} has no profile: `quintile manifest init MODEL ROWS --renew` writes one, and --reference takes the rows themselves"
    )]
    NoProfile { path: String },
    #[error(
        "the profile has no feature {name:?}, which the model takes: it is of another model; --reference takes rows"
    )]
    Foreign { name: String },
}

/// What is compared.
#[derive(Debug)]
pub struct DriftJob<'j> {
    /// Rows, a folder of records, or a manifest; none is the model's own manifest.
    pub reference: Option<&'j Path>,
    /// Rows or a folder of records.
    pub current: &'j Path,
    /// Texts that are missing values beside the usual ones, in rows.
    pub missing: &'j [String],
    /// Columns whose values are segments.
    pub segments: &'j [String],
}

/// How a column, or all of them, stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DriftStatus {
    /// Nothing that chance does not explain.
    Ok,
    /// A difference that may be chance: look again with the next rows.
    Watch,
    /// A difference that is large and no chance.
    Drift,
    /// Too few values to say anything.
    TooFew,
}

impl DriftStatus {
    /// As JSON has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Watch => "watch",
            Self::Drift => "drift",
            Self::TooFew => "too_few",
        }
    }
}

/// The values of one sample in one column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SampleCounts {
    /// Rows, with those that have no value.
    pub rows: u64,
    /// Rows without a value.
    pub missing: u64,
    /// Rows whose value is no category of the model; they are in no bin.
    pub unknown: u64,
    /// Rows of each bin.
    pub counts: Vec<u64>,
}

impl SampleCounts {
    /// Rows that are in a bin.
    #[must_use]
    pub fn present(&self) -> u64 {
        self.counts.iter().sum()
    }

    fn share(&self, rows: u64) -> f64 {
        statistics::number(rows) / statistics::number(self.rows.max(1))
    }
}

/// What bins of a column are called.
#[derive(Debug, Clone, PartialEq)]
pub enum BinNames {
    /// Edges: a value's bin is the number of edges at or below it.
    Edges(Vec<f64>),
    /// Categories.
    Categories(Vec<String>),
}

/// One feature, or the prediction.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnReport {
    /// The feature's name; `prediction` for the prediction.
    pub name: String,
    /// How it stands.
    pub status: DriftStatus,
    /// What values were counted by.
    pub bins: BinNames,
    /// The reference.
    pub reference: SampleCounts,
    /// The rows that are compared with it.
    pub current: SampleCounts,
    /// How differently values are distributed; none where a sample has none.
    pub shift: Option<ShiftStatistics>,
    /// The p-value that as many values are missing as in the reference.
    pub missing_p: Option<f64>,
    /// The same of unknown categories; none where neither sample has any.
    pub unknown_p: Option<f64>,
}

impl ColumnReport {
    /// The change of the share of missing values.
    #[must_use]
    pub fn missing_change(&self) -> f64 {
        self.current.share(self.current.missing) - self.reference.share(self.reference.missing)
    }

    /// The change of the share of unknown categories.
    #[must_use]
    pub fn unknown_change(&self) -> f64 {
        self.current.share(self.current.unknown) - self.reference.share(self.reference.unknown)
    }

    fn new(name: &str, bins: ColumnBins, reference: SampleCounts, current: SampleCounts) -> Self {
        let share = |one: u64, other: u64| share_p((one, reference.rows), (other, current.rows));
        let has_unknown = reference.unknown + current.unknown > 0;
        Self {
            name: name.to_owned(),
            status: DriftStatus::Ok,
            bins: match bins {
                ColumnBins::Edges(edges) => BinNames::Edges(edges),
                ColumnBins::Categories(names) => BinNames::Categories(names),
                ColumnBins::Codes(codes) => BinNames::Categories(codes.iter().map(f64::to_string).collect()),
            },
            shift: ShiftStatistics::of((&reference.counts, &current.counts)),
            missing_p: share(reference.missing, current.missing),
            unknown_p: has_unknown.then(|| share(reference.unknown, current.unknown)).flatten(),
            reference,
            current,
        }
    }
}

/// What was found.
#[derive(Debug, Clone, PartialEq)]
pub struct DriftReport {
    /// The worst status of all columns; too few below [`ROWS_MIN`] rows.
    pub status: DriftStatus,
    /// Rows of the reference.
    pub reference_rows: u64,
    /// Rows that were compared with it.
    pub current_rows: u64,
    /// The features in the model's order.
    pub features: Vec<ColumnReport>,
    /// The model's predictions; none where nothing is banded.
    pub prediction: Option<ColumnReport>,
    /// Segments of the current rows, column by column.
    pub segments: Vec<SegmentReport>,
}

/// The profile of rows, for a manifest.
///
/// # Errors
/// Rows that cannot be read.
pub fn profile_of_rows(loaded: &LoadedModel, rows: &crate::rows::Rows<'_>) -> Result<ReferenceProfile, ScoreError> {
    let source = Source::Rows(*rows);
    let counted = Counted::new(loaded, &source).map_err(|error| match error {
        DriftError::Rows { source, .. } => *source,
        // Rows give no other error.
        error => ScoreError::Parquet(error.to_string()),
    })?;
    let names = loaded.model.schema().names().map(str::to_owned);
    Ok(counts::profile(
        counted.rows,
        names,
        &counted.columns,
        counted.prediction.as_ref(),
    ))
}

/// Compares rows with their reference. `loaded` must take all values
/// ([`quintile_model::Model::take_all_values`]); `manifest` is the one beside the model.
///
/// # Errors
/// Rows, records or a profile that cannot be read or are of another model.
pub fn drift(
    job: &DriftJob<'_>,
    loaded: &LoadedModel,
    manifest: Option<(&Path, &Manifest)>,
) -> Result<DriftReport, DriftError> {
    let reference = Reference::open(job, loaded, manifest)?;
    let current = Source::open(job.current, job.missing);
    let mut counted = Counted::in_bins(reference.columns, reference.prediction);
    let first = job.segments.first().map(String::as_str);
    let mut segments = Vec::new();
    let mut segment = SegmentCounts::default();
    current.each(loaded, first, |row| {
        counted.add(loaded, row.values, row.prediction);
        if first.is_some() {
            segment.add(row.text, row.band);
        }
    })?;
    if counted.rows == 0 {
        return Err(DriftError::NoRows {
            path: job.current.display().to_string(),
        });
    }
    if let Some(first) = first {
        segments.extend(segment.report(first));
    }
    for column in job.segments.iter().skip(1) {
        let mut segment = SegmentCounts::default();
        current.each(loaded, Some(column), |row| segment.add(row.text, row.band))?;
        segments.extend(segment.report(column));
    }
    Ok(report(
        loaded.model.schema(),
        reference.rows,
        reference.counts,
        counted,
        segments,
    ))
}

fn report(
    schema: &Schema,
    reference_rows: u64,
    (features, prediction): (Vec<SampleCounts>, Option<SampleCounts>),
    counted: Counted,
    segments: Vec<SegmentReport>,
) -> DriftReport {
    let columns = schema.names().zip(features).zip(counted.columns);
    let mut features: Vec<ColumnReport> = columns
        .map(|((name, reference), (bins, current))| ColumnReport::new(name, bins, reference, current))
        .collect();
    let mut prediction = prediction
        .zip(counted.prediction)
        .map(|(reference, (bins, current))| ColumnReport::new("prediction", bins, reference, current));
    let mut all: Vec<&mut ColumnReport> = features.iter_mut().chain(prediction.as_mut()).collect();
    judge::judge(&mut all, counted.rows);
    let has = |status| all.iter().any(|column| column.status == status);
    let status = match () {
        () if counted.rows < ROWS_MIN => DriftStatus::TooFew,
        () if has(DriftStatus::Drift) => DriftStatus::Drift,
        () if has(DriftStatus::Watch) => DriftStatus::Watch,
        () => DriftStatus::Ok,
    };
    DriftReport {
        status,
        reference_rows,
        current_rows: counted.rows,
        features,
        prediction,
        segments,
    }
}
