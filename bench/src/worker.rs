//! One thread of the load generator: a tokio runtime of its own, a pacer, and slots that each send one request at a
//! time.
//!
//! Pacing. `Spin` (the default): the pacer asks the clock and the kernel's event queue in turn, without ever sleeping,
//! which sends as soon as the due time has come and reads answers as soon as they are there; it takes a whole CPU.
//! `Timer`: a timerfd with nanoseconds; the thread sleeps in between and wakes when the kernel lets it, which is later.
//! Reports say how late. A closed loop needs neither.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Barrier, OnceLock};
use std::time::{Duration, Instant};

use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};
use tokio::io::unix::AsyncFd;
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::check::Checker;
use crate::dispatch::{Dispatch, Job, Next};
use crate::link::{Connection, Fault, H2Head, Link, Prepared};
use crate::payload::digits;
use crate::payload::oracle::Expected;
use crate::record::{Recorder, thread_cpu_ns};
use crate::schedule::Schedule;
use crate::shard::ShardOf;
use crate::target::Target;
use crate::units::nanoseconds;

/// A closed loop whose server refuses connections tries again after this.
const RETRY: Duration = Duration::from_millis(10);

/// Connecting everything may take this long.
const CONNECT: Duration = Duration::from_secs(20);

/// How requests are sent on time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Pacing {
    /// Never sleep: exact, and takes the CPU.
    Spin,
    /// Sleep until a timer: later than spinning, and leaves the CPU alone.
    Timer,
}

/// What all workers of a run share.
#[derive(Debug)]
pub struct Shared {
    /// Where to.
    pub target: Target,
    /// What: requests made before the run, with what must come back. At least one.
    pub requests: Vec<(Prepared, Option<Expected>)>,
    /// What h2 sends besides.
    pub h2_head: H2Head,
    /// What is right.
    pub checker: Checker,
    /// Whose answers they are, if that is asked.
    pub shard_of: Option<ShardOf>,
    /// How.
    pub pacing: Pacing,
    /// From when on it counts. Unit: nanoseconds since the run began, as below.
    pub warmup_ns: u64,
    /// Until when requests are due.
    pub end_ns: u64,
    /// How long answers may come after that.
    pub patience: Duration,
    /// Requests that have got an answer or never will, for the progress bar.
    pub done: AtomicU64,
    /// Everybody is connected, or has failed to be.
    pub connected: Barrier,
    /// One of the threads could not connect, so none begins.
    pub given_up: AtomicBool,
    /// When the run began.
    pub start: OnceLock<Instant>,
}

/// A worker's share.
#[derive(Debug)]
pub struct Share {
    /// Which worker, from 0, of how many.
    pub worker: (u64, u64),
    /// Its requests.
    pub schedule: Schedule,
    /// Its connections.
    pub connections: usize,
    /// Requests at once on each of them.
    pub streams: usize,
}

/// What a worker has found out.
#[derive(Debug)]
pub struct Found {
    /// Its records.
    pub recorder: Recorder,
    /// CPU time of its thread from the end of the warm-up on. Unit: nanoseconds.
    pub cpu_ns: u64,
    /// That time on the clock. Unit: nanoseconds.
    pub wall_ns: u64,
}

struct Local {
    shared: Arc<Shared>,
    worker: (u64, u64),
    start: Instant,
    dispatch: RefCell<Dispatch>,
    recorder: RefCell<Recorder>,
    freed: Notify,
    cpu_at_warm: RefCell<Option<(u64, u64)>>,
}

/// Runs a worker on the current thread. It meets the others at the barrier whether it could connect or not.
///
/// # Errors
/// When the runtime cannot be built or a connection cannot be opened.
pub fn run(shared: &Arc<Shared>, share: Share) -> Result<Found, Fault> {
    let runtime = Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build_local(LocalOptions::default());
    let connected = runtime.map_err(Fault::Broken).and_then(|runtime| {
        let links = runtime.block_on(connect(shared, &share))?;
        Ok((runtime, links))
    });
    shared.given_up.fetch_or(connected.is_err(), Ordering::Relaxed);
    shared.connected.wait();
    let (runtime, links) = connected?;
    if shared.given_up.load(Ordering::Relaxed) {
        return Err(Fault::Closed);
    }
    let start = *shared.start.get_or_init(Instant::now);
    Ok(runtime.block_on(drive(Arc::clone(shared), share, links, start)))
}

async fn connect(shared: &Shared, share: &Share) -> Result<Vec<Link>, Fault> {
    let opening = async {
        let mut links = Vec::new();
        for _ in 0..share.connections {
            let connection = Rc::new(Connection::default());
            for _ in 0..share.streams {
                let mut link = Link::new(&shared.target, share.streams, &connection);
                link.open(&shared.target).await?;
                links.push(link);
            }
        }
        Ok(links)
    };
    let late = |_| Fault::Connect(io::Error::new(io::ErrorKind::TimedOut, "the server does not answer"));
    timeout(CONNECT, opening).await.map_err(late)?
}

