//! Which requests are taken: one order of checks, and a row of policy for each path.
//!
//! ```text
//! count ─▶ id ─▶ trace ─▶ connection, headers ─▶ credential, rate ─▶ framing ─▶ path, method ─▶ load ─▶ media type, coding ─▶ body
//! └─ routes::respond ──┘  └──────────────────────────────────── here ─────────────────────────────────────────┘
//! ```
//! The first check that fails decides the answer. The requirements of a path are in its [`Policy`] and nowhere else.

use std::sync::Arc;

use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, Method};
use hyper::body::Incoming;
use quintile_scoring::reasons::{ReasonsRequestError, ReasonsWish};

use super::authenticate::{self, Asked};
use super::batch::Form;
use super::body::Coding;
use super::connection::deadlines::ConnectionDeadlines;
use super::error::RequestError;
use super::model_path::{self, Operation};
use super::pages::{Page, Wants};
use super::protocols::{self, ProtocolCall};
use super::{HttpShard, framing};
use crate::auth::Class;
use crate::media_type::is_json;
use crate::models::{ChoiceError, ModelChoice, ModelVersion, Selected};
use crate::shard::ShardCore;
use crate::shard::backlog::Weight;
use crate::telemetry::{Counter, Route};

/// What a request asks for.
pub(super) enum Target {
    Score(ModelChoice, Coding, ReasonsWish),
    Batch(ModelChoice, Form, Coding, ReasonsWish),
    /// Which methods a path takes.
    Options(&'static str),
    Health,
    Ready,
    Metrics,
    Page(Page, Wants),
    /// A call of another protocol.
    Protocol(ProtocolCall),
    /// What one model takes and gives.
    ModelSchema(Arc<ModelVersion>),
    #[cfg(debug_assertions)]
    Debug(super::debug::Probe),
}

/// What is demanded of the requests for a path, before their bodies are read.
pub(super) struct Policy {
    /// Its name in the metrics.
    pub(super) route: Route,
    /// Its methods, as the header `allow` has them.
    pub(super) allow: &'static str,
    /// Whether it is refused when the shard is overloaded. Health checks are always answered.
    pub(super) sheds: bool,
    /// Whose rules it has.
    pub(super) class: Class,
    /// Whether it is answered on a connection beyond the limit, which may only ask how the process is.
    pub(super) is_health: bool,
}

/// Methods of what is read, of what is scored, and of all paths together.
const READ: &str = "GET, HEAD, OPTIONS";
const SCORE: &str = "POST, OPTIONS";
const ANY: &str = "GET, HEAD, POST, OPTIONS";

pub(super) const fn scoring(route: Route) -> Policy {
    Policy {
        route,
        allow: SCORE,
        sheds: true,
        class: Class::Score,
        is_health: false,
    }
}

pub(super) const fn reading(route: Route, class: Class, is_health: bool) -> Policy {
    Policy {
        route,
        allow: READ,
        sheds: false,
        class,
        is_health,
    }
}

static SCORE_POLICY: Policy = scoring(Route::Score);
static BATCH_POLICY: Policy = scoring(Route::Batch);
static HEALTH_POLICY: Policy = reading(Route::Healthz, Class::Health, true);
static READY_POLICY: Policy = reading(Route::Readyz, Class::Health, true);
static METRICS_POLICY: Policy = reading(Route::Metrics, Class::Metrics, true);
static PAGES_POLICY: Policy = reading(Route::Pages, Class::Docs, false);
static OTHER_POLICY: Policy = Policy {
    allow: ANY,
    ..reading(Route::Other, Class::Docs, false)
};

/// What a request asks for, or why it is not taken; and its name in the metrics.
pub(super) fn admit(
    http: &HttpShard,
    watch: &ConnectionDeadlines,
    head: &Parts,
    body: &Incoming,
) -> (Route, Result<Target, RequestError>) {
    let (policy, target) = find(http, head.uri.path(), &head.method);
    let asked = Asked {
        route: policy.route,
        class: policy.class,
    };
    let checked = match watch.is_health_only() && !policy.is_health {
        true => Err(RequestError::TooManyConnections),
        false => {
            check_header_count(&http.core, &head.headers).and_then(|()| authenticate::check(http, watch, asked, head))
        }
    };
    let checked = checked.and_then(|()| check(http, policy, target, head, body));
    (policy.route, checked)
}

/// The checks, in their order.
#[inline]
fn check(
    http: &HttpShard,
    policy: &Policy,
    target: Result<Target, RequestError>,
    head: &Parts,
    body: &Incoming,
) -> Result<Target, RequestError> {
    framing::check(head.version, &head.headers, body)?;
    let target = target?;
    if matches!(target, Target::Options(_)) {
        return Ok(target);
    }
    check_load(&http.core, policy, head.uri.query())?;
    check_media(http, target, head)
}

/// The one match of paths.
fn find(http: &HttpShard, path: &str, method: &Method) -> (&'static Policy, Result<Target, RequestError>) {
    let (policy, target) = match path {
        "/score" => (
            &SCORE_POLICY,
            Target::Score(ModelChoice::Default, Coding::Identity, ReasonsWish::default()),
        ),
        "/score/batch" => (
            &BATCH_POLICY,
            Target::Batch(
                ModelChoice::Default,
                Form::List,
                Coding::Identity,
                ReasonsWish::default(),
            ),
        ),
        "/healthz" => (&HEALTH_POLICY, Target::Health),
        "/readyz" => (&READY_POLICY, Target::Ready),
        "/metrics" => (&METRICS_POLICY, Target::Metrics),
        "*" if *method == Method::OPTIONS => (&OTHER_POLICY, Target::Options(ANY)),
        other => match elsewhere(http, other, method) {
            (policy, Ok(target)) => (policy, target),
            (policy, Err(failure)) => return (policy, Err(failure)),
        },
    };
    let allow = policy.allow;
    let target = match *method {
        Method::POST if allow == SCORE => Ok(target),
        Method::GET | Method::HEAD if allow == READ => Ok(target),
        Method::GET | Method::HEAD | Method::POST if allow == ANY => Ok(target),
        Method::OPTIONS => Ok(Target::Options(allow)),
        _ => Err(RequestError::MethodNotAllowed { allow }),
    };
    (policy, target)
}

/// Other protocols, pages, and models that the path names.
fn elsewhere(http: &HttpShard, path: &str, method: &Method) -> (&'static Policy, Result<Target, RequestError>) {
    let of_protocol = |(policy, call): (_, Result<_, _>)| (policy, call.map(Target::Protocol));
    if protocols::may_be_one(path)
        && let Some(found) = protocols::find(http, path, method)
    {
        return of_protocol(found);
    }
    match Page::at(path) {
        Some(page) if page.is_served(http) => (&PAGES_POLICY, Ok(Target::Page(page, Wants::ANYTHING))),
        Some(_) => match protocols::alive(http).filter(|_| path == "/") {
            Some(found) => of_protocol(found),
            None => (&PAGES_POLICY, Err(RequestError::NotFound)),
        },
        None => match model_path::parse(path) {
            Some((name, selected, operation)) => of_model(http, name, selected, operation),
            None => (&OTHER_POLICY, debug_target(path)),
        },
    }
}

/// What is asked of a model that the path names. A path that means none is known, so its methods are looked at later.
fn of_model(
    http: &HttpShard,
    name: &str,
    selected: Selected<'_>,
    operation: Operation,
) -> (&'static Policy, Result<Target, RequestError>) {
    let scorer = http.core.scorer.borrow();
    let choice = scorer.registry().choose(name, selected).map_err(|error| match error {
        ChoiceError::Unknown => RequestError::UnknownModel,
        ChoiceError::NotLoaded => RequestError::ModelNotLoaded,
    });
    match operation {
        Operation::Score => (
            &SCORE_POLICY,
            choice.map(|choice| Target::Score(choice, Coding::Identity, ReasonsWish::default())),
        ),
        Operation::Batch => (
            &BATCH_POLICY,
            choice.map(|choice| Target::Batch(choice, Form::List, Coding::Identity, ReasonsWish::default())),
        ),
        Operation::Schema => (
            &PAGES_POLICY,
            choice.map(|choice| Target::ModelSchema(Arc::clone(choice.reads_first(scorer.registry())))),
        ),
    }
}

#[cfg(debug_assertions)]
fn debug_target(path: &str) -> Result<Target, RequestError> {
    super::debug::probe(path)
        .map(Target::Debug)
        .ok_or(RequestError::NotFound)
}

#[cfg(not(debug_assertions))]
fn debug_target(_: &str) -> Result<Target, RequestError> {
    Err(RequestError::NotFound)
}

fn check_header_count(core: &ShardCore, headers: &HeaderMap) -> Result<(), RequestError> {
    let limit = core.limits().headers_max;
    if headers.len() > limit {
        return Err(RequestError::HeadersTooMany { limit });
    }
    Ok(())
}

fn check_load(core: &ShardCore, policy: &Policy, query: Option<&str>) -> Result<(), RequestError> {
    if !policy.sheds {
        return Ok(());
    }
    if core.in_flight.get() > core.limits().in_flight_max {
        return Err(RequestError::Overloaded);
    }
    if core.backlog.is_watched() {
        return check_wait(core, policy, query);
    }
    Ok(())
}

/// Whether a request has waited too long for this shard.
fn check_wait(core: &ShardCore, policy: &Policy, query: Option<&str>) -> Result<(), RequestError> {
    let is_explained = || query.is_some_and(|query| query.contains("explain=") || query.contains("target="));
    let (weight, counter) = match policy.route == Route::Batch || is_explained() {
        true => (Weight::Heavy, Counter::LateBatches),
        false => (Weight::Single, Counter::LateScores),
    };
    if core.backlog.refuses(weight, core.limits().queue) {
        core.stats.borrow_mut().count(counter);
        return Err(RequestError::Late);
    }
    Ok(())
}

/// What the headers say of the body, and of what a page's client has.
fn check_media(http: &HttpShard, target: Target, head: &Parts) -> Result<Target, RequestError> {
    let headers = &head.headers;
    let kind = headers.get(CONTENT_TYPE);
    match target {
        Target::Score(..) if kind.is_some_and(|kind| !is_json(kind.as_bytes())) => Err(RequestError::MediaType),
        Target::Score(choice, ..) => Ok(Target::Score(choice, coding(headers)?, reasons(head)?)),
        Target::Batch(choice, ..) => {
            let form = Form::of(kind).ok_or(RequestError::BatchMediaType)?;
            let reasons = reasons(head)?;
            if reasons.target.is_some() {
                return Err(RequestError::Query(ReasonsRequestError::TargetOfBatch));
            }
            Ok(Target::Batch(choice, form, coding(headers)?, reasons))
        }
        // A browser asks for the page, which is turned off.
        Target::Protocol(_) if head.uri.path() == "/" && names_html(headers) => Err(RequestError::NotFound),
        Target::Protocol(call) => Ok(Target::Protocol(call.with_headers(headers)?)),
        Target::Page(..) if head.uri.path() == "/" && !names_html(headers) => match protocols::alive(http) {
            Some((_, Ok(call))) => Ok(Target::Protocol(call)),
            _ => Ok(target),
        },
        Target::Page(page, _) => Ok(Target::Page(page, Wants::new(http, page, headers))),
        other => Ok(other),
    }
}

/// Whether a client names pages among what it takes: browsers do, and programs take anything.
fn names_html(headers: &HeaderMap) -> bool {
    let names = |value: &http::HeaderValue| {
        value
            .to_str()
            .is_ok_and(|value| value.to_ascii_lowercase().contains("text/html"))
    };
    headers.get_all(http::header::ACCEPT).iter().any(names)
}

/// Whether a query asks for the values of a lead that lie far outside what training saw.
pub(super) fn lists_unusual(query: Option<&str>) -> bool {
    query.is_some_and(|query| {
        query
            .split('&')
            .any(|pair| matches!(pair, "unusual=1" | "unusual=true"))
    })
}

/// The reasons that the query asks for.
fn reasons(head: &Parts) -> Result<ReasonsWish, RequestError> {
    match head.uri.query() {
        None => Ok(ReasonsWish::default()),
        Some(query) => ReasonsWish::of_query(query).map_err(RequestError::Query),
    }
}

/// How the body is compressed.
fn coding(headers: &HeaderMap) -> Result<Coding, RequestError> {
    let mut coding = Coding::Identity;
    for encoding in headers.get_all(CONTENT_ENCODING) {
        let encoding = encoding.as_bytes();
        let is_gzip = [&b"gzip"[..], b"x-gzip"]
            .iter()
            .any(|name| encoding.eq_ignore_ascii_case(name));
        match coding {
            Coding::Identity if is_gzip => coding = Coding::Gzip,
            _ if encoding.eq_ignore_ascii_case(b"identity") => {}
            _ => return Err(RequestError::ContentEncoding),
        }
    }
    Ok(coding)
}
