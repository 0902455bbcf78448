//! Which request gets which answer: one match.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::{Duration, Instant};

use arrayvec::ArrayString;
use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use quintile_scoring::read::Timings;

use super::HttpShard;
use super::batch::{self, Answering, Form};
use super::body::{self, Coding, Outgoing};
use super::connection::deadlines::Watch;
use super::cross_origin::CrossOriginHeaders;
use super::error::Failure;
use super::framing;
use super::pages::{self, Page, Wants};
use super::request_id::RequestId;
use super::response::Responder;
use super::trace;
use crate::media_type::is_json;
use crate::protocol::Native;
use crate::shard::ShardCore;
use crate::shard::away::Remote;
use crate::shard::scorer::Outcome;
use crate::telemetry::{Counter, Event, EventKind, Route};

/// A request that takes longer from its last byte to its answer is logged. Unit: microseconds.
const SLOW_US: u32 = 250_000;

/// Asks for a score by this process where SageMaker would be asked: its value is `local`.
const BACKEND: HeaderName = HeaderName::from_static("x-quintile-backend");

/// Answers one request.
pub(super) async fn respond(http: &Rc<HttpShard>, watch: &Rc<Watch>, request: Request<Incoming>) -> Response<Outgoing> {
    let core = &http.core;
    let under_way = UnderWay::new(core, watch);
    let (mut head, body) = request.into_parts();
    let id = RequestId::new(&head.headers, || core.scorer.borrow_mut().next_id());
    let trace = trace::given(&head.headers);
    let (route, target) = target(http, head.uri.path(), &head.method);
    let cross_origin = CrossOriginHeaders::of(http.cross_origin(), &head.headers);
    let is_preflight = cross_origin.is_preflight(&head.method, &head.headers);
    let target = framing::check(head.version, &head.headers, &body)
        .and(target)
        .and_then(|target| admit(watch, target))
        .and_then(|target| check(http, target, &head.headers));
    let stays = core.remote.is_some() && head.headers.get(BACKEND).is_some_and(|value| value == "local");
    let mut headers = std::mem::take(&mut head.headers);
    headers.clear();
    let responder = Responder {
        core,
        headers,
        id: &id,
        version: head.version,
        cross_origin,
        is_last: watch.is_health_only(),
    };
    // From the last byte of the body. A client that sends slowly is not a request that we answer slowly.
    let mut took = Duration::ZERO;
    let response = match target {
        Err(failure) => responder.failed(&failure),
        Ok(Target::Batch(form, coding)) => {
            // In a box, so that single requests do not carry its state.
            let opened = Box::pin(open_batch(core, watch, body, (form, coding), (stays, id.as_str())));
            match opened.await {
                Ok(answering) => responder.batch(form, answering),
                Err(failure) => responder.failed(&failure),
            }
        }
        Ok(Target::Score(coding)) => match body::collect(core, body, coding).await {
            Ok(body) => {
                let began = Instant::now();
                let scored = match &core.remote {
                    // In a box, so that requests that are scored here do not carry its state.
                    Some(remote) if remote.takes(core.scorer.borrow().served(), stays) => {
                        Box::pin(score_away(core, remote, &body, id.as_str())).await
                    }
                    _ => contained(core, || score(core, &body, id.as_str(), began)),
                };
                match scored {
                    Ok((answer, timings)) => {
                        took = Duration::from_nanos(timings.total_ns);
                        responder.scored(answer, &timings)
                    }
                    Err(failure) => {
                        took = began.elapsed();
                        responder.failed(&failure)
                    }
                }
            }
            Err(failure) => responder.failed(&failure),
        },
        Ok(Target::Options(allow)) if is_preflight => responder.preflight(allow),
        Ok(Target::Options(allow)) => responder.options(allow),
        Ok(Target::Health) => responder.text(StatusCode::OK, "ok\n"),
        Ok(Target::Ready) if core.is_ready() => responder.text(StatusCode::OK, "ready\n"),
        Ok(Target::Ready) => responder.text(StatusCode::SERVICE_UNAVAILABLE, "not ready\n"),
        Ok(Target::Metrics) => {
            let text = core.metrics_text.borrow().clone();
            responder.metrics(text)
        }
        Ok(Target::Page(page, wants)) => pages::answer(http, responder, page, wants),
        #[cfg(debug_assertions)]
        Ok(Target::Debug(probe)) => match body::collect(core, body, Coding::Identity).await {
            Ok(_) => match contained(core, || probe.run()) {
                Ok(text) => responder.text(StatusCode::OK, text),
                Err(failure) => responder.failed(&failure),
            },
            Err(failure) => responder.failed(&failure),
        },
    };
    drop(under_way);
    let status = response.status().as_u16();
    core.stats.borrow_mut().answered(route, status);
    let total_us = u32::try_from(took.as_micros()).unwrap_or(u32::MAX);
    if (status < 400 && total_us > SLOW_US) || status >= 500 {
        core.tell(Event {
            kind: if status >= 500 {
                EventKind::Failed
            } else {
                EventKind::Slow
            },
            shard: core.number,
            method: method_name(&head.method),
            route,
            status,
            total_us,
            request_id: ArrayString::from(id.as_str()).unwrap_or_default(),
            trace,
        });
    }
    response
}

