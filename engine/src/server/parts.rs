//! The parts of a server, each built before anything runs.

use std::net::{SocketAddr, TcpListener, ToSocketAddrs as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use quintile_scoring::loaded::LoadedModel;
use uuid::Uuid;

use super::security::SecurityInForce;
use super::{ServeError, ShardThread};
use crate::accept::{self, Acceptor, ShardEntry};
use crate::budget::{self, BUDGET_BYTES_UNASKED_MAX, Budget};
use crate::config::{ADMIN, Records, ScorerKind, Settings};
use crate::http::client_address::TrustedProxies;
use crate::http::cross_origin::CrossOrigin;
use crate::http::pages::Files;
use crate::http::{HttpSetup, HttpShard};
use crate::limits::CONNECTION_BYTES;
use crate::models::Registry;
use crate::record::{Schema, frame_bytes_max};
use crate::remote::{self, RemoteQueue};
use crate::runtime::epoll::Epoll;
use crate::runtime::glommio::Glommio;
use crate::runtime::{self, Chosen, StartError};
use crate::shard::mailbox::mailbox;
use crate::shard::remote_call::RemoteSetup;
use crate::shard::scorer::RecordOutput;
use crate::shard::{self, ShardParts};
use crate::side::{JwksSettings, ProcessFacts, RemoteParts, ShardLink};
use crate::spool::{self, KeeperLink, Schemas, Spool, Writer};
use crate::telemetry::{Event, Gauges};
use crate::topology::{self, Topology};

/// The memory limit that is assumed where nothing states one.
const UNKNOWN_MEMORY_BYTES: u64 = 512 << 20;

/// A shard that does not start within this time will not.
const START: Duration = Duration::from_secs(10);

/// The model, or its outline when it cannot be evaluated here and SageMaker can.
pub(super) fn load(settings: &Settings) -> Result<LoadedModel, ServeError> {
    let loaded = match LoadedModel::load(settings.model.as_deref(), settings.options, 0) {
        Err(fault) if settings.scoring.asks_sagemaker() => LoadedModel::outline(settings.model.as_deref(), fault, 0),
        loaded => loaded,
    };
    Ok(loaded?)
}

/// Makes what no shard is to make: the descriptions of a model, and what explains it where every answer has reasons.
pub(super) fn make_ready(loaded: &LoadedModel, settings: &Settings) {
    loaded.descriptions();
    if settings.scoring.explain > 0 {
        loaded.explaining.prepare(&loaded.model);
    }
}

/// How many shards there are and where, with one line about it in the log.
pub(super) fn detect(settings: &Settings) -> Topology {
    let topology = Topology::detect(&settings.cpu_settings());
    for warning in &topology.inputs.warnings {
        tracing::warn!("{warning}");
    }
    tracing::info!("{topology}");
    topology
}

/// The runtime that drives the sockets and why, with one line about it in the log.
pub(super) fn choose(settings: &Settings, topology: &Topology) -> Result<(Chosen, String), ServeError> {
    let (chosen, why) = runtime::choose(settings.runtime, topology.shards)?;
    tracing::info!(runtime = chosen.name(), why, "runtime");
    Ok((chosen, why))
}

/// The listener, and where it is.
pub(super) fn listen(settings: &Settings) -> Result<(TcpListener, SocketAddr), ServeError> {
    let addresses = settings.listen.to_socket_addrs();
    let bound = addresses.and_then(|addresses| accept::bind(&addresses.collect::<Vec<_>>()));
    bound.map_err(|source| ServeError::Listen {
        listen: settings.listen.clone(),
        source,
    })
}

/// The listener for operators and where it is. A user who runs several servers on one machine has not asked for the
/// default's port in any of them, so one that is taken is no fault.
pub(super) fn admin(settings: &Settings) -> Result<Option<(TcpListener, SocketAddr)>, ServeError> {
    let Some(listen) = &settings.admin else { return Ok(None) };
    let bound = listen
        .to_socket_addrs()
        .and_then(|addresses| accept::bind(&addresses.collect::<Vec<_>>()));
    match bound {
        Ok(bound) => Ok(Some(bound)),
        Err(error) if listen == ADMIN => {
            tracing::warn!(listen, %error, "no admin listener: server.admin says where else, or none");
            Ok(None)
        }
        Err(source) => Err(ServeError::Admin {
            listen: listen.clone(),
            source,
        }),
    }
}

/// Both ends of the way to SageMaker, if it may be asked.
pub(super) fn asking(settings: &Settings) -> Option<(RemoteSetup, RemoteQueue)> {
    let scoring = &settings.scoring;
    let (line, desk) = remote::line(scoring.calls_max);
    let asking = RemoteSetup {
        line,
        content: scoring.content(),
        deadline: scoring.deadline,
        first: scoring.primary == ScorerKind::SageMaker,
        falls_back: scoring.fallback == Some(ScorerKind::Local),
    };
    scoring.asks_sagemaker().then_some((asking, desk))
}

/// The spool and so many writers; without sinks there is nothing to keep records for.
pub(super) fn open_spool(
    records: &Records,
    topology: &Topology,
    size: SpoolSize,
) -> Result<(Option<Spool>, Vec<Writer>), ServeError> {
    if records.sinks.is_empty() {
        return Ok((None, (0..size.writers).map(|_| Writer::nowhere()).collect()));
    }
    let (spool, writers) = Spool::open(spool_options(records, topology, size))?;
    let found = spool.found();
    tracing::info!(
        path = %records.spool_dir().display(),
        recovered = found.any,
        segments = found.segments,
        damaged_bytes = found.damaged_bytes,
        torn = found.torn,
        put_aside = found.put_aside,
        postponed = found.postponed,
        memory_bytes = spool.gauges().memory_bytes(),
        keeper = spool.gauges().has_keeper(),
        "spool"
    );
    Ok((Some(spool), writers))
}

/// What a spool has to have room for.
#[derive(Debug, Clone, Copy)]
pub(super) struct SpoolSize {
    /// Bytes of the largest record.
    pub(super) record_bytes_max: usize,
    /// How many threads write records.
    pub(super) writers: usize,
}

/// What the spool is opened with.
pub(super) fn spool_options(records: &Records, topology: &Topology, size: SpoolSize) -> spool::Options {
    let memory = topology.inputs.memory.as_ref();
    spool::Options {
        folder: records.spool_dir(),
        bytes_max: records.spool_bytes,
        shards: size.writers,
        sinks: records.sinks.iter().map(|kind| kind.name()).collect(),
        forget: records.forget.iter().map(|kind| kind.name()).collect(),
        record_bytes_max: size.record_bytes_max,
        memory_bytes: memory.map_or(usize::MAX, |limit| usize::try_from(limit.bytes).unwrap_or(usize::MAX)),
    }
}

/// What requests may hold: what the operator says, or a part of the memory limit. To be called when the model is loaded
/// and before shards start.
pub(super) fn budget(settings: &Settings, topology: &Topology) -> Arc<Budget> {
    let memory = topology.inputs.memory.as_ref();
    let bytes = match (settings.memory_bytes, memory) {
        (Some(bytes), _) => bytes,
        (None, _) => memory_share(topology).min(BUDGET_BYTES_UNASKED_MAX),
    };
    tracing::info!(
        bytes,
        from = if settings.memory_bytes.is_some() {
            "limits.memory_bytes"
        } else {
            "a third of what the memory limit leaves"
        },
        limit_bytes = memory.map(|limit| limit.bytes),
        limit = memory.map(|limit| limit.source.as_str()),
        "memory budget"
    );
    Budget::new(bytes)
}

/// The part of the memory limit that clients may take.
fn memory_share(topology: &Topology) -> usize {
    match &topology.inputs.memory {
        Some(limit) => budget::share(limit.bytes, topology::memory::resident_bytes()),
        // Neither a cgroup nor the machine says: enough for ordinary traffic.
        None => budget::share(UNKNOWN_MEMORY_BYTES, 0),
    }
}

/// Open connections: as many as are allowed, and as have room in half of what clients may take beside the budget.
pub(super) fn connections_fitting(allowed: usize, topology: &Topology) -> usize {
    let fitting = (memory_share(topology) / 2 / CONNECTION_BYTES).max(1);
    if fitting < allowed {
        tracing::warn!(
            connections_max = fitting,
            allowed,
            "fewer connections than limits.connections_max: the memory limit has no room for more"
        );
    }
    allowed.min(fitting)
}

/// Where a model is written down before its first record.
#[derive(Debug, Clone)]
pub(super) struct ModelNumbers {
    schemas: Schemas,
    keeper: KeeperLink,
    folder: PathBuf,
    /// Bytes of the largest record that a file of the spool can hold.
    record_bytes_max: usize,
}

impl ModelNumbers {
    pub(super) fn new(spool: &Spool) -> Self {
        Self {
            schemas: spool.schemas().clone(),
            keeper: spool.keeper_link(),
            folder: spool.folder(),
            record_bytes_max: spool.record_bytes_max(),
        }
    }

    /// Gives a model the number that its records will carry.
    pub(super) fn enter(&self, loaded: &mut LoadedModel) -> Result<(), ServeError> {
        let model = &loaded.model;
        let record_bytes = frame_bytes_max(model.margin_len(), model.prediction_len(), model.schema().len());
        if record_bytes > self.record_bytes_max {
            return Err(ServeError::RecordTooLarge {
                record_bytes,
                record_bytes_max: self.record_bytes_max,
            });
        }
        let number = self.schemas.register(Schema::of(loaded));
        loaded.model_number = number.map_err(|source| ServeError::Register {
            path: self.folder.clone(),
            source,
        })?;
        self.keeper.describe_models();
        Ok(())
    }
}

/// What all shards are built from.
pub(super) struct ShardTemplate<'a> {
    pub(super) settings: &'a Settings,
    pub(super) registry: Arc<Registry>,
    /// The latest record id that another process has left.
    pub(super) latest: Option<Uuid>,
    pub(super) events: Sender<Event>,
    pub(super) ready: Arc<AtomicBool>,
    pub(super) asking: Option<RemoteSetup>,
    pub(super) budget: Arc<Budget>,
    pub(super) nonce: u64,
    pub(super) security: &'a SecurityInForce,
}

