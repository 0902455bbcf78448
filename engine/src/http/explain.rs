//! What explains a model is made when reasons are first asked for, on a thread of its own. Requests that ask meanwhile
//! wait for it; all others do not notice.

use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::thread;
use std::time::Duration;

use super::error::RequestError;
use crate::limits::{PREPARE_WAIT, TICK};
use crate::models::{ModelChoice, ModelVersion};
use crate::shard::ShardCore;
use crate::shard::scorer::UnexplainedError;
use crate::shard::timers::Timer;

/// Whether what explains a model that may score the lead is still to be made.
pub(super) fn must_wait(core: &ShardCore, choice: &ModelChoice) -> bool {
    core.scorer.borrow().unprepared(choice).is_some()
}

/// Waits until every model that may score the lead can be explained.
pub(super) async fn prepare(core: &Rc<ShardCore>, choice: &ModelChoice) -> Result<(), RequestError> {
    let mut waited = Duration::ZERO;
    loop {
        let unprepared = core.scorer.borrow().unprepared(choice);
        match unprepared {
            None => return core.scorer.borrow_mut().explains(choice).map_err(failure),
            Some(_) if waited >= PREPARE_WAIT => return Err(RequestError::Preparing),
            Some(version) => begin(&version),
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

/// Starts the thread that makes it, unless it was started before.
fn begin(version: &Arc<ModelVersion>) {
    if !version.loaded.explaining.claim() {
        return;
    }
    let for_thread = Arc::clone(version);
    let begun = thread::Builder::new().name("explain".into()).spawn(move || {
        for_thread.loaded.explaining.prepare(&for_thread.loaded.model);
    });
    if begun.is_err() {
        // No thread could be started: the next request that asks tries again.
        version.loaded.explaining.disclaim();
    }
}

/// One tick of the shard's timers.
async fn sleep(core: &Rc<ShardCore>) {
    let timer = Ticking::new(core);
    poll_fn(|cx| match core.wheel.borrow_mut().poll_fired(timer.timer, cx) {
        true => Poll::Ready(()),
        false => Poll::Pending,
    })
    .await;
}

/// A timer that is removed when the request ends.
struct Ticking<'c> {
    core: &'c ShardCore,
    timer: Timer,
}

impl<'c> Ticking<'c> {
    fn new(core: &'c ShardCore) -> Self {
        let mut wheel = core.wheel.borrow_mut();
        let timer = wheel.insert();
        wheel.set(timer, TICK);
        drop(wheel);
        Self { core, timer }
    }
}

impl Drop for Ticking<'_> {
    fn drop(&mut self) {
        self.core.wheel.borrow_mut().remove(self.timer);
    }
}
