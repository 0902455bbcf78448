//! SageMaker as a scorer: takes the shards' requests, calls an endpoint, and sends the results to the shards'
//! mailboxes.
//!
//! ```text
//!  RemoteQueue ──▶ breaker: open? ──▶ fewer than `calls_max` under way? ──▶ a call ──▶ answer ──▶ mailbox of the shard
//!                     └─ RemoteError::Open └─ waits, until its deadline        └─ again, while the deadline allows it
//! ```
//! It is a task on side. Every request gets a result: predictions, or the reason why there are none. A call is retried
//! only after a temporary failure, and only within the request's deadline.

mod answer;
mod breaker;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_sdk_sagemakerruntime::Client;
use aws_sdk_sagemakerruntime::operation::invoke_endpoint::InvokeEndpointError;
use aws_sdk_sagemakerruntime::primitives::Blob;
use quintile_scoring::text::truncate;
use tokio::task::{Id, JoinSet};

use super::aws::{self, AwsError, Reason};
use super::counts::{Counts, Stop};
use super::remote_counts::RemoteCounts;
use crate::config::{Aws, Scoring};
use crate::log_limiter::LogLimiter;
use crate::remote::{Circuit, RemoteError, RemoteQueue, RemoteRequest, RemoteResponse};
use crate::shard::mailbox::{Address, Mail};
use breaker::{Breaker, Permit};

/// How often deadlines of waiting questions and the breaker's pause are looked at.
const TICK: Duration = Duration::from_millis(10);

/// Before a call is repeated: half of it and up to all of it. Retries that come at once find what the first call found.
const RETRY_PAUSE: Duration = Duration::from_millis(40);

/// A retry needs this much of the deadline, or it is not worth a call.
const RETRY_LEAST: Duration = Duration::from_millis(20);

/// Bytes of a service's words that reach logs and clients.
const REASON_BYTES_MAX: usize = 256;

/// The endpoint and how it is asked.
#[derive(Debug)]
pub(super) struct Endpoint {
    client: Client,
    name: String,
    media_type: &'static str,
    calls_max: usize,
}

impl Endpoint {
    /// Reads what AWS's clients must know; no call is made.
    pub(super) fn open(scoring: &Scoring, aws: &Aws) -> Result<Self, AwsError> {
        // The deadline of each question ends its calls; the client's own limit is for calls without one.
        let config = aws::load(aws, 2 * scoring.deadline)?;
        Ok(Self {
            client: Client::new(&config),
            name: scoring.endpoint.clone().unwrap_or_default(),
            media_type: scoring.content().media_type(),
            calls_max: scoring.calls_max,
        })
    }
}

/// Answers questions until the end.
pub(super) async fn run(endpoint: Endpoint, desk: RemoteQueue, shards: Vec<Address>, counts: Arc<Counts>, stop: &Stop) {
    let mut office = RemoteWorker {
        endpoint: Arc::new(endpoint),
        desk,
        shards,
        counts,
        breaker: Breaker::new(),
        calls: JoinSet::new(),
        under_way: HashMap::new(),
        waiting: VecDeque::new(),
        undelivered: Vec::new(),
        log: LogLimiter::default(),
        circuit: Circuit::Closed,
    };
    // The shards have ended by then: no task waits.
    while !stop.is_set() {
        office.turn().await;
    }
}

struct RemoteWorker {
    endpoint: Arc<Endpoint>,
    desk: RemoteQueue,
    shards: Vec<Address>,
    counts: Arc<Counts>,
    breaker: Breaker,
    calls: JoinSet<Called>,
    under_way: HashMap<Id, (RemoteRequest, Permit)>,
    /// Questions that found all calls taken. The queue's own bound holds for them too: none is read while there are as
    /// many.
    waiting: VecDeque<RemoteRequest>,
    /// Answers that found a full mailbox.
    undelivered: Vec<(u16, RemoteResponse)>,
    log: LogLimiter,
    circuit: Circuit,
}

/// The result of one request's calls.
#[derive(Debug)]
struct Called {
    result: Result<Box<[f64]>, RemoteError>,
    /// Whether the service did its part: a row it does not like is no failure of the service.
    healthy: bool,
    calls: u64,
    throttled: u64,
}

