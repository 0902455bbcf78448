//! Every limit of the serving process, with its unit and the reason for the number.
//!
//! [`Limits`] are those that an operator may set (`[limits]` of the configuration); the constants cannot be set. Leads
//! and model files have limits of their own in `quintile_scoring::limits` and `quintile_model::limits`.

use std::time::Duration;

/// Bytes of why a lead was not scored by SageMaker, in its record. An answer says up to 300; the sense is in the
/// beginning.
pub const REASON_BYTES_MAX: usize = 256;

/// Bytes of a score's reasons in its record, as JSON: the forty that weigh most, at a hundred bytes each.
pub const REASONS_BYTES_MAX: usize = 4 << 10;

/// Bytes of where a lead's features came from in its record, as JSON: a hundred groups of features, each with its
/// source and age.
pub const FEATURES_FROM_BYTES_MAX: usize = 8 << 10;

/// Shards of a process. Beyond it record ids (8 bits for the shard) would not be unique.
pub const SHARDS_MAX: usize = 256;

/// The longest time for which a shard may stay awake without work: a tenth of a second is longer than any pause in
/// which it pays. Unit: microseconds.
pub const SPIN_US_MAX: usize = 100_000;

/// Letters that wait in a shard's mailbox. Sockets are the many: a shard that is this far behind takes no more.
pub const MAILBOX_LETTERS: usize = 1024;

/// Log events that wait for the side thread, over all shards. Beyond it they are dropped and counted.
pub const EVENTS_MAX: usize = 1024;

/// How long a shard works at a batch before it looks at its other requests again. A request beside a batch waits about
/// this much longer; half of it would cost the batch a tenth of its pace.
pub const SLICE: Duration = Duration::from_micros(100);

/// Leads that are scored together at most: as many rows as the widest kernel takes.
pub const SLICE_LEADS: usize = 64;

/// A lead of more bytes is read in slices: one that is not plain costs up to 10 ns a byte.
pub const LONG_LEAD_BYTES: usize = 16 << 10;

/// A long lead of at most so many bytes is tried the short way first, which leaves it at the first thing that is not
/// plain and takes about 1 ns a byte.
pub const LONG_PLAIN_BYTES_MAX: usize = 256 << 10;

/// Bytes of a long lead that are read before a shard looks at its other requests.
pub const LONG_LEAD_SLICE_BYTES: usize = 8 << 10;

/// Bytes of a batch's body, or of a compressed one inflated, that are read before a shard looks at its other requests.
pub const SLICE_BYTES: usize = 64 << 10;

/// Connections beyond `connections_max` that are served at once, if they ask how the process is. A load balancer's
/// nodes, a scraper and an orchestrator ask every few seconds, each with an answer of a millisecond.
pub const HEALTH_CONNECTIONS: usize = 16;

/// Connections beyond `connections_max` that are accepted and have not asked for anything: the oldest is closed for
/// another.
pub const WAITING_CONNECTIONS: usize = 64;

/// Bytes of answers that the kernel takes of one connection beyond what it has sent. Without it a client that does not
/// read makes the kernel keep 4 MiB, and some hundred such clients use up the memory that it has for all TCP
/// connections: then it drops packets of everybody's. What was sent and is not acknowledged is not counted, so a long
/// way costs no speed.
pub const UNSENT_KERNEL_BYTES: u32 = 64 << 10;

/// How long one beyond `connections_max` may take for each step: its head, its body, reading its answer.
pub const HEALTH_STEP: Duration = Duration::from_secs(1);

/// Bytes of a request's body that any request may have while memory is scarce.
pub const SMALL_BODY_BYTES: usize = 16 << 10;

/// What a request whose body keeps us waiting holds beside the body: its head and its task. Unit: bytes.
pub const WAITING_REQUEST_BYTES: usize = 8 << 10;

/// What an open connection holds while it is idle, measured: its task and hyper's buffers. Unit: bytes.
pub const CONNECTION_BYTES: usize = 20 << 10;

