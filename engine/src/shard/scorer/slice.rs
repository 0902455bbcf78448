//! A few leads of a batch at a time: read one by one, scored together, recorded and rendered in their order.
//!
//! A batch must not block a shard. So a slice ends when its time is up, or when as many leads are read as can be scored
//! in the remaining time; this number is estimated from the slices before. A record has the same values as for a lead
//! that came alone, except the latency: for a lead in a batch it is the time since its slice began.
//!
//! Under a split each lead is read by the model that it belongs to. The rows of each model are scored together, and all
//! are answered in their order.

mod held;
mod results;

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrayvec::ArrayString;
use quintile_scoring::loaded::LoadedModel;
use quintile_scoring::read::batch::{LeadError, LeadPlace, Piece, Pieces};
use quintile_scoring::read::{Faults, ReadError, SlicedRead};
use quintile_scoring::reasons::ReasonsWish;
use quintile_scoring::render;

pub(crate) use held::HeldLead;
use held::{BatchLead, LongPiece, Readiness};
pub(super) use results::RecordEnd;

use super::{Part, RequestInfo, Scorer};
use crate::budget::{Budget, Charge, Purpose};
use crate::limits::{LONG_LEAD_BYTES, LONG_LEAD_SLICE_BYTES, LONG_PLAIN_BYTES_MAX, SLICE, SLICE_LEADS};
use crate::models::{ModelChoice, ModelVersion, NamedModel, Split};
use crate::telemetry::{BatchCounts, ShardStats};

/// What a lead is taken to cost before any was scored. Too high costs a few short slices, too low one long one.
const FIRST_GUESS: Duration = Duration::from_micros(25);

/// Bytes of a slice's rows at most, unless one row has more.
const ROWS_BYTES_MAX: usize = 1 << 20;

/// How results are separated in the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// Elements of an array: a comma before all but the first.
    List,
    /// A line each.
    Lines,
}

/// Whose leads a batch has, from its first slice to its last.
#[derive(Debug, Clone)]
pub(crate) struct BatchModel {
    /// Who reads each lead first.
    version: Arc<ModelVersion>,
    part: Part,
    /// The model whose split says whose each lead is.
    split: Option<Arc<NamedModel>>,
}

impl BatchModel {
    /// Who answers unless a split says otherwise.
    pub(crate) fn version(&self) -> &ModelVersion {
        &self.version
    }

    fn split(&self) -> Option<&Split> {
        self.split.as_ref()?.split.as_ref()
    }

    /// Whose leads a lane has.
    fn of_lane(&self, lane: usize) -> &Arc<ModelVersion> {
        let arms = self.split().map_or(&[][..], Split::arms);
        let arm = lane.checked_sub(1).and_then(|place| arms.get(place));
        arm.map_or(&self.version, |arm| &arm.version)
    }
}

/// Whose leads a slice scores, and how they are answered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Batch<'a> {
    pub(crate) model: &'a BatchModel,
    pub(crate) request: RequestInfo<'a>,
    pub(crate) layout: Layout,
    /// Whether results were written before.
    pub(crate) has_begun: bool,
    /// Bytes of one lead at most, for the error of a longer one.
    pub(crate) lead_bytes_max: usize,
    /// For leads that are kept from slice to slice.
    pub(crate) budget: &'a Arc<Budget>,
}

/// Memory of a shard's slices. Empty until the first batch comes.
#[derive(Debug)]
pub(super) struct SliceBuffers {
    /// The leads of each model: in front those of the one that reads first, then those of each challenger of the split.
    lanes: Vec<Lane>,
    /// What becomes of each lead of the slice, in order.
    order: Vec<SliceStep>,
    /// Results of those that are refused.
    refused: Vec<u8>,
    /// What a lead costs, learnt.
    lead_cost: Duration,
    /// The same of one that is explained.
    explained_cost: Duration,
}

/// The leads of a slice that belong to one model.
#[derive(Debug, Default)]
struct Lane {
    /// Rows, one after the other.
    rows: Vec<f64>,
    leads: Vec<BatchLead>,
    /// What the rows came to, where several models score a slice: margins and predictions, one after the other.
    outputs: Vec<f64>,
    scores: Vec<Option<u8>>,
    /// How many of them are answered.
    answered: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SliceStep {
    /// The next row of this lane.
    Scored { lane: usize },
    /// A result in [`SliceBuffers::refused`] that ends here.
    Refused { end: usize },
}

impl SliceBuffers {
    pub(super) fn new() -> Self {
        Self {
            lanes: vec![Lane::default()],
            order: Vec::new(),
            refused: Vec::new(),
            lead_cost: FIRST_GUESS,
            explained_cost: SLICE,
        }
    }

