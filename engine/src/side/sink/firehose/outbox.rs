//! What is on its way to a delivery stream: pure bookkeeping, without clock, network or file.
//!
//! ```text
//!  push ─▶ fresh ──┐            ┌─ accepted ─▶ done
//!  (too large: ────┼─▶ batch ──▶│─ refused ──▶ again, after a pause ─┐   of this record
//!   dead letter)   │    ▲       │─ the whole call failed ─▶ again ───┤   of the whole stream
//!                  │    └───────┤                                    │
//!  halves ◀────────┘            └─ the call itself is wrong ─▶ halves, until one record is alone
//! ```
//! A 200 may hold failures: they are matched by index, and only those records are sent again. The stream as a whole
//! slows down when it throttles, stops or is away; a record that is refused alone waits alone.
//!
//! A record is given up (dead letter) when the stream keeps refusing it *while it takes others*: a stream that refuses
//! everything is a fault of the set-up, which an operator repairs, and no reason to give up a single record.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use super::backoff::Backoff;
use crate::side::aws;

/// Records of a call, its bytes, and bytes of one record, before base64. All are the service's own limits:
/// <https://docs.aws.amazon.com/firehose/latest/APIReference/API_PutRecordBatch.html>
pub(super) const BATCH_RECORDS_MAX: usize = 500;
pub(super) const BATCH_BYTES_MAX: usize = 4 << 20;
pub(super) const RECORD_BYTES_MAX: usize = 1000 << 10;

/// Calls under way at once. Four of 4 MiB fill a stream's quota in every region several times over.
const CALLS_MAX: usize = 4;

/// Refusals that say the record is wrong, until it is given up. The second one rules out that the first was a mistake.
const STRIKES_WRONG: u32 = 2;

/// Refusals that do not say whose fault it is, until the record is given up: with pauses that double, after some minutes.
/// A stream that fails for every other record gives up one in a million before it recovers.
const STRIKES_UNCLEAR: u32 = 20;

/// How long a call waits to become full. Records are billed by size, so a call that is not full costs no more.
const LINGER: Duration = Duration::from_millis(100);

/// No pause is longer once the process ends.
const ENDING_PAUSE_MAX: Duration = Duration::from_secs(1);

/// Reasons are kept for the dead-letter file and log lines; a service's message may be long. Unit: bytes.
const REASON_BYTES_MAX: usize = 512;

/// What became of one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was answered: one verdict a record, in order; none for accepted ones.
    Answered(Vec<Option<Refused>>),
    /// The stream or the account is over its quota.
    Throttled(String),
    /// The service failed, was not reached, or does not let us.
    Failed(String),
    /// The service says that something in the call is wrong.
    Invalid(String),
}

/// Why the service did not take a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) code: String,
    pub(super) message: String,
}

/// What a refusal means for what is done next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Blame {
    /// Too much at once.
    Quota,
    /// The record.
    Record,
    /// Not known: the service, probably.
    Unclear,
}

impl Refused {
    fn blame(&self) -> Blame {
        match self.code.as_str() {
            // The documented code of a record that was throttled.
            "ServiceUnavailableException" | "ThrottlingException" | "LimitExceededException" => Blame::Quota,
            "ValidationException" | "InvalidArgumentException" | "SerializationException" => Blame::Record,
            _ => Blame::Unclear,
        }
    }

    fn text(&self) -> String {
        format!("{}: {}", self.code, self.message)
    }
}

/// A record on its way.
#[derive(Debug)]
pub(super) struct Parcel {
    number: u64,
    bytes: Vec<u8>,
    refusals: u32,
    strikes: u32,
    /// How many records the stream had taken when it last refused this one.
    taken_then: Option<u64>,
}

impl Parcel {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// The records of one call.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) parcels: Vec<Parcel>,
    began: u64,
}

/// A record that will never be taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Dead {
    pub(super) number: u64,
    pub(super) bytes: Vec<u8>,
    pub(super) reason: String,
}

