//! What a shard wants logged. It may not write log lines itself, so it sends a small value and goes on.

use std::time::Duration;

use arrayvec::ArrayString;
use crossbeam_channel::Receiver;
use tokio::time::MissedTickBehavior;

use super::counts::Stop;
use crate::limits::{EVENTS_MAX, REQUEST_ID_BYTES_MAX};
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

/// One thing to log. No heap: it is copied into a queue on the request path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// What happened.
    pub kind: Kind,
    /// Where.
    pub shard: u16,
    /// The request's route; [`Route::Other`] when there was no request.
    pub route: Route,
    /// The status it was answered with; zero when it was not.
    pub status: u16,
    /// How long it took; zero when that is not known.
    pub total_us: u32,
    /// The request's id; empty when there was no request.
    pub request_id: ArrayString<REQUEST_ID_BYTES_MAX>,
}

impl Event {
    /// What happened to a connection, outside of any request.
    #[must_use]
    pub fn of_connection(kind: Kind, shard: u16) -> Self {
        let (route, request_id) = (Route::Other, ArrayString::new_const());
        Self {
            kind,
            shard,
            route,
            status: 0,
            total_us: 0,
            request_id,
        }
    }

    fn write(&self) {
        let Self {
            kind,
            shard,
            route,
            status,
            total_us,
            request_id,
        } = *self;
        let (route, request_id) = (route.name(), request_id.as_str());
        match kind {
            Kind::Slow => tracing::warn!(shard, route, status, total_us, request_id, "slow request"),
            Kind::Failed => tracing::warn!(shard, route, status, total_us, request_id, "failed request"),
            Kind::Panicked => tracing::error!(
                shard,
                route,
                status,
                total_us,
                request_id,
                "a connection's task panicked"
            ),
            Kind::TimedOut(phase) => {
                let phase = phase.name();
                tracing::info!(
                    shard,
                    phase,
                    route,
                    status,
                    request_id,
                    "closed a connection that was too slow"
                );
            }
        }
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
