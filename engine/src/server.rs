//! Builds everything that can fail, then spawns, serves, drains and joins.
//!
//! ```text
//! start: model → topology → runtime → listener → spool → side (opens the sinks) → shards → acceptor → ready
//! drain: not ready → acceptor stopped, what has connected is served → shards finish → side delivers → joined
//! ```

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::accept::{self, Acceptor, Place};
use crate::config::{Records, Scorer, Settings};
use crate::http::pages::Files;
use crate::limits::EVENTS_MAX;
use crate::record::frame_bytes_max;
use crate::remote::{self, Desk};
use crate::runtime::epoll::Epoll;
use crate::runtime::glommio::Glommio;
use crate::runtime::{self, Chosen, StartError};
use crate::served::{LoadError, Served};
use crate::shard::away::Asking;
use crate::shard::mailbox::{Address, Mail, mailbox};
use crate::shard::scorer::Outlet;
use crate::shard::stats::Gauges;
use crate::shard::{self, Parts};
use crate::side::event::Event;
use crate::side::{self, About, Delivered, ShardLink, Side, Undelivered};
use crate::spool::{self, Spool, SpoolError, Writer};
use crate::topology::{self, Topology};

/// Time for side to deliver what the shards have left, after they have ended.
const DELIVER: Duration = Duration::from_secs(20);

/// How often the side thread is looked after.
const HEALTH: Duration = Duration::from_secs(1);

/// A shard that does not start within this time will not.
const START: Duration = Duration::from_secs(10);

