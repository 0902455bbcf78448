//! Compares two numbers: equal to the last bit, one unit in the last place apart, or different.

#![expect(clippy::float_cmp, reason = "equal to the last bit is what is asked")]

use quintile_model::Precision;

/// How far two numbers are apart, in units in the last place of the model's precision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Distance {
    /// The same number; NaN equals NaN, and zero equals zero with any sign.
    Equal,
    /// So many units apart.
    Units(u64),
    /// One of them is NaN.
    Nan,
}

impl Distance {
    /// Between our number and the text's number, which may have more digits than the precision: it is rounded to
    /// nearest first, as reading it into an array of that type does.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "the numbers of an f32 model are f32")]
    pub fn between(precision: Precision, ours: f64, expected: f64) -> Self {
        let (ours, expected) = match precision {
            Precision::F32 => (f64::from(ours as f32), f64::from(expected as f32)),
            Precision::F64 => (ours, expected),
        };
        if ours == expected || (ours.is_nan() && expected.is_nan()) {
            return Self::Equal;
        }
        if ours.is_nan() || expected.is_nan() {
            return Self::Nan;
        }
        Self::Units(match precision {
            Precision::F32 => {
                place(i64::from((ours as f32).to_bits().cast_signed()), i64::from(i32::MIN)).abs_diff(place(
                    i64::from((expected as f32).to_bits().cast_signed()),
                    i64::from(i32::MIN),
                ))
            }
            Precision::F64 => place(ours.to_bits().cast_signed(), i64::MIN)
                .abs_diff(place(expected.to_bits().cast_signed(), i64::MIN)),
        })
    }

    /// Whether it is at most this many units.
    #[must_use]
    pub fn is_within(self, units: u64) -> bool {
        match self {
            Self::Equal => true,
            Self::Units(apart) => apart <= units,
            Self::Nan => false,
        }
    }
}

/// The place of a float among all floats, by its bits as a signed number: neighbours are one apart.
fn place(bits: i64, negative_zero: i64) -> i64 {
    if bits < 0 { negative_zero - bits } else { bits }
}

/// How many rows are how near.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Rows of which every number is equal to the last bit.
    pub equal: usize,
    /// Rows with a number that is one unit off, and none further.
    pub one_unit: usize,
    /// All other rows.
    pub beyond: usize,
}

impl Tally {
    /// Counts a row by its worst number.
    pub(super) fn add(&mut self, worst: Distance) {
        match worst {
            Distance::Equal => self.equal += 1,
            Distance::Units(1) => self.one_unit += 1,
            Distance::Units(_) | Distance::Nan => self.beyond += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_counted_in_the_models_precision() {
        use Precision::{F32, F64};
        let third = f64::from(1.0f32 / 3.0);
        let next = f64::from(f32::from_bits((1.0f32 / 3.0).to_bits() + 1));
        for (precision, ours, expected, distance) in [
            (F32, third, third, Distance::Equal),
            (F32, third, 0.333_333_34, Distance::Equal),
            (F32, third, next, Distance::Units(1)),
            (F64, 0.1, 0.1, Distance::Equal),
            (F64, 0.1, f64::from_bits(0.1f64.to_bits() + 3), Distance::Units(3)),
            (F64, 0.0, -0.0, Distance::Equal),
            (F64, -f64::from_bits(1), f64::from_bits(1), Distance::Units(2)),
            (F32, f64::from(f32::MIN), f64::NEG_INFINITY, Distance::Units(1)),
            (F64, f64::NAN, f64::NAN, Distance::Equal),
            (F64, f64::NAN, 1.0, Distance::Nan),
        ] {
            assert_eq!(
                Distance::between(precision, ours, expected),
                distance,
                "{ours} {expected}"
            );
        }
        assert!(Distance::Units(1).is_within(1) && !Distance::Nan.is_within(u64::MAX));
    }
}