impl RemoteWorker {
    async fn turn(&mut self) {
        tokio::select! {
            biased;
            Some(done) = self.calls.join_next_with_id(), if !self.calls.is_empty() => match done {
                Ok((id, called)) => self.called(id, called),
                Err(error) => {
                    let result = Err(RemoteError::Failed("the call's task panicked".into()));
                    self.called(error.id(), Called { result, healthy: false, calls: 1, throttled: 0 });
                }
            },
            () = self.desk.rings(), if self.waiting.len() < self.endpoint.calls_max => {}
            () = tokio::time::sleep(TICK) => {}
        }
        self.redeliver();
        self.take();
        self.start();
        let circuit = self.breaker.circuit(Instant::now());
        self.desk.set(circuit);
        self.count(|counts| counts.circuit(circuit));
        if std::mem::replace(&mut self.circuit, circuit) != circuit {
            let endpoint = &self.endpoint.name;
            match circuit {
                Circuit::Open => tracing::warn!(endpoint, "the endpoint fails: no calls for a while"),
                Circuit::HalfOpen => tracing::info!(endpoint, "trying the endpoint again"),
                Circuit::Closed => tracing::info!(endpoint, "the endpoint answers again"),
            }
        }
    }

    fn take(&mut self) {
        while self.waiting.len() < self.endpoint.calls_max {
            let Some(ask) = self.desk.next() else { break };
            self.waiting.push_back(ask);
        }
    }

    fn start(&mut self) {
        let now = Instant::now();
        let mut late = Vec::new();
        self.waiting.retain_mut(|ask| {
            if ask.deadline > now {
                return true;
            }
            late.push((ask.shard, ask.ticket));
            false
        });
        for (shard, ticket) in late {
            // There was no call, so this says nothing about the endpoint.
            self.send(shard, ticket, Err(RemoteError::Late));
        }
        while self.calls.len() < self.endpoint.calls_max {
            let Some(ask) = self.waiting.pop_front() else { break };
            let Some(permit) = self.breaker.permit(now) else {
                self.send(ask.shard, ask.ticket, Err(RemoteError::Open));
                continue;
            };
            let call = call(Arc::clone(&self.endpoint), ask.body.clone(), ask.deadline);
            let task = self.calls.spawn(call);
            self.under_way.insert(task.id(), (ask, permit));
        }
        let questions = self.calls.len() + self.waiting.len();
        self.count(|counts| counts.under_way(questions));
    }

    fn called(&mut self, id: Id, called: Called) {
        let Some((ask, permit)) = self.under_way.remove(&id) else {
            return;
        };
        self.breaker.note(permit, called.healthy, Instant::now());
        self.count(|counts| counts.calls(called.calls, called.throttled));
        if let Err(miss) = &called.result {
            self.log(miss);
        }
        self.send(ask.shard, ask.ticket, called.result);
    }

    fn log(&mut self, miss: &RemoteError) {
        if self.log.may_log(Instant::now()) {
            tracing::warn!(endpoint = self.endpoint.name, %miss, "no prediction from the endpoint");
        }
    }

    fn send(&mut self, shard: u16, ticket: crate::remote::Ticket, result: Result<Box<[f64]>, RemoteError>) {
        self.count(|counts| counts.result(&result));
        let sent = Instant::now();
        self.deliver(shard, RemoteResponse { ticket, result, sent });
    }

    fn deliver(&mut self, shard: u16, answer: RemoteResponse) {
        let Some(address) = self.shards.get(usize::from(shard)) else {
            return;
        };
        if let Err(Mail::Remote(answer)) = address.send(Mail::Remote(answer)) {
            // Full, or ended: then the end comes soon.
            self.undelivered.push((shard, answer));
        }
    }

    fn count(&self, note: impl FnOnce(&RemoteCounts)) {
        if let Some(counts) = &self.counts.remote {
            note(counts);
        }
    }

    fn redeliver(&mut self) {
        for (shard, answer) in std::mem::take(&mut self.undelivered) {
            self.deliver(shard, answer);
        }
    }
}

