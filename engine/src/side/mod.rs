//! Side: what a server does beside answering. One thread for input and output, one for what burns CPU.
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

mod event_log;

mod admin;
mod aws;
mod calendar;
mod counts;
mod lane;
mod metrics;
mod news;
mod process;
mod remote_counts;
mod sagemaker;
mod sink;
mod stats;
mod status;
mod worker;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::net::TcpListener;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, unbounded};
use quintile_scoring::loaded::Served;

pub use self::aws::AwsError;
pub use self::news::{News, Reload};
pub(crate) use self::sink::Lines;
pub use self::sink::SinkError;
pub use self::worker::Pace;

use self::counts::{Counts, Stop, StopOnDrop};
use self::lane::Lane;
use self::remote_counts::RemoteCounts;
use self::sink::Opened;
use self::worker::Post;
use crate::config;
use crate::remote::Desk;
use crate::shard::mailbox::Address;
use crate::spool::Spool;
use crate::telemetry::{Event, Gauges, ShardStats};

/// How long the threads may take to notice a deadline that has passed.
const GRACE: Duration = Duration::from_secs(1);

/// Everything side is made of.
#[derive(Debug)]
pub struct Parts {
    /// One link for each shard, in the order of their numbers.
    pub shards: Vec<ShardLink>,
    /// Where records go.
    pub records: config::Records,
    /// Where they wait for that; none when they go nowhere.
    pub spool: Option<Spool>,
    /// The model that is served from the start.
    pub served: Arc<Served>,
    /// What the metrics say of this process.
    pub about: About,
    /// What shards want logged.
    pub events: Receiver<Event>,
    /// What AWS's services need to be told.
    pub aws: config::Aws,
    /// How much the worker may do at once.
    pub pace: Pace,
    /// Where operators ask.
    pub admin: Option<TcpListener>,
    /// Somebody else who scores.
    pub remote: Option<RemoteParts>,
}

/// How questions of the shards are answered.
#[derive(Debug)]
pub struct RemoteParts {
    /// Where they come in.
    pub desk: Desk,
    /// Who is asked, and how.
    pub scoring: config::Scoring,
}

/// Side's ends of what runs between it and one shard.
#[derive(Debug)]
pub struct ShardLink {
    /// Letters in.
    pub address: Address,
    /// Full blocks of counts out.
    pub stats: Receiver<Box<ShardStats>>,
    /// What may be looked at from outside.
    pub gauges: Arc<Gauges>,
}

/// What does not change while a process runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// Version of this program.
    pub version: String,
    /// The commit it was built from.
    pub commit: String,
    /// The target it was built for.
    pub target: String,
    /// The runtime backend in use.
    pub runtime: String,
}

/// Why side cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Records could not be delivered.
    #[error("open the {name} sink: {source}")]
    Sink {
        /// The sink.
        name: &'static str,
        /// What is in the way.
        source: SinkError,
    },
    /// SageMaker could not be asked.
    #[error("prepare to ask SageMaker: {0}")]
    SageMaker(AwsError),
    /// No runtime.
    #[error("start the side runtime: {0}")]
    Runtime(std::io::Error),
    /// No thread.
    #[error("start the {name} thread: {source}")]
    Thread {
        /// The thread.
        name: &'static str,
        /// The operating system's reason.
        source: std::io::Error,
    },
}

/// All records were delivered to every sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivered {
    /// How many, since the start.
    pub records: u64,
}

/// Side ended without having delivered everything, or not as it should.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(Left::to_string).collect::<Vec<_>>().join("; "))]
pub struct Undelivered(
    /// Where, and why; never empty.
    pub Vec<Left>,
);

/// What one sink has not delivered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("deliver {left} records to {sink} ({delivered} were): {reason}; they stay in the spool")]
pub struct Left {
    /// The sink.
    pub sink: &'static str,
    /// Records that reached their place.
    pub delivered: u64,
    /// Records that side knows of and that did not.
    pub left: u64,
    /// What went wrong.
    pub reason: Reason,
}

impl Left {
    /// A sink that had to stop at the deadline. How much is left, `finish` counts when nothing moves any more.
    fn new(lane: &lane::Lane) -> Self {
        let error = lane.last_error();
        Self {
            sink: lane.name(),
            delivered: 0,
            left: 0,
            reason: Reason::Sink(error.unwrap_or_else(|| "it was still busy".into())),
        }
    }
}

/// Why records are left.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// The sink refused until the deadline.
    #[error("the sink failed until the deadline: {0}")]
    Sink(String),
    /// A thread still had work to do at the deadline.
    #[error("the {0} thread did not end in time")]
    Deadline(&'static str),
    /// A fault of ours.
    #[error("the {thread} thread panicked: {message}")]
    Panicked {
        /// Which thread.
        thread: &'static str,
        /// What it said.
        message: String,
    },
    /// Records that no sink could take because they were not whole or not of a known model: a fault of ours.
    #[error("they could not be read")]
    Damaged,
}

/// The running threads.
#[derive(Debug)]
#[must_use = "records are delivered to the end only by `finish`"]
pub struct Side {
    side: JoinHandle<Vec<Left>>,
    worker: JoinHandle<Vec<Left>>,
    /// Whether the worker has any sinks; without, it ends at once.
    has_posts: bool,
    counts: Arc<Counts>,
    models: Sender<Arc<Served>>,
    spool: Option<Spool>,
    stop: StopOnDrop,
}

