//! The outbox against a stream played by the test: what it sends, what it sends again, and what it gives up.

use std::collections::BTreeSet;

use super::outbox::*;
use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn refused(code: &str) -> Option<Refused> {
    Some(Refused {
        code: code.into(),
        message: "on purpose".into(),
    })
}

fn texts(batch: &Batch) -> Vec<String> {
    let text = |parcel: &PendingRecord| String::from_utf8(parcel.bytes().to_vec()).unwrap();
    batch.parcels.iter().map(text).collect()
}

fn accept(batch: &Batch) -> Outcome {
    Outcome::Answered(vec![None; batch.parcels.len()])
}

fn filled(records: usize, now: Instant) -> Outbox {
    let mut outbox = Outbox::new(0);
    for number in 0..records {
        outbox.push(format!("r{number}").into_bytes(), now).unwrap();
    }
    outbox
}

/// The moment at which a batch is due, and the batch.
fn next(outbox: &mut Outbox, now: &mut Instant) -> Batch {
    if let Some(batch) = outbox.next(*now) {
        return batch;
    }
    *now = outbox.due().expect("something waits").max(*now);
    outbox.next(*now).expect("it is due now")
}

#[test]
fn calls_keep_the_limits_of_the_service() {
    let mut now = Instant::now();
    let mut outbox = filled(1_201, now);
    let sizes: Vec<_> = (0..2).map(|_| outbox.next(now).unwrap().parcels.len()).collect();
    assert_eq!(sizes, [500, 500]);
    assert!(outbox.next(now).is_none(), "201 records wait for company");
    assert_eq!(next(&mut outbox, &mut now).parcels.len(), 201);

    let mut outbox = Outbox::new(0);
    for _ in 0..9 {
        outbox.push(vec![b'x'; 1 << 19], now).unwrap();
    }
    assert_eq!(outbox.next(now).unwrap().parcels.len(), 8, "4 MiB and no byte more");
    let largest = vec![b'x'; RECORD_BYTES_MAX];
    outbox.push(largest, now).unwrap();
    let dead = outbox.push(vec![b'x'; RECORD_BYTES_MAX + 1], now).unwrap_err();
    assert_eq!((dead.number, dead.bytes.len()), (10, RECORD_BYTES_MAX + 1));
    assert!(
        dead.reason.starts_with("RecordTooLarge: 1024001 bytes"),
        "{}",
        dead.reason
    );
}

#[test]
fn only_the_refused_are_sent_again_and_the_lowest_holds_the_end() {
    let mut now = Instant::now();
    let mut outbox = filled(6, now);
    let batch = next(&mut outbox, &mut now);
    let verdicts = (0..6).map(|index| {
        if index % 3 == 1 {
            refused("InternalFailure")
        } else {
            None
        }
    });
    let settled = outbox.settle(batch, Outcome::Answered(verdicts.collect()), now);
    assert_eq!((settled.accepted.len(), settled.failed, settled.throttled), (4, 2, 0));
    assert_eq!(outbox.end(), 1, "record 1 is not delivered");
    // Each waits for itself, for a time that is partly chance: either may be the first.
    let mut resent = Vec::new();
    while !outbox.is_empty() {
        let again = next(&mut outbox, &mut now);
        let is_one_done = resent.contains(&"r1".to_owned());
        assert_eq!(outbox.end(), if is_one_done { 4 } else { 1 });
        resent.extend(texts(&again));
        let outcome = accept(&again);
        outbox.settle(again, outcome, now);
    }
    resent.sort_unstable();
    assert_eq!(resent, ["r1", "r4"]);
    assert_eq!(outbox.end(), 6);
}

#[test]
fn a_quota_slows_the_stream_and_kills_no_record() {
    let mut now = Instant::now();
    let mut outbox = filled(2_000, now);
    for _ in 0..200 {
        let batch = next(&mut outbox, &mut now);
        let count = batch.parcels.len();
        let settled = outbox.settle(batch, Outcome::Throttled("Slow down.".into()), now);
        assert_eq!((settled.throttled, settled.failed), (count, 0));
        assert!(outbox.next(now).is_none(), "it pauses");
    }
    assert!(outbox.due().unwrap() > now + 14 * SECOND, "pauses have grown");
    // One call at a time, and each success allows one more.
    let first = next(&mut outbox, &mut now);
    assert!(outbox.next(now).is_none());
    let outcome = accept(&first);
    outbox.settle(first, outcome, now);
    assert!(outbox.next(now).is_some() && outbox.next(now).is_some() && outbox.next(now).is_none());

    // The documented per-record code is a quota too.
    let mut outbox = filled(2, now);
    for _ in 0..50 {
        let batch = next(&mut outbox, &mut now);
        let verdicts = vec![refused("ServiceUnavailableException"); batch.parcels.len()];
        let settled = outbox.settle(batch, Outcome::Answered(verdicts), now);
        assert!(settled.throttled > 0 && settled.dead.is_empty());
    }
}