async fn drive(shared: Arc<Shared>, share: Share, links: Vec<Link>, start: Instant) -> Found {
    let local = Rc::new(Local {
        worker: share.worker,
        start,
        dispatch: RefCell::new(Dispatch::new(share.schedule, links.len())),
        recorder: RefCell::new(Recorder::new(shared.warmup_ns, shared.end_ns)),
        freed: Notify::new(),
        cpu_at_warm: RefCell::new(None),
        shared,
    });
    let slots: Vec<_> = links
        .into_iter()
        .enumerate()
        .map(|(index, link)| tokio::task::spawn_local(slot(Rc::clone(&local), index, link)))
        .collect();
    let pacer = tokio::task::spawn_local(pace(Rc::clone(&local)));
    let everybody = async {
        for slot in slots {
            let _ = slot.await;
        }
    };
    let until = start + Duration::from_nanos(local.shared.end_ns) + local.shared.patience;
    let patience = until.saturating_duration_since(Instant::now());
    let in_time = timeout(patience, everybody).await.is_ok();
    pacer.abort();
    let now_ns = local.now_ns();
    let mut recorder = local.recorder.replace(Recorder::new(0, 0));
    if !in_time {
        let empty = Dispatch::new(Schedule::new(crate::schedule::Arrivals::Saturate, (0, 1), 0, 0, 0), 0);
        for due_ns in local.dispatch.replace(empty).left(now_ns) {
            recorder.unfinished(due_ns, now_ns);
        }
    }
    let (cpu_ns, warm_ns) = local.cpu_at_warm.take().unwrap_or((thread_cpu_ns(), now_ns));
    Found {
        recorder,
        cpu_ns: thread_cpu_ns().saturating_sub(cpu_ns),
        wall_ns: now_ns.saturating_sub(warm_ns),
    }
}

async fn pace(local: Rc<Local>) {
    let timer = match local.shared.pacing {
        Pacing::Spin => None,
        Pacing::Timer => Timer::new().ok(),
    };
    loop {
        let now_ns = local.now_ns();
        let next = local.dispatch.borrow_mut().assign(now_ns);
        match (next, &timer) {
            (Next::Over, _) => return,
            // The runtime polls the kernel between two turns.
            (_, None) => tokio::task::yield_now().await,
            (Next::Due(due_ns), Some(timer)) => timer.wait(Duration::from_nanos(due_ns.saturating_sub(now_ns))).await,
            (Next::Slot, Some(_)) => local.freed.notified().await,
        }
    }
}

async fn slot(local: Rc<Local>, index: usize, mut link: Link) {
    let shared = Arc::clone(&local.shared);
    let is_timed = shared.pacing == Pacing::Timer;
    loop {
        let next = poll_fn(|cx| {
            let poll = local.dispatch.borrow_mut().poll_next(index, local.now_ns(), cx);
            if is_timed && poll.is_pending() {
                local.freed.notify_one();
            }
            poll
        });
        let Some(job) = next.await else { return };
        match link.open(&shared.target).await {
            Ok(opened) => local.recorder.borrow_mut().reconnects += u64::from(opened),
            Err(fault) => {
                local.fail(&job, &fault);
                tokio::time::sleep(RETRY).await;
                continue;
            }
        }
        // Requests of a run differ in their ids, and bodies take turns.
        let (worker, workers) = local.worker;
        let number = job.number * workers + worker;
        let id = digits(number);
        let which = usize::try_from(number % shared.requests.len() as u64).unwrap_or(0);
        let (request, expected) = &shared.requests[which];
        let sent_ns = local.now_ns();
        local.recorder.borrow_mut().sent(job.due_ns, sent_ns, job.was_free);
        match link.exchange(request, &shared.h2_head, &id).await {
            Ok(answer) => {
                let done_ns = local.now_ns();
                let id = request.id_at.map(|_| &id);
                let checked = shared.checker.check(answer.status, answer.body, id, expected.as_ref());
                let mut recorder = local.recorder.borrow_mut();
                match checked {
                    Ok(()) => {
                        recorder.right(job.due_ns, sent_ns, done_ns);
                        if let Some(shard) = shared.shard_of.as_ref().and_then(|of| of.read(answer.body)) {
                            recorder.of_shard(shard, job.due_ns, done_ns);
                        }
                    }
                    Err(wrong) => recorder.failed(job.due_ns, wrong.kind(), || {
                        let body = String::from_utf8_lossy(&answer.body[..answer.body.len().min(300)]);
                        format!("{wrong}: {}", body.trim_end())
                    }),
                }
            }
            Err(fault) => local.fail(&job, &fault),
        }
        shared.done.fetch_add(1, Ordering::Relaxed);
        if local.cpu_at_warm.borrow().is_none() && job.due_ns >= shared.warmup_ns {
            *local.cpu_at_warm.borrow_mut() = Some((thread_cpu_ns(), local.now_ns()));
        }
    }
}

impl Local {
    fn now_ns(&self) -> u64 {
        // Before the start, nothing is due.
        nanoseconds(Instant::now().saturating_duration_since(self.start))
    }

    fn fail(&self, job: &Job, fault: &Fault) {
        self.recorder
            .borrow_mut()
            .failed(job.due_ns, fault.kind(), || fault.to_string());
    }
}

/// A timerfd.
struct Timer(AsyncFd<OwnedFd>);

impl Timer {
    fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = rustix::time::timerfd_create(TimerfdClockId::Monotonic, flags)?;
        // SAFETY: the descriptor is open and ours alone, an `OwnedFd` gives the same one for as long as it lives, and
        // `AsyncFd` keeps it until it has deregistered it.
        #[expect(unsafe_code, reason = "tokio has no safe way to wait for a timerfd")]
        let registered = unsafe { AsyncFd::register(timer) }?;
        Ok(Self(registered))
    }

    async fn wait(&self, duration: Duration) {
        let zero = Timespec::default();
        let Ok(it_value) = Timespec::try_from(duration.max(Duration::from_nanos(1))) else {
            return;
        };
        let time = Itimerspec {
            it_interval: zero,
            it_value,
        };
        if rustix::time::timerfd_settime(&self.0, TimerfdTimerFlags::empty(), &time).is_err() {
            return;
        }
        if let Ok(mut ready) = self.0.readable().await {
            let mut count = [0; 8];
            let _ = rustix::io::read(self.0.get_ref(), &mut count);
            ready.clear_ready();
        }
    }
}
