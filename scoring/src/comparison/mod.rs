//! Two models' predictions of the same rows beside each other, and whether the second may take the first one's place.
//!
//! ```text
//! ScoredPair … ─▶ ModelComparison (flat memory) ─▶ ComparisonReport ─▶ Promotion: one line; text; JSON
//! ```
//! Knows no file, no model and no clock. Rows are given one after the other; the order matters for nothing but which rows
//! come first: up to a number of rows ([`EXACT_ROWS`]) all predictions are kept and everything is exact. Beyond it the
//! bins of the stability index stay as the first rows have them, and areas under the ROC curve come from bins; the report
//! says so.

pub(crate) mod auc;
pub(crate) mod bins;
mod json;
pub(crate) mod shift;
#[cfg(test)]
mod tests;
mod text;
mod verdict;

pub use auc::AucReport;
pub use shift::ShiftReport;
pub use text::ModelNames;
pub use verdict::{Promotion, Verdict};

use auc::OutcomeRanks;
use shift::PredictionShift;

/// Rows whose predictions are kept: 40 MiB of them where every outcome is known, and about as much while a report is made.
pub const EXACT_ROWS: usize = 1 << 20;

/// A row that two models scored.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ScoredPair {
    /// The champion's prediction.
    pub champion: f64,
    /// Its band, 1 to 5; none for models without bands.
    pub champion_band: Option<u8>,
    /// The other model's prediction.
    pub other: f64,
    /// Its band.
    pub other_band: Option<u8>,
    /// Whether the lead converted, where that is known.
    pub outcome: Option<bool>,
}

/// Pairs of predictions, as they are added.
#[derive(Debug)]
pub struct ModelComparison {
    rows: u64,
    unscored: u64,
    not_numbers: u64,
    equal: u64,
    sum: f64,
    abs_sum: f64,
    abs_max: f64,
    bands: [[CellCounts; 5]; 5],
    shift: PredictionShift,
    ranks: OutcomeRanks,
}

/// Rows of one pair of bands.
#[derive(Debug, Clone, Copy, Default)]
struct CellCounts {
    rows: u64,
    outcomes: Outcomes,
}

/// What became of some leads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outcomes {
    /// Leads whose outcome is known.
    pub known: u64,
    /// Those of them that converted.
    pub converted: u64,
}

impl Outcomes {
    fn add(&mut self, other: Self) {
        self.known += other.known;
        self.converted += other.converted;
    }

    /// The share that converted; NaN where nothing is known.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts of leads are exact up to 2^53")]
    pub fn share(self) -> f64 {
        self.converted as f64 / self.known as f64
    }
}

/// What was found.
#[derive(Debug, Clone, PartialEq)]
pub struct ComparisonReport {
    /// Rows that both models scored.
    pub rows: u64,
    /// Rows that the other model could not score.
    pub unscored: u64,
    /// Rows of `rows` with a prediction that is no number; they are in no other figure but the bands.
    pub not_numbers: u64,
    /// Rows whose predictions are equal to the last bit.
    pub equal: u64,
    /// The mean of absolute differences.
    pub mean_abs_difference: f64,
    /// The largest of them.
    pub max_abs_difference: f64,
    /// The mean of the other's minus the champion's.
    pub mean_difference: f64,
    /// How bands agree.
    pub movement: Movement,
    /// How differently predictions are distributed; none without rows.
    pub shift: Option<ShiftReport>,
    /// How well both rank leads; none unless leads of both outcomes are known.
    pub auc: Option<AucReport>,
    /// May the other model be promoted?
    pub promotion: Promotion,
}

/// Which rows get another band.
#[derive(Debug, Clone, PartialEq)]
pub struct Movement {
    /// Rows for which both models have a band.
    pub rows: u64,
    /// Counts by the champion's band and then the other's.
    pub bands: [[u64; 5]; 5],
    /// The share of rows with the same band; none without such rows.
    pub band_agreement: Option<f64>,
    /// Rows that move from 4-5 to 1-3.
    pub down: u64,
    /// Rows that move from 1-3 to 4-5.
    pub up: u64,
    /// What became of those that move down.
    pub down_outcomes: Outcomes,
    /// What became of those that move up.
    pub up_outcomes: Outcomes,
}

