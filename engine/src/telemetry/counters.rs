//! The counters of a shard. The shard fills one of two blocks: side sends it an empty one, and the shard sends the full
//! one back (`shard::mailbox::Mail::Stats`). So counting needs no atomic and no lock.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::time::Instant;

use hdrhistogram::Histogram;
use quintile_scoring::loaded::unusual::{SLOTS, UnusualCounts};

use super::denial::DenialReason;
use super::model_counts::{ModelCounts, ScoredBy};

/// A route as metrics name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Route {
    /// `POST /score`
    Score,
    /// `POST /score/batch`
    Batch,
    /// `GET /healthz`
    Healthz,
    /// `GET /readyz`
    Readyz,
    /// `GET /metrics`
    Metrics,
    /// What a browser opens and what describes the model, all under one name.
    Pages,
    /// The Open Inference Protocol over HTTP: all of its paths, under its name.
    V2,
    /// The same over gRPC.
    Grpc,
    /// KServe's first protocol.
    V1,
    /// SageMaker's paths.
    SageMaker,
    /// Invocations of an endpoint, for AWS's clients.
    Endpoint,
    /// MLflow's paths.
    Mlflow,
    /// Anything else: paths are the client's words and would be unbounded labels.
    Other,
}

impl Route {
    /// All routes, by number.
    pub const ALL: [Self; 13] = [
        Self::Score,
        Self::Batch,
        Self::Healthz,
        Self::Readyz,
        Self::Metrics,
        Self::Pages,
        Self::V2,
        Self::Grpc,
        Self::V1,
        Self::SageMaker,
        Self::Endpoint,
        Self::Mlflow,
        Self::Other,
    ];

    /// The label's value.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Score => "/score",
            Self::Batch => "/score/batch",
            Self::Healthz => "/healthz",
            Self::Readyz => "/readyz",
            Self::Metrics => "/metrics",
            Self::Pages => "pages",
            Self::V2 => "v2",
            Self::Grpc => "grpc",
            Self::V1 => "v1",
            Self::SageMaker => "sagemaker",
            Self::Endpoint => "endpoints",
            Self::Mlflow => "mlflow",
            Self::Other => "other",
        }
    }
}

/// The statuses we answer with; anything else would be counted in the last place.
pub const STATUSES: [u16; 20] = [
    200, 204, 304, 400, 401, 403, 404, 405, 406, 408, 409, 413, 415, 422, 424, 429, 431, 501, 503, 500,
];

/// A limit of time that closed a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Phase {
    /// Nothing was said.
    FirstByte,
    /// The TLS handshake did not end.
    Handshake,
    /// A head did not end.
    Head,
    /// A body did not end.
    Body,
    /// No further request came.
    Idle,
    /// The peer did not read.
    Write,
}

impl Phase {
    /// All phases, by number.
    pub const ALL: [Self; 6] = [
        Self::FirstByte,
        Self::Handshake,
        Self::Head,
        Self::Body,
        Self::Idle,
        Self::Write,
    ];

    /// The label's value.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::FirstByte => "first_byte",
            Self::Handshake => "handshake",
            Self::Head => "head",
            Self::Body => "body",
            Self::Idle => "idle",
            Self::Write => "write",
        }
    }
}

/// Slots that counts have room for from the start; a block of a process with more models grows once.
const SLOTS_READY: usize = 4;

/// What is counted by a number alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Counter {
    /// Connections adopted.
    Connections,
    /// Tasks that panicked.
    Panics,
    /// Leads answered 503 because the spool was full.
    Shed,
    /// Leads answered without a record because the spool was full.
    Dropped,
    /// Leads that SageMaker scored.
    RemoteScores,
    /// Leads scored here because SageMaker did not.
    RemoteFallbacks,
    /// Leads not scored because SageMaker did not.
    RemoteMissed,
    /// Log events dropped because side was behind.
    EventsDropped,
    /// TLS handshakes that made a new session.
    HandshakesFull,
    /// TLS handshakes that resumed one.
    HandshakesResumed,
    /// TLS handshakes that failed.
    HandshakesFailed,
    /// Single scores refused because they had waited too long for the shard.
    LateScores,
    /// Batches and explanations refused for the same reason.
    LateBatches,
    /// Requests for what is open to anyone, where other routes ask for credentials.
    ByAnyone,
    /// Requests allowed for a bearer token.
    ByTokens,
    /// Requests allowed for an API key.
    ByKeys,
    /// Requests allowed for a client certificate.
    ByCertificates,
}

