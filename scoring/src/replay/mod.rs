//! Recorded rows scored again: is every recorded score reproduced to the last bit, and what would another model have said?
//!
//! ```text
//!   calling thread                    worker threads                              calling thread
//!   RecordFiles ──row groups──▶ RecordBatch ─▶ rows ─▶ Model ─▶ ScoredGroup ──in order──▶ Reproduction, ModelComparison
//! ```
//! Reads the Parquet files of records (`docs/records.md`), of this schema version and older ones. In flat memory: what is kept
//! of a file before it is read is its name and its range of ids, what is under way is a few row groups, and a
//! [`ModelComparison`] is flat itself. Scores of shadows are left out, as in the documented queries, and so is the second copy
//! of a record that came twice. Changes nothing.

mod duplicates;
mod each;
mod error;
mod files;
mod group;
mod json;
mod outcomes;
mod recorded;
mod reproduction;
mod rows;
mod text;
mod workers;

pub(crate) use each::{are_records, each_record, each_score};
pub use error::ReplayError;
pub use outcomes::LeadOutcomes;
pub(crate) use outcomes::outcome;
pub use reproduction::{Reproduction, ScoreDifference};

use std::fmt;
use std::io::Write;
use std::path::Path;

use crate::comparison::{ComparisonReport, ModelComparison};
use crate::loaded::LoadedModel;
use crate::rows::progress::Progress;
use duplicates::DuplicateFilter;
use files::RecordFiles;
use group::ScoredGroup;

/// What is asked for.
#[derive(Debug)]
pub struct ReplayJob<'j> {
    /// The folder of records, or one file of them.
    pub scores: &'j Path,
    /// The model that scores the rows again.
    pub new: &'j LoadedModel,
    /// A model that it is compared with; without one, the recorded predictions.
    pub against: Option<&'j LoadedModel>,
    /// Which records: a model's name, with `@` and a version behind it for one version alone.
    pub recorded: Option<&'j str>,
    /// What became of leads.
    pub outcomes: Option<&'j LeadOutcomes>,
    /// How many threads score.
    pub threads: usize,
    /// Whether somebody watches how far it is.
    pub progress: bool,
}

/// A model that records name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RecordedModel {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// SHA-256 of its file; none in records of schema version 1 and 2.
    pub sha256: Option<String>,
}

impl RecordedModel {
    /// Whether a loaded model is this one: by its file's SHA-256, or where records do not have it by name and version.
    fn is(&self, loaded: &LoadedModel) -> bool {
        match &self.sha256 {
            Some(sha256) => loaded.model_sha256.as_ref() == Some(sha256),
            None => self.name == loaded.model.name() && self.version == loaded.model.version(),
        }
    }
}

impl fmt::Display for RecordedModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.version)
    }
}

/// What was found.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplayReport {
    /// Files that were read.
    pub files: usize,
    /// Recorded rows that were scored again, or refused.
    pub rows: u64,
    /// Scores of shadows, which are left out.
    pub shadows: u64,
    /// Second copies of records, which are left out.
    pub duplicates: u64,
    /// Records of other models, which are left out.
    pub of_others: u64,
    /// Whose records the rows are, with their rows.
    pub recorded: Vec<(RecordedModel, u64)>,
    /// Whether recorded scores are reproduced; none where no row was recorded by a model that is here.
    pub reproduction: Option<Reproduction>,
    /// Two models beside each other; none where the recorded model is the only one.
    pub comparison: Option<ComparisonReport>,
    /// What both models are called.
    pub names: [String; 2],
    /// Why the first row was refused that was: the record and the reason.
    pub refusal: Option<(String, String)>,
    /// What is worth knowing.
    pub notes: Vec<String>,
}

impl ReplayReport {
    /// Whether no recorded score of a model that is here came out differently.
    #[must_use]
    pub fn is_reproduced(&self) -> bool {
        self.reproduction.as_ref().is_none_or(Reproduction::is_complete)
    }
}

/// Scores the rows again and compares.
///
/// # Errors
/// Files that cannot be read or are none of records, and records that do not fit the model.
pub fn replay(job: &ReplayJob<'_>, screen: impl Write) -> Result<ReplayReport, ReplayError> {
    let files = RecordFiles::open(job)?;
    let mut totals = Totals::new(&files);
    let mut progress = job.progress.then(|| Progress::new(screen, Some(files.rows())));
    workers::run(job, &files, |group| {
        if let Some(progress) = &mut progress {
            progress.add(group.rows_read);
        }
        totals.add(group);
    })?;
    if let Some(progress) = progress {
        progress.end();
    }
    totals.report(job, &files)
}

