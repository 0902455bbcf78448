//! The whole spool: folders as they may be found, threads at once; [`oracle`] has random operations.

#![expect(
    clippy::cast_possible_truncation,
    reason = "small random numbers, on machines of 64 bits"
)]

mod late;
mod oracle;

use std::collections::BTreeSet;
use std::fs;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use super::*;
use crate::record::{Entry, Extras, IdSource, RecordSource, Schema};
use crate::side::testing::{TestDir, say};

const SINKS: [&str; 2] = ["parquet", "firehose"];

struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

fn schema() -> Schema {
    Schema {
        model_number: 0,
        model: "m".into(),
        version: "1".into(),
        sha256: None,
        margins: 1,
        predictions: 1,
        features: vec!["a".into()],
        categories: Vec::new(),
    }
}

fn options(dir: &TestDir, bytes_max: usize, shards: usize) -> Options {
    Options {
        folder: dir.path().join("spool"),
        bytes_max,
        shards,
        sinks: SINKS.to_vec(),
        forget: Vec::new(),
        record_bytes_max: 4096,
        memory_bytes: usize::MAX,
    }
}

/// A record whose lead's id is its number, of some length.
fn record(ids: &mut IdSource, model: u32, number: u64, padding: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    Entry {
        record_id: ids.next(1_000_000),
        time_us: 1_000_000,
        model_number: model,
        shard: 0,
        score: None,
        latency_ns: 1,
        lead_id: &number.to_string(),
        request_id: &"r".repeat(padding % 100),
        margins: &[0.0],
        predictions: &[0.0],
        row: &vec![1.0; 1 + padding],
        source: RecordSource::Local,
        extras: Extras::default(),
    }
    .encode(&mut bytes);
    bytes
}

fn number(item: &Item<'_>) -> u64 {
    item.record.lead_id.parse().unwrap()
}