/// What settling a call came to.
#[derive(Debug, Default)]
pub(super) struct Settled {
    /// Numbers of the records that were taken.
    pub(super) accepted: Vec<u64>,
    /// Records that will be sent again because of a quota.
    pub(super) throttled: usize,
    /// Records that will be sent again for any other reason.
    pub(super) failed: usize,
    /// Records that must be written to the dead-letter file, then [`Outbox::buried`].
    pub(super) dead: Vec<Dead>,
    /// What went wrong, if something did.
    pub(super) error: Option<String>,
}

/// See the head of this file.
#[derive(Debug)]
pub(super) struct Outbox {
    fresh: VecDeque<Parcel>,
    fresh_bytes: usize,
    /// From when on a call is made of them that is not full.
    fresh_due: Option<Instant>,
    /// Parts of calls that were refused as a whole. Each is a call of its own.
    halves: VecDeque<Vec<Parcel>>,
    /// Refused records by the moment of their next turn.
    later: BTreeMap<(Instant, u64), Parcel>,
    /// Numbers from the lowest that is not done, each with whether it is.
    window: VecDeque<bool>,
    first: u64,
    held_bytes: usize,
    calls: usize,
    calls_allowed: usize,
    /// Counts pauses: a call that began before one does not prolong it.
    round: u64,
    paused_until: Option<Instant>,
    throttle: Backoff,
    trouble: Backoff,
    alone: Backoff,
    taken: u64,
    is_ending: bool,
}

impl Outbox {
    /// Empty; the first record will have this number.
    pub(super) fn new(first: u64) -> Self {
        Self {
            fresh: VecDeque::new(),
            fresh_bytes: 0,
            fresh_due: None,
            halves: VecDeque::new(),
            later: BTreeMap::new(),
            window: VecDeque::new(),
            first,
            held_bytes: 0,
            calls: 0,
            calls_allowed: CALLS_MAX,
            round: 0,
            paused_until: None,
            throttle: Backoff::new(Duration::from_millis(200)),
            trouble: Backoff::new(Duration::from_millis(100)),
            alone: Backoff::new(Duration::from_millis(500)),
            taken: 0,
            is_ending: false,
        }
    }

    /// No more records come: nothing waits for a full call, and pauses are short.
    pub(super) fn end_soon(&mut self, now: Instant) {
        if std::mem::replace(&mut self.is_ending, true) {
            return;
        }
        let soon = now + ENDING_PAUSE_MAX;
        self.paused_until = self.paused_until.map(|until| until.min(soon));
        let later = std::mem::take(&mut self.later);
        self.later = later
            .into_iter()
            .map(|((at, number), parcel)| ((at.min(soon), number), parcel))
            .collect();
    }

    /// Whether it should be given more. It holds what all calls can take, and as much again.
    pub(super) fn wants(&self) -> bool {
        self.held_bytes < 2 * CALLS_MAX * BATCH_BYTES_MAX
    }

    /// Every number below this is done.
    pub(super) fn end(&self) -> u64 {
        self.first
    }

    /// Whether nothing is left.
    pub(super) fn is_empty(&self) -> bool {
        self.window.is_empty()
    }

    /// Takes a record over: the next number.
    ///
    /// # Errors
    /// A record that the service would never take. It is not done before it is [`Self::buried`].
    pub(super) fn push(&mut self, bytes: Vec<u8>, now: Instant) -> Result<(), Dead> {
        let number = self.first + self.window.len() as u64;
        self.window.push_back(false);
        if bytes.len() > RECORD_BYTES_MAX {
            let reason = format!(
                "RecordTooLarge: {} bytes are more than the {RECORD_BYTES_MAX} that Firehose takes",
                bytes.len()
            );
            return Err(Dead { number, bytes, reason });
        }
        self.held_bytes += bytes.len();
        self.fresh_bytes += bytes.len();
        self.fresh_due.get_or_insert(now + LINGER);
        self.fresh.push_back(Parcel {
            number,
            bytes,
            refusals: 0,
            strikes: 0,
            taken_then: None,
        });
        Ok(())
    }

    /// A dead record is safe where it now is.
    pub(super) fn buried(&mut self, number: u64) {
        self.done(number);
    }

