//! Which request gets which answer: [`admit`](super::admit) finds the target of a request, and one match answers it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::{Duration, Instant};

use arrayvec::ArrayString;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use quintile_scoring::read::Timings;

use super::HttpShard;
use super::admit::{Target, admit, lists_unusual};
use super::batch::{self, BatchResponse, Form};
use super::body::{self, Coding};
use super::connection::deadlines::ConnectionDeadlines;
use super::cross_origin::CrossOriginHeaders;
use super::error::RequestError;
use super::explain;
use super::long_lead;
use super::pages;
use super::protocols::{self, ErrorForm};
use super::request_id::RequestId;
use super::response::Responder;
use super::response_body::ResponseBody;
use super::target;
use super::trace;
use crate::models::ModelChoice;
use crate::protocol::Native;
use crate::shard::ShardCore;
use crate::shard::remote_call::Remote;
use crate::shard::scorer::{Outcome, RequestInfo};
use crate::telemetry::{Counter, Event, EventKind, Route};

/// A request that takes longer from its last byte to its answer is logged. Unit: microseconds.
const SLOW_US: u32 = 250_000;

/// Asks for a score by this process where SageMaker would be asked: its value is `local`.
const SCORER_HEADER: HeaderName = HeaderName::from_static("x-quintile-scorer");

/// Answers one request.
pub(super) async fn respond(
    http: &Rc<HttpShard>,
    watch: &Rc<ConnectionDeadlines>,
    request: Request<Incoming>,
) -> Response<ResponseBody> {
    let core = &http.core;
    let in_flight = InFlightGuard::new(core, watch);
    let (mut head, body) = request.into_parts();
    let id = RequestId::new(&head.headers, || core.scorer.borrow_mut().next_id());
    let trace = trace::given(&head.headers);
    let (route, target) = admit(http, watch, &head, &body);
    let cross_origin = CrossOriginHeaders::of(http.cross_origin(), &head.headers);
    let is_preflight = cross_origin.is_preflight(&head.method, &head.headers);
    let stays = core.remote.is_some() && head.headers.get(SCORER_HEADER).is_some_and(|value| value == "local");
    let request = RequestInfo::new(id.as_str(), lists_unusual(head.uri.query()));
    let forwarded_for = http.forwarded_for(watch, &head.headers);
    let responder = Responder {
        core,
        watch,
        headers: emptied(&mut head),
        id: &id,
        version: head.version,
        form: ErrorForm::of(route),
        cross_origin,
        is_last: watch.is_health_only(),
    };
    let mut took = Duration::ZERO;
    let response = match target {
        Err(failure) => responder.failed(&failure),
        // In a box, so that single requests do not carry its state.
        Ok(Target::Batch(choice, form, coding, reasons)) => {
            let request = request.with_reasons(reasons);
            let opened = open_batch(core, watch, body, (form, coding), (&choice, stays, request));
            responder.opened(form, Box::pin(opened).await)
        }
        Ok(Target::Score(choice, coding, reasons)) => {
            let request = request.with_reasons(reasons);
            let scored = score_body(core, body, coding, (&choice, stays, request), &mut took).await;
            responder.answered(scored)
        }
        Ok(Target::Protocol(call)) => Box::pin(protocols::answer(http, responder, call, body)).await,
        Ok(Target::Options(allow)) => responder.options(allow, is_preflight),
        Ok(Target::Health) => responder.text(StatusCode::OK, "ok\n"),
        Ok(Target::Ready) => responder.readiness(),
        Ok(Target::Metrics) => responder.metrics(core.metrics_text()),
        Ok(Target::ModelSchema(version)) => responder.document(version.loaded.descriptions().schema.bytes.clone()),
        Ok(Target::Page(page, wants)) => pages::answer(http, responder, page, wants),
        #[cfg(debug_assertions)]
        Ok(Target::Debug(probe)) => match run_probe(core, body, &probe).await {
            Ok(text) => responder.text(StatusCode::OK, text),
            Err(failure) => responder.failed(&failure),
        },
    };
    drop(in_flight);
    let status = counted(core, route, &response);
    let total_us = u32::try_from(took.as_micros()).unwrap_or(u32::MAX);
    if let Some(kind) = worth_a_line(route, status, total_us) {
        core.tell(Event {
            method: method_name(&head.method),
            route,
            status,
            total_us,
            request_id: ArrayString::from(id.as_str()).unwrap_or_default(),
            trace,
            client: forwarded_for.or_else(|| watch.peer()),
            ..Event::of_connection(kind, core.number)
        });
    }
    response
}

/// Counts an answer; its status.
fn counted(core: &ShardCore, route: Route, response: &Response<ResponseBody>) -> u16 {
    let status = response.status().as_u16();
    core.stats.borrow_mut().answered(route, status);
    status
}

