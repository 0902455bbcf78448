//! Round trips of odd values, and damage of every byte.

use super::*;

fn entry<'a>(lead_id: &'a str, request_id: &'a str, row: &'a [f64]) -> Entry<'a> {
    Entry {
        record_id: Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001),
        time_us: 1_764_000_000_123_456,
        model: 7,
        shard: 255,
        score: Some(4),
        latency_ns: 2_345,
        lead_id,
        request_id,
        margins: &[-0.0, 1.5],
        predictions: &[0.75],
        row,
        source: Source::Local,
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
            model: frame.model,
            shard: frame.shard,
            score: frame.score,
            latency_ns: frame.latency_ns,
            lead_id: frame.lead_id,
            request_id: frame.request_id,
            margins: &[],
            predictions: &[],
            row: &[],
            source: frame.source.unwrap(),
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
        Source::SageMaker,
        Source::Fallback(""),
        Source::Fallback("the 🦀 was late"),
    ] {
        check(&Entry {
            source,
            ..entry("lead", "request", &odd)
        });
    }
}

#[test]
fn a_long_reason_is_cut_between_characters() {
    let reason = format!("x{}", "ü".repeat(REASON_BYTES_MAX));
    let long = Entry {
        source: Source::Fallback(&reason),
        ..entry("lead", "request", &[1.0])
    };
    let mut bytes = Vec::new();
    long.encode(&mut bytes);
    assert!(bytes.len() <= frame_bytes_max(2, 1, 1));
    let kept = decode(&bytes).unwrap().0.source.unwrap().reason().unwrap();
    assert_eq!(kept, &reason[..REASON_BYTES_MAX - 1]);
}

/// A spool may hold frames of the version before: bytes as that one wrote them.
#[test]
fn frames_of_version_1_are_read() {
    let mut bytes = Vec::new();
    let new = entry("lead-1", "request-1", &[1.0, f64::NAN]);
    new.encode(&mut bytes);
    bytes.drain(HEAD_MIN..HEAD);
    bytes[8] = 1;
    let length = u32::try_from(bytes.len()).unwrap();
    bytes[..CRC].copy_from_slice(&length.to_le_bytes());
    let sum = checksum(&bytes);
    bytes[CRC..CHECKED].copy_from_slice(&sum.to_le_bytes());
    assert!(may_begin(&bytes));
    let (frame, length) = decode(&bytes).unwrap();
    assert_eq!((length, frame.source), (bytes.len(), None));
    assert_eq!(
        (frame.lead_id, frame.request_id, frame.score),
        ("lead-1", "request-1", Some(4))
    );
    assert_eq!(frame.row.iter().map(f64::to_bits).collect::<Vec<_>>(), bits(new.row));
}

#[test]
fn encoding_into_enough_room_keeps_the_buffer() {
    let mut bytes = Vec::with_capacity(frame_bytes_max(2, 1, 50));
    let before = (bytes.as_ptr(), bytes.capacity());
    let row = [1.0; 50];
    let lead = "z".repeat(LEAD_ID_BYTES_MAX);
    let request = "z".repeat(REQUEST_ID_BYTES_MAX);
    let reason = "z".repeat(REASON_BYTES_MAX);
    let longest = Entry {
        source: Source::Fallback(&reason),
        ..entry(&lead, &request, &row)
    };
    longest.encode(&mut bytes);
    assert_eq!((bytes.as_ptr(), bytes.capacity()), before);
    assert_eq!(bytes.len(), frame_bytes_max(2, 1, 50));
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
            assert!(matches!(decode(&bytes), Err(FrameError::Parts(_))));
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