impl Counter {
    /// All of them, by number.
    pub const ALL: [Self; 17] = [
        Self::Connections,
        Self::Panics,
        Self::Shed,
        Self::Dropped,
        Self::RemoteScores,
        Self::RemoteFallbacks,
        Self::RemoteMissed,
        Self::EventsDropped,
        Self::HandshakesFull,
        Self::HandshakesResumed,
        Self::HandshakesFailed,
        Self::LateScores,
        Self::LateBatches,
        Self::ByAnyone,
        Self::ByTokens,
        Self::ByKeys,
        Self::ByCertificates,
    ];
}

/// The results of the leads of a slice, or of a whole batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BatchCounts {
    /// Scored leads by band; place 0 is for models without bands.
    pub scores: [u64; 6],
    /// Leads without a score.
    pub failed: u64,
    /// Those of them whose records had no room.
    pub shed: u64,
}

impl BatchCounts {
    /// Leads with a score.
    #[must_use]
    pub fn scored(&self) -> u64 {
        self.scores.iter().sum()
    }

    /// Adds another slice's.
    pub fn add(&mut self, other: &Self) {
        for (sum, more) in self.scores.iter_mut().zip(&other.scores) {
            *sum += more;
        }
        self.failed += other.failed;
        self.shed += other.shed;
    }
}

/// One shard's counts since the block was last swapped.
#[derive(Debug, Clone)]
pub struct ShardStats {
    /// Answers by [`Route`] and place in [`STATUSES`].
    pub requests: [[u64; STATUSES.len()]; Route::ALL.len()],
    /// Scored leads by band; place 0 counts predictions of models without bands.
    pub scores: [u64; 6],
    /// Leads of batches that were scored, and those that were not.
    pub batch_leads: [u64; 2],
    /// Nanoseconds from a complete body to its rendered answer, of leads that came alone and were scored.
    pub score_ns: Histogram<u64>,
    /// Connections closed by a limit of time, by [`Phase`].
    pub timeouts: [u64; Phase::ALL.len()],
    /// Requests that were not allowed, by [`DenialReason`].
    pub denied: [u64; DenialReason::ALL.len()],
    counts: [u64; Counter::ALL.len()],
    /// Of each model, by slot.
    pub models: Vec<ModelCounts>,
    /// Values far outside what training saw, by place.
    pub unusual: UnusualCounts,
    /// Of which model of the process these are.
    pub unusual_model: u32,
}

impl ShardStats {
    /// A block of zeros. 1 ns to 60 s with three digits takes about 200 KB.
    #[must_use]
    pub fn new() -> Self {
        let score_ns = Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("the bounds are constants that fit");
        Self {
            requests: [[0; STATUSES.len()]; Route::ALL.len()],
            scores: [0; 6],
            batch_leads: [0; 2],
            score_ns,
            timeouts: [0; Phase::ALL.len()],
            denied: [0; DenialReason::ALL.len()],
            counts: [0; Counter::ALL.len()],
            models: Vec::with_capacity(SLOTS_READY),
            unusual: [0; SLOTS],
            unusual_model: 0,
        }
    }

    /// Back to zeros, without allocating.
    pub fn clear(&mut self) {
        self.requests = Default::default();
        self.scores = [0; 6];
        self.batch_leads = [0; 2];
        self.score_ns.reset();
        self.timeouts = Default::default();
        self.denied = Default::default();
        self.counts = Default::default();
        self.models.clear();
        self.unusual = [0; SLOTS];
    }

    /// Adds another block to this one. What it says of models is left out: the caller knows which they are.
    pub fn add(&mut self, other: &Self) {
        let pairs = self
            .requests
            .as_flattened_mut()
            .iter_mut()
            .zip(other.requests.as_flattened());
        let pairs = pairs.chain(self.scores.iter_mut().zip(&other.scores));
        let pairs = pairs.chain(self.batch_leads.iter_mut().zip(&other.batch_leads));
        let pairs = pairs.chain(self.denied.iter_mut().zip(&other.denied));
        let pairs = pairs.chain(self.counts.iter_mut().zip(&other.counts));
        for (sum, more) in pairs.chain(self.timeouts.iter_mut().zip(&other.timeouts)) {
            *sum += more;
        }
        self.score_ns
            .add(&other.score_ns)
            .expect("all blocks have the same bounds");
    }

