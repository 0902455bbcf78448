//! Files as a process may leave them.

use super::*;
use crate::record::{Entry, Extras, IdSource, RecordSource};
use crate::side::testing::TestDir;
use crate::spool::protocol::{Memory as _, append, seal};

const LEN: usize = 64 << 10;
const SINKS: [&str; 2] = ["parquet", "firehose"];

fn entry(ids: &mut IdSource, number: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    Entry {
        record_id: ids.next(i64::from(number)),
        time_us: i64::from(number),
        model_number: 1,
        shard: 3,
        score: None,
        latency_ns: 5,
        lead_id: &format!("lead-{number}"),
        request_id: "",
        margins: &[1.0],
        predictions: &[0.5],
        row: &[f64::from(number); 4],
        source: RecordSource::Local,
        extras: Extras::default(),
    }
    .encode(&mut bytes);
    bytes
}

fn mapped(dir: &TestDir) -> (Map, File, PathBuf) {
    let path = dir.path().join("1.segment");
    let file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .unwrap();
    file.set_len(LEN as u64).unwrap();
    (Map::new(&file, LEN).unwrap(), file, path)
}

fn fresh(dir: &TestDir, serial: u64) -> Segment {
    let (map, file, path) = mapped(dir);
    let tag = u32::try_from(serial * 77).unwrap();
    let wanted = Use {
        serial,
        tag,
        shard: 3,
        now_us: 9,
        sinks: &SINKS,
    };
    Segment::prepare(map, file, path, &wanted)
}

fn again(dir: &TestDir) -> Result<Option<(Segment, Walk)>, HeaderError> {
    let (map, file, path) = mapped(dir);
    Segment::read(map, file, path)
}

/// Appends so many and returns where each begins, and where the last ends.
fn fill(segment: &Segment, count: u32) -> Vec<usize> {
    let mut ids = IdSource::new(3, 1);
    let mut places = vec![BODY];
    for number in 0..count {
        let frame = entry(&mut ids, number);
        let at = *places.last().unwrap();
        append(&segment.map, at, &frame, segment.tag());
        places.push(at + frame.len());
    }
    places
}

#[test]
fn what_was_written_is_found_again() {
    let dir = TestDir::new("segment");
    let places = fill(&fresh(&dir, 8), 20);
    let (segment, walk) = again(&dir).unwrap().unwrap();
    assert_eq!((segment.serial, segment.shard(), segment.appended()), (8, 3, 20));
    assert_eq!((walk.extents.len(), walk.extents[0].clone()), (1, BODY..places[20]));
    assert_eq!((walk.frames, walk.damaged_bytes, walk.is_torn), (20, 0, false));
    // Used again, the old frames are none, although nothing but their checksums' tag would tell.
    drop(segment);
    drop(fresh(&dir, 9));
    let (segment, walk) = again(&dir).unwrap().unwrap();
    assert_eq!((segment.serial, walk.frames), (9, 0));
}

#[test]
fn frames_of_another_generation_are_none() {
    let dir = TestDir::new("tags");
    let segment = fresh(&dir, 8);
    let mut ids = IdSource::new(0, 0);
    append(&segment.map, BODY, &entry(&mut ids, 1), segment.tag() ^ 1);
    let walk = segment.walk();
    assert_eq!(walk.frames, 0);
    assert!(walk.damaged_bytes > 0);
}

#[test]
fn a_record_that_was_not_finished_is_told_and_not_read() {
    let dir = TestDir::new("torn");
    let segment = fresh(&dir, 1);
    let places = fill(&segment, 5);
    let frame = entry(&mut IdSource::new(0, 0), 6);
    // Everything but the length, which comes last.
    for written in [4, 8, 40, frame.len() - 4] {
        #[expect(unsafe_code, reason = "as a process that dies in the middle")]
        // SAFETY: no other thread has the segment.
        unsafe {
            segment.map.fill(places[5] + 4, &frame[4..4 + written]);
        }
        let walk = segment.walk();
        assert_eq!((walk.frames, walk.is_torn, walk.damaged_bytes), (5, true, 0));
    }
}

#[test]
fn damage_costs_the_record_it_hits_and_no_other() {
    let dir = TestDir::new("damage");
    let segment = fresh(&dir, 1);
    let places = fill(&segment, 50);
    seal(&segment.map, places[50]);
    for (victim, offset, with) in [
        (0, 0, 0_u32),
        (10, 0, 7),
        (11, 4, 1),
        (30, 20, 5),
        (49, 0, u32::MAX - 7),
    ] {
        let at = places[victim] + offset;
        let before = segment.map.word(at).load(Ordering::Relaxed);
        segment
            .map
            .word(at)
            .store(before ^ with | u32::from(with == 0), Ordering::Relaxed);
        if with == 0 {
            segment.map.word(at).store(0, Ordering::Relaxed);
        }
        let walk = segment.walk();
        assert_eq!(walk.frames, 49, "record {victim}");
        let lost = places[victim + 1] - places[victim];
        // Behind the last one there is nothing to tell where it ended.
        assert!(
            walk.damaged_bytes == lost || victim == 49,
            "record {victim}: {}",
            walk.damaged_bytes
        );
        assert!(!walk.is_torn);
        segment.map.word(at).store(before, Ordering::Relaxed);
    }
    assert_eq!(segment.walk().frames, 50);
}

