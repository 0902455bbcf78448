//! Whether a model gives what the golden rows of its manifest state.

use super::Model;
use crate::ensemble::{Precision, Trees};
use crate::{GoldenRow, GoldenSource};

/// A golden row whose numbers are not those the manifest states.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("golden row {row} (manifest line {line}): {quantity} {output} is {actual:?}, expected {expected:?}; {}", .quantity.rule())]
pub struct GoldenFault {
    /// Which row, from 1.
    pub row: usize,
    /// Its line in the manifest.
    pub line: usize,
    /// Whether it is a margin or a prediction.
    pub quantity: GoldenQuantity,
    /// Which of them, from 0.
    pub output: usize,
    /// What the kernel gave.
    pub actual: f64,
    /// What the manifest states, in the model's precision.
    pub expected: f64,
}

/// What a golden row states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GoldenQuantity {
    /// A raw sum.
    Margin,
    /// What the objective makes of it.
    Prediction,
}

impl GoldenQuantity {
    /// How its numbers are compared.
    fn rule(self) -> &'static str {
        match self {
            Self::Margin => "the comparison is exact",
            // Predictions go through the platform's `exp`, which differs by one unit between C libraries.
            Self::Prediction => "one unit in the last place is accepted",
        }
    }
}

impl std::fmt::Display for GoldenQuantity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Margin => "margin",
            Self::Prediction => "prediction",
        })
    }
}

impl Model {
    /// Which of the file's trees make the prediction: the best only where that leaves some out.
    #[must_use]
    pub fn trees(&self) -> Trees {
        match self.tree_count < self.file_trees {
            true => Trees::Best,
            false => Trees::All,
        }
    }

    /// Scores the manifest's golden rows. Margins are compared to the last bit; predictions may be one unit in the last
    /// place off, for they go through the platform's `exp`. Returns how many rows there are.
    ///
    /// # Errors
    /// The first number that differs.
    pub fn check_golden(&self) -> Result<usize, GoldenFault> {
        let mut scratch = self.scratch();
        let mut met = 0;
        for (index, golden) in self.golden.iter().enumerate() {
            if !self.is_comparable(golden) {
                continue;
            }
            met += 1;
            self.score_row(&golden.features, &mut scratch);
            let margins = scratch.margins().iter().zip(&golden.margin).enumerate();
            let margins = margins.map(|(output, pair)| (GoldenQuantity::Margin, output, pair));
            let predictions = scratch.predictions().iter().zip(&golden.prediction).enumerate();
            let predictions = predictions.map(|(output, pair)| (GoldenQuantity::Prediction, output, pair));
            for (quantity, output, (&actual, &stated)) in margins.chain(predictions) {
                let expected = self.rounded(stated);
                let is_met = actual.to_bits() == expected.to_bits()
                    || (actual.is_nan() && expected.is_nan())
                    || (quantity == GoldenQuantity::Prediction && self.is_beside(actual, expected));
                if !is_met {
                    return Err(GoldenFault {
                        row: index + 1,
                        line: golden.place.line,
                        quantity,
                        output,
                        actual,
                        expected,
                    });
                }
            }
        }
        Ok(met)
    }

    /// Whether a golden row says something of these trees: our own numbers for all trees are not those of the best ones, and
    /// the other way round. The library's numbers are what the model is to give, so they are always compared.
    #[must_use]
    pub fn is_comparable(&self, golden: &GoldenRow) -> bool {
        golden.source == GoldenSource::Library || golden.trees == self.trees()
    }

    /// Whether two numbers of the model are equal or neighbours.
    #[expect(clippy::cast_possible_truncation, reason = "numbers of an f32 model are f32")]
    fn is_beside(&self, one: f64, other: f64) -> bool {
        match self.precision {
            Precision::F32 => {
                let (one, other) = (one as f32, other as f32);
                one >= other.next_down() && one <= other.next_up()
            }
            Precision::F64 => one >= other.next_down() && one <= other.next_up(),
        }
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "a golden margin means the model's precision"
    )]
    fn rounded(&self, stated: f64) -> f64 {
        match self.precision {
            Precision::F32 => f64::from(stated as f32),
            Precision::F64 => stated,
        }
    }
}
