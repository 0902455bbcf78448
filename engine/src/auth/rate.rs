//! The rate of each principal: a token bucket as one number, the time at which it would be full again (GCRA).
//!
//! A principal's connections are on many shards, so the buckets are the process's: a table of atomic numbers, without a
//! lock. Two shards that count at the same time may let one request more through. A principal whose bucket is full again
//! leaves no trace, so the table holds those that were active within `burst / rate` seconds; beyond its size principals
//! whose numbers meet share a bucket.

use std::sync::atomic::{AtomicU64, Ordering};

/// Buckets. Unit: principals that are active at once.
const BUCKETS: usize = 1 << 14;

/// Places that a principal may have.
const PLACES: usize = 16;

/// What a principal may ask.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RateSettings {
    /// Requests a second.
    pub rate: f64,
    /// Requests at once.
    pub burst: u32,
}

/// Whose bucket it is, and when it is full again, in nanoseconds since the process's start.
#[derive(Debug, Default)]
struct Bucket {
    owner: AtomicU64,
    full_at_ns: AtomicU64,
}

/// The buckets of all principals.
#[derive(Debug)]
pub struct RateLimiter(Box<[Bucket]>);

impl Default for RateLimiter {
    fn default() -> Self {
        Self((0..BUCKETS).map(|_| Bucket::default()).collect())
    }
}

impl RateLimiter {
    /// Takes one request out of a principal's bucket.
    ///
    /// # Errors
    /// Nanoseconds until there is one.
    pub fn take(&self, principal: u64, now_ns: u64, settings: RateSettings) -> Result<(), u64> {
        // 0 is nobody's.
        let owner = principal.max(1);
        let bucket = self.bucket(owner, now_ns);
        let (step_ns, room_ns) = (step_ns(settings.rate), u64::from(settings.burst.max(1)));
        let room_ns = step_ns.saturating_mul(room_ns);
        let mut full_at_ns = bucket.full_at_ns.load(Ordering::Relaxed);
        loop {
            let next_ns = full_at_ns.max(now_ns).saturating_add(step_ns);
            let ahead_ns = next_ns - now_ns;
            if ahead_ns > room_ns {
                return Err(ahead_ns - room_ns);
            }
            let order = Ordering::Relaxed;
            match bucket
                .full_at_ns
                .compare_exchange_weak(full_at_ns, next_ns, order, order)
            {
                Ok(_) => return Ok(()),
                Err(other) => full_at_ns = other,
            }
        }
    }

    /// The principal's bucket: the one it has, or one that is full and so nobody's any more.
    fn bucket(&self, owner: u64, now_ns: u64) -> &Bucket {
        // The number is a hash already; buckets are a power of two.
        let first = usize::try_from(owner >> 20).unwrap_or_default();
        let places = || (0..PLACES).map(move |place| &self.0[(first + place) % BUCKETS]);
        if let Some(own) = places().find(|bucket| bucket.owner.load(Ordering::Relaxed) == owner) {
            return own;
        }
        for bucket in places() {
            let other = bucket.owner.load(Ordering::Relaxed);
            let is_free = other == 0 || bucket.full_at_ns.load(Ordering::Relaxed) <= now_ns;
            let order = Ordering::Relaxed;
            if is_free && bucket.owner.compare_exchange(other, owner, order, order).is_ok() {
                return bucket;
            }
        }
        &self.0[first % BUCKETS]
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate is positive, and a float becomes the nearest number there is"
)]
fn step_ns(rate: f64) -> u64 {
    (1e9 / rate).ceil() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let limiter = RateLimiter::default();
        let settings = RateSettings { rate: 2.0, burst: 3 };
        let begin = 5 * SECOND;
        for _ in 0..3 {
            assert_eq!(limiter.take(7, begin, settings), Ok(()));
        }
        assert_eq!(limiter.take(7, begin, settings), Err(SECOND / 2));
        assert_eq!(limiter.take(8, begin, settings), Ok(()), "another's is its own");
        assert_eq!(limiter.take(7, begin + SECOND / 2, settings), Ok(()));
        assert!(limiter.take(7, begin + SECOND / 2, settings).is_err());
        // After a long pause it has its burst again, and no more.
        let later = begin + 100 * SECOND;
        let taken = (0..10).filter(|_| limiter.take(7, later, settings).is_ok()).count();
        assert_eq!(taken, 3);
    }

    #[test]
    fn many_principals_have_buckets_of_their_own() {
        let limiter = RateLimiter::default();
        let settings = RateSettings { rate: 1.0, burst: 1 };
        let hash = |number: u64| number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for number in 1..4_000 {
            assert_eq!(limiter.take(hash(number), SECOND, settings), Ok(()), "{number}");
            assert!(limiter.take(hash(number), SECOND, settings).is_err());
        }
        // When they are full again, others have room.
        for number in 4_000..14_000 {
            assert_eq!(limiter.take(hash(number), number * 3 * SECOND, settings), Ok(()));
        }
    }
}
