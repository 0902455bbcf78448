//! Log lines about one and the same problem, no more often than a reader wants them.

use std::time::{Duration, Instant};

/// Between two lines about the same problem, unless another time is given.
const EVERY: Duration = Duration::from_secs(1);

/// Says when the next line about a problem may be written.
#[derive(Debug)]
pub(crate) struct LogLimiter {
    every: Duration,
    last: Option<Instant>,
}

impl Default for LogLimiter {
    fn default() -> Self {
        Self::every(EVERY)
    }
}

impl LogLimiter {
    /// One line in this time.
    pub(crate) fn every(every: Duration) -> Self {
        Self { every, last: None }
    }

    /// Whether a line may be written now; if so, it counts as written.
    pub(crate) fn may_log(&mut self, now: Instant) -> bool {
        let may = self.last.is_none_or(|last| now.duration_since(last) >= self.every);
        if may {
            self.last = Some(now);
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_uses_up_its_time_and_a_suppressed_one_does_not() {
        let mut limiter = LogLimiter::every(Duration::from_secs(1));
        let began = Instant::now();
        let at = |millis| began + Duration::from_millis(millis);
        let may = [0, 999, 1_000, 1_500, 2_000].map(|millis| limiter.may_log(at(millis)));
        assert_eq!(may, [true, false, true, false, true]);
    }
}
