//! Round trips of odd values, and damage of every byte.

use super::super::{ProtocolName, Role};
use super::*;
use crate::limits::{FEATURES_FROM_BYTES_MAX, REASONS_BYTES_MAX};

fn entry<'a>(lead_id: &'a str, request_id: &'a str, row: &'a [f64]) -> Entry<'a> {
    Entry {
        record_id: Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001),
        time_us: 1_764_000_000_123_456,
        model_number: 7,
        shard: 255,
        score: Some(4),
        latency_ns: 2_345,
        lead_id,
        request_id,
        margins: &[-0.0, 1.5],
        predictions: &[0.75],
        row,
        source: RecordSource::Local,
        extras: Extras::default(),
    }
}

fn bits(values: &[f64]) -> Vec<u64> {
    values.iter().map(|value| value.to_bits()).collect()
}

fn check(entry: &Entry<'_>) {
    let mut bytes = b"what was there before is overwritten".to_vec();
    entry.encode(&mut bytes);
    assert!(
        bytes.len() <= frame_bytes_max(entry.margins.len(), entry.predictions.len(), entry.row.len()),
        "{} bytes",
        bytes.len()
    );
    // The same at every alignment, and with bytes behind.
    for shift in 0..8 {
        let mut shifted = vec![0xAA; shift];
        shifted.extend_from_slice(&bytes);
        shifted.extend_from_slice(&[0xBB; 5]);
        let (frame, length) = decode(&shifted[shift..]).unwrap();
        assert_eq!(length, bytes.len());
        let [margins, predictions, row] =
            [frame.margins, frame.predictions, frame.row].map(|part| part.iter().collect::<Vec<f64>>());
        assert_eq!(bits(&margins), bits(entry.margins));
        assert_eq!(bits(&predictions), bits(entry.predictions));
        assert_eq!(bits(&row), bits(entry.row));
        assert_eq!(frame.row.len(), entry.row.len());
        assert_eq!(
            frame.row.get(0).map(f64::to_bits),
            entry.row.first().map(|x| x.to_bits())
        );
        assert_eq!(frame.row.get(entry.row.len()), None);
        let back = Entry {
            record_id: frame.record_id,
            time_us: frame.time_us,
            model_number: frame.model_number,
            shard: frame.shard,
            score: frame.score,
            latency_ns: frame.latency_ns,
            lead_id: frame.lead_id,
            request_id: frame.request_id,
            margins: &[],
            predictions: &[],
            row: &[],
            source: frame.source.unwrap(),
            extras: frame.extras,
        };
        let stripped = Entry {
            margins: &[],
            predictions: &[],
            row: &[],
            ..*entry
        };
        assert_eq!(back, stripped);
    }
}

#[test]
fn comes_back_as_it_was() {
    let odd = [
        -0.0,
        0.0,
        f64::NAN,
        f64::from_bits(0x7FF0_0000_0000_0001),
        f64::from_bits(0xFFF8_DEAD_BEEF_0001),
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::MIN_POSITIVE / 2.0,
        f64::MAX,
    ];
    check(&entry("lead-1", "request-1", &odd));
    check(&entry("", "", &[]));
    check(&entry("Bärbel 🦀 李", "\u{10FFFF}\0", &odd[..1]));
    let (lead, request) = ("x".repeat(LEAD_ID_BYTES_MAX), "y".repeat(REQUEST_ID_BYTES_MAX));
    check(&entry(&lead, &request, &odd));
    let wide: Vec<f64> = (0..65_536).map(|column| f64::from(column) / 3.0).collect();
    check(&entry("wide", "", &wide));
    check(&Entry {
        margins: &[],
        predictions: &[],
        score: None,
        time_us: i64::MIN,
        ..entry("", "", &[])
    });
    for source in [
        RecordSource::SageMaker,
        RecordSource::Fallback(""),
        RecordSource::Fallback("the 🦀 was late"),
    ] {
        check(&Entry {
            source,
            ..entry("lead", "request", &odd)
        });
    }
    let (reasons, from) = ("r".repeat(REASONS_BYTES_MAX), "f".repeat(FEATURES_FROM_BYTES_MAX));
    let most = Extras::of(ProtocolName::SageMaker).with_role(Role::Challenger);
    let most = most
        .with_reasons(&reasons)
        .and_then(|most| most.with_features_from(&from));
    for extras in [Extras::of(ProtocolName::Native), most.unwrap()] {
        check(&Entry {
            extras,
            ..entry(&lead, &request, &odd)
        });
    }
}