fn append(writer: &mut Writer, frame: &[u8]) {
    let until = Instant::now() + Duration::from_secs(10);
    while writer.append(frame).is_err() {
        assert!(Instant::now() < until, "the spool stays full");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn has_segments(dir: &TestDir) -> bool {
    files(dir, "segment").next().is_some()
}

fn files(dir: &TestDir, ending: &'static str) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(dir.path().join("spool")).unwrap().flatten();
    entries
        .map(|entry| entry.path())
        .filter(move |path| path.extension().is_some_and(|found| found == ending))
}

#[test]
fn shards_and_sinks_run_at_once() {
    const EACH: u64 = 60_000;
    let dir = TestDir::new("threads");
    let (spool, writers) = Spool::open(options(&dir, 4 << 20, 2)).unwrap();
    let model = spool.schemas().register(schema()).unwrap();
    let cursors = spool.cursors();
    std::thread::scope(|scope| {
        for (shard, mut writer) in writers.into_iter().enumerate() {
            scope.spawn(move || {
                let mut ids = IdSource::new(0, shard as u64);
                for step in 0..EACH {
                    let number = 2 * step + shard as u64;
                    append(&mut writer, &record(&mut ids, model, number, (step % 50) as usize));
                }
            });
        }
        for (sink, mut cursor) in cursors.into_iter().enumerate() {
            scope.spawn(move || {
                let (mut next, mut count) = ([0, 1], 0);
                loop {
                    let Some(item) = cursor.peek() else {
                        if cursor.is_finished() {
                            break;
                        }
                        std::thread::yield_now();
                        continue;
                    };
                    let number = number(&item);
                    let shard = (number % 2) as usize;
                    assert_eq!(number, next[shard], "out of order");
                    next[shard] += 2;
                    count += 1;
                    cursor.advance();
                    // One is slow to acknowledge.
                    if sink == 0 || count % 1_000 == 0 {
                        cursor.acknowledge(cursor.number());
                    }
                }
                assert_eq!((count, cursor.damaged()), (2 * EACH, 0));
                cursor.acknowledge(cursor.number());
            });
        }
    });
    assert_eq!(spool.gauges().appended(), 2 * EACH);
    assert!(spool.gauges().bytes() <= 4 << 20);
    assert_eq!(spool.close(), LeftoverRecords::default());
}

#[test]
fn a_sink_that_does_not_deliver_fills_the_spool_and_loses_nothing() {
    let dir = TestDir::new("full");
    let (spool, mut writers) = Spool::open(options(&dir, 4 << 20, 1)).unwrap();
    let model = spool.schemas().register(schema()).unwrap();
    let mut cursors = spool.cursors();
    let (mut ids, mut appended) = (IdSource::new(0, 0), 0);
    let mut full = 0;
    while full < 100 {
        match writers[0].append(&record(&mut ids, model, appended, 50)) {
            Ok(()) => (appended, full) = (appended + 1, 0),
            Err(SpoolFullError) => {
                full += 1;
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }
    assert!(spool.gauges().bytes() <= 4 << 20 && appended > 3_000);
    // The one that delivers does not make room; both do.
    for cursor in &mut cursors {
        while cursor.peek().is_some() {
            cursor.advance();
        }
        assert_eq!(cursor.number(), appended);
    }
    cursors[0].acknowledge(appended);
    std::thread::sleep(Duration::from_millis(20));
    assert_eq!(
        writers[0].append(&record(&mut ids, model, appended, 50)),
        Err(SpoolFullError)
    );
    assert!(cursors[1].is_tight() && !cursors[0].is_tight());
    cursors[1].acknowledge(appended / 2);
    append(&mut writers[0], &record(&mut ids, model, appended, 50));
    drop((writers, cursors));
    let remains = spool.close();
    assert_eq!(remains.records["firehose"], appended - appended / 2 + 1);
    assert_eq!(remains.records["parquet"], 1);
}

#[test]
fn a_folder_has_one_process() {
    let dir = TestDir::new("lock");
    let (_spool, _writers) = Spool::open(options(&dir, 4 << 20, 1)).unwrap();
    let error = Spool::open(options(&dir, 4 << 20, 1)).map(|_| ()).unwrap_err();
    assert!(matches!(&error, SpoolError::InUse(_)), "{error}");
    assert!(error.to_string().contains("in use by another process"), "{error}");
}

#[test]
fn too_little_room_is_said_with_what_would_do() {
    let dir = TestDir::new("small");
    let error = Spool::open(options(&dir, 1 << 20, 8)).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("must be at least 2097152"), "{error}");
    assert!(Spool::open(options(&dir, 2_097_152, 8)).is_ok());
    for (bytes_max, shards, record_bytes_max, expected) in [
        (1 << 30, 1, 1_000, 8 << 20),
        (1 << 30, 32, 1_000, 8 << 20),
        (1 << 30, 256, 1_000, 1 << 20),
        (1 << 30, 2, 9 << 20, 16 << 20),
        (1 << 20, 1, 1_000, 256 << 10),
    ] {
        let options = Options {
            record_bytes_max,
            ..options(&dir, bytes_max, shards)
        };
        assert_eq!(segment_bytes(&options).unwrap(), expected);
    }
}

/// Appends so many and lets the process die.
fn leave(dir: &TestDir, count: u64) {
    let (spool, mut writers) = Spool::open(options(dir, 4 << 20, 1)).unwrap();
    let model = spool.schemas().register(schema()).unwrap();
    let mut ids = IdSource::new(0, 0);
    for number in 0..count {
        append(&mut writers[0], &record(&mut ids, model, number, 20));
    }
}

/// Reads everything as the first sink.
fn read(spool: &Spool) -> BTreeSet<u64> {
    let mut cursor = spool.cursors().remove(0);
    let mut numbers = BTreeSet::new();
    while let Some(item) = cursor.peek() {
        numbers.insert(number(&item));
        cursor.advance();
    }
    numbers
}

#[test]
fn a_damaged_segment_is_skipped_or_put_aside_and_the_rest_is_delivered() {
    let dir = TestDir::new("damaged");
    leave(&dir, 10_000);
    let mut segments: Vec<_> = files(&dir, "segment").collect();
    segments.sort();
    assert!(segments.len() >= 3, "{segments:?}");
    // One record of the first, the head of the second, and a truncated one.
    let damage = |path: &Path, at: usize| {
        let mut bytes = fs::read(path).unwrap();
        bytes[at] ^= 0xFF;
        fs::write(path, bytes).unwrap();
    };
    damage(&segments[0], BODY + 100);
    damage(&segments[1], 20);
    fs::write(dir.path().join("spool/99999999.segment"), "cut off").unwrap();
    let (spool, writers) = Spool::open(options(&dir, 4 << 20, 1)).unwrap();
    drop(writers);
    assert_eq!(spool.found().put_aside, 1);
    assert!(spool.found().damaged_bytes > 200);
    let numbers = read(&spool);
    assert_eq!(numbers.len() as u64, spool.found().records["parquet"]);
    assert!(!numbers.contains(&0) && numbers.contains(&1) && numbers.contains(&9_999));
    assert_eq!(numbers.len(), 9_999, "a damaged head costs nothing");
    assert_eq!(files(&dir, "damaged").count(), 1, "for somebody who can read them");
}

#[test]
fn models_are_known_after_they_are_gone() {
    let dir = TestDir::new("models");
    leave(&dir, 3);
    let (spool, mut writers) = Spool::open(options(&dir, 4 << 20, 1)).unwrap();
    let other = Schema {
        version: "2".into(),
        features: vec!["b \"quoted\" ü".into(), "c".into()],
        ..schema()
    };
    let number = spool.schemas().register(other.clone()).unwrap();
    assert_eq!(number, 2);
    assert_eq!(spool.schemas().register(other).unwrap(), 2);
    append(&mut writers[0], &record(&mut IdSource::new(0, 9), number, 3, 1));
    let mut cursor = spool.cursors().remove(0);
    let mut versions = Vec::new();
    while let Some(item) = cursor.peek() {
        versions.push((item.schema.version.clone(), item.schema.features.len()));
        cursor.advance();
    }
    let (old, new) = (("1".to_owned(), 1), ("2".to_owned(), 2));
    assert_eq!(versions, [old.clone(), old.clone(), old, new]);
    cursor.acknowledge(4);
    drop((writers, cursor));
    // What no record names goes.
    let mut all = spool.cursors().remove(1);
    while all.peek().is_some() {
        all.advance();
    }
    all.acknowledge(all.number());
    assert!(all.is_finished());
    spool.close();
    let (spool, _writers) = Spool::open(options(&dir, 4 << 20, 1)).unwrap();
    assert!(spool.schemas().find(1).is_none() && spool.schemas().find(2).is_none());
}

#[test]
fn ids_of_the_next_process_come_after_those_that_were_found() {
    let dir = TestDir::new("ids");
    leave(&dir, 10);
    let (spool, _writers) = Spool::open(options(&dir, 4 << 20, 1)).unwrap();
    let latest = spool.found().latest.unwrap();
    let mut ids = IdSource::new(0, 3);
    ids.follow(latest);
    assert!(ids.next(0) > latest);
}

#[test]
fn an_operator_may_look_while_it_is_in_use() {
    let dir = TestDir::new("inspect");
    let (spool, mut writers) = Spool::open(options(&dir, 4 << 20, 1)).unwrap();
    let model = spool.schemas().register(schema()).unwrap();
    for number in 0..10 {
        append(&mut writers[0], &record(&mut IdSource::new(0, 0), model, number, 1));
    }
    let mut cursor = spool.cursors().remove(1);
    for _ in 0..4 {
        assert!(cursor.peek().is_some());
        cursor.advance();
    }
    cursor.acknowledge(4);
    // What is looked at are its files, which are a little behind.
    let until = Instant::now() + Duration::from_secs(60);
    while !spool
        .shared
        .segments_after(None)
        .iter()
        .all(|segment| segment.is_saved())
    {
        assert!(Instant::now() < until, "what was recorded comes into its file");
        std::thread::sleep(Duration::from_millis(1));
    }
    let mut leads = Vec::new();
    let folder = dir.path().join("spool");
    let segments = inspect(&folder, |seen, schema| {
        assert!(seen.waits_for("parquet") && seen.waits_for("unknown"));
        assert_eq!(seen.waits_for("firehose"), leads.len() >= 4);
        leads.push((seen.record.lead_id.to_owned(), schema.unwrap().model.clone()));
        ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!(leads.len(), 10);
    assert_eq!(leads[9], ("9".into(), "m".into()));
    let used: Vec<_> = segments.iter().filter(|segment| segment.records > 0).collect();
    assert_eq!(used.len(), 1);
    assert_eq!(used[0].left, [("parquet".to_owned(), 10), ("firehose".to_owned(), 6)]);
    assert!(inspect(&dir.path().join("absent"), |_, _| ControlFlow::Break(())).is_err());
}

/// A disk without room: found at the start, and later shards have no segment until there is room again.
#[test]
fn a_full_disk_is_an_error_at_the_start_and_a_full_spool_later() {
    let dir = TestDir::new("disk");
    let mount = dir.path().join("disk");
    fs::create_dir(&mount).unwrap();
    let run = |program: &str, arguments: &[&str]| {
        let mut command = std::process::Command::new(program);
        let status = command
            .args(arguments)
            .arg(&mount)
            .stderr(std::process::Stdio::null())
            .status();
        status.is_ok_and(|status| status.success())
    };
    if !run("mount", &["-t", "tmpfs", "-o", "size=3m", "tmpfs"]) {
        return say("SKIPPED: A FULL DISK UNDER THE SPOOL IS NOT TRIED, FOR THIS USER MAY NOT MOUNT A SMALL ONE");
    }
    let options = Options {
        folder: mount.join("spool"),
        ..options(&dir, 4 << 20, 2)
    };
    let ballast = mount.join("ballast");
    fs::write(&ballast, vec![1; 2_000_000]).unwrap();
    let error = Spool::open(options.clone()).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("No space left on device"), "{error}");
    fs::remove_file(&ballast).unwrap();
    let options = Options { shards: 1, ..options };
    let (spool, mut writers) = Spool::open(options).unwrap();
    let model = spool.schemas().register(schema()).unwrap();
    let mut ids = IdSource::new(0, 0);
    let (mut appended, mut full) = (0, 0);
    while full < 100 {
        match writers[0].append(&record(&mut ids, model, appended, 50)) {
            Ok(()) => (appended, full) = (appended + 1, 0),
            Err(SpoolFullError) => {
                full += 1;
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }
    assert!(spool.gauges().errors() > 0 && appended > 100);
    drop(writers);
    assert_eq!(read(&spool).len() as u64, appended);
    drop(spool);
    std::thread::sleep(Duration::from_millis(50));
    assert!(run("umount", &[]));
}
