//! The search: single changes first, and where none suffices, two features at once, of as many rows as a request may
//! take.

use super::candidates::{self, Candidate, FeatureCandidates};
use super::found::{Change, FeatureChange, Found};
use crate::loaded::LoadedModel;

/// Rows that are tried together: as many as the widest kernel takes.
const ROWS_MAX: usize = 64;

/// Rows with two changes that are tried at most: about 20 ms of 500 trees of depth 6 on one core.
const PAIR_ROWS_MAX: usize = 16_384;

/// Changes that are told at most.
const CHANGES_MAX: usize = 8;

/// A search under way. [`Self::rows`] says what is to be scored next, and [`Self::take`] takes what came of it.
#[derive(Debug)]
pub struct Search {
    target: u8,
    /// Whether the target is above today's score.
    rises: bool,
    row: Vec<f64>,
    features: Vec<FeatureCandidates>,
    tasks: Vec<Task>,
    /// The task under way, and how much of it is done.
    at: (usize, usize),
    rows: Vec<f64>,
    changes: Vec<Change>,
    /// Whether pairs are searched now.
    is_of_pairs: bool,
    /// Whether every pair is tried.
    is_complete: bool,
    score: Option<u8>,
}

/// Candidates that are tried one after the other, until one suffices.
#[derive(Debug)]
struct Task {
    /// Another feature that is changed too.
    beside: Option<(usize, Candidate)>,
    column: usize,
    candidates: Vec<Candidate>,
    /// Whether the first that suffices ends it: it is the smallest.
    is_ordered: bool,
}

impl Search {
    /// Begins to search what brings a row with this score to a target, from 1 to 5. `row` has a value for each column.
    #[must_use]
    pub fn new(loaded: &LoadedModel, row: &[f64], score: Option<u8>, target: u8) -> Self {
        let is_reached = score.is_none_or(|score| score == target);
        let features = if is_reached {
            Vec::new()
        } else {
            candidates::all(loaded, row)
        };
        let singles = features.iter().flat_map(|feature| {
            let task = |candidates: &Vec<Candidate>| Task {
                beside: None,
                column: feature.column,
                candidates: candidates.clone(),
                is_ordered: true,
            };
            feature.sequences.iter().map(task)
        });
        let tasks: Vec<Task> = singles.filter(|task| !task.candidates.is_empty()).collect();
        Self {
            target,
            rises: score.is_some_and(|score| score < target),
            row: row.to_vec(),
            features,
            tasks,
            at: (0, 0),
            rows: Vec::new(),
            changes: Vec::new(),
            is_of_pairs: false,
            is_complete: true,
            score,
        }
    }

    /// The rows that are to be scored next, one after the other, so many at most; empty at the end.
    pub fn rows(&mut self, rows_max: usize) -> &[f64] {
        self.rows.clear();
        if self.at.0 >= self.tasks.len() && !self.is_of_pairs && self.changes.is_empty() {
            self.is_of_pairs = true;
            self.begin_pairs();
        }
        let (task, done) = self.at;
        if let Some(task) = self.tasks.get(task) {
            for candidate in task.candidates.iter().skip(done).take(rows_max.clamp(1, ROWS_MAX)) {
                let start = self.rows.len();
                self.rows.extend_from_slice(&self.row);
                self.rows[start + task.column] = candidate.value;
                if let Some((column, beside)) = task.beside {
                    self.rows[start + column] = beside.value;
                }
            }
        }
        &self.rows
    }

    /// Takes score and prediction of each of the rows.
    pub fn take(&mut self, results: &[(Option<u8>, f64)]) {
        let (number, done) = self.at;
        let Some(task) = self.tasks.get(number) else { return };
        let mut has_found = false;
        for (candidate, &(score, prediction)) in task.candidates.iter().skip(done).zip(results) {
            let suffices = score.is_some_and(|score| match self.rises {
                true => score >= self.target,
                false => score <= self.target,
            });
            if !suffices {
                continue;
            }
            let change = |column: usize, candidate: &Candidate| FeatureChange {
                column,
                value: candidate.value,
                share: candidate.share,
            };
            let beside = task.beside.as_ref().map(|(column, beside)| change(*column, beside));
            let features: Vec<FeatureChange> = beside.into_iter().chain([change(task.column, candidate)]).collect();
            self.changes.push(Change {
                features,
                score: score.unwrap_or(0),
                prediction,
            });
            has_found = true;
            if task.is_ordered {
                break;
            }
        }
        let done = done + results.len();
        let is_over = done >= task.candidates.len() || (has_found && task.is_ordered) || results.is_empty();
        self.at = if is_over { (number + 1, 0) } else { (number, done) };
    }

    /// Two features at once: for some values of one, all of another in their order. Where that is too much, values are
    /// passed over.
    fn begin_pairs(&mut self) {
        let features: Vec<&FeatureCandidates> = self
            .features
            .iter()
            .filter(|feature| feature.sequences.iter().any(|sequence| !sequence.is_empty()))
            .collect();
        let count = |feature: &FeatureCandidates| feature.sequences.iter().map(Vec::len).sum::<usize>();
        let pairs = |of: &dyn Fn(&FeatureCandidates) -> usize| -> usize {
            let mut rows = 0usize;
            for (number, feature) in features.iter().enumerate() {
                for other in &features[number + 1..] {
                    rows = rows.saturating_add(of(feature).saturating_mul(of(other)));
                }
            }
            rows
        };
        let mut step = 1;
        while pairs(&|feature| count(feature).div_ceil(step)) > PAIR_ROWS_MAX && step < 1 << 20 {
            step += 1;
        }
        self.is_complete = step == 1;
        let mut tasks = Vec::new();
        for (number, feature) in features.iter().enumerate() {
            let firsts = feature.sequences.iter().flat_map(|sequence| thinned(sequence, step));
            let firsts: Vec<Candidate> = firsts.collect();
            for other in &features[number + 1..] {
                for sequence in &other.sequences {
                    let candidates: Vec<Candidate> = thinned(sequence, step).collect();
                    if candidates.is_empty() {
                        continue;
                    }
                    let task = |first: &Candidate| Task {
                        beside: Some((feature.column, *first)),
                        column: other.column,
                        candidates: candidates.clone(),
                        is_ordered: true,
                    };
                    tasks.extend(firsts.iter().map(task));
                }
            }
        }
        self.tasks = tasks;
        self.at = (0, 0);
    }

    /// What was found: one change of each feature, or of each pair, the smallest first.
    #[must_use]
    pub fn finish(mut self) -> Found {
        self.changes.sort_by(|one, other| one.share().total_cmp(&other.share()));
        let mut told: Vec<Change> = Vec::new();
        for change in self.changes {
            let is_told = |before: &Change| before.columns().eq(change.columns());
            if told.len() < CHANGES_MAX && !told.iter().any(is_told) {
                told.push(change);
            }
        }
        Found {
            target: self.target,
            score: self.score,
            changes: told,
            is_complete: self.is_complete,
            may_change: self.features.len(),
            row: self.row,
        }
    }
}

/// Every so many candidates of a sequence, and the last, which is the farthest.
fn thinned(sequence: &[Candidate], step: usize) -> impl Iterator<Item = Candidate> + '_ {
    let last = sequence.len().saturating_sub(1);
    let is_kept = move |&(number, _): &(usize, &Candidate)| number % step == step - 1 || number == last;
    sequence
        .iter()
        .enumerate()
        .filter(is_kept)
        .map(|(_, candidate)| *candidate)
}