    /// When [`Self::next`] will have something that it has not now; none when only records or answers change that.
    pub(super) fn due(&self) -> Option<Instant> {
        if self.calls >= self.calls_allowed {
            return None;
        }
        let later = self.later.first_key_value().map(|(&(at, _), _)| at);
        let ready = [self.fresh_due, later].into_iter().flatten().min();
        match (self.paused_until, ready) {
            (Some(until), Some(ready)) => Some(until.max(ready)),
            (Some(until), None) => (!self.halves.is_empty()).then_some(until),
            (None, ready) => ready,
        }
    }

    /// The next call, if one may be made now. To be asked until it has none.
    pub(super) fn next(&mut self, now: Instant) -> Option<Batch> {
        if self.paused_until.is_some_and(|until| now < until) || self.calls >= self.calls_allowed {
            return None;
        }
        self.paused_until = None;
        let parcels = match self.halves.pop_front() {
            Some(half) => half,
            None => self.fill(now),
        };
        if parcels.is_empty() {
            return None;
        }
        self.calls += 1;
        Some(Batch {
            parcels,
            began: self.round,
        })
    }

    fn fill(&mut self, now: Instant) -> Vec<Parcel> {
        let again = self.later.first_key_value().is_some_and(|(&(at, _), _)| at <= now);
        let full = self.fresh.len() >= BATCH_RECORDS_MAX || self.fresh_bytes >= BATCH_BYTES_MAX;
        let due = self.is_ending || self.fresh_due.is_some_and(|due| due <= now);
        let (mut parcels, mut bytes) = (Vec::new(), 0);
        if !(again || full || due) {
            return parcels;
        }
        while parcels.len() < BATCH_RECORDS_MAX {
            let due = self.later.first_entry().filter(|entry| entry.key().0 <= now);
            let next = due.as_ref().map(|entry| entry.get().bytes.len());
            let Some(size) = next.or_else(|| self.fresh.front().map(|parcel| parcel.bytes.len())) else {
                break;
            };
            if bytes + size > BATCH_BYTES_MAX {
                break;
            }
            bytes += size;
            match due {
                Some(entry) => parcels.push(entry.remove()),
                None => {
                    self.fresh_bytes -= size;
                    parcels.extend(self.fresh.pop_front());
                }
            }
        }
        self.fresh_due = match (self.fresh.is_empty(), full) {
            (true, _) => None,
            // What is left came later, and may wait for company.
            (false, true) => Some(now + LINGER),
            (false, false) => self.fresh_due,
        };
        parcels
    }

    /// Takes note of what became of a call.
    pub(super) fn settle(&mut self, batch: Batch, outcome: Outcome, now: Instant) -> Settled {
        self.calls -= 1;
        let began = batch.began;
        match outcome {
            Outcome::Answered(verdicts) if verdicts.len() == batch.parcels.len() => {
                self.answered(batch.parcels, verdicts, began, now)
            }
            // Which record is which is not known, so nothing is known to be taken.
            Outcome::Answered(verdicts) => {
                let (sent, got) = (batch.parcels.len(), verdicts.len());
                let why = format!("{sent} records were sent, {got} are in the answer");
                self.failed(batch.parcels, why, began, now)
            }
            Outcome::Throttled(why) => {
                self.slow_down(began, now);
                let throttled = batch.parcels.len();
                self.put_back(batch.parcels, now);
                Settled {
                    throttled,
                    error: Some(cut(why)),
                    ..Settled::default()
                }
            }
            Outcome::Failed(why) => self.failed(batch.parcels, why, began, now),
            Outcome::Invalid(why) => self.invalid(batch.parcels, &cut(why), began, now),
        }
    }

    fn answered(&mut self, parcels: Vec<Parcel>, verdicts: Vec<Option<Refused>>, began: u64, now: Instant) -> Settled {
        let mut settled = Settled::default();
        let mut refused = Vec::new();
        for (parcel, verdict) in parcels.into_iter().zip(verdicts) {
            match verdict {
                None => {
                    settled.accepted.push(parcel.number);
                    self.taken += 1;
                    self.held_bytes -= parcel.bytes.len();
                    self.done(parcel.number);
                }
                Some(why) => refused.push((parcel, why)),
            }
        }
        if !settled.accepted.is_empty() {
            self.trouble.reset();
        }
        // A call that is mostly taken shows a stream that is nearly within its quota.
        if refused.len() < settled.accepted.len() {
            self.throttle.reset();
        }
        if refused.is_empty() {
            self.calls_allowed = (self.calls_allowed + 1).min(CALLS_MAX);
        }
        // After all that was taken: taking others is what makes a refusal the record's own.
        for (parcel, why) in refused {
            settled.error.get_or_insert_with(|| cut(why.text()));
            match why.blame() {
                Blame::Quota => {
                    settled.throttled += 1;
                    self.again(parcel, now);
                }
                blame => self.refused(parcel, blame, &cut(why.text()), now, &mut settled),
            }
        }
        if settled.throttled > 0 {
            self.slow_down(began, now);
        }
        settled
    }

