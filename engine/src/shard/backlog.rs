//! How long requests wait until this shard gets to them, and which are refused when that is too long.
//!
//! All tasks of a shard stand in one queue. A task of ours, the probe, stands in it too, and goes to its end each time its
//! turn comes:
//! ```text
//!  probe │ task │ task │ task │ probe          all that runs between two turns of the probe was ready before the first
//!        └── waited at least until here ──▶    of them: so it has waited at least since then
//! ```
//! So no request has to be stamped when it becomes ready, which nobody could do for a socket that the kernel holds, and
//! what is refused is known to be late. Only a shard that is behind runs the probe all the time: after each tick one turn
//! is measured, and as long as turns are late the next one follows. An idle shard sleeps, and one that keeps up pays for
//! ten turns a second.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use super::ShardCore;

/// So many turns in a row must be late before a request is refused: one may be because this process was not running.
const LATE_TURNS: u32 = 2;

/// A request that has waited so many times the limit is refused in the first late turn, which may be long: it has one
/// request of each connection.
const FIRST_TURN_LIMITS: u32 = 10;

/// What a request costs, and what it is worth waiting for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weight {
    /// One score.
    Single,
    /// A batch, or what explains a score: refused at half of the wait, so that single scores go on.
    Heavy,
}

/// The wait of requests on one shard.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    /// A turn is to be measured: the next request begins it.
    is_armed: Cell<bool>,
    /// When the turn began that is measured.
    began: Cell<Option<Instant>>,
    /// Requests in it.
    requests: Cell<u32>,
    /// Turns in a row that were late.
    late: Cell<u32>,
    probe: RefCell<Option<Waker>>,
}

impl Backlog {
    /// Whether it is to be asked for each request that may be refused.
    #[inline]
    pub(crate) fn is_watched(&self) -> bool {
        self.is_armed.get()
    }

    /// Whether a request has waited too long already. To be asked once for each.
    pub(crate) fn refuses(&self, weight: Weight, limit: Duration) -> bool {
        self.refuses_at(Instant::now(), weight, limit)
    }

    fn refuses_at(&self, now: Instant, weight: Weight, limit: Duration) -> bool {
        self.requests.set(self.requests.get().saturating_add(1));
        let Some(began) = self.began.get() else {
            self.began.set(Some(now));
            if let Some(probe) = self.probe.borrow_mut().take() {
                probe.wake();
            }
            return false;
        };
        let limit = match weight {
            Weight::Single => limit,
            Weight::Heavy => limit / 2,
        };
        let waited = now.saturating_duration_since(began);
        waited > limit && (self.late.get() >= LATE_TURNS || waited > limit * FIRST_TURN_LIMITS)
    }

    /// One more turn is to be measured.
    pub(super) fn tick(&self) {
        self.is_armed.set(true);
    }

    /// The probe's turn has come. Whether another one follows without a pause.
    fn turn_ended(&self, now: Instant, limit: Duration) -> bool {
        let Some(began) = self.began.take() else { return false };
        if self.requests.replace(0) == 0 {
            // Nothing stood in the queue: the next request begins a turn.
            return false;
        }
        if now.saturating_duration_since(began) <= limit / 2 {
            self.late.set(0);
            self.is_armed.set(false);
            return false;
        }
        self.late.set(self.late.get().saturating_add(1));
        self.began.set(Some(now));
        true
    }

    async fn turn_begins(&self) {
        poll_fn(|cx| {
            if self.began.get().is_some() {
                return Poll::Ready(());
            }
            *self.probe.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

/// To the end of the queue. Not the runtime's own way to yield, which first looks at the sockets: what becomes ready
/// there would stand before the probe.
async fn end_of_queue() {
    let mut is_there = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut is_there, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// The probe, for as long as the shard lives.
pub(super) async fn probe(core: Rc<ShardCore>) {
    let backlog = &core.backlog;
    loop {
        // It is woken by the first request of a turn, and so stands behind all that is ready with it.
        backlog.turn_begins().await;
        while backlog.turn_ended(Instant::now(), core.limits().queue) {
            end_of_queue().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_millis(100);

    fn after(began: Instant, milliseconds: u64) -> Instant {
        began + Duration::from_millis(milliseconds)
    }

    /// A turn from `from` to `to` with a request at its begin.
    fn turn(backlog: &Backlog, began: Instant, (from, to): (u64, u64)) -> bool {
        backlog.refuses_at(after(began, from), Weight::Single, LIMIT);
        backlog.turn_ended(after(began, to), LIMIT)
    }

    #[test]
    fn nothing_is_refused_before_two_turns_were_late() {
        let (backlog, began) = (Backlog::default(), Instant::now());
        backlog.tick();
        assert!(turn(&backlog, began, (0, 150)), "another turn follows");
        assert!(!backlog.refuses_at(after(began, 290), Weight::Heavy, LIMIT));
        assert!(backlog.turn_ended(after(began, 300), LIMIT));
        assert!(!backlog.refuses_at(after(began, 350), Weight::Heavy, LIMIT));
        assert!(backlog.refuses_at(after(began, 351), Weight::Heavy, LIMIT));
        assert!(!backlog.refuses_at(after(began, 400), Weight::Single, LIMIT));
        assert!(backlog.refuses_at(after(began, 401), Weight::Single, LIMIT));
    }

    #[test]
    fn a_turn_that_is_ten_limits_long_is_cut() {
        let (backlog, began) = (Backlog::default(), Instant::now());
        backlog.tick();
        assert!(!backlog.refuses_at(began, Weight::Single, LIMIT));
        assert!(!backlog.refuses_at(after(began, 1_000), Weight::Single, LIMIT));
        assert!(backlog.refuses_at(after(began, 1_001), Weight::Single, LIMIT));
        assert!(backlog.refuses_at(after(began, 501), Weight::Heavy, LIMIT));
    }

    #[test]
    fn a_turn_in_time_ends_it() {
        let (backlog, began) = (Backlog::default(), Instant::now());
        backlog.tick();
        assert!(turn(&backlog, began, (0, 150)) && turn(&backlog, began, (150, 300)));
        assert!(!turn(&backlog, began, (300, 350)), "half of the limit is in time");
        assert!(!backlog.is_watched());
        backlog.tick();
        assert!(turn(&backlog, began, (400, 550)));
        assert!(
            !backlog.refuses_at(after(began, 700), Weight::Single, LIMIT),
            "counted from the start again"
        );
    }

    #[test]
    fn an_empty_queue_says_nothing_about_those_before() {
        let (backlog, began) = (Backlog::default(), Instant::now());
        backlog.tick();
        assert!(turn(&backlog, began, (0, 150)) && turn(&backlog, began, (150, 300)));
        assert!(
            !backlog.turn_ended(after(began, 301), LIMIT),
            "no request came: the probe sleeps"
        );
        assert!(backlog.is_armed.get());
        assert!(
            !backlog.refuses_at(after(began, 310), Weight::Single, LIMIT),
            "it begins a turn"
        );
        assert!(
            backlog.refuses_at(after(began, 411), Weight::Single, LIMIT),
            "and turns are still late"
        );
    }
}
