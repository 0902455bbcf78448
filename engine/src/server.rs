//! Builds everything that can fail, then spawns, serves, drains and joins.
//!
//! ```text
//! start: model → topology → runtime → listener → spool → side (opens the sinks) → shards → acceptor → ready
//! SIGHUP: `reload` puts another configuration and model into force, or says why not
//! drain: not ready → (limits.drain_delay_ms) → acceptor stopped, what has connected is served → shards finish → side delivers → joined
//! ```

mod announce;
mod attempt;
mod core_dumps;
mod descriptors;
mod error;
mod models;
mod parts;
mod preflight;
mod publish;
mod reload;
mod secrets;
mod security;
mod signals;
mod watch;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, bounded};

pub use self::error::ServeError;
pub(crate) use self::reload::ReloadSource;

use self::models::ModelOwner;
pub(crate) use self::models::ModelSource;
use self::parts::{
    ModelNumbers, ShardTemplate, about, accept_connections, asking, budget, connections_fitting, http, jwks,
    open_spool, place, remote, spawn, spawn_shards,
};
use self::preflight::Prepared;
pub(crate) use self::preflight::{Preflight, services};
use self::publish::Publisher;
pub(crate) use self::security::Security;
use self::security::SecurityInForce;
use self::signals::{DrainStep, Lifecycle};
use crate::accept::{Acceptor, ShardEntry};
use crate::allocator;
use crate::budget::Budget;
use crate::config::Settings;
use crate::limits::EVENTS_MAX;
use crate::models::{ModelVersion, ModelsHandle, Registry, SlotNumbers};
use crate::remote::RemoteQueue;
use crate::runtime;
use crate::shard::ShardParts;
use crate::shard::mailbox::{Address, Mail};
use crate::side::{self, Delivered, ShardLink, Side};
use crate::spool::{Spool, Writer};
use crate::telemetry::{Event, Gauges};

/// Time for side to deliver what the shards have left, after they have ended.
const DELIVER: Duration = Duration::from_secs(20);

/// How often the side thread is looked after.
const HEALTH: Duration = Duration::from_secs(1);

/// Serves until SIGTERM or SIGINT, then drains. A second one ends the process at once, as the first does before
/// anything is answered. SIGHUP has `again` look for another configuration and model.
///
/// # Errors
/// What kept it from starting, and records that could not be delivered at the end.
pub(crate) fn run(settings: &Settings, again: ReloadSource) -> Result<(), ServeError> {
    quiet_trials();
    if !settings.core_dumps {
        core_dumps::turn_off();
    }
    let life = Arc::new(Lifecycle::new(&settings.limits));
    let asked = signals::listen(&life)?;
    announce::process(&again.told);
    let mut running = start_in(settings, &life)?;
    running.reloads(settings, again, asked.reload.clone())?;
    let fault = running.watch(&asked.stop);
    asked.drain_began(running.side.news());
    let delivered = running.drain()?;
    tracing::info!(records = delivered.records, "drained");
    fault.map_or(Ok(()), Err)
}

/// A server that serves.
#[derive(Debug)]
pub struct Running {
    address: SocketAddr,
    life: Arc<Lifecycle>,
    acceptor: Acceptor,
    shards: Vec<ShardThread>,
    side: Side,
    ended: Receiver<usize>,
    /// Until a reload, which then frees the one model.
    owner: ModelOwner,
    models: Option<ModelsHandle>,
    numbers: Option<ModelNumbers>,
    /// Until a reload has it.
    security: Option<SecurityInForce>,
}

#[derive(Debug)]
struct ShardThread {
    address: Address,
    gauges: Arc<Gauges>,
    thread: JoinHandle<()>,
}

impl ShardThread {
    fn place(&self) -> ShardEntry {
        ShardEntry {
            address: self.address.clone(),
            gauges: Arc::clone(&self.gauges),
        }
    }
}

/// Starts serving; returns when every shard runs and the port is open.
///
/// # Errors
/// The first step that failed. Nothing runs then.
pub fn start(settings: &Settings) -> Result<Running, ServeError> {
    start_in(settings, &Arc::new(Lifecycle::new(&settings.limits)))
}