/// What was counted so far.
struct Totals {
    duplicates: DuplicateFilter,
    shadows: u64,
    twice: u64,
    of_others: u64,
    rows: u64,
    recorded: Vec<(RecordedModel, u64)>,
    reproduction: Reproduction,
    comparison: ModelComparison,
    refusal: Option<(String, String)>,
}

impl Totals {
    fn new(files: &RecordFiles) -> Self {
        Self {
            duplicates: DuplicateFilter::new(files.ranges()),
            shadows: 0,
            twice: 0,
            of_others: 0,
            rows: 0,
            recorded: Vec::new(),
            reproduction: Reproduction::default(),
            comparison: ModelComparison::default(),
            refusal: None,
        }
    }

    fn add(&mut self, group: ScoredGroup) {
        self.shadows += group.shadows;
        self.of_others += group.of_others;
        // Where each of the group's models stands in the list of all.
        let places: Vec<usize> = group.models.iter().map(|model| self.place(model)).collect();
        let mut differences = group.differences.into_iter().peekable();
        for (number, row) in group.rows.iter().enumerate() {
            let difference = differences.next_if(|(of, _)| *of == number);
            if self.duplicates.is_twice(group.file, row.id) {
                self.twice += 1;
                continue;
            }
            self.rows += 1;
            self.recorded[places[row.model]].1 += 1;
            self.reproduction
                .add(row.reproduced, difference.map(|(_, difference)| difference));
            match &row.pair {
                Some(pair) => self.comparison.add(pair),
                None if row.is_refused => self.comparison.add_unscored(),
                None => {}
            }
        }
        self.refusal = self.refusal.take().or(group.refusal);
    }

    fn place(&mut self, model: &RecordedModel) -> usize {
        let known = self.recorded.iter().position(|(known, _)| known == model);
        known.unwrap_or_else(|| {
            self.recorded.push((model.clone(), 0));
            self.recorded.len() - 1
        })
    }

    fn report(mut self, job: &ReplayJob<'_>, files: &RecordFiles) -> Result<ReplayReport, ReplayError> {
        if self.rows == 0 {
            return Err(ReplayError::NoRows {
                path: job.scores.to_path_buf(),
                shadows: self.shadows,
            });
        }
        self.recorded.retain(|(_, rows)| *rows > 0);
        let comparison = self.comparison.report();
        let is_compared = comparison.rows + comparison.unscored > 0;
        let named = |loaded: &LoadedModel| format!("{} {}", loaded.model.name(), loaded.model.version());
        let champion = job
            .against
            .map_or_else(|| recorded_names(&self.recorded, job.new), named);
        Ok(ReplayReport {
            files: files.len(),
            rows: self.rows,
            shadows: self.shadows,
            duplicates: self.twice,
            of_others: self.of_others + files.rows_of_others(),
            notes: notes(job, &self.recorded),
            names: [champion, named(job.new)],
            recorded: self.recorded,
            reproduction: (self.reproduction.rows() > 0).then_some(self.reproduction),
            comparison: is_compared.then_some(comparison),
            refusal: self.refusal,
        })
    }
}

/// The recorded models that a model is compared with.
fn recorded_names(recorded: &[(RecordedModel, u64)], new: &LoadedModel) -> String {
    let others = recorded.iter().filter(|(model, _)| !model.is(new));
    let others: Vec<String> = others.map(|(model, _)| model.to_string()).collect();
    match others.len() {
        0 => "none".into(),
        1..=3 => format!("{}, as recorded", others.join(", ")),
        more => format!("{} and {} other models, as recorded", others[..2].join(", "), more - 2),
    }
}

fn notes(job: &ReplayJob<'_>, recorded: &[(RecordedModel, u64)]) -> Vec<String> {
    let mut notes = Vec::new();
    for loaded in [Some(job.new), job.against].into_iter().flatten() {
        let by_name = recorded
            .iter()
            .any(|(model, _)| model.sha256.is_none() && model.is(loaded));
        if by_name {
            notes.push(format!(
                "records of schema version 1 and 2 have no SHA-256 of the model: {} {} is told by its name and version there",
                loaded.model.name(),
                loaded.model.version()
            ));
        }
    }
    let outputs = job.new.model.prediction_len();
    if outputs > 1 {
        let output = group::compared_output(job);
        notes.push(format!(
            "of {outputs} outputs of a row, output {output} (from 0) is compared"
        ));
    }
    notes
}