    /// How many leads with this number of features the next slice may take.
    pub(super) fn leads_max(&self, features: usize, is_explained: bool) -> usize {
        let cost = if is_explained {
            self.explained_cost
        } else {
            self.lead_cost
        };
        let in_time = SLICE.as_nanos() / cost.as_nanos().max(1);
        let in_memory = ROWS_BYTES_MAX / (size_of::<f64>() * features.max(1));
        let fitting = usize::try_from(in_time).unwrap_or(SLICE_LEADS).min(in_memory);
        fitting.clamp(1, SLICE_LEADS)
    }

    /// Learns from a slice: a quarter of what is known is renewed.
    pub(super) fn learn(&mut self, leads: usize, took: Duration, is_explained: bool) {
        let Ok(leads @ 1..) = u32::try_from(leads) else { return };
        let cost = if is_explained {
            &mut self.explained_cost
        } else {
            &mut self.lead_cost
        };
        *cost = (*cost * 3 + took / leads) / 4;
    }

    /// Takes a lead that is scored in this slice.
    fn push(&mut self, lane: usize, row: &[f64], lead: BatchLead) {
        if self.lanes.len() <= lane {
            self.lanes.resize_with(lane + 1, Lane::default);
        }
        let leads = &mut self.lanes[lane];
        leads.rows.extend_from_slice(row);
        // A leaf's step reads column 0, so there is one even for a model without features.
        if row.is_empty() {
            leads.rows.push(f64::NAN);
        }
        leads.leads.push(lead);
        self.order.push(SliceStep::Scored { lane });
    }

    /// Writes why a lead is not scored.
    fn refuse(
        &mut self,
        id: Option<&str>,
        place: LeadPlace,
        why: LeadError,
        (loaded, faults): (&LoadedModel, Option<&Faults>),
    ) {
        let none = Faults::default();
        render::unscored(&mut self.refused, id, place, why, (loaded, faults.unwrap_or(&none)));
        self.order.push(SliceStep::Refused {
            end: self.refused.len(),
        });
    }

    fn clear(&mut self) {
        for lane in &mut self.lanes {
            lane.rows.clear();
            lane.leads.clear();
            lane.outputs.clear();
            lane.scores.clear();
            lane.answered = 0;
        }
        self.order.clear();
        self.refused.clear();
    }
}

impl Scorer {
    /// Whose leads the batch has that comes now.
    pub(crate) fn batch_model(&mut self, choice: &ModelChoice) -> BatchModel {
        let version = Arc::clone(self.begin(choice));
        let split = match choice {
            ModelChoice::Default => Some(Arc::clone(self.registry().default_model())),
            ModelChoice::Named(model) => Some(Arc::clone(model)),
            ModelChoice::Version(..) => None,
        };
        BatchModel {
            version,
            part: self.part,
            split: split.filter(|model| model.split.is_some()),
        }
    }

    /// Scores the next leads and appends their results to `out`. No lead at all means that there is none now.
    /// `held` is a lead that was begun and that a slice before could not finish; while there is one, no other is
    /// looked at.
    pub(crate) fn slice(
        &mut self,
        batch: &Batch<'_>,
        pieces: &mut impl Pieces,
        held: &mut Option<HeldLead>,
        out: &mut Vec<u8>,
        stats: &mut ShardStats,
    ) -> BatchCounts {
        let began = Instant::now();
        self.bench.clear();
        let mut is_explained = self.wanted(batch.request.reasons, ReasonsWish::default()).asks();
        let features = batch.model.version.loaded.model.schema().len();
        while self.bench.order.len() < self.bench.leads_max(features, is_explained) {
            let is_over = match held.take() {
                Some(lead) => self.continue_held(batch, lead, held, &mut is_explained),
                None => match pieces.next() {
                    Some(piece) => {
                        let place = piece.place;
                        match self.begin_piece(batch, piece) {
                            Ok(read) => self.take_read(batch, (place, read), held, &mut is_explained),
                            Err(begun) => *held = Some(HeldLead::Reading(begun)),
                        }
                        false
                    }
                    None => true,
                },
            };
            let waits = held.as_ref().is_some_and(|lead| lead.waits_for_reasons());
            if is_over || waits || began.elapsed() >= SLICE {
                break;
            }
        }
        let leads = self.bench.order.len();
        let mut tally = BatchCounts::default();
        if leads > 0 {
            self.answer(batch, began, out, &mut tally, stats);
            self.bench.learn(leads, began.elapsed(), is_explained);
        }
        tally
    }

