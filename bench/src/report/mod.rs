//! What a run is remembered by: one value, written as JSON, read by `compare` and `plot`, printed as a table.

pub mod compare;
pub mod hgrm;
pub mod table;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use hdrhistogram::{Counter, Histogram};
use serde::{Deserialize, Serialize};

use crate::check::Depth;
use crate::payload::Pool;
use crate::run::{Outcome, Plan};
use crate::schedule::Arrivals;
use crate::target::{Protocol, Target};
use crate::worker::Pacing;

/// The result of one run: its settings, machine, steps, latencies and errors.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    /// What to call the run in tables and plots.
    pub name: String,
    /// Which program wrote this.
    pub version: String,
    /// When. Unit: seconds since 1970.
    pub finished_s: u64,
    /// Where the load came from.
    pub machine: Machine,
    /// Where it went.
    pub url: String,
    /// How.
    pub protocol: Protocol,
    /// `saturate`, `constant`, `poisson` or `ramp`.
    pub arrivals: String,
    /// Requests a second that were asked for, at the end for a ramp; none for a closed loop.
    pub rate_asked: Option<f64>,
    /// How requests were sent on time.
    pub pacing: Pacing,
    /// Connections.
    pub connections: usize,
    /// Requests at once on each.
    pub streams: usize,
    /// Threads.
    pub threads: usize,
    /// Unit: seconds.
    pub warmup_s: f64,
    /// How long it counted. Unit: seconds.
    pub seconds: f64,
    /// Where the bodies come from.
    pub payload: String,
    /// How many there are.
    pub bodies: usize,
    /// Their mean length. Unit: bytes.
    pub body_bytes: f64,
    /// What was checked of each answer.
    pub checked: String,
    /// Right answers.
    pub right: u64,
    /// Right answers a second.
    pub rate: f64,
    /// Requests that failed, by kind, the warm-up's too.
    pub failed: BTreeMap<String, u64>,
    /// Requests without an answer at the end of all patience.
    pub unfinished: u64,
    /// Requests that waited for a connection to be free.
    pub queued: u64,
    /// Connections opened again.
    pub reconnects: u64,
    /// Requests of the warm-up.
    pub warmup: u64,
    /// From when requests were due.
    pub latency: Quantiles,
    /// From when they were sent.
    pub service: Quantiles,
    /// What the load generator itself costs.
    pub overhead: Overhead,
    /// By shard, where it was asked for.
    #[serde(default)]
    pub shards: Vec<Shard>,
    /// The run in steps of time.
    pub steps: Vec<RunStep>,
    /// Latencies and how many requests had them. Unit: nanoseconds.
    pub histogram: Vec<(u64, u64)>,
    /// Some answers that were not right.
    pub samples: Vec<String>,
    /// The search that this run is the result of.
    pub search: Option<Search>,
}

/// A machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// The processor's name.
    pub cpu: String,
    /// CPUs that may be used.
    pub cpus: usize,
    /// The kernel's release.
    pub kernel: String,
}

/// Quantiles of a histogram. Unit: nanoseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Quantiles {
    /// Half.
    pub p50: u64,
    /// Nine in ten.
    pub p90: u64,
    /// 99 in 100.
    pub p99: u64,
    /// 999 in 1,000.
    pub p999: u64,
    /// 9,999 in 10,000.
    pub p9999: u64,
    /// All.
    pub max: u64,
    /// The mean.
    pub mean: f64,
}

/// What the load generator itself costs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Overhead {
    /// Making a request, reading and checking its answer, recording it: the median, timed before the run. Unit:
    /// nanoseconds.
    pub own_ns: u64,
    /// CPU time a request, the kernel's included. Spinning counts. Unit: nanoseconds.
    pub cpu_ns: f64,
    /// Share of its threads' time that they used a CPU.
    pub busy: f64,
    /// How late requests were sent although a connection was free.
    pub lag: Quantiles,
}

/// What one shard answered.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Shard {
    /// Its number.
    pub shard: u8,
    /// Right answers.
    pub requests: u64,
    /// From when requests were due.
    pub latency: Quantiles,
}

/// A step of a run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RunStep {
    /// When it began, from the end of the warm-up. Unit: seconds.
    pub at_s: f64,
    /// Right answers a second.
    pub rate: f64,
    /// Unit: nanoseconds.
    pub p50: u64,
    /// Unit: nanoseconds.
    pub p99: u64,
    /// Unit: nanoseconds.
    pub max: u64,
    /// Requests that failed or were not answered.
    pub failed: u64,
}

/// A search for the highest rate that keeps a promise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Search {
    /// `step` or `ramp`.
    pub how: String,
    /// Which quantile, as a share.
    pub quantile: f64,
    /// It must stay under this. Unit: nanoseconds.
    pub limit_ns: u64,
    /// The highest rate that kept it; none if no rate did.
    pub best: Option<f64>,
    /// Whether a higher rate was tried and failed: otherwise `best` is only where the search ended.
    pub bounded: bool,
    /// What was tried.
    pub tried: Vec<Try>,
}

/// One rate that was tried.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Try {
    /// Requests a second.
    pub rate: f64,
    /// Right answers a second.
    pub answered: f64,
    /// Unit: nanoseconds.
    pub p50: u64,
    /// Unit: nanoseconds.
    pub p99: u64,
    /// The quantile in question. Unit: nanoseconds.
    pub quantile_ns: u64,
    /// Requests that failed or were not answered.
    pub failed: u64,
    /// Whether the promise was kept.
    pub kept: bool,
}