/// Opens the sinks, sends every shard its first texts of `/metrics` and `/v1/status`, and starts both threads.
///
/// # Errors
/// Whatever would keep records from being delivered, found before anything is served.
pub fn start(parts: Parts) -> Result<Side, StartError> {
    let open = |&kind: &config::SinkKind| {
        let name = kind.name();
        let opened =
            sink::open(kind, &parts.records, &parts.aws).map_err(|source| StartError::Sink { name, source })?;
        Ok((name, opened))
    };
    let sinks = parts.records.sinks.iter().map(open).collect::<Result<_, _>>()?;
    start_with(sinks, parts)
}

fn start_with(sinks: Vec<(&'static str, Opened)>, parts: Parts) -> Result<Side, StartError> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build().map_err(StartError::Runtime)?;
    let names: Vec<&'static str> = sinks.iter().map(|(name, _)| *name).collect();
    let mut counts = Counts::new(&names, parts.spool.as_ref());
    let endpoint = parts
        .remote
        .as_ref()
        .map(|remote| sagemaker::Endpoint::open(&remote.scoring, &parts.aws));
    let endpoint = endpoint.transpose().map_err(StartError::SageMaker)?;
    counts.remote = endpoint.as_ref().map(|_| RemoteCounts::default());
    let counts = Arc::new(counts);
    let addresses: Vec<Address> = parts.shards.iter().map(|link| link.address.clone()).collect();
    let office = endpoint
        .zip(parts.remote)
        .map(|(endpoint, remote)| (endpoint, remote.desk));
    let stop = Stop::default();
    let cursors = parts.spool.as_ref().map(Spool::cursors).unwrap_or_default();
    let (mut posts, mut tasks) = (Vec::new(), Vec::new());
    for (((_, sink), cursor), counts) in sinks.into_iter().zip(cursors).zip(&counts.sinks) {
        let lane = Lane::new(cursor, Arc::clone(counts), stop.clone());
        match sink {
            Opened::Computes(sink) => posts.push(Post::new(sink, lane)),
            Opened::Waits(sink) => tasks.push((sink, lane)),
        }
    }

    let link = |shard: ShardLink| stats::Link::new(shard.address, shard.stats, shard.gauges);
    let links: Vec<_> = parts.shards.into_iter().map(link).collect();
    let facts = metrics::Facts::new(&parts.about, &parts.served.model, links.len());
    let status = status::Status::new(&parts.about, &parts.served.model, links.len(), Instant::now());
    let (models, models_out) = unbounded();
    let mut stats = stats::Stats::new(links, facts, status, models_out, Arc::clone(&counts));
    stats.publish();

    let (has_posts, pace) = (!posts.is_empty(), parts.pace);
    let worker = spawn("worker", move || worker::run(posts, pace))?;
    let until = stop.clone();
    let (events, admin) = (parts.events, parts.admin);
    let remote_counts = Arc::clone(&counts);
    let side = spawn("side", move || {
        let local = tokio::task::LocalSet::new();
        local.block_on(&runtime, async {
            let sinks = tasks.into_iter().map(|(sink, lane)| task(sink, lane)).collect();
            let remote = async {
                if let Some((endpoint, desk)) = office {
                    sagemaker::run(endpoint, desk, addresses, remote_counts, &until).await;
                }
            };
            let operators = async {
                if let Some(listener) = admin {
                    admin::serve(listener, &until).await;
                }
            };
            let others = async { tokio::join!(stats.run(&until), event_log::log(events, &until), remote, operators) };
            tokio::join!(ended(sinks), others).0
        })
    })?;
    Ok(Side {
        side,
        worker,
        has_posts,
        counts,
        models,
        spool: parts.spool,
        stop: StopOnDrop(stop),
    })
}

type Task = (&'static str, tokio::task::JoinHandle<Result<(), Left>>);

/// A task of its own for a sink: when it panics, the others go on.
fn task(sink: Box<dyn sink::Waits>, lane: Lane) -> Task {
    (lane.name(), tokio::task::spawn_local(sink.run(lane)))
}

async fn ended(tasks: Vec<Task>) -> Vec<Left> {
    let mut left = Vec::new();
    for (sink, task) in tasks {
        match task.await {
            Ok(Ok(())) => {}
            Ok(Err(of_sink)) => left.push(of_sink),
            Err(error) => left.push(Left {
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
    pub fn news(&self) -> News {
        News {
            models: self.models.clone(),
            counts: Arc::clone(&self.counts),
        }
    }

    /// Delivers what the shards have left in the spool and ends all threads. To be called when the shards have ended; what
    /// is not delivered at the deadline stays in the spool.
    ///
    /// # Errors
    /// How many records are left, and why; also a panic that has left none.
    pub fn finish(self, deadline: Instant) -> Result<Delivered, Undelivered> {
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
            all.push(Left {
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
            (true, Some(reason)) => Err(Undelivered(vec![Left {
                sink: "none",
                delivered: 0,
                left: 0,
                reason,
            }])),
            (false, _) => Err(Undelivered(all)),
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