#[test]
fn calls_that_fail_together_count_as_one_failure() {
    let now = Instant::now();
    let mut outbox = filled(2_000, now);
    let batches: Vec<_> = (0..4).map(|_| outbox.next(now).unwrap()).collect();
    for batch in batches {
        outbox.settle(batch, Outcome::Failed("reset".into()), now);
    }
    assert!(outbox.due().unwrap() <= now + Duration::from_millis(100));
}

#[test]
fn an_outage_of_any_length_kills_no_record() {
    let mut now = Instant::now();
    let mut outbox = filled(700, now);
    for _ in 0..500 {
        let batch = next(&mut outbox, &mut now);
        assert!(
            outbox
                .settle(batch, Outcome::Failed("refused".into()), now)
                .dead
                .is_empty()
        );
    }
    let mut seen = BTreeSet::new();
    while !outbox.is_empty() {
        let batch = next(&mut outbox, &mut now);
        seen.extend(texts(&batch));
        let outcome = accept(&batch);
        outbox.settle(batch, outcome, now);
    }
    assert_eq!(seen.len(), 700);
}

#[test]
fn an_answer_that_does_not_fit_is_no_delivery() {
    let mut now = Instant::now();
    let mut outbox = filled(3, now);
    let batch = next(&mut outbox, &mut now);
    let settled = outbox.settle(batch, Outcome::Answered(vec![None; 2]), now);
    assert_eq!((settled.accepted.len(), settled.failed, outbox.end()), (0, 3, 0));
    assert_eq!(texts(&next(&mut outbox, &mut now)), ["r0", "r1", "r2"]);
}

/// A stream that calls every call invalid in which a certain record is.
fn picky(batch: &Batch, poison: &str) -> Outcome {
    if texts(batch).iter().any(|text| text == poison) {
        Outcome::Invalid("ValidationException: on purpose".into())
    } else {
        accept(batch)
    }
}

#[test]
fn a_record_that_spoils_every_call_is_found_and_the_rest_is_delivered() {
    let mut now = Instant::now();
    let mut outbox = filled(500, now);
    let (mut dead, mut calls, mut taken) = (Vec::new(), 0, BTreeSet::new());
    while dead.is_empty() {
        let batch = next(&mut outbox, &mut now);
        let outcome = picky(&batch, "r123");
        if matches!(outcome, Outcome::Answered(_)) {
            taken.extend(texts(&batch));
        }
        dead.extend(outbox.settle(batch, outcome, now).dead);
        calls += 1;
        if outbox.end() == 123 && taken.len() == 499 && dead.is_empty() {
            // Alone with it nothing proves that the stream works: another record does.
            outbox.push(b"another".to_vec(), now).unwrap();
        }
        assert!(calls < 60, "halving finds one of 500 in a few calls");
    }
    assert_eq!((dead[0].number, dead[0].bytes.as_slice()), (123, &b"r123"[..]));
    assert!(dead[0].reason.contains("ValidationException"), "{}", dead[0].reason);
    assert!(taken.len() >= 499);
    assert_eq!(outbox.end(), 123, "it is not done before it is buried");
    outbox.buried(123);
    assert!(outbox.end() >= 500);
}

#[test]
fn a_stream_that_refuses_everything_kills_no_record_and_is_asked_seldom() {
    let mut now = Instant::now();
    let start = now;
    let mut outbox = filled(500, now);
    for _ in 0..2_000 {
        let batch = next(&mut outbox, &mut now);
        let invalid = Outcome::Invalid("InvalidArgumentException: not a direct put stream".into());
        assert!(outbox.settle(batch, invalid, now).dead.is_empty());
    }
    assert!(now > start + 10_000 * SECOND, "2,000 calls take hours");
}

