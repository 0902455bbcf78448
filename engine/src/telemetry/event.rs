//! The log events of a shard. It may not write log lines itself, so it sends a small value and continues.

use std::net::IpAddr;

use arrayvec::ArrayString;
use quintile_scoring::limits::REQUEST_ID_BYTES_MAX;

use super::{DenialReason, Phase, Route};

/// Bytes of a principal's name that a log line has.
pub const PRINCIPAL_BYTES_MAX: usize = 128;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// A request took longer than it should.
    Slow,
    /// A request failed because of the server.
    Failed,
    /// A task panicked, and its connection was given up.
    Panicked,
    /// A limit of time closed a connection.
    TimedOut(Phase),
    /// A request was not allowed.
    Denied(DenialReason),
    /// A connection began without the PROXY protocol, which is asked for.
    Unproxied,
}

/// The trace that a request belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trace {
    /// W3C's trace id.
    pub trace_id: u128,
    /// The caller's span; zero if it is unknown.
    pub span_id: u64,
    /// W3C's flags; none if they are unknown.
    pub flags: Option<u8>,
}

/// One thing to log. No heap: it is copied into a queue on the request path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// What happened.
    pub kind: EventKind,
    /// Where.
    pub shard: u16,
    /// The request's method, as OpenTelemetry writes it; empty when there was no request.
    pub method: &'static str,
    /// The request's route; [`Route::Other`] when there was no request.
    pub route: Route,
    /// The status it was answered with; zero when it was not.
    pub status: u16,
    /// How long it took; zero when that is not known.
    pub total_us: u32,
    /// The request's id; empty when there was no request.
    pub request_id: ArrayString<REQUEST_ID_BYTES_MAX>,
    /// What it said of its trace.
    pub trace: Option<Trace>,
    /// Who was refused; empty where that is not known.
    pub principal: ArrayString<PRINCIPAL_BYTES_MAX>,
    /// Where it came from, if that is known.
    pub client: Option<IpAddr>,
}

impl Event {
    /// What happened to a connection, outside of any request.
    #[must_use]
    pub fn of_connection(kind: EventKind, shard: u16) -> Self {
        Self {
            kind,
            shard,
            method: "",
            route: Route::Other,
            status: 0,
            total_us: 0,
            request_id: ArrayString::new_const(),
            trace: None,
            principal: ArrayString::new_const(),
            client: None,
        }
    }
}
