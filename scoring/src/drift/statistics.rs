//! How differently two samples are distributed over the same bins, and how surely.
//!
//! `n` and `m` are the values of the reference and of the current sample, `B` the bins.

use statrs::distribution::{ChiSquared, ContinuousCDF, Normal};

use crate::comparison::shift::psi;

/// Counts of both samples over the same bins: reference, current.
pub(super) type PairedCounts<'c> = (&'c [u64], &'c [u64]);

/// What two lists of counts say.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ShiftStatistics {
    /// The population stability index: the sum of `(q - p) ln(q / p)`, `p` and `q` being the shares of a bin in the reference
    /// and the current sample with half a count added to each bin.
    pub psi: f64,
    /// What the index is on average where nothing has changed: `(B - 1)(1/n + 1/m)`.
    pub psi_bias: f64,
    /// The Jensen-Shannon distance of plain shares, in base 2: 0 to 1.
    pub js: f64,
    /// The largest gap of cumulated shares (Kolmogorov-Smirnov).
    pub ks: f64,
    /// The statistic of the χ² test of homogeneity, over bins that are empty in one sample at most.
    pub chi2: f64,
    /// Its degrees of freedom.
    pub chi2_df: u64,
    /// Its p-value; 1 without a degree of freedom.
    pub chi2_p: f64,
}

impl ShiftStatistics {
    /// None where a sample has no values.
    pub(super) fn of((reference, current): PairedCounts<'_>) -> Option<Self> {
        let (n, m) = (total(reference), total(current));
        if n < 1.0 || m < 1.0 {
            return None;
        }
        let (chi2, chi2_df) = chi2((reference, current), n, m);
        Some(Self {
            psi: psi(reference, current),
            psi_bias: (number(reference.len() as u64) - 1.0) * (1.0 / n + 1.0 / m),
            js: js((reference, current), n, m),
            ks: ks((reference, current), n, m),
            chi2,
            chi2_df,
            chi2_p: chi2_tail(chi2, chi2_df),
        })
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of rows are exact up to 2^53")]
pub(super) fn number(count: u64) -> f64 {
    count as f64
}

fn total(counts: &[u64]) -> f64 {
    number(counts.iter().sum())
}

fn js((reference, current): PairedCounts<'_>, n: f64, m: f64) -> f64 {
    let part = |share: f64, middle: f64| {
        if share > 0.0 {
            share * (share / middle).log2()
        } else {
            0.0
        }
    };
    let bins = reference.iter().zip(current);
    let divergence: f64 = bins
        .map(|(&before, &after)| {
            let (p, q) = (number(before) / n, number(after) / m);
            let middle = f64::midpoint(p, q);
            (part(p, middle) + part(q, middle)) / 2.0
        })
        .sum();
    // Rounding may leave a little below 0.
    divergence.max(0.0).sqrt()
}

fn ks((reference, current): PairedCounts<'_>, n: f64, m: f64) -> f64 {
    let (mut before, mut after, mut gap) = (0, 0, 0.0_f64);
    for (&one, &other) in reference.iter().zip(current) {
        before += one;
        after += other;
        gap = gap.max((number(before) / n - number(after) / m).abs());
    }
    gap
}

fn chi2((reference, current): PairedCounts<'_>, n: f64, m: f64) -> (f64, u64) {
    let (mut statistic, mut bins) = (0.0, 0);
    for (&before, &after) in reference.iter().zip(current) {
        let both = number(before) + number(after);
        if both < 1.0 {
            continue;
        }
        bins += 1;
        for (count, size) in [(before, n), (after, m)] {
            let expected = both * size / (n + m);
            statistic += (number(count) - expected).powi(2) / expected;
        }
    }
    (statistic, bins.max(1) - 1)
}

fn chi2_tail(statistic: f64, degrees: u64) -> f64 {
    match ChiSquared::new(number(degrees)) {
        Ok(distribution) if degrees > 0 => distribution.sf(statistic),
        _ => 1.0,
    }
}

/// The two-sided p-value of the z-test that two shares are one: `hits` of `rows` in each sample, pooled, without a
/// correction. None where a sample has no rows.
pub(super) fn share_p((hits, rows): (u64, u64), (other_hits, other_rows): (u64, u64)) -> Option<f64> {
    if rows == 0 || other_rows == 0 {
        return None;
    }
    let (n, m) = (number(rows), number(other_rows));
    let pooled = (number(hits) + number(other_hits)) / (n + m);
    let deviation = (pooled * (1.0 - pooled) * (1.0 / n + 1.0 / m)).sqrt();
    if deviation <= 0.0 {
        return Some(1.0);
    }
    let z = (number(hits) / n - number(other_hits) / m) / deviation;
    Some(2.0 * Normal::standard().sf(z.abs()))
}

/// The quantile of the normal distribution for an interval of 95 %.
const Z_95: f64 = 1.959_963_984_540_054;

/// Wilson's interval of 95 % for a share; none without rows.
pub(crate) fn wilson(hits: u64, rows: u64) -> Option<[f64; 2]> {
    if rows == 0 {
        return None;
    }
    let (n, share) = (number(rows), number(hits) / number(rows));
    let z2 = Z_95 * Z_95;
    let middle = (share + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half = Z_95 * (share * (1.0 - share) / n + z2 / (4.0 * n * n)).sqrt() / (1.0 + z2 / n);
    Some([(middle - half).max(0.0), (middle + half).min(1.0)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(one: f64, other: f64) {
        assert!((one - other).abs() <= 1e-9 * other.abs().max(1e-3), "{one} {other}");
    }

    /// With two degrees of freedom the tail of χ² is `exp(-x / 2)`.
    #[test]
    fn statistics_are_what_their_definitions_say() {
        let (reference, current) = ([50, 30, 20, 0], [20, 30, 40, 0]);
        let found = ShiftStatistics::of((&reference, &current)).unwrap();
        near(found.chi2, 19.050_264_550_264_544);
        assert_eq!(found.chi2_df, 2);
        near(found.chi2_p, (-found.chi2 / 2.0).exp());
        near(found.ks, 5.0 / 18.0);
        near(found.psi_bias, 3.0 * (1.0 / 100.0 + 1.0 / 90.0));
        assert!(ShiftStatistics::of((&[0, 0], &[1, 2])).is_none());
        let same = ShiftStatistics::of((&[5], &[9])).unwrap();
        assert_eq!((same.chi2_df, same.chi2_p.to_bits()), (0, 1.0_f64.to_bits()));
        assert_eq!(same.psi.to_bits(), 0.0_f64.to_bits());
        let apart = ShiftStatistics::of((&[7, 0], &[0, 9])).unwrap();
        near(apart.js, 1.0);
        near(apart.ks, 1.0);
    }

    #[test]
    fn shares_are_compared_and_have_intervals() {
        near(share_p((10, 100), (30, 100)).unwrap(), 4.069_520_174_449_609e-4);
        near(share_p((0, 5), (0, 9)).unwrap(), 1.0);
        assert!(share_p((0, 0), (1, 9)).is_none());
        let [low, high] = wilson(8, 10).unwrap();
        near(low, 0.490_162_471_536_641_83);
        near(high, 0.943_317_848_545_624_7);
        assert!(wilson(0, 0).is_none());
    }
}