#[test]
fn a_long_reason_is_cut_between_characters() {
    let reason = format!("x{}", "ü".repeat(REASON_BYTES_MAX));
    let long = Entry {
        source: RecordSource::Fallback(&reason),
        ..entry("lead", "request", &[1.0])
    };
    let mut bytes = Vec::new();
    long.encode(&mut bytes);
    assert!(bytes.len() <= frame_bytes_max(2, 1, 1));
    let kept = decode(&bytes).unwrap().0.source.unwrap().reason().unwrap();
    assert_eq!(kept, &reason[..REASON_BYTES_MAX - 1]);
}

/// Frames as builds of before wrote them, byte for byte. A spool may hold them.
const VERSION_1: &[u8] = include_bytes!("../../../fuzz/seeds/record/one");
const VERSION_2: &[u8] = include_bytes!("../../../fuzz/seeds/record/version-2");

#[test]
fn frames_of_earlier_versions_are_read() {
    assert_eq!((VERSION_1[8], VERSION_2[8]), (1, 2));
    assert!(may_begin(VERSION_1) && may_begin(VERSION_2));
    let (frame, length) = decode(VERSION_1).unwrap();
    assert_eq!(
        (length, frame.source, frame.extras),
        (VERSION_1.len(), None, Extras::default())
    );
    assert_eq!(
        (frame.lead_id, frame.request_id, frame.score),
        ("lead-1", "01a20e7f", Some(3))
    );
    let row: Vec<f64> = frame.row.iter().collect();
    assert_eq!(bits(&row), bits(&[1.0, f64::NAN, -0.0]));

    let (frame, length) = decode(VERSION_2).unwrap();
    assert_eq!(
        (length, frame.source, frame.extras),
        (VERSION_2.len(), Some(RecordSource::Local), Extras::default())
    );
    assert_eq!(
        (frame.lead_id, frame.request_id, frame.score, frame.latency_ns),
        ("old-1", "01a22e6f-47cb-7395-8002-1d7a7234738e", Some(5), 17_036)
    );
    let row: Vec<f64> = frame.row.iter().collect();
    assert_eq!(bits(&row), bits(&[2.0, 1.5, 2.0]));
}

#[test]
fn a_tail_is_checked_and_what_a_later_build_says_in_it_is_skipped() {
    let seal = |bytes: &mut Vec<u8>| {
        let sum = checksum(bytes);
        bytes[CRC..CHECKED].copy_from_slice(&sum.to_le_bytes());
    };
    let later = include_bytes!("../../../fuzz/seeds/record/later-tag");
    assert_eq!(decode(later).unwrap().0.extras.protocol(), Some("v9"));

    let mut bytes = Vec::new();
    let extras = Extras::of(ProtocolName::Native).with_role(Role::Champion);
    let entry = Entry {
        extras,
        ..entry("lead", "", &[1.0])
    };
    entry.encode(&mut bytes);
    assert_eq!(decode(&bytes).unwrap().0.extras, extras);
    for (place, value) in [(68, 1), (68, 0xFF), (71, 0x80), (65, 1)] {
        let mut wrong = bytes.clone();
        wrong[place] = value;
        seal(&mut wrong);
        assert!(
            matches!(decode(&wrong), Err(FrameError::FrameParts(_))),
            "byte {place} is {value}"
        );
    }
}

