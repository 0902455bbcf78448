//! All rows of a file in memory, and all that a model gives for them.

use quintile_model::{Model, Precision};

use super::compare::Distance;
use super::expected::Expected;

/// Rows scored in one call.
const BLOCK_ROWS: usize = 1024;

/// Rows in column order, NaN for missing.
#[derive(Debug, Clone)]
pub(super) struct RowTable {
    pub(super) values: Vec<f64>,
    pub(super) width: usize,
}

impl RowTable {
    pub(super) fn rows(&self) -> usize {
        self.values.len() / self.width
    }

    pub(super) fn row(&self, row: usize) -> &[f64] {
        &self.values[row * self.width..][..self.width]
    }

    /// Some of the rows, changed.
    pub(super) fn select(&self, rows: &[usize], change: impl Fn(&mut [f64])) -> Self {
        let mut values = Vec::with_capacity(rows.len() * self.width);
        for &row in rows {
            let from = values.len();
            values.extend_from_slice(self.row(row));
            change(&mut values[from..]);
        }
        Self {
            values,
            width: self.width,
        }
    }
}

/// Which of a model's numbers is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantity {
    /// After the objective's transform.
    Prediction,
    /// The raw sums of the trees.
    Margin,
    /// The probability of the other class and that of the class: both columns of scikit-learn's `predict_proba`.
    BothClasses,
    /// The one of several predictions that is banded: a column of `predict_proba`.
    Probability,
    /// The probability of the other class.
    OtherClass,
}

impl Quantity {
    /// What it is called in a sentence, of several rows.
    #[must_use]
    pub fn plural(self) -> &'static str {
        match self {
            Self::Prediction => "predictions",
            Self::Margin => "margins (raw sums, before the objective's transform)",
            Self::Probability => "probabilities (of the prediction that is banded)",
            Self::BothClasses => "probabilities of both classes",
            Self::OtherClass => "probabilities of the other class (1 - p)",
        }
    }
}

/// Every number of every row.
#[derive(Debug)]
pub(super) struct Scores {
    margins: Vec<f64>,
    predictions: Vec<f64>,
    margin_len: usize,
    prediction_len: usize,
    is_probability: bool,
    /// The prediction that is banded.
    banded: Option<usize>,
    precision: Precision,
}

impl Scores {
    pub(super) fn of(model: &Model, table: &RowTable) -> Self {
        let mut scores = Self {
            margins: Vec::with_capacity(table.rows() * model.margin_len()),
            predictions: Vec::with_capacity(table.rows() * model.prediction_len()),
            margin_len: model.margin_len(),
            prediction_len: model.prediction_len(),
            is_probability: model.is_probability(),
            banded: model.probability_output(),
            precision: model.precision(),
        };
        let mut scratch = model.scratch();
        for block in table.values.chunks(BLOCK_ROWS * table.width) {
            model.score_rows(block, &mut scratch, |_, _, scratch| {
                scores.margins.extend_from_slice(scratch.margins());
                scores.predictions.extend_from_slice(scratch.predictions());
            });
        }
        scores
    }

    pub(super) fn is_probability(&self) -> bool {
        self.is_probability
    }

    pub(super) fn precision(&self) -> Precision {
        self.precision
    }

    /// What this many numbers in a row may be, the likeliest first.
    pub(super) fn quantities(&self, width: usize) -> Vec<Quantity> {
        let mut found = Vec::new();
        if self.prediction_len == width {
            found.push(Quantity::Prediction);
        }
        if self.margin_len == width {
            found.push(Quantity::Margin);
        }
        if self.banded.is_some() && self.prediction_len > 1 && width == 1 {
            found.push(Quantity::Probability);
        }
        if self.is_probability && width == 2 {
            found.push(Quantity::BothClasses);
        }
        found
    }

    /// A row's number.
    #[expect(clippy::cast_possible_truncation, reason = "the numbers of an f32 model are f32")]
    pub(super) fn number(&self, quantity: Quantity, row: usize, output: usize) -> f64 {
        let probability = || self.predictions[row * self.prediction_len];
        let rest = || match self.precision {
            Precision::F32 => f64::from(1.0 - probability() as f32),
            Precision::F64 => 1.0 - probability(),
        };
        match quantity {
            Quantity::Prediction => self.predictions[row * self.prediction_len + output],
            Quantity::Probability => self.predictions[row * self.prediction_len + self.banded.unwrap_or(0)],
            Quantity::Margin => self.margins[row * self.margin_len + output],
            Quantity::BothClasses if output == 1 => probability(),
            Quantity::BothClasses | Quantity::OtherClass => rest(),
        }
    }

    /// The worst distance of a row's numbers; `order[output]` is the number that is compared with the expected one.
    pub(super) fn distance(
        &self,
        quantity: Quantity,
        row: usize,
        expected: &[f64],
        order: Option<&[usize]>,
    ) -> Distance {
        let numbers = expected.iter().enumerate().map(|(output, &expected)| {
            let output = order.map_or(output, |order| order[output]);
            Distance::between(self.precision, self.number(quantity, row, output), expected)
        });
        numbers.max().unwrap_or(Distance::Equal)
    }

    /// How many rows are equal to the last bit. `rows[place]` is the expected row of the scored row `place`.
    pub(super) fn equal(&self, quantity: Quantity, expected: &Expected, rows: &[usize]) -> usize {
        let equal =
            |(place, &row): (usize, &usize)| self.distance(quantity, place, expected.row(row), None) == Distance::Equal;
        rows.iter().enumerate().filter(|&row| equal(row)).count()
    }

    /// The mean distance between numbers, for a search that comes nearer step by step.
    pub(super) fn mean_error(&self, quantity: Quantity, expected: &Expected, rows: &[usize]) -> f64 {
        let mut sum = 0.0;
        for (place, &row) in rows.iter().enumerate() {
            for (output, expected) in expected.row(row).iter().enumerate() {
                let error = (self.number(quantity, place, output) - expected).abs();
                sum += if error.is_finite() { error } else { 1.0 };
            }
        }
        sum
    }
}
