//! One core's state and life, over any backend.
//!
//! ```text
//!  mailbox task ── sockets ──▶ what serves them (http) ── score ── spool ─▶ side
//!       │  models, metrics, counts, drain                    │
//!       └──────────────── ShardCore (Rc) ────────────────────┘        ticker task: the timer wheel
//!                                                                     turns task: slices of batches, one at a time
//!                                                                     spin task, if configured: keeps the shard awake
//!                                                                     probe task: how long requests wait
//! ```
//! Everything here runs on one thread, so cells suffice; no borrow is held across an `await`. A shard never takes a
//! lock and never waits for another thread.

pub mod arena;
pub(crate) mod backlog;
mod busy_poll;
pub mod mailbox;
pub mod remote_call;
pub mod scorer;
pub(crate) mod slice_queue;
pub mod timers;

use std::cell::{Cell, RefCell};
use std::net::TcpStream;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender, bounded};
use rustls::ServerConfig;

use crate::auth::{Access, RateLimiter, Verifier};
use crate::budget::Budget;
use crate::limits::{Limits, TICK};
use crate::models::Registry;
use crate::runtime::{Backend, Contained, StartError};
use crate::telemetry::{Admission, Counter, Event, Gauges, SecurityGauges, ShardStats};
use arena::Arena;
use backlog::Backlog;
use busy_poll::BusyPoll;
use mailbox::{Mail, Mailbox};
use remote_call::{Remote, RemoteSetup};
use scorer::{RecordOutput, Scorer};
use slice_queue::SliceQueue;
use timers::TimerWheel;

/// Timers made room for at start; beyond them the wheel grows.
const TIMERS: usize = 2048;

/// How often a draining shard looks whether it is done.
const DRAIN_STEP: Duration = Duration::from_millis(5);

/// Blocks of counts that are on their way to side at most: side sends no third before it has one back.
pub const STATS_ON_THE_WAY: usize = 2;

/// What a shard is built from; crosses into its thread.
#[derive(Debug)]
pub struct ShardParts {
    /// Which shard, from 0.
    pub number: u16,
    /// Letters in.
    pub mailbox: Mailbox,
    /// The first models.
    pub registry: Arc<Registry>,
    /// Records out.
    pub records: RecordOutput,
    /// Counts out.
    pub stats: Sender<Box<ShardStats>>,
    /// Log events out.
    pub events: Sender<Event>,
    /// What others may look at.
    pub gauges: Arc<Gauges>,
    /// Whether the process wants traffic, for `/readyz`.
    pub ready: Arc<AtomicBool>,
    /// The client for remote predictions, if there is a remote scorer.
    pub asking: Option<RemoteSetup>,
    /// Limits.
    pub limits: Limits,
    /// What requests may hold, for all shards.
    pub budget: Arc<Budget>,
    /// What handshakes are made with; none where connections speak plainly.
    pub tls: Option<Arc<ServerConfig>>,
    /// Who may do what; none where nobody is asked.
    pub access: Option<Arc<Access>>,
    /// The rates of principals, for all shards.
    pub rates: Arc<RateLimiter>,
    /// What is known of certificates and keys.
    pub security: Arc<SecurityGauges>,
    /// How long it keeps looking at its sockets before it sleeps.
    pub spin: Duration,
    /// How many reasons an answer gives where its request says nothing.
    pub reasons: u16,
    /// What makes this process's record ids its own.
    pub nonce: u64,
}

/// The channel that counts travel by.
#[must_use]
pub fn stats_channel() -> (Sender<Box<ShardStats>>, Receiver<Box<ShardStats>>) {
    bounded(STATS_ON_THE_WAY)
}

