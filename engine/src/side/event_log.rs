//! Writes the log events that shards send.

use std::time::Duration;

use crossbeam_channel::Receiver;
use tokio::time::MissedTickBehavior;

use super::counts::Stop;
use crate::limits::EVENTS_MAX;
use crate::telemetry::{DenialReason, Event, EventKind};

/// How often events are looked for.
const TICK: Duration = Duration::from_millis(10);

/// Lines written at once: a terminal or pipe that is slow must not keep the pump from its turn. More than 6,400 a
/// second are left to the queue, which drops and counts.
const LINES_PER_TICK: usize = 64;

/// Logs events until the end.
pub(super) async fn log(events: Receiver<Event>, stop: &Stop) {
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let last = stop.is_set();
        let lines = if last { EVENTS_MAX } else { LINES_PER_TICK };
        events.try_iter().take(lines).for_each(|event| write(&event));
        if last {
            return;
        }
    }
}

fn write(event: &Event) {
    let shard = event.shard;
    let client = event.client.map(tracing::field::display);
    match event.kind {
        EventKind::Slow => write_request(event, "slow request"),
        EventKind::Failed => write_request(event, "failed request"),
        EventKind::Denied(reason) => write_denied(event, reason),
        EventKind::Panicked => tracing::error!(shard, client.address = client, "a connection's task panicked"),
        EventKind::TimedOut(phase) => {
            let phase = phase.name();
            tracing::info!(
                shard,
                phase,
                client.address = client,
                "closed a connection that was too slow"
            );
        }
        EventKind::Unproxied => tracing::warn!(
            shard,
            client.address = client,
            "closed a connection that does not begin with the PROXY protocol (server.proxy_protocol)"
        ),
    }
}

fn write_request(event: &Event, what: &str) {
    let span_id = event.trace.map_or(0, |trace| trace.span_id);
    tracing::warn!(
        trace_id = event.trace.map(|trace| format!("{:032x}", trace.trace_id)),
        span_id = (span_id != 0).then(|| format!("{span_id:016x}")),
        trace_flags = event.trace.and_then(|trace| trace.flags),
        request_id = event.request_id.as_str(),
        http.request.method = event.method,
        http.route = event.route.name(),
        http.response.status_code = event.status,
        client.address = event.client.map(tracing::field::display),
        duration_us = event.total_us,
        shard = event.shard,
        "{what}"
    );
}

fn write_denied(event: &Event, reason: DenialReason) {
    tracing::warn!(
        reason = reason.name(),
        http.route = event.route.name(),
        http.request.method = event.method,
        http.response.status_code = event.status,
        client.address = event.client.map(tracing::field::display),
        principal = (!event.principal.is_empty()).then_some(event.principal.as_str()),
        "denied"
    );
}
