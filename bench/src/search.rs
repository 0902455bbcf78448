//! The highest rate that keeps a promise, such as "p99 stays under 10 ms".
//!
//! By steps: each rate is held for a while; it doubles until the promise breaks, then the gap is halved until it is
//! narrow. A rate that breaks it is tried once more, since a neighbour on the machine breaks it as well. By a ramp: one
//! run that climbs evenly; quicker, and coarser, because a queue that has begun to grow shows late.

use std::time::Duration;

use crate::payload::Pool;
use crate::report::{Report, Search, Try};
use crate::run::{Plan, RunError, run};
use crate::schedule::Arrivals;
use crate::target::Target;
use crate::units::nanoseconds;

/// Right answers must come to this share of the requests that were due.
const ANSWERED_SHARE: f64 = 0.98;

/// How.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum How {
    /// Hold each rate, double, then halve the gap.
    RunStep,
    /// Climb evenly.
    Ramp,
}

/// What is searched for.
#[derive(Debug, Clone)]
pub struct Goal {
    /// How.
    pub how: How,
    /// Which quantile, as a share.
    pub quantile: f64,
    /// It must not be longer.
    pub limit: Duration,
    /// The first rate. Unit: requests a second, as below.
    pub from: f64,
    /// No higher rate is tried.
    pub to: f64,
    /// The search ends when the gap is narrower than this share.
    pub resolution: f64,
    /// Whether requests come by chance instead of evenly.
    pub poisson: bool,
}

/// Searches; `say` is called with every rate that was tried. Answers the report of the best run, or of the last one if
/// no rate kept the promise.
///
/// # Errors
/// What kept a run from beginning.
pub fn search(
    name: &str,
    target: &Target,
    pool: &Pool,
    plan: &Plan,
    goal: &Goal,
    say: &mut dyn FnMut(&Try),
) -> Result<Report, RunError> {
    let mut plan = plan.clone();
    let mut attempt = |rate: f64| {
        plan.arrivals = if goal.poisson {
            Arrivals::Poisson(rate)
        } else {
            Arrivals::Constant(rate)
        };
        let outcome = run(target, pool, &plan, &mut |_, _| {})?;
        let quantile_ns = outcome.recorder.latency.value_at_quantile(goal.quantile);
        let answered = outcome.rate();
        let report = Report::new(name, target, pool, &plan, &outcome);
        let kept = outcome.is_clean() && quantile_ns <= nanoseconds(goal.limit) && answered >= ANSWERED_SHARE * rate;
        let tried = Try {
            rate,
            answered,
            p50: report.latency.p50,
            p99: report.latency.p99,
            quantile_ns,
            failed: report.failures() + report.unfinished,
            kept,
        };
        Ok::<_, RunError>((tried, report))
    };
    let mut search = Search {
        how: "step".into(),
        quantile: goal.quantile,
        limit_ns: nanoseconds(goal.limit),
        best: None,
        bounded: false,
        tried: Vec::new(),
    };
    if goal.how == How::Ramp {
        return ramp(name, target, pool, &plan, goal, search);
    }
    let (mut best, mut last) = (None, None);
    let mut rates = Bisection::new(goal.from, goal.to, goal.resolution);
    while let Some(rate) = rates.next_rate() {
        let (mut tried, mut report) = attempt(rate)?;
        search.tried.push(tried);
        say(&tried);
        if !tried.kept {
            (tried, report) = attempt(rate)?;
            search.tried.push(tried);
            say(&tried);
        }
        rates.learn(tried.kept);
        if tried.kept {
            best = Some(report);
        } else {
            last = Some(report);
        }
    }
    (search.best, search.bounded) = (rates.kept, rates.broken.is_some());
    let mut report = best.or(last).ok_or(RunError::Panicked)?;
    report.search = Some(search);
    Ok(report)
}

