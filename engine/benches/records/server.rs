//! A server without sockets, and the leads that it is sent.

use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::BytesMut;
use quintile::config::{Records, SinkKind};
use quintile::models::{ModelVersion, Registry};
use quintile::record::{Entry, Extras, IdSource, ProtocolName, RecordSource, Schema, frame_bytes_max};
use quintile::shard::mailbox::{Mailbox, mailbox};
use quintile::shard::stats_channel;
use quintile::side::{self, ProcessFacts, ShardLink, Side, SideParts};
use quintile::spool::{self, Spool, Writer};
use quintile::telemetry::Gauges;
use quintile_model::Options;
use quintile_scoring::loaded::LoadedModel;
use quintile_scoring::read::{Timings, Workspace};
use quintile_scoring::render;

/// Distinct leads, as `bench/wrk/score.lua` makes them. They come again and again.
const BODIES: usize = 4096;

/// A server without sockets.
pub(crate) struct Bench {
    pub(crate) shard: Shard,
    pub(crate) side: Side,
    pub(crate) spool: Option<spool::Gauges>,
    _mailbox: Mailbox,
}

/// What a shard does with a body.
pub(crate) struct Shard {
    pub(crate) version: Arc<ModelVersion>,
    pub(crate) workspace: Workspace,
    ids: IdSource,
    pub(crate) frame: Vec<u8>,
    out: BytesMut,
    pub(crate) writer: Writer,
    pub(crate) bodies: Vec<Vec<u8>>,
    pub(crate) turn: usize,
}

impl Bench {
    /// Side's threads take the CPU that the caller is on.
    pub(crate) fn start(data: &Path, sinks: Vec<SinkKind>) -> Self {
        let mut loaded = LoadedModel::load(None, Options::default(), 0).expect("the demo");
        let records = Records {
            sinks,
            data_dir: data.to_path_buf(),
            ..Records::default()
        };
        let model = &loaded.model;
        let record_bytes_max = frame_bytes_max(model.margin_len(), model.prediction_len(), model.schema().len());
        let (spool, writer) = if records.sinks.is_empty() {
            (None, Writer::nowhere())
        } else {
            let options = spool::Options {
                folder: records.spool_dir(),
                bytes_max: records.spool_bytes,
                shards: 1,
                sinks: records.sinks.iter().map(|kind| kind.name()).collect(),
                forget: Vec::new(),
                record_bytes_max,
                memory_bytes: usize::MAX,
            };
            let (spool, mut writers) = Spool::open(options).expect("a spool");
            let number = spool.schemas().register(Schema::of(&loaded));
            loaded.model_number = number.expect("it can be written");
            (Some(spool), writers.remove(0))
        };
        let version = Arc::new(ModelVersion::alone(0, 1, loaded));
        let gauges = spool.as_ref().map(Spool::gauges);
        let (address, mailbox) = mailbox();
        let link = ShardLink {
            address,
            stats: stats_channel().1,
            gauges: Arc::new(Gauges::default()),
        };
        let side = side::start(SideParts {
            pace: side::CpuBudget::FULL,
            admin: None,
            ready: Arc::default(),
            security: Arc::default(),
            access: Arc::default(),
            jwks: None,
            budget: quintile::budget::Budget::new(1 << 20),
            shards: vec![link],
            records,
            spool,
            registry: Arc::new(Registry::single(Arc::clone(&version))),
            models: None,
            shadow: None,
            about: ProcessFacts {
                version: String::new(),
                commit: String::new(),
                target: String::new(),
                runtime: String::new(),
            },
            events: crossbeam_channel::bounded(1).1,
            aws: quintile::config::Aws::default(),
            remote: None,
            shows_recent: false,
        });
        let shard = Shard::new(version, writer, record_bytes_max, BODIES);
        Self {
            shard,
            side: side.expect("side starts"),
            spool: gauges,
            _mailbox: mailbox,
        }
    }
}

fn bodies(count: usize) -> Vec<Vec<u8>> {
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let body = |lead: usize| {
        let mut features = Vec::new();
        for column in 1..=50 {
            match random() % 10 {
                0 => features.push(format!("\"f{column}\":null")),
                1 => {}
                _ => features.push(format!("\"f{column}\":{}.{:04}", random() % 100, random() % 10_000)),
            }
        }
        format!(
            "{{\"lead_id\":\"lead-{lead}\",\"features\":{{{}}}}}",
            features.join(",")
        )
        .into_bytes()
    };
    (0..count).map(body).collect()
}

impl Shard {
    /// Whose records go nowhere. So many leads differ.
    pub(crate) fn nowhere(leads: usize) -> Self {
        let loaded = LoadedModel::load(None, Options::default(), 0).expect("the demo");
        Self::new(Arc::new(ModelVersion::alone(0, 1, loaded)), Writer::nowhere(), 0, leads)
    }

    fn new(version: Arc<ModelVersion>, writer: Writer, frame_bytes: usize, leads: usize) -> Self {
        Self {
            workspace: Workspace::new(&version.loaded, 1 << 20),
            ids: IdSource::new(0, 1),
            frame: Vec::with_capacity(frame_bytes),
            out: BytesMut::with_capacity(1 << 20),
            writer,
            bodies: bodies(leads),
            turn: 0,
            version,
        }
    }

    /// Goes on to the next lead.
    pub(crate) fn step(&mut self) {
        self.turn = (self.turn + 1) % self.bodies.len();
    }

    /// Whether the lead was answered.
    pub(crate) fn serve(&mut self) -> bool {
        self.step();
        let body = &self.bodies[self.turn];
        self.workspace.read(&self.version.loaded, body).expect("a good body");
        let score = self.workspace.score(&self.version.loaded);
        if self.writer.keeps() {
            self.encode(score);
            if self.writer.append(&self.frame).is_err() {
                return false;
            }
        }
        self.out.clear();
        let timings = Timings {
            parse_ns: 1,
            score_ns: 1,
            total_ns: 2,
            wake_ns: 0,
        };
        render::answer(
            &mut self.out,
            &self.version.loaded,
            &self.workspace,
            score,
            "request-1",
            &timings,
        );
        std::hint::black_box(&self.out);
        true
    }

    pub(crate) fn encode(&mut self, score: Option<u8>) {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let time_us = i64::try_from(since.as_micros()).unwrap_or(0);
        Entry {
            record_id: self.ids.next(time_us),
            time_us,
            model_number: self.version.loaded.model_number,
            shard: 0,
            score,
            latency_ns: 2_000,
            lead_id: self.workspace.lead_id(),
            request_id: "01a20e7f-6d99-7c39-8063-0f4bf4172e43",
            margins: self.workspace.margins(),
            predictions: self.workspace.predictions(),
            row: self.workspace.row(),
            source: RecordSource::Local,
            extras: Extras::of(ProtocolName::Native),
        }
        .encode(&mut self.frame);
    }
}
