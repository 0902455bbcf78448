//! What shards count of each model: a block for each slot, so that counting looks nothing up.

/// Upper bounds of latency histograms: 1, 2, 5 of every decade from 1 µs to 10 s, in nanoseconds.
pub const BUCKETS_NS: [u64; 22] = {
    let mut bounds = [0; 22];
    let (mut index, mut decade) = (0, 1_000);
    while index < bounds.len() {
        bounds[index] = decade * [1, 2, 5][index % 3];
        index += 1;
        if index % 3 == 0 {
            decade *= 10;
        }
    }
    bounds
};

/// Which model has scored a lead, and as what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScoredBy {
    /// The model's slot.
    pub slot: usize,
    /// The number of the version in that slot: another version may have had it before.
    pub number: u64,
    /// Whether it stood in for the champion.
    pub is_challenger: bool,
    /// The split that gave it the lead, if one did.
    pub split: Option<u64>,
}

/// Leads that a model has scored in one role.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RoleCounts {
    /// By band; place 0 is for models without bands.
    pub scores: [u64; 6],
    /// Leads that came alone, by the first of [`BUCKETS_NS`] that their latency is not above.
    pub buckets: [u64; BUCKETS_NS.len()],
    /// Leads that came alone.
    pub timed: u64,
    /// What they took together.
    pub sum_ns: u64,
}

/// What one model has scored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ModelCounts {
    /// The version's number; 0 while nothing was counted.
    pub number: u64,
    /// As champion, and as challenger.
    pub roles: [RoleCounts; 2],
    /// The split of `by_split`.
    pub split: u64,
    /// Leads that this split gave it.
    pub by_split: u64,
}

impl RoleCounts {
    /// All leads.
    #[must_use]
    pub fn leads(&self) -> u64 {
        self.scores.iter().sum()
    }

    fn add(&mut self, other: &Self) {
        for (sum, more) in self.scores.iter_mut().zip(other.scores) {
            *sum += more;
        }
        for (sum, more) in self.buckets.iter_mut().zip(other.buckets) {
            *sum += more;
        }
        self.timed += other.timed;
        self.sum_ns = self.sum_ns.saturating_add(other.sum_ns);
    }
}

impl ModelCounts {
    /// Counts one scored lead; `latency_ns` is that of a lead that came alone.
    #[inline]
    pub fn scored(&mut self, by: &ScoredBy, score: Option<u8>, latency_ns: Option<u64>) {
        if self.number != by.number {
            *self = Self {
                number: by.number,
                ..Self::default()
            };
        }
        let counts = &mut self.roles[usize::from(by.is_challenger)];
        counts.scores[usize::from(score.unwrap_or(0)).min(5)] += 1;
        if let Some(latency_ns) = latency_ns {
            let bucket = BUCKETS_NS.partition_point(|&bound_ns| bound_ns < latency_ns);
            if let Some(count) = counts.buckets.get_mut(bucket) {
                *count += 1;
            }
            counts.timed += 1;
            counts.sum_ns = counts.sum_ns.saturating_add(latency_ns);
        }
        if let Some(split) = by.split {
            if self.split != split {
                (self.split, self.by_split) = (split, 0);
            }
            self.by_split += 1;
        }
    }

    /// Adds another block of the same version. The counts of a split that another one follows are not added to it.
    pub fn add(&mut self, other: &Self) {
        self.number = other.number;
        for (sum, more) in self.roles.iter_mut().zip(&other.roles) {
            sum.add(more);
        }
        if other.split > self.split {
            (self.split, self.by_split) = (other.split, 0);
        }
        if other.split == self.split {
            self.by_split += other.by_split;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by(number: u64, is_challenger: bool, split: Option<u64>) -> ScoredBy {
        ScoredBy {
            slot: 0,
            number,
            is_challenger,
            split,
        }
    }

    #[test]
    fn another_version_in_the_slot_begins_at_zero() {
        let mut counts = ModelCounts::default();
        counts.scored(&by(1, false, None), Some(5), Some(3_000));
        counts.scored(&by(1, true, Some(7)), None, None);
        assert_eq!(counts.roles[0].buckets[2], 1);
        assert_eq!((counts.roles[1].leads(), counts.by_split), (1, 1));
        counts.scored(&by(2, true, Some(8)), Some(9), Some(u64::MAX));
        assert_eq!(
            (counts.number, counts.roles[0].leads(), counts.roles[1].scores[5]),
            (2, 0, 1)
        );
        assert_eq!((counts.split, counts.by_split, counts.roles[1].timed), (8, 1, 1));
    }

    #[test]
    fn sums_keep_the_last_split_alone() {
        let block = |split, leads| {
            let mut block = ModelCounts::default();
            for _ in 0..leads {
                block.scored(&by(1, false, Some(split)), Some(1), Some(1_000));
            }
            block
        };
        let mut sum = ModelCounts::default();
        for (split, leads) in [(1, 3), (2, 4), (1, 5), (2, 6)] {
            sum.add(&block(split, leads));
        }
        assert_eq!((sum.split, sum.by_split, sum.roles[0].leads()), (2, 10, 18));
        assert_eq!((sum.roles[0].buckets[0], sum.roles[0].sum_ns), (18, 18_000));
    }
}
