//! Metrics of the spool, the sinks, and SageMaker.

use prometheus::proto::MetricFamily;

use super::families::{counter, float, gauge, labels, since_1970};
use crate::side::counts::{Counts, SinkCounts};
use crate::side::remote_counts::{CIRCUITS, RESULTS, RemoteCounts};
use crate::telemetry::{Counter, ShardStats};

pub(super) fn spool(counts: &Counts) -> Vec<MetricFamily> {
    let Some(spool) = &counts.spool else { return Vec::new() };
    let value = |value: usize| [(vec![], float(value as u64))];
    vec![
        gauge("quintile_spool_bytes", "Files of the spool.", value(spool.bytes())),
        gauge(
            "quintile_spool_capacity_bytes",
            "Files that the spool may have; a full one sheds leads.",
            value(spool.bytes_max()),
        ),
        gauge(
            "quintile_spool_segments",
            "Segments that are being written, are ready, or hold what a sink has not delivered.",
            value(spool.segments()),
        ),
        gauge(
            "quintile_spool_ready_segments",
            "Segments that wait for a shard to need them; none means a full spool or a slow disk.",
            value(spool.ready()),
        ),
        counter(
            "quintile_spool_errors_total",
            "Attempts at the spool's disk that failed.",
            [(vec![], spool.errors())],
        ),
        gauge(
            "quintile_spool_writable",
            "1 while the spool's folder is there and its disk takes what is written.",
            value(usize::from(spool.is_writable())),
        ),
        gauge(
            "quintile_spool_keeper_up",
            "1 while a keeper process would write what a crash leaves in memory.",
            value(usize::from(spool.has_keeper())),
        ),
        gauge(
            "quintile_spool_memory_bytes",
            "Shared memory that records may take before they are in files.",
            value(spool.memory_bytes()),
        ),
        counter(
            "quintile_spool_recovered_records_total",
            "Records found at the start that another process had not delivered.",
            [(vec![], counts.recovered)],
        ),
    ]
}

/// A number of each sink: its family's name and help, and where the number is.
type SinkCounter = (&'static str, &'static str, fn(&SinkCounts) -> u64);

/// Families that count, by sink.
const SINK_COUNTERS: [SinkCounter; 7] = [
    (
        "quintile_records_delivered_total",
        "Records that have reached their place, by sink.",
        |sink| sink.delivered.get(),
    ),
    (
        "quintile_records_retried_total",
        "Records sent again after the place refused them.",
        |sink| sink.retried.get(),
    ),
    (
        "quintile_records_throttled_total",
        "Records retried because the sink throttled them.",
        |sink| sink.throttled.get(),
    ),
    (
        "quintile_records_dead_lettered_total",
        "Records that the place refuses for ever, written to a file.",
        |sink| sink.dead_lettered.get(),
    ),
    (
        "quintile_records_damaged_total",
        "Records that could not be read or written; a fault of ours.",
        |sink| sink.damaged.get(),
    ),
    (
        "quintile_sink_errors_total",
        "Attempts at delivering records that failed; each is repeated.",
        |sink| sink.errors.get(),
    ),
    (
        "quintile_sink_files_written_total",
        "Files that are complete and in their place.",
        |sink| sink.files.get(),
    ),
];

/// Families of the sinks that have dead letters.
const DEAD_LETTER_GAUGES: [SinkCounter; 2] = [
    (
        "quintile_dead_letter_bytes",
        "Files of records that the place refuses for ever.",
        |sink| sink.dead_letter_bytes.get(),
    ),
    (
        "quintile_dead_letter_capacity_bytes",
        "What those files may have: at this size the sink waits.",
        |sink| sink.dead_letter_bytes_max.get(),
    ),
];

pub(super) fn sinks(counts: &Counts) -> Vec<MetricFamily> {
    let label = |sink: &SinkCounts| labels(&[("sink", sink.name)]);
    let sinks = || counts.sinks.iter();
    let mut families = Vec::new();
    for (name, help, value) in SINK_COUNTERS {
        families.push(counter(name, help, sinks().map(|sink| (label(sink), value(sink)))));
    }
    let with_letters = || sinks().filter(|sink| sink.dead_letter_bytes_max.get() > 0);
    for (name, help, value) in DEAD_LETTER_GAUGES {
        let samples = with_letters().map(|sink| (label(sink), float(value(sink))));
        families.push(gauge(name, help, samples));
    }
    families.push(gauge(
        "quintile_records_pending",
        "Records answered and not delivered yet, by sink.",
        sinks().map(|sink| (label(sink), float(counts.pending(sink)))),
    ));
    families.push(gauge(
        "quintile_records_lag_seconds",
        "Age of the oldest record that is not delivered yet, by sink.",
        sinks().map(|sink| (label(sink), sink.lag().as_secs_f64())),
    ));
    families.extend(last_errors(counts));
    families
}

/// When and how each sink last failed.
fn last_errors(counts: &Counts) -> [MetricFamily; 2] {
    let errors: Vec<_> = counts
        .sinks
        .iter()
        .filter_map(|sink| Some((sink.name, sink.last_error()?)))
        .collect();
    [
        gauge(
            "quintile_sink_last_error_timestamp_seconds",
            "When a sink last failed, in seconds since 1970.",
            errors
                .iter()
                .map(|(name, error)| (labels(&[("sink", name)]), since_1970(error.at))),
        ),
        gauge(
            "quintile_sink_last_error_info",
            "How a sink last failed.",
            errors
                .iter()
                .map(|(name, error)| (labels(&[("sink", name), ("error", &error.text)]), 1.0)),
        ),
    ]
}

pub(super) fn remote(counts: &RemoteCounts, totals: &ShardStats) -> [MetricFamily; 5] {
    let results = RESULTS.iter().zip(counts.by_result());
    let sources = [
        ("sagemaker", totals.of(Counter::RemoteScores)),
        ("local", totals.of(Counter::RemoteFallbacks)),
        ("none", totals.of(Counter::RemoteMissed)),
    ];
    let circuits = CIRCUITS.iter().enumerate();
    let (calls, throttled) = counts.made();
    let calls = [("made", calls), ("throttled", throttled)];
    [
        counter(
            "quintile_remote_answers_total",
            "Questions to SageMaker by what came of them.",
            results.map(|(result, count)| (labels(&[("result", result)]), count)),
        ),
        counter(
            "quintile_remote_calls_total",
            "Calls to SageMaker, retries included, and those of them that were throttled.",
            calls.map(|(kind, count)| (labels(&[("kind", kind)]), count)),
        ),
        counter(
            "quintile_remote_scores_total",
            "Leads that SageMaker was to score, by who did.",
            sources.map(|(source, count)| (labels(&[("source", source)]), count)),
        ),
        gauge(
            "quintile_remote_under_way",
            "Questions to SageMaker that are under way or wait for a call.",
            [(vec![], float(counts.open_questions() as u64))],
        ),
        gauge(
            "quintile_remote_circuit",
            "1 for the state of the circuit breaker.",
            circuits.map(|(place, state)| {
                let is_current = place == counts.current();
                (labels(&[("state", state)]), if is_current { 1.0 } else { 0.0 })
            }),
        ),
    ]
}