#[test]
fn a_record_that_is_refused_while_others_are_taken_dies_in_the_end() {
    let mut now = Instant::now();
    let mut outbox = filled(1, now);
    let mut refusals = 0;
    let dead = loop {
        outbox.push(b"other".to_vec(), now).unwrap();
        let batch = next(&mut outbox, &mut now);
        let verdict = |text: &String| if text == "r0" { refused("InternalFailure") } else { None };
        let verdicts: Vec<_> = texts(&batch).iter().map(verdict).collect();
        refusals += verdicts.iter().flatten().count();
        let settled = outbox.settle(batch, Outcome::Answered(verdicts), now);
        if let Some(dead) = settled.dead.into_iter().next() {
            break dead;
        }
        assert!(refusals < 100);
    };
    assert_eq!((dead.number, refusals), (0, 20));
}

#[test]
fn at_the_end_nothing_waits_long() {
    let mut now = Instant::now();
    let mut outbox = filled(3, now);
    for _ in 0..20 {
        let batch = next(&mut outbox, &mut now);
        outbox.settle(batch, Outcome::Failed("down".into()), now);
    }
    outbox.end_soon(now);
    assert!(outbox.due().unwrap() <= now + SECOND);
    now += SECOND;
    let batch = outbox.next(now).unwrap();
    outbox.settle(batch, Outcome::Failed("down".into()), now);
    assert!(outbox.due().unwrap() <= now + SECOND);
}

/// Random answers: every record is accepted exactly once or dead, and the end never passes one that is neither.
#[test]
fn whatever_the_stream_answers_every_record_is_accounted_for() {
    for seed in 0..20 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut now = Instant::now();
        let mut outbox = Outbox::new(7);
        let (mut pushed, mut under_way, mut ended) = (7_u64, Vec::new(), BTreeSet::new());
        for step in 0..1_000 {
            if step < 700 && outbox.wants() && random.u8(..) < 200 {
                let size = random.usize(1..=RECORD_BYTES_MAX / 50) * if random.u8(..) < 4 { 60 } else { 1 };
                let mut bytes = pushed.to_le_bytes().to_vec();
                bytes.resize(size.max(8), b'x');
                if let Err(dead) = outbox.push(bytes, now) {
                    assert!(dead.bytes.len() > RECORD_BYTES_MAX);
                    assert!(ended.insert(dead.number));
                    outbox.buried(dead.number);
                }
                pushed += 1;
            }
            while let Some(batch) = outbox.next(now) {
                let bytes: usize = batch.parcels.iter().map(|parcel| parcel.bytes().len()).sum();
                assert!(bytes <= BATCH_BYTES_MAX && batch.parcels.len() <= BATCH_RECORDS_MAX);
                under_way.push(batch);
                assert!(under_way.len() <= 4);
            }
            if !under_way.is_empty() && random.bool() {
                let batch = under_way.swap_remove(random.usize(..under_way.len()));
                let number = |parcel: &PendingRecord| u64::from_le_bytes(*parcel.bytes().first_chunk().unwrap());
                let numbers: Vec<_> = batch.parcels.iter().map(number).collect();
                let outcome = match random.u8(..10) {
                    0 => Outcome::Throttled(String::new()),
                    1 => Outcome::Failed("x".repeat(2_000)),
                    2 => Outcome::Invalid(String::new()),
                    3 => Outcome::Answered(Vec::new()),
                    _ => Outcome::Answered(
                        numbers
                            .iter()
                            .map(|_| match random.u8(..20) {
                                0 => refused("ServiceUnavailableException"),
                                1 => refused("InternalFailure"),
                                2 => refused("ValidationException"),
                                _ => None,
                            })
                            .collect(),
                    ),
                };
                if let Outcome::Answered(verdicts) = &outcome
                    && verdicts.len() == numbers.len()
                {
                    for (&number, _) in numbers.iter().zip(verdicts).filter(|(_, verdict)| verdict.is_none()) {
                        assert!(ended.insert(number), "{number} was delivered twice");
                    }
                }
                for dead in outbox.settle(batch, outcome, now).dead {
                    assert!(ended.insert(dead.number));
                    outbox.buried(dead.number);
                }
            }
            now += Duration::from_millis(random.u64(..2_000));
            let lowest_left = (7..pushed).find(|number| !ended.contains(number)).unwrap_or(pushed);
            assert_eq!(outbox.end(), lowest_left);
        }
        for batch in under_way {
            let outcome = accept(&batch);
            outbox.settle(batch, outcome, now);
        }
        while !outbox.is_empty() {
            let batch = next(&mut outbox, &mut now);
            let outcome = accept(&batch);
            outbox.settle(batch, outcome, now);
        }
        assert_eq!(outbox.end(), pushed);
    }
}
