//! How far the predictions of two models are apart on the same rows.

/// Rows whose predictions by the first model say where the bins of the stability index end.
const REFERENCE_ROWS: usize = 1_000;

/// Bins of the stability index.
const BINS: usize = 10;

/// Rows that each bin counts as having beside its own, so that an empty one is not infinitely far away.
const ROWS_BESIDE: f64 = 0.5;

/// What the comparison of two models has come to so far.
#[derive(Debug, Clone, Default)]
pub struct Comparison {
    rows: u64,
    sum_difference: f64,
    max_difference: f64,
    /// Rows by the bands of both: the first model's down, the second's across.
    bands: [[u64; 5]; 5],
    /// Both predictions of the first rows.
    first: Vec<(f64, f64)>,
    /// Where the bins end, and how many rows each model has in each, from [`REFERENCE_ROWS`] on.
    bins: Option<Bins>,
}

#[derive(Debug, Clone)]
struct Bins {
    ends: Vec<f64>,
    counts: [Vec<u64>; 2],
}

impl Comparison {
    /// Adds a row: prediction and band of each.
    pub fn add(&mut self, (one, one_band): (f64, Option<u8>), (other, other_band): (f64, Option<u8>)) {
        self.rows += 1;
        let difference = (one - other).abs();
        if difference.is_finite() {
            self.sum_difference += difference;
            self.max_difference = self.max_difference.max(difference);
        }
        if let (Some(one @ 1..=5), Some(other @ 1..=5)) = (one_band, other_band) {
            self.bands[usize::from(one) - 1][usize::from(other) - 1] += 1;
        }
        match &mut self.bins {
            Some(bins) => bins.add(one, other),
            None => {
                self.first.push((one, other));
                if self.first.len() == REFERENCE_ROWS {
                    self.bins = Some(Bins::new(&self.first));
                    self.first = Vec::new();
                }
            }
        }
    }

    /// Rows that were compared.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The mean of the absolute differences; 0 without rows.
    #[must_use]
    pub fn mean_difference(&self) -> f64 {
        self.sum_difference / float(self.rows.max(1))
    }

    /// The largest absolute difference.
    #[must_use]
    pub fn max_difference(&self) -> f64 {
        self.max_difference
    }

    /// Rows by the bands of both models.
    #[must_use]
    pub fn bands(&self) -> &[[u64; 5]; 5] {
        &self.bands
    }

    /// The part of the rows that have the same band from both; none when no row has bands.
    #[must_use]
    pub fn agreement(&self) -> Option<f64> {
        let all: u64 = self.bands.as_flattened().iter().sum();
        let same: u64 = (0..5).map(|band| self.bands[band][band]).sum();
        (all > 0).then(|| float(same) / float(all))
    }

    /// The population stability index of the second model's predictions, over tenths of the first's.
    #[must_use]
    pub fn psi(&self) -> f64 {
        match &self.bins {
            Some(bins) => bins.psi(),
            None if self.first.is_empty() => 0.0,
            None => Bins::new(&self.first).psi(),
        }
    }
}

impl Bins {
    fn new(rows: &[(f64, f64)]) -> Self {
        let mut reference: Vec<f64> = rows.iter().map(|&(one, _)| one).collect();
        reference.sort_by(f64::total_cmp);
        let mut ends: Vec<f64> = (1..BINS)
            .map(|bin| reference[bin * (reference.len() - 1) / BINS])
            .collect();
        ends.dedup_by(|next, last| next.total_cmp(last).is_eq());
        let empty = vec![0; ends.len() + 1];
        let mut bins = Self {
            ends,
            counts: [empty.clone(), empty],
        };
        for &(one, other) in rows {
            bins.add(one, other);
        }
        bins
    }

    fn add(&mut self, one: f64, other: f64) {
        for (value, counts) in [one, other].into_iter().zip(&mut self.counts) {
            let bin = self.ends.partition_point(|end| end.total_cmp(&value).is_lt());
            counts[bin] += 1;
        }
    }

    fn psi(&self) -> f64 {
        let parts = |counts: &[u64]| -> Vec<f64> {
            let all = float(counts.iter().sum()) + ROWS_BESIDE * float(counts.len() as u64);
            counts.iter().map(|&count| (float(count) + ROWS_BESIDE) / all).collect()
        };
        let (expected, actual) = (parts(&self.counts[0]), parts(&self.counts[1]));
        let terms = expected
            .iter()
            .zip(&actual)
            .map(|(expected, actual)| (actual - expected) * (actual / expected).ln());
        terms.sum()
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of rows")]
fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compared(rows: usize, other: impl Fn(f64) -> f64) -> Comparison {
        let mut comparison = Comparison::default();
        for row in 0..rows {
            let one = (row * 7919 % 1000) as f64 / 1000.0;
            let band = |value: f64| Some(1 + (value.clamp(0.0, 0.999) * 5.0) as u8);
            let other = other(one);
            comparison.add((one, band(one)), (other, band(other)));
        }
        comparison
    }

    #[test]
    fn the_same_predictions_are_no_distance_apart() {
        for rows in [1, 50, 999, 5_000] {
            let same = compared(rows, |one| one);
            assert!(same.psi().abs() < 1e-12 && same.max_difference() == 0.0, "{rows}");
            assert_eq!(same.agreement(), Some(1.0));
        }
        assert_eq!(
            (Comparison::default().psi(), Comparison::default().agreement()),
            (0.0, None)
        );
    }

    #[test]
    fn a_shift_is_seen_before_and_behind_the_reference_rows() {
        for rows in [100, 5_000] {
            let near = compared(rows, |one| one + 0.001);
            let far = compared(rows, |one| one * 0.5);
            assert!(near.psi() < 0.05, "{rows}: {}", near.psi());
            assert!(far.psi() > 0.5, "{rows}: {}", far.psi());
            assert!((near.mean_difference() - 0.001).abs() < 1e-9);
            assert!(far.agreement().is_some_and(|part| part < 0.6));
            let below: u64 = (0..5)
                .flat_map(|one| (one + 1..5).map(move |other| (one, other)))
                .map(|(one, other)| far.bands()[one][other])
                .sum();
            assert_eq!(below, 0, "none is moved up");
        }
    }
}