/// The methods that HTTP has; any other is the client's own word.
fn method_name(method: &Method) -> &'static str {
    const METHODS: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"];
    METHODS
        .into_iter()
        .find(|known| method.as_str() == *known)
        .unwrap_or("_OTHER")
}

/// What a request asks for.
enum Target {
    Score(Coding),
    Batch(Form, Coding),
    /// Which methods a path takes.
    Options(&'static str),
    Health,
    Ready,
    Metrics,
    Page(Page, Wants),
    #[cfg(debug_assertions)]
    Debug(super::debug::Probe),
}

/// Methods of what is read, of what is scored, and of all paths together.
const READ: &str = "GET, HEAD, OPTIONS";
const SCORE: &str = "POST, OPTIONS";
const ANY: &str = "GET, HEAD, POST, OPTIONS";

fn target(http: &HttpShard, path: &str, method: &Method) -> (Route, Result<Target, Failure>) {
    let (route, allow, target) = match path {
        "/score" => (Route::Score, SCORE, Target::Score(Coding::Identity)),
        "/score/batch" => (Route::Batch, SCORE, Target::Batch(Form::List, Coding::Identity)),
        "/healthz" => (Route::Healthz, READ, Target::Health),
        "/readyz" => (Route::Readyz, READ, Target::Ready),
        "/metrics" => (Route::Metrics, READ, Target::Metrics),
        "*" if *method == Method::OPTIONS => (Route::Other, ANY, Target::Options(ANY)),
        other => match Page::at(other) {
            Some(page) if page.is_served(http) => (Route::Pages, READ, Target::Page(page, Wants::ANYTHING)),
            Some(_) => return (Route::Pages, Err(Failure::NotFound)),
            None => return (Route::Other, debug_target(other)),
        },
    };
    let target = match *method {
        Method::POST if allow == SCORE => Ok(target),
        Method::GET | Method::HEAD if allow == READ => Ok(target),
        Method::OPTIONS => Ok(Target::Options(allow)),
        _ => Err(Failure::MethodNotAllowed { allow }),
    };
    (route, target)
}

#[cfg(debug_assertions)]
fn debug_target(path: &str) -> Result<Target, Failure> {
    super::debug::probe(path).map(Target::Debug).ok_or(Failure::NotFound)
}

#[cfg(not(debug_assertions))]
fn debug_target(_: &str) -> Result<Target, Failure> {
    Err(Failure::NotFound)
}

/// What a connection beyond the limit may ask for: how the process is.
fn admit(watch: &Watch, target: Target) -> Result<Target, Failure> {
    let is_health = matches!(target, Target::Health | Target::Ready | Target::Metrics);
    match watch.is_health_only() && !is_health {
        true => Err(Failure::TooManyConnections),
        false => Ok(target),
    }
}

/// What can be refused before the body is read.
fn check(http: &HttpShard, target: Target, headers: &HeaderMap) -> Result<Target, Failure> {
    let core = &http.core;
    if headers.len() > core.limits().headers_max {
        return Err(Failure::HeadersTooMany {
            limit: core.limits().headers_max,
        });
    }
    if let Target::Page(page, _) = target {
        return Ok(Target::Page(page, Wants::new(http, page, headers)));
    }
    // Whoever asks how we are is answered however busy we are.
    if !matches!(target, Target::Score(_) | Target::Batch(..)) {
        return Ok(target);
    }
    if core.in_flight.get() > core.limits().in_flight_max {
        return Err(Failure::Overloaded);
    }
    let kind = headers.get(CONTENT_TYPE);
    if matches!(target, Target::Batch(..)) {
        let form = Form::of(kind).ok_or(Failure::BatchMediaType)?;
        return Ok(Target::Batch(form, coding(headers)?));
    }
    if kind.is_some_and(|kind| !is_json(kind.as_bytes())) {
        return Err(Failure::MediaType);
    }
    Ok(Target::Score(coding(headers)?))
}

/// How the body is compressed.
fn coding(headers: &HeaderMap) -> Result<Coding, Failure> {
    let mut coding = Coding::Identity;
    for encoding in headers.get_all(CONTENT_ENCODING) {
        let encoding = encoding.as_bytes();
        let is_gzip = [&b"gzip"[..], b"x-gzip"]
            .iter()
            .any(|name| encoding.eq_ignore_ascii_case(name));
        match coding {
            Coding::Identity if is_gzip => coding = Coding::Gzip,
            _ if encoding.eq_ignore_ascii_case(b"identity") => {}
            _ => return Err(Failure::ContentEncoding),
        }
    }
    Ok(coding)
}

fn score(core: &ShardCore, body: &[u8], request_id: &str, began: Instant) -> Result<(Bytes, Timings), Failure> {
    let mut scorer = core.scorer.borrow_mut();
    match scorer.score::<Native>(body, request_id, began, &mut core.arena.borrow_mut()) {
        Outcome::Scored { answer, score, timings } => {
            core.stats.borrow_mut().scored(score, timings.total_ns);
            Ok((answer, timings))
        }
        Outcome::Rejected(rejection) => Err(Failure::Rejected(rejection)),
        Outcome::QueueFull => {
            core.stats.borrow_mut().count(Counter::Shed);
            Err(Failure::QueueFull)
        }
    }
}

/// Reads as much of a batch as its status depends on. `stays` is whether the client wants this process to score it.
async fn open_batch(
    core: &Rc<ShardCore>,
    watch: &Rc<Watch>,
    body: Incoming,
    format: (Form, Coding),
    (stays, request_id): (bool, &str),
) -> Result<Answering, Failure> {
    let goes_away = |remote: &Remote| remote.takes(core.scorer.borrow().served(), stays);
    if core.remote.as_ref().is_some_and(goes_away) {
        return Err(Failure::BatchNotLocal);
    }
    batch::open(core, watch, body, format, request_id).await
}

/// As [`score`], by somebody else.
async fn score_away(
    core: &ShardCore,
    remote: &Remote,
    body: &[u8],
    request_id: &str,
) -> Result<(Bytes, Timings), Failure> {
    let away = contained(core, || {
        core.scorer.borrow_mut().read::<Native>(body).map_err(Failure::Rejected)
    })?;
    let told = remote.ask(core, &away.served, &away.row, away.began).await;
    if let Err(miss) = &told
        && !remote.falls_back(&away.served)
    {
        core.stats.borrow_mut().count(Counter::RemoteMissed);
        return Err(Failure::Remote(miss.clone()));
    }
    contained(core, || {
        let mut arena = core.arena.borrow_mut();
        match core
            .scorer
            .borrow_mut()
            .finish::<Native>(&away, &told, request_id, &mut arena)
        {
            Outcome::Scored { answer, score, timings } => {
                let mut stats = core.stats.borrow_mut();
                stats.scored(score, timings.total_ns);
                if told.is_ok() {
                    stats.count(Counter::RemoteScores);
                } else {
                    stats.count(Counter::RemoteFallbacks);
                }
                Ok((answer, timings))
            }
            Outcome::Rejected(rejection) => Err(Failure::Rejected(rejection)),
            Outcome::QueueFull => {
                core.stats.borrow_mut().count(Counter::Shed);
                Err(Failure::QueueFull)
            }
        }
    })
}

/// Runs what has no `await`, and turns a panic into an answer. What the closure had borrowed is given back by unwinding,
/// and what a shard shares is whole between statements.
pub(super) fn contained<T>(core: &ShardCore, run: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| {
        core.stats.borrow_mut().count(Counter::Panics);
        Err(Failure::Panicked)
    })
}

/// Counts a request in and, however it ends, out.
pub(super) struct UnderWay<'a> {
    core: &'a ShardCore,
    watch: &'a Watch,
}

impl<'a> UnderWay<'a> {
    pub(super) fn new(core: &'a ShardCore, watch: &'a Watch) -> Self {
        core.in_flight.set(core.in_flight.get() + 1);
        watch.request_began();
        Self { core, watch }
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.core.in_flight.set(self.core.in_flight.get() - 1);
        self.watch.request_ended();
        self.core.spin.touch();
    }
}
