//! Pauses that double, up to a cap, each shortened by chance so that many servers do not come back at the same moment.

use std::time::Duration;

/// No pause is longer: an outage that ends is noticed within this time.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// The next pause of something that keeps failing.
#[derive(Debug, Clone)]
pub(super) struct Backoff {
    first: Duration,
    failures: u32,
}

impl Backoff {
    pub(super) fn new(first: Duration) -> Self {
        Self { first, failures: 0 }
    }

    /// The pause after one more failure.
    pub(super) fn next(&mut self) -> Duration {
        let pause = self.after(self.failures);
        self.failures = self.failures.saturating_add(1);
        pause
    }

    /// The pause after a failure that came after this many others.
    pub(super) fn after(&self, failures: u32) -> Duration {
        let whole = self.first.saturating_mul(1 << failures.min(16)).min(PAUSE_MAX);
        whole.mul_f64(0.5 + 0.5 * fastrand::f64())
    }

    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_to_a_cap_and_are_shortened_by_half_at_most() {
        let mut backoff = Backoff::new(Duration::from_millis(100));
        for failures in 0..40 {
            let whole = Duration::from_millis(100 << failures.min(20)).min(PAUSE_MAX);
            let pause = backoff.next();
            assert!(pause <= whole && pause >= whole / 2, "{pause:?} after {failures}");
        }
        backoff.reset();
        assert!(backoff.next() <= Duration::from_millis(100));
    }

    #[test]
    fn two_pauses_are_not_the_same() {
        let backoff = Backoff::new(Duration::from_secs(1));
        let first = backoff.after(3);
        assert!((0..100).any(|_| backoff.after(3) != first));
    }
}
