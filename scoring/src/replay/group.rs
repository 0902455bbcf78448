//! A row group of records, scored again by one worker.

use std::path::Path;

use arrow_array::RecordBatch;
use quintile_model::Scratch;

use super::files::{self, RecordFile, Selection, fault};
use super::recorded::{COLUMNS, RecordedScores};
use super::reproduction::{Reproduced, ScoreDifference, first_difference};
use super::rows::{ModelRows, RefusedRows, RowScores};
use super::{RecordedModel, ReplayError, ReplayJob};
use crate::comparison::ScoredPair;
use crate::loaded::LoadedModel;

/// Bytes of the values that are scored at once, so that they stay in a cache, and rows at most.
const BATCH_BYTES: usize = 1 << 20;
const BATCH_ROWS: usize = 4096;

/// Differences that are kept of a group.
const DIFFERENCES_MAX: usize = 10;

/// A record that was scored again.
pub(super) struct ScoredRow {
    pub(super) id: u128,
    /// Whose record it is: the place in [`ScoredGroup::models`].
    pub(super) model: usize,
    pub(super) reproduced: Reproduced,
    /// What is compared; none for a row that is refused or needs no comparison.
    pub(super) pair: Option<ScoredPair>,
    /// Whether a model does not take it.
    pub(super) is_refused: bool,
}

/// The records of a row group.
#[derive(Default)]
pub(super) struct ScoredGroup {
    /// Which file.
    pub(super) file: usize,
    pub(super) rows_read: u64,
    pub(super) shadows: u64,
    pub(super) of_others: u64,
    pub(super) models: Vec<RecordedModel>,
    pub(super) rows: Vec<ScoredRow>,
    /// The first scores that came out differently, by their place in `rows`.
    pub(super) differences: Vec<(usize, ScoreDifference)>,
    /// The first record that was refused, and why.
    pub(super) refusal: Option<(String, String)>,
}

/// Which output of a row is compared: the one whose probability becomes a score, or the first.
pub(super) fn compared_output(job: &ReplayJob<'_>) -> usize {
    let of = |loaded: &LoadedModel| loaded.model.probability_output();
    of(job.new).or(job.against.and_then(of)).unwrap_or(0)
}

/// A model with the memory that scoring takes.
struct Engine<'j> {
    rows: ModelRows<'j>,
    scratch: Scratch,
}

/// Some records, with what both models make of their rows.
struct BatchScores<'b> {
    recorded: RecordedScores<'b>,
    /// The place of each row's model in the group's list.
    models: Vec<usize>,
    /// Of which rows the new model is the recorded one.
    is_new: Vec<bool>,
    is_old: Option<Vec<bool>>,
    new: RowScores,
    old: Option<RowScores>,
    refused: RefusedRows,
}

/// A thread's own memory.
pub(super) struct GroupScorer<'j> {
    job: &'j ReplayJob<'j>,
    selected: &'j Selection,
    new: Engine<'j>,
    against: Option<Engine<'j>>,
    output: usize,
}