    fn refused(&mut self, mut parcel: Parcel, blame: Blame, why: &str, now: Instant, settled: &mut Settled) {
        if parcel.taken_then.is_none_or(|then| self.taken > then) {
            parcel.strikes += 1;
        }
        parcel.taken_then = Some(self.taken);
        let limit = if blame == Blame::Record {
            STRIKES_WRONG
        } else {
            STRIKES_UNCLEAR
        };
        if parcel.strikes < limit {
            settled.failed += 1;
            return self.again(parcel, now);
        }
        self.held_bytes -= parcel.bytes.len();
        settled.dead.push(Dead {
            number: parcel.number,
            bytes: parcel.bytes,
            reason: format!("{why} (refused {} times while others were taken)", parcel.strikes),
        });
    }

    fn failed(&mut self, parcels: Vec<Parcel>, why: String, began: u64, now: Instant) -> Settled {
        self.stumble(began, now);
        let failed = parcels.len();
        self.put_back(parcels, now);
        Settled {
            failed,
            error: Some(cut(why)),
            ..Settled::default()
        }
    }

    /// Halves a call that the service calls wrong, until the record is alone that it means. While nothing is accepted,
    /// the pauses grow, so that a set-up that is wrong as a whole costs few calls.
    fn invalid(&mut self, mut parcels: Vec<Parcel>, why: &str, began: u64, now: Instant) -> Settled {
        let mut settled = Settled {
            error: Some(why.to_owned()),
            ..Settled::default()
        };
        self.stumble(began, now);
        if parcels.len() > 1 {
            settled.failed = parcels.len();
            let second = parcels.split_off(parcels.len() / 2);
            self.halves.push_back(parcels);
            self.halves.push_back(second);
        } else if let Some(parcel) = parcels.pop() {
            self.refused(parcel, Blame::Record, why, now, &mut settled);
        }
        settled
    }

    fn slow_down(&mut self, began: u64, now: Instant) {
        if began == self.round {
            self.calls_allowed = (self.calls_allowed / 2).max(1);
            let pause = self.throttle.next();
            self.pause(now, pause);
        }
    }

    fn stumble(&mut self, began: u64, now: Instant) {
        if began == self.round {
            let pause = self.trouble.next();
            self.pause(now, pause);
        }
    }

    fn pause(&mut self, now: Instant, pause: Duration) {
        self.round += 1;
        self.paused_until = Some(now + self.bounded(pause));
    }

    fn bounded(&self, pause: Duration) -> Duration {
        if self.is_ending {
            pause.min(ENDING_PAUSE_MAX)
        } else {
            pause
        }
    }

    /// A call's records come first again, in their order.
    fn put_back(&mut self, parcels: Vec<Parcel>, now: Instant) {
        self.fresh_due = Some(now);
        for parcel in parcels.into_iter().rev() {
            self.fresh_bytes += parcel.bytes.len();
            self.fresh.push_front(parcel);
        }
    }

    fn again(&mut self, mut parcel: Parcel, now: Instant) {
        let at = now + self.bounded(self.alone.after(parcel.refusals));
        parcel.refusals = parcel.refusals.saturating_add(1);
        self.later.insert((at, parcel.number), parcel);
    }

    fn done(&mut self, number: u64) {
        let place = usize::try_from(number - self.first).expect("the window holds it");
        self.window[place] = true;
        while self.window.front() == Some(&true) {
            self.window.pop_front();
            self.first += 1;
        }
    }
}

fn cut(text: String) -> String {
    aws::cut(text, REASON_BYTES_MAX)
}