impl ShardTemplate<'_> {
    /// The parts of all shards, and side's ends of what runs between the two.
    pub(super) fn build_all(&self, writers: Vec<Writer>) -> (Vec<ShardParts>, Vec<ShardLink>) {
        let numbered = writers.into_iter().enumerate();
        numbered.map(|(number, writer)| self.build(number, writer)).unzip()
    }

    /// A shard's parts, and side's ends of what runs between the two.
    fn build(&self, number: usize, writer: Writer) -> (ShardParts, ShardLink) {
        let (address, mailbox) = mailbox();
        let (stats, stats_out) = shard::stats_channel();
        let gauges = Arc::new(Gauges::default());
        let link = ShardLink {
            address,
            stats: stats_out,
            gauges: Arc::clone(&gauges),
        };
        let parts = ShardParts {
            number: u16::try_from(number).expect("SHARDS_MAX is below 2^16"),
            mailbox,
            registry: Arc::clone(&self.registry),
            records: RecordOutput {
                writer,
                when_full: self.settings.records.when_full,
                latest: self.latest,
            },
            stats,
            events: self.events.clone(),
            gauges,
            ready: Arc::clone(&self.ready),
            asking: self.asking.clone(),
            limits: self.settings.limits,
            budget: Arc::clone(&self.budget),
            tls: self.security.config(),
            access: self.security.access(),
            rates: self.security.rates(),
            security: self.security.gauges(),
            spin: self.settings.spin,
            reasons: self.settings.scoring.explain,
            nonce: self.nonce,
        };
        (parts, link)
    }
}