/// As [`start`], in a process that signals reach.
fn start_in(settings: &Settings, life: &Arc<Lifecycle>) -> Result<Running, ServeError> {
    allocator::configure();
    let open_files = descriptors::raise();
    let Prepared {
        source,
        topology,
        chosen,
        listener: (listener, address),
        admin,
        security,
    } = Preflight::new(settings, &|_| false).prepared(settings)?;
    let (admin, admin_address) = admin.unzip();
    announce::settings(settings, open_files);
    let connections_max = descriptors::connections(open_files, settings.limits.connections_max, topology.shards);
    let size = source.spool_size(settings, &topology);
    let (spool, mut writers) = open_spool(&settings.records, &topology, size)?;
    let shadow_writer = writers.split_off(topology.shards).pop();
    let numbers = spool.as_ref().map(ModelNumbers::new);
    let (registry, owner) = source.begin(numbers.as_ref())?;
    let models = owner.handle();
    let nonce = nonce();
    let budget = budget(settings, &topology);
    let security = SecurityInForce::new(security, settings)?;
    let shared = (&registry, &budget, &security);
    let (parts, ends) = build_shards(settings, life, shared, spool.as_ref(), (writers, nonce));
    let places: Vec<ShardEntry> = ends.links.iter().map(place).collect();
    let side = side::start(side::SideParts {
        shards: ends.links,
        records: settings.records.clone(),
        shadow: owner.shadow(settings, (spool.as_ref(), shadow_writer), (topology.shards, nonce)),
        models: models.clone(),
        spool,
        registry: Arc::clone(&registry),
        about: about(chosen),
        events: ends.events,
        aws: settings.aws.clone(),
        pace: side::CpuBudget::of(topology.cpus),
        admin,
        ready: Arc::clone(&life.ready),
        budget: Arc::clone(&budget),
        remote: ends.desk.map(|desk| remote(settings, desk)),
        security: security.gauges(),
        access: security.shared(),
        jwks: jwks(settings),
        shows_recent: settings.shows_recent(),
    })?;
    let (shards, ended) = spawn_shards(chosen, &topology, parts, &http(settings), &places)?;
    let connections_max = connections_fitting(connections_max, &topology);
    let acceptor = open_port(life, listener, places, connections_max)?;
    let served = &registry.champion().loaded;
    announce::ready((address, admin_address), settings, chosen, &topology, served);
    let running = Running {
        address,
        life: Arc::clone(life),
        acceptor,
        shards,
        side,
        ended,
        owner,
        models,
        numbers,
        security: Some(security),
    };
    running.manage_models()
}

/// Side's ends of what runs between it and the shards.
struct SideEnds {
    links: Vec<ShardLink>,
    events: Receiver<Event>,
    desk: Option<RemoteQueue>,
}

/// The parts of all shards, each with one of the writers.
fn build_shards(
    settings: &Settings,
    life: &Lifecycle,
    (registry, budget, security): (&Arc<Registry>, &Arc<Budget>, &SecurityInForce),
    spool: Option<&Spool>,
    (writers, nonce): (Vec<Writer>, u64),
) -> (Vec<ShardParts>, SideEnds) {
    let (events, events_out) = bounded(EVENTS_MAX);
    let (asking, desk) = asking(settings).unzip();
    let template = ShardTemplate {
        settings,
        registry: Arc::clone(registry),
        latest: spool.and_then(|spool| spool.found().latest),
        events,
        ready: Arc::clone(&life.ready),
        asking,
        nonce,
        budget: Arc::clone(budget),
        security,
    };
    let (parts, links) = template.build_all(writers);
    let ends = SideEnds {
        links,
        events: events_out,
        desk,
    };
    (parts, ends)
}

/// Takes connections from now on.
fn open_port(
    life: &Lifecycle,
    listener: TcpListener,
    places: Vec<ShardEntry>,
    connections_max: usize,
) -> Result<Acceptor, ServeError> {
    life.begin_to_serve();
    let acceptor = accept_connections(listener, places, connections_max)?;
    life.serves();
    Ok(acceptor)
}

