//! The second half of a slice: its rows are scored, recorded, and all of its results written in their order.

use std::time::Instant;

use quintile_scoring::read::Faults;
use quintile_scoring::read::batch::LeadError;
use quintile_scoring::reasons::ReasonsWorkspace;
use quintile_scoring::render;

use super::{Batch, BatchLead, Lane, Layout, SliceStep};
use crate::config::WhenFull;
use crate::record::{Entry, IdSource, RecordSource, Role};
use crate::shard::scorer::reasons::{explainer, fitting, with_reasons};
use crate::shard::scorer::unusual::Unusual;
use crate::shard::scorer::{Scorer, nanoseconds, now_us};
use crate::spool::Writer;
use crate::telemetry::{BatchCounts, ShardStats};

impl Scorer {
    /// Scores the rows, records them, and writes all results in their order.
    pub(super) fn answer(
        &mut self,
        batch: &Batch<'_>,
        began: Instant,
        out: &mut Vec<u8>,
        tally: &mut BatchCounts,
        stats: &mut ShardStats,
    ) {
        let (models, bench) = (&mut self.models, &mut self.bench);
        let mut results = Results {
            batch,
            out,
            tally,
            stats,
            steps: &bench.order,
            refused: &bench.refused,
            refused_at: 0,
            unusual: &mut self.unusual,
            reasons: &mut self.reasons,
            records: RecordEnd {
                records: &mut self.records,
                when_full: self.when_full,
                dropped: &mut self.dropped,
                ids: &mut self.ids,
                frame: &mut self.frame,
                shard: self.shard,
                time_us: now_us(),
                began,
            },
        };
        if batch.model.split().is_none() {
            let lane = &bench.lanes[0];
            let version = &batch.model.version;
            let width = version.loaded.model.schema().len();
            models.enter(version);
            let workspace = &mut models.workspace;
            workspace.score_rows(&version.loaded, &lane.rows, |number, score, scratch| {
                results.refused_until_scored();
                let row = &lane.rows[number * width.max(1)..][..width];
                let outputs = (scratch.margins(), scratch.predictions());
                results.scored(0, &lane.leads[number], row, score, outputs);
            });
        } else {
            for (number, lane) in bench.lanes.iter_mut().enumerate() {
                if lane.leads.is_empty() {
                    continue;
                }
                let version = batch.model.of_lane(number);
                models.enter(version);
                let (outputs, scores) = (&mut lane.outputs, &mut lane.scores);
                let workspace = &mut models.workspace;
                workspace.score_rows(&version.loaded, &lane.rows, |_, score, scratch| {
                    outputs.extend_from_slice(scratch.margins());
                    outputs.extend_from_slice(scratch.predictions());
                    scores.push(score);
                });
            }
            while let Some(number) = results.refused_until_scored() {
                results.scored_before(number, &mut bench.lanes[number]);
            }
        }
        results.refused_until_scored();
    }
}

/// Writes the results of a slice.
struct Results<'a> {
    batch: &'a Batch<'a>,
    out: &'a mut Vec<u8>,
    tally: &'a mut BatchCounts,
    stats: &'a mut ShardStats,
    steps: &'a [SliceStep],
    refused: &'a [u8],
    refused_at: usize,
    unusual: &'a mut Unusual,
    reasons: &'a mut Option<Box<ReasonsWorkspace>>,
    records: RecordEnd<'a>,
}

/// What takes the records of a slice.
pub(in crate::shard::scorer) struct RecordEnd<'a> {
    pub(in crate::shard::scorer) records: &'a mut Writer,
    pub(in crate::shard::scorer) when_full: WhenFull,
    pub(in crate::shard::scorer) dropped: &'a mut u64,
    pub(in crate::shard::scorer) ids: &'a mut IdSource,
    pub(in crate::shard::scorer) frame: &'a mut Vec<u8>,
    pub(in crate::shard::scorer) shard: u16,
    pub(in crate::shard::scorer) time_us: i64,
    pub(in crate::shard::scorer) began: Instant,
}

