//! The text of `/metrics`: names, helps and labels, in one place.
//!
//! Families are built from plain numbers for each rendering; there is no registry, for shards count without atomics and
//! side holds the only sums. Names follow Prometheus' rules, which `promtool check metrics` holds them to.

use std::sync::Arc;

use bytes::Bytes;
use hdrhistogram::Histogram;
use prometheus::proto::{Bucket, LabelPair, Metric, MetricFamily, MetricType, Quantile, Summary};
use prometheus::{Encoder, TextEncoder, proto};
use quintile_model::Model;

use super::About;
use super::counts::{Counts, SinkCounts};
use super::news::Reload;
use super::process::Process;
use super::remote_counts::{CIRCUITS, RESULTS, RemoteCounts};
use super::stats::Latency;
use crate::shard::stats::{Phase, Route, STATUSES, ShardStats};

/// Upper bounds of the latency histogram: 1, 2, 5 of every decade from 1 µs to 10 s, in nanoseconds.
pub(super) const BUCKETS_NS: [u64; 22] = {
    let mut bounds = [0; 22];
    let (mut index, mut decade) = (0, 1_000);
    while index < bounds.len() {
        bounds[index] = decade * [1, 2, 5][index % 3];
        index += 1;
        if index % 3 == 0 {
            decade *= 10;
        }
    }
    bounds
};

const QUANTILES: [f64; 4] = [0.5, 0.9, 0.99, 0.999];

/// What the names of scores are; place 0 of the counts is for models without bands.
const SCORES: [&str; 6] = ["none", "1", "2", "3", "4", "5"];

/// Everything that is rendered.
pub(super) struct Reading<'a> {
    pub(super) totals: &'a ShardStats,
    pub(super) latency: &'a Latency,
    pub(super) counts: &'a Counts,
    pub(super) shards: &'a [Gauge],
    pub(super) process: &'a Process,
}

/// One shard's numbers.
pub(super) struct Gauge {
    pub(super) requests: u64,
    pub(super) connections: u64,
    pub(super) connections_open: usize,
}

/// What does not change, or only with a reload.
pub(super) struct Facts {
    infos: Vec<MetricFamily>,
    model: [MetricFamily; 2],
}

type Labels<'a> = &'a [(&'a str, &'a str)];

impl Facts {
    pub(super) fn new(about: &About, model: &Model, shards: usize) -> Self {
        let shards = shards.to_string();
        let infos = vec![
            info(
                "quintile_build_info",
                "What is running.",
                &[
                    ("version", &about.version),
                    ("commit", &about.commit),
                    ("target", &about.target),
                ],
            ),
            info(
                "quintile_runtime_info",
                "What drives the sockets, on how many shards.",
                &[("backend", &about.runtime), ("shards", &shards)],
            ),
            gauge(
                "process_start_time_seconds",
                "Start of the process, in seconds since 1970.",
                [(vec![], now_seconds())],
            ),
        ];
        let model = of_model(model);
        Self { infos, model }
    }

    /// Another model is served.
    pub(super) fn serve(&mut self, model: &Model) {
        self.model = of_model(model);
    }

    pub(super) fn render(&self, reading: &Reading<'_>) -> Bytes {
        let mut families = requests(reading.totals);
        families.extend(latency(reading));
        families.extend(by_shard(reading.shards));
        families.extend(spool(reading.counts));
        families.extend(sinks(reading.counts));
        let remote_counts = reading.counts.remote.as_ref();
        families.extend(
            remote_counts
                .into_iter()
                .flat_map(|counts| remote(counts, reading.totals)),
        );
        families.extend(self.infos.iter().chain(&self.model).cloned());
        families.push(reloads(reading.counts));
        families.extend(process(reading.process));
        // What has no sample now has none of its kind: without sinks there is nothing to say of them.
        families.retain(|family| !family.get_metric().is_empty());
        let mut text = Vec::with_capacity(16 << 10);
        TextEncoder::new()
            .encode(&families, &mut text)
            .expect("every family has a name and a sample, and a Vec takes all");
        text.into()
    }
}

fn of_model(model: &Model) -> [MetricFamily; 2] {
    let kernel = model.kernel().to_string();
    [
        info(
            "quintile_model_info",
            "The model that is served.",
            &[
                ("name", model.name()),
                ("version", model.version()),
                ("format", model.format()),
                ("objective", model.objective()),
                ("kernel", &kernel),
            ],
        ),
        gauge(
            "quintile_model_loaded_timestamp_seconds",
            "Since when it is served, in seconds since 1970.",
            [(vec![], now_seconds())],
        ),
    ]
}

