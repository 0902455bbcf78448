//! Files as a process or a disk may leave them, and files of builds before this one, whose bytes are written here as
//! those builds wrote them.

use super::*;
use crate::record::{Entry, Extras, IdSource, RecordSource};
use crate::spool::layout::name_of;

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

/// A file of this build's version, and where its frames begin and the last one ends.
fn made(layout: &Layout, count: u32) -> (Vec<u8>, Vec<usize>) {
    let mut bytes = vec![0; layout.bytes];
    let mut places = vec![BODY];
    let mut ids = IdSource::new(3, 1);
    for number in 0..count {
        let mut frame = entry(&mut ids, number);
        let at = *places.last().unwrap();
        assert!(layout.has_room(at, frame.len()));
        let crc = u32::from_le_bytes(*frame[4..].first_chunk().unwrap()) ^ layout.frame_tag(at);
        frame[4..8].copy_from_slice(&crc.to_le_bytes());
        bytes[at..at + frame.len()].copy_from_slice(&frame);
        places.push(at + frame.len());
    }
    for at in layout.heads() {
        bytes[at..at + HEAD_BYTES].copy_from_slice(&layout.encode());
    }
    for at in layout.heads() {
        let end = layout.end_word(*places.last().unwrap());
        bytes[at + END_AT..][..8].copy_from_slice(&end.to_le_bytes());
    }
    for (slot, sink) in SINKS.iter().enumerate() {
        set_checkpoint(&mut bytes, layout, slot, sink, BODY as u64);
    }
    (bytes, places)
}

fn set_checkpoint(bytes: &mut [u8], layout: &Layout, slot: usize, sink: &str, offset: u64) {
    let name = name_of(sink);
    for head in layout.heads() {
        bytes[head + slot_at(slot)..][..NAME_BYTES].copy_from_slice(&name);
        let value = layout.checkpoint(&name, slot, offset);
        bytes[head + checkpoint_at(slot)..][..8].copy_from_slice(&value.to_le_bytes());
    }
}

fn seal(bytes: &mut [u8], at: usize) {
    bytes[at..at + 4].copy_from_slice(&u32::MAX.to_le_bytes());
}

fn layout() -> Layout {
    Layout::new(8, LEN, 3, 9, SINKS.len())
}

fn read(bytes: &[u8]) -> Read {
    read_bytes(bytes).unwrap().unwrap()
}

/// How many of a file's records a sink still has to get.
fn left(read: &Read, sink: &str) -> usize {
    let (layout, control) = (&read.found.layout, &read.found.control);
    let name = name_of(sink);
    let Some(slot) = (0..SLOTS_MAX).find(|&slot| name_in(control, slot) == name) else {
        return read.places.len();
    };
    let offset = offset_in(control, layout, slot).unwrap_or(0);
    let word = |at: usize| u64::from_le_bytes(*control[at..].first_chunk().unwrap());
    let waits = |&&place: &&usize| place as u64 >= offset && !layout.is_marked(&name, slot, place, word);
    read.places.iter().filter(waits).count()
}

#[test]
fn what_was_written_is_found_again() {
    let (bytes, places) = made(&layout(), 20);
    let read = read(&bytes);
    assert_eq!(read.found.layout, layout());
    assert_eq!(read.places, places[..20]);
    assert_eq!(
        (read.found.walk.extents.len(), read.found.walk.extents[0].clone()),
        (1, BODY..places[20])
    );
    assert_eq!((read.found.walk.damaged_bytes, read.found.walk.is_torn), (0, false));
    assert!(read.faults.is_empty() && !read.found.is_mended);
    assert_eq!(read.models, HashSet::from([1]));
    assert!(read_bytes(&[0; LEN]).unwrap().is_none() && read_bytes(&[]).unwrap().is_none());
}

#[test]
fn a_record_that_was_not_finished_is_told_and_not_read() {
    let (whole, places) = made(&layout(), 5);
    let frame = entry(&mut IdSource::new(0, 0), 6);
    for written in [4, 8, 40, frame.len() - 4] {
        let mut bytes = whole.clone();
        bytes[places[5] + 4..places[5] + 4 + written].copy_from_slice(&frame[4..4 + written]);
        let walk = read(&bytes).found.walk;
        assert_eq!((walk.frames, walk.is_torn, walk.damaged_bytes), (5, true, 0));
    }
}

