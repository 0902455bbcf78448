//! The records in flight to a delivery stream: pure bookkeeping, without clock, network or file.
//!
//! ```text
//!  push ─▶ fresh ──┐            ┌─ accepted ─▶ done
//!  (too large: ────┼─▶ batch ──▶│─ refused ──▶ again, after a pause ─┐   of this record
//!   dead letter)   │    ▲       │─ the whole call failed ─▶ again ───┤   of the whole stream
//!                  │    └───────┤                                    │
//!  halves ◀────────┘            └─ the call itself is wrong ─▶ halves, until one record is alone
//! ```
//! A 200 may contain failures: they are matched by index, and only those records are sent again. If the stream
//! throttles, fails or is unavailable, all calls slow down; if it refuses a single record, only that record waits.
//!
//! A record becomes a dead letter if the stream keeps refusing it *while it accepts others*. If a stream refuses
//! everything, its configuration is wrong. An operator will repair it, so this is no reason to give up any record.

mod refusal;
mod retry;
mod settle;

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use super::backoff::Backoff;
pub(super) use refusal::{Outcome, Refused};

/// Records of a call, its bytes, and bytes of one record, before base64. All are the service's own limits:
/// <https://docs.aws.amazon.com/firehose/latest/APIReference/API_PutRecordBatch.html>
pub(super) const BATCH_RECORDS_MAX: usize = 500;
pub(super) const BATCH_BYTES_MAX: usize = 4 << 20;
pub(super) const RECORD_BYTES_MAX: usize = 1000 << 10;

/// Calls under way at once. Four of 4 MiB fill a stream's quota in every region several times over.
const CALLS_MAX: usize = 4;

/// How long a call waits to become full. Records are billed by size, so a call that is not full costs no more.
const LINGER: Duration = Duration::from_millis(100);

/// No pause is longer once the process ends.
const ENDING_PAUSE_MAX: Duration = Duration::from_secs(1);

/// A record on its way.
#[derive(Debug)]
pub(super) struct PendingRecord {
    number: u64,
    bytes: Vec<u8>,
    refusals: u32,
    strikes: u32,
    /// How many records the stream had taken when it last refused this one.
    taken_then: Option<u64>,
}

impl PendingRecord {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// The records of one call.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) parcels: Vec<PendingRecord>,
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

/// Records that are not delivered yet, and which of them the next call carries.
#[derive(Debug)]
pub(super) struct Outbox {
    fresh: VecDeque<PendingRecord>,
    fresh_bytes: usize,
    /// From when on a call is made of them that is not full.
    fresh_due: Option<Instant>,
    /// Parts of calls that were refused as a whole. Each is a call of its own.
    halves: VecDeque<Vec<PendingRecord>>,
    /// Refused records by the moment of their next turn.
    later: BTreeMap<(Instant, u64), PendingRecord>,
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
        self.fresh.push_back(PendingRecord {
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

    fn fill(&mut self, now: Instant) -> Vec<PendingRecord> {
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

    fn done(&mut self, number: u64) {
        let place = usize::try_from(number - self.first).expect("the window holds it");
        self.window[place] = true;
        while self.window.front() == Some(&true) {
            self.window.pop_front();
            self.first += 1;
        }
    }
}
