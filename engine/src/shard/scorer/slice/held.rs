//! A lead of a batch that a slice could not finish: it takes longer to read, or what explains its model is not made yet.

use std::time::Instant;

use arrayvec::ArrayString;
use quintile_scoring::limits::LEAD_ID_BYTES_MAX;
use quintile_scoring::read::SlicedRead;
use quintile_scoring::read::batch::{LeadError, LeadPlace};
use quintile_scoring::reasons::ReasonsRequest;

use super::Batch;
use crate::budget::{Charge, Purpose};
use crate::limits::PREPARE_WAIT;
use crate::shard::scorer::Scorer;
use crate::shard::scorer::reasons::{UnexplainedError, begin_preparing, explainer};

/// A lead that the next slice begins with.
#[derive(Debug)]
pub(crate) enum HeldLead {
    /// It is being read.
    Reading(Box<LongPiece>),
    /// It is read, and asks for reasons.
    Waiting(Box<WaitingLead>),
}

impl HeldLead {
    /// Whether another slice makes sense only later.
    pub(crate) fn waits_for_reasons(&self) -> bool {
        matches!(self, Self::Waiting(_))
    }
}

/// A lead that takes longer than a slice to read.
#[derive(Debug)]
pub(crate) struct LongPiece {
    pub(super) read: SlicedRead,
    pub(super) text: Vec<u8>,
    pub(super) place: LeadPlace,
    /// Whose it is: the number of a lane.
    pub(super) lane: usize,
    /// Whether that is known.
    pub(super) is_settled: bool,
    pub(super) _charge: Charge,
}

/// A lead that waits until its reasons can be found.
#[derive(Debug)]
pub(crate) struct WaitingLead {
    row: Vec<f64>,
    lead: BatchLead,
    lane: usize,
    since: Instant,
    _charge: Charge,
}

/// What is known of a lead beside its row.
#[derive(Debug, Clone, Copy)]
pub(super) struct BatchLead {
    pub(super) id: ArrayString<LEAD_ID_BYTES_MAX>,
    pub(super) place: LeadPlace,
    /// The reasons that its result gives.
    pub(super) wanted: ReasonsRequest,
}

/// What becomes of a lead that is read.
pub(super) enum Readiness {
    Ready,
    /// Its reasons cannot be found yet.
    Waits,
    Refused(LeadError),
}

impl Scorer {
    /// Whether a lead that was read can be scored now, with the reasons that it wants.
    pub(super) fn readiness(batch: &Batch<'_>, lane: usize, wanted: ReasonsRequest) -> Readiness {
        if !wanted.asks() {
            return Readiness::Ready;
        }
        let version = batch.model.of_lane(lane);
        match explainer(&version.loaded, wanted) {
            Ok(_) => Readiness::Ready,
            Err(UnexplainedError::NotExplainable) => Readiness::Refused(LeadError::NotExplainable),
            Err(UnexplainedError::NotPrepared) => {
                begin_preparing(version);
                Readiness::Waits
            }
        }
    }

    /// Keeps the lead that was read last until its reasons can be found.
    pub(super) fn hold(&self, batch: &Batch<'_>, lane: usize, lead: BatchLead) -> HeldLead {
        let row = self.models.workspace.row();
        let mut charge = Charge::new(batch.budget, Purpose::Batches);
        charge.add(size_of_val(row));
        HeldLead::Waiting(Box::new(WaitingLead {
            row: row.to_vec(),
            lead,
            lane,
            since: Instant::now(),
            _charge: charge,
        }))
    }

    /// Goes on with a lead that waits: true when it takes part in the slice, or is refused.
    pub(super) fn go_on(&mut self, batch: &Batch<'_>, waiting: &WaitingLead) -> bool {
        let refusal = match Self::readiness(batch, waiting.lane, waiting.lead.wanted) {
            Readiness::Ready => {
                self.bench.push(waiting.lane, &waiting.row, waiting.lead);
                return true;
            }
            Readiness::Waits if waiting.since.elapsed() < PREPARE_WAIT => return false,
            Readiness::Waits => LeadError::Preparing,
            Readiness::Refused(error) => error,
        };
        let version = batch.model.of_lane(waiting.lane);
        let id = Some(waiting.lead.id.as_str());
        self.bench
            .refuse(id, waiting.lead.place, refusal, (&version.loaded, None));
        true
    }
}
