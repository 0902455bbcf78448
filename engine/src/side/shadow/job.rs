//! One version that scores beside a champion.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use quintile_model::Scratch;
use quintile_scoring::comparison::{ModelComparison, ScoredPair};
use uuid::Uuid;

use crate::models::{ModelVersion, Shadow, place};
use crate::record::{Entry, Extras, Frame, ProtocolName, RecordSource, Role, Schema};

/// Rows whose predictions are kept until the bins of the stability index are cut.
const EXACT_ROWS: usize = 4_096;

/// A version, the records that it scores, and what has come of it.
#[derive(Debug)]
pub(in crate::side) struct Job {
    /// The model's name.
    pub(in crate::side) name: String,
    /// The number of the shadow, or of the comparison with the champion of before.
    pub(in crate::side) number: u64,
    /// Whether it is the champion of before.
    pub(in crate::side) is_watch: bool,
    pub(in crate::side) version: Arc<ModelVersion>,
    pub(in crate::side) comparison: ModelComparison,
    pub(in crate::side) dropped: u64,
    pub(in crate::side) errors: u64,
    /// How often the comparison was looked at.
    pub(in crate::side) looked: u64,
    /// The champion's number in records.
    champion: u32,
    share: f64,
    salt: String,
    scratch: Scratch,
    row: Vec<f64>,
    /// Where each feature is in the records of the model with this number; none when one is not there.
    columns: Option<(u32, Option<Vec<Column>>)>,
    score: Option<u8>,
    score_ns: u64,
}

/// Where a feature's value comes from.
#[derive(Debug)]
struct Column {
    from: usize,
    /// Our code for each code of the record's model, where the feature has categories; none for one that we do not
    /// know.
    codes: Option<Vec<Option<f64>>>,
}

impl Job {
    pub(super) fn new(name: &str, shadow: &Shadow, champion: &ModelVersion, is_watch: bool) -> Self {
        let model = &shadow.version.loaded.model;
        Self {
            name: name.to_owned(),
            number: shadow.number,
            is_watch,
            comparison: ModelComparison::with_exact_rows(EXACT_ROWS),
            dropped: 0,
            errors: 0,
            looked: 0,
            champion: champion.loaded.model_number,
            share: shadow.share,
            salt: format!("{name}/shadow"),
            scratch: model.scratch(),
            row: vec![f64::NAN; model.schema().len()],
            columns: None,
            score: None,
            score_ns: 0,
            version: Arc::clone(&shadow.version),
        }
    }

    /// Whether it scores this record's lead.
    pub(super) fn takes(&self, record: &Frame<'_>, schema: &Schema) -> bool {
        let is_its = record.model_number == self.champion && schema.fits(record);
        is_its && (self.share >= 1.0 || place(&self.salt, record.lead_id) < self.share)
    }

    /// Scores a record's row, and compares; false when that was not possible.
    pub(super) fn score(&mut self, record: &Frame<'_>, schema: &Schema) -> bool {
        let is_scored = self.read(record, schema) && {
            let (version, row, scratch) = (&self.version, &self.row, &mut self.scratch);
            let began = Instant::now();
            let score = catch_unwind(AssertUnwindSafe(|| version.loaded.model.score_row(row, scratch)));
            self.score_ns = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
            match score {
                Ok(score) => {
                    self.score = score;
                    true
                }
                Err(_) => {
                    // What it was doing may be half done.
                    self.scratch = self.version.loaded.model.scratch();
                    false
                }
            }
        };
        if !is_scored {
            self.errors += 1;
            self.comparison.add_unscored();
            return false;
        }
        let model = &self.version.loaded.model;
        let output = model.probability_output().unwrap_or(0);
        let own = self.scratch.predictions().get(output).copied();
        let theirs = record.predictions.iter().nth(output);
        if let (Some(own), Some(theirs)) = (own, theirs) {
            // The first is the one before, or the champion.
            let (own, theirs) = ((own, self.score), (theirs, record.score));
            let (first, second) = if self.is_watch { (own, theirs) } else { (theirs, own) };
            self.comparison.add(&ScoredPair {
                champion: first.0,
                champion_band: first.1,
                other: second.0,
                other_band: second.1,
                outcome: None,
            });
        }
        true
    }

    /// The record's row in the order of our features.
    fn read(&mut self, record: &Frame<'_>, schema: &Schema) -> bool {
        if self
            .columns
            .as_ref()
            .is_none_or(|(number, _)| *number != schema.model_number)
        {
            self.columns = Some((schema.model_number, columns(&self.version, schema)));
        }
        let Some((_, Some(columns))) = &self.columns else {
            return false;
        };
        let values: Vec<f64> = record.row.iter().collect();
        for (value, column) in self.row.iter_mut().zip(columns) {
            let there = values.get(column.from).copied().unwrap_or(f64::NAN);
            *value = match &column.codes {
                Some(codes) if !there.is_nan() => match code(there).and_then(|code| *codes.get(code)?) {
                    Some(own) => own,
                    None => return false,
                },
                _ => there,
            };
        }
        true
    }

    /// The record of the last score.
    pub(super) fn entry<'a>(&'a self, record: &Frame<'a>, record_id: Uuid, time_us: i64, shard: u16) -> Entry<'a> {
        const ALL: [ProtocolName; 6] = [
            ProtocolName::Native,
            ProtocolName::V2,
            ProtocolName::Grpc,
            ProtocolName::V1,
            ProtocolName::SageMaker,
            ProtocolName::Mlflow,
        ];
        let protocol = ALL
            .into_iter()
            .find(|known| record.extras.protocol() == Some(known.name()));
        Entry {
            record_id,
            time_us,
            model_number: self.version.loaded.model_number,
            shard,
            score: self.score,
            latency_ns: self.score_ns,
            lead_id: record.lead_id,
            request_id: record.request_id,
            margins: self.scratch.margins(),
            predictions: self.scratch.predictions(),
            row: &self.row,
            source: RecordSource::Local,
            extras: Extras::of(protocol.unwrap_or(ProtocolName::Native)).with_role(Role::Shadow),
        }
    }
}

/// A category's code as a place.
fn code(value: f64) -> Option<usize> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is whole and at least 0"
    )]
    let place = (value >= 0.0 && value.fract().abs() <= 0.0).then_some(value as usize);
    place
}

/// Where each feature of a version is among those of a record's model.
fn columns(version: &ModelVersion, schema: &Schema) -> Option<Vec<Column>> {
    let own = version.loaded.model.schema();
    let column = |(number, name): (usize, &str)| {
        let from = schema.features.iter().position(|feature| feature == name)?;
        let theirs = schema.categories.iter().find(|categories| categories.column == from);
        let codes = match (theirs, own.categories(number)) {
            (Some(theirs), Some(_)) => Some(
                theirs
                    .names
                    .iter()
                    .map(|name| own.category_code(number, name))
                    .collect(),
            ),
            (None, None) => None,
            // A number is no name, and a name no number.
            _ => return None,
        };
        Some(Column { from, codes })
    };
    own.names().enumerate().map(column).collect()
}