/// Why a report cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// Writing.
    #[error("write {path}: {source}")]
    Write {
        /// Which file.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// Reading.
    #[error("read {path}: {reason}; accepted: what --json has written")]
    Read {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

/// The steps of a run, one after the other.
fn steps(outcome: &Outcome) -> Vec<RunStep> {
    let step_s = outcome.recorder.step_ns() as f64 / 1e9;
    let step = |(index, step): (usize, &crate::record::RunStep)| RunStep {
        at_s: index as f64 * step_s,
        rate: step.latency.len() as f64 / step_s.min(outcome.seconds),
        p50: step.latency.value_at_quantile(0.5),
        p99: step.latency.value_at_quantile(0.99),
        max: step.latency.max(),
        failed: step.failed,
    };
    outcome.recorder.steps.iter().enumerate().map(step).collect()
}

/// The shards that answered.
fn shards(outcome: &Outcome) -> Vec<Shard> {
    let shard = |(&shard, latency)| Shard {
        shard,
        requests: hdrhistogram::Histogram::len(latency),
        latency: Quantiles::of(latency),
    };
    outcome.recorder.shards.iter().map(shard).collect()
}

impl Report {
    /// Puts a run into one value.
    #[must_use]
    pub fn new(name: &str, target: &Target, pool: &Pool, plan: &Plan, outcome: &Outcome) -> Self {
        let recorder = &outcome.recorder;
        let (arrivals, rate_asked) = match plan.arrivals {
            Arrivals::Saturate => ("saturate", None),
            Arrivals::Constant(rate) => ("constant", Some(rate)),
            Arrivals::Poisson(rate) => ("poisson", Some(rate)),
            Arrivals::Ramp { to, .. } => ("ramp", Some(to)),
        };
        let bytes: usize = pool.bodies.iter().map(|body| body.bytes.len()).sum();
        let requests = (recorder.service.len() + recorder.failures()).max(1);
        let checked = match plan.depth {
            Depth::Status => "status",
            Depth::Id => "status, id",
            Depth::Exact => "status, id, exact score and prediction",
        };
        Self {
            name: name.into(),
            version: env!("CARGO_PKG_VERSION").into(),
            finished_s: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| since.as_secs()),
            machine: Machine::this(),
            url: target.url.to_string(),
            protocol: target.protocol,
            arrivals: arrivals.into(),
            rate_asked,
            pacing: plan.pacing,
            connections: plan.connections,
            streams: plan.streams,
            threads: plan.threads,
            warmup_s: plan.warmup.as_secs_f64(),
            seconds: outcome.seconds,
            payload: pool.source.clone(),
            bodies: pool.bodies.len(),
            body_bytes: bytes as f64 / pool.bodies.len().max(1) as f64,
            checked: checked.into(),
            right: recorder.service.len(),
            rate: outcome.rate(),
            failed: recorder
                .failures
                .iter()
                .map(|(&kind, &count)| (kind.into(), count))
                .collect(),
            unfinished: recorder.unfinished,
            queued: recorder.queued,
            reconnects: recorder.reconnects,
            warmup: recorder.warmup,
            latency: Quantiles::of(&recorder.latency),
            service: Quantiles::of(&recorder.service),
            overhead: Overhead {
                own_ns: outcome.own.value_at_quantile(0.5),
                cpu_ns: outcome.cpu_seconds * 1e9 / requests as f64,
                busy: outcome.cpu_seconds / (outcome.seconds * plan.threads as f64),
                lag: Quantiles::of(&recorder.lag),
            },
            shards: shards(outcome),
            steps: steps(outcome),
            histogram: recorder
                .latency
                .iter_recorded()
                .map(|each| (each.value_iterated_to(), each.count_since_last_iteration()))
                .collect(),
            samples: recorder.samples.clone(),
            search: None,
        }
    }

    /// Requests that failed.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.failed.values().sum()
    }

    /// Reads what [`Self::write`] has written.
    ///
    /// # Errors
    /// When it cannot be read or is something else.
    pub fn read(path: &Path) -> Result<Self, ReportError> {
        let failed = |reason: String| ReportError::Read {
            path: path.into(),
            reason,
        };
        let bytes = fs::read(path).map_err(|error| failed(error.to_string()))?;
        serde_json::from_slice(&bytes).map_err(|error| failed(error.to_string()))
    }

    /// Writes it as JSON.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), ReportError> {
        let text = serde_json::to_string(self).expect("maps have text for keys, and no number is infinite");
        write(path, &(text + "\n"))
    }
}

/// Writes a file.
///
/// # Errors
/// When it cannot be written.
pub fn write(path: &Path, text: &str) -> Result<(), ReportError> {
    fs::write(path, text).map_err(|source| ReportError::Write {
        path: path.into(),
        source,
    })
}

impl Quantiles {
    /// Of a histogram; zeros for an empty one.
    #[must_use]
    pub fn of<T: Counter>(histogram: &Histogram<T>) -> Self {
        Self {
            p50: histogram.value_at_quantile(0.5),
            p90: histogram.value_at_quantile(0.9),
            p99: histogram.value_at_quantile(0.99),
            p999: histogram.value_at_quantile(0.999),
            p9999: histogram.value_at_quantile(0.9999),
            max: histogram.max(),
            mean: histogram.mean(),
        }
    }
}

impl Machine {
    /// The one this runs on.
    #[must_use]
    pub fn this() -> Self {
        let information = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = information.lines().find_map(|line| line.strip_prefix("model name"));
        let cpu = model.map_or(std::env::consts::ARCH, |text| text.trim_start_matches([' ', '\t', ':']));
        Self {
            cpu: cpu.into(),
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")
                .map_or_else(|_| "unknown".into(), |text| text.trim().into()),
        }
    }
}
