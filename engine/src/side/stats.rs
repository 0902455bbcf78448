//! Collects what the shards count and gives them the texts of `/metrics` and `/v1/status`.
//!
//! There are two blocks of counts for each shard: the shard fills one, and the other is on its way. Side sends it empty
//! and gets the full one back, so neither waits for the other and nothing is allocated after the start.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use crossbeam_channel::Receiver;
use hdrhistogram::Histogram;
use tokio::time::MissedTickBehavior;

use prometheus::proto::MetricFamily;

use super::admin::AdminModels;
use super::counts::{Counts, Stop};
use super::metrics::{Facts, Gauge, ModelStats, Reading};
use super::process::Process;
use super::status::Status;
use super::trim::Trim;
use super::unusual::UnusualTotals;
use crate::log_limiter::LogLimiter;
use crate::log_writer;
use crate::models::Registry;
use crate::shard::mailbox::{Address, Mail};
use crate::telemetry::{BUCKETS_NS, Counter, Gauges, ShardStats};

/// How often the counts are collected.
const TICK: Duration = Duration::from_millis(500);

/// A shard swaps blocks within a turn of its loop; after this the full one is usually back.
const ROUND_TRIP: Duration = Duration::from_millis(20);

/// Recent quantiles are those of this span and of the one before it that ended last: 5 to 10 seconds.
const SPAN: Duration = Duration::from_secs(5);

/// The process is measured after this many ticks: with 10,000 connections that takes a millisecond or two.
const PROCESS_TICKS: u32 = 10;

/// Side's end of one shard's counts.
pub(super) struct Link {
    address: Address,
    full: Receiver<Box<ShardStats>>,
    gauges: Arc<Gauges>,
    /// The travelling block, while it is here.
    spare: Option<Box<ShardStats>>,
    requests: u64,
    connections: u64,
}

impl Link {
    pub(super) fn new(address: Address, full: Receiver<Box<ShardStats>>, gauges: Arc<Gauges>) -> Self {
        Self {
            address,
            full,
            gauges,
            spare: Some(Box::default()),
            requests: 0,
            connections: 0,
        }
    }
}

/// Latencies of scored leads, of all shards.
pub(super) struct Latency {
    /// Scores at or below each of [`BUCKETS_NS`] and above the one before.
    pub(super) buckets: [u64; BUCKETS_NS.len()],
    pub(super) sum_seconds: f64,
    span: Histogram<u64>,
    span_before: Histogram<u64>,
    span_began: Instant,
    /// Both spans, for reading.
    pub(super) recent: Histogram<u64>,
}

impl Latency {
    pub(super) fn new() -> Self {
        let empty = ShardStats::new().score_ns;
        Self {
            buckets: [0; BUCKETS_NS.len()],
            sum_seconds: 0.0,
            span: empty.clone(),
            span_before: empty.clone(),
            span_began: Instant::now(),
            recent: empty,
        }
    }

    pub(super) fn add(&mut self, block: &Histogram<u64>) {
        for value in block.iter_recorded() {
            // The block holds values to three digits; the lowest of them keeps "at or below" true for round numbers.
            let value_ns = block.lowest_equivalent(value.value_iterated_to());
            let bucket = BUCKETS_NS.partition_point(|&bound_ns| bound_ns < value_ns);
            if let Some(count) = self.buckets.get_mut(bucket) {
                *count += value.count_at_value();
            }
        }
        #[expect(clippy::cast_precision_loss, reason = "a count of scores between two ticks")]
        let sum_ns = block.mean() * block.len() as f64;
        self.sum_seconds += sum_ns * 1e-9;
        self.span.add(block).expect("all blocks have the same bounds");
    }

    #[cfg(test)]
    pub(super) fn span_began(&self) -> Instant {
        self.span_began
    }

    pub(super) fn settle(&mut self, now: Instant) {
        self.recent.reset();
        for part in [&self.span, &self.span_before] {
            self.recent.add(part).expect("all blocks have the same bounds");
        }
        if now.duration_since(self.span_began) >= SPAN {
            std::mem::swap(&mut self.span, &mut self.span_before);
            self.span.reset();
            self.span_began = now;
        }
    }
}

pub(super) struct Stats {
    links: Vec<Link>,
    facts: Facts,
    status: Status,
    models: Receiver<Arc<Registry>>,
    counts: Arc<Counts>,
    by_model: Option<ModelStats>,
    admin: Option<AdminModels>,
    totals: ShardStats,
    unusual: UnusualTotals,
    latency: Latency,
    process: Process,
    trim: Trim,
    ticks: u32,
    /// Dropped records that are already logged.
    dropped_told: u64,
    dropped_log: LogLimiter,
}

impl Stats {
    pub(super) fn new(
        links: Vec<Link>,
        facts: Facts,
        status: Status,
        models: Receiver<Arc<Registry>>,
        counts: Arc<Counts>,
    ) -> Self {
        Self {
            links,
            facts,
            status,
            models,
            counts,
            by_model: None,
            admin: None,
            totals: ShardStats::new(),
            unusual: UnusualTotals::default(),
            latency: Latency::new(),
            process: Process::look(),
            trim: Trim::default(),
            ticks: 0,
            dropped_told: 0,
            dropped_log: LogLimiter::default(),
        }
    }