/// What all tasks of a shard share.
#[derive(Debug)]
pub struct ShardCore {
    pub(crate) number: u16,
    limits: Cell<Limits>,
    pub(crate) budget: Arc<Budget>,
    pub(crate) wheel: RefCell<TimerWheel>,
    pub(crate) arena: RefCell<Arena>,
    pub(crate) scorer: RefCell<Scorer>,
    pub(crate) remote: Option<Remote>,
    pub(crate) stats: RefCell<Box<ShardStats>>,
    pub(crate) bodies: RefCell<Vec<Vec<u8>>>,
    metrics_text: RefCell<Bytes>,
    pub(crate) status_text: RefCell<Bytes>,
    /// What new connections make their handshakes with; none where they speak plainly.
    pub(crate) tls: RefCell<Option<Arc<ServerConfig>>>,
    /// Who may do what; none where nobody is asked.
    pub(crate) auth: RefCell<Option<Verifier>>,
    pub(crate) rates: Arc<RateLimiter>,
    pub(crate) security: Arc<SecurityGauges>,
    /// The second of the last line about a refused request, and how many there were in it.
    pub(crate) denied_lines: Cell<(u64, u32)>,
    pub(crate) draining: Cell<bool>,
    pub(crate) in_flight: Cell<usize>,
    /// Batches that are being read or answered.
    pub(crate) batches: Cell<usize>,
    pub(crate) turns: SliceQueue,
    pub(crate) spin: BusyPoll,
    pub(crate) backlog: Backlog,
    stats_out: Sender<Box<ShardStats>>,
    events: Sender<Event>,
    pub(crate) gauges: Arc<Gauges>,
    ready: Arc<AtomicBool>,
}

impl ShardCore {
    fn new(parts: ShardParts) -> (Rc<Self>, Mailbox) {
        let scorer = Scorer::new(
            parts.registry,
            parts.records,
            parts.number,
            parts.nonce,
            (parts.limits.body_bytes_max, parts.reasons),
        );
        let core = Self {
            number: parts.number,
            limits: Cell::new(parts.limits),
            budget: parts.budget,
            wheel: RefCell::new(TimerWheel::new(TIMERS)),
            arena: RefCell::default(),
            scorer: RefCell::new(scorer),
            remote: parts.asking.map(Remote::new),
            stats: RefCell::default(),
            bodies: RefCell::default(),
            metrics_text: RefCell::default(),
            status_text: RefCell::default(),
            tls: RefCell::new(parts.tls),
            auth: RefCell::new(parts.access.map(Verifier::new)),
            rates: parts.rates,
            security: parts.security,
            denied_lines: Cell::default(),
            draining: Cell::new(false),
            in_flight: Cell::new(0),
            batches: Cell::new(0),
            turns: SliceQueue::default(),
            spin: BusyPoll::new(parts.spin),
            backlog: Backlog::default(),
            stats_out: parts.stats,
            events: parts.events,
            gauges: parts.gauges,
            ready: parts.ready,
        };
        (Rc::new(core), parts.mailbox)
    }

    /// Whether `/readyz` says yes: not while leads are refused because their records have no room.
    pub(crate) fn is_ready(&self) -> bool {
        let has_keys = self.auth.borrow().as_ref().is_none_or(Verifier::has_keys);
        has_keys && self.ready.load(Ordering::Relaxed) && !self.draining.get() && !self.scorer.borrow().sheds()
    }

    /// The limits in force at this moment.
    #[inline]
    pub(crate) fn limits(&self) -> Limits {
        self.limits.get()
    }

    /// What `/metrics` says, as side has rendered it last.
    pub(crate) fn metrics_text(&self) -> Bytes {
        self.metrics_text.borrow().clone()
    }

    /// Hands a log event to side, or counts it when side is behind.
    pub(crate) fn tell(&self, event: Event) {
        if self.events.try_send(event).is_err() {
            self.stats.borrow_mut().count(Counter::EventsDropped);
        }
    }

    fn set_access(&self, access: Option<Arc<Access>>) {
        let mut auth = self.auth.borrow_mut();
        match (auth.as_mut(), access) {
            (Some(verifier), Some(access)) => verifier.set_access(access),
            (_, access) => *auth = access.map(Verifier::new),
        }
    }

    /// Swaps the full block of counts for an empty one and sends it. If side has ended, the counts are not needed.
    fn report(&self, empty: Box<ShardStats>) {
        let mut full = self.stats.replace(empty);
        full.count_many(Counter::Dropped, self.scorer.borrow_mut().take_dropped());
        (full.unusual_model, full.unusual) = self.scorer.borrow_mut().take_unusual();
        let _ = self.stats_out.try_send(full);
    }
}

