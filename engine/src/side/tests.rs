//! The whole of side between shards that are played by the test and sinks that fail on purpose.

use std::pin::Pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use super::sink::{Delivery, EncodingSink, NetworkSink, SinkError};
use super::testing::{Recorder, TestDir, logistic, softprob};
use super::*;
use crate::budget::Budget;
use crate::config::{Records, SinkKind};
use crate::models::{ModelVersion, Registry};
use crate::record::Schema;
use crate::shard::mailbox::{Mail, Mailbox, mailbox};
use crate::spool::{self, Item, SpoolFullError, Writer};
use crate::telemetry::{DenialReason, EventKind, Phase, Route, ShardStats, Trace};

mod shards;

const NOW_US: i64 = 1_764_000_000_000_000;

/// A shard's ends.
struct Shard {
    writer: Writer,
    mailbox: Mailbox,
    full: crossbeam_channel::Sender<Box<ShardStats>>,
    recorder: Recorder,
}

/// Room for more than a test writes.
const ROOMY: usize = 64 << 20;

/// Segments of 64 KiB for one shard, and one more than it needs at least.
const TIGHT: usize = 5 * (64 << 10);

/// Side's parts with a spool in `dir` for sinks of these names.
fn parts(
    dir: &TestDir,
    records: Records,
    sinks: &[&'static str],
    shards: u16,
    spool_bytes: usize,
) -> (SideParts, Vec<Shard>, crossbeam_channel::Sender<Event>) {
    let mut loaded = Arc::into_inner(logistic(["a", "b", "c", "d"], 0)).unwrap();
    let opened = (!sinks.is_empty()).then(|| {
        let options = spool::Options {
            folder: dir.path().join("spool"),
            bytes_max: spool_bytes,
            shards: shards.into(),
            sinks: sinks.to_vec(),
            forget: Vec::new(),
            record_bytes_max: 1024,
            memory_bytes: usize::MAX,
        };
        Spool::open(options).unwrap()
    });
    let (spool, writers) = match opened {
        Some((spool, writers)) => (Some(spool), writers),
        None => (None, (0..shards).map(|_| Writer::nowhere()).collect()),
    };
    if let Some(spool) = &spool {
        loaded.model_number = spool.schemas().register(Schema::of(&loaded)).unwrap();
    }
    let mut same = Arc::into_inner(logistic(["a", "b", "c", "d"], 0)).unwrap();
    same.model_number = loaded.model_number;
    let registry = Arc::new(Registry::single(Arc::new(ModelVersion::alone(0, 1, same))));
    let loaded = Arc::new(loaded);
    let (mut links, mut ends) = (Vec::new(), Vec::new());
    for (shard, writer) in writers.into_iter().enumerate() {
        let (address, mailbox) = mailbox();
        let (full, stats) = crossbeam_channel::bounded(2);
        links.push(ShardLink {
            address,
            stats,
            gauges: Arc::default(),
        });
        ends.push(Shard {
            writer,
            mailbox,
            full,
            recorder: Recorder::new(&loaded, u16::try_from(shard).unwrap()),
        });
    }
    let about = ProcessFacts {
        version: "1".into(),
        commit: "c".into(),
        target: "t".into(),
        runtime: "epoll".into(),
    };
    let (sender, events) = crossbeam_channel::bounded(16);
    let parts = SideParts {
        shards: links,
        records,
        spool,
        registry,
        models: None,
        shadow: None,
        about,
        events,
        aws: config::Aws::default(),
        pace: CpuBudget::FULL,
        admin: None,
        ready: Arc::default(),
        security: Arc::default(),
        access: Arc::default(),
        jwks: None,
        budget: Budget::new(1 << 20),
        remote: None,
        shows_recent: false,
    };
    (parts, ends, sender)
}

fn records(dir: &TestDir, sinks: &[SinkKind]) -> Records {
    Records {
        sinks: sinks.to_vec(),
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

/// Appends and, when the spool is full, waits as a client with patience would.
fn push(shard: &mut Shard, number: u32) {
    let frame = shard.recorder.record(NOW_US, number);
    within(Duration::from_secs(10), || shard.writer.append(frame).ok());
}

#[test]
fn every_record_is_delivered() {
    for sinks in [&[SinkKind::Parquet][..], &[]] {
        let dir = TestDir::new("all");
        let names: Vec<&'static str> = sinks.iter().map(|kind: &SinkKind| kind.name()).collect();
        let (parts, mut shards, _events) = parts(&dir, records(&dir, sinks), &names, 3, 3 * TIGHT);
        let side = start(parts).unwrap();
        for number in 0..5_000 {
            for shard in &mut shards {
                push(shard, number);
            }
        }
        drop(shards);
        let records = if sinks.is_empty() { 0 } else { 15_000 };
        assert_eq!(side.finish(soon()).unwrap(), Delivered { records });
        if !sinks.is_empty() {
            assert_eq!(segments(&dir), 0, "nothing is left");
        }
        // A file holds a thousand at most, and fewer when the spool is tight.
        assert_eq!(dir.files().len() >= 15, sinks == [SinkKind::Parquet]);
        assert!(dir.temporary().is_empty());
    }
}

#[test]
fn the_end_of_an_idle_side_is_quick_and_leaves_nothing() {
    let dir = TestDir::new("idle");
    let (parts, shards, _events) = parts(&dir, records(&dir, &[SinkKind::Parquet]), &["parquet"], 2, ROOMY);
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
    let (unwritable, _shards, _events) = parts(&dir, records(&dir, &[SinkKind::Parquet]), &["parquet"], 1, ROOMY);
    assert!(matches!(
        start(unwritable),
        Err(StartError::Sink { name: "parquet", .. })
    ));
}

fn segments(dir: &TestDir) -> usize {
    let entries = std::fs::read_dir(dir.path().join("spool")).unwrap().flatten();
    entries
        .filter(|entry| entry.path().extension().is_some_and(|ending| ending == "segment"))
        .count()
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

impl EncodingSink for Stubborn {
    fn take(&mut self, item: &Item<'_>, _: Instant) -> Result<(), SinkError> {
        self.failure()?;
        assert_ne!(item.record.lead_id, "lead-1000000", "a record that nobody likes");
        self.0.leads.lock().unwrap().push(item.record.lead_id.into());
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
            end: self.0.leads.lock().unwrap().len() as u64,
            files: 0,
        }
    }
}

fn stubborn(fails: bool) -> (Arc<Shared>, Side, Shard, TestDir) {
    let shared = Arc::new(Shared::default());
    shared.fails.store(fails, Ordering::Relaxed);
    let dir = TestDir::new("stubborn");
    let (parts, mut shards, _events) = parts(&dir, records(&dir, &[]), &["stubborn"], 1, TIGHT);
    let sink = Opened::EncodingSink(Box::new(Stubborn(Arc::clone(&shared))));
    let side = start_with(vec![("stubborn", sink)], parts).unwrap();
    (shared, side, shards.remove(0), dir)
}

/// Appends until the spool is full and stays so; how many records that took.
fn fill(shard: &mut Shard) -> u32 {
    let (mut pushed, mut full) = (0, 0);
    while full < 50 {
        match shard.writer.append(shard.recorder.record(NOW_US, pushed)) {
            Ok(()) => (pushed, full) = (pushed + 1, 0),
            Err(SpoolFullError) => {
                full += 1;
                std::thread::sleep(Duration::from_millis(3));
            }
        }
    }
    pushed
}

#[test]
fn a_failing_sink_fills_the_spool_and_loses_nothing() {
    let (shared, side, mut shard, _dir) = stubborn(true);
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
    let (_shared, side, mut shard, dir) = stubborn(true);
    let pushed = u64::from(fill(&mut shard));
    drop(shard);
    let began = Instant::now();
    let error = side.finish(began + Duration::from_millis(300)).unwrap_err();
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let [error] = &error.0[..] else { panic!("{error}") };
    assert_eq!((error.sink, error.delivered, error.left), ("stubborn", 0, pushed));
    assert!(segments(&dir) > 0, "what is left stays");
    assert!(
        matches!(&error.reason, Reason::Sink(text) if text.contains("on purpose")),
        "{error}"
    );
}

/// Takes what there is in batches of three, of which two are under way; the later one is always confirmed first.
struct Courier(Arc<Mutex<Vec<String>>>);

impl NetworkSink for Courier {
    fn run(self: Box<Self>, mut lane: SinkReader) -> Pin<Box<dyn Future<Output = Result<(), DeliveryError>>>> {
        Box::pin(async move {
            while !(lane.is_ending() && lane.is_finished() && lane.is_delivered()) {
                if lane.is_late() {
                    return Err(DeliveryError::new(&lane));
                }
                let mut ends = Vec::new();
                for _ in 0..2 {
                    for _ in 0..3 {
                        let Some(item) = lane.peek() else { break };
                        self.0.lock().unwrap().push(item.record.lead_id.into());
                        lane.advance();
                    }
                    ends.push(lane.number());
                }
                tokio::time::sleep(sink_reader::TICK).await;
                let before = lane.counts().delivered.get();
                lane.acknowledge(before);
                assert_eq!(lane.counts().delivered.get(), before);
                lane.acknowledge(*ends.last().unwrap());
            }
            Ok(())
        })
    }
}

#[test]
fn a_sink_that_fails_does_not_stop_another() {
    let dir = TestDir::new("two");
    let (parts, mut shards, _events) = parts(&dir, records(&dir, &[]), &["stubborn", "parquet", "courier"], 1, ROOMY);
    let (stubborn, taken) = (Arc::new(Shared::default()), Arc::new(Mutex::default()));
    stubborn.fails.store(true, Ordering::Relaxed);
    let parquet = sink::open(SinkKind::Parquet, &parts.records, &parts.aws).unwrap();
    let sinks = vec![
        (
            "stubborn",
            Opened::EncodingSink(Box::new(Stubborn(Arc::clone(&stubborn)))),
        ),
        ("parquet", parquet),
        ("courier", Opened::NetworkSink(Box::new(Courier(Arc::clone(&taken))))),
    ];
    let side = start_with(sinks, parts).unwrap();
    for number in 0..2_500 {
        push(&mut shards[0], number);
    }
    within(Duration::from_secs(10), || {
        (dir.files().len() == 2 && taken.lock().unwrap().len() == 2_500).then_some(())
    });
    assert_eq!(side.counts.pending(&side.counts.sinks[0]), 2_500);
    assert!(side.counts.sinks[0].lag() > Duration::from_secs(3_600));
    assert!(side.counts.sinks[0].last_error().unwrap().text.contains("on purpose"));
    drop(shards);
    let error = side.finish(Instant::now() + Duration::from_millis(500)).unwrap_err();
    let [left] = &error.0[..] else { panic!("{error}") };
    assert_eq!((left.sink, left.delivered, left.left), ("stubborn", 0, 2_500));
    assert_eq!(dir.files().len(), 3);
    let expected: Vec<String> = (0..2_500).map(|number| format!("lead-{number}")).collect();
    assert_eq!(*taken.lock().unwrap(), expected);
}

#[test]
fn a_panic_of_the_worker_is_reported() {
    let (_shared, side, mut shard, dir) = stubborn(false);
    for number in [1, 2, 1_000_000, 3] {
        push(&mut shard, number);
    }
    within(Duration::from_secs(5), || side.has_failed().then_some(()));
    push(&mut shard, 4);
    drop(shard);
    let error = side.finish(soon()).unwrap_err();
    let [error] = &error.0[..] else { panic!("{error}") };
    assert!(
        matches!(&error.reason, Reason::Panicked { thread: "worker", message } if message.contains("nobody likes"))
    );
    // What a turn has taken is acknowledged at its end.
    assert_eq!((error.delivered, error.left), (0, 5));
    assert!(segments(&dir) > 0, "what is left stays");
}

#[test]
fn records_of_another_shape_or_model_are_reported() {
    let dir = TestDir::new("unfit");
    let (parts, mut shards, _events) = parts(&dir, records(&dir, &[SinkKind::Parquet]), &["parquet"], 1, ROOMY);
    let known = parts.registry.champion().loaded.model_number;
    let side = start(parts).unwrap();
    for model_number in [known, known + 1] {
        let mut wide = Recorder::new(&softprob(["a", "b", "c", "d"], model_number), 0);
        shards[0].writer.append(wide.record(NOW_US, 1)).unwrap();
        push(&mut shards[0], model_number);
    }
    within(Duration::from_secs(5), || {
        (side.counts.sinks[0].damaged.get() == 2).then_some(())
    });
    drop(shards);
    let error = side.finish(soon()).unwrap_err();
    let [error] = &error.0[..] else { panic!("{error}") };
    assert_eq!((error.delivered, error.left, &error.reason), (2, 2, &Reason::Damaged));
}

#[test]
fn a_sink_that_comes_back_is_asked_again() {
    let (shared, side, mut shard, _dir) = stubborn(true);
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