#[test]
fn encoding_into_enough_room_keeps_the_buffer() {
    let mut bytes = Vec::with_capacity(frame_bytes_max(2, 1, 50));
    let before = (bytes.as_ptr(), bytes.capacity());
    let row = [1.0; 50];
    let lead = "z".repeat(LEAD_ID_BYTES_MAX);
    let request = "z".repeat(REQUEST_ID_BYTES_MAX);
    let reason = "z".repeat(REASON_BYTES_MAX);
    let (reasons, from) = ("r".repeat(REASONS_BYTES_MAX), "f".repeat(FEATURES_FROM_BYTES_MAX));
    let extras = Extras::of(ProtocolName::SageMaker).with_role(Role::Challenger);
    let extras = extras
        .with_reasons(&reasons)
        .and_then(|extras| extras.with_features_from(&from));
    let longest = Entry {
        source: RecordSource::Fallback(&reason),
        extras: extras.unwrap(),
        ..entry(&lead, &request, &row)
    };
    longest.encode(&mut bytes);
    assert_eq!((bytes.as_ptr(), bytes.capacity()), before);
    // Words of later builds may be longer than today's.
    let room = frame_bytes_max(2, 1, 50) - bytes.len();
    assert!(room <= 64, "{room} bytes are left");
}

#[test]
fn every_damaged_byte_is_noticed() {
    let mut bytes = Vec::new();
    entry("lead-ü", "request", &[1.0, f64::NAN, -3.25]).encode(&mut bytes);
    // Another frame follows, as in a queue: a grown length must not pass by swallowing it.
    let length = bytes.len();
    let followed = [bytes.clone(), bytes.clone()].concat();
    for place in 0..length {
        for flip in 1..=255u8 {
            let mut damaged = followed.clone();
            damaged[place] ^= flip;
            assert!(decode(&damaged).is_err(), "byte {place} with {flip:#x} went unnoticed");
            assert!(
                decode(&damaged[..length]).is_err(),
                "byte {place} with {flip:#x} went unnoticed"
            );
        }
    }
}

#[test]
fn every_truncation_and_every_torn_tail_is_noticed() {
    let mut bytes = Vec::new();
    entry("lead", "request", &[1.0; 9]).encode(&mut bytes);
    for end in 0..bytes.len() {
        assert!(decode(&bytes[..end]).is_err(), "cut at {end}");
        // Memory that was written in order up to some place, zeros (or an older frame's bytes) behind it.
        for old in [0, 0x5A] {
            let mut torn = bytes.clone();
            torn[end..].fill(old);
            if torn != bytes {
                let error = decode(&torn).unwrap_err();
                assert!(end > 0 || old != 0 || error == FrameError::Unwritten, "{error}");
            }
        }
    }
}

#[test]
fn any_bytes_are_an_error_and_no_panic() {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for round in 0..20_000_u32 {
        let length = usize::try_from(random() % 200).unwrap();
        let mut bytes: Vec<u8> = (0..length).map(|_| random().to_le_bytes()[0]).collect();
        if let (Some(head), true) = (bytes.first_chunk_mut::<4>(), round % 2 == 0) {
            *head = u32::try_from(length & !7).unwrap().to_le_bytes();
        }
        // With a right checksum the counts are random and must be refused by themselves.
        let end = length & !7;
        if round % 4 == 0 && end >= HEAD {
            bytes[8] = VERSION;
            let sum = checksum(&bytes[..end]);
            bytes[CRC..CHECKED].copy_from_slice(&sum.to_le_bytes());
            assert!(matches!(decode(&bytes), Err(FrameError::FrameParts(_))));
        }
        assert!(decode(&bytes).is_err());
    }
}

#[test]
fn a_later_version_is_named() {
    let mut bytes = Vec::new();
    entry("lead", "request", &[1.0]).encode(&mut bytes);
    bytes[8] = VERSION + 1;
    let sum = checksum(&bytes);
    bytes[CRC..CHECKED].copy_from_slice(&sum.to_le_bytes());
    assert_eq!(decode(&bytes).unwrap_err(), FrameError::Version(VERSION + 1));
}