impl<'j> GroupScorer<'j> {
    pub(super) fn new(job: &'j ReplayJob<'j>, selected: &'j Selection) -> Self {
        let engine = |loaded: &'j LoadedModel| Engine {
            rows: ModelRows::new(loaded),
            scratch: loaded.model.scratch(),
        };
        Self {
            job,
            selected,
            new: engine(job.new),
            against: job.against.map(engine),
            output: compared_output(job),
        }
    }

    /// Reads a row group and scores its rows.
    pub(super) fn score(&mut self, number: usize, file: &RecordFile, group: usize) -> Result<ScoredGroup, ReplayError> {
        let path = file.path.as_path();
        let wanted = COLUMNS.into_iter().chain(self.new.rows.columns());
        let wanted = wanted.chain(self.against.iter().flat_map(|engine| engine.rows.columns()));
        let wanted: Vec<&str> = wanted.collect();
        let batch_rows = (BATCH_BYTES / 8 / wanted.len().max(1)).clamp(1, BATCH_ROWS);
        let mut scored = ScoredGroup {
            file: number,
            ..ScoredGroup::default()
        };
        for batch in files::read_group(file, group, wanted.into_iter(), batch_rows)? {
            let batch = batch.map_err(|error| fault(path, &error))?;
            scored.rows_read += batch.num_rows() as u64;
            self.score_batch(&batch, path, &mut scored)?;
        }
        Ok(scored)
    }

    fn score_batch(&mut self, batch: &RecordBatch, path: &Path, scored: &mut ScoredGroup) -> Result<(), ReplayError> {
        let recorded = RecordedScores::new(batch, path)?;
        let models: Vec<usize> = (0..batch.num_rows())
            .map(|row| scored.place(recorded.model(row)))
            .collect();
        let is_of = |engine: &Engine<'_>| {
            let known: Vec<bool> = scored
                .models
                .iter()
                .map(|model| model.is(engine.rows.loaded()))
                .collect();
            models.iter().map(|&model| known[model]).collect::<Vec<bool>>()
        };
        let is_new = is_of(&self.new);
        let is_old = self.against.as_ref().map(is_of);
        let mut refused = RefusedRows::none(batch.num_rows());
        let mut score = |engine: &mut Engine<'_>, is_own: &[bool]| {
            let rows = engine.rows.of(batch, is_own, &mut refused);
            RowScores::of(&engine.rows.loaded().model, &rows, &mut engine.scratch)
        };
        let new = score(&mut self.new, &is_new);
        let old = match (&mut self.against, &is_old) {
            (Some(engine), Some(is_own)) => Some(score(engine, is_own)),
            _ => None,
        };
        let batch = BatchScores {
            recorded,
            models,
            is_new,
            is_old,
            new,
            old,
            refused,
        };
        let mut numbers = Vec::new();
        for row in 0..batch.models.len() {
            let (name, version, _) = batch.recorded.model(row);
            if !self.selected.has(name, version) {
                scored.of_others += 1;
            } else if batch.recorded.is_shadow(row) {
                scored.shadows += 1;
            } else {
                self.add_row(&batch, row, scored, &mut numbers)?;
            }
        }
        Ok(())
    }

    fn add_row(
        &self,
        batch: &BatchScores<'_>,
        row: usize,
        scored: &mut ScoredGroup,
        numbers: &mut Vec<f64>,
    ) -> Result<(), ReplayError> {
        let BatchScores { recorded, new, old, .. } = batch;
        // Whichever of the models made the record can prove it.
        let own = match &batch.is_old {
            _ if batch.is_new[row] => Some(new),
            Some(is_old) if is_old[row] => old.as_ref(),
            _ => None,
        };
        let is_refused = batch.refused.has(row);
        if is_refused && scored.refusal.is_none() {
            let says = batch.refused.why(row).unwrap_or("the row is refused").to_owned();
            scored.refusal = Some((recorded.record_id(row).to_owned(), says));
        }
        let reproduced = match own {
            None => Reproduced::NotAsked,
            Some(_) if recorded.is_from_elsewhere(row) => Reproduced::Elsewhere,
            Some(_) if is_refused => Reproduced::Refused,
            Some(own) => scored.compare(recorded, own, row, numbers),
        };
        // What the new model recorded itself says nothing about it beside others.
        let is_compared = old.is_some() || !batch.is_new[row];
        let pair = (is_compared && !is_refused).then(|| self.pair(recorded, (new, old.as_ref()), row, numbers));
        scored.rows.push(ScoredRow {
            id: recorded.id(row)?,
            model: batch.models[row],
            reproduced,
            pair,
            is_refused: is_compared && is_refused,
        });
        Ok(())
    }

    /// A row's predictions beside each other: recorded or the old model's, and the new model's.
    fn pair(
        &self,
        recorded: &RecordedScores<'_>,
        (new, old): (&RowScores, Option<&RowScores>),
        row: usize,
        numbers: &mut Vec<f64>,
    ) -> ScoredPair {
        let number = |numbers: &[f64]| numbers.get(self.output).copied().unwrap_or(f64::NAN);
        let (champion, champion_band) = match old {
            Some(old) => (number(old.predictions(row)), old.band(row)),
            None => {
                recorded.predictions(row, numbers);
                (number(numbers), recorded.band(row))
            }
        };
        ScoredPair {
            champion,
            champion_band,
            other: number(new.predictions(row)),
            other_band: new.band(row),
            outcome: self
                .job
                .outcomes
                .and_then(|outcomes| outcomes.of(recorded.lead_id(row))),
        }
    }
}

impl ScoredGroup {
    /// The place of a model in the group's list.
    fn place(&mut self, named: (&str, &str, Option<&str>)) -> usize {
        // Nearly always it is the last one's.
        let known = self.models.iter().rposition(|model| model.is_named(named));
        known.unwrap_or_else(|| {
            self.models.push(RecordedModel::of(named));
            self.models.len() - 1
        })
    }

    /// Holds what was recorded beside what came out now.
    fn compare(
        &mut self,
        recorded: &RecordedScores<'_>,
        now: &RowScores,
        row: usize,
        numbers: &mut Vec<f64>,
    ) -> Reproduced {
        let margin = recorded
            .margins(row, numbers)
            .and_then(|()| first_difference(numbers, now.margins(row)));
        let margin = margin.map(|found| ("margin", found));
        let found = margin.or_else(|| {
            recorded.predictions(row, numbers);
            first_difference(numbers, now.predictions(row)).map(|found| ("prediction", found))
        });
        let found = found.or_else(|| {
            let [recorded, now] = [recorded.band(row), now.band(row)].map(|band| band.map_or(f64::NAN, f64::from));
            first_difference(&[recorded], &[now]).map(|found| ("score", found))
        });
        let Some((what, (output, was, is))) = found else {
            return Reproduced::Equal;
        };
        if self.differences.len() < DIFFERENCES_MAX {
            let difference = ScoreDifference {
                record_id: recorded.record_id(row).to_owned(),
                lead_id: recorded.lead_id(row).to_owned(),
                what,
                output,
                recorded: was,
                now: is,
            };
            self.differences.push((self.rows.len(), difference));
        }
        Reproduced::Differs
    }
}
