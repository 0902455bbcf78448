//! What a shard wants logged. It may not write log lines itself, so it sends a small value and goes on.

use std::time::Duration;

use arrayvec::ArrayString;
use crossbeam_channel::Receiver;
use quintile_scoring::limits::REQUEST_ID_BYTES_MAX;
use tokio::time::MissedTickBehavior;

use super::counts::Stop;
use crate::limits::EVENTS_MAX;
use crate::shard::stats::{Phase, Route};

/// How often events are looked for.
const TICK: Duration = Duration::from_millis(10);

/// Lines written at once: a terminal or pipe that is slow must not keep the pump from its turn. More than 6,400 a second
/// are left to the queue, which drops and counts.
const LINES_PER_TICK: usize = 64;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A request took longer than it should.
    Slow,
    /// A request was answered with a fault of ours.
    Failed,
    /// A task panicked, and its connection was given up.
    Panicked,
    /// A limit of time closed a connection.
    TimedOut(Phase),
}

/// The trace that a request belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trace {
    /// W3C's trace id.
    pub trace_id: u128,
    /// The caller's span; zero when it is not told.
    pub span_id: u64,
    /// W3C's flags; none when they are not told.
    pub flags: Option<u8>,
}

/// One thing to log. No heap: it is copied into a queue on the request path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// What happened.
    pub kind: Kind,
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
}

impl Event {
    /// What happened to a connection, outside of any request.
    #[must_use]
    pub fn of_connection(kind: Kind, shard: u16) -> Self {
        Self {
            kind,
            shard,
            method: "",
            route: Route::Other,
            status: 0,
            total_us: 0,
            request_id: ArrayString::new_const(),
            trace: None,
        }
    }

    fn write(&self) {
        let shard = self.shard;
        match self.kind {
            Kind::Slow => self.write_request("slow request"),
            Kind::Failed => self.write_request("failed request"),
            Kind::Panicked => tracing::error!(shard, "a connection's task panicked"),
            Kind::TimedOut(phase) => {
                tracing::info!(shard, phase = phase.name(), "closed a connection that was too slow");
            }
        }
    }

    fn write_request(&self, what: &str) {
        let span_id = self.trace.map_or(0, |trace| trace.span_id);
        tracing::warn!(
            trace_id = self.trace.map(|trace| format!("{:032x}", trace.trace_id)),
            span_id = (span_id != 0).then(|| format!("{span_id:016x}")),
            trace_flags = self.trace.and_then(|trace| trace.flags),
            request_id = self.request_id.as_str(),
            http.request.method = self.method,
            http.route = self.route.name(),
            http.response.status_code = self.status,
            duration_us = self.total_us,
            shard = self.shard,
            "{what}"
        );
    }
}

/// Logs events until the end.
pub(super) async fn log(events: Receiver<Event>, stop: &Stop) {
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let last = stop.is_set();
        let lines = if last { EVENTS_MAX } else { LINES_PER_TICK };
        events.try_iter().take(lines).for_each(|event| event.write());
        if last {
            return;
        }
    }
}