impl RecordEnd<'_> {
    /// Whether a lead may be answered: its record is kept, or need not be.
    pub(in crate::shard::scorer) fn keep(&mut self, entry: &Entry<'_>) -> bool {
        if !self.records.keeps() {
            return true;
        }
        entry.encode(self.frame);
        if self.records.append(self.frame).is_ok() {
            return true;
        }
        let is_dropped = self.when_full == WhenFull::Drop;
        *self.dropped += u64::from(is_dropped);
        is_dropped
    }
}

impl Results<'_> {
    /// Writes what was refused before the next row, whose step it takes; or, behind the last row, the rest. The row's
    /// lane.
    fn refused_until_scored(&mut self) -> Option<usize> {
        while let Some((&step, rest)) = self.steps.split_first() {
            self.steps = rest;
            let end = match step {
                SliceStep::Scored { lane } => return Some(lane),
                SliceStep::Refused { end } => end,
            };
            self.separate();
            self.out.extend_from_slice(&self.refused[self.refused_at..end]);
            self.refused_at = end;
            self.finish();
            self.tally.failed += 1;
        }
        None
    }

    /// The next row of a lane whose rows are scored.
    fn scored_before(&mut self, number: usize, lane: &mut Lane) {
        let model = &self.batch.model.of_lane(number).loaded.model;
        let (width, margins) = (model.schema().len(), model.margin_len());
        let place = lane.answered;
        lane.answered += 1;
        let row = &lane.rows[place * width.max(1)..][..width];
        let length = margins + model.prediction_len();
        let outputs = lane.outputs[place * length..][..length].split_at(margins);
        self.scored(number, &lane.leads[place], row, lane.scores[place], outputs);
    }

    fn scored(
        &mut self,
        lane: usize,
        lead: &BatchLead,
        row: &[f64],
        score: Option<u8>,
        (margins, predictions): (&[f64], &[f64]),
    ) {
        let model = self.batch.model;
        let version = model.of_lane(lane);
        let mut part = model.part;
        if let Some(split) = model.split() {
            part.split = Some(split.number);
            part.role = if lane > 0 { Role::Challenger } else { part.role };
        }
        let is_explained = self.explain(lane, lead, row);
        let reasons = self.reasons.as_deref_mut().filter(|_| is_explained);
        let lead_id = lead.id.as_str();
        let entry = Entry {
            record_id: self.records.ids.next(self.records.time_us),
            time_us: self.records.time_us,
            model_number: version.loaded.model_number,
            shard: self.records.shard,
            score,
            source: RecordSource::Local,
            extras: with_reasons(part.extras(), reasons),
            latency_ns: nanoseconds(self.records.began, Instant::now()),
            lead_id,
            request_id: self.batch.request.id,
            margins,
            predictions,
            row,
        };
        if !self.records.keep(&entry) {
            return self.shed(lane, lead);
        }
        self.separate();
        self.unusual.look(&version.loaded, row);
        let request = self.batch.request;
        let more = render::MoreFields {
            unusual: self.unusual.listed(row, request),
            reasons: self.reasons.as_deref().filter(|_| is_explained),
            target: None,
        };
        let told = (lead_id, score, predictions);
        if model.split().is_some() {
            render::scored_by(self.out, &version.loaded, told, &more);
        } else {
            render::scored(self.out, &version.loaded, told, &more);
        }
        self.finish();
        self.tally.scores[usize::from(score.unwrap_or(0)).min(5)] += 1;
        if let Some(by) = part.scored_by(version) {
            self.stats.scored_by(&by, score, None);
        }
    }

    /// Finds the reasons of a row; false where none are given. What explains the model is there, or the lead would be
    /// held.
    fn explain(&mut self, lane: usize, lead: &BatchLead, row: &[f64]) -> bool {
        let loaded = &self.batch.model.of_lane(lane).loaded;
        match explainer(loaded, lead.wanted) {
            Ok(Some(explainer)) if lead.wanted.asks() => {
                fitting(self.reasons, loaded, explainer).explain(loaded, explainer, row, lead.wanted);
                true
            }
            _ => false,
        }
    }

    fn shed(&mut self, lane: usize, lead: &BatchLead) {
        self.separate();
        let no_faults = Faults::default();
        let model = (&self.batch.model.of_lane(lane).loaded, &no_faults);
        render::unscored(self.out, Some(&lead.id), lead.place, LeadError::NotRecorded, model);
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