    /// Counts one.
    #[inline]
    pub fn count(&mut self, counter: Counter) {
        self.count_many(counter, 1);
    }

    /// Adds this number.
    #[inline]
    pub fn count_many(&mut self, counter: Counter, more: u64) {
        self.counts[counter as usize] += more;
    }

    /// What was counted.
    #[must_use]
    pub fn of(&self, counter: Counter) -> u64 {
        self.counts[counter as usize]
    }

    /// Counts one answer.
    pub fn answered(&mut self, route: Route, status: u16) {
        let place = STATUSES
            .iter()
            .position(|&known| known == status)
            .unwrap_or(STATUSES.len() - 1);
        self.requests[route as usize][place] += 1;
    }

    /// Counts leads of a batch.
    pub fn batch(&mut self, tally: &BatchCounts) {
        for (sum, more) in self.scores.iter_mut().zip(&tally.scores) {
            *sum += more;
        }
        self.batch_leads[0] += tally.scored();
        self.batch_leads[1] += tally.failed;
        self.count_many(Counter::Shed, tally.shed);
    }

    /// Counts one scored lead for the model that has scored it.
    #[inline]
    pub fn scored_by(&mut self, by: &ScoredBy, score: Option<u8>, latency_ns: Option<u64>) {
        if self.models.len() <= by.slot {
            self.models.resize(by.slot + 1, ModelCounts::default());
        }
        self.models[by.slot].scored(by, score, latency_ns);
    }

    /// Counts one scored lead.
    pub fn scored(&mut self, score: Option<u8>, nanoseconds: u64) {
        self.scores[usize::from(score.unwrap_or(0)).min(5)] += 1;
        self.score_ns.saturating_record(nanoseconds.max(1));
    }
}

impl Default for ShardStats {
    fn default() -> Self {
        Self::new()
    }
}

/// What a connection may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Everything.
    Full,
    /// One answer of `/healthz`, `/readyz` or `/metrics`: there are as many connections as there may be.
    HealthOnly,
}

/// What is known of certificates, for the metrics.
#[derive(Debug)]
pub struct SecurityGauges {
    /// The last second of the server's certificate since 1970; 0 where there is none.
    pub certificate_not_after: AtomicI64,
    /// When the issuer's keys in force were had, in seconds of [`Self::clock_s`]; -1 while there are none.
    pub jwks_fetched_s: AtomicI64,
    /// Whether anybody is asked for a credential.
    pub is_guarded: AtomicBool,
    /// A shard has seen a token whose key is not known.
    pub unknown_keys: AtomicBool,
    began: Instant,
}

impl SecurityGauges {
    /// Seconds of the process's clock, which is never set back.
    #[must_use]
    pub fn clock_s(&self) -> u64 {
        self.began.elapsed().as_secs()
    }

    /// Nanoseconds of the same clock.
    #[must_use]
    pub fn clock_ns(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Whether keys of an issuer were had at any time.
    #[must_use]
    pub fn had_keys(&self) -> bool {
        self.jwks_fetched_s.load(Ordering::Relaxed) >= 0
    }
}

impl Default for SecurityGauges {
    fn default() -> Self {
        Self {
            certificate_not_after: AtomicI64::new(0),
            jwks_fetched_s: AtomicI64::new(-1),
            is_guarded: AtomicBool::new(false),
            unknown_keys: AtomicBool::new(false),
            began: Instant::now(),
        }
    }
}

/// What others may look at while a shard runs.
#[derive(Debug, Default)]
pub struct Gauges {
    /// Open connections, those on their way through the mailbox included. The acceptor adds, the shard takes away.
    pub connections: AtomicUsize,
    /// The same of those beyond the limit, which may only ask how the process is.
    pub health_connections: AtomicUsize,
}

impl Gauges {
    /// Open connections.
    #[must_use]
    pub fn open_connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Open connections that may only ask how the process is.
    #[must_use]
    pub fn open_health_connections(&self) -> usize {
        self.health_connections.load(Ordering::Relaxed)
    }

    /// The count that a connection of this admission is in.
    pub(crate) fn count(&self, admission: Admission) -> &AtomicUsize {
        match admission {
            Admission::Full => &self.connections,
            Admission::HealthOnly => &self.health_connections,
        }
    }
}
