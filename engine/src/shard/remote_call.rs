//! A lead that a remote scorer evaluates: sent over [`crate::remote`], answered when the result comes, or by the
//! fallback.
//!
//! Requests that are scored here never come this way. Those that do may allocate; they wait for a network anyway.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use quintile_scoring::loaded::LoadedModel;
use quintile_scoring::render::row_body::Content;

use super::ShardCore;
use super::timers::Timer;
use crate::limits::TICK;
use crate::remote::{RemoteClient, RemoteError, RemoteRequest, Tickets};

/// How a shard asks; crosses into its thread.
#[derive(Debug, Clone)]
pub struct RemoteSetup {
    /// The way to side.
    pub line: RemoteClient,
    /// How a row is sent.
    pub content: Content,
    /// How long an answer may take, from the complete body on.
    pub deadline: Duration,
    /// Whether SageMaker is asked even where the model can be evaluated here.
    pub first: bool,
    /// Whether a row is scored here when SageMaker does not answer.
    pub falls_back: bool,
}

/// A shard's questions.
#[derive(Debug)]
pub(crate) struct Remote {
    asking: RemoteSetup,
    pub(super) tickets: Tickets,
}

/// The result of one call: predictions, and how long the shard took to notice them.
pub(crate) type RemoteResult = Result<(Box<[f64]>, Duration), RemoteError>;

impl Remote {
    pub(super) fn new(asking: RemoteSetup) -> Self {
        Self {
            asking,
            tickets: Tickets::default(),
        }
    }

    /// Whether a row for this model goes to the remote scorer. A row that asks for local scoring stays, if the model
    /// can be evaluated.
    pub(crate) fn takes(&self, loaded: &LoadedModel, stays: bool) -> bool {
        (self.asking.first && !stays) || loaded.outline_only.is_some()
    }

    /// Whether a row may be scored here instead.
    pub(crate) fn falls_back(&self, loaded: &LoadedModel) -> bool {
        self.asking.falls_back && loaded.outline_only.is_none()
    }

    /// Asks for one row's predictions. `began` is when its body was complete.
    pub(crate) async fn ask(
        &self,
        core: &ShardCore,
        loaded: &LoadedModel,
        row: &[f64],
        began: Instant,
    ) -> RemoteResult {
        let waiting = self.tickets.issue();
        let deadline = began + self.asking.deadline;
        let schema = loaded.model.schema();
        self.asking.line.ask(RemoteRequest {
            shard: core.number,
            ticket: waiting.ticket(),
            body: self.asking.content.render(row, schema.names()),
            deadline,
        })?;
        // Side keeps the deadline; this one is for a side that does not.
        let mut guard = TimeoutGuard::new(core, self.asking.deadline + TICK);
        let mut waiting = pin!(waiting);
        let (result, wake) = poll_fn(|cx| match waiting.as_mut().poll(cx) {
            Poll::Ready(got) => Poll::Ready(got),
            Poll::Pending if guard.poll_passed(cx) => Poll::Ready((Err(RemoteError::Late), Duration::ZERO)),
            Poll::Pending => Poll::Pending,
        })
        .await;
        let predictions = result?;
        let (got, needed) = (predictions.len(), loaded.model.prediction_len());
        if got != needed {
            let text = format!("the endpoint gave {got} predictions for a row, and the model has {needed}");
            return Err(RemoteError::Failed(text.into()));
        }
        Ok((predictions, wake))
    }
}

/// A timer of the shard's wheel, for one question.
struct TimeoutGuard<'a> {
    core: &'a ShardCore,
    timer: Timer,
}

impl<'a> TimeoutGuard<'a> {
    fn new(core: &'a ShardCore, after: Duration) -> Self {
        let mut wheel = core.wheel.borrow_mut();
        let timer = wheel.insert();
        wheel.set(timer, after);
        drop(wheel);
        Self { core, timer }
    }

    fn poll_passed(&mut self, cx: &std::task::Context<'_>) -> bool {
        self.core.wheel.borrow_mut().poll_fired(self.timer, cx)
    }
}

impl Drop for TimeoutGuard<'_> {
    fn drop(&mut self) {
        self.core.wheel.borrow_mut().remove(self.timer);
    }
}
