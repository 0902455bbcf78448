//! When requests are due. Pure: a schedule knows neither clocks nor sockets, only nanoseconds since the run began.
//!
//! Latency counts from these times and not from when a request could be sent: a server that stalls delays every request
//! that was due in that time, and each latency shows it. That is what "free of coordinated omission" means.

use crate::units::{NANOSECONDS, whole};

/// How requests arrive.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Arrivals {
    /// A new request whenever an answer has come: a closed loop, which measures what a server can do and not how long
    /// clients wait that do not know of each other.
    Saturate,
    /// Equal gaps. Unit: requests a second.
    Constant(f64),
    /// Gaps of chance, as independent clients make them: exponentially distributed with this mean rate.
    Poisson(f64),
    /// Equal steps from one rate to another over so many seconds.
    Ramp {
        /// Requests a second at the beginning.
        from: f64,
        /// Requests a second at the end.
        to: f64,
        /// How long. Unit: seconds.
        seconds: f64,
    },
}

/// The requests of one worker out of several that share a run.
#[derive(Debug)]
pub struct Schedule {
    arrivals: Arrivals,
    worker: u64,
    workers: u64,
    drawn: u64,
    at_ns: u64,
    poisson_ns: f64,
    random: fastrand::Rng,
    end_ns: u64,
    count_max: u64,
}

impl Schedule {
    /// The share of `worker` (from 0) of `workers`, until `end_ns`, and of at most `count_max` requests in all.
    #[must_use]
    pub fn new(arrivals: Arrivals, (worker, workers): (u64, u64), end_ns: u64, count_max: u64, seed: u64) -> Self {
        let mut schedule = Self {
            arrivals,
            worker,
            workers,
            drawn: 0,
            at_ns: 0,
            poisson_ns: 0.0,
            random: fastrand::Rng::with_seed(seed.wrapping_add(worker)),
            end_ns,
            count_max: (count_max + workers - 1 - worker) / workers,
        };
        schedule.at_ns = schedule.time_of(0);
        schedule
    }

    /// Whether a request is due as soon as a connection is free.
    #[must_use]
    pub fn is_closed_loop(&self) -> bool {
        self.arrivals == Arrivals::Saturate
    }

    /// When the next request is due; none when there is no next one. In a closed loop it is due at once.
    #[must_use]
    pub fn next_due(&self, now_ns: u64) -> Option<u64> {
        let due = if self.is_closed_loop() { now_ns } else { self.at_ns };
        (self.drawn < self.count_max && due < self.end_ns).then_some(due)
    }

    /// Takes the next request off. Call it after [`Self::next_due`] has said that there is one.
    pub fn advance(&mut self) {
        self.drawn += 1;
        self.at_ns = self.time_of(self.drawn);
    }

    /// Requests taken.
    #[must_use]
    pub fn drawn(&self) -> u64 {
        self.drawn
    }

    /// From the whole run's beginning, so that no rounding adds up.
    fn time_of(&mut self, own: u64) -> u64 {
        let index = (own * self.workers + self.worker) as f64;
        match self.arrivals {
            Arrivals::Saturate => 0,
            Arrivals::Constant(rate) => whole(index / rate * NANOSECONDS),
            Arrivals::Poisson(rate) => {
                // 1 − u lies in (0, 1], so the logarithm is finite.
                let gap = -(1.0 - self.random.f64()).ln() * self.workers as f64 / rate;
                self.poisson_ns += gap * NANOSECONDS;
                whole(self.poisson_ns)
            }
            Arrivals::Ramp { from, to, seconds } => {
                // n = from·t + slope·t²/2 requests are due until t; solved for t in the form that keeps its digits.
                let slope = (to - from) / seconds;
                let root = (from * from + 2.0 * slope * index).max(0.0).sqrt();
                let at = if index == 0.0 { 0.0 } else { 2.0 * index / (from + root) };
                whole(at * NANOSECONDS)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn all(arrivals: Arrivals, workers: u64, end_ns: u64, count_max: u64) -> Vec<u64> {
        let mut times = Vec::new();
        for worker in 0..workers {
            let mut schedule = Schedule::new(arrivals, (worker, workers), end_ns, count_max, 1);
            while let Some(due) = schedule.next_due(0) {
                times.push(due);
                schedule.advance();
            }
        }
        times.sort_unstable();
        times
    }

    #[test]
    fn constant_gaps_are_equal_however_many_workers() {
        for workers in [1, 2, 3] {
            let times = all(Arrivals::Constant(250.0), workers, 2 * SECOND, u64::MAX / 2);
            let wanted: Vec<u64> = (0..500).map(|index| index * 4_000_000).collect();
            assert_eq!(times, wanted, "{workers} workers");
        }
    }

    #[test]
    fn a_count_bounds_it_over_all_workers() {
        for (workers, count) in [(1, 7), (3, 7), (3, 2), (2, 0)] {
            let times = all(Arrivals::Constant(1000.0), workers, u64::MAX, count);
            assert_eq!(times.len() as u64, count, "{workers} workers");
        }
    }

    #[test]
    fn poisson_gaps_have_the_mean_and_the_spread_of_chance() {
        for workers in [1, 4] {
            let times = all(Arrivals::Poisson(10_000.0), workers, 10 * SECOND, u64::MAX / 8);
            // The number has a standard deviation of √100,000 = 316.
            assert!(
                (98_000..102_000).contains(&times.len()),
                "{} of {workers} workers",
                times.len()
            );
            let gaps: Vec<f64> = times.windows(2).map(|pair| (pair[1] - pair[0]) as f64).collect();
            let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
            let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
            let spread = variance.sqrt() / mean;
            assert!((0.97..1.03).contains(&spread), "an exponential's is 1, not {spread}");
        }
    }

    #[test]
    fn a_ramp_climbs_evenly() {
        for (from, to) in [(100.0, 900.0), (0.0, 1000.0), (900.0, 100.0)] {
            let ramp = Arrivals::Ramp {
                from,
                to,
                seconds: 10.0,
            };
            let times = all(ramp, 2, 10 * SECOND, u64::MAX / 4);
            assert!((4_990..=5_010).contains(&times.len()), "{}", times.len());
            let in_second = |second: u64| times.iter().filter(|&&at| at / SECOND == second).count() as f64;
            let wanted = |second: f64| from + (to - from) * (second + 0.5) / 10.0;
            for second in [0, 4, 9] {
                let (is, wanted) = (in_second(second), wanted(second as f64));
                assert!((is - wanted).abs() <= 2.0, "second {second}: {is}, not {wanted}");
            }
        }
    }

    #[test]
    fn a_closed_loop_is_always_due() {
        let mut schedule = Schedule::new(Arrivals::Saturate, (0, 1), 100, 2, 1);
        assert_eq!(schedule.next_due(42), Some(42));
        assert_eq!(schedule.next_due(100), None, "the end has come");
        schedule.advance();
        schedule.advance();
        assert_eq!(schedule.next_due(42), None, "enough");
    }
}
