//! Whether a request is allowed: asked of the shard's verifier before anything else of the request is looked at. Without
//! `[auth]` this is one comparison.

use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arrayvec::ArrayString;
use http::request::Parts;

use super::HttpShard;
use super::connection::deadlines::ConnectionDeadlines;
use super::cross_origin::CrossOriginHeaders;
use super::error::RequestError;
use super::routes::method_name;
use crate::auth::{Class, Credentials, Denial, Principal, RateSettings};
use crate::shard::ShardCore;
use crate::telemetry::{Counter, DenialReason, Event, EventKind, PRINCIPAL_BYTES_MAX, Route};

/// Lines about refused requests that one shard writes in a second; all are counted.
const LINES_A_SECOND: u32 = 10;

/// What is asked for, and by which name it is counted.
#[derive(Clone, Copy)]
pub(super) struct Asked {
    pub(super) route: Route,
    pub(super) class: Class,
}

/// Lets a request pass, or says why not.
#[inline]
pub(super) fn check(
    http: &HttpShard,
    watch: &ConnectionDeadlines,
    asked: Asked,
    head: &Parts,
) -> Result<(), RequestError> {
    if http.core.auth.borrow().is_none() {
        return Ok(());
    }
    verify(http, watch, asked, head)
}

fn verify(http: &HttpShard, watch: &ConnectionDeadlines, asked: Asked, head: &Parts) -> Result<(), RequestError> {
    let core = &http.core;
    let mut auth = core.auth.borrow_mut();
    let Some(verifier) = auth.as_mut() else { return Ok(()) };
    // A browser asks before it sends a credential, and cannot send one then.
    if head.method == http::Method::OPTIONS
        && CrossOriginHeaders::of(http.cross_origin(), &head.headers).is_preflight(&head.method, &head.headers)
    {
        return Ok(());
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let shown = Credentials {
        headers: &head.headers,
        certificate: watch.certificate(),
        now_s: now.as_secs_f64(),
        clock_s: core.security.clock_s(),
    };
    let checked = verifier.check(asked.class, shown);
    if verifier.takes_wish_for_keys() {
        core.security
            .unknown_keys
            .store(true, std::sync::atomic::Ordering::Relaxed);
    }
    drop(auth);
    let (denial, principal) = match checked {
        Ok(None) => {
            core.stats.borrow_mut().count(Counter::ByAnyone);
            return Ok(());
        }
        Ok(Some(principal)) => match take_one(core, asked.class, &principal) {
            Ok(()) => {
                core.stats.borrow_mut().count(principal.counter());
                return Ok(());
            }
            Err(denial) => (denial, None),
        },
        Err(refused) => refused,
    };
    let client = http.forwarded_for(watch, &head.headers).or_else(|| watch.peer());
    tell(core, (asked.route, head, client), denial, principal.as_deref());
    Err(RequestError::Denied(denial))
}

/// Takes one request of a principal's rate.
fn take_one(core: &ShardCore, class: Class, principal: &Principal) -> Result<(), Denial> {
    let limits = core.limits();
    let Some(rate) = limits.principal_rate else {
        return Ok(());
    };
    let burst = limits.principal_burst.unwrap_or_else(|| whole(rate)).max(1);
    let settings = RateSettings {
        rate,
        burst: u32::try_from(burst).unwrap_or(u32::MAX),
    };
    let taken = core.rates.take(principal.number, core.security.clock_ns(), settings);
    taken.map_err(|wait_ns| Denial {
        reason: DenialReason::RateLimited,
        class,
        retry_s: u32::try_from(wait_ns.div_ceil(1_000_000_000))
            .unwrap_or(u32::MAX)
            .max(1),
    })
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the configuration has checked that it is positive and at most a million"
)]
fn whole(rate: f64) -> usize {
    rate as usize
}

/// Counts a refusal, and has it logged if there were not many in this second.
fn tell(
    core: &ShardCore,
    (route, head, client): (Route, &Parts, Option<IpAddr>),
    denial: Denial,
    principal: Option<&Principal>,
) {
    core.stats.borrow_mut().denied[denial.reason as usize] += 1;
    let (second, lines) = core.denied_lines.get();
    let now = core.security.clock_s();
    let lines = if second == now { lines } else { 0 };
    if lines >= LINES_A_SECOND {
        return;
    }
    core.denied_lines.set((now, lines + 1));
    let status = RequestError::Denied(denial).status().0.as_u16();
    let mut event = Event::of_connection(EventKind::Denied(denial.reason), core.number);
    (event.method, event.route, event.status) = (method_name(&head.method), route, status);
    event.client = client;
    if let Some(principal) = principal {
        event.principal = clipped(&principal.name);
    }
    core.tell(event);
}

fn clipped(name: &str) -> ArrayString<PRINCIPAL_BYTES_MAX> {
    let mut text = ArrayString::new();
    for character in name.chars() {
        if text.try_push(character).is_err() {
            break;
        }
    }
    text
}
