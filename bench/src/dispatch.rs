//! Which slot sends which request, and when. One of these a worker, used by its pacer and its slots.
//!
//! ```text
//! schedule ── due and a slot is idle ──▶ pacer assigns it (and is late by its lag)
//!          └─ due and no slot is idle ─▶ the first slot that becomes free takes it, and its latency counts from when it was due
//! ```

use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};

use crate::schedule::Schedule;

/// A request to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Job {
    /// Unlike that of any other request of this worker, from 0.
    pub number: u64,
    /// When it was due. Unit: nanoseconds since the run began.
    pub due_ns: u64,
    /// Whether a slot was idle when it was due.
    pub was_free: bool,
}

/// Assigns requests that are due to slots of a worker that are idle.
#[derive(Debug)]
pub struct Dispatch {
    schedule: Schedule,
    idle: VecDeque<usize>,
    slots: Vec<Slot>,
}

#[derive(Debug, Default)]
struct Slot {
    assigned: Option<Job>,
    under_way: Option<Job>,
    waiting: Option<Waker>,
}

/// What the pacer has to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// A time. Unit: nanoseconds since the run began.
    Due(u64),
    /// A slot to become idle.
    Slot,
    /// Nothing: every request has been taken.
    Over,
}

impl Dispatch {
    /// For so many slots, none of them idle yet.
    #[must_use]
    pub fn new(schedule: Schedule, slots: usize) -> Self {
        Self {
            schedule,
            idle: VecDeque::with_capacity(slots),
            slots: (0..slots).map(|_| Slot::default()).collect(),
        }
    }

    /// A slot asks for its next request; none when there will be none. A slot that has to wait is idle from now on.
    pub fn poll_next(&mut self, slot: usize, now_ns: u64, cx: &Context<'_>) -> Poll<Option<Job>> {
        if let Some(job) = self.slots[slot].assigned.take() {
            self.slots[slot].under_way = Some(job);
            return Poll::Ready(Some(job));
        }
        self.slots[slot].under_way = None;
        let was_waiting = self.slots[slot].waiting.is_some();
        match self.schedule.next_due(now_ns) {
            None => Poll::Ready(None),
            Some(due_ns) if due_ns <= now_ns && !was_waiting => {
                // Another idle connection means only that the pacer has not reached it yet.
                let job = self.take(due_ns, !self.idle.is_empty());
                self.slots[slot].under_way = Some(job);
                Poll::Ready(Some(job))
            }
            Some(_) => {
                if !was_waiting {
                    self.idle.push_back(slot);
                }
                self.slots[slot].waiting = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    fn take(&mut self, due_ns: u64, was_free: bool) -> Job {
        let number = self.schedule.drawn();
        self.schedule.advance();
        Job {
            number,
            due_ns,
            was_free,
        }
    }

    /// Gives idle slots what is due, and says what to wait for.
    pub fn assign(&mut self, now_ns: u64) -> Next {
        loop {
            match self.schedule.next_due(now_ns) {
                None => {
                    self.wake_all();
                    return Next::Over;
                }
                Some(due_ns) if due_ns > now_ns => return Next::Due(due_ns),
                Some(due_ns) => {
                    let Some(slot) = self.idle.pop_front() else {
                        return Next::Slot;
                    };
                    let job = self.take(due_ns, true);
                    self.slots[slot].assigned = Some(job);
                    if let Some(waker) = self.slots[slot].waiting.take() {
                        waker.wake();
                    }
                }
            }
        }
    }

    /// Whether a slot waits for a request.
    #[must_use]
    pub fn has_idle(&self) -> bool {
        !self.idle.is_empty()
    }

    fn wake_all(&mut self) {
        self.idle.clear();
        for slot in &mut self.slots {
            if let Some(waker) = slot.waiting.take() {
                waker.wake();
            }
        }
    }

    /// When each request was due that has not been answered at the end of all patience, sent or not.
    #[must_use]
    pub fn left(mut self, now_ns: u64) -> Vec<u64> {
        let jobs = self.slots.iter().filter_map(|slot| slot.under_way.or(slot.assigned));
        let mut left: Vec<u64> = jobs.map(|job| job.due_ns).collect();
        if !self.schedule.is_closed_loop() {
            while let Some(due_ns) = self.schedule.next_due(now_ns).filter(|&due_ns| due_ns <= now_ns) {
                self.schedule.advance();
                left.push(due_ns);
            }
        }
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::Arrivals;

    fn cx() -> Context<'static> {
        Context::from_waker(Waker::noop())
    }

    /// Ten requests, one each 100 ns.
    fn dispatch(slots: usize) -> Dispatch {
        Dispatch::new(
            Schedule::new(Arrivals::Constant(1e7), (0, 1), 1_000, u64::MAX / 2, 1),
            slots,
        )
    }

    fn due(poll: Poll<Option<Job>>) -> (u64, bool) {
        match poll {
            Poll::Ready(Some(job)) => (job.due_ns, job.was_free),
            other => panic!("no job but {other:?}"),
        }
    }

    #[test]
    fn idle_slots_take_turns() {
        let mut dispatch = dispatch(2);
        assert_eq!(
            due(dispatch.poll_next(0, 0, &cx())),
            (0, false),
            "nobody was idle, for nobody had asked"
        );
        assert!(dispatch.poll_next(1, 0, &cx()).is_pending());
        assert_eq!(dispatch.assign(50), Next::Due(100));
        assert!(dispatch.poll_next(0, 60, &cx()).is_pending());
        assert_eq!(dispatch.assign(250), Next::Due(300));
        assert_eq!(due(dispatch.poll_next(1, 250, &cx())), (100, true));
        assert_eq!(due(dispatch.poll_next(0, 250, &cx())), (200, true));
    }

    #[test]
    fn a_stall_delays_everything_that_was_due() {
        let mut dispatch = dispatch(1);
        assert_eq!(due(dispatch.poll_next(0, 0, &cx())), (0, false));
        // The answer comes at 750 only.
        assert_eq!(dispatch.assign(750), Next::Slot);
        for wanted in [100, 200, 300] {
            assert_eq!(due(dispatch.poll_next(0, 750, &cx())), (wanted, false));
        }
        assert_eq!(
            dispatch.left(2_000),
            [300, 400, 500, 600, 700, 800, 900],
            "sent or not, they are told"
        );
    }

    #[test]
    fn everybody_goes_home_when_it_is_over() {
        let mut dispatch = Dispatch::new(Schedule::new(Arrivals::Constant(1e7), (0, 1), 1_000, 1, 1), 3);
        assert_eq!(due(dispatch.poll_next(0, 0, &cx())), (0, false));
        assert_eq!(dispatch.poll_next(1, 0, &cx()), Poll::Ready(None));
        assert_eq!(dispatch.assign(0), Next::Over);
        assert_eq!(dispatch.poll_next(0, 10, &cx()), Poll::Ready(None));
        assert!(dispatch.left(2_000).is_empty());
    }

    #[test]
    fn waking_without_reason_keeps_the_place_in_the_queue() {
        let mut dispatch = dispatch(2);
        let _ = dispatch.poll_next(0, 0, &cx());
        assert!(dispatch.poll_next(0, 10, &cx()).is_pending());
        assert!(dispatch.poll_next(1, 10, &cx()).is_pending());
        // Due, but slot 1 was not given it: slot 0 came first.
        assert!(dispatch.poll_next(1, 110, &cx()).is_pending());
        let _ = dispatch.assign(110);
        assert_eq!(due(dispatch.poll_next(0, 110, &cx())), (100, true));
    }
}
