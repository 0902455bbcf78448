//! The text of `/metrics`: names, helps and labels, in one place.
//!
//! Families are built from plain numbers for each rendering; there is no registry, because shards count without atomics
//! and side has the only sums. Names follow Prometheus' rules; `promtool check metrics` checks them.

mod by_model;
mod families;
mod memory;
mod records;
mod security;

use std::time::SystemTime;

use bytes::Bytes;
use prometheus::proto::{self, Metric, MetricFamily, MetricType};
use prometheus::{Encoder, TextEncoder};
use quintile_model::Model;

pub(super) use self::by_model::ModelStats;
use self::families::{counter, family, float, gauge, histogram, info, labels, since_1970, summary};
use self::records::{remote, sinks, spool};
use super::ProcessFacts;
use super::counts::Counts;
use super::process::Process;
use super::reload_notifier::Reload;
use super::stats::Latency;
use super::unusual::UnusualTotals;
use crate::models::Registry;
use crate::telemetry::{Counter, Phase, Route, STATUSES, ShardStats};

/// What the names of scores are; place 0 of the counts is for models without bands.
const SCORES: [&str; 6] = ["none", "1", "2", "3", "4", "5"];

/// Everything that is rendered.
pub(super) struct Reading<'a> {
    pub(super) totals: &'a ShardStats,
    pub(super) unusual: &'a UnusualTotals,
    pub(super) latency: &'a Latency,
    pub(super) counts: &'a Counts,
    pub(super) shards: &'a [Gauge],
    pub(super) process: &'a Process,
    /// Lines that standard error did not take.
    pub(super) log_dropped: u64,
    /// What is said of each model of a store.
    pub(super) by_model: Vec<MetricFamily>,
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
    /// The version that `model` tells of.
    number: u64,
}

impl Facts {
    pub(super) fn new(about: &ProcessFacts, registry: &Registry, shards: usize) -> Self {
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
                [(vec![], since_1970(SystemTime::now()))],
            ),
        ];
        let model = of_model(&registry.champion().loaded.model);
        let number = registry.champion().number;
        Self { infos, model, number }
    }

    /// Other models are served.
    pub(super) fn serve(&mut self, registry: &Registry) {
        let champion = registry.champion();
        if champion.number != self.number {
            self.model = of_model(&champion.loaded.model);
            self.number = champion.number;
        }
    }

    pub(super) fn render(&self, reading: &Reading<'_>) -> Bytes {
        let mut families = requests(reading.totals);
        families.extend(latency(reading));
        families.extend(by_shard(reading.shards));
        families.push(unusual(reading.unusual));
        families.extend(spool(reading.counts));
        families.extend(sinks(reading.counts));
        let remote_counts = reading.counts.remote.as_ref();
        families.extend(
            remote_counts
                .into_iter()
                .flat_map(|counts| remote(counts, reading.totals)),
        );
        families.extend(reading.counts.budget.iter().flat_map(|budget| memory::memory(budget)));
        families.extend(security::families(reading.totals, &reading.counts.security));
        families.extend(self.infos.iter().chain(&self.model).cloned());
        families.extend(reading.by_model.iter().cloned());
        families.push(reloads(reading.counts));
        families.push(counter(
            "quintile_log_dropped_total",
            "Log lines dropped because standard error could not be written, or not fast enough.",
            [(vec![], reading.log_dropped)],
        ));
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
            [(vec![], since_1970(SystemTime::now()))],
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
            [(vec![], totals.of(Counter::Panics))],
        ),
        counter(
            "quintile_shed_total",
            "Leads answered 503 because the spool was full.",
            [(vec![], totals.of(Counter::Shed))],
        ),
        counter(
            "quintile_records_dropped_total",
            "Leads answered without a record because the spool was full and records.when_full is drop.",
            [(vec![], totals.of(Counter::Dropped))],
        ),
        counter(
            "quintile_events_dropped_total",
            "Log events dropped because the side thread was behind.",
            [(vec![], totals.of(Counter::EventsDropped))],
        ),
    ]
}

/// A label's values are at most 65: features beyond the first 64 share one.
fn unusual(totals: &UnusualTotals) -> MetricFamily {
    counter(
        "quintile_unusual_values_total",
        "Values of scored leads far outside what training saw (seen in the manifest), by feature.",
        totals
            .each()
            .map(|(feature, count)| (labels(&[("feature", feature)]), count)),
    )
}

fn latency(reading: &Reading<'_>) -> [MetricFamily; 3] {
    let life = &reading.totals.score_ns;
    let (count, sum) = (life.len(), reading.latency.sum_seconds);
    let metric = histogram(Vec::new(), &reading.latency.buckets, (count, sum));
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

#[cfg(test)]
mod tests;
