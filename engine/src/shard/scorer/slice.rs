//! A few leads of a batch at a time: read one by one, scored together, recorded and rendered in their order.
//!
//! A batch must not block a shard. So a slice ends when its time is up, or when as many leads are read as can be scored
//! in the remaining time; this number is estimated from the slices before. A record has the same values as for a lead
//! that came alone, except the latency: for a lead in a batch it is the time since its slice began.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrayvec::ArrayString;
use quintile_scoring::limits::LEAD_ID_BYTES_MAX;
use quintile_scoring::loaded::LoadedModel;
use quintile_scoring::read::batch::{LeadError, LeadPlace, Piece, Pieces};
use quintile_scoring::read::{Faults, ReadError, SlicedRead};
use quintile_scoring::render;

use super::{Scorer, nanoseconds, now_us};
use crate::budget::{Budget, Charge, Purpose};
use crate::config::WhenFull;
use crate::limits::{LONG_LEAD_BYTES, LONG_LEAD_SLICE_BYTES, LONG_PLAIN_BYTES_MAX, SLICE, SLICE_LEADS};
use crate::record::{Entry, Extras, ProtocolName, RecordSource};
use crate::telemetry::BatchCounts;

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

/// Whose leads a slice scores, and how they are answered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Batch<'a> {
    pub(crate) loaded: &'a LoadedModel,
    pub(crate) request_id: &'a str,
    pub(crate) layout: Layout,
    /// Whether results were written before.
    pub(crate) has_begun: bool,
    /// Bytes of one lead at most, for the error of a longer one.
    pub(crate) lead_bytes_max: usize,
    /// For leads that are kept from slice to slice.
    pub(crate) budget: &'a Arc<Budget>,
}

/// A lead that takes longer than a slice to read.
#[derive(Debug)]
pub(crate) struct LongPiece {
    read: SlicedRead,
    text: Vec<u8>,
    place: LeadPlace,
    _charge: Charge,
}

/// Memory of a shard's slices. Empty until the first batch comes.
#[derive(Debug)]
pub(super) struct SliceBuffers {
    /// Rows of the leads that fit the model, one after the other.
    rows: Vec<f64>,
    /// Their ids and places.
    leads: Vec<(ArrayString<LEAD_ID_BYTES_MAX>, LeadPlace)>,
    /// What becomes of each lead of the slice, in order.
    order: Vec<SliceStep>,
    /// Results of those that are refused.
    refused: Vec<u8>,
    /// What a lead costs, learnt.
    lead_cost: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SliceStep {
    /// The next row.
    Scored,
    /// A result in [`SliceBuffers::refused`] that ends here.
    Refused { end: usize },
}

impl SliceBuffers {
    pub(super) fn new() -> Self {
        Self {
            rows: Vec::new(),
            leads: Vec::new(),
            order: Vec::new(),
            refused: Vec::new(),
            lead_cost: FIRST_GUESS,
        }
    }

    /// How many leads with this number of features the next slice may take.
    fn leads_max(&self, features: usize) -> usize {
        let in_time = SLICE.as_nanos() / self.lead_cost.as_nanos().max(1);
        let in_memory = ROWS_BYTES_MAX / (size_of::<f64>() * features.max(1));
        let fitting = usize::try_from(in_time).unwrap_or(SLICE_LEADS).min(in_memory);
        fitting.clamp(1, SLICE_LEADS)
    }

    /// Learns from a slice: a quarter of what is known is renewed.
    fn learn(&mut self, leads: usize, took: Duration) {
        let Ok(leads @ 1..) = u32::try_from(leads) else { return };
        self.lead_cost = (self.lead_cost * 3 + took / leads) / 4;
    }

    fn clear(&mut self) {
        self.rows.clear();
        self.leads.clear();
        self.order.clear();
        self.refused.clear();
    }
}

impl Scorer {
    /// Scores the next leads and appends their results to `out`. No lead at all means that there is none now. `long` is
    /// the lead that was begun and takes more than a slice to read; while there is one, no other is looked at.
    pub(crate) fn slice(
        &mut self,
        batch: &Batch<'_>,
        pieces: &mut impl Pieces,
        long: &mut Option<Box<LongPiece>>,
        out: &mut Vec<u8>,
    ) -> BatchCounts {
        let began = Instant::now();
        self.bench.clear();
        let leads_max = self.bench.leads_max(batch.loaded.model.schema().len());
        while self.bench.order.len() < leads_max {
            let (place, read) = match long {
                Some(piece) => match self.read_on(batch, piece) {
                    Some(read) => (piece.place, read),
                    None => break,
                },
                None => {
                    let Some(piece) = pieces.next() else { break };
                    match self.begin(batch, piece) {
                        Ok(read) => (piece.place, read),
                        Err(begun) => {
                            *long = Some(begun);
                            continue;
                        }
                    }
                }
            };
            *long = None;
            self.take(batch, place, read);
            if began.elapsed() >= SLICE {
                break;
            }
        }
        let leads = self.bench.order.len();
        let mut tally = BatchCounts::default();
        if leads > 0 {
            self.answer(batch, began, out, &mut tally);
            self.bench.learn(leads, began.elapsed());
        }
        tally
    }