/// A shard as the acceptor sees it.
pub(super) fn place(link: &ShardLink) -> ShardEntry {
    ShardEntry {
        address: link.address.clone(),
        gauges: Arc::clone(&link.gauges),
    }
}

/// What the metrics say of this process.
pub(super) fn about(chosen: Chosen) -> ProcessFacts {
    ProcessFacts {
        version: env!("CARGO_PKG_VERSION").into(),
        commit: env!("BUILD_COMMIT").into(),
        target: env!("BUILD_TARGET").into(),
        runtime: chosen.name().into(),
    }
}

/// How side answers what the shards ask of SageMaker.
pub(super) fn remote(settings: &Settings, desk: RemoteQueue) -> RemoteParts {
    RemoteParts {
        desk,
        scoring: settings.scoring.clone(),
    }
}

/// How the issuer's keys are had, if tokens are accepted.
pub(super) fn jwks(settings: &Settings) -> Option<JwksSettings> {
    Some(JwksSettings {
        url: settings.auth.jwks_url()?,
        refresh: settings.auth.refresh,
        cooldown: settings.auth.cooldown,
    })
}

/// What all shards' HTTP is given: the files of the pages, unless they are turned off, and the origins that may call.
pub(super) fn http(settings: &Settings) -> HttpSetup {
    HttpSetup {
        files: settings.pages.then(|| Arc::new(Files::new())),
        cross_origin: CrossOrigin::new(&settings.cors_origins).map(Arc::new),
        trusted_proxies: TrustedProxies::new(&settings.trusted_proxies).map(Arc::new),
        proxy_protocol: settings.proxy_protocol,
        protocols: settings.protocols,
    }
}