/// One run that climbs; the best rate is that of the last step before the promise was broken for good or for two steps.
fn ramp(
    name: &str,
    target: &Target,
    pool: &Pool,
    plan: &Plan,
    goal: &Goal,
    mut search: Search,
) -> Result<Report, RunError> {
    let mut plan = plan.clone();
    let seconds = (plan.warmup + plan.duration).as_secs_f64();
    plan.arrivals = Arrivals::Ramp {
        from: goal.from,
        to: goal.to,
        seconds,
    };
    let outcome = run(target, pool, &plan, &mut |_, _| {})?;
    let mut report = Report::new(name, target, pool, &plan, &outcome);
    let rate_at = |at_s: f64| goal.from + (goal.to - goal.from) * (at_s + plan.warmup.as_secs_f64()) / seconds;
    let step_s = outcome.recorder.step_ns() as f64 / 1e9;
    for (step, recorded) in report.steps.iter().zip(&outcome.recorder.steps) {
        let quantile_ns = recorded.latency.value_at_quantile(goal.quantile);
        search.tried.push(Try {
            rate: rate_at(step.at_s + step_s / 2.0),
            answered: step.rate,
            p50: step.p50,
            p99: step.p99,
            quantile_ns,
            failed: step.failed,
            kept: step.failed == 0 && quantile_ns <= nanoseconds(goal.limit),
        });
    }
    search.how = "ramp".into();
    let broken = first_break(&search.tried.iter().map(|tried| tried.kept).collect::<Vec<_>>());
    search.bounded = broken.is_some();
    let kept = broken.unwrap_or(search.tried.len()).checked_sub(1);
    search.best = kept.map(|index| search.tried[index].rate);
    report.search = Some(search);
    Ok(report)
}

/// Where the promise is broken twice in a row, or at the very end.
fn first_break(kept: &[bool]) -> Option<usize> {
    let twice = kept.windows(2).position(|pair| pair == [false, false]);
    twice.or_else(|| (kept.last() == Some(&false)).then(|| kept.len() - 1))
}

/// Which rate to try next.
#[derive(Debug)]
struct Bisection {
    next: f64,
    to: f64,
    resolution: f64,
    kept: Option<f64>,
    broken: Option<f64>,
}

impl Bisection {
    fn new(from: f64, to: f64, resolution: f64) -> Self {
        Self {
            next: from.min(to),
            to,
            resolution,
            kept: None,
            broken: None,
        }
    }

    fn next_rate(&self) -> Option<f64> {
        match (self.kept, self.broken) {
            (Some(kept), Some(broken)) if broken / kept <= 1.0 + self.resolution => None,
            (Some(kept), None) if kept >= self.to => None,
            // Not even a hundredth of what was tried first: there is no use in going on.
            (None, Some(broken)) if broken < 1.0 => None,
            _ => Some(self.next),
        }
    }

    fn learn(&mut self, kept: bool) {
        let place = if kept { &mut self.kept } else { &mut self.broken };
        *place = Some(self.next);
        self.next = match (self.kept, self.broken) {
            (Some(kept), Some(broken)) => (kept * broken).sqrt(),
            (Some(kept), None) => (2.0 * kept).min(self.to),
            (None, _) => self.next / 4.0,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Searches a server that keeps the promise up to `limit`.
    fn found(limit: f64, from: f64, to: f64) -> (Option<f64>, bool, usize) {
        let mut rates = Bisection::new(from, to, 0.02);
        let mut tried = 0;
        while let Some(rate) = rates.next_rate() {
            assert!(rate <= to && tried < 60, "{rate}");
            tried += 1;
            rates.learn(rate <= limit);
        }
        (rates.kept, rates.broken.is_some(), tried)
    }

    #[test]
    fn the_gap_becomes_narrow() {
        for limit in [900.0, 1_000.0, 33_333.0, 99_000.0] {
            let (best, bounded, tried) = found(limit, 1_000.0, 200_000.0);
            let best = best.expect("there is such a rate");
            assert!(best <= limit && limit / best <= 1.021, "{best} for {limit}");
            assert!(bounded && tried <= 20, "{tried} tries");
        }
    }

    #[test]
    fn the_ends_are_said_to_be_ends() {
        assert_eq!(found(f64::INFINITY, 1_000.0, 5_000.0).0, Some(5_000.0));
        assert!(!found(f64::INFINITY, 1_000.0, 5_000.0).1, "no higher rate was tried");
        assert_eq!(found(0.0, 1_000.0, 5_000.0).0, None);
    }

    #[test]
    fn one_bad_step_of_a_ramp_is_a_neighbour_and_two_are_the_end() {
        assert_eq!(first_break(&[true, false, true, false, false, true]), Some(3));
        assert_eq!(first_break(&[true, false, true, true]), None);
        assert_eq!(first_break(&[true, true, false]), Some(2));
        assert_eq!(first_break(&[false, false]), Some(0));
    }
}
