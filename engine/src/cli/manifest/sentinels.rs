//! Numbers that programs write where a value is missing, found among the values of one feature.

/// What is looked for, the ones that lie farthest from usual values first.
const SENTINELS: [f64; 12] = [
    -999_999.0, -99_999.0, -9_999.0, -999.0, -99.0, -1.0, 999_999.0, 99_999.0, 9_999.0, 999.0, 99.0, 0.0,
];

/// Rows that must have one before it is reported: this number, and one in a hundred.
const ROWS_MIN: u64 = 5;

/// How often each of them occurs, and between which numbers all other values lie.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sentinels {
    counts: [u64; SENTINELS.len()],
    others: (f64, f64),
}

impl Sentinels {
    pub(super) const NONE: Self = Self {
        counts: [0; SENTINELS.len()],
        others: (f64::INFINITY, f64::NEG_INFINITY),
    };

    pub(super) fn add(&mut self, value: f64) {
        #[expect(clippy::float_cmp, reason = "programs write these very numbers, and -0.0 is 0")]
        let place = SENTINELS.iter().position(|&one| one == value);
        match place {
            Some(place) => self.counts[place] += 1,
            None => self.others = widened(self.others, value),
        }
    }

    /// Those that occur often and far from the other values, with the rows that hold them.
    pub(super) fn found(&self, rows: u64) -> Vec<(f64, u64)> {
        let mut left = self.counts;
        let mut found = Vec::new();
        for (place, (&one, &count)) in SENTINELS.iter().zip(&self.counts).enumerate() {
            let is_often = count >= ROWS_MIN && count.saturating_mul(100) >= rows;
            left[place] = 0;
            let present = SENTINELS.iter().zip(&left).filter(|&(_, &count)| count > 0);
            let others = present.fold(self.others, |others, (&value, _)| widened(others, value));
            if is_often && is_far(one, others) {
                found.push((one, count));
            } else {
                left[place] = count;
            }
        }
        found
    }
}

fn widened((least, greatest): (f64, f64), value: f64) -> (f64, f64) {
    (least.min(value), greatest.max(value))
}

/// Whether a number lies where none of the other values is likely to.
fn is_far(one: f64, (least, greatest): (f64, f64)) -> bool {
    let width = greatest - least;
    // The distance to the nearest of them; below zero where it lies among them.
    let gap = (least - one).max(one - greatest);
    if !width.is_finite() || gap <= 0.0 {
        return false;
    }
    match one {
        // Years, weights: nothing between 0 and them. A count or a flag has 0 as a value.
        0.0 => width >= 5.0 && gap >= 2.0 * width,
        -1.0 => least >= 0.0 && greatest >= 2.0,
        _ if one < 0.0 => least >= -1.0 || gap >= width,
        _ => gap >= width,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(values: impl IntoIterator<Item = f64>) -> Vec<(f64, u64)> {
        let (mut sentinels, mut rows) = (Sentinels::NONE, 0);
        for value in values {
            sentinels.add(value);
            rows += 1;
        }
        sentinels.found(rows)
    }

    fn many(values: std::ops::Range<i32>) -> impl Iterator<Item = f64> {
        values.cycle().take(200).map(f64::from)
    }

    fn with(values: std::ops::Range<i32>, one: f64, count: usize) -> Vec<(f64, u64)> {
        found(many(values).chain(std::iter::repeat_n(one, count)))
    }

    #[test]
    fn numbers_far_from_all_others_are_found() {
        for (values, one) in [
            (0..200, -999.0),
            (-1..200, -9_999.0),
            (-50..50, -999.0),
            (18..95, 999.0),
            (1..6, 99.0),
            (0..7, -1.0),
            (1950..2020, 0.0),
        ] {
            assert_eq!(with(values.clone(), one, 30), [(one, 30)], "{values:?} {one}");
        }
        let both = many(0..50).chain([-1.0; 6]).chain([-999.0; 9]);
        assert_eq!(found(both), [(-999.0, 9), (-1.0, 6)]);
    }

    #[test]
    fn usual_values_are_not() {
        for (values, one) in [
            // Among the others, or next to them.
            (-1_100..-900, -999.0),
            (18..98, 99.0),
            (-30..41, -99.0),
            // Counts, flags, signs.
            (0..20, 0.0),
            (1..5, 0.0),
            (1..2, 0.0),
            (0..2, -1.0),
            (-5..5, -1.0),
        ] {
            assert_eq!(with(values.clone(), one, 30), [], "{values:?} {one}");
        }
        assert_eq!(with(0..200, -999.0, 4), [], "too few");
        let crowd = (0..2_000).map(|value| f64::from(value % 200));
        assert_eq!(found(crowd.chain([-999.0; 6])), [], "too few of so many");
        assert_eq!(found([-999.0; 50]), [], "nothing else to be far from");
        assert_eq!(found([f64::INFINITY; 50].into_iter().chain([-999.0; 50])), []);
    }
}
