//! The part of a shard that scores: the model, its working memory, and the way out for records.

pub(crate) mod slice;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use arrayvec::ArrayString;
use bytes::{Bytes, BytesMut};
use quintile_model::Precision;
use quintile_scoring::limits::LEAD_ID_BYTES_MAX;
use quintile_scoring::loaded::LoadedModel;
use quintile_scoring::read::{ReadError, SlicedRead, Timings, Workspace};
use quintile_scoring::render;
use uuid::Uuid;

use self::slice::SliceBuffers;
use super::arena::Arena;
use crate::config::WhenFull;
use crate::limits::LONG_LEAD_SLICE_BYTES;
use crate::protocol::Protocol;
use crate::record::{Entry, Extras, IdSource, ProtocolName, RecordSource, frame_bytes_max};
use crate::remote::RemoteError;
use crate::spool;

/// What scoring one body came to.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Scored and recorded: the answer's bytes.
    Scored {
        answer: Bytes,
        score: Option<u8>,
        timings: Timings,
    },
    /// Not a lead: faults are in [`Scorer::workspace`].
    Rejected(ReadError),
    /// There is no room for its record, so the lead was not answered.
    QueueFull,
}

/// Where a shard's records go.
#[derive(Debug)]
pub struct RecordOutput {
    /// The shard's end of the spool.
    pub writer: spool::Writer,
    /// What becomes of a lead whose record has no room.
    pub when_full: WhenFull,
    /// The latest id that another process has left.
    pub latest: Option<Uuid>,
}

/// The model in force on a shard, its working memory, and where records go.
#[derive(Debug)]
pub struct Scorer {
    loaded: Arc<LoadedModel>,
    workspace: Workspace,
    records: spool::Writer,
    when_full: WhenFull,
    /// Answers whose records had no room, since they were last asked for.
    dropped: u64,
    ids: IdSource,
    frame: Vec<u8>,
    shard: u16,
    bench: SliceBuffers,
}

impl Scorer {
    pub(super) fn new(
        loaded: Arc<LoadedModel>,
        records: RecordOutput,
        shard: u16,
        nonce: u64,
        body_bytes_max: usize,
    ) -> Self {
        let workspace = Workspace::new(&loaded, body_bytes_max);
        let frame = Vec::with_capacity(frame_capacity(&loaded));
        let mut ids = IdSource::new(shard, nonce);
        if let Some(latest) = records.latest {
            ids.follow(latest);
        }
        Self {
            loaded,
            workspace,
            records: records.writer,
            when_full: records.when_full,
            dropped: 0,
            ids,
            frame,
            shard,
            bench: SliceBuffers::new(),
        }
    }

    /// Scores with another model from now on. The sender still holds the old one, so nothing of it is freed here.
    pub(super) fn swap(&mut self, loaded: Arc<LoadedModel>) {
        self.workspace.fit(&loaded);
        self.frame.reserve(frame_capacity(&loaded));
        self.loaded = loaded;
    }

    /// A new id, for a request that came without one.
    pub(crate) fn next_id(&mut self) -> Uuid {
        self.ids.next(now_us())
    }

