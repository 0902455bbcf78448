//! A lead that somebody else scores: asked over [`crate::remote`], answered when the answer comes, or by the fallback.
//!
//! Requests that are scored here never come this way. Those that do may allocate; they wait for a network anyway.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use quintile_scoring::loaded::Served;
use quintile_scoring::render::row_body::Content;

use super::ShardCore;
use super::wheel::Timer;
use crate::limits::TICK;
use crate::remote::{Ask, Line, Miss, Tickets};

/// How a shard asks; crosses into its thread.
#[derive(Debug, Clone)]
pub struct Asking {
    /// The way to side.
    pub line: Line,
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
    asking: Asking,
    pub(super) tickets: Tickets,
}

/// What came of one question: predictions, and how long the shard took to notice them.
pub(crate) type Told = Result<(Box<[f64]>, Duration), Miss>;

impl Remote {
    pub(super) fn new(asking: Asking) -> Self {
        Self {
            asking,
            tickets: Tickets::default(),
        }
    }

    /// Whether a row for this model is sent away. One that had better stay does if the model can be evaluated.
    pub(crate) fn takes(&self, served: &Served, stays: bool) -> bool {
        (self.asking.first && !stays) || served.outline_only.is_some()
    }

    /// Whether a row may be scored here instead.
    pub(crate) fn falls_back(&self, served: &Served) -> bool {
        self.asking.falls_back && served.outline_only.is_none()
    }

    /// Asks for one row's predictions. `began` is when its body was complete.
    pub(crate) async fn ask(&self, core: &ShardCore, served: &Served, row: &[f64], began: Instant) -> Told {
        let waiting = self.tickets.issue();
        let deadline = began + self.asking.deadline;
        let schema = served.model.schema();
        self.asking.line.ask(Ask {
            shard: core.number,
            ticket: waiting.ticket(),
            body: self.asking.content.render(row, schema.names()),
            deadline,
        })?;
        // Side keeps the deadline; this one is for a side that does not.
        let mut guard = Guard::new(core, self.asking.deadline + TICK);
        let mut waiting = pin!(waiting);
        let (result, wake) = poll_fn(|cx| match waiting.as_mut().poll(cx) {
            Poll::Ready(got) => Poll::Ready(got),
            Poll::Pending if guard.poll_passed(cx) => Poll::Ready((Err(Miss::Late), Duration::ZERO)),
            Poll::Pending => Poll::Pending,
        })
        .await;
        let predictions = result?;
        let (got, needed) = (predictions.len(), served.model.prediction_len());
        if got != needed {
            let text = format!("the endpoint gave {got} predictions for a row, and the model has {needed}");
            return Err(Miss::Failed(text.into()));
        }
        Ok((predictions, wake))
    }
}

/// A timer of the shard's wheel, for one question.
struct Guard<'a> {
    core: &'a ShardCore,
    timer: Timer,
}

impl<'a> Guard<'a> {
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

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.core.wheel.borrow_mut().remove(self.timer);
    }
}