/// Opens the port to traffic.
pub(super) fn accept_connections(
    listener: TcpListener,
    places: Vec<ShardEntry>,
    connections_max: usize,
) -> Result<Acceptor, ServeError> {
    let started = Acceptor::start(listener, places, connections_max);
    started.map_err(|source| ServeError::Thread {
        name: "acceptor".into(),
        source,
    })
}

pub(super) fn spawn_shards(
    chosen: Chosen,
    topology: &Topology,
    parts: Vec<ShardParts>,
    http: &HttpSetup,
    places: &[ShardEntry],
) -> Result<(Vec<ShardThread>, Receiver<usize>), ServeError> {
    let (ended, ended_out) = unbounded();
    let mut shards = Vec::with_capacity(parts.len());
    for (number, parts) in parts.into_iter().enumerate() {
        let (started, started_out) = bounded(1);
        let pin = topology.pins.as_ref().and_then(|pins| pins.get(number)).copied();
        let (ended, http) = (ended.clone(), http.clone());
        let thread = spawn(&format!("shard-{number}"), move || {
            if let Some(Err(error)) = pin.map(topology::pin_current_thread) {
                tracing::warn!(shard = number, %error, "not pinned");
            }
            let running = started.clone();
            let tell = move || {
                let _ = running.send(Ok(()));
            };
            let serve = |core| HttpShard::new(core, http);
            let result = match chosen {
                Chosen::Epoll => shard::run::<Epoll, _>(parts, serve, tell),
                Chosen::Glommio => shard::run::<Glommio, _>(parts, serve, tell),
            };
            if let Err(error) = result {
                let _ = started.send(Err(error));
            }
            let _ = ended.send(number);
        })?;
        shards.push(ShardThread {
            address: places[number].address.clone(),
            gauges: Arc::clone(&places[number].gauges),
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

pub(super) fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, ServeError> {
    let thread = thread::Builder::new().name(name.into()).spawn(run);
    thread.map_err(|source| ServeError::Thread {
        name: name.into(),
        source,
    })
}