    /// How many answers have no record since this was last asked.
    pub(super) fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }

    pub(crate) fn loaded(&self) -> &LoadedModel {
        &self.loaded
    }

    /// The model, for a caller that keeps it when another one comes.
    pub(crate) fn shared(&self) -> Arc<LoadedModel> {
        Arc::clone(&self.loaded)
    }

    /// Whether leads are refused now, for their records have no room.
    pub(crate) fn sheds(&self) -> bool {
        self.when_full == WhenFull::Shed && self.records.is_full()
    }

    /// Whether records have room beyond what the next slice of a batch may take, so that it cannot take the last of it
    /// from leads that come alone.
    pub(crate) fn has_room_ahead(&self) -> bool {
        self.records.has_room_ahead()
    }

    /// For what reads batches.
    pub(crate) fn workspace_mut(&mut self) -> &mut Workspace {
        &mut self.workspace
    }

    pub(crate) fn workspace(&self) -> &Workspace {
        &self.workspace
    }

    /// Parses, scores, records, and renders the answer, in this order: a score that cannot be recorded is not answered.
    /// `start` is when the body was complete.
    pub(crate) fn score<P: Protocol>(
        &mut self,
        body: &[u8],
        request_id: &str,
        start: Instant,
        arena: &mut Arena,
    ) -> Outcome {
        if let Err(rejection) = P::read(&mut self.workspace, &self.loaded, body) {
            return Outcome::Rejected(rejection);
        }
        self.score_read::<P>(request_id, start, arena)
    }

    /// As [`Self::score`] of the lead that was read last.
    pub(crate) fn score_read<P: Protocol>(&mut self, request_id: &str, start: Instant, arena: &mut Arena) -> Outcome {
        let parsed = Instant::now();
        let score = self.workspace.score(&self.loaded);
        let scored = Instant::now();
        let mut timings = Timings {
            parse_ns: nanoseconds(start, parsed),
            score_ns: nanoseconds(parsed, scored),
            total_ns: nanoseconds(start, scored),
            wake_ns: 0,
        };
        if self.records.keeps() {
            if !self.record(request_id, score, timings.total_ns) {
                match self.when_full {
                    WhenFull::Shed => return Outcome::QueueFull,
                    WhenFull::Drop => self.dropped += 1,
                }
            }
            timings.total_ns = nanoseconds(start, Instant::now());
        }
        let told = render::AnswerFields {
            lead_id: self.workspace.lead_id(),
            score,
            predictions: self.workspace.predictions(),
            source: None,
            request_id,
            timings: &timings,
        };
        let answer = arena.cut(P::answer_bytes_max(&self.loaded), |out: &mut BytesMut| {
            P::write(out, &self.loaded, &told);
        });
        Outcome::Scored { answer, score, timings }
    }

    /// Reads a lead that a remote scorer will evaluate.
    pub(crate) fn read<P: Protocol>(&mut self, body: &[u8]) -> Result<Away, ReadError> {
        let began = Instant::now();
        P::read(&mut self.workspace, &self.loaded, body)?;
        Ok(self.away(began))
    }

    /// The lead that was read last, for the remote scorer.
    pub(crate) fn away(&self, began: Instant) -> Away {
        Away {
            loaded: Arc::clone(&self.loaded),
            lead_id: ArrayString::from(self.workspace.lead_id()).unwrap_or_default(),
            row: self.workspace.row().into(),
            began,
            read: Instant::now(),
        }
    }

    /// Reads on in a long lead that was begun under `loaded`, for a slice; none while there is more to read, and also
    /// when another model has come in the meantime: then `read` begins again.
    pub(crate) fn read_slice(
        &mut self,
        loaded: &mut Arc<LoadedModel>,
        read: &mut SlicedRead,
        body: &[u8],
    ) -> Option<Result<(), ReadError>> {
        if !Arc::ptr_eq(loaded, &self.loaded) {
            *loaded = Arc::clone(&self.loaded);
            *read = SlicedRead::new(loaded, body);
        }
        self.workspace.read_slice(loaded, read, body, LONG_LEAD_SLICE_BYTES)
    }

    /// Reads a plain lead; false for one that has to be read in slices.
    pub(crate) fn read_plain(&mut self, body: &[u8]) -> bool {
        self.workspace.read_plain(&self.loaded, body)
    }

    /// Records and renders the answer to a lead that was away: with the predictions that came back, or with our own and
    /// why there are no others.
    pub(crate) fn finish<P: Protocol>(
        &mut self,
        away: &Away,
        told: &Result<(Box<[f64]>, Duration), RemoteError>,
        request_id: &str,
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
            model_number: away.loaded.model_number,
            shard: self.shard,
            score,
            latency_ns: timings.total_ns,
            lead_id: &away.lead_id,
            request_id,
            margins: &margins,
            predictions: &predictions,
            row: &away.row,
            source: miss.as_deref().map_or(RecordSource::SageMaker, RecordSource::Fallback),
            extras: Extras::of(ProtocolName::Native),
        };
        if self.records.keeps() {
            entry.encode(&mut self.frame);
            if self.records.append(&self.frame).is_err() {
                match self.when_full {
                    WhenFull::Shed => return Outcome::QueueFull,
                    WhenFull::Drop => self.dropped += 1,
                }
            }
        }
        timings.total_ns = nanoseconds(away.began, Instant::now());
        let bytes_max = P::answer_bytes_max(&away.loaded) + render::SOURCE_BYTES_MAX;
        let answer = arena.cut(bytes_max, |out: &mut BytesMut| {
            let told = render::AnswerFields {
                lead_id: &away.lead_id,
                score,
                predictions: &predictions,
                source: Some(match &miss {
                    None => render::ScoreSource::SageMaker,
                    Some(why) => render::ScoreSource::Local(why),
                }),
                request_id,
                timings: &timings,
            };
            P::write(out, &away.loaded, &told);
        });
        Outcome::Scored { answer, score, timings }
    }

    /// The predictions that came back, or our own.
    fn score_away(&mut self, away: &Away, told: &Result<(Box<[f64]>, Duration), RemoteError>) -> RemoteScore {
        let model = &away.loaded.model;
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
            Err(miss) => RemoteScore {
                score: self.workspace.score_row(&away.loaded, &away.row),
                predictions: self.workspace.predictions().to_vec(),
                margins: self.workspace.margins().to_vec(),
                wake: Duration::ZERO,
                miss: Some(miss.to_string()),
            },
        }
    }

    fn record(&mut self, request_id: &str, score: Option<u8>, latency_ns: u64) -> bool {
        let time_us = now_us();
        let entry = Entry {
            // Made of this moment, so that records sorted by id are sorted by time.
            record_id: self.ids.next(time_us),
            time_us,
            model_number: self.loaded.model_number,
            shard: self.shard,
            score,
            latency_ns,
            lead_id: self.workspace.lead_id(),
            request_id,
            margins: self.workspace.margins(),
            predictions: self.workspace.predictions(),
            row: self.workspace.row(),
            source: RecordSource::Local,
            extras: Extras::of(ProtocolName::Native),
        };
        entry.encode(&mut self.frame);
        self.records.append(&self.frame).is_ok()
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
    pub(crate) loaded: Arc<LoadedModel>,
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

/// Bytes of the longest frame of a model's records.
fn frame_capacity(loaded: &LoadedModel) -> usize {
    let model = &loaded.model;
    frame_bytes_max(model.margin_len(), model.prediction_len(), model.schema().len())
}

fn nanoseconds(from: Instant, to: Instant) -> u64 {
    u64::try_from(to.duration_since(from).as_nanos()).unwrap_or(u64::MAX)
}

/// Microseconds since 1970; 0 for a clock that is set before.
fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
