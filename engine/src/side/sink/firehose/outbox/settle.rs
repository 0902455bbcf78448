//! What happens to the records of a call that was answered.

use std::time::Instant;

use super::refusal::{Blame, Outcome, Refused, cut};
use super::{Batch, CALLS_MAX, Dead, Outbox, PendingRecord, Settled};

/// Refusals that say the record is wrong, until it is given up. The second one rules out that the first was a mistake.
const STRIKES_WRONG: u32 = 2;

/// Refusals that do not say whose fault it is, until the record is given up: with pauses that double, after some
/// minutes. A stream that fails for every other record gives up one in a million before it recovers.
const STRIKES_UNCLEAR: u32 = 20;

impl Outbox {
    /// Applies the result of a call.
    pub(in crate::side::sink::firehose) fn settle(&mut self, batch: Batch, outcome: Outcome, now: Instant) -> Settled {
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

    fn answered(
        &mut self,
        parcels: Vec<PendingRecord>,
        verdicts: Vec<Option<Refused>>,
        began: u64,
        now: Instant,
    ) -> Settled {
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

    fn refused(&mut self, mut parcel: PendingRecord, blame: Blame, why: &str, now: Instant, settled: &mut Settled) {
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

    fn failed(&mut self, parcels: Vec<PendingRecord>, why: String, began: u64, now: Instant) -> Settled {
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
    fn invalid(&mut self, mut parcels: Vec<PendingRecord>, why: &str, began: u64, now: Instant) -> Settled {
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
}
