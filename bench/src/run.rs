//! One run: its options → workers → its result.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Barrier, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::check::{Checker, Depth};
use crate::h1;
use crate::link::{Fault, H2Head, Prepared};
use crate::payload::oracle::Expected;
use crate::payload::{Pool, digits};
use crate::record::{Recorder, histogram};
use crate::schedule::{Arrivals, Schedule};
use crate::shard::ShardOf;
use crate::target::{Protocol, Target};
use crate::units::nanoseconds;
use crate::worker::{self, Found, Pacing, Share, Shared};

/// Turns of the calibration.
const CALIBRATION_TURNS: u64 = 20_000;

/// What is asked for, but for the target and the bodies.
#[derive(Debug, Clone)]
pub struct Plan {
    /// When requests are due.
    pub arrivals: Arrivals,
    /// How they are sent on time.
    pub pacing: Pacing,
    /// Connections in all.
    pub connections: usize,
    /// Requests at once on each connection: streams of h2, or HTTP/1.1 pipelined.
    pub streams: usize,
    /// Threads.
    pub threads: usize,
    /// What is sent before it counts.
    pub warmup: Duration,
    /// How long it counts.
    pub duration: Duration,
    /// Requests at most, the warm-up's too.
    pub count_max: u64,
    /// How long answers may take after the end.
    pub patience: Duration,
    /// For what is drawn by chance.
    pub seed: u64,
    /// The status that is right.
    pub status: u16,
    /// What else is checked.
    pub depth: Depth,
    /// Whether latencies are reported by shard.
    pub by_shard: bool,
    /// Headers besides `host`, `content-type` and `content-length`.
    pub headers: Vec<(String, String)>,
    /// Values of `authorization`, sent in turn.
    pub credentials: Vec<http::HeaderValue>,
}

impl Plan {
    /// No run has more requests: ids have room for as many.
    pub const COUNT_MAX: u64 = 1_000_000_000_000;

    /// The defaults: 64 connections, one thread, ten seconds after one of warm-up.
    #[must_use]
    pub fn new(arrivals: Arrivals, depth: Depth) -> Self {
        Self {
            arrivals,
            pacing: Pacing::Spin,
            connections: 64,
            streams: 1,
            threads: 1,
            warmup: Duration::from_secs(1),
            duration: Duration::from_secs(10),
            count_max: Self::COUNT_MAX,
            patience: Duration::from_secs(5),
            seed: 1,
            status: 200,
            depth,
            by_shard: false,
            headers: Vec::new(),
            credentials: Vec::new(),
        }
    }
}

/// Why a run did not begin.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A connection.
    #[error("{host}: {fault}; is the server running there?")]
    Connect {
        /// Which server.
        host: String,
        /// Why not.
        fault: Fault,
    },
    /// A thread.
    #[error("start a thread: {0}")]
    Thread(#[from] io::Error),
    /// A worker panicked, which is a bug.
    #[error("a worker panicked, see above")]
    Panicked,
    /// A header or a path that h2 does not take.
    #[error("build the request: {0}")]
    Request(#[from] http::Error),
}

/// The result of a run.
#[derive(Debug)]
pub struct Outcome {
    /// All records.
    pub recorder: Recorder,
    /// How long it counted. Unit: seconds.
    pub seconds: f64,
    /// CPU time of the workers while it counted. Unit: seconds.
    pub cpu_seconds: f64,
    /// What a request costs the load generator itself, sockets apart: making it, reading and checking its answer,
    /// recording.
    pub own: Histogram<u64>,
}

impl Outcome {
    /// Right answers a second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        let right = self.recorder.service.len();
        right as f64 / self.seconds
    }

    /// Whether every request got a right answer.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.recorder.failures() == 0 && self.recorder.unfinished == 0
    }
}

/// Runs a plan; `watch` is called about ten times a second with the share of time that has passed and the requests
/// done.
///
/// # Errors
/// What kept it from beginning.
pub fn run(target: &Target, pool: &Pool, plan: &Plan, watch: &mut dyn FnMut(f64, u64)) -> Result<Outcome, RunError> {
    let threads = plan.threads.clamp(1, plan.connections.max(1));
    let warmup_ns = nanoseconds(plan.warmup);
    let end_ns = warmup_ns.saturating_add(nanoseconds(plan.duration));
    let requests = prepare(target, pool, plan);
    let checker = Checker::new(plan.depth, plan.status);
    let own = calibrate(&requests, &checker);
    let shared = Arc::new(Shared {
        target: target.clone(),
        requests,
        h2_head: h2_head(target, pool, plan)?,
        checker,
        shard_of: plan.by_shard.then(ShardOf::default),
        pacing: plan.pacing,
        warmup_ns,
        end_ns,
        patience: plan.patience,
        done: AtomicU64::new(0),
        connected: Barrier::new(threads),
        given_up: AtomicBool::new(false),
        start: OnceLock::new(),
    });
    let mut workers = Vec::new();
    for worker in 0..threads {
        let place = (worker as u64, threads as u64);
        let share = Share {
            worker: place,
            schedule: Schedule::new(plan.arrivals, place, end_ns, plan.count_max, plan.seed),
            connections: (plan.connections + threads - 1 - worker) / threads,
            streams: plan.streams,
        };
        let shared = Arc::clone(&shared);
        let named = thread::Builder::new().name(format!("load-{worker}"));
        workers.push(named.spawn(move || worker::run(&shared, share))?);
    }
    let whole = plan.warmup + plan.duration;
    while !workers.iter().all(thread::JoinHandle::is_finished) {
        thread::sleep(Duration::from_millis(20).min(whole / 20));
        let passed = shared.start.get().map_or(Duration::ZERO, Instant::elapsed);
        watch(
            passed.as_secs_f64() / whole.as_secs_f64(),
            shared.done.load(Ordering::Relaxed),
        );
    }
    let mut outcome: Option<Outcome> = None;
    let mut failed = None;
    for worker in workers {
        match worker.join().map_err(|_| RunError::Panicked)? {
            Ok(found) => join(&mut outcome, found, plan, &own),
            // Who gave up because another could not connect has nothing to say.
            Err(fault) => {
                let is_reason = !matches!(fault, Fault::Closed) || failed.is_none();
                failed = if is_reason { Some(fault) } else { failed };
            }
        }
    }
    if let Some(fault) = failed {
        let host = target.host().to_owned();
        return Err(RunError::Connect { host, fault });
    }
    outcome.ok_or(RunError::Panicked)
}

