//! Side: what a server does beside answering. One thread for input and output, one for what burns CPU.
//!
//! ```text
//!  shards ──frames──▶ pump ──batches──▶ worker (nice +10): decode, encode, sink
//!            10 ms      ◀──empty buffers──
//!  shards ◀──empty counts, full ones back──▶ stats ──text of /metrics──▶ shards       500 ms
//!  shards ──events──▶ log                                                              10 ms
//!         └───────── thread "side" ────────┘
//! ```
//! `server` starts it before the shards and finishes it after them. It must never make a shard wait: when the worker is
//! behind, the pump stops taking, the queues fill, and the shards answer 503. It must never drop a record.

pub mod event;

mod calendar;
mod counts;
mod metrics;
mod process;
mod pump;
mod sink;
mod stats;
mod worker;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;

pub use self::event::Event;
pub use self::sink::SinkError;

use self::counts::{Counts, Stop, StopOnDrop};
use crate::config;
use crate::record::{self, frame_bytes_max};
use crate::served::Served;
use crate::shard::mailbox::Address;
use crate::shard::stats::{Gauges, ShardStats};

/// How long the threads may take to notice a deadline that has passed.
const GRACE: Duration = Duration::from_secs(1);

/// Everything side is made of.
#[derive(Debug)]
pub struct Parts {
    /// One link for each shard, in the order of their numbers.
    pub shards: Vec<ShardLink>,
    /// Where records go.
    pub records: config::Records,
    /// The model that is served from the start.
    pub served: Arc<Served>,
    /// What the metrics say of this process.
    pub about: About,
    /// What shards want logged.
    pub events: Receiver<Event>,
}

/// Side's ends of what runs between it and one shard.
#[derive(Debug)]
pub struct ShardLink {
    /// Records out.
    pub records: record::Consumer,
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
    /// The kernel in use.
    pub kernel: String,
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
    /// A queue that not one record of the model fits into.
    #[error(
        "a record of this model takes up to {record_bytes} bytes, more than a record queue of {queue_bytes} bytes holds"
    )]
    Queue {
        /// Bytes of a queue.
        queue_bytes: usize,
        /// Bytes of the largest record.
        record_bytes: usize,
    },
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

/// All records were delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivered {
    /// How many, since the start.
    pub records: u64,
}

/// Side ended without having delivered everything, or not as it should.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("deliver {left} records ({delivered} were): {reason}")]
pub struct Undelivered {
    /// Records that reached their place.
    pub delivered: u64,
    /// Records that side knows of and that did not.
    pub left: u64,
    /// What went wrong.
    pub reason: Reason,
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
    side: JoinHandle<()>,
    worker: JoinHandle<Result<(), String>>,
    counts: Arc<Counts>,
    stop: StopOnDrop,
}

/// Opens the sink, sends every shard its first text of `/metrics`, and starts both threads.
///
/// # Errors
/// Whatever would keep records from being delivered, found before anything is served.
pub fn start(parts: Parts) -> Result<Side, StartError> {
    check_queues(&parts)?;
    let name = sink::name(parts.records.sink);
    let sink = sink::open(&parts.records).map_err(|source| StartError::Sink { name, source })?;
    start_with(sink, parts)
}

fn start_with(sink: Box<dyn sink::Sink>, parts: Parts) -> Result<Side, StartError> {
    let name = sink::name(parts.records.sink);
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build().map_err(StartError::Runtime)?;
    let counts = Arc::new(Counts::new(parts.shards.len()));
    let stop = Stop::default();
    let (worker, batches) =
        worker::Worker::new(sink, vec![Arc::clone(&parts.served)], Arc::clone(&counts), stop.clone());

    let (mut queues, mut links) = (Vec::new(), Vec::new());
    for shard in parts.shards {
        links.push(stats::Link::new(
            shard.address,
            shard.stats,
            shard.gauges,
            shard.records.capacity_bytes(),
        ));
        queues.push(shard.records);
    }
    let facts = metrics::Facts::new(&parts.about, &parts.served.model, links.len(), name);
    let mut stats = stats::Stats::new(links, facts, Arc::clone(&counts));
    stats.publish();
    let pump = pump::Pump::new(queues, batches, Arc::clone(&counts));

    let worker = spawn("worker", move || worker.run())?;
    let until = stop.clone();
    let events = parts.events;
    let side = spawn("side", move || {
        runtime.block_on(async {
            tokio::join!(pump.run(&until), stats.run(&until), event::log(events, &until));
        });
    })?;
    Ok(Side {
        side,
        worker,
        counts,
        stop: StopOnDrop(stop),
    })
}

fn check_queues(parts: &Parts) -> Result<(), StartError> {
    let model = &parts.served.model;
    let record_bytes = frame_bytes_max(model.margin_len(), model.prediction_len(), model.schema().len());
    for shard in &parts.shards {
        let queue_bytes = shard.records.capacity_bytes();
        if queue_bytes < record_bytes {
            return Err(StartError::Queue {
                queue_bytes,
                record_bytes,
            });
        }
    }
    Ok(())
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
        self.side.is_finished() || self.worker.is_finished()
    }

    /// Delivers what the shards have left in their queues and ends both threads. To be called when the shards have
    /// ended; what is not delivered at the deadline is counted and given up.
    ///
    /// # Errors
    /// How many records are left, and why; also a panic that has left none.
    pub fn finish(self, deadline: Instant) -> Result<Delivered, Undelivered> {
        self.stop.0.at(deadline);
        let side = join("side", self.side, deadline + GRACE);
        let worker = join("worker", self.worker, deadline + GRACE);
        let (delivered, left) = (self.counts.delivered(), self.counts.left());
        let reason = match (worker, side) {
            (Err(reason), _) | (_, Err(reason)) => reason,
            (Ok(Err(error)), Ok(())) => Reason::Sink(error),
            (Ok(Ok(())), Ok(())) if left == 0 => return Ok(Delivered { records: delivered }),
            (Ok(Ok(())), Ok(())) => Reason::Damaged,
        };
        Err(Undelivered {
            delivered,
            left,
            reason,
        })
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
        message: match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
            (Some(text), _) => (*text).into(),
            (_, Some(text)) => text.clone(),
            _ => "without a message".into(),
        },
    })
}