#[test]
fn damage_costs_the_record_it_hits_and_no_other() {
    let (mut whole, places) = made(&layout(), 50);
    seal(&mut whole, places[50]);
    for (victim, offset, with) in [
        (0, 0, 0_u32),
        (10, 0, 7),
        (11, 4, 1),
        (30, 20, 5),
        (49, 0, u32::MAX - 7),
    ] {
        let mut bytes = whole.clone();
        let at = places[victim] + offset;
        let before = u32::from_le_bytes(*bytes[at..].first_chunk().unwrap());
        let after = if with == 0 { 0 } else { before ^ with };
        bytes[at..at + 4].copy_from_slice(&after.to_le_bytes());
        let walk = read(&bytes).found.walk;
        assert_eq!(walk.frames, 49, "record {victim}");
        assert!(
            walk.damaged_bytes >= places[victim + 1] - places[victim],
            "record {victim}"
        );
        assert!(!walk.is_torn, "record {victim}");
    }
}

#[test]
fn frames_that_were_moved_are_none() {
    let (mut bytes, places) = made(&layout(), 200);
    // A page of the file lies where another belongs.
    bytes.copy_within(2 * BODY..3 * BODY, 3 * BODY);
    let found = read(&bytes).found.walk;
    let whole = places[..200].iter().zip(&places[1..]);
    let hit = whole.filter(|&(&from, &to)| to > 3 * BODY && from < 4 * BODY).count();
    assert_eq!(found.frames, 200 - hit as u64);
    assert!(found.damaged_bytes >= BODY);
}

#[test]
fn frames_of_another_file_do_not_make_it_that_file() {
    let (mut bytes, places) = made(&layout(), 3);
    let (other, _) = made(&Layout::new(layout().serial + 1, LEN, 3, 7, SINKS.len()), 3);
    bytes[BODY..2 * BODY].copy_from_slice(&other[BODY..2 * BODY]);
    let read = read(&bytes);
    assert_eq!((read.found.layout, read.places.len()), (layout(), 0));
    assert!(
        read.found.walk.damaged_bytes >= places[3] - BODY,
        "what was there is counted"
    );
}

#[test]
fn one_head_is_enough_and_without_any_the_frames_tell() {
    let (mut whole, places) = made(&layout(), 40);
    set_checkpoint(&mut whole, &layout(), 1, SINKS[1], places[30] as u64);
    for damage in [
        0..BODY,
        LEN - BODY..LEN,
        0..8,
        8..9,
        16..17,
        60..100,
        LEN - BODY + 20..LEN - BODY + 21,
    ] {
        let mut bytes = whole.clone();
        bytes[damage.clone()].iter_mut().for_each(|byte| *byte = !*byte);
        let read = read(&bytes);
        assert_eq!((read.found.layout, read.places.len()), (layout(), 40), "{damage:?}");
        assert_eq!(
            (left(&read, "parquet"), left(&read, "firehose")),
            (40, 10),
            "{damage:?}"
        );
        assert!(read.found.is_mended && !read.faults.is_empty(), "{damage:?}");
    }
    for zeros in [true, false] {
        let mut bytes = whole.clone();
        for from in [0, LEN - BODY] {
            bytes[from..from + BODY].fill(if zeros { 0 } else { 0xA5 });
        }
        let read = read(&bytes);
        let found = read.found.layout;
        assert_eq!((found.serial, found.tag, found.shard), (8, layout().tag, 3));
        assert_eq!((read.places.len(), left(&read, "firehose")), (40, 40));
    }
    // Nothing agrees any more: an error, so that the file is put aside.
    let mut bytes = whole;
    bytes
        .iter_mut()
        .for_each(|byte| *byte = byte.wrapping_mul(31).wrapping_add(7));
    assert!(read_bytes(&bytes).is_err());
}