    /// Goes on with a lead that was held. True when there is more to do for it, in another slice.
    fn continue_held(
        &mut self,
        batch: &Batch<'_>,
        mut lead: HeldLead,
        held: &mut Option<HeldLead>,
        is_explained: &mut bool,
    ) -> bool {
        match &mut lead {
            HeldLead::Reading(piece) => match self.read_on(batch, piece) {
                Some(read) => {
                    let (place, lane) = (piece.place, piece.lane);
                    self.take_read(batch, (place, (read, lane)), held, is_explained);
                    return false;
                }
                None => *held = Some(lead),
            },
            HeldLead::Waiting(waiting) => {
                *is_explained = true;
                if self.go_on(batch, waiting) {
                    return false;
                }
                *held = Some(lead);
            }
        }
        true
    }

    /// The lane of the lead that was read last, by its id.
    fn lane(&self, batch: &Batch<'_>) -> usize {
        let Some(split) = batch.model.split() else { return 0 };
        let Some(arm) = split.arm(self.models.workspace.lead_id()) else {
            return 0;
        };
        let place = split.arms().iter().position(|own| std::ptr::eq(own, arm));
        place.map_or(0, |place| place + 1)
    }

    /// Reads one lead, or begins one that takes longer than a slice. Also the lead's lane.
    fn begin_piece(
        &mut self,
        batch: &Batch<'_>,
        piece: Piece<'_>,
    ) -> Result<(Result<(), LeadError>, usize), Box<LongPiece>> {
        self.models.enter(&batch.model.version);
        let Some(text) = piece.text else {
            let limit = batch.lead_bytes_max;
            return Ok((Err(LeadError::TooLarge { limit }), 0));
        };
        if text.len() <= LONG_LEAD_BYTES {
            let read = self.models.read(text);
            let lane = match read {
                Err(ReadError::NotJson(_)) => 0,
                _ => self.lane(batch),
            };
            if lane == 0 {
                return Ok((read.map_err(LeadError::Rejected), 0));
            }
            self.models.enter(batch.model.of_lane(lane));
            return Ok((self.models.read(text).map_err(LeadError::Rejected), lane));
        }
        if text.len() <= LONG_PLAIN_BYTES_MAX && self.models.read_plain(text) && self.lane(batch) == 0 {
            return Ok((Ok(()), 0));
        }
        let mut charge = Charge::new(batch.budget, Purpose::Batches);
        charge.add(text.len());
        Err(Box::new(LongPiece {
            read: SlicedRead::new(&batch.model.version.loaded, text),
            text: text.to_vec(),
            place: piece.place,
            lane: 0,
            is_settled: batch.model.split().is_none(),
            _charge: charge,
        }))
    }

    /// Reads on in a lead that was begun; none while there is more.
    fn read_on(&mut self, batch: &Batch<'_>, piece: &mut LongPiece) -> Option<Result<(), LeadError>> {
        let version = batch.model.of_lane(piece.lane);
        self.models.enter(version);
        let LongPiece { read, text, .. } = piece;
        let workspace = &mut self.models.workspace;
        let outcome = workspace.read_slice(&version.loaded, read, text, LONG_LEAD_SLICE_BYTES)?;
        if !piece.is_settled && !matches!(outcome, Err(ReadError::NotJson(_))) {
            piece.is_settled = true;
            piece.lane = self.lane(batch);
            if piece.lane != 0 {
                // It is another model's, which has to read it from its beginning.
                piece.read = SlicedRead::new(&batch.model.of_lane(piece.lane).loaded, &piece.text);
                return None;
            }
        }
        Some(outcome.map_err(LeadError::Rejected))
    }

    /// Takes the result of reading a lead, and its lane. One whose reasons cannot be found yet is held.
    fn take_read(
        &mut self,
        batch: &Batch<'_>,
        (place, (read, lane)): (LeadPlace, (Result<(), LeadError>, usize)),
        held: &mut Option<HeldLead>,
        is_explained: &mut bool,
    ) {
        let lead = BatchLead {
            id: ArrayString::from(self.models.workspace.lead_id()).unwrap_or_default(),
            place,
            wanted: self.wanted(self.models.workspace.wish(), batch.request.reasons),
        };
        let why = match read {
            Ok(()) => match Self::readiness(batch, lane, lead.wanted) {
                Readiness::Ready => {
                    *is_explained |= lead.wanted.asks();
                    return self.bench.push(lane, self.models.workspace.row(), lead);
                }
                Readiness::Waits => {
                    *held = Some(self.hold(batch, lane, lead));
                    return;
                }
                Readiness::Refused(error) => error,
            },
            Err(why) => why,
        };
        let is_lead = matches!(why, LeadError::Rejected(ReadError::Invalid) | LeadError::NotExplainable);
        let id = Some(lead.id.as_str()).filter(|id| is_lead && !id.is_empty());
        let (version, workspace) = self.models.parts();
        self.bench
            .refuse(id, place, why, (&version.loaded, Some(workspace.faults())));
    }
}
