//! Work that may wait, a slice at a time: between two slices a shard looks at its sockets and serves what is ready.
//!
//! ```text
//!  batches ── wait for a turn ──▶ queue ──▶ one task: let the reactor run, wake the first ──▶ it works for one slice
//! ```
//! One slice a turn, however many batches there are: a request beside them waits for one slice, not for one of each.
//! They take turns in the order in which they came to the queue. While there is no room ahead for records, slices that
//! make records wait for it, and those that only read (a long lead, a body that is inflated) go before them.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::ShardCore;
use crate::runtime::Backend;

/// How long batches wait for room for records, in all, before they go on without: leads that find none are shed then. A
/// segment is ready within milliseconds, unless the spool is full or its disk has failed.
const PATIENCE: Duration = Duration::from_millis(500);

/// How often it is looked whether there is room.
const LOOK: Duration = Duration::from_millis(1);

/// Who waits for a turn.
#[derive(Debug, Default)]
pub(crate) struct SliceQueue {
    queue: RefCell<VecDeque<WaitingSlice>>,
    next: Cell<u64>,
    /// The task that gives turns, while no batch waits.
    giver: RefCell<Option<Waker>>,
}

#[derive(Debug)]
struct WaitingSlice {
    number: u64,
    waker: Waker,
    makes_records: bool,
}

impl SliceQueue {
    fn push(&self, waker: Waker, makes_records: bool) -> u64 {
        let number = self.next.get();
        self.next.set(number + 1);
        self.queue.borrow_mut().push_back(WaitingSlice {
            number,
            waker,
            makes_records,
        });
        let giver = self.giver.borrow_mut().take();
        if let Some(giver) = giver {
            giver.wake();
        }
        number
    }

    /// Whether this one still waits; then it is woken by `waker` from now on.
    fn still_waits(&self, number: u64, waker: &Waker) -> bool {
        let mut queue = self.queue.borrow_mut();
        let entry = queue.iter_mut().find(|waiting| waiting.number == number);
        if let Some(waiting) = entry {
            waiting.waker.clone_from(waker);
            return true;
        }
        false
    }

    fn remove(&self, number: u64) {
        self.queue.borrow_mut().retain(|waiting| waiting.number != number);
    }

    async fn somebody_waits(&self) {
        poll_fn(|cx| {
            if !self.queue.borrow().is_empty() {
                return Poll::Ready(());
            }
            *self.giver.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Gives a turn to the first who may have one, and says whether there was one.
    fn give(&self, has_room: bool) -> bool {
        let mut queue = self.queue.borrow_mut();
        let first = queue.iter().position(|waiting| has_room || !waiting.makes_records);
        let first = first.and_then(|place| queue.remove(place));
        drop(queue);
        let is_given = first.is_some();
        if let Some(waiting) = first {
            waiting.waker.wake();
        }
        is_given
    }
}

/// One who takes turns.
#[derive(Debug)]
pub(crate) struct SliceTurn {
    core: Rc<ShardCore>,
    number: Option<u64>,
    makes_records: bool,
}

impl SliceTurn {
    /// For slices that record nothing.
    pub(crate) fn to_read(core: Rc<ShardCore>) -> Self {
        Self {
            core,
            number: None,
            makes_records: false,
        }
    }

    /// For slices that score leads and record them.
    pub(crate) fn to_score(core: Rc<ShardCore>) -> Self {
        Self {
            core,
            number: None,
            makes_records: true,
        }
    }

    /// Ready when it is this one's turn. The turn ends with the poll that returned ready.
    pub(crate) fn poll(&mut self, cx: &Context<'_>) -> Poll<()> {
        let turns = &self.core.turns;
        match self.number {
            None => {
                self.number = Some(turns.push(cx.waker().clone(), self.makes_records));
                Poll::Pending
            }
            Some(number) if turns.still_waits(number, cx.waker()) => Poll::Pending,
            Some(_) => {
                self.number = None;
                Poll::Ready(())
            }
        }
    }
}

impl Drop for SliceTurn {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.core.turns.remove(number);
        }
    }
}

/// Gives turns for as long as the shard lives.
pub(super) async fn give<B: Backend>(core: Rc<ShardCore>) {
    let mut waited = Duration::ZERO;
    loop {
        core.turns.somebody_waits().await;
        B::yield_now().await;
        let has_room = core.scorer.borrow().has_room_ahead();
        if has_room {
            waited = Duration::ZERO;
        }
        if !core.turns.give(has_room || waited >= PATIENCE) {
            B::sleep(LOOK).await;
            waited += LOOK;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_only_reads_does_not_wait_for_room() {
        let turns = SliceQueue::default();
        let waker = Waker::noop();
        let [batch, lead, later] = [true, false, false].map(|records| turns.push(waker.clone(), records));
        assert!(turns.give(false));
        assert!(turns.still_waits(batch, waker) && !turns.still_waits(lead, waker));
        assert!(turns.give(false));
        assert!(!turns.still_waits(later, waker));
        assert!(!turns.give(false), "a batch waits until there is room");
        assert!(turns.still_waits(batch, waker));
        assert!(turns.give(true) && !turns.still_waits(batch, waker));
        assert!(!turns.give(true), "nobody is left");
    }

    #[test]
    fn with_room_the_first_who_came_is_the_first() {
        let turns = SliceQueue::default();
        let waker = Waker::noop();
        let numbers = [true, false, true].map(|records| turns.push(waker.clone(), records));
        turns.remove(numbers[0]);
        for number in &numbers[1..] {
            assert!(turns.still_waits(*number, waker));
            assert!(turns.give(true));
            assert!(!turns.still_waits(*number, waker));
        }
    }
}