fn reloads(counts: &Counts) -> MetricFamily {
    let outcomes = Reload::NAMES.iter().zip(&counts.reloads);
    counter(
        "quintile_reloads_total",
        "Reloads of configuration and model by what came of them.",
        outcomes.map(|(outcome, count)| (labels(&[("result", outcome)]), count.get())),
    )
}

fn spool(counts: &Counts) -> Vec<MetricFamily> {
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
        counter(
            "quintile_spool_recovered_records_total",
            "Records found at the start that another process had not delivered.",
            [(vec![], counts.recovered)],
        ),
    ]
}

fn sinks(counts: &Counts) -> [MetricFamily; 13] {
    let label = |sink: &SinkCounts| labels(&[("sink", sink.name)]);
    let of = |value: fn(&SinkCounts) -> u64| {
        let sample = move |sink: &Arc<SinkCounts>| (label(sink), value(sink));
        counts.sinks.iter().map(sample)
    };
    let gauges = |value: &dyn Fn(&SinkCounts) -> f64| -> Vec<_> {
        let sample = |sink: &Arc<SinkCounts>| (label(sink), value(sink));
        counts.sinks.iter().map(sample).collect()
    };
    let letters = |value: fn(&SinkCounts) -> u64| {
        let with_any = counts.sinks.iter().filter(|sink| sink.dead_letter_bytes_max.get() > 0);
        with_any.map(move |sink| (label(sink), float(value(sink))))
    };
    let errors: Vec<_> = counts
        .sinks
        .iter()
        .filter_map(|sink| Some((sink.name, sink.last_error()?)))
        .collect();
    let at = |time: std::time::SystemTime| {
        let since_1970 = time.duration_since(std::time::UNIX_EPOCH);
        since_1970.map_or(0.0, |duration| duration.as_secs_f64())
    };
    [
        counter(
            "quintile_records_delivered_total",
            "Records that have reached their place, by sink.",
            of(|sink| sink.delivered.get()),
        ),
        counter(
            "quintile_records_retried_total",
            "Records sent again after the place refused them.",
            of(|sink| sink.retried.get()),
        ),
        counter(
            "quintile_records_throttled_total",
            "Those of them that were sent again because the place was over its quota.",
            of(|sink| sink.throttled.get()),
        ),
        counter(
            "quintile_records_dead_lettered_total",
            "Records that the place refuses for ever, written to a file.",
            of(|sink| sink.dead_lettered.get()),
        ),
        gauge(
            "quintile_dead_letter_bytes",
            "Files of records that the place refuses for ever.",
            letters(|sink| sink.dead_letter_bytes.get()),
        ),
        gauge(
            "quintile_dead_letter_capacity_bytes",
            "What those files may have: at this size the sink waits.",
            letters(|sink| sink.dead_letter_bytes_max.get()),
        ),
        counter(
            "quintile_records_damaged_total",
            "Records that could not be read or written; a fault of ours.",
            of(|sink| sink.damaged.get()),
        ),
        gauge(
            "quintile_records_pending",
            "Records answered and not delivered yet, by sink.",
            gauges(&|sink| float(counts.pending(sink))),
        ),
        gauge(
            "quintile_records_lag_seconds",
            "Age of the oldest record that is not delivered yet, by sink.",
            gauges(&|sink| sink.lag().as_secs_f64()),
        ),
        counter(
            "quintile_sink_errors_total",
            "Attempts at delivering records that failed; each is repeated.",
            of(|sink| sink.errors.get()),
        ),
        gauge(
            "quintile_sink_last_error_timestamp_seconds",
            "When a sink last failed, in seconds since 1970.",
            errors
                .iter()
                .map(|(name, error)| (labels(&[("sink", name)]), at(error.at))),
        ),
        gauge(
            "quintile_sink_last_error_info",
            "How a sink last failed.",
            errors
                .iter()
                .map(|(name, error)| (labels(&[("sink", name), ("error", &error.text)]), 1.0)),
        ),
        counter(
            "quintile_sink_files_written_total",
            "Files that are complete and in their place.",
            of(|sink| sink.files.get()),
        ),
    ]
}

