//! A lead that a remote scorer evaluates: kept while it is away, then recorded and rendered with what came back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrayvec::ArrayString;
use bytes::BytesMut;
use quintile_model::Precision;
use quintile_scoring::limits::LEAD_ID_BYTES_MAX;
use quintile_scoring::read::{ReadError, Timings};
use quintile_scoring::render;

use super::{Outcome, Part, RequestInfo, Scorer, nanoseconds, now_us, unusual_bytes_max};
use crate::config::WhenFull;
use crate::models::{ModelChoice, ModelVersion};
use crate::protocol::Protocol;
use crate::record::{Entry, RecordSource};
use crate::remote::RemoteError;
use crate::shard::arena::Arena;

impl Scorer {
    /// Reads a lead that a remote scorer will evaluate.
    pub(crate) fn read<P: Protocol>(&mut self, choice: &ModelChoice, body: &[u8]) -> Result<Away, ReadError> {
        let began = Instant::now();
        self.read_for::<P>(choice, body)?;
        Ok(self.away(began))
    }

    /// The lead that was read last, for the remote scorer.
    pub(crate) fn away(&self, began: Instant) -> Away {
        Away {
            version: Arc::clone(self.models.current()),
            part: self.part,
            lead_id: ArrayString::from(self.workspace().lead_id()).unwrap_or_default(),
            row: self.workspace().row().into(),
            began,
            read: Instant::now(),
        }
    }

    /// Records and renders the answer to a lead that was away: with the predictions that came back, or with our own and
    /// why there are no others.
    pub(crate) fn finish<P: Protocol>(
        &mut self,
        away: &Away,
        told: &Result<(Box<[f64]>, Duration), RemoteError>,
        request: RequestInfo<'_>,
        arena: &mut Arena,
    ) -> Outcome {
        let RemoteScore {
            predictions,
            margins,
            score,
            wake,
            miss,
        } = self.score_away(away, told);
        let mut timings = Timings {
            parse_ns: nanoseconds(away.began, away.read),
            score_ns: nanoseconds(away.read, Instant::now()),
            total_ns: nanoseconds(away.began, Instant::now()),
            wake_ns: u64::try_from(wake.as_nanos()).unwrap_or(u64::MAX),
        };
        let time_us = now_us();
        let entry = Entry {
            record_id: self.ids.next(time_us),
            time_us,
            model_number: away.version.loaded.model_number,
            shard: self.shard,
            score,
            latency_ns: timings.total_ns,
            lead_id: &away.lead_id,
            request_id: request.id,
            margins: &margins,
            predictions: &predictions,
            row: &away.row,
            source: miss.as_deref().map_or(RecordSource::SageMaker, RecordSource::Fallback),
            extras: away.part.extras(),
        };
        if !self.keep(&entry) {
            return Outcome::QueueFull;
        }
        timings.total_ns = nanoseconds(away.began, Instant::now());
        let loaded = &away.version.loaded;
        self.unusual.look(loaded, &away.row);
        let unusual = self.unusual.listed(&away.row, request);
        let more = unusual.map_or(0, |fields| unusual_bytes_max(loaded, &fields));
        let bytes_max = P::answer_bytes_max(loaded) + render::SOURCE_BYTES_MAX + more;
        let answer = arena.cut(bytes_max, |out: &mut BytesMut| {
            let told = render::AnswerFields {
                lead_id: &away.lead_id,
                score,
                predictions: &predictions,
                source: Some(match &miss {
                    None => render::ScoreSource::SageMaker,
                    Some(why) => render::ScoreSource::Local(why),
                }),
                request_id: request.id,
                more: render::MoreFields {
                    unusual,
                    ..render::MoreFields::default()
                },
                timings: &timings,
            };
            P::write(out, loaded, &told);
        });
        Outcome::Scored {
            answer,
            score,
            by: away.part.scored_by(&away.version),
            timings,
        }
    }

    /// Whether a lead may be answered: its record is kept, or need not be.
    fn keep(&mut self, entry: &Entry<'_>) -> bool {
        if !self.records.keeps() {
            return true;
        }
        entry.encode(&mut self.frame);
        if self.records.append(&self.frame).is_ok() {
            return true;
        }
        let is_dropped = self.when_full == WhenFull::Drop;
        self.dropped += u64::from(is_dropped);
        is_dropped
    }

    /// The predictions that came back, or our own.
    fn score_away(&mut self, away: &Away, told: &Result<(Box<[f64]>, Duration), RemoteError>) -> RemoteScore {
        let model = &away.version.loaded.model;
        match told {
            Ok((predictions, wake)) => {
                let as_model = predictions
                    .iter()
                    .map(|&prediction| rounded(prediction, model.precision()));
                let predictions = as_model.collect::<Vec<f64>>();
                RemoteScore {
                    score: model.band(&predictions),
                    predictions,
                    // The remote scorer does not return the margins behind them.
                    margins: vec![f64::NAN; model.margin_len()],
                    wake: *wake,
                    miss: None,
                }
            }
            Err(miss) => {
                self.models.enter(&away.version);
                let workspace = &mut self.models.workspace;
                RemoteScore {
                    score: workspace.score_row(&away.version.loaded, &away.row),
                    predictions: workspace.predictions().to_vec(),
                    margins: workspace.margins().to_vec(),
                    wake: Duration::ZERO,
                    miss: Some(miss.to_string()),
                }
            }
        }
    }
}

/// What a lead that was away came to.
struct RemoteScore {
    predictions: Vec<f64>,
    margins: Vec<f64>,
    score: Option<u8>,
    /// How long the shard took to notice the answer.
    wake: Duration,
    /// Why there was none.
    miss: Option<String>,
}

/// A lead on its way to a remote scorer.
#[derive(Debug)]
pub(crate) struct Away {
    pub(crate) version: Arc<ModelVersion>,
    part: Part,
    lead_id: ArrayString<LEAD_ID_BYTES_MAX>,
    pub(crate) row: Box<[f64]>,
    pub(crate) began: Instant,
    read: Instant,
}

/// A prediction that came back as a text, in the precision the model gives it in: then it is the same to the last bit.
#[expect(
    clippy::cast_possible_truncation,
    reason = "a model of this precision gives no other number"
)]
fn rounded(prediction: f64, precision: Precision) -> f64 {
    match precision {
        Precision::F32 => f64::from(prediction as f32),
        Precision::F64 => prediction,
    }
}
