//! The effect of signals, and how the process ends if it does not end by itself.
//!
//! ```text
//!  SIGTERM, SIGINT ─▶ thread "signals" ─┬─ while starting: the process ends at once
//!                                       ├─ the first while serving: drain
//!                                       └─ another one: thread "watchdog" ends the process at once
//!  SIGHUP ─────────▶ thread "signals" ───▶ thread "reload", when there is one
//! ```
//! `docs/operations.md` has the table of all signals.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded, unbounded};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::{DELIVER, ServeError, spawn};
use crate::limits::Limits;
use crate::log_writer;
use crate::side::ReloadNotifier;

/// How long a process that ends at once waits for its log.
const FLUSH: Duration = Duration::from_secs(1);

/// What a drain may take beyond `limits.drain_ms` and the delivery: joining threads, closing the spool.
const MARGIN: Duration = Duration::from_secs(5);

/// Signals that end a process unless it says otherwise, and that have no meaning here. SIGXFSZ: a write beyond the
/// limit of a file's size then fails like one to a full disk. SIGTTOU: a log on a terminal must not stop a server in
/// the background.
const IGNORED: [libc::c_int; 9] = [
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGPIPE,
    libc::SIGXFSZ,
    libc::SIGALRM,
    libc::SIGVTALRM,
    // Until a profile is recorded: then the recorder's handler is installed.
    libc::SIGPROF,
    libc::SIGIO,
    libc::SIGTTOU,
];

const STARTING: u8 = 0;
const SERVING: u8 = 1;
const LEAVING: u8 = 2;

/// Where the process stands, for the threads that signals reach.
#[derive(Debug)]
pub(super) struct Lifecycle {
    stage: AtomicU8,
    /// What `/readyz` says.
    pub(super) ready: Arc<AtomicBool>,
    /// The whole drain, and the part of it in which the port is still open.
    drain_ms: AtomicU64,
    drain_delay_ms: AtomicU64,
    step: AtomicU8,
}

/// What a drain is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum DrainStep {
    Delay,
    Port,
    Requests,
    Records,
}

impl DrainStep {
    const NAMES: [&'static str; 4] = [
        "waiting for load balancers",
        "closing the port",
        "finishing requests",
        "delivering records",
    ];
}

impl Lifecycle {
    pub(super) fn new(limits: &Limits) -> Self {
        let life = Self {
            stage: AtomicU8::new(STARTING),
            ready: Arc::default(),
            drain_ms: AtomicU64::new(0),
            drain_delay_ms: AtomicU64::new(0),
            step: AtomicU8::new(0),
        };
        life.set_drain(limits);
        life
    }

    /// Other limits of a drain.
    pub(super) fn set_drain(&self, limits: &Limits) {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.drain_ms.store(millis(limits.drain), Ordering::Relaxed);
        self.drain_delay_ms.store(millis(limits.drain_delay), Ordering::Relaxed);
    }

    /// How long the port stays open after a drain began.
    pub(super) fn drain_delay(&self) -> Duration {
        Duration::from_millis(self.drain_delay_ms.load(Ordering::Relaxed))
    }

    /// Called before the first connection is taken. Does not return when the process has been asked to stop before: it
    /// is ending then, and must not answer any more.
    pub(super) fn begin_to_serve(&self) {
        let order = Ordering::AcqRel;
        if self
            .stage
            .compare_exchange(STARTING, SERVING, order, Ordering::Acquire)
            .is_err()
        {
            loop {
                thread::park();
            }
        }
    }

    /// `/readyz` says yes from now on, unless a stop was requested in the meantime.
    pub(super) fn serves(&self) {
        self.ready.store(true, Ordering::SeqCst);
        if self.stage.load(Ordering::SeqCst) == LEAVING {
            self.ready.store(false, Ordering::SeqCst);
        }
    }

    /// From now on `/readyz` says no, so no more traffic is sent.
    pub(super) fn begin_to_drain(&self) {
        self.stage.store(LEAVING, Ordering::SeqCst);
        self.ready.store(false, Ordering::SeqCst);
    }

    pub(super) fn enter(&self, step: DrainStep) {
        self.step.store(step as u8, Ordering::Relaxed);
    }

    /// Whether it was still starting, and will not get further.
    fn stops_the_start(&self) -> bool {
        let order = Ordering::AcqRel;
        self.stage
            .compare_exchange(STARTING, LEAVING, order, Ordering::Acquire)
            .is_ok()
    }

    /// When the process ends in any case.
    fn drain_ends(&self) -> Instant {
        let drain = Duration::from_millis(self.drain_ms.load(Ordering::Relaxed));
        Instant::now() + drain.min(Duration::from_secs(86_400)) + DELIVER + MARGIN
    }

