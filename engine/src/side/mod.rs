//! Side: the work of a server beside answering. One thread for input and output, one for CPU-bound work.
//!
//! ```text
//!  shards ──records──▶ spool ──cursor──▶ worker (nice +10): sinks that compute                  10 ms
//!                          └──cursor──▶ tasks: sinks that wait for a network
//!  shards ◀──empty counts, full ones back──▶ stats ──texts of /metrics, /v1/status──▶ shards  500 ms
//!  shards ──events──▶ log                                                              10 ms
//!  operators ──HTTP──▶ admin: what does this process do?
//!         └───────── thread "side" ────────┘
//! ```
//! `server` starts it before the shards and finishes it after them. It must never make a shard wait: when a sink is
//! behind, the spool fills, and the shards answer 503. It must never drop a record.

mod admin;
mod aws;
mod calendar;
mod counts;
mod error;
mod event_log;
mod facts;
mod https;
mod jwks;
mod metrics;
mod parts;
mod process;
mod recent;
mod reload_notifier;
mod remote_counts;
mod s3_models;
mod sagemaker;
mod secrets;
mod shadow;
mod sink;
mod sink_reader;
mod stats;
mod status;
mod trim;
mod unusual;
mod worker;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, unbounded};

pub use self::aws::AwsError;
pub(crate) use self::aws::examine as examine_aws;
use self::counts::{Counts, Stop, StopOnDrop};
pub use self::error::{Delivered, DeliveryError, Reason, StartError, UndeliveredError};
pub use self::facts::ProcessFacts;
pub use self::jwks::JwksSettings;
pub use self::parts::{RemoteParts, ShardLink, SideParts};
pub use self::reload_notifier::{Reload, ReloadNotifier};
use self::remote_counts::RemoteCounts;
pub use self::s3_models::S3ModelStore;
pub(crate) use self::secrets::fetch as fetch_secret;
pub use self::shadow::ShadowSetup;
use self::shadow::ShadowThread;
pub(crate) use self::sink::Lines;
use self::sink::Opened;
pub use self::sink::SinkError;
use self::sink_reader::SinkReader;
pub use self::worker::CpuBudget;
use self::worker::SinkTask;
use crate::auth::SharedAccess;
use crate::config;
use crate::models::Registry;
use crate::remote::RemoteQueue;
use crate::shard::mailbox::Address;
use crate::spool::Spool;
use crate::telemetry::{Event, SecurityGauges};

/// How long the threads may take to notice a deadline that has passed.
const GRACE: Duration = Duration::from_secs(1);

/// The running threads.
#[derive(Debug)]
#[must_use = "records are delivered to the end only by `finish`"]
pub struct Side {
    side: JoinHandle<Vec<DeliveryError>>,
    worker: JoinHandle<Vec<DeliveryError>>,
    /// Whether the worker has any sinks; without, it ends at once.
    has_posts: bool,
    counts: Arc<Counts>,
    models: Sender<Arc<Registry>>,
    shadow: Option<ShadowThread>,
    spool: Option<Spool>,
    stop: StopOnDrop,
}

/// Opens the sinks, sends every shard its first texts of `/metrics` and `/v1/status`, and starts both threads.
///
/// # Errors
/// Any reason why records could not be delivered, found before anything is served.
pub fn start(parts: SideParts) -> Result<Side, StartError> {
    let open = |&kind: &config::SinkKind| {
        let name = kind.name();
        let opened =
            sink::open(kind, &parts.records, &parts.aws).map_err(|source| StartError::Sink { name, source })?;
        Ok((name, opened))
    };
    let sinks = parts.records.sinks.iter().map(open).collect::<Result<_, _>>()?;
    start_with(sinks, parts)
}

