//! Shows a user that our answers equal those of the training library, and searches for a cause if they do not.
//!
//! ```text
//! rows ─▶ RowTable ─▶ Scores ─┐
//! expected ─▶ Expected ───────┴─▶ Tally; some rows differ? ─▶ causes, columns: change the rows, score again ─▶ Finding
//! ```
//! A cause is a change of the rows that can be tried: another order of columns, a number that counts as missing, values
//! of 32 bits. It is named only if scoring the changed rows gives the expected numbers. Used by the command `verify`;
//! holds all rows in memory.

mod causes;
mod columns;
mod compare;
mod expected;
mod outputs;
mod read;
mod scores;
mod search;

use std::path::{Path, PathBuf};

use quintile_model::{Model, Options};

use crate::loaded::{LoadError, LoadedModel};
use crate::rows::{Format, ScoreError};
pub use compare::{Distance, Tally};
pub use expected::Expected;
pub use scores::Quantity;
use scores::Scores;

/// Rows that differ which are reported one by one.
const DIFFERENCES_MAX: usize = 5;

/// Why nothing can be compared.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what each is")]
pub enum VerifyError {
    #[error(transparent)]
    Load(#[from] Box<LoadError>),
    #[error("{path}: {source}")]
    Rows { path: PathBuf, source: Box<ScoreError> },
    #[error("read the expected numbers {path}: {source}")]
    Expect { path: PathBuf, source: std::io::Error },
    #[error(
        "the expected numbers {path} are no text of numbers, a row a line (numpy.savetxt and pandas' to_csv write one; \
         a column of the rows is named by its name)"
    )]
    ExpectKind { path: PathBuf },
    #[error("line {line} of the expected numbers {path}: {why}; accepted: as many numbers in every line")]
    ExpectText { path: PathBuf, line: usize, why: String },
    #[error("row {row} of the rows: the expected number in column {column:?} is {cell}: it {says}")]
    ExpectCell {
        row: usize,
        column: String,
        cell: String,
        says: String,
    },
    #[error("there are {rows} rows and {expected} rows of expected numbers; each row needs its own")]
    Counts { rows: usize, expected: usize },
    #[error(
        "{width} expected numbers a row fit nothing that the model gives: {predictions} predictions, {margins} margins a row"
    )]
    Width {
        width: usize,
        predictions: usize,
        margins: usize,
    },
    #[error("there are no rows")]
    Empty,
    #[error("the model takes no features, so there is nothing to compare")]
    NoFeatures,
}

/// What is compared with what.
#[derive(Debug, Clone, Copy)]
pub struct VerifyJob<'j> {
    /// The model; none is the embedded demo.
    pub model: Option<&'j Path>,
    /// Which trees and which kernel.
    pub options: Options,
    /// The rows.
    pub rows: &'j Path,
    /// What they are; none lets the file say so.
    pub input: Option<Format>,
    /// A file of numbers, or the name of a column of the rows, or several with commas between them.
    pub expect: &'j str,
    /// What the numbers are; none finds out.
    pub quantity: Option<Quantity>,
}

/// A row whose numbers differ.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// Which row, from 1.
    pub row: usize,
    /// Which of its numbers, from 0.
    pub output: usize,
    /// Ours.
    pub ours: f64,
    /// The library's.
    pub expected: f64,
    /// How far they are apart.
    pub distance: Distance,
    /// Where the likeliest cause takes another branch, in words.
    pub parting: Option<String>,
}

/// A cause that gives the expected numbers for some rows that differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// A word for programs.
    pub cause: &'static str,
    /// What the library did or the numbers are, in words.
    pub what: String,
    /// What to do about it.
    pub advice: String,
    /// Rows that are equal to the last bit with it.
    pub equal: usize,
}

/// What came out.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// How many rows there are.
    pub rows: usize,
    /// What the expected numbers were compared with.
    pub quantity: Quantity,
    /// How near they are.
    pub tally: Tally,
    /// The worst distance of all rows.
    pub furthest: Distance,
    /// Whether the rows could be scored only after a change that a finding names.
    pub needs_change: bool,
    /// What is worth knowing about the rows.
    pub notes: Vec<String>,
    /// The first rows that differ.
    pub differences: Vec<Difference>,
    /// Causes, those that explain most first. When one explains every row, only such are listed.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Whether no number is further than this many units in the last place from the expected one, the rows being taken
    /// as they are.
    #[must_use]
    pub fn is_within(&self, units: u64) -> bool {
        !self.needs_change && self.furthest.is_within(units)
    }
}

/// Compares every row with a model that is loaded, and looks for no causes.
///
/// # Errors
/// Rows or numbers that cannot be read or do not fit each other.
pub fn compare(loaded: &LoadedModel, job: &VerifyJob<'_>) -> Result<Report, VerifyError> {
    let read = read_all(loaded, job)?;
    let scores = Scores::of(&loaded.model, &read.table);
    let comparison = Comparison::new(&loaded.model, &scores, &read.expected, job.quantity)?;
    let mut report = comparison.report(read.notes.clone());
    report.needs_change = read.renamed.is_some();
    Ok(report)
}