#[test]
fn every_bit_of_checkpoints_and_marks_costs_no_record() {
    let layout = layout();
    let (mut whole, places) = made(&layout, 40);
    set_checkpoint(&mut whole, &layout, 1, SINKS[1], places[10] as u64);
    let name = name_of(SINKS[1]);
    for place in [places[20], places[25]] {
        let word = |at: usize| u64::from_le_bytes(*whole[layout.marks_at() + at - BODY..].first_chunk().unwrap());
        let (at, value) = layout.mark(&name, 1, place, word).unwrap();
        whole[layout.marks_at() + at - BODY..][..8].copy_from_slice(&value.to_le_bytes());
    }
    assert_eq!(left(&read(&whole), SINKS[1]), 28);
    let (marks, first) = (
        layout.marks_at()..layout.marks_at() + layout.marks_bytes(),
        HEAD_BYTES..HEAD_BYTES + 128,
    );
    // All but the end of a slot, which is for later.
    let first = first.filter(|at| at % 64 < NAME_BYTES + 8);
    for at in marks.chain(first.clone()).chain(first.map(|at| LEN - BODY + at)) {
        for bit in 0..8 {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << bit;
            let read = read(&bytes);
            assert_eq!(read.places.len(), 40);
            assert!(
                left(&read, SINKS[0]) == 40 && left(&read, SINKS[1]) >= 28,
                "byte {at}, bit {bit}"
            );
            assert!(!read.faults.is_empty(), "byte {at}, bit {bit}");
        }
    }
}

#[test]
fn a_wrong_checkpoint_means_all_again() {
    let (whole, places) = made(&layout(), 10);
    for wrong in [places[4] + 8, places[10] + 8, LEN * 2, 8] {
        let mut bytes = whole.clone();
        set_checkpoint(&mut bytes, &layout(), 0, SINKS[0], wrong as u64);
        assert_eq!(left(&read(&bytes), SINKS[0]), 10, "{wrong}");
    }
    for (right, expected) in [(places[4] as u64, 6), (places[10] as u64, 0), (ALL, 0)] {
        let mut bytes = whole.clone();
        set_checkpoint(&mut bytes, &layout(), 0, SINKS[0], right);
        assert_eq!(left(&read(&bytes), SINKS[0]), expected);
    }
}

#[test]
fn what_was_cut_off_is_told() {
    let (whole, places) = made(&layout(), 100);
    for keep in [places[50], places[50] + 20, BODY, 3 * BODY] {
        let read = read(&whole[..keep]);
        let expected = places[1..].iter().filter(|&&end| end <= keep).count();
        assert_eq!(read.places.len(), expected, "{keep}");
        assert!(read.found.walk.damaged_bytes > 0, "{keep}");
    }
}

/// A file as the builds before have left it: one head whose checksum does not cover its version, bare offsets, bare
/// marks of 64 bits a word, and checksums of frames that know nothing of their places.
fn of_before(version: u32, acknowledged: u64, marked_place: Option<usize>) -> (Vec<u8>, Vec<usize>) {
    let tag = 0x5A5A_1234_u32;
    let slots = if version == 1 { 0 } else { 2_u64 };
    let mut bytes = vec![0; LEN];
    let words: [(usize, u64); 6] = [
        (0, u64::from_le_bytes(*b"QNTSPOOL")),
        (16, 5),
        (24, LEN as u64),
        (32, u64::from(tag) | 3 << 32),
        (40, 1_700_000_000_000_000),
        (48, slots),
    ];
    for (at, word) in words {
        bytes[at..at + 8].copy_from_slice(&word.to_le_bytes());
    }
    let crc = crc32fast::hash(&bytes[16..64]);
    bytes[8..12].copy_from_slice(&version.to_le_bytes());
    bytes[12..16].copy_from_slice(&crc.to_le_bytes());
    for (slot, sink) in SINKS.iter().enumerate() {
        let at = 64 + 64 * slot;
        bytes[at..at + sink.len()].copy_from_slice(sink.as_bytes());
        let offset = if slot == 1 { acknowledged } else { 4096 };
        bytes[at + 48..at + 56].copy_from_slice(&offset.to_le_bytes());
    }
    let (mut places, mut ids) = (vec![4096], IdSource::new(3, 1));
    for number in 0..10 {
        let mut frame = entry(&mut ids, number);
        let crc = u32::from_le_bytes(*frame[4..].first_chunk().unwrap()) ^ tag;
        frame[4..8].copy_from_slice(&crc.to_le_bytes());
        let at = *places.last().unwrap();
        bytes[at..at + frame.len()].copy_from_slice(&frame);
        places.push(at + frame.len());
    }
    if let Some(place) = marked_place {
        let marks = LEN - LEN / 64 / 8;
        bytes[marks + place / 64 / 8] |= 1 << (place / 64 % 8);
    }
    (bytes, places)
}