/// Asks until there is an answer, a failure that will not pass, or no time.
async fn call(endpoint: Arc<Endpoint>, body: bytes::Bytes, deadline: Instant) -> Called {
    let (mut calls, mut throttled) = (0, 0);
    loop {
        calls += 1;
        let attempt = attempt(&endpoint, &body);
        let tried = tokio::time::timeout_at(deadline.into(), attempt).await;
        let (result, healthy, may_pass) = match tried {
            Err(_) => (Err(RemoteError::Late), false, false),
            Ok(Ok(predictions)) => (Ok(predictions), true, false),
            Ok(Err(failure)) => {
                throttled += u64::from(failure.throttled);
                (
                    Err(RemoteError::Failed(failure.text.into())),
                    failure.healthy,
                    failure.may_pass,
                )
            }
        };
        let pause = RETRY_PAUSE.mul_f64(0.5 + 0.5 * fastrand::f64());
        let has_time = Instant::now() + pause + RETRY_LEAST < deadline;
        if !(may_pass && has_time) {
            return Called {
                result,
                healthy,
                calls,
                throttled,
            };
        }
        tokio::time::sleep(pause).await;
    }
}

struct CallError {
    text: String,
    may_pass: bool,
    healthy: bool,
    throttled: bool,
}

async fn attempt(endpoint: &Endpoint, body: &bytes::Bytes) -> Result<Box<[f64]>, CallError> {
    let call = endpoint.client.invoke_endpoint().endpoint_name(&endpoint.name);
    let call = call.content_type(endpoint.media_type).accept(endpoint.media_type);
    match call.body(Blob::new(body.to_vec())).send().await {
        Ok(answer) => {
            let bytes = answer.body().map(Blob::as_ref).unwrap_or_default();
            answer::predictions(bytes)
                .map(Vec::into_boxed_slice)
                .map_err(|text| CallError {
                    text,
                    may_pass: false,
                    healthy: false,
                    throttled: false,
                })
        }
        Err(error) => {
            let of_container = match error.as_service_error() {
                Some(InvokeEndpointError::ModelError(model)) => model.original_status_code(),
                _ => None,
            };
            Err(judge(&aws::reason(&error), of_container))
        }
    }
}

/// `of_container` is the status that the model's container answered with, which SageMaker wraps in a 424.
fn judge(reason: &Reason, of_container: Option<i32>) -> CallError {
    let throttled = reason.code.contains("Throttl") || reason.status == 429;
    // The container read the row and did not like it. The next row may be another matter.
    let is_row = of_container.is_some_and(|status| (400..500).contains(&status));
    let refused = (400..500).contains(&reason.status) && !throttled && of_container.is_none();
    CallError {
        text: truncate(&reason.text, REASON_BYTES_MAX).to_owned(),
        may_pass: !(refused || is_row),
        healthy: is_row,
        throttled,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(code: &str, status: u16, of_container: Option<i32>) -> (bool, bool, bool) {
        let reason = Reason {
            code: code.into(),
            status,
            text: "ä".repeat(400),
        };
        let failure = judge(&reason, of_container);
        assert!(failure.text.len() <= REASON_BYTES_MAX);
        (failure.may_pass, failure.healthy, failure.throttled)
    }

    #[test]
    fn a_failure_is_repeated_when_it_may_pass_and_blamed_on_whose_it_is() {
        assert_eq!(judged("ThrottlingException", 400, None), (true, false, true));
        assert_eq!(judged("", 429, None), (true, false, true));
        assert_eq!(judged("InternalFailure", 500, None), (true, false, false));
        assert_eq!(judged("ServiceUnavailable", 503, None), (true, false, false));
        assert_eq!(judged("", 0, None), (true, false, false), "never reached");
        assert_eq!(
            judged("ValidationError", 400, None),
            (false, false, false),
            "no such endpoint"
        );
        assert_eq!(judged("AccessDeniedException", 403, None), (false, false, false));
        assert_eq!(
            judged("ModelError", 424, Some(400)),
            (false, true, false),
            "the row's fault"
        );
        assert_eq!(judged("ModelError", 424, Some(500)), (true, false, false));
    }
}
