//! A few rows of a request at a time: scored together by the kernel of batches, and each recorded before anything of it
//! is answered.
//!
//! All rows of a request are one version's. A split between versions is not asked: its share is of leads that come in
//! our own protocol.

use std::sync::Arc;
use std::time::Instant;

use arrayvec::ArrayString;
use quintile_model::ExplainScratch;
use quintile_scoring::reasons::ReasonsRequest;

use super::reasons::explainer;
use super::slice::RecordEnd;
use super::{Part, Scorer, UnexplainedError, nanoseconds, now_us};
use crate::models::{ModelChoice, ModelVersion};
use crate::protocol::rows::{Asked, Rows, Scored};
use crate::record::{Entry, ProtocolName, RecordSource};
use crate::telemetry::{BatchCounts, ShardStats};

/// Rows of a request, and how they are recorded.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RowsRequest<'a> {
    pub(crate) model: &'a RowsModel,
    pub(crate) protocol: ProtocolName,
    /// The request's id.
    pub(crate) request_id: &'a str,
    pub(crate) rows: &'a Rows,
    pub(crate) asked: Asked,
}

/// Whose rows a request has, from its first slice to its last.
#[derive(Debug, Clone)]
pub(crate) struct RowsModel {
    pub(crate) version: Arc<ModelVersion>,
    part: Part,
}

/// Why rows are not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RowsScoreError {
    /// There is no room for a record.
    QueueFull,
    /// Contributions cannot be given.
    Unexplained(UnexplainedError),
}

/// A shard's memory for contributions of a model.
#[derive(Debug)]
pub(super) struct ContributionMemory {
    model_number: u32,
    scratch: ExplainScratch,
}

impl Scorer {
    /// Whose rows the request has that comes now.
    pub(crate) fn rows_model(&mut self, choice: &ModelChoice) -> RowsModel {
        let version = Arc::clone(self.begin(choice));
        RowsModel {
            version,
            part: self.part,
        }
    }

    /// Scores and records the rows that follow those which are scored, for a slice.
    pub(crate) fn score_some(
        &mut self,
        request: &RowsRequest<'_>,
        scored: &mut Scored,
        stats: &mut ShardStats,
    ) -> Result<(), RowsScoreError> {
        let began = Instant::now();
        let version = &request.model.version;
        let loaded = &version.loaded;
        let contributions = match request.asked.contributions {
            true => Some(self.contribution_memory(version).map_err(RowsScoreError::Unexplained)?),
            false => None,
        };
        let (features, width) = (loaded.model.schema().len(), request.rows.width());
        let from = scored.rows();
        let count = self
            .bench
            .leads_max(features, contributions.is_some())
            .min(request.rows.count() - from);
        let values = &request.rows.from(from)[..count * width];
        self.models.enter(version);
        let mut part = RowsPart {
            request,
            scored,
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
            tally: BatchCounts::default(),
            stats,
        };
        let unusual = &mut self.unusual;
        self.models
            .workspace
            .score_rows(loaded, values, |number, score, scratch| {
                let row = &values[number * width..][..features];
                unusual.look(loaded, row);
                part.take(from + number, row, score, (scratch.margins(), scratch.predictions()));
            });
        let RowsPart { tally, stats, .. } = part;
        if request.rows.count() > 1 || tally.failed > 0 {
            stats.batch(&tally);
        }
        let is_explained = contributions.is_some();
        if let Some(mut memory) = contributions {
            if let Some(Ok(explainer)) = loaded.explaining.get() {
                for row in values.chunks_exact(width) {
                    explainer.explain_row(&row[..features], &mut memory.scratch);
                    scored.contributions.extend_from_slice(memory.scratch.all());
                }
            }
            self.contributions = Some(memory);
        }
        self.bench.learn(count, began.elapsed(), is_explained);
        if tally.failed > 0 {
            return Err(RowsScoreError::QueueFull);
        }
        Ok(())
    }

    /// Memory that fits a model, made when its contributions are first asked for here.
    fn contribution_memory(&mut self, version: &ModelVersion) -> Result<Box<ContributionMemory>, UnexplainedError> {
        let demanded = ReasonsRequest {
            is_demanded: true,
            ..ReasonsRequest::default()
        };
        let loaded = &version.loaded;
        let Some(explainer) = explainer(loaded, demanded)? else {
            return Err(UnexplainedError::NotExplainable);
        };
        let kept = self.contributions.take();
        Ok(kept
            .filter(|memory| memory.model_number == loaded.model_number)
            .unwrap_or_else(|| {
                Box::new(ContributionMemory {
                    model_number: loaded.model_number,
                    scratch: explainer.scratch(),
                })
            }))
    }
}

/// Where the rows of a slice go.
struct RowsPart<'a> {
    request: &'a RowsRequest<'a>,
    scored: &'a mut Scored,
    records: RecordEnd<'a>,
    tally: BatchCounts,
    stats: &'a mut ShardStats,
}

impl RowsPart<'_> {
    /// Records a row, and keeps what is answered of it.
    fn take(&mut self, number: usize, row: &[f64], score: Option<u8>, (margins, predictions): (&[f64], &[f64])) {
        let RowsRequest {
            model: RowsModel { version, part },
            protocol,
            request_id,
            rows,
            asked,
        } = *self.request;
        let mut lead_id = ArrayString::new();
        rows.lead_id(number, request_id, &mut lead_id);
        let entry = Entry {
            record_id: self.records.ids.next(self.records.time_us),
            time_us: self.records.time_us,
            model_number: version.loaded.model_number,
            shard: self.records.shard,
            score,
            source: RecordSource::Local,
            extras: part.extras_of(protocol),
            latency_ns: nanoseconds(self.records.began, Instant::now()),
            lead_id: &lead_id,
            request_id,
            margins,
            predictions,
            row,
        };
        if !self.records.keep(&entry) {
            self.tally.failed += 1;
            self.tally.shed += 1;
        } else {
            self.tally.scores[usize::from(score.unwrap_or(0)).min(5)] += 1;
            if let Some(by) = part.scored_by(version) {
                self.stats.scored_by(&by, score, None);
            }
        }
        self.scored.bands.push(score.unwrap_or(0));
        self.scored.predictions.extend_from_slice(predictions);
        if asked.margins {
            self.scored.margins.extend_from_slice(margins);
        }
    }
}