/// Why the server did not start, or did not end well.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The model.
    #[error(transparent)]
    Model(#[from] LoadError),
    /// The runtime that was forced.
    #[error(transparent)]
    Runtime(#[from] runtime::Refused),
    /// The address.
    #[error("listen on {listen}: {source}")]
    Listen {
        /// As it was asked for.
        listen: String,
        /// The operating system's reason.
        source: io::Error,
    },
    /// The spool.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// The model's entry in the spool.
    #[error("write down in the spool {path} how this model's records are read: {source}")]
    Register {
        /// The spool.
        path: std::path::PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// A sink.
    #[error(transparent)]
    Side(#[from] side::StartError),
    /// A shard's runtime.
    #[error("start shard {shard}: {source}")]
    Shard {
        /// Which shard.
        shard: usize,
        /// Why not.
        source: StartError,
    },
    /// A thread.
    #[error("start thread {name}: {source}")]
    Thread {
        /// Its name.
        name: String,
        /// The operating system's reason.
        source: io::Error,
    },
    /// A shard ended by itself.
    #[error("shard {shard} ended without being asked to")]
    ShardEnded {
        /// Which shard.
        shard: usize,
    },
    /// Records that could not be delivered.
    #[error(transparent)]
    Undelivered(#[from] Undelivered),
}

/// Serves until SIGTERM or SIGINT, then drains. A second signal ends the process at once.
///
/// # Errors
/// What kept it from starting, and records that could not be delivered at the end.
pub fn run(settings: &Settings) -> Result<(), ServeError> {
    quiet_trials();
    let mut signals = Signals::new([SIGTERM, SIGINT]).map_err(|source| ServeError::Thread {
        name: "signals".into(),
        source,
    })?;
    let running = start(settings)?;
    let (asked, asked_to_stop) = unbounded();
    spawn("signals", move || {
        for signal in signals.forever() {
            let _ = asked.send(signal);
        }
    })?;
    let fault = loop {
        crossbeam_channel::select! {
            recv(asked_to_stop) -> signal => {
                tracing::info!(signal = signal.map_or("none", name), "draining");
                break None;
            }
            recv(running.ended) -> shard => break Some(ServeError::ShardEnded { shard: shard.unwrap_or_default() }),
            default(HEALTH) => {
                if running.side.has_failed() {
                    // What is wrong with it, `finish` will say.
                    tracing::error!("the side thread or its worker ended by itself: draining");
                    break None;
                }
            }
        }
    };
    let watcher = asked_to_stop.clone();
    spawn("impatience", move || {
        if let Ok(signal) = watcher.recv() {
            tracing::error!(
                signal = name(signal),
                "asked again: ending at once; what is not delivered stays in the spool"
            );
            std::process::exit(1);
        }
    })?;
    let delivered = running.drain()?;
    tracing::info!(records = delivered.records, "drained");
    fault.map_or(Ok(()), Err)
}

fn name(signal: i32) -> &'static str {
    match signal {
        SIGTERM => "SIGTERM",
        SIGINT => "SIGINT",
        _ => "unknown",
    }
}

/// A server that serves.
#[derive(Debug)]
pub struct Running {
    address: SocketAddr,
    ready: Arc<AtomicBool>,
    acceptor: Acceptor,
    shards: Vec<ShardThread>,
    side: Side,
    ended: Receiver<usize>,
}

#[derive(Debug)]
struct ShardThread {
    address: Address,
    thread: JoinHandle<()>,
}

/// Starts serving; returns when every shard runs and the port is open.
///
/// # Errors
/// The first step that failed. Nothing runs then.
pub fn start(settings: &Settings) -> Result<Running, ServeError> {
    let mut served = load(settings)?;
    log_model(&served);
    let topology = Topology::detect(settings);
    for warning in &topology.inputs.warnings {
        tracing::warn!("{warning}");
    }
    tracing::info!("{topology}");
    let (chosen, why) = runtime::choose(settings.runtime, topology.shards)?;
    tracing::info!(runtime = chosen.name(), why, "runtime");
    let listen_error = |source| ServeError::Listen {
        listen: settings.listen.clone(),
        source,
    };
    let addresses: Vec<SocketAddr> = settings.listen.to_socket_addrs().map_err(listen_error)?.collect();
    let (listener, address) = accept::bind(&addresses).map_err(listen_error)?;

    let (spool, writers) = open_spool(&settings.records, topology.shards, &mut served)?;
    let latest = spool.as_ref().and_then(|spool| spool.found().latest);
    let served = Arc::new(served);
    let ready = Arc::new(AtomicBool::new(false));
    let (events, events_out) = bounded(EVENTS_MAX);
    let nonce = nonce();
    let (asking, desk) = asking(settings).unzip();
    let files = settings.pages.then(|| Arc::new(Files::new()));
    let (mut parts, mut links) = (Vec::new(), Vec::new());
    for (number, writer) in writers.into_iter().enumerate() {
        let records = Outlet {
            writer,
            when_full: settings.records.when_full,
            latest,
        };
        let (mut part, link) = wire(
            settings,
            &served,
            number,
            records,
            events.clone(),
            Arc::clone(&ready),
            nonce,
        );
        part.asking.clone_from(&asking);
        part.files.clone_from(&files);
        parts.push(part);
        links.push(link);
    }
    let places: Vec<Place> = links
        .iter()
        .map(|link| Place {
            address: link.address.clone(),
            gauges: Arc::clone(&link.gauges),
        })
        .collect();
    let about = About {
        version: env!("CARGO_PKG_VERSION").into(),
        commit: env!("BUILD_COMMIT").into(),
        target: env!("BUILD_TARGET").into(),
        runtime: chosen.name().into(),
        kernel: served.model.kernel().to_string(),
    };
    let side = side::start(side::Parts {
        shards: links,
        records: settings.records.clone(),
        spool,
        served: Arc::clone(&served),
        about,
        events: events_out,
        aws: settings.aws.clone(),
        remote: desk.map(|desk| side::RemoteParts {
            desk,
            scoring: settings.scoring.clone(),
        }),
    })?;
    let (shards, ended) = spawn_shards(chosen, &topology, parts, &places)?;
    let acceptor =
        Acceptor::start(listener, places, settings.limits.connections_max).map_err(|source| ServeError::Thread {
            name: "acceptor".into(),
            source,
        })?;
    ready.store(true, Ordering::Relaxed);
    tracing::info!(
        listen = %address,
        runtime = chosen.name(),
        shards = topology.shards,
        model = served.model.name(),
        version = served.model.version(),
        "ready"
    );
    Ok(Running {
        address,
        ready,
        acceptor,
        shards,
        side,
        ended,
    })
}

/// The model, or its outline when it cannot be evaluated here and SageMaker can.
fn load(settings: &Settings) -> Result<Served, ServeError> {
    match Served::load(settings.model.as_deref(), settings.options, 0) {
        Ok(served) => Ok(served),
        Err(fault) if settings.scoring.asks_sagemaker() => Ok(Served::outline(settings.model.as_deref(), fault, 0)?),
        Err(fault) => Err(fault.into()),
    }
}

/// Both ends of the way to SageMaker, if it may be asked.
fn asking(settings: &Settings) -> Option<(Asking, Desk)> {
    let scoring = &settings.scoring;
    let (line, desk) = remote::line(scoring.calls_max);
    let asking = Asking {
        line,
        content: scoring.content(),
        deadline: scoring.deadline,
        first: scoring.backend == Scorer::SageMaker,
        falls_back: scoring.fallback == Some(Scorer::Local),
    };
    scoring.asks_sagemaker().then_some((asking, desk))
}

fn log_model(served: &Served) {
    if let Some(fault) = &served.outline_only {
        tracing::warn!(fault, "the model cannot be evaluated here: SageMaker scores every lead");
    }
    let model = &served.model;
    tracing::info!(
        model = model.name(),
        version = model.version(),
        format = model.format(),
        objective = model.objective(),
        trees = model.tree_count(),
        features = model.schema().len(),
        golden_rows = served.golden_rows,
        kernel = %model.kernel(),
        "model"
    );
    for note in model.notes() {
        tracing::warn!(model = model.name(), "{note}");
    }
}

/// The spool and a writer for each shard; without sinks there is nothing to keep records for.
fn open_spool(
    records: &Records,
    shards: usize,
    served: &mut Served,
) -> Result<(Option<Spool>, Vec<Writer>), ServeError> {
    if records.sinks.is_empty() {
        return Ok((None, (0..shards).map(|_| Writer::nowhere()).collect()));
    }
    let model = &served.model;
    let (spool, writers) = Spool::open(spool::Options {
        folder: records.spool_dir(),
        bytes_max: records.spool_bytes,
        shards,
        sinks: records.sinks.iter().map(|kind| kind.name()).collect(),
        record_bytes_max: frame_bytes_max(model.margin_len(), model.prediction_len(), model.schema().len()),
    })?;
    let number = spool.schemas().register(served.record_schema());
    served.generation = number.map_err(|source| ServeError::Register {
        path: records.spool_dir(),
        source,
    })?;
    let found = spool.found();
    tracing::info!(
        path = %records.spool_dir().display(),
        recovered = found.any,
        segments = found.segments,
        damaged_bytes = found.damaged_bytes,
        torn = found.torn,
        put_aside = found.put_aside,
        "spool"
    );
    Ok((Some(spool), writers))
}

fn wire(
    settings: &Settings,
    served: &Arc<Served>,
    number: usize,
    records: Outlet,
    events: Sender<Event>,
    ready: Arc<AtomicBool>,
    nonce: u64,
) -> (Parts, ShardLink) {
    let (address, mailbox) = mailbox();
    let (stats, stats_out) = shard::stats_channel();
    let gauges = Arc::new(Gauges::default());
    let parts = Parts {
        number: u16::try_from(number).expect("SHARDS_MAX is below 2^16"),
        mailbox,
        served: Arc::clone(served),
        records,
        stats,
        events,
        gauges: Arc::clone(&gauges),
        ready,
        asking: None,
        files: None,
        limits: settings.limits.clone(),
        nonce,
    };
    (
        parts,
        ShardLink {
            address,
            stats: stats_out,
            gauges,
        },
    )
}

fn spawn_shards(
    chosen: Chosen,
    topology: &Topology,
    parts: Vec<Parts>,
    places: &[Place],
) -> Result<(Vec<ShardThread>, Receiver<usize>), ServeError> {
    let (ended, ended_out) = unbounded();
    let mut shards = Vec::with_capacity(parts.len());
    for (number, parts) in parts.into_iter().enumerate() {
        let (started, started_out) = bounded(1);
        let pin = topology.pins.as_ref().and_then(|pins| pins.get(number)).copied();
        let ended = ended.clone();
        let thread = spawn(&format!("shard-{number}"), move || {
            if let Some(Err(error)) = pin.map(topology::pin_current_thread) {
                tracing::warn!(shard = number, %error, "not pinned");
            }
            let running = started.clone();
            let tell = move || {
                let _ = running.send(Ok(()));
            };
            let result = match chosen {
                Chosen::Epoll => shard::run::<Epoll>(parts, tell),
                Chosen::Glommio => shard::run::<Glommio>(parts, tell),
            };
            if let Err(error) = result {
                let _ = started.send(Err(error));
            }
            let _ = ended.send(number);
        })?;
        shards.push(ShardThread {
            address: places[number].address.clone(),
            thread,
        });
        match started_out.recv_timeout(START) {
            Ok(Ok(())) => {}
            Ok(Err(source)) => return Err(ServeError::Shard { shard: number, source }),
            Err(_) => {
                let reason = "it panicked or hung, see above".to_owned();
                let source = StartError {
                    backend: chosen.name(),
                    reason,
                };
                return Err(ServeError::Shard { shard: number, source });
            }
        }
    }
    Ok((shards, ended_out))
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, ServeError> {
    let thread = thread::Builder::new().name(name.into()).spawn(run);
    thread.map_err(|source| ServeError::Thread {
        name: name.into(),
        source,
    })
}

impl Running {
    /// Where it listens; the real port when 0 was asked for.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Finishes what is in flight, delivers what was answered, and ends every thread. Bounded by `limits.drain` and the
    /// time that delivery may take.
    ///
    /// # Errors
    /// Records that could not be delivered.
    pub fn drain(self) -> Result<Delivered, ServeError> {
        self.ready.store(false, Ordering::Relaxed);
        self.acceptor.stop();
        for shard in &self.shards {
            let mut mail = Mail::Drain;
            // A full mailbox empties within a moment; a shard that has ended does not need to be told.
            while let Err(back) = shard.address.send(mail) {
                if shard.thread.is_finished() {
                    break;
                }
                mail = back;
                thread::sleep(Duration::from_millis(1));
            }
        }
        for (number, shard) in self.shards.into_iter().enumerate() {
            if shard.thread.join().is_err() {
                tracing::error!(shard = number, "the shard's thread panicked");
            }
        }
        Ok(self.side.finish(Instant::now() + DELIVER)?)
    }
}

/// A trial of io_uring may panic inside glommio. That is its way of saying no, and no reason to alarm anybody.
pub(crate) fn quiet_trials() {
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !runtime::probe::is_trial() {
            default(info);
        }
    }));
}

/// What no other process has: the clock's nanoseconds and the process id, mixed by the standard library's hasher, whose
/// keys are random.
fn nonce() -> u64 {
    use std::hash::{BuildHasher as _, RandomState};
    RandomState::new().hash_one((std::process::id(), std::time::SystemTime::now()))
}