/// Rows and numbers, of which there are as many.
fn read_all(loaded: &LoadedModel, job: &VerifyJob<'_>) -> Result<read::Read, VerifyError> {
    if loaded.model.schema().is_empty() {
        return Err(VerifyError::NoFeatures);
    }
    let mut read = read::read(loaded, job)?;
    if read.expected.rows() == read.table.rows() + 1 {
        read.expected.leave_out_numbered_names();
    }
    let (rows, expected) = (read.table.rows(), read.expected.rows());
    match (rows, expected) {
        (0, _) => Err(VerifyError::Empty),
        _ if rows != expected => Err(VerifyError::Counts { rows, expected }),
        _ => Ok(read),
    }
}

/// Compares every row, and looks for causes where some differ.
///
/// # Errors
/// A model, rows or numbers that cannot be read or do not fit each other.
pub fn verify(job: &VerifyJob<'_>) -> Result<Report, VerifyError> {
    let loaded = LoadedModel::load(job.model, job.options, 0).map_err(Box::new)?;
    let read = read_all(&loaded, job)?;
    let rows = read.table.rows();
    let scores = Scores::of(&loaded.model, &read.table);
    let comparison = Comparison::new(&loaded.model, &scores, &read.expected, job.quantity)?;
    let mut report = comparison.report(read.notes.clone());
    if report.tally.equal < rows {
        search::search(job, &loaded, &read, &comparison, &mut report)?;
    }
    if let Some(renamed) = &read.renamed {
        // The rows as they are cannot be scored, so they are not equal, even if the renamed ones are.
        report.needs_change = true;
        let equal = report.tally.equal;
        report.findings.insert(
            0,
            Finding {
                equal,
                ..renamed.clone()
            },
        );
    }
    Ok(report)
}

/// Every row beside what is expected of it.
pub(crate) struct Comparison<'c> {
    scores: &'c Scores,
    expected: &'c Expected,
    /// What the expected numbers may be.
    quantities: Vec<Quantity>,
    /// What they are most likely.
    quantity: Quantity,
    /// The worst distance of each row.
    distances: Vec<Distance>,
}

impl<'c> Comparison<'c> {
    fn new(
        model: &Model,
        scores: &'c Scores,
        expected: &'c Expected,
        wanted: Option<Quantity>,
    ) -> Result<Self, VerifyError> {
        let mut quantities = scores.quantities(expected.width);
        quantities.retain(|&quantity| wanted.is_none_or(|wanted| is_of(quantity, wanted)));
        let rows: Vec<usize> = (0..expected.rows()).collect();
        // The first of those that fit equally well: predictions are what most people compare.
        let by_rows = quantities.iter().rev();
        let best = by_rows.max_by_key(|&&quantity| scores.equal(quantity, expected, &rows));
        let &quantity = best.ok_or(VerifyError::Width {
            width: expected.width,
            predictions: model.prediction_len(),
            margins: model.margin_len(),
        })?;
        let distance = |row| scores.distance(quantity, row, expected.row(row), None);
        Ok(Self {
            scores,
            expected,
            quantity,
            distances: rows.into_iter().map(distance).collect(),
            quantities,
        })
    }

    fn report(&self, notes: Vec<String>) -> Report {
        let mut tally = Tally::default();
        self.distances.iter().for_each(|&distance| tally.add(distance));
        let differing = self.distances.iter().enumerate();
        let differing = differing.filter(|(_, distance)| **distance != Distance::Equal);
        Report {
            rows: self.distances.len(),
            quantity: self.quantity,
            tally,
            furthest: self.distances.iter().copied().max().unwrap_or(Distance::Equal),
            needs_change: false,
            notes,
            differences: differing
                .take(DIFFERENCES_MAX)
                .map(|(row, _)| self.difference(row))
                .collect(),
            findings: Vec::new(),
        }
    }

    /// Pearson's correlation of all numbers with those expected; none where either is constant or not finite.
    fn correlation(&self) -> Option<f64> {
        let width = self.expected.width;
        let places = (0..self.expected.rows()).flat_map(|row| (0..width).map(move |output| (row, output)));
        let pairs: Vec<(f64, f64)> = places
            .map(|(row, output)| {
                (
                    self.scores.number(self.quantity, row, output),
                    self.expected.row(row)[output],
                )
            })
            .collect();
        let count = pairs.len() as f64;
        let mean = |of: fn(&(f64, f64)) -> f64| pairs.iter().map(of).sum::<f64>() / count;
        let (ours, theirs) = (mean(|pair| pair.0), mean(|pair| pair.1));
        let (mut both, mut one, mut other) = (0.0, 0.0, 0.0);
        for (x, y) in &pairs {
            both += (x - ours) * (y - theirs);
            one += (x - ours) * (x - ours);
            other += (y - theirs) * (y - theirs);
        }
        let correlation = both / (one * other).sqrt();
        correlation.is_finite().then_some(correlation)
    }

    /// The number of a row that is furthest from what is expected.
    fn difference(&self, row: usize) -> Difference {
        let precision = self.scores.precision();
        let numbers = self.expected.row(row).iter().enumerate().map(|(output, &expected)| {
            let ours = self.scores.number(self.quantity, row, output);
            Difference {
                row: row + 1,
                output,
                ours,
                expected,
                distance: Distance::between(precision, ours, expected),
                parting: None,
            }
        });
        numbers
            .max_by_key(|difference| difference.distance)
            .expect("a row has as many numbers as are expected, one at least")
    }
}

/// Whether a quantity is what was asked for: both classes are predictions, and so is one of several.
fn is_of(quantity: Quantity, wanted: Quantity) -> bool {
    let is_prediction = matches!(quantity, Quantity::BothClasses | Quantity::Probability);
    quantity == wanted || (is_prediction && wanted == Quantity::Prediction)
}