#[test]
fn files_of_builds_before_are_read_and_go_on_as_they_are() {
    let (_, places) = of_before(2, 4096, None);
    for version in [1, 2] {
        let (bytes, _) = of_before(version, places[4] as u64, (version == 2).then_some(places[6]));
        let read = read(&bytes);
        let layout = read.found.layout;
        assert_eq!((layout.version, layout.serial, layout.shard), (version, 5, 3));
        assert_eq!(
            (read.places.as_slice(), read.found.walk.damaged_bytes),
            (&places[..10], 0)
        );
        assert_eq!(left(&read, SINKS[0]), 10);
        assert_eq!(left(&read, SINKS[1]), if version == 2 { 5 } else { 6 });
        assert!(read.faults.is_empty());
        // What is written again is what that build reads.
        assert_eq!(layout.encode(), bytes[..64]);
        assert_eq!(layout.checkpoint(&name_of(SINKS[1]), 1, 77), 77);
        assert_eq!(layout.heads().collect::<Vec<_>>(), [0]);
    }
    let (mut bytes, _) = of_before(2, 4096, None);
    bytes[..4096].fill(0);
    assert_eq!(read(&bytes).places.len(), 10, "its frames tell");
    // A build that comes later may know what this is.
    let head = Layout {
        version: 4,
        ..super::tests::layout()
    };
    bytes[..64].copy_from_slice(&head.encode());
    bytes[4096..].fill(0);
    assert_eq!(read_bytes(&bytes).map(|_| ()).unwrap_err(), HeadError::Version(4));
}

/// Anything at all may lie in a file: nothing panics, and no record comes out that was not written.
#[test]
fn random_damage_loses_what_it_hits_and_invents_nothing() {
    let (mut whole, places) = made(&layout(), 200);
    seal(&mut whole, places[200]);
    let original: Vec<&[u8]> = places.windows(2).map(|range| &whole[range[0]..range[1]]).collect();
    let mut random = fastrand::Rng::with_seed(14);
    for round in 0..3_000 {
        let mut bytes = whole.clone();
        for _ in 0..=random.usize(..3) {
            match random.u8(..5) {
                0 => bytes[random.usize(..LEN)] ^= 1 << random.u8(..8),
                1 => {
                    let page = random.usize(..LEN / BODY) * BODY;
                    bytes[page..page + BODY].fill(0);
                }
                2 => {
                    let (from, to) = (random.usize(..LEN / BODY), random.usize(..LEN / BODY));
                    bytes.copy_within(from * BODY..(from + 1) * BODY, to * BODY);
                }
                3 => {
                    let at = random.usize(..LEN - 64);
                    bytes[at..at + 64].iter_mut().for_each(|byte| *byte = random.u8(..));
                }
                _ => bytes.truncate(random.usize(BODY + 8..=LEN).next_multiple_of(8).min(bytes.len())),
            }
            bytes.resize(LEN.min(bytes.len().max(BODY + 8)), 0);
            if bytes.len() < LEN {
                break;
            }
        }
        let Ok(Some(read)) = read_bytes(&bytes) else {
            continue; // Put aside: told.
        };
        for &place in &read.places {
            let number = places
                .binary_search(&place)
                .unwrap_or_else(|_| panic!("round {round}: a record at {place}"));
            assert_eq!(
                &bytes[place..place + original[number].len()],
                original[number],
                "round {round}"
            );
        }
        let lost = 200 - read.places.len();
        assert!(
            lost == 0 || read.found.walk.damaged_bytes > 0 || read.faults.iter().any(|fault| fault == BOTH_HEADS),
            "round {round}: {lost} lost and not told"
        );
        for sink in SINKS {
            assert_eq!(
                left(&read, sink),
                read.places.len(),
                "round {round}: {sink} has acknowledged nothing"
            );
        }
    }
}
