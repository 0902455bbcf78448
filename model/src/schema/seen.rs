//! Between which numbers the values of each feature lay in training, and which values lie far outside.
//!
//! A value a little beyond the largest of training is a usual one: of a few thousand rows each has its own largest. Far
//! outside is what lies further away than half the width of what was seen, and a sign that no value had.

/// The ranges of all features that have one.
#[derive(Debug, Clone, PartialEq)]
pub struct SeenRanges {
    /// In column order; none where nothing is known.
    seen: Vec<Option<(f64, f64)>>,
    /// The least and the greatest value that is not far outside; infinite where nothing is known.
    near: Vec<(f64, f64)>,
}

impl SeenRanges {
    /// Nothing is known of so many columns.
    pub(crate) fn none(columns: usize) -> Self {
        Self {
            seen: vec![None; columns],
            near: vec![(f64::NEG_INFINITY, f64::INFINITY); columns],
        }
    }

    pub(crate) fn set(&mut self, column: usize, (least, greatest): (f64, f64)) {
        let half = (greatest - least) / 2.0;
        let below = if least >= 0.0 {
            (least - half).max(0.0)
        } else {
            least - half
        };
        let above = if greatest <= 0.0 {
            (greatest + half).min(0.0)
        } else {
            greatest + half
        };
        self.seen[column] = Some((least, greatest));
        // Infinite ends have no width.
        self.near[column] = (
            if below.is_nan() { f64::NEG_INFINITY } else { below },
            if above.is_nan() { f64::INFINITY } else { above },
        );
    }

    /// The least and the greatest value of training; none where nothing is known.
    #[must_use]
    pub fn range(&self, column: usize) -> Option<(f64, f64)> {
        self.seen.get(column).copied().flatten()
    }

    /// Whether a value lies far outside. NaN does not.
    #[inline]
    #[must_use]
    pub fn is_far(&self, column: usize, value: f64) -> bool {
        self.near
            .get(column)
            .is_some_and(|&(below, above)| value < below || value > above)
    }

    /// The columns whose values lie far outside.
    pub fn far<'r>(&'r self, row: &'r [f64]) -> impl Iterator<Item = usize> + 'r {
        let values = self.near.iter().zip(row).enumerate();
        values.filter_map(|(column, (&(below, above), &value))| (value < below || value > above).then_some(column))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn far_outside_is_half_a_width_away_or_another_sign() {
        for (range, near, far) in [
            (
                (0.0, 11.0),
                &[0.0, 11.0, 14.0, 16.5, -0.0, f64::NAN][..],
                &[16.6, 1e9, -0.1, -999.0, f64::INFINITY][..],
            ),
            ((10.0, 20.0), &[5.0, 25.0], &[4.9, 25.1]),
            ((-5.0, 5.0), &[-10.0, 10.0], &[-10.1, 10.1]),
            ((-8.0, -2.0), &[-11.0, 0.0], &[-11.1, 0.1]),
            ((3.0, 3.0), &[3.0], &[2.9, 3.1]),
            ((f64::NEG_INFINITY, 5.0), &[-1e300, f64::INFINITY], &[]),
        ] {
            let mut seen = SeenRanges::none(2);
            seen.set(1, range);
            assert_eq!((seen.range(0), seen.range(1)), (None, Some(range)));
            for &value in near {
                assert!(!seen.is_far(1, value), "{value} in {range:?}");
                assert_eq!(seen.far(&[1e300, value]).count(), 0, "{value} in {range:?}");
            }
            for &value in far {
                assert!(seen.is_far(1, value), "{value} in {range:?}");
                assert_eq!(
                    seen.far(&[1e300, value]).collect::<Vec<_>>(),
                    [1],
                    "{value} in {range:?}"
                );
            }
        }
    }
}
