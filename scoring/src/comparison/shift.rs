//! The population stability index (PSI) of predictions: how differently two models' predictions of the same rows are
//! distributed.
//!
//! Ten bins are cut at the deciles of the champion's predictions. With `p` and `q` the shares of both models' rows in a bin, the
//! index is the sum of `(q - p) * ln(q / p)`. A share is `(count + 0.5) / (rows + 0.5 * bins)`, so that an empty bin has one too.

use super::bins::{bin_of, quantile_edges};

/// Bins of the index: deciles, as is usual.
const BINS: usize = 10;

/// Predictions of the same rows by two models, in flat memory.
#[derive(Debug)]
pub(super) struct PredictionShift {
    /// Rows whose predictions are kept until the edges are cut.
    exact_rows: usize,
    first: Vec<(f64, f64)>,
    counted: Option<BinCounts>,
}

/// How many predictions of each model are in each bin.
#[derive(Debug, Clone)]
struct BinCounts {
    edges: Vec<f64>,
    champion: Vec<u64>,
    other: Vec<u64>,
}

/// How differently two models' predictions are distributed.
#[derive(Debug, Clone, PartialEq)]
pub struct ShiftReport {
    /// The index: 0 for equal distributions.
    pub psi: f64,
    /// The bins' edges, lowest first: each belongs to the bin above it.
    pub edges: Vec<f64>,
    /// The champion's predictions in each bin.
    pub champion: Vec<u64>,
    /// The other model's.
    pub other: Vec<u64>,
    /// Rows whose deciles the edges are, where they are not those of all rows.
    pub edges_of_first: Option<u64>,
}

impl PredictionShift {
    pub(super) fn new(exact_rows: usize) -> Self {
        Self {
            exact_rows: exact_rows.max(1),
            first: Vec::new(),
            counted: None,
        }
    }

    pub(super) fn add(&mut self, champion: f64, other: f64) {
        if let Some(counted) = &mut self.counted {
            return counted.add(champion, other);
        }
        if self.first.len() == self.exact_rows {
            let mut counted = BinCounts::of(&self.first);
            counted.add(champion, other);
            self.counted = Some(counted);
            self.first = Vec::new();
        } else {
            self.first.push((champion, other));
        }
    }

    /// None without rows.
    pub(super) fn report(&self) -> Option<ShiftReport> {
        let (counted, edges_of_first) = match &self.counted {
            Some(counted) => (counted.clone(), Some(self.exact_rows as u64)),
            None if self.first.is_empty() => return None,
            None => (BinCounts::of(&self.first), None),
        };
        Some(ShiftReport {
            psi: psi(&counted.champion, &counted.other),
            edges: counted.edges,
            champion: counted.champion,
            other: counted.other,
            edges_of_first,
        })
    }
}

impl BinCounts {
    fn of(rows: &[(f64, f64)]) -> Self {
        let mut champion: Vec<f64> = rows.iter().map(|&(champion, _)| champion).collect();
        champion.sort_by(f64::total_cmp);
        let edges = quantile_edges(&champion, BINS);
        let mut counted = Self {
            champion: vec![0; edges.len() + 1],
            other: vec![0; edges.len() + 1],
            edges,
        };
        rows.iter().for_each(|&(champion, other)| counted.add(champion, other));
        counted
    }

    fn add(&mut self, champion: f64, other: f64) {
        self.champion[bin_of(&self.edges, champion)] += 1;
        self.other[bin_of(&self.edges, other)] += 1;
    }
}

/// The index of two lists of counts of the same bins.
#[expect(clippy::cast_precision_loss, reason = "counts of rows are exact up to 2^53")]
pub(crate) fn psi(before: &[u64], after: &[u64]) -> f64 {
    let rows = |counts: &[u64]| counts.iter().sum::<u64>() as f64 + 0.5 * counts.len() as f64;
    let (rows_before, rows_after) = (rows(before), rows(after));
    let bins = before.iter().zip(after);
    bins.map(|(&before, &after)| {
        let (before, after) = ((before as f64 + 0.5) / rows_before, (after as f64 + 0.5) / rows_after);
        (after - before) * (after / before).ln()
    })
    .sum()
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "equal predictions have an index of exactly 0")]
mod tests {
    use super::*;

    #[test]
    fn edges_stay_where_the_first_rows_put_them() {
        let (mut few, mut many) = (PredictionShift::new(1000), PredictionShift::new(10_000));
        for row in 0..2_000_u32 {
            let value = f64::from(row.wrapping_mul(2_654_435_761) >> 8) / f64::from(1 << 24);
            few.add(value, value * value);
            many.add(value, value * value);
        }
        let (few, many) = (few.report().unwrap(), many.report().unwrap());
        assert_eq!((few.edges_of_first, many.edges_of_first), (Some(1000), None));
        assert_eq!(few.champion.iter().sum::<u64>(), 2_000);
        assert_eq!(many.champion, vec![200; 10]);
        assert!(
            (few.psi - many.psi).abs() < 0.02 && many.psi > 0.25,
            "{} {}",
            few.psi,
            many.psi
        );
    }

    #[test]
    fn equal_predictions_have_no_shift_and_none_have_no_index() {
        let mut shift = PredictionShift::new(100);
        assert_eq!(shift.report(), None);
        (0..50).for_each(|row| shift.add(f64::from(row % 7), f64::from(row % 7)));
        assert_eq!(shift.report().unwrap().psi, 0.0);
    }
}