fn start_with(sinks: Vec<(&'static str, Opened)>, parts: SideParts) -> Result<Side, StartError> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build().map_err(StartError::Runtime)?;
    let endpoint = endpoint(&parts)?;
    let counts = counts(&sinks, &parts, endpoint.is_some());
    let stop = Stop::default();
    let (posts, tasks) = lanes(sinks, parts.spool.as_ref(), &counts, &stop);
    let remote = endpoint.zip(parts.remote).map(|(endpoint, remote)| Remote {
        endpoint,
        desk: remote.desk,
        addresses: parts.shards.iter().map(|link| link.address.clone()).collect(),
        counts: Arc::clone(&counts),
    });
    let (models, models_out) = unbounded();
    let reports = Arc::new(shadow::ShadowReports::default());
    let admin_models = parts.models.clone().map(|handle| admin::AdminModels {
        handle,
        reports: Arc::clone(&reports),
    });
    let issuer = parts.jwks.map(|settings| jwks::Issuer {
        settings,
        shards: parts.shards.iter().map(|link| link.address.clone()).collect(),
        shared: Arc::clone(&parts.access),
        gauges: Arc::clone(&parts.security),
    });
    let stats = published(
        parts.shards,
        &parts.about,
        &parts.registry,
        (models_out, admin_models.clone()),
        &counts,
    );
    let shadow = parts.shadow;
    let shadow = shadow.map(|setup| ShadowThread::start(setup, &parts.registry, reports, parts.pace));
    let shadow = shadow.transpose()?;
    let (has_posts, pace) = (!posts.is_empty(), parts.pace);
    let worker = spawn("worker", move || worker::run(posts, pace))?;
    let work = SideWork {
        tasks,
        stats,
        events: parts.events,
        admin: parts.admin,
        admin_models,
        ready: parts.ready,
        access: parts.access,
        security: parts.security,
        issuer,
        remote,
        until: stop.clone(),
    };
    let side = spawn("side", move || {
        tokio::task::LocalSet::new().block_on(&runtime, work.run())
    })?;
    Ok(Side {
        side,
        worker,
        has_posts,
        counts,
        models,
        shadow,
        spool: parts.spool,
        stop: StopOnDrop(stop),
    })
}

/// The remote scorer, if there is one.
fn endpoint(parts: &SideParts) -> Result<Option<sagemaker::Endpoint>, StartError> {
    let endpoint = parts
        .remote
        .as_ref()
        .map(|remote| sagemaker::Endpoint::open(&remote.scoring, &parts.aws));
    endpoint.transpose().map_err(StartError::SageMaker)
}

fn counts(sinks: &[(&'static str, Opened)], parts: &SideParts, asks: bool) -> Arc<Counts> {
    let names: Vec<&'static str> = sinks.iter().map(|(name, _)| *name).collect();
    let mut counts = Counts::new(&names, parts.spool.as_ref());
    counts.remote = asks.then(RemoteCounts::default);
    counts.budget = Some(Arc::clone(&parts.budget));
    counts.security = Arc::clone(&parts.security);
    counts.recent = parts.shows_recent.then(Arc::default);
    Arc::new(counts)
}

type WaitingSink = (Box<dyn sink::NetworkSink>, SinkReader);

/// Gives each sink its cursor: those that compute to the worker, those that wait to side.
fn lanes(
    sinks: Vec<(&'static str, Opened)>,
    spool: Option<&Spool>,
    counts: &Counts,
    stop: &Stop,
) -> (Vec<SinkTask>, Vec<WaitingSink>) {
    let cursors = spool.map(Spool::cursors).unwrap_or_default();
    let (mut posts, mut tasks) = (Vec::new(), Vec::new());
    let mut recent = counts.recent.clone();
    for (((_, sink), cursor), counts) in sinks.into_iter().zip(cursors).zip(&counts.sinks) {
        let mut lane = SinkReader::new(cursor, Arc::clone(counts), stop.clone());
        // The first alone: each of them reads every record.
        if let Some(recent) = recent.take() {
            lane.show(recent);
        }
        match sink {
            Opened::EncodingSink(sink) => posts.push(SinkTask::new(sink, lane)),
            Opened::NetworkSink(sink) => tasks.push((sink, lane)),
        }
    }
    (posts, tasks)
}

/// What collects the shards' counts, with the first texts sent.
fn published(
    shards: Vec<ShardLink>,
    about: &ProcessFacts,
    registry: &Arc<Registry>,
    (models, admin): (Receiver<Arc<Registry>>, Option<admin::AdminModels>),
    counts: &Arc<Counts>,
) -> stats::Stats {
    let link = |shard: ShardLink| stats::Link::new(shard.address, shard.stats, shard.gauges);
    let links: Vec<_> = shards.into_iter().map(link).collect();
    let facts = metrics::Facts::new(about, registry, links.len());
    let mut status = status::Status::new(about, registry, links.len(), Instant::now());
    status.recent.clone_from(&counts.recent);
    let mut stats = stats::Stats::new(links, facts, status, models, Arc::clone(counts));
    stats.set_models(registry, admin);
    stats.serve(registry);
    stats.publish();
    stats
}

/// What asks SageMaker.
struct Remote {
    endpoint: sagemaker::Endpoint,
    desk: RemoteQueue,
    /// Where answers go.
    addresses: Vec<Address>,
    counts: Arc<Counts>,
}

/// Everything that the side thread does.
struct SideWork {
    tasks: Vec<WaitingSink>,
    stats: stats::Stats,
    events: Receiver<Event>,
    admin: Option<TcpListener>,
    admin_models: Option<admin::AdminModels>,
    ready: Arc<AtomicBool>,
    access: Arc<SharedAccess>,
    security: Arc<SecurityGauges>,
    issuer: Option<jwks::Issuer>,
    remote: Option<Remote>,
    until: Stop,
}

impl SideWork {
    /// Runs to the end; then what the sinks have left.
    async fn run(self) -> Vec<DeliveryError> {
        let until = &self.until;
        let sinks = self.tasks.into_iter().map(|(sink, lane)| task(sink, lane)).collect();
        let remote = async {
            if let Some(remote) = self.remote {
                sagemaker::run(remote.endpoint, remote.desk, remote.addresses, remote.counts, until).await;
            }
        };
        let operators = async {
            if let Some(listener) = self.admin {
                let admin = admin::Admin {
                    models: self.admin_models,
                    ready: self.ready,
                    access: self.access,
                    security: self.security,
                };
                admin::serve(listener, admin, until).await;
            }
        };
        let keys = async {
            if let Some(issuer) = self.issuer {
                jwks::run(issuer, until).await;
            }
        };
        let others = async {
            tokio::join!(
                self.stats.run(until),
                event_log::log(self.events, until),
                remote,
                operators,
                keys
            )
        };
        tokio::join!(ended(sinks), others).0
    }
}

type Task = (&'static str, tokio::task::JoinHandle<Result<(), DeliveryError>>);

/// A task of its own for a sink: when it panics, the others go on.
fn task(sink: Box<dyn sink::NetworkSink>, lane: SinkReader) -> Task {
    (lane.name(), tokio::task::spawn_local(sink.run(lane)))
}

async fn ended(tasks: Vec<Task>) -> Vec<DeliveryError> {
    let mut left = Vec::new();
    for (sink, task) in tasks {
        match task.await {
            Ok(Ok(())) => {}
            Ok(Err(of_sink)) => left.push(of_sink),
            Err(error) => left.push(DeliveryError {
                sink,
                delivered: 0,
                left: 0,
                reason: Reason::Panicked {
                    thread: "side",
                    message: error
                        .try_into_panic()
                        .map_or_else(|error| error.to_string(), panic_text),
                },
            }),
        }
    }
    left
}

fn spawn<T: Send + 'static>(
    name: &'static str,
    body: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, StartError> {
    let thread = std::thread::Builder::new().name(name.into());
    thread.spawn(body).map_err(|source| StartError::Thread { name, source })
}

impl Side {
    /// Whether a thread has ended by itself, which only a panic does: records will not be delivered any more.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.side.is_finished() || (self.has_posts && self.worker.is_finished())
    }

    /// The way to tell it of reloads.
    #[must_use]
    pub fn news(&self) -> ReloadNotifier {
        ReloadNotifier {
            models: self.models.clone(),
            shadows: self.shadow.as_ref().map(|shadow| shadow.registries.clone()),
            counts: Arc::clone(&self.counts),
        }
    }

    /// Delivers what the shards have left in the spool and ends all threads. To be called when the shards have ended;
    /// what is not delivered at the deadline stays in the spool.
    ///
    /// # Errors
    /// How many records are left, and why; also a panic that has left none.
    pub fn finish(mut self, deadline: Instant) -> Result<Delivered, UndeliveredError> {
        // What it records is delivered too, so it ends first.
        if let Some(shadow) = self.shadow.take() {
            shadow.end(deadline);
        }
        if let Some(spool) = &self.spool {
            spool.end_writers();
        }
        self.stop.0.at(deadline);
        let side = join("side", self.side, deadline + GRACE);
        let worker = join("worker", self.worker, deadline + GRACE);
        let mut fault = None;
        let mut reasons = Vec::new();
        for result in [worker, side] {
            match result {
                Ok(left) => reasons.extend(left),
                Err(reason) => fault = fault.or(Some(reason)),
            }
        }
        let mut all = Vec::new();
        for sink in &self.counts.sinks {
            let (delivered, left) = (sink.delivered.get(), self.counts.left(sink));
            let own = reasons.iter().find(|reason| reason.sink == sink.name);
            let reason = match (own, &fault) {
                (Some(own), _) => own.reason.clone(),
                (None, Some(fault)) => fault.clone(),
                (None, None) if left == 0 => continue,
                (None, None) => Reason::Damaged,
            };
            let sink = sink.name;
            all.push(DeliveryError {
                sink,
                delivered,
                left,
                reason,
            });
        }
        let records = self.counts.total();
        // A thread that hangs still has cursors, and the spool has its lock until the process ends.
        if let Some(spool) = self.spool {
            let path = spool.folder().display().to_string();
            let remains = spool.close();
            for (sink, records) in &remains.records {
                tracing::warn!(%path, sink, records, "left in the spool; they are delivered by the next process that has it");
            }
        }
        match (all.is_empty(), fault) {
            (true, None) => Ok(Delivered { records }),
            // Without sinks a thread may panic all the same.
            (true, Some(reason)) => Err(UndeliveredError(vec![DeliveryError {
                sink: "none",
                delivered: 0,
                left: 0,
                reason,
            }])),
            (false, _) => Err(UndeliveredError(all)),
        }
    }
}

fn join<T>(name: &'static str, thread: JoinHandle<T>, until: Instant) -> Result<T, Reason> {
    while !thread.is_finished() {
        if Instant::now() >= until {
            return Err(Reason::Deadline(name));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    thread.join().map_err(|payload| Reason::Panicked {
        thread: name,
        message: panic_text(payload),
    })
}

fn panic_text(payload: Box<dyn std::any::Any + Send>) -> String {
    match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
        (Some(text), _) => (*text).into(),
        (_, Some(text)) => text.clone(),
        _ => "without a message".into(),
    }
}
