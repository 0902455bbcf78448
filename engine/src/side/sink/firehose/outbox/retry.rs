//! When refused records are sent again, and how all calls slow down.

use std::time::{Duration, Instant};

use super::{ENDING_PAUSE_MAX, Outbox, PendingRecord};

impl Outbox {
    pub(super) fn slow_down(&mut self, began: u64, now: Instant) {
        if began == self.round {
            self.calls_allowed = (self.calls_allowed / 2).max(1);
            let pause = self.throttle.next();
            self.pause(now, pause);
        }
    }

    pub(super) fn stumble(&mut self, began: u64, now: Instant) {
        if began == self.round {
            let pause = self.trouble.next();
            self.pause(now, pause);
        }
    }

    pub(super) fn pause(&mut self, now: Instant, pause: Duration) {
        self.round += 1;
        self.paused_until = Some(now + self.bounded(pause));
    }

    pub(super) fn bounded(&self, pause: Duration) -> Duration {
        if self.is_ending {
            pause.min(ENDING_PAUSE_MAX)
        } else {
            pause
        }
    }

    /// A call's records come first again, in their order.
    pub(super) fn put_back(&mut self, parcels: Vec<PendingRecord>, now: Instant) {
        self.fresh_due = Some(now);
        for parcel in parcels.into_iter().rev() {
            self.fresh_bytes += parcel.bytes.len();
            self.fresh.push_front(parcel);
        }
    }

    pub(super) fn again(&mut self, mut parcel: PendingRecord, now: Instant) {
        let at = now + self.bounded(self.alone.after(parcel.refusals));
        parcel.refusals = parcel.refusals.saturating_add(1);
        self.later.insert((at, parcel.number), parcel);
    }
}
