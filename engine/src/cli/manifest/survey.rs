//! What the rows of a file hold: each feature's range and form, the model's predictions, and rows to remember.

use std::path::Path;

use quintile_scoring::loaded::Served;
use quintile_scoring::rows::{Rows, ScoreError};

/// Rows that become golden ones: the lowest prediction, the highest, and what lies between them evenly.
const GOLDEN_ROWS: usize = 5;

/// Predictions that are kept: 400 MB of them, far beyond what edges need.
const ROWS_MAX: u64 = 50_000_000;

/// What a file's rows hold.
pub(super) struct Survey {
    pub(super) rows: u64,
    pub(super) columns: Vec<Column>,
    /// What is banded, in the order of the rows; empty for a model that has nothing to band.
    pub(super) predictions: Vec<f64>,
    pub(super) golden: Vec<Golden>,
}

/// A row and its margins.
pub(super) struct Golden {
    pub(super) features: Vec<f64>,
    pub(super) margins: Vec<f64>,
}

/// The values of one feature.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    pub(super) least: f64,
    pub(super) greatest: f64,
    pub(super) missing: u64,
    pub(super) is_whole: bool,
    pub(super) is_binary: bool,
}

impl Column {
    const NONE: Self = Self {
        least: f64::INFINITY,
        greatest: f64::NEG_INFINITY,
        missing: 0,
        is_whole: true,
        is_binary: true,
    };

    fn add(&mut self, value: f64) {
        if value.is_nan() {
            self.missing += 1;
            return;
        }
        self.least = self.least.min(value);
        self.greatest = self.greatest.max(value);
        self.is_whole &= value.is_finite() && value.trunc() >= value && value.trunc() <= value;
        self.is_binary &= matches!(value, 0.0 | 1.0);
    }

    /// Whether it had a value at all.
    pub(super) fn is_known(&self) -> bool {
        self.least <= self.greatest
    }
}

impl Survey {
    /// Reads all rows, and once more those that are kept.
    pub(super) fn of(served: &Served, rows: &Rows<'_>) -> Result<Self, ScoreError> {
        let model = &served.model;
        let mut scratch = model.scratch();
        let mut survey = Self {
            rows: 0,
            columns: vec![Column::NONE; model.schema().len()],
            predictions: Vec::new(),
            golden: Vec::new(),
        };
        let output = banded(served);
        rows.each(served, |row| {
            survey.rows += 1;
            for (column, &value) in survey.columns.iter_mut().zip(row) {
                column.add(value);
            }
            model.score_row(row, &mut scratch);
            let prediction = output.and_then(|output| scratch.predictions().get(output));
            if survey.rows <= ROWS_MAX {
                survey.predictions.extend(prediction);
            }
        })?;
        let kept = survey.kept();
        let mut at = 0;
        rows.each(served, |row| {
            if kept.contains(&at) {
                model.score_row(row, &mut scratch);
                survey.golden.push(Golden {
                    features: row.to_vec(),
                    margins: scratch.margins().to_vec(),
                });
            }
            at += 1;
        })?;
        Ok(survey)
    }

    /// Which rows become golden ones, from 0.
    fn kept(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.predictions.len()).collect();
        if order.is_empty() {
            order = (0..usize::try_from(self.rows).unwrap_or(0).min(GOLDEN_ROWS)).collect();
        }
        order.sort_by(
            |&one, &other| match (self.predictions.get(one), self.predictions.get(other)) {
                (Some(one), Some(other)) => one.total_cmp(other),
                _ => one.cmp(&other),
            },
        );
        let last = order.len().saturating_sub(1);
        let mut kept: Vec<usize> = (0..GOLDEN_ROWS)
            .filter_map(|step| order.get(step * last / (GOLDEN_ROWS - 1)).copied())
            .collect();
        kept.sort_unstable();
        kept.dedup();
        kept
    }
}

/// The prediction that is or may be banded: the model's only one, or the one that its manifest names.
pub(super) fn banded(served: &Served) -> Option<usize> {
    let model = &served.model;
    model
        .probability_output()
        .or((model.prediction_len() == 1).then_some(0))
}

/// A file's name without its folders: a manifest travels.
pub(super) fn told(rows: &Path) -> String {
    rows.file_name().map_or_else(
        || rows.display().to_string(),
        |name| name.to_string_lossy().into_owned(),
    )
}
