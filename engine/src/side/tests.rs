//! The whole of side between shards that are played by the test and sinks that fail on purpose.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use super::sink::{Delivery, Sink};
use super::testing::{Recorder, TestDir, logistic, softprob};
use super::*;
use crate::config::{Records, SinkKind};
use crate::record::{Frame, Full, Producer, queue};
use crate::shard::mailbox::{Mail, Mailbox, mailbox};
use crate::shard::stats::{Phase, Route};

const NOW_US: i64 = 1_764_000_000_000_000;

/// A shard's ends.
struct Shard {
    producer: Producer,
    mailbox: Mailbox,
    full: crossbeam_channel::Sender<Box<ShardStats>>,
    recorder: Recorder,
}

fn parts(records: Records, shards: u16, queue_bytes: usize) -> (Parts, Vec<Shard>, crossbeam_channel::Sender<Event>) {
    let served = logistic(["a", "b", "c", "d"], 1);
    let (mut links, mut ends) = (Vec::new(), Vec::new());
    for shard in 0..shards {
        let (producer, consumer) = queue(queue_bytes);
        let (address, mailbox) = mailbox();
        let (full, stats) = crossbeam_channel::bounded(2);
        links.push(ShardLink {
            records: consumer,
            address,
            stats,
            gauges: Arc::default(),
        });
        ends.push(Shard {
            producer,
            mailbox,
            full,
            recorder: Recorder::new(&served, shard),
        });
    }
    let about = About {
        version: "1".into(),
        commit: "c".into(),
        target: "t".into(),
        runtime: "epoll".into(),
        kernel: "scalar".into(),
    };
    let (sender, events) = crossbeam_channel::bounded(16);
    let parts = Parts {
        shards: links,
        records,
        served,
        about,
        events,
    };
    (parts, ends, sender)
}