/// One step of a shard's timer wheel: limits are seconds, so a tenth of one is exact enough.
pub const TICK: Duration = Duration::from_millis(100);

/// How long a request that asks for reasons waits until the model can be explained. 1,000 trees of depth 8 take about a
/// second on an idle core.
pub const PREPARE_WAIT: Duration = Duration::from_secs(10);

/// Limits an operator may set.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Bytes of a request body. 50 features take about 1 KB.
    pub body_bytes_max: usize,
    /// Bytes of a batch's body: 10,000 leads of 50 features take about 10 MB.
    pub batch_bytes_max: usize,
    /// Leads of a batch.
    pub batch_leads_max: usize,
    /// Rows of a request of another protocol, whose tensors and tables are bounded by `batch_bytes_max` too.
    pub tensor_rows_max: usize,
    /// Batches of one shard that are being read or answered at once. Each may hold a body.
    pub batches_max: usize,
    /// Bytes of a request head. ALB sends up to 64 KB in theory, cookies of 8 KB in practice.
    pub head_bytes_max: usize,
    /// Headers of a request. hyper's parser holds 100 without allocating.
    pub headers_max: usize,
    /// Open connections of the process. Each takes a descriptor and about 20 KB.
    pub connections_max: usize,
    /// Requests of one shard that are being read or answered at once.
    pub in_flight_max: usize,
    /// How long a request may have waited for its shard when its turn comes; beyond it, while the shard is behind, it is
    /// refused. Batches and explanations have half of it. A client that waits longer than a tenth of a second has often
    /// gone.
    pub queue: Duration,
    /// Requests a second of each principal, if they are limited.
    pub principal_rate: Option<f64>,
    /// Requests of a principal at once, if somebody says so.
    pub principal_burst: Option<usize>,
    /// From a connection's start to its first byte.
    pub first_byte: Duration,
    /// From a connection's start to the end of its TLS handshake.
    pub handshake: Duration,
    /// From the first byte of a head to its last.
    pub head: Duration,
    /// From the end of a head to the end of its body.
    pub body: Duration,
    /// The same for a batch, whose client may read answers before it goes on.
    pub batch: Duration,
    /// Between two requests. ALB keeps its connections 60 s and must not be the one that is surprised.
    pub idle: Duration,
    /// For the peer to read what is written to it.
    pub write: Duration,
    /// How long a closing connection reads on, so that its last answer is not destroyed by a reset.
    pub linger: Duration,
    /// How long a quiet connection stays open after a drain began, for requests already on their way.
    pub drain_idle: Duration,
    /// How long the port stays open after a drain began, for balancers that have not noticed.
    pub drain_delay: Duration,
    /// The whole drain. ECS kills 30 s after SIGTERM.
    pub drain: Duration,
    /// For a reload to read the configuration and to load the model: a model of a gigabyte takes minutes on a slow
    /// disk.
    pub reload: Duration,
}

impl Limits {
    /// What is left of a drain when the port is closed.
    #[must_use]
    pub fn drain_rest(&self) -> Duration {
        self.drain.saturating_sub(self.drain_delay)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes_max: 1 << 20,
            batch_bytes_max: 32 << 20,
            batch_leads_max: 10_000,
            tensor_rows_max: 1_000_000,
            batches_max: 4,
            head_bytes_max: 16 << 10,
            headers_max: 100,
            connections_max: 10_000,
            in_flight_max: 10_000,
            queue: Duration::from_millis(100),
            principal_rate: None,
            principal_burst: None,
            first_byte: Duration::from_secs(30),
            handshake: Duration::from_secs(10),
            head: Duration::from_secs(10),
            body: Duration::from_secs(10),
            batch: Duration::from_secs(60),
            idle: Duration::from_secs(75),
            write: Duration::from_secs(10),
            linger: Duration::from_secs(2),
            drain_idle: Duration::from_millis(500),
            drain_delay: Duration::ZERO,
            drain: Duration::from_secs(25),
            reload: Duration::from_secs(300),
        }
    }
}
