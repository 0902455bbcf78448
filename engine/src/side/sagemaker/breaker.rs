//! When to stop calling a service that fails, and when to try again: a circuit breaker, without a clock of its own.
//!
//! ```text
//!            five failures in a row,               the pause is over
//!            or half of the last twenty
//!  Closed ─────────────────────────────▶ Open ─────────────────────▶ HalfOpen: one probe at a time
//!    ▲                                     ▲                              │ │
//!    │                                     └──── a probe fails: twice ────┘ │
//!    └──────────────────── three probes succeed ────────────────────────────┘
//! ```

use std::time::{Duration, Instant};

use crate::remote::Circuit;

/// Failures in a row that open it.
const IN_A_ROW: u32 = 5;

/// Calls that a share is taken of, and the failures among them that open it.
const WINDOW: u32 = 20;
const IN_WINDOW: u32 = 10;

/// Probes that must succeed.
const PROBES: u32 = 3;

/// The first pause, and the longest.
const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// A circuit breaker: closed, open, or half open. The caller gives the time.
#[derive(Debug)]
pub(super) struct Breaker {
    state: State,
    pause: Duration,
    /// The last calls, a bit each: set for a failure.
    window: u32,
    seen: u32,
    in_a_row: u32,
    /// Counts states: a call that began in another one says nothing about this one.
    era: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed,
    Open { until: Instant },
    HalfOpen { probing: bool, succeeded: u32 },
}

/// Allows one call; its result must be reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Permit {
    era: u64,
}

impl Breaker {
    pub(super) fn new() -> Self {
        Self {
            state: State::Closed,
            pause: PAUSE,
            window: 0,
            seen: 0,
            in_a_row: 0,
            era: 0,
        }
    }

    /// What shards should know now.
    pub(super) fn circuit(&mut self, now: Instant) -> Circuit {
        if let State::Open { until } = self.state
            && now >= until
        {
            self.enter(State::HalfOpen {
                probing: false,
                succeeded: 0,
            });
        }
        match self.state {
            State::Closed => Circuit::Closed,
            State::Open { .. } => Circuit::Open,
            State::HalfOpen { .. } => Circuit::HalfOpen,
        }
    }

    /// Whether a call may be made.
    pub(super) fn permit(&mut self, now: Instant) -> Option<Permit> {
        match self.circuit(now) {
            Circuit::Closed => {}
            Circuit::Open => return None,
            Circuit::HalfOpen => {
                let State::HalfOpen { probing, .. } = &mut self.state else {
                    return None;
                };
                if std::mem::replace(probing, true) {
                    return None;
                }
            }
        }
        Some(Permit { era: self.era })
    }

    /// Takes note of a call that was permitted.
    pub(super) fn note(&mut self, permit: Permit, succeeded: bool, now: Instant) {
        if permit.era != self.era {
            return;
        }
        match &mut self.state {
            State::Closed => self.count(succeeded, now),
            State::Open { .. } => {}
            State::HalfOpen { .. } if !succeeded => {
                self.pause = (self.pause * 2).min(PAUSE_MAX);
                self.open(now);
            }
            State::HalfOpen { probing, succeeded } => {
                (*probing, *succeeded) = (false, *succeeded + 1);
                if *succeeded >= PROBES {
                    self.pause = PAUSE;
                    (self.window, self.seen, self.in_a_row) = (0, 0, 0);
                    self.enter(State::Closed);
                }
            }
        }
    }

    fn count(&mut self, succeeded: bool, now: Instant) {
        let mask = (1 << WINDOW) - 1;
        self.window = (self.window << 1 | u32::from(!succeeded)) & mask;
        self.seen = (self.seen + 1).min(WINDOW);
        self.in_a_row = if succeeded { 0 } else { self.in_a_row + 1 };
        if self.in_a_row >= IN_A_ROW || (self.seen == WINDOW && self.window.count_ones() >= IN_WINDOW) {
            self.open(now);
        }
    }

    fn open(&mut self, now: Instant) {
        let until = now + self.pause;
        self.enter(State::Open { until });
    }

    fn enter(&mut self, state: State) {
        self.state = state;
        self.era += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(breaker: &mut Breaker, succeeded: bool, now: Instant) -> bool {
        let Some(permit) = breaker.permit(now) else {
            return false;
        };
        breaker.note(permit, succeeded, now);
        true
    }

    fn opened(now: Instant) -> Breaker {
        let mut breaker = Breaker::new();
        for _ in 0..IN_A_ROW {
            assert!(call(&mut breaker, false, now));
        }
        breaker
    }

    #[test]
    fn five_in_a_row_open_it_and_four_do_not() {
        let now = Instant::now();
        let mut breaker = Breaker::new();
        for round in 0..15 {
            assert!(call(&mut breaker, round % 5 == 4, now), "{round}");
        }
        assert_eq!(breaker.circuit(now), Circuit::Closed);
        let mut breaker = opened(now);
        assert_eq!(breaker.circuit(now), Circuit::Open);
        assert!(breaker.permit(now).is_none());
    }

    #[test]
    fn half_of_twenty_open_it() {
        let now = Instant::now();
        let mut breaker = Breaker::new();
        for round in 0..20 {
            assert!(call(&mut breaker, round % 2 == 0, now), "{round}");
        }
        assert_eq!(breaker.circuit(now), Circuit::Open);
        let mut breaker = Breaker::new();
        for round in 0..1_000 {
            assert!(call(&mut breaker, round % 3 != 0, now), "a third may fail: {round}");
        }
    }

    #[test]
    fn one_probe_at_a_time_and_three_close_it() {
        let mut now = Instant::now();
        let mut breaker = opened(now);
        now += PAUSE;
        assert_eq!(breaker.circuit(now), Circuit::HalfOpen);
        for _ in 0..PROBES {
            let probe = breaker.permit(now).unwrap();
            assert!(breaker.permit(now).is_none(), "one at a time");
            breaker.note(probe, true, now);
        }
        assert_eq!(breaker.circuit(now), Circuit::Closed);
        for _ in 1..IN_A_ROW {
            assert!(call(&mut breaker, false, now), "what was before it does not count");
        }
        assert_eq!(breaker.circuit(now), Circuit::Closed);
    }

    #[test]
    fn a_probe_that_fails_doubles_the_pause_up_to_a_cap() {
        let mut now = Instant::now();
        let mut breaker = opened(now);
        let mut pause = PAUSE;
        for _ in 0..10 {
            assert!(breaker.permit(now + pause - Duration::from_millis(1)).is_none());
            now += pause;
            assert!(call(&mut breaker, false, now));
            pause = (pause * 2).min(PAUSE_MAX);
        }
        now += PAUSE_MAX;
        for _ in 0..PROBES {
            assert!(call(&mut breaker, true, now));
        }
        for _ in 0..IN_A_ROW {
            call(&mut breaker, false, now);
        }
        assert!(
            breaker.permit(now + PAUSE).is_some(),
            "after success pauses are short again"
        );
    }

    #[test]
    fn calls_of_an_earlier_time_change_nothing() {
        let mut now = Instant::now();
        let mut breaker = Breaker::new();
        let old = breaker.permit(now).unwrap();
        for _ in 0..IN_A_ROW {
            call(&mut breaker, false, now);
        }
        now += PAUSE;
        assert!(breaker.permit(now).is_some());
        breaker.note(old, false, now);
        assert_eq!(breaker.circuit(now), Circuit::HalfOpen, "an old failure is no probe's");
    }
}
