//! Keeps a shard awake for a while after a request, because waking up from epoll takes tens of microseconds.
//!
//! It is off by default (`server.spin_us`): while it lasts it uses the whole CPU, even if no request comes.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use super::ShardCore;
use crate::runtime::Backend;

/// How long a shard stays awake, and since when.
#[derive(Debug)]
pub(crate) struct BusyPoll {
    length: Duration,
    until: Cell<Option<Instant>>,
    /// The task that keeps the shard awake, while it does not have to.
    sleeper: RefCell<Option<Waker>>,
}

impl BusyPoll {
    pub(super) fn new(length: Duration) -> Self {
        Self {
            length,
            until: Cell::new(None),
            sleeper: RefCell::default(),
        }
    }

    pub(super) fn is_on(&self) -> bool {
        !self.length.is_zero()
    }

    /// Something was done: there may be more soon.
    #[inline]
    pub(crate) fn touch(&self) {
        if !self.is_on() {
            return;
        }
        self.until.set(Some(Instant::now() + self.length));
        if let Some(sleeper) = self.sleeper.borrow_mut().take() {
            sleeper.wake();
        }
    }

    fn is_over(&self) -> bool {
        self.until.get().is_none_or(|until| until <= Instant::now())
    }

    async fn touched(&self) {
        poll_fn(|cx| {
            if !self.is_over() {
                return Poll::Ready(());
            }
            *self.sleeper.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

/// Polls the sockets again and again while the shard must stay awake.
pub(super) async fn keep_awake<B: Backend>(core: Rc<ShardCore>) {
    loop {
        core.spin.touched().await;
        while !core.spin.is_over() {
            B::yield_now().await;
        }
    }
}