impl Movement {
    /// The share of so many rows.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts of rows are exact up to 2^53")]
    pub fn share(&self, count: u64) -> f64 {
        count as f64 / self.rows.max(1) as f64
    }

    fn of(cells: &[[CellCounts; 5]; 5]) -> Self {
        let mut movement = Self {
            rows: cells.iter().flatten().map(|cell| cell.rows).sum(),
            bands: cells.map(|row| row.map(|cell| cell.rows)),
            band_agreement: None,
            down: 0,
            up: 0,
            down_outcomes: Outcomes::default(),
            up_outcomes: Outcomes::default(),
        };
        for (champion, row) in cells.iter().enumerate() {
            for (other, cell) in row.iter().enumerate() {
                // The first three bands are 1 to 3.
                match (champion >= 3, other >= 3) {
                    (true, false) => {
                        movement.down += cell.rows;
                        movement.down_outcomes.add(cell.outcomes);
                    }
                    (false, true) => {
                        movement.up += cell.rows;
                        movement.up_outcomes.add(cell.outcomes);
                    }
                    _ => {}
                }
            }
        }
        let same = (0..5).map(|band| movement.bands[band][band]).sum();
        movement.band_agreement = (movement.rows > 0).then(|| movement.share(same));
        movement
    }
}

impl Default for ModelComparison {
    fn default() -> Self {
        Self::with_exact_rows(EXACT_ROWS)
    }
}

impl ModelComparison {
    /// Keeps the predictions of so many rows.
    #[must_use]
    pub fn with_exact_rows(exact_rows: usize) -> Self {
        Self {
            rows: 0,
            unscored: 0,
            not_numbers: 0,
            equal: 0,
            sum: 0.0,
            abs_sum: 0.0,
            abs_max: 0.0,
            bands: Default::default(),
            shift: PredictionShift::new(exact_rows),
            ranks: OutcomeRanks::new(exact_rows),
        }
    }

    /// Takes a row.
    pub fn add(&mut self, pair: &ScoredPair) {
        self.rows += 1;
        let outcomes = Outcomes {
            known: u64::from(pair.outcome.is_some()),
            converted: u64::from(pair.outcome == Some(true)),
        };
        let place = |band: Option<u8>| Some(usize::from(band?.checked_sub(1)?)).filter(|place| *place < 5);
        if let (Some(champion), Some(other)) = (place(pair.champion_band), place(pair.other_band)) {
            let cell = &mut self.bands[champion][other];
            cell.rows += 1;
            cell.outcomes.add(outcomes);
        }
        let (champion, other) = (pair.champion, pair.other);
        if champion.is_nan() || other.is_nan() {
            self.not_numbers += 1;
            return;
        }
        if champion.to_bits() == other.to_bits() {
            self.equal += 1;
        } else {
            let difference = other - champion;
            self.sum += difference;
            self.abs_sum += difference.abs();
            self.abs_max = self.abs_max.max(difference.abs());
        }
        self.shift.add(champion, other);
        if let Some(is_converted) = pair.outcome {
            self.ranks.add(champion, other, is_converted);
        }
    }

    /// Counts a row that the champion scored and the other model could not.
    pub fn add_unscored(&mut self) {
        self.unscored += 1;
    }

    /// Rows so far.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The population stability index of the predictions so far; 0 without rows.
    #[must_use]
    pub fn psi(&self) -> f64 {
        self.shift.report().map_or(0.0, |shift| shift.psi)
    }

    /// What was found so far.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts of rows are exact up to 2^53")]
    pub fn report(&self) -> ComparisonReport {
        let numbers = (self.rows - self.not_numbers).max(1) as f64;
        let mut report = ComparisonReport {
            rows: self.rows,
            unscored: self.unscored,
            not_numbers: self.not_numbers,
            equal: self.equal,
            mean_abs_difference: self.abs_sum / numbers,
            max_abs_difference: self.abs_max,
            mean_difference: self.sum / numbers,
            movement: Movement::of(&self.bands),
            shift: self.shift.report(),
            auc: self.ranks.report(),
            promotion: Promotion {
                verdict: Verdict::LookFirst,
                reasons: Vec::new(),
            },
        };
        report.promotion = Promotion::of(&report);
        report
    }
}
