//! Whether recorded scores come out again, to the last bit.

/// Differences that are reported one by one.
const DIFFERENCES_MAX: usize = 10;

/// How a recorded score came out again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reproduced {
    /// Its model is not here.
    NotAsked,
    /// It is equal to the last bit: margins, predictions and the score.
    Equal,
    /// It is not.
    Differs,
    /// It was not made by this program: SageMaker scored.
    Elsewhere,
    /// The row cannot be scored.
    Refused,
}

/// A number of a record that came out differently.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoreDifference {
    /// Which record.
    pub record_id: String,
    /// Which lead.
    pub lead_id: String,
    /// `margin`, `prediction` or `score`.
    pub what: &'static str,
    /// Which of the model's outputs, from 0.
    pub output: usize,
    /// What was recorded; NaN is null.
    pub recorded: f64,
    /// What came out now.
    pub now: f64,
}

/// How many recorded scores came out again.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reproduction {
    /// Equal to the last bit.
    pub equal: u64,
    /// Not equal.
    pub differing: u64,
    /// Scored by SageMaker, and so not compared.
    pub elsewhere: u64,
    /// Rows that the model does not take.
    pub refused: u64,
    /// The first differences, one a record.
    pub differences: Vec<ScoreDifference>,
}

impl Reproduction {
    /// Records of a model that is here.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.equal + self.differing + self.elsewhere + self.refused
    }

    /// Whether every score that was made here came out again.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.differing == 0 && self.refused == 0
    }

    pub(super) fn add(&mut self, reproduced: Reproduced, difference: Option<ScoreDifference>) {
        match reproduced {
            Reproduced::NotAsked => {}
            Reproduced::Equal => self.equal += 1,
            Reproduced::Differs => self.differing += 1,
            Reproduced::Elsewhere => self.elsewhere += 1,
            Reproduced::Refused => self.refused += 1,
        }
        if self.differences.len() < DIFFERENCES_MAX {
            self.differences.extend(difference);
        }
    }
}

/// The first number of two lists that is not the same to the last bit: which one, recorded and now. Null is NaN.
pub(super) fn first_difference(recorded: &[f64], now: &[f64]) -> Option<(usize, f64, f64)> {
    let is_same = |one: f64, other: f64| one.to_bits() == other.to_bits() || (one.is_nan() && other.is_nan());
    let at = |numbers: &[f64], place: usize| numbers.get(place).copied().unwrap_or(f64::NAN);
    let places = 0..recorded.len().max(now.len());
    let mut pairs = places.map(|place| (place, at(recorded, place), at(now, place)));
    pairs.find(|&(_, recorded, now)| !is_same(recorded, now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bit_is_a_difference() {
        let next = 0.5_f64.next_up();
        assert_eq!(first_difference(&[0.1, 0.5], &[0.1, next]), Some((1, 0.5, next)));
        assert_eq!(first_difference(&[0.0], &[-0.0]), Some((0, 0.0, -0.0)));
        assert_eq!(first_difference(&[f64::NAN, 1.0], &[-f64::NAN, 1.0]), None);
        assert_eq!(first_difference(&[1.0], &[1.0, 2.0]).map(|found| found.0), Some(1));
    }
}
