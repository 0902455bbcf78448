//! What explains a model is made when reasons are first asked for, on a thread of its own. Requests that ask meanwhile
//! wait for it; all others do not notice.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::error::RequestError;
use crate::limits::{PREPARE_WAIT, TICK};
use crate::models::ModelChoice;
use crate::shard::ShardCore;
use crate::shard::scorer::{UnexplainedError, begin_preparing};
use crate::shard::timers::Timer;

/// Waits until every model that may score the lead can be explained.
pub(super) async fn prepare(core: &Rc<ShardCore>, choice: &ModelChoice) -> Result<(), RequestError> {
    let mut waited = Duration::ZERO;
    loop {
        let unprepared = core.scorer.borrow().unprepared(choice);
        match unprepared {
            None => return core.scorer.borrow_mut().explains(choice).map_err(failure),
            Some(_) if waited >= PREPARE_WAIT => return Err(RequestError::Preparing),
            Some(version) => begin_preparing(&version),
        }
        sleep(core).await;
        waited += TICK;
    }
}

/// What a client is told.
pub(super) fn failure(error: UnexplainedError) -> RequestError {
    match error {
        UnexplainedError::NotPrepared => RequestError::Preparing,
        UnexplainedError::NotExplainable => RequestError::NotExplainable,
    }
}

/// One tick of the shard's timers.
async fn sleep(core: &Rc<ShardCore>) {
    let mut ticking = Ticking::new(core);
    poll_fn(|cx| ticking.poll(cx)).await;
}

/// A timer of one tick, which is removed when the request ends.
pub(super) struct Ticking {
    core: Rc<ShardCore>,
    timer: Timer,
}

impl Ticking {
    pub(super) fn new(core: &Rc<ShardCore>) -> Self {
        let mut wheel = core.wheel.borrow_mut();
        let timer = wheel.insert();
        wheel.set(timer, TICK);
        drop(wheel);
        Self {
            core: Rc::clone(core),
            timer,
        }
    }

    /// Whether the tick is over.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self.core.wheel.borrow_mut().poll_fired(self.timer, cx) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }
}

impl Drop for Ticking {
    fn drop(&mut self) {
        self.core.wheel.borrow_mut().remove(self.timer);
    }
}