#[test]
fn a_damaged_head_is_an_error_and_an_unused_file_is_not() {
    let dir = TestDir::new("head");
    let segment = fresh(&dir, 1);
    for at in [0, 8, 12, 16, 24, 32, 40, 48] {
        let before = segment.map.word(at).load(Ordering::Relaxed);
        segment.map.word(at).store(before ^ 4, Ordering::Relaxed);
        let error = again(&dir).map(|_| ()).unwrap_err();
        let expected = if at == 8 {
            HeaderError::Version(6)
        } else {
            HeaderError::Damaged
        };
        assert_eq!(error, expected, "byte {at}");
        segment.map.word(at).store(before, Ordering::Relaxed);
    }
    segment.map.long(0).store(0, Ordering::Relaxed);
    assert!(again(&dir).unwrap().is_none());
}

#[test]
fn checkpoints_stay_and_a_wrong_one_means_all_again() {
    let dir = TestDir::new("checkpoints");
    let segment = fresh(&dir, 1);
    let places = fill(&segment, 10);
    assert_eq!((segment.slot("parquet"), segment.slot("firehose")), (Some(0), Some(1)));
    segment.acknowledge(1, places[4] as u64);
    drop(segment);
    let (segment, _) = again(&dir).unwrap().unwrap();
    assert_eq!((segment.resume(0), segment.resume(1)), (BODY, places[4]));
    // A sink that is new has everything before it.
    assert_eq!((segment.slot("s3"), segment.resume(2)), (Some(2), BODY));
    assert_eq!(segment.sinks().len(), 3);
    segment.acknowledge(1, places[10] as u64);
    assert_eq!(segment.resume(1), places[10]);
    segment.acknowledge(1, ALL);
    assert_eq!(segment.resume(1), usize::MAX);
    for wrong in [places[4] + 8, places[10] + 8, LEN * 2, 8] {
        segment.acknowledge(1, wrong as u64);
        assert_eq!(segment.resume(1), BODY, "{wrong}");
    }
    for number in 3..SLOTS_MAX {
        assert_eq!(segment.slot(&format!("sink-{number}")), Some(number));
    }
    assert_eq!(segment.slot("one too many"), None);
}

#[test]
fn marks_stay_and_are_each_sinks_own() {
    let dir = TestDir::new("marks");
    let segment = fresh(&dir, 1);
    // To the last byte that frames may have, which marks begin behind.
    let mut places = fill(&segment, 10);
    let mut ids = IdSource::new(3, 2);
    loop {
        let (at, frame) = (*places.last().unwrap(), entry(&mut ids, 7));
        if !segment.has_room(at, frame.len()) {
            break;
        }
        append(&segment.map, at, &frame, segment.tag());
        places.push(at + frame.len());
    }
    let ends = places.pop().unwrap();
    for &place in places.iter().step_by(2) {
        segment.mark(1, place);
    }
    // A sink that came later has none.
    assert_eq!(segment.slot("s3"), Some(2));
    segment.mark(2, places[0]);
    drop(segment);
    let (segment, walk) = again(&dir).unwrap().unwrap();
    assert_eq!((walk.frames, walk.extents.len()), (places.len() as u64, 1));
    assert_eq!(walk.extents[0], BODY..ends);
    for (number, &place) in places.iter().enumerate() {
        let marked = [0, 1, 2].map(|slot| segment.is_marked(slot, place));
        assert_eq!(marked, [false, number % 2 == 0, false]);
    }
    drop(segment);
    let segment = fresh(&dir, 2);
    assert!(
        !places.iter().any(|&place| segment.is_marked(1, place)),
        "they are of one use"
    );
}

/// As the version before has left it: nothing but frames behind the head, and none of the bytes is a mark.
#[test]
fn a_segment_of_version_1_is_read() {
    let dir = TestDir::new("version");
    let segment = fresh(&dir, 1);
    fill(&segment, 10);
    let mut head = header(&segment.map);
    head[8] = 1;
    head[48..56].fill(0);
    let crc = crc32fast::hash(&head[CRC]);
    segment.map.long(8).store(1 | u64::from(crc) << 32, Ordering::Relaxed);
    segment.map.long(48).store(0, Ordering::Relaxed);
    drop(segment);
    let (segment, walk) = again(&dir).unwrap().unwrap();
    assert_eq!((walk.frames, walk.damaged_bytes), (10, 0));
    assert!(segment.has_room(BODY, LEN - BODY - SEAL_BYTES));
    segment.mark(0, BODY);
    assert!(!segment.is_marked(0, BODY));
    segment.map.long(8).store(3 | u64::from(crc) << 32, Ordering::Relaxed);
    drop(segment);
    assert_eq!(again(&dir).unwrap_err(), HeaderError::Version(3));
}