fn records(dir: &TestDir, sink: SinkKind) -> Records {
    Records {
        sink,
        data_dir: dir.path().to_path_buf(),
        roll_rows: 1_000,
        ..Records::default()
    }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

fn within<T>(limit: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + limit;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < until, "it did not happen within {limit:?}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The next letter, if one is there.
fn letter(mailbox: &Mailbox) -> Option<Mail> {
    let mut next = std::pin::pin!(mailbox.next());
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match Future::poll(next.as_mut(), &mut context) {
        std::task::Poll::Ready(mail) => mail,
        std::task::Poll::Pending => None,
    }
}

/// Pushes and, when the queue is full, waits as a client with patience would.
fn push(shard: &mut Shard, number: u32) {
    let frame = shard.recorder.record(NOW_US, number);
    within(Duration::from_secs(10), || shard.producer.push(frame).ok());
}

#[test]
fn every_record_is_delivered() {
    for sink in [SinkKind::Parquet, SinkKind::None] {
        let dir = TestDir::new("all");
        let (parts, mut shards, _events) = parts(records(&dir, sink), 3, 32 << 10);
        let side = start(parts).unwrap();
        for number in 0..5_000 {
            for shard in &mut shards {
                push(shard, number);
            }
        }
        drop(shards);
        assert_eq!(side.finish(soon()).unwrap(), Delivered { records: 15_000 });
        assert_eq!(dir.files().len(), if sink == SinkKind::Parquet { 15 } else { 0 });
        assert!(dir.temporary().is_empty());
    }
}

#[test]
fn the_end_of_an_idle_side_is_quick_and_leaves_nothing() {
    let dir = TestDir::new("idle");
    let (parts, shards, _events) = parts(records(&dir, SinkKind::Parquet), 2, 4096);
    let side = start(parts).unwrap();
    assert!(!side.has_failed());
    drop(shards);
    let began = Instant::now();
    assert_eq!(side.finish(soon()).unwrap().records, 0);
    assert!(began.elapsed() < Duration::from_secs(3));
    assert!(dir.files().is_empty());
}

#[test]
fn what_can_fail_fails_at_the_start() {
    let dir = TestDir::new("start");
    std::fs::write(dir.path().join("scores"), "in the way").unwrap();
    let (unwritable, _shards, _events) = parts(records(&dir, SinkKind::Parquet), 1, 4096);
    assert!(matches!(
        start(unwritable),
        Err(StartError::Sink { name: "parquet", .. })
    ));
    let (narrow, _shards, _events) = parts(records(&dir, SinkKind::None), 1, 64);
    assert!(matches!(start(narrow), Err(StartError::Queue { queue_bytes: 64, .. })));
}

/// Fails while told to, and remembers what it took.
#[derive(Default)]
struct Shared {
    fails: AtomicBool,
    attempts: AtomicU32,
    leads: Mutex<Vec<String>>,
}

struct Stubborn(Arc<Shared>);

impl Stubborn {
    fn failure(&self) -> Result<(), SinkError> {
        self.0.attempts.fetch_add(1, Ordering::Relaxed);
        if self.0.fails.load(Ordering::Relaxed) {
            return Err(SinkError::Split("on purpose".into()));
        }
        Ok(())
    }
}

impl Sink for Stubborn {
    fn take(&mut self, record: &Frame<'_>, _: &Arc<Served>, _: Instant) -> Result<(), SinkError> {
        self.failure()?;
        assert_ne!(record.lead_id, "lead-666", "a record that nobody likes");
        self.0.leads.lock().unwrap().push(record.lead_id.into());
        Ok(())
    }

    fn due(&self) -> Option<Instant> {
        None
    }

    fn deliver(&mut self, _: Instant) -> Result<(), SinkError> {
        Ok(())
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        self.failure()
    }

    fn delivered(&self) -> Delivery {
        Delivery {
            records: self.0.leads.lock().unwrap().len() as u64,
            files: 0,
        }
    }
}

fn stubborn(fails: bool) -> (Arc<Shared>, Side, Shard) {
    let shared = Arc::new(Shared::default());
    shared.fails.store(fails, Ordering::Relaxed);
    let dir = TestDir::new("stubborn");
    let (parts, mut shards, _events) = parts(records(&dir, SinkKind::None), 1, 16 << 10);
    let side = start_with(Box::new(Stubborn(Arc::clone(&shared))), parts).unwrap();
    (shared, side, shards.remove(0))
}

/// Pushes until the queue is full and stays so; how many records that took.
fn fill(shard: &mut Shard) -> u32 {
    let (mut pushed, mut full) = (0, 0);
    while full < 50 {
        match shard.producer.push(shard.recorder.record(NOW_US, pushed)) {
            Ok(()) => (pushed, full) = (pushed + 1, 0),
            Err(Full) => {
                full += 1;
                std::thread::sleep(Duration::from_millis(3));
            }
        }
    }
    pushed
}

#[test]
fn a_failing_sink_fills_the_queue_and_loses_nothing() {
    let (shared, side, mut shard) = stubborn(true);
    // The worker holds one batch, others wait for it, and then the queue must become full and stay so.
    let pushed = fill(&mut shard);
    assert!(shared.leads.lock().unwrap().is_empty());
    assert!(!side.has_failed());
    shared.fails.store(false, Ordering::Relaxed);
    assert_eq!(side.finish(soon()).unwrap().records, u64::from(pushed));
    let expected: Vec<String> = (0..pushed).map(|number| format!("lead-{number}")).collect();
    assert_eq!(*shared.leads.lock().unwrap(), expected);
}

#[test]
fn what_a_sink_refuses_to_the_end_is_counted() {
    let (_shared, side, mut shard) = stubborn(true);
    let pushed = u64::from(fill(&mut shard));
    drop(shard);
    let began = Instant::now();
    let error = side.finish(began + Duration::from_millis(300)).unwrap_err();
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!((error.delivered, error.left), (0, pushed));
    assert!(
        matches!(&error.reason, Reason::Sink(text) if text.contains("on purpose")),
        "{error}"
    );
}

#[test]
fn a_panic_of_the_worker_is_reported() {
    let (_shared, side, mut shard) = stubborn(false);
    for number in [1, 2, 666, 3] {
        push(&mut shard, number);
    }
    within(Duration::from_secs(5), || side.has_failed().then_some(()));
    push(&mut shard, 4);
    drop(shard);
    let error = side.finish(soon()).unwrap_err();
    assert!(
        matches!(&error.reason, Reason::Panicked { thread: "worker", message } if message.contains("nobody likes"))
    );
    assert_eq!((error.delivered, error.left), (2, 3));
}

#[test]
fn bytes_that_are_no_record_are_reported() {
    let (_shared, side, mut shard) = stubborn(false);
    push(&mut shard, 1);
    let mut damaged = shard.recorder.record(NOW_US, 2).to_vec();
    damaged[70] ^= 1;
    shard.producer.push(&damaged).unwrap();
    drop(shard);
    let error = side.finish(soon()).unwrap_err();
    assert_eq!(
        error,
        Undelivered {
            delivered: 1,
            left: 1,
            reason: Reason::Damaged
        }
    );
}

#[test]
fn records_of_another_shape_or_model_are_reported() {
    let dir = TestDir::new("unfit");
    let (parts, mut shards, _events) = parts(records(&dir, SinkKind::Parquet), 1, 4096);
    let side = start(parts).unwrap();
    for generation in [1, 2] {
        let mut wide = Recorder::new(&softprob(["a", "b", "c", "d"], generation), 0);
        shards[0].producer.push(wide.record(NOW_US, 1)).unwrap();
        push(&mut shards[0], generation);
    }
    within(Duration::from_secs(5), || (side.counts.damaged() == 2).then_some(()));
    drop(shards);
    let error = side.finish(soon()).unwrap_err();
    assert_eq!((error.delivered, error.left, error.reason), (2, 2, Reason::Damaged));
}

#[test]
fn a_sink_that_comes_back_is_asked_again() {
    let (shared, side, mut shard) = stubborn(true);
    push(&mut shard, 1);
    within(Duration::from_secs(5), || {
        (shared.attempts.load(Ordering::Relaxed) > 2).then_some(())
    });
    shared.fails.store(false, Ordering::Relaxed);
    within(Duration::from_secs(5), || {
        (shared.leads.lock().unwrap().len() == 1).then_some(())
    });
    drop(shard);
    side.finish(soon()).unwrap();
}

#[test]
fn shards_get_metrics_at_once_and_their_counts_appear() {
    let dir = TestDir::new("metrics");
    let (parts, shards, _events) = parts(records(&dir, SinkKind::None), 2, 4096);
    let side = start(parts).unwrap();
    for shard in &shards {
        let Some(Mail::Metrics(text)) = letter(&shard.mailbox) else {
            panic!("no metrics at the start")
        };
        assert!(text.starts_with(b"# HELP quintile_requests_total"));
    }
    // Both shards swap as shards do: the full block back, the empty one kept.
    let mut own = [0, 1].map(|_| Box::new(ShardStats::new()));
    own[0].answered(Route::Score, 200);
    own[1].answered(Route::Score, 200);
    own[1].answered(Route::Other, 404);
    let text = within(Duration::from_secs(5), || {
        for (shard, own) in shards.iter().zip(&mut own) {
            match letter(&shard.mailbox) {
                Some(Mail::Stats(empty)) => shard.full.send(std::mem::replace(own, empty)).unwrap(),
                Some(Mail::Metrics(text)) => {
                    let text = String::from_utf8(text.to_vec()).unwrap();
                    if text.contains("quintile_requests_total{route=\"/score\",status=\"200\"} 2\n") {
                        return Some(text);
                    }
                }
                _ => {}
            }
        }
        None
    });
    assert!(text.contains("quintile_shard_requests_total{shard=\"0\"} 1\n"));
    assert!(text.contains("quintile_shard_requests_total{shard=\"1\"} 2\n"));
    drop(shards);
    side.finish(soon()).unwrap();
}

#[test]
fn events_are_taken_from_their_queue() {
    let dir = TestDir::new("events");
    let (parts, shards, events) = parts(records(&dir, SinkKind::None), 1, 4096);
    let side = start(parts).unwrap();
    for kind in [
        event::Kind::Slow,
        event::Kind::Failed,
        event::Kind::Panicked,
        event::Kind::TimedOut(Phase::Head),
    ] {
        let event = Event {
            kind,
            shard: 0,
            route: Route::Score,
            status: 500,
            total_us: 7,
            request_id: "id".try_into().unwrap(),
        };
        events.send(event).unwrap();
    }
    within(Duration::from_secs(2), || events.is_empty().then_some(()));
    drop(shards);
    side.finish(soon()).unwrap();
}

#[test]
fn a_side_that_nobody_finishes_ends_by_itself() {
    let (shared, side, shard) = stubborn(false);
    drop((side, shard));
    // The sink goes when the worker does.
    within(Duration::from_secs(10), || {
        (Arc::strong_count(&shared) == 1).then_some(())
    });
}

#[test]
fn the_worker_gives_way() {
    let (_shared, side, shard) = stubborn(false);
    // Other tests have workers too; one that does not give way would be found by all of them.
    let nice = |task: &std::path::Path| {
        let stat = std::fs::read_to_string(task.join("stat")).ok()?;
        let (name, rest) = stat.split_once('(')?.1.split_once(") ")?;
        let nice: i32 = rest.split(' ').nth(16)?.parse().ok()?;
        (name == "worker").then_some(nice)
    };
    within(Duration::from_secs(5), || {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap();
        let found: Vec<i32> = tasks.flatten().filter_map(|task| nice(&task.path())).collect();
        (!found.is_empty() && found.iter().all(|&nice| nice >= 10)).then_some(())
    });
    drop(shard);
    side.finish(soon()).unwrap();
}