fn join(outcome: &mut Option<Outcome>, found: Found, plan: &Plan, own: &Histogram<u64>) {
    let cpu = found.cpu_ns as f64 / 1e9;
    // A run that a count has ended is shorter than planned; one whose answers came late is not longer.
    let seconds = (found.wall_ns as f64 / 1e9).min(plan.duration.as_secs_f64()).max(1e-9);
    match outcome {
        None => {
            *outcome = Some(Outcome {
                recorder: found.recorder,
                seconds,
                cpu_seconds: cpu,
                own: own.clone(),
            });
        }
        Some(all) => {
            all.recorder.add(&found.recorder);
            all.seconds = all.seconds.max(seconds);
            all.cpu_seconds += cpu;
        }
    }
}

fn prepare(target: &Target, pool: &Pool, plan: &Plan) -> Vec<(Prepared, Option<Expected>)> {
    let mut headers = plan.headers.clone();
    if !pool.bodies.is_empty() {
        headers.insert(0, ("content-type".into(), "application/json".into()));
    }
    let credential = |place: usize| plan.credentials.get(place % plan.credentials.len().max(1)).cloned();
    let whole = |body: Option<&[u8]>, credential: Option<&http::HeaderValue>| match target.protocol {
        Protocol::H1 => {
            let shown = credential.and_then(|value| value.to_str().ok());
            let more = shown.map(|value| ("authorization".to_owned(), value.to_owned()));
            let headers: Vec<_> = headers.iter().cloned().chain(more).collect();
            h1::request(method(pool), target.path(), target.host(), &headers, body)
        }
        Protocol::H2 => body.unwrap_or_default().to_vec(),
    };
    // Enough for each body and each credential to have its turn.
    let count = pool.bodies.len().max(plan.credentials.len()).max(1);
    let request = |place: usize| {
        let body = pool.bodies.get(place % pool.bodies.len().max(1));
        let credential = credential(place);
        let bytes = whole(body.map(|body| &body.bytes[..]), credential.as_ref());
        let id_at = body.and_then(|body| Some(bytes.len() - body.bytes.len() + body.id_at?));
        let prepared = Prepared {
            bytes,
            id_at,
            credential,
        };
        (prepared, body.and_then(|body| body.expected.clone()))
    };
    (0..count).map(request).collect()
}

fn method(pool: &Pool) -> &'static str {
    if pool.bodies.is_empty() { "GET" } else { "POST" }
}

fn h2_head(target: &Target, pool: &Pool, plan: &Plan) -> Result<H2Head, RunError> {
    let scheme = if target.tls.is_some() { "https" } else { "http" };
    let uri = http::Uri::builder()
        .scheme(scheme)
        .authority(target.host())
        .path_and_query(target.path());
    let mut builder = http::Request::builder().method(method(pool)).uri(uri.build()?);
    if !pool.bodies.is_empty() {
        builder = builder.header("content-type", "application/json");
    }
    for (name, value) in &plan.headers {
        builder = builder.header(name, value);
    }
    Ok(H2Head {
        request: builder.body(())?,
    })
}

/// Times what the load generator does for a request besides sockets, on the very requests of the run.
fn calibrate(requests: &[(Prepared, Option<Expected>)], checker: &Checker) -> Histogram<u64> {
    let (mut recorder, mut own) = (Recorder::new(0, 1), histogram());
    let mut out = Vec::new();
    for number in 0..CALIBRATION_TURNS {
        let start = Instant::now();
        let index = usize::try_from(number).unwrap_or(0) % requests.len();
        let (request, expected) = &requests[index];
        let id = digits(number);
        out.clear();
        out.extend_from_slice(&request.bytes);
        if let Some(at) = request.id_at {
            out[at..at + id.len()].copy_from_slice(&id);
        }
        let answer = std::hint::black_box(ANSWER);
        if let Ok(Some(head)) = h1::head(answer) {
            let _ = checker.check(
                head.status,
                &answer[head.bytes..],
                request.id_at.map(|_| &id),
                expected.as_ref(),
            );
        }
        recorder.sent(0, 1, true);
        recorder.right(0, number, number + 1);
        std::hint::black_box(&out);
        own.saturating_record(nanoseconds(start.elapsed()));
    }
    own
}

/// An answer as Quintile gives it.
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nserver-timing: parse;dur=0.001082, score;dur=0.000700, total;dur=0.002061\r\n\
content-type: application/json\r\ncache-control: no-store\r\nx-request-id: 01a20e7f-6d99-7c39-8063-0f4bf4172e43\r\n\
content-length: 250\r\ndate: Tue, 24 Nov 2026 12:00:00 GMT\r\n\r\n\
{\"lead_id\":\"lead-000000000000\",\"score\":5,\"probability\":0.16741915047168732,\"model\":{\"name\":\"demo\",\"version\":\
\"1.0.0\"},\"request_id\":\"01a20e7f-6d99-7c39-8063-0f4bf4172e43\",\"latency_us\":{\"parse\":8.082,\"score\":15.253,\
\"total\":27.061}}";
