//! Ids of records: UUIDs of version 7 (RFC 9562), one source for each shard.
//!
//! ```text
//!  48 bits  milliseconds since 1970        ┐ together a clock in steps of 1/4096 ms,
//!   4 bits  version 7                      │ which a shard moves on by at least one step an id
//!  12 bits  the millisecond's 4096ths      ┘ (RFC 9562, method 3)
//!   2 bits  variant
//!   8 bits  shard
//!  54 bits  nonce of the process
//! ```
//! Unique within a shard because the clock part never repeats, across shards by the shard's number, across processes by
//! the nonce. When the system's clock stops or goes back, ids continue from the last one; a record's time is still the
//! system's. Beyond 4 million ids a second the clock part would run ahead of the time; nothing else would break.

use uuid::Uuid;

use crate::limits::SHARDS_MAX;

const FRACTION_BITS: u32 = 12;
const CLOCK_MASK: u64 = (1 << (48 + FRACTION_BITS)) - 1;
const NONCE_BITS: u32 = 54;

const _: () = assert!(SHARDS_MAX <= 1 << 8, "the shard takes eight bits of an id");

/// Makes the ids of one shard.
#[derive(Debug)]
pub struct IdSource {
    next: u64,
    low: u64,
}

impl IdSource {
    /// `nonce` is a random number of the process; 54 of its bits are used.
    ///
    /// # Panics
    /// When the shard is not below [`SHARDS_MAX`].
    #[must_use]
    pub fn new(shard: u16, nonce: u64) -> Self {
        assert!(usize::from(shard) < SHARDS_MAX, "shard {shard} has no room in an id");
        let nonce = nonce & ((1 << NONCE_BITS) - 1);
        Self {
            next: 0,
            low: 0b10 << 62 | u64::from(shard) << NONCE_BITS | nonce,
        }
    }

    /// Goes on behind an id of another process, where the clock was set back since.
    pub fn follow(&mut self, latest: Uuid) {
        let (high, _) = latest.as_u64_pair();
        let clock = (high >> 16) << FRACTION_BITS | high & ((1 << FRACTION_BITS) - 1);
        self.next = self.next.max(clock + 1);
    }

    /// The next id: above all before it, and at `time_us` microseconds since 1970 if that is later than the last.
    pub fn next(&mut self, time_us: i64) -> Uuid {
        let time_us = u64::try_from(time_us).unwrap_or(0);
        let milliseconds = time_us / 1000;
        let fraction = ((time_us % 1000) << FRACTION_BITS) / 1000;
        let clock = (milliseconds << FRACTION_BITS | fraction).max(self.next) & CLOCK_MASK;
        self.next = clock + 1;
        let version = 7 << FRACTION_BITS;
        let high = (clock >> FRACTION_BITS) << 16 | version | clock & ((1 << FRACTION_BITS) - 1);
        Uuid::from_u64_pair(high, self.low)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// 2026-11-24, in microseconds.
    const NOW_US: i64 = 1_795_500_000_000_000;

    #[test]
    fn ids_rise_whatever_the_clock_does() {
        let mut ids = IdSource::new(3, 99);
        let mut last = Uuid::nil();
        let steps = [
            0,
            0,
            1,
            0,
            -1,
            -5_000_000,
            0,
            1_000,
            999,
            1,
            3_600_000_000,
            -3_600_000_000,
            i64::MIN / 4,
        ];
        let mut time_us = NOW_US;
        for round in 0..10_000 {
            time_us = time_us.saturating_add(steps[round % steps.len()]);
            let id = ids.next(time_us);
            assert!(id > last, "{id} does not follow {last}");
            assert_eq!((id.get_version_num(), id.get_variant()), (7, uuid::Variant::RFC4122));
            last = id;
        }
    }

    #[test]
    fn ids_follow_those_of_another_process() {
        let latest = IdSource::new(200, 5).next(NOW_US);
        let mut ids = IdSource::new(0, 1);
        ids.follow(latest);
        let next = ids.next(NOW_US - 3_600_000_000);
        assert!(next > latest && ids.next(0) > next);
    }

    #[test]
    fn an_id_tells_its_millisecond() {
        for time_us in [0, 1, 999, 1000, NOW_US, NOW_US + 123_456] {
            let id = IdSource::new(0, 0).next(time_us);
            let milliseconds = i64::try_from(id.as_u128() >> 80).unwrap();
            assert_eq!(milliseconds, time_us / 1000);
        }
    }

    #[test]
    fn microseconds_order_ids_of_different_shards() {
        let (mut early, mut late) = (IdSource::new(9, 1), IdSource::new(2, 1));
        for step in 0..1000 {
            assert!(early.next(NOW_US + 2 * step) < late.next(NOW_US + 2 * step + 1));
        }
    }

    #[test]
    fn ids_are_unique_across_shards_and_processes() {
        let mut seen = HashSet::new();
        for shard in [0, 1, 2, 255] {
            for nonce in [0, 1, u64::MAX] {
                let mut ids = IdSource::new(shard, nonce);
                for _ in 0..1000 {
                    assert!(seen.insert(ids.next(NOW_US)));
                }
            }
        }
    }

    #[test]
    fn far_times_do_not_panic() {
        let mut ids = IdSource::new(0, 0);
        for time_us in [i64::MIN, -1, i64::MAX, 0] {
            assert_eq!(ids.next(time_us).get_version_num(), 7);
        }
    }
}