    /// Reads one lead, or begins one that takes longer than a slice.
    fn begin(&mut self, batch: &Batch<'_>, piece: Piece<'_>) -> Result<Result<(), LeadError>, Box<LongPiece>> {
        let loaded = batch.loaded;
        let Some(text) = piece.text else {
            return Ok(Err(LeadError::TooLarge {
                limit: batch.lead_bytes_max,
            }));
        };
        if text.len() <= LONG_LEAD_BYTES {
            return Ok(self.workspace.read(loaded, text).map_err(LeadError::Rejected));
        }
        if text.len() <= LONG_PLAIN_BYTES_MAX && self.workspace.read_plain(loaded, text) {
            return Ok(Ok(()));
        }
        let mut charge = Charge::new(batch.budget, Purpose::Batches);
        charge.add(text.len());
        Err(Box::new(LongPiece {
            read: SlicedRead::new(loaded, text),
            text: text.to_vec(),
            place: piece.place,
            _charge: charge,
        }))
    }

    /// Reads on in a lead that was begun; none while there is more.
    fn read_on(&mut self, batch: &Batch<'_>, piece: &mut LongPiece) -> Option<Result<(), LeadError>> {
        let LongPiece { read, text, .. } = piece;
        let slice = self
            .workspace
            .read_slice(batch.loaded, read, text, LONG_LEAD_SLICE_BYTES);
        slice.map(|outcome| outcome.map_err(LeadError::Rejected))
    }

    /// Takes the result of reading a lead.
    fn take(&mut self, batch: &Batch<'_>, place: LeadPlace, read: Result<(), LeadError>) {
        let loaded = batch.loaded;
        let (workspace, bench) = (&mut self.workspace, &mut self.bench);
        match read {
            Ok(()) => {
                bench.rows.extend_from_slice(workspace.row());
                // A leaf's step reads column 0, so there is one even for a model without features.
                if workspace.row().is_empty() {
                    bench.rows.push(f64::NAN);
                }
                let id = ArrayString::from(workspace.lead_id()).unwrap_or_default();
                bench.leads.push((id, place));
                bench.order.push(SliceStep::Scored);
            }
            Err(why) => {
                let is_lead = matches!(why, LeadError::Rejected(ReadError::Invalid));
                let id = Some(workspace.lead_id()).filter(|id| is_lead && !id.is_empty());
                render::unscored(&mut bench.refused, id, place, why, (loaded, workspace.faults()));
                bench.order.push(SliceStep::Refused {
                    end: bench.refused.len(),
                });
            }
        }
    }

    /// Scores the rows, records them, and writes all results in their order.
    fn answer(&mut self, batch: &Batch<'_>, began: Instant, out: &mut Vec<u8>, tally: &mut BatchCounts) {
        let Self {
            workspace,
            records,
            when_full,
            dropped,
            ids,
            frame,
            shard,
            bench,
            ..
        } = self;
        let time_us = now_us();
        let mut results = Results {
            batch,
            out,
            tally,
            steps: &bench.order,
            refused: &bench.refused,
            refused_at: 0,
        };
        let width = batch.loaded.model.schema().len();
        workspace.score_rows(batch.loaded, &bench.rows, |number, score, scratch| {
            results.refused_until_scored();
            let (lead_id, place) = &bench.leads[number];
            let row = &bench.rows[number * width.max(1)..][..width];
            let entry = Entry {
                record_id: ids.next(time_us),
                time_us,
                model_number: batch.loaded.model_number,
                shard: *shard,
                score,
                source: RecordSource::Local,
                extras: Extras::of(ProtocolName::Native),
                latency_ns: nanoseconds(began, Instant::now()),
                lead_id,
                request_id: batch.request_id,
                margins: scratch.margins(),
                predictions: scratch.predictions(),
                row,
            };
            let mut is_kept = true;
            if records.keeps() {
                entry.encode(frame);
                is_kept = records.append(frame).is_ok();
            }
            if !is_kept && *when_full == WhenFull::Drop {
                *dropped += 1;
                is_kept = true;
            }
            if is_kept {
                results.scored(lead_id, score, scratch.predictions());
            } else {
                results.shed(lead_id, *place);
            }
        });
        results.refused_until_scored();
    }
}

/// Writes the results of a slice.
struct Results<'a> {
    batch: &'a Batch<'a>,
    out: &'a mut Vec<u8>,
    tally: &'a mut BatchCounts,
    steps: &'a [SliceStep],
    refused: &'a [u8],
    refused_at: usize,
}

impl Results<'_> {
    /// Writes what was refused before the next row, whose step it takes; or, behind the last row, the rest.
    fn refused_until_scored(&mut self) {
        while let Some((&step, rest)) = self.steps.split_first() {
            self.steps = rest;
            let SliceStep::Refused { end } = step else { return };
            self.separate();
            self.out.extend_from_slice(&self.refused[self.refused_at..end]);
            self.refused_at = end;
            self.finish();
            self.tally.failed += 1;
        }
    }

    fn scored(&mut self, lead_id: &str, score: Option<u8>, predictions: &[f64]) {
        self.separate();
        render::scored(self.out, self.batch.loaded, lead_id, score, predictions);
        self.finish();
        self.tally.scores[usize::from(score.unwrap_or(0)).min(5)] += 1;
    }

    fn shed(&mut self, lead_id: &str, place: LeadPlace) {
        self.separate();
        let no_faults = Faults::default();
        let model = (self.batch.loaded, &no_faults);
        render::unscored(self.out, Some(lead_id), place, LeadError::NotRecorded, model);
        self.finish();
        self.tally.failed += 1;
        self.tally.shed += 1;
    }

    fn separate(&mut self) {
        let has_begun = self.batch.has_begun || *self.tally != BatchCounts::default();
        if self.batch.layout == Layout::List && has_begun {
            self.out.push(b',');
        }
    }

    fn finish(&mut self) {
        if self.batch.layout == Layout::Lines {
            self.out.push(b'\n');
        }
    }
}