    /// Models that come from a store are counted by name and version.
    pub(super) fn set_models(&mut self, registry: &Arc<Registry>, admin: Option<AdminModels>) {
        self.by_model = admin.is_some().then(|| ModelStats::new(Arc::clone(registry)));
        self.admin = admin;
    }

    /// Collects and publishes until the end. The shards have ended by then, so no shard gets the texts.
    pub(super) async fn run(mut self, stop: &Stop) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !stop.is_set() {
            tokio::select! {
                _ = tick.tick() => {}
                // Only to notice the end soon.
                () = tokio::time::sleep(Duration::from_millis(20)) => continue,
            }
            self.send_empty_blocks();
            tokio::time::sleep(ROUND_TRIP).await;
            self.collect();
            self.ticks = (self.ticks + 1) % PROCESS_TICKS;
            if self.ticks == 0 {
                self.process = Process::look();
            }
            let used = self.counts.budget.as_ref().map_or(0, |budget| budget.used());
            if self.trim.is_due(used) {
                crate::allocator::trim();
            }
            self.publish();
        }
    }

    pub(super) fn send_empty_blocks(&mut self) {
        // What came after the last look comes first: its block is the one to send.
        self.collect();
        for link in &mut self.links {
            let Some(block) = link.spare.take() else { continue };
            if let Err(Mail::Stats(block)) = link.address.send(Mail::Stats(block)) {
                link.spare = Some(block);
            }
        }
    }

    pub(super) fn collect(&mut self) {
        if let Some(registry) = self.models.try_iter().last() {
            self.serve(&registry);
        }
        self.status.turn(Instant::now());
        for link in &mut self.links {
            while let Ok(mut block) = link.full.try_recv() {
                link.requests += block.requests.as_flattened().iter().sum::<u64>();
                link.connections += block.of(Counter::Connections);
                self.latency.add(&block.score_ns);
                self.status.add(&block);
                self.totals.add(&block);
                self.unusual.add(&block);
                if let Some(by_model) = &mut self.by_model {
                    by_model.add(&block);
                }
                block.clear();
                link.spare = Some(block);
            }
        }
        self.latency.settle(Instant::now());
        self.tell_dropped();
    }

    /// Not silently: at most once a second.
    fn tell_dropped(&mut self) {
        let dropped = self.totals.of(Counter::Dropped) - self.dropped_told;
        if dropped > 0 && self.dropped_log.may_log(Instant::now()) {
            tracing::error!(
                dropped,
                "leads were answered without a record: the spool is full or its disk fails"
            );
            self.dropped_told = self.totals.of(Counter::Dropped);
        }
    }

    /// Other models are served.
    pub(super) fn serve(&mut self, registry: &Arc<Registry>) {
        self.trim.models_changed();
        self.facts.serve(registry);
        self.status.serve(registry);
        self.unusual.serve(&registry.champion().loaded);
        if let Some(by_model) = &mut self.by_model {
            by_model.serve(registry);
        }
    }

    /// Renders `/metrics` and sends it to every shard. One whose mailbox is full keeps what it has.
    pub(super) fn publish(&mut self) {
        self.status.set_unusual(self.unusual.listed());
        if let Some(by_model) = &mut self.by_model {
            by_model.check_splits();
        }
        let text = self.render();
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.status.tell_models(self.admin.as_ref().map(AdminModels::told));
        let status = self
            .status
            .render(&self.totals, &self.latency.recent, Instant::now(), since_1970);
        for link in &self.links {
            let _ = link.address.send(Mail::Metrics(text.clone()));
            let _ = link.address.send(Mail::Status(status.clone()));
        }
    }

    fn families_by_model(&self) -> Vec<MetricFamily> {
        let (Some(by_model), Some(admin)) = (&self.by_model, &self.admin) else {
            return Vec::new();
        };
        let overview = admin.handle.overview();
        let loads = overview["loads"].as_array().map_or(&[][..], Vec::as_slice);
        let loads: Vec<(String, String, u64)> = loads
            .iter()
            .filter_map(|load| {
                let text = |name: &str| Some(load[name].as_str()?.to_owned());
                Some((text("model")?, text("result")?, load["count"].as_u64()?))
            })
            .collect();
        by_model.families(&admin.reports.dropped(), &loads)
    }

    fn render(&self) -> Bytes {
        let shards: Vec<Gauge> = self
            .links
            .iter()
            .map(|link| Gauge {
                requests: link.requests,
                connections: link.connections,
                connections_open: link.gauges.open_connections(),
            })
            .collect();
        self.facts.render(&Reading {
            totals: &self.totals,
            unusual: &self.unusual,
            latency: &self.latency,
            counts: &self.counts,
            shards: &shards,
            process: &self.process,
            log_dropped: log_writer::dropped(),
            by_model: self.families_by_model(),
        })
    }
}