/// What serves the sockets of a shard. A shard hands them over and knows nothing of what is said over them.
pub trait ServeSockets: 'static {
    /// Serves a socket until it is closed. The acceptor has already counted it in [`Gauges`].
    fn open<B: Backend>(&self, socket: TcpStream, admission: Admission);

    /// The shard drains: connections finish what is in flight. [`ShardCore`] says so already.
    fn drain(&self);
}

/// Runs a shard on the current thread until it has drained. `serve` makes what serves its sockets; `started` is called
/// once the reactor runs.
///
/// # Errors
/// When the backend cannot start; `started` has not been called then.
pub fn run<B: Backend, S: ServeSockets>(
    parts: ShardParts,
    serve: impl FnOnce(Rc<ShardCore>) -> S,
    started: impl FnOnce(),
) -> Result<(), StartError> {
    B::run(async move {
        let (core, mailbox) = ShardCore::new(parts);
        started();
        let (done, finished) = bounded(1);
        let for_mail = Rc::clone(&core);
        let sockets = serve(Rc::clone(&core));
        // The mailbox has a task of its own, because only an urgent one is woken in time by other threads.
        B::spawn_urgent(async move {
            let contained = Contained::new(read_mail::<B, S>(Rc::clone(&for_mail), sockets, mailbox)).await;
            if contained.is_err() {
                for_mail.stats.borrow_mut().count(Counter::Panics);
            }
            let _ = done.send(());
        });
        let for_turns = Rc::clone(&core);
        B::spawn_local(async move {
            let contained = Contained::new(slice_queue::give::<B>(Rc::clone(&for_turns))).await;
            if contained.is_err() {
                for_turns.stats.borrow_mut().count(Counter::Panics);
            }
        });
        let for_probe = Rc::clone(&core);
        B::spawn_local(async move {
            // It has nothing that panics.
            let _ = Contained::new(backlog::probe(for_probe)).await;
        });
        if core.spin.is_on() {
            let for_spin = Rc::clone(&core);
            B::spawn_local(async move {
                // It has nothing that panics.
                let _ = Contained::new(busy_poll::keep_awake::<B>(for_spin)).await;
            });
        }
        let began = Instant::now();
        while finished.is_empty() {
            core.wheel.borrow_mut().advance(began.elapsed());
            core.backlog.tick();
            B::sleep(TICK).await;
        }
    })
}

async fn read_mail<B: Backend, S: ServeSockets>(core: Rc<ShardCore>, sockets: S, mailbox: Mailbox) {
    loop {
        match mailbox.next().await {
            Some(Mail::Drain) | None => break,
            Some(mail) => deliver::<B, S>(&core, &sockets, mail),
        }
    }
    core.draining.set(true);
    sockets.drain();
    let deadline = Instant::now() + core.limits().drain_rest();
    let open = || core.gauges.open_connections() + core.gauges.open_health_connections();
    while open() > 0 && Instant::now() < deadline {
        B::sleep(DRAIN_STEP).await;
        while let Some(mail) = mailbox.try_next() {
            deliver::<B, S>(&core, &sockets, mail);
        }
    }
}

fn deliver<B: Backend, S: ServeSockets>(core: &ShardCore, sockets: &S, mail: Mail) {
    match mail {
        Mail::Socket(socket, admission) => sockets.open::<B>(socket, admission),
        Mail::Registry(change) => {
            let taken = change.taken.clone();
            let change = core.scorer.borrow_mut().take(change);
            // The sender may have given up waiting.
            let _ = taken.try_send(change);
        }
        Mail::Limits(limits) => core.limits.set(*limits),
        Mail::Tls(config) => *core.tls.borrow_mut() = config,
        Mail::Access(access) => core.set_access(access),
        Mail::Keys(keys) => {
            if let Some(verifier) = core.auth.borrow_mut().as_mut() {
                verifier.set_keys(keys);
            }
        }
        Mail::Stats(empty) => core.report(empty),
        Mail::Metrics(text) => *core.metrics_text.borrow_mut() = text,
        Mail::Status(text) => *core.status_text.borrow_mut() = text,
        Mail::Remote(answer) => {
            if let Some(remote) = &core.remote {
                remote.tickets.settle(answer);
            }
        }
        Mail::Drain => {}
    }
}