fn remote(counts: &RemoteCounts, totals: &ShardStats) -> [MetricFamily; 5] {
    let results = RESULTS.iter().zip(counts.by_result());
    let sources = [
        ("sagemaker", totals.remote_scores),
        ("local", totals.remote_fallbacks),
        ("none", totals.remote_missed),
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

fn requests(totals: &ShardStats) -> Vec<MetricFamily> {
    let statuses = STATUSES.map(|status| status.to_string());
    let requests = Route::ALL.iter().zip(&totals.requests).flat_map(|(route, counts)| {
        statuses
            .iter()
            .zip(counts)
            .map(|(status, &count)| (labels(&[("route", route.name()), ("status", status)]), count))
    });
    let scores = SCORES.iter().zip(&totals.scores);
    let phases = Phase::ALL.iter().zip(&totals.timeouts);
    vec![
        counter("quintile_requests_total", "Answers by route and status.", requests),
        counter(
            "quintile_scores_total",
            "Scored leads by band, none where the model has no bands.",
            scores.map(|(score, &count)| (labels(&[("score", score)]), count)),
        ),
        counter(
            "quintile_batch_leads_total",
            "Leads of batches by what came of them.",
            ["scored", "failed"]
                .iter()
                .zip(totals.batch_leads)
                .map(|(result, count)| (labels(&[("result", result)]), count)),
        ),
        counter(
            "quintile_timeouts_total",
            "Connections closed by a limit of time.",
            phases.map(|(phase, &count)| (labels(&[("phase", phase.name())]), count)),
        ),
        counter(
            "quintile_panics_total",
            "Tasks that panicked.",
            [(vec![], totals.panics)],
        ),
        counter(
            "quintile_shed_total",
            "Leads answered 503 because the spool was full.",
            [(vec![], totals.shed)],
        ),
        counter(
            "quintile_records_dropped_total",
            "Leads answered without a record because the spool was full and records.when_full is drop.",
            [(vec![], totals.dropped)],
        ),
        counter(
            "quintile_events_dropped_total",
            "Log events dropped because the side thread was behind.",
            [(vec![], totals.events_dropped)],
        ),
    ]
}

fn latency(reading: &Reading<'_>) -> [MetricFamily; 3] {
    let life = &reading.totals.score_ns;
    let (count, sum) = (life.len(), reading.latency.sum_seconds);
    let mut cumulative = 0;
    let buckets = BUCKETS_NS
        .iter()
        .zip(&reading.latency.buckets)
        .map(|(&bound_ns, more)| {
            cumulative += more;
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(seconds(bound_ns));
            bucket.set_cumulative_count(cumulative);
            bucket
        });
    let mut histogram = proto::Histogram::default();
    histogram.set_bucket(buckets.collect());
    histogram.set_sample_count(count);
    histogram.set_sample_sum(sum);
    let mut metric = Metric::default();
    metric.set_histogram(histogram);
    let name = "quintile_score_duration_seconds";
    let help = "From a complete body to its rendered answer, of scored leads that came alone.";
    [
        family(name, help, MetricType::HISTOGRAM, vec![metric]),
        summary(
            "quintile_score_duration_recent_seconds",
            "The same with quantiles of the last 5 to 10 seconds, NaN when nothing was scored.",
            &reading.latency.recent,
            (count, sum),
        ),
        summary(
            "quintile_score_duration_life_seconds",
            "The same with quantiles since the start.",
            life,
            (count, sum),
        ),
    ]
}

/// Quantiles belong to summaries: a gauge with that label is what promtool warns of.
fn summary(name: &str, help: &str, values_ns: &Histogram<u64>, (count, sum): (u64, f64)) -> MetricFamily {
    let quantiles = QUANTILES.map(|at| {
        let mut quantile = Quantile::default();
        quantile.set_quantile(at);
        let value = if values_ns.is_empty() {
            f64::NAN
        } else {
            seconds(values_ns.value_at_quantile(at))
        };
        quantile.set_value(value);
        quantile
    });
    let mut summary = Summary::default();
    summary.set_quantile(quantiles.into());
    summary.set_sample_count(count);
    summary.set_sample_sum(sum);
    let mut metric = Metric::default();
    metric.set_summary(summary);
    family(name, help, MetricType::SUMMARY, vec![metric])
}

fn by_shard(shards: &[Gauge]) -> [MetricFamily; 3] {
    let label = |shard: usize| labels(&[("shard", &shard.to_string())]);
    let counts = |of: fn(&Gauge) -> u64| {
        shards
            .iter()
            .enumerate()
            .map(move |(shard, gauge)| (label(shard), of(gauge)))
    };
    let gauges = |of: fn(&Gauge) -> usize| {
        let sample = move |(shard, gauge)| (label(shard), float(of(gauge) as u64));
        shards.iter().enumerate().map(sample)
    };
    [
        counter(
            "quintile_shard_requests_total",
            "Answers by shard.",
            counts(|shard| shard.requests),
        ),
        counter(
            "quintile_connections_total",
            "Connections adopted by shard.",
            counts(|shard| shard.connections),
        ),
        gauge(
            "quintile_connections_open",
            "Open connections by shard.",
            gauges(|shard| shard.connections_open),
        ),
    ]
}

fn process(process: &Process) -> Vec<MetricFamily> {
    let mut cpu = proto::Counter::default();
    cpu.set_value(process.cpu_seconds);
    let mut metric = Metric::default();
    metric.set_counter(cpu);
    let name = "process_cpu_seconds_total";
    let cpu = family(name, "Time on a CPU, in seconds.", MetricType::COUNTER, vec![metric]);
    let sample = |value: u64| [(vec![], float(value))];
    let of = |name, help, value: Option<u64>| value.map(|value| gauge(name, help, sample(value)));
    let gauges = [
        of(
            "process_resident_memory_bytes",
            "Resident memory.",
            process.resident_bytes,
        ),
        of("process_virtual_memory_bytes", "Address space.", process.virtual_bytes),
        of(
            "quintile_memory_anonymous_bytes",
            "Resident memory of our own.",
            process.anonymous_bytes,
        ),
        of(
            "quintile_memory_file_bytes",
            "Resident pages of files: the program and the spool. The kernel may take them back.",
            process.file_bytes,
        ),
        of(
            "process_open_fds",
            "Open file descriptors.",
            process.open_fds.map(|count| count as u64),
        ),
        of("process_max_fds", "File descriptors that may be open.", process.max_fds),
    ];
    std::iter::once(cpu).chain(gauges.into_iter().flatten()).collect()
}

fn now_seconds() -> f64 {
    let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since_1970.map_or(0.0, |duration| duration.as_secs_f64())
}

fn seconds(nanoseconds: u64) -> f64 {
    // Divided, not multiplied: 5e-6 must not become 5.000000000000001e-6.
    float(nanoseconds) / 1e9
}

#[expect(clippy::cast_precision_loss, reason = "the format knows doubles only")]
fn float(value: u64) -> f64 {
    value as f64
}

fn labels(pairs: Labels<'_>) -> Vec<LabelPair> {
    let pair = |&(name, value): &(&str, &str)| {
        let mut pair = LabelPair::default();
        pair.set_name(name.into());
        pair.set_value(value.into());
        pair
    };
    pairs.iter().map(pair).collect()
}

fn info(name: &str, help: &str, pairs: Labels<'_>) -> MetricFamily {
    gauge(name, help, [(labels(pairs), 1.0)])
}

fn counter(name: &str, help: &str, samples: impl IntoIterator<Item = (Vec<LabelPair>, u64)>) -> MetricFamily {
    let metric = |(labels, value)| {
        let mut counter = proto::Counter::default();
        counter.set_value(float(value));
        let mut metric = Metric::from_label(labels);
        metric.set_counter(counter);
        metric
    };
    let metrics = samples.into_iter().map(metric).collect();
    family(name, help, MetricType::COUNTER, metrics)
}

fn gauge(name: &str, help: &str, samples: impl IntoIterator<Item = (Vec<LabelPair>, f64)>) -> MetricFamily {
    let metric = |(labels, value)| {
        let mut gauge = proto::Gauge::default();
        gauge.set_value(value);
        let mut metric = Metric::from_label(labels);
        metric.set_gauge(gauge);
        metric
    };
    let metrics = samples.into_iter().map(metric).collect();
    family(name, help, MetricType::GAUGE, metrics)
}

fn family(name: &str, help: &str, kind: MetricType, metrics: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.into());
    family.set_help(help.into());
    family.set_field_type(kind);
    family.set_metric(metrics);
    family
}

#[cfg(test)]
#[path = "metrics_tests.rs"]
mod tests;