/// Frees what a head holds, which may be long, as the body may be long in coming. The memory of its headers is used for
/// those of the answer.
fn emptied(head: &mut http::request::Parts) -> HeaderMap {
    drop(std::mem::take(&mut head.uri));
    let mut headers = std::mem::take(&mut head.headers);
    headers.clear();
    headers
}

/// Which answers are logged. That `/readyz` says no is the state of the process, whose reason is logged once.
fn worth_a_line(route: Route, status: u16, total_us: u32) -> Option<EventKind> {
    match status {
        500.. if route != Route::Readyz => Some(EventKind::Failed),
        ..400 if total_us > SLOW_US => Some(EventKind::Slow),
        _ => None,
    }
}

/// The methods that HTTP has; any other is the client's own word.
pub(super) fn method_name(method: &Method) -> &'static str {
    const METHODS: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"];
    METHODS
        .into_iter()
        .find(|known| method.as_str() == *known)
        .unwrap_or("_OTHER")
}

/// Reads a lead and scores it, here or elsewhere. `took` is set to how long that was from the last byte of the body; a
/// client that sends slowly is not a request that we answer slowly.
async fn score_body(
    core: &Rc<ShardCore>,
    body: Incoming,
    coding: Coding,
    (choice, stays, request): (&ModelChoice, bool, RequestInfo<'_>),
    took: &mut Duration,
) -> Result<(Bytes, Timings), RequestError> {
    let body = body::collect(core, body, coding).await?;
    if let Some(target) = request.reasons.target {
        // In a box, so that other requests do not carry its state.
        return Box::pin(async {
            let found = target::search(core, choice, &body, target).await?;
            let request = RequestInfo {
                target: Some(&found),
                ..request
            };
            score_prepared(core, &body, (choice, stays, request), took).await
        })
        .await;
    }
    let scored = score_collected(core, &body, (choice, stays, request), took).await;
    if !matches!(scored, Err(RequestError::Preparing)) {
        return scored;
    }
    // In a box, so that requests that do not wait do not carry its state.
    Box::pin(score_prepared(core, &body, (choice, stays, request), took)).await
}

/// As [`score_collected`], when what explains the models is made, if it must be.
async fn score_prepared(
    core: &Rc<ShardCore>,
    body: &[u8],
    (choice, stays, request): (&ModelChoice, bool, RequestInfo<'_>),
    took: &mut Duration,
) -> Result<(Bytes, Timings), RequestError> {
    let scored = score_collected(core, body, (choice, stays, request), took).await;
    if !matches!(scored, Err(RequestError::Preparing)) {
        return scored;
    }
    explain::prepare(core, choice).await?;
    score_collected(core, body, (choice, stays, request), took).await
}

/// As [`score_body`], of a body that is complete. What asks for reasons that cannot be found yet is not scored.
async fn score_collected(
    core: &Rc<ShardCore>,
    body: &[u8],
    (choice, stays, request): (&ModelChoice, bool, RequestInfo<'_>),
    took: &mut Duration,
) -> Result<(Bytes, Timings), RequestError> {
    let began = Instant::now();
    let lead = if long_lead::is_long(body) {
        // In a box, so that other leads do not carry its state.
        Box::pin(long_lead::read(core, choice, body)).await.map(|()| Lead::Read)
    } else {
        Ok(Lead::Unread(body))
    };
    let scored = match (lead, &core.remote) {
        (Err(failure), _) => Err(failure),
        // In a box, so that requests that are scored here do not carry its state.
        (Ok(lead), Some(remote)) if remote.takes(core.scorer.borrow().champion(), stays) => {
            Box::pin(score_away(core, remote, (choice, lead), request)).await
        }
        (Ok(lead), _) => contained(core, || score(core, (choice, lead), request, began)),
    };
    *took = match &scored {
        Ok((_, timings)) => Duration::from_nanos(timings.total_ns),
        Err(_) => began.elapsed(),
    };
    scored
}

#[cfg(debug_assertions)]
async fn run_probe(
    core: &Rc<ShardCore>,
    body: Incoming,
    probe: &super::debug::Probe,
) -> Result<&'static str, RequestError> {
    body::collect(core, body, Coding::Identity).await?;
    contained(core, || probe.run())
}

/// A lead that is to be scored.
#[derive(Clone, Copy)]
enum Lead<'a> {
    /// Its text.
    Unread(&'a [u8]),
    /// It is in the shard's workspace.
    Read,
}

fn score(
    core: &ShardCore,
    (choice, lead): (&ModelChoice, Lead<'_>),
    request: RequestInfo<'_>,
    began: Instant,
) -> Result<(Bytes, Timings), RequestError> {
    let mut scorer = core.scorer.borrow_mut();
    let arena = &mut core.arena.borrow_mut();
    let outcome = match lead {
        Lead::Unread(body) => scorer.score::<Native>(choice, body, request, began, arena),
        Lead::Read => scorer.score_read::<Native>(request, began, arena),
    };
    match outcome {
        Outcome::Scored {
            answer,
            score,
            by,
            timings,
        } => {
            let mut stats = core.stats.borrow_mut();
            stats.scored(score, timings.total_ns);
            if let Some(by) = by {
                stats.scored_by(&by, score, Some(timings.total_ns));
            }
            Ok((answer, timings))
        }
        Outcome::Rejected(rejection) => Err(RequestError::Rejected(rejection)),
        Outcome::QueueFull => {
            core.stats.borrow_mut().count(Counter::Shed);
            Err(RequestError::QueueFull)
        }
        Outcome::Unexplained(error) => Err(explain::failure(error)),
    }
}

/// Reads as much of a batch as its status depends on. `stays` is whether the client wants this process to score it.
async fn open_batch(
    core: &Rc<ShardCore>,
    watch: &Rc<ConnectionDeadlines>,
    body: Incoming,
    format: (Form, Coding),
    (choice, stays, request): (&ModelChoice, bool, RequestInfo<'_>),
) -> Result<BatchResponse, RequestError> {
    let goes_away = |remote: &Remote| remote.takes(core.scorer.borrow().champion(), stays);
    if core.remote.as_ref().is_some_and(goes_away) {
        return Err(RequestError::BatchNotLocal);
    }
    batch::open(core, watch, body, format, (choice, request)).await
}

/// As [`score`], by a remote scorer.
async fn score_away(
    core: &ShardCore,
    remote: &Remote,
    (choice, lead): (&ModelChoice, Lead<'_>),
    request: RequestInfo<'_>,
) -> Result<(Bytes, Timings), RequestError> {
    let away = contained(core, || match lead {
        Lead::Unread(body) => {
            let mut scorer = core.scorer.borrow_mut();
            scorer.read::<Native>(choice, body).map_err(RequestError::Rejected)
        }
        Lead::Read => Ok(core.scorer.borrow().away(Instant::now())),
    })?;
    if core.scorer.borrow().is_asked_why(request.reasons) {
        // Nobody else knows why.
        return contained(core, || score(core, (choice, Lead::Read), request, away.began));
    }
    let loaded = &away.version.loaded;
    let told = remote.ask(core, loaded, &away.row, away.began).await;
    if let Err(miss) = &told
        && !remote.falls_back(loaded)
    {
        core.stats.borrow_mut().count(Counter::RemoteMissed);
        return Err(RequestError::Remote(miss.clone()));
    }
    contained(core, || {
        let mut arena = core.arena.borrow_mut();
        match core
            .scorer
            .borrow_mut()
            .finish::<Native>(&away, &told, request, &mut arena)
        {
            Outcome::Scored {
                answer,
                score,
                by: _,
                timings,
            } => {
                let mut stats = core.stats.borrow_mut();
                stats.scored(score, timings.total_ns);
                if told.is_ok() {
                    stats.count(Counter::RemoteScores);
                } else {
                    stats.count(Counter::RemoteFallbacks);
                }
                Ok((answer, timings))
            }
            Outcome::Rejected(rejection) => Err(RequestError::Rejected(rejection)),
            Outcome::QueueFull => {
                core.stats.borrow_mut().count(Counter::Shed);
                Err(RequestError::QueueFull)
            }
            Outcome::Unexplained(error) => Err(explain::failure(error)),
        }
    })
}

/// Runs what has no `await`, and turns a panic into an answer. What the closure had borrowed is given back by
/// unwinding, and what a shard shares is whole between statements.
pub(super) fn contained<T>(core: &ShardCore, run: impl FnOnce() -> Result<T, RequestError>) -> Result<T, RequestError> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| {
        core.stats.borrow_mut().count(Counter::Panics);
        Err(RequestError::Panicked)
    })
}

/// Counts a request in and, however it ends, out.
pub(super) struct InFlightGuard<'a> {
    core: &'a ShardCore,
    watch: &'a ConnectionDeadlines,
}

impl<'a> InFlightGuard<'a> {
    pub(super) fn new(core: &'a ShardCore, watch: &'a ConnectionDeadlines) -> Self {
        core.in_flight.set(core.in_flight.get() + 1);
        watch.request_began();
        Self { core, watch }
    }
}

impl Drop for InFlightGuard<'_> {
    fn drop(&mut self) {
        self.core.in_flight.set(self.core.in_flight.get() - 1);
        self.watch.request_ended();
        self.core.spin.touch();
    }
}