    fn step(&self) -> &'static str {
        DrainStep::NAMES[usize::from(self.step.load(Ordering::Relaxed))]
    }
}

/// What signals ask for.
pub(super) struct SignalRequests {
    /// SIGTERM or SIGINT, while serving and later.
    pub(super) stop: Receiver<i32>,
    /// SIGHUP, also one of the start.
    pub(super) reload: Receiver<()>,
    watchdog: Sender<ReloadNotifier>,
}

impl SignalRequests {
    /// From now on a second signal, or a drain that takes too long, ends the process.
    pub(super) fn drain_began(&self, side: ReloadNotifier) {
        // The thread waits for this or for nothing.
        let _ = self.watchdog.send(side);
    }
}

/// Puts into force what signals do. From here on SIGTERM and SIGINT end the process at once until it serves.
///
/// # Errors
/// When a thread or a handler cannot be had.
pub(super) fn listen(life: &Arc<Lifecycle>) -> Result<SignalRequests, ServeError> {
    ignore();
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP]).map_err(|source| ServeError::Thread {
        name: "signals".into(),
        source,
    })?;
    let (stop, asked_to_stop) = unbounded();
    let (reload, asked_to_reload) = bounded(1);
    let (watchdog, armed) = bounded(1);
    let (of_signals, of_watchdog) = (Arc::clone(life), Arc::clone(life));
    spawn("signals", move || {
        for signal in signals.forever() {
            match signal {
                SIGHUP => ask_to_reload(&of_signals, &reload),
                _ => ask_to_stop(&of_signals, signal, &stop),
            }
        }
    })?;
    let again = asked_to_stop.clone();
    spawn("watchdog", move || watch(&of_watchdog, &armed, &again))?;
    Ok(SignalRequests {
        stop: asked_to_stop,
        reload: asked_to_reload,
        watchdog,
    })
}

fn ask_to_reload(life: &Lifecycle, reload: &Sender<()>) {
    if life.stage.load(Ordering::Acquire) == LEAVING {
        tracing::warn!("SIGHUP while draining: nothing is reloaded");
        return;
    }
    match reload.try_send(()) {
        Ok(()) => {}
        Err(TrySendError::Full(())) => tracing::info!("a reload is asked for already, and will see this too"),
        Err(TrySendError::Disconnected(())) => tracing::error!("the thread that reloads has ended: restart"),
    }
}

fn ask_to_stop(life: &Lifecycle, signal: i32, stop: &Sender<i32>) {
    if life.stops_the_start() {
        tracing::info!(
            signal = name(signal),
            "asked to stop while starting: ending at once; nothing was answered, the spool is as it was"
        );
        leave(0);
    }
    // At once: a SIGHUP behind it comes too late.
    life.begin_to_drain();
    let _ = stop.send(signal);
}

/// Ends the process when it is asked again, or when its time is over.
fn watch(life: &Lifecycle, armed: &Receiver<ReloadNotifier>, again: &Receiver<i32>) {
    let Ok(side) = armed.recv() else { return };
    let until = life.drain_ends();
    let asked = again.recv_deadline(until);
    if asked == Err(RecvTimeoutError::Disconnected) {
        // No thread receives signals any more; the time is still limited.
        thread::sleep(until.saturating_duration_since(Instant::now()));
    }
    let pending: Vec<_> = side
        .pending()
        .into_iter()
        .map(|(sink, records)| format!("{records} for {sink}"))
        .collect();
    let (step, records) = (life.step(), pending.join(", "));
    match asked {
        Ok(signal) => tracing::error!(
            signal = name(signal),
            step,
            records,
            "asked again: ending at once; what is not delivered stays in the spool"
        ),
        Err(_) => tracing::error!(
            step,
            records,
            "the drain has not ended in time: ending now; what is not delivered stays in the spool"
        ),
    }
    leave(1);
}

/// The signal as people write it.
pub(super) fn name(signal: i32) -> &'static str {
    match signal {
        SIGTERM => "SIGTERM",
        SIGINT => "SIGINT",
        _ => "unknown",
    }
}

#[expect(unsafe_code, reason = "the library for signals has handlers, but ignores none")]
fn ignore() {
    for signal in IGNORED {
        // SAFETY: the numbers are signals that may be ignored, and no handler of ours is replaced: the profiler's comes
        // later.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
}

/// Ends the process now. Neither destructors nor what the C library does at the end may hold it up: other threads still
/// run, and one of them may wait for a disk.
#[expect(unsafe_code, reason = "only _exit runs nothing of anybody's")]
fn leave(code: i32) -> ! {
    log_writer::finish(FLUSH);
    // SAFETY: it takes a number and does not return; no memory of this process is touched.
    unsafe { libc::_exit(code) }
}
