//! Work that may wait, a slice at a time: between two slices a shard looks at its sockets and serves what is ready.
//!
//! ```text
//!  batches ── wait for a turn ──▶ queue ──▶ one task: let the reactor run, wake the first ──▶ it works for one slice
//! ```
//! One slice a turn, however many batches there are: a request beside them waits for one slice, not for one of each.
//! They take turns in the order in which they came to the queue.

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
    queue: RefCell<VecDeque<(u64, Waker)>>,
    next: Cell<u64>,
    /// The task that gives turns, while no batch waits.
    giver: RefCell<Option<Waker>>,
}

impl SliceQueue {
    fn push(&self, waker: Waker) -> u64 {
        let number = self.next.get();
        self.next.set(number + 1);
        self.queue.borrow_mut().push_back((number, waker));
        let giver = self.giver.borrow_mut().take();
        if let Some(giver) = giver {
            giver.wake();
        }
        number
    }

    /// Whether this one still waits; then it is woken by `waker` from now on.
    fn still_waits(&self, number: u64, waker: &Waker) -> bool {
        let mut queue = self.queue.borrow_mut();
        let entry = queue.iter_mut().find(|(waiting, _)| *waiting == number);
        if let Some((_, known)) = entry {
            known.clone_from(waker);
            return true;
        }
        false
    }

    fn remove(&self, number: u64) {
        self.queue.borrow_mut().retain(|(waiting, _)| *waiting != number);
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

    fn give(&self) {
        let first = self.queue.borrow_mut().pop_front();
        if let Some((_, waker)) = first {
            waker.wake();
        }
    }
}

/// One who takes turns.
#[derive(Debug)]
pub(crate) struct SliceTurn {
    core: Rc<ShardCore>,
    number: Option<u64>,
}

impl SliceTurn {
    pub(crate) fn new(core: Rc<ShardCore>) -> Self {
        Self { core, number: None }
    }

    /// Ready when it is this one's turn. The turn ends with the poll that returned ready.
    pub(crate) fn poll(&mut self, cx: &Context<'_>) -> Poll<()> {
        let turns = &self.core.turns;
        match self.number {
            None => {
                self.number = Some(turns.push(cx.waker().clone()));
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
        while !core.scorer.borrow().has_room_ahead() && waited < PATIENCE {
            B::sleep(LOOK).await;
            waited += LOOK;
        }
        if core.scorer.borrow().has_room_ahead() {
            waited = Duration::ZERO;
        }
        core.turns.give();
    }
}
