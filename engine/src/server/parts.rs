//! The parts of a server, each built before anything runs.

use std::net::{SocketAddr, TcpListener, ToSocketAddrs as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use quintile_scoring::loaded::Served;

use super::{ServeError, ShardThread};
use crate::accept::{self, Place};
use crate::config::{ADMIN, Records, Scorer, Settings};
use crate::http::HttpShard;
use crate::http::pages::Files;
use crate::record::{Schema, frame_bytes_max};
use crate::remote::{self, Desk};
use crate::runtime::epoll::Epoll;
use crate::runtime::glommio::Glommio;
use crate::runtime::{Chosen, StartError};
use crate::shard::away::Asking;
use crate::shard::mailbox::mailbox;
use crate::shard::scorer::Outlet;
use crate::shard::{self, Parts};
use crate::side::ShardLink;
use crate::spool::{self, Schemas, Spool, Writer};
use crate::telemetry::{Event, Gauges};
use crate::topology::{self, Topology};

/// A shard that does not start within this time will not.
const START: Duration = Duration::from_secs(10);

/// The model, or its outline when it cannot be evaluated here and SageMaker can.
pub(super) fn load(settings: &Settings) -> Result<Served, ServeError> {
    let served = match Served::load(settings.model.as_deref(), settings.options, 0) {
        Err(fault) if settings.scoring.asks_sagemaker() => Served::outline(settings.model.as_deref(), fault, 0),
        served => served,
    };
    Ok(served?)
}

/// The listener for operators and where it is. Whoever runs several servers on one machine has not asked for the default's
/// port in any of them, so one that is taken is no fault.
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
pub(super) fn asking(settings: &Settings) -> Option<(Asking, Desk)> {
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

/// The spool and a writer for each shard; without sinks there is nothing to keep records for.
pub(super) fn open_spool(
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
    Registry::new(&spool).enter(served)?;
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

/// Where a model is written down before its first record.
#[derive(Debug, Clone)]
pub(super) struct Registry {
    schemas: Schemas,
    folder: PathBuf,
    /// Bytes of the largest record that a file of the spool can hold.
    record_bytes_max: usize,
}

impl Registry {
    pub(super) fn new(spool: &Spool) -> Self {
        Self {
            schemas: spool.schemas().clone(),
            folder: spool.folder().to_path_buf(),
            record_bytes_max: spool.record_bytes_max(),
        }
    }

    /// Gives a model the number that its records will carry.
    pub(super) fn enter(&self, served: &mut Served) -> Result<(), ServeError> {
        let model = &served.model;
        let record_bytes = frame_bytes_max(model.margin_len(), model.prediction_len(), model.schema().len());
        if record_bytes > self.record_bytes_max {
            return Err(ServeError::RecordTooLarge {
                record_bytes,
                record_bytes_max: self.record_bytes_max,
            });
        }
        let number = self.schemas.register(Schema::of(served));
        served.generation = number.map_err(|source| ServeError::Register {
            path: self.folder.clone(),
            source,
        })?;
        Ok(())
    }
}

pub(super) fn wire(
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
        limits: settings.limits,
        spin: settings.spin,
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

pub(super) fn spawn_shards(
    chosen: Chosen,
    topology: &Topology,
    parts: Vec<Parts>,
    files: Option<&Arc<Files>>,
    places: &[Place],
) -> Result<(Vec<ShardThread>, Receiver<usize>), ServeError> {
    let (ended, ended_out) = unbounded();
    let mut shards = Vec::with_capacity(parts.len());
    for (number, parts) in parts.into_iter().enumerate() {
        let (started, started_out) = bounded(1);
        let pin = topology.pins.as_ref().and_then(|pins| pins.get(number)).copied();
        let (ended, files) = (ended.clone(), files.cloned());
        let thread = spawn(&format!("shard-{number}"), move || {
            if let Some(Err(error)) = pin.map(topology::pin_current_thread) {
                tracing::warn!(shard = number, %error, "not pinned");
            }
            let running = started.clone();
            let tell = move || {
                let _ = running.send(Ok(()));
            };
            let serve = |core| HttpShard::new(core, files);
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
