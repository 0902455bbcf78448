//! A survey of the rows of a file: each feature's range and form, the model's predictions, and rows for golden rows.

use std::path::Path;

use quintile_model::{GoldenRow, GoldenSource};
use quintile_scoring::loaded::LoadedModel;
use quintile_scoring::rows::{Rows, ScoreError};

use super::sentinels::Sentinels;

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
    pub(super) golden: Vec<GoldenRow>,
    /// Whose numbers those of the golden rows are.
    pub(super) source: GoldenSource,
    /// Texts that no flag names, and that count as missing because programs write them for missing values.
    pub(super) taken: Vec<&'static str>,
}

/// The values of one feature.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    pub(super) least: f64,
    pub(super) greatest: f64,
    pub(super) missing: u64,
    pub(super) is_whole: bool,
    pub(super) is_binary: bool,
    pub(super) sentinels: Sentinels,
}

impl Column {
    const NONE: Self = Self {
        least: f64::INFINITY,
        greatest: f64::NEG_INFINITY,
        missing: 0,
        is_whole: true,
        is_binary: true,
        sentinels: Sentinels::NONE,
    };

    fn add(&mut self, value: f64) {
        if value.is_nan() {
            self.missing += 1;
            return;
        }
        self.sentinels.add(value);
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
    /// As [`Self::of`], but the usual texts for a missing value are that, unless some category is called so.
    pub(super) fn lenient(loaded: &LoadedModel, rows: &Rows<'_>) -> Result<Self, ScoreError> {
        let mut missing = rows.missing.to_vec();
        let mut taken = Vec::new();
        loop {
            let fault = match Self::of(
                loaded,
                &Rows {
                    missing: &missing,
                    ..*rows
                },
            ) {
                Ok(survey) => return Ok(Self { taken, ..survey }),
                Err(fault) => fault,
            };
            match fault.usual_missing() {
                Some(text) if !taken.contains(&text) && !is_category(loaded, text) => {
                    taken.push(text);
                    missing.push(text.to_owned());
                }
                _ => return Err(fault),
            }
        }
    }

    /// Reads all rows, and once more those that are kept.
    pub(super) fn of(loaded: &LoadedModel, rows: &Rows<'_>) -> Result<Self, ScoreError> {
        let model = &loaded.model;
        let mut scratch = model.scratch();
        let mut survey = Self {
            rows: 0,
            columns: vec![Column::NONE; model.schema().len()],
            predictions: Vec::new(),
            golden: Vec::new(),
            source: GoldenSource::Quintile,
            taken: Vec::new(),
        };
        let markers = model.schema().markers();
        let output = loaded.banded_output();
        rows.each(loaded, |row| {
            survey.rows += 1;
            for (place, (column, &value)) in survey.columns.iter_mut().zip(row).enumerate() {
                let is_marker = markers.is_some_and(|markers| markers.is_missing(place, value));
                column.add(if is_marker { f64::NAN } else { value });
            }
            model.score_row(row, &mut scratch);
            let prediction = output.and_then(|output| scratch.predictions().get(output));
            if survey.rows <= ROWS_MAX {
                survey.predictions.extend(prediction);
            }
        })?;
        let kept = survey.kept(&survey.with_sentinels(loaded, rows)?);
        let mut at = 0;
        rows.each(loaded, |row| {
            if kept.contains(&at) {
                model.score_row(row, &mut scratch);
                survey.golden.push(GoldenRow {
                    features: row.to_vec(),
                    margin: scratch.margins().to_vec(),
                    prediction: scratch.predictions().to_vec(),
                    trees: model.trees(),
                    ..GoldenRow::default()
                });
            }
            at += 1;
        })?;
        Ok(survey)
    }

    /// Whether each row holds a number that is proposed as missing: taking the proposal would change what the row
    /// gives, and a golden row must not depend on that. Empty where nothing is proposed.
    fn with_sentinels(&self, loaded: &LoadedModel, rows: &Rows<'_>) -> Result<Vec<bool>, ScoreError> {
        let found = self.columns.iter().map(|column| column.sentinels.found(self.rows));
        let found: Vec<Vec<(f64, u64)>> = found.collect();
        let mut hold = Vec::new();
        if found.iter().any(|found| !found.is_empty()) {
            rows.each(loaded, |row| {
                let holds =
                    |(value, found): (&f64, &Vec<(f64, u64)>)| found.iter().any(|(one, _)| (value - one).abs() <= 0.0);
                hold.push(row.iter().zip(&found).any(holds));
            })?;
        }
        Ok(hold)
    }

    /// Which rows become golden ones, from 0: none that `hold` rules out, unless it rules out all.
    fn kept(&self, hold: &[bool]) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.predictions.len()).collect();
        if order.is_empty() {
            order = (0..usize::try_from(self.rows).unwrap_or(0).min(GOLDEN_ROWS)).collect();
        }
        let is_free = |&row: &usize| !hold.get(row).copied().unwrap_or(false);
        if order.iter().any(is_free) {
            order.retain(is_free);
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

/// Whether a feature has a category of this name.
fn is_category(loaded: &LoadedModel, text: &str) -> bool {
    let schema = loaded.model.schema();
    let mut names = (0..schema.len()).filter_map(|column| schema.categories(column));
    names.any(|categories| categories.names().iter().any(|name| name.trim() == text))
}

/// Texts as flags of `score`, in quotes where a shell would take something else for them.
pub(super) fn missing_flags(texts: &[&str]) -> String {
    let quoted = |text: &&str| match text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'/') {
        true => format!("--missing {text}"),
        false => format!("--missing '{text}'"),
    };
    texts.iter().map(quoted).collect::<Vec<_>>().join(" ")
}

/// A file's name without its folders: a manifest travels.
pub(super) fn told(rows: &Path) -> String {
    rows.file_name().map_or_else(
        || rows.display().to_string(),
        |name| name.to_string_lossy().into_owned(),
    )
}
