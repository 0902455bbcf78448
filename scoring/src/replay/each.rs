//! Every record of a folder on the calling thread, once, with the values of a model's features.

use std::path::Path;

use arrow_array::cast::AsArray as _;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{ArrayRef, RecordBatch};

use super::duplicates::DuplicateFilter;
use super::files::{self, RecordFile, RecordFiles, fault};
use super::recorded::{COLUMNS, RecordedScores};
use super::rows::{ModelRows, RefusedRows};
use super::{RecordedModel, ReplayError, ReplayJob};
use crate::loaded::LoadedModel;
use crate::record_columns::feature_columns;
use crate::rows::folder;
use crate::rows::numbers::id_text;

/// Rows that are read at once.
const BATCH_ROWS: usize = 4096;

/// One record.
pub(crate) struct RecordedRow<'r> {
    /// The values of the model's features in column order, NaN for missing.
    pub(crate) values: &'r [f64],
    /// The recorded prediction that is banded.
    pub(crate) prediction: Option<f64>,
    /// The recorded band, 1 to 5.
    pub(crate) band: Option<u8>,
    /// The text of the column that was asked for; none where it is null.
    pub(crate) text: Option<String>,
}

/// Gives every record of the model's name to `take`: scores of shadows and second copies are left out. `column` names one
/// whose texts are wanted, a feature or another one.
///
/// # Errors
/// As [`super::replay`].
pub(crate) fn each_record(
    scores: &Path,
    loaded: &LoadedModel,
    column: Option<&str>,
    mut take: impl FnMut(&RecordedRow<'_>),
) -> Result<(), ReplayError> {
    let job = ReplayJob {
        scores,
        new: loaded,
        against: None,
        recorded: None,
        outcomes: None,
        threads: 1,
        progress: false,
    };
    let files = RecordFiles::open(&job)?;
    let rows = ModelRows::new(loaded);
    let mut duplicates = DuplicateFilter::new(files.ranges());
    let output = super::group::compared_output(&job);
    for (number, file, group) in files.groups() {
        let feature = column.map(|column| feature_columns(std::iter::once(column)));
        let feature = feature.iter().flatten().map(String::as_str);
        let wanted = COLUMNS.into_iter().chain(rows.columns()).chain(column).chain(feature);
        for batch in files::read_group(file, group, wanted, BATCH_ROWS)? {
            let batch = batch.map_err(|error| fault(&file.path, &error))?;
            let text = column.map(|column| text_column(&batch, column, file)).transpose()?;
            let recorded = RecordedScores::new(&batch, &file.path)?;
            let is_own: Vec<bool> = (0..batch.num_rows())
                .map(|row| RecordedModel::of(recorded.model(row)).is(loaded))
                .collect();
            let mut refused = RefusedRows::none(batch.num_rows());
            let values = rows.of(&batch, &is_own, &mut refused);
            let width = loaded.model.schema().len();
            let mut predictions = Vec::new();
            for row in 0..batch.num_rows() {
                let (name, version, _) = recorded.model(row);
                let is_left_out = !files.selected().has(name, version) || recorded.is_shadow(row);
                if is_left_out || duplicates.is_twice(number, recorded.id(row)?) {
                    continue;
                }
                if let Some(says) = refused.why(row) {
                    return Err(fault(&file.path, &says));
                }
                recorded.predictions(row, &mut predictions);
                take(&RecordedRow {
                    values: &values[row * width..][..width],
                    prediction: predictions.get(output).copied().filter(|number| !number.is_nan()),
                    band: recorded.band(row),
                    text: text.as_ref().and_then(|array| id_text(array, row)),
                });
            }
        }
    }
    Ok(())
}

/// One score, whatever its model.
pub(crate) struct RecordedScore<'r> {
    pub(crate) lead_id: &'r str,
    /// In microseconds since 1970.
    pub(crate) time: i64,
    pub(crate) predictions: &'r [f64],
    /// The band, 1 to 5.
    pub(crate) band: Option<u8>,
    /// The text of the column that was asked for; none where it is null.
    pub(crate) text: Option<String>,
}

/// Gives every answered score of a folder to `take`, once, of whatever model.
///
/// # Errors
/// As [`super::replay`].
pub(crate) fn each_score(
    scores: &Path,
    column: Option<&str>,
    mut take: impl FnMut(&RecordedScore<'_>),
) -> Result<(), ReplayError> {
    let files = RecordFiles::of_all_models(scores)?;
    let mut duplicates = DuplicateFilter::new(files.ranges());
    for (number, file, group) in files.groups() {
        let feature = column.map(|column| feature_columns(std::iter::once(column)));
        let feature = feature.iter().flatten().map(String::as_str);
        let wanted = COLUMNS.into_iter().chain(["time"]).chain(column).chain(feature);
        for batch in files::read_group(file, group, wanted, BATCH_ROWS)? {
            let batch = batch.map_err(|error| fault(&file.path, &error))?;
            let text = column.map(|column| text_column(&batch, column, file)).transpose()?;
            let recorded = RecordedScores::new(&batch, &file.path)?;
            let time = batch.column_by_name("time");
            let time = time.and_then(|array| array.as_primitive_opt::<TimestampMicrosecondType>());
            let time = time.ok_or_else(|| ReplayError::Column {
                path: file.path.clone(),
                column: "time",
                accepted: "timestamps in microseconds",
            })?;
            let mut predictions = Vec::new();
            for row in 0..batch.num_rows() {
                if recorded.is_shadow(row) || duplicates.is_twice(number, recorded.id(row)?) {
                    continue;
                }
                recorded.predictions(row, &mut predictions);
                take(&RecordedScore {
                    lead_id: recorded.lead_id(row),
                    time: time.value(row),
                    predictions: &predictions,
                    band: recorded.band(row),
                    text: text.as_ref().and_then(|array| id_text(array, row)),
                });
            }
        }
    }
    Ok(())
}

/// The column of a batch, or that of the feature of this name.
fn text_column(batch: &RecordBatch, column: &str, file: &RecordFile) -> Result<ArrayRef, ReplayError> {
    let mut names = std::iter::once(column.to_owned()).chain(feature_columns(std::iter::once(column)));
    let found = names.find_map(|name| batch.column_by_name(&name).cloned());
    found.ok_or_else(|| ReplayError::Segment {
        path: file.path.clone(),
        column: crate::text::excerpt(column),
    })
}

/// Whether a file or folder holds records: its first file has their columns.
pub(crate) fn are_records(path: &Path) -> bool {
    let first = match path.is_dir() {
        true => folder::parts(path)
            .ok()
            .and_then(|parts| parts.into_iter().next())
            .map(|part| part.path),
        false => Some(path.to_path_buf()),
    };
    first
        .and_then(|path| files::open(&path).ok())
        .is_some_and(|(_, metadata)| {
            let fields = metadata.schema().fields();
            ["record_id", "lead_id", "prediction"]
                .iter()
                .all(|column| fields.find(column).is_some())
        })
}