impl Running {
    /// Where it listens; the real port when 0 was asked for.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    fn publisher(&self) -> Publisher {
        Publisher {
            shards: self.shards.iter().map(ShardThread::place).collect(),
            side: self.side.news(),
            life: Arc::clone(&self.life),
        }
    }

    /// Starts the thread that keeps the models of a store, if there is one.
    fn manage_models(mut self) -> Result<Self, ServeError> {
        match std::mem::replace(&mut self.owner, ModelOwner::Thread) {
            ModelOwner::Store(manager) => {
                let publisher = self.publisher();
                let publish = move |registry: &Arc<Registry>, new: &[Arc<ModelVersion>], emptied: &[usize]| {
                    publisher.publish(registry, new, emptied)
                };
                let name = "models".to_owned();
                manager
                    .start(Box::new(publish))
                    .map_err(|source| ServeError::Thread { name, source })?;
            }
            other => self.owner = other,
        }
        Ok(self)
    }

    /// Starts the thread that puts another configuration and model into force when it is asked to. To be called once.
    fn reloads(&mut self, settings: &Settings, again: ReloadSource, asked: Receiver<()>) -> Result<(), ServeError> {
        let (version, slots) = match std::mem::replace(&mut self.owner, ModelOwner::Thread) {
            ModelOwner::Single(version, slots) => (Some(version), slots),
            other => {
                self.owner = other;
                (None, SlotNumbers::default())
            }
        };
        let parts = reload::ReloadParts {
            settings: settings.clone(),
            again,
            version,
            slots,
            numbers: self.numbers.clone(),
            models: self.models.clone(),
            publisher: self.publisher(),
            security: self.security.take(),
        };
        reload::start(parts, asked)
    }

    /// Waits for a request to stop, or until something ends by itself; answers which.
    fn watch(&self, asked_to_stop: &Receiver<i32>) -> Option<ServeError> {
        loop {
            crossbeam_channel::select! {
                recv(asked_to_stop) -> signal => {
                    tracing::info!(signal = signal.map_or("none", signals::name), "draining");
                    return None;
                }
                recv(self.ended) -> shard => {
                    return Some(ServeError::ShardEnded { shard: shard.unwrap_or_default() });
                }
                default(HEALTH) => {
                    if self.side.has_failed() {
                        // What is wrong with it, `finish` will say.
                        tracing::error!("the side thread or its worker ended by itself: draining");
                        return None;
                    }
                }
            }
        }
    }

    /// Serves on while those who send traffic find out that `/readyz` says no. A shard that ends meanwhile ends this too.
    fn wait_for_balancers(&self) {
        self.life.enter(DrainStep::Delay);
        let delay = self.life.drain_delay();
        if !delay.is_zero() {
            tracing::info!(
                delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX),
                "not ready any more; the port stays open (limits.drain_delay_ms)"
            );
            // What comes is the number of a shard that has ended; nobody sends after that.
            let _ = self.ended.recv_timeout(delay);
        }
    }

    /// Finishes what is in flight, delivers what was answered, and ends every thread. Bounded by `limits.drain` and the
    /// time that delivery may take.
    ///
    /// # Errors
    /// Records that could not be delivered.
    pub fn drain(self) -> Result<Delivered, ServeError> {
        self.life.begin_to_drain();
        self.wait_for_balancers();
        self.life.enter(DrainStep::Port);
        self.acceptor.stop();
        self.life.enter(DrainStep::Requests);
        for shard in &self.shards {
            let mut mail = Mail::Drain;
            // A full mailbox empties within a moment; a shard that has ended does not need the message.
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
        self.life.enter(DrainStep::Records);
        Ok(self.side.finish(Instant::now() + DELIVER)?)
    }
}

/// A trial of io_uring may panic inside glommio. This only means that io_uring cannot be used, so it is not reported as
/// a bug.
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
