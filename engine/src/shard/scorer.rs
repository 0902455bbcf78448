//! The part of a shard that scores: the model, its working memory, and the way out for records.

mod part;
mod reasons;
mod remote;
pub(crate) mod rows;
pub(crate) mod slice;
mod slots;
mod unusual;

use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use quintile_scoring::loaded::LoadedModel;
use quintile_scoring::read::{ReadError, SlicedRead, Timings, Workspace};
use quintile_scoring::reasons::ReasonsWorkspace;
use quintile_scoring::render;
use quintile_scoring::render::unusual::bytes_max as unusual_bytes_max;
use uuid::Uuid;

use self::part::Part;
use self::reasons::with_reasons;
pub(crate) use self::reasons::{UnexplainedError, begin_preparing};
use self::rows::ContributionMemory;
use self::slice::SliceBuffers;
use self::slots::ModelSlots;
pub(crate) use self::unusual::RequestInfo;
use self::unusual::Unusual;
use super::arena::Arena;
use super::mailbox::RegistryChange;
use crate::config::WhenFull;
use crate::limits::LONG_LEAD_SLICE_BYTES;
use crate::models::{ModelChoice, ModelVersion, NamedModel, Registry};
use crate::protocol::Protocol;
use crate::record::{Entry, IdSource, RecordSource, Role, frame_bytes_max};
use crate::spool;
use crate::telemetry::ScoredBy;

/// What scoring one body came to.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Scored and recorded: the answer's bytes.
    Scored {
        answer: Bytes,
        score: Option<u8>,
        /// Who has scored it, where that is told.
        by: Option<ScoredBy>,
        timings: Timings,
    },
    /// Not a lead: faults are in [`Scorer::workspace`].
    Rejected(ReadError),
    /// There is no room for its record, so the lead was not answered.
    QueueFull,
    /// It was asked why, and that cannot be said.
    Unexplained(UnexplainedError),
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
    registry: Arc<Registry>,
    models: ModelSlots,
    /// As what the current model scores what was read last.
    part: Part,
    records: spool::Writer,
    when_full: WhenFull,
    /// Answers whose records had no room, since they were last asked for.
    dropped: u64,
    ids: IdSource,
    frame: Vec<u8>,
    shard: u16,
    bench: SliceBuffers,
    unusual: Unusual,
    reasons: Option<Box<ReasonsWorkspace>>,
    /// For contributions of all features.
    contributions: Option<Box<ContributionMemory>>,
    /// How many reasons an answer gives where its request says nothing.
    reasons_usual: u16,
    /// What rows came to that were tried for a target.
    tried: Vec<(Option<u8>, f64)>,
}

impl Scorer {
    pub(super) fn new(
        registry: Arc<Registry>,
        records: RecordOutput,
        shard: u16,
        nonce: u64,
        (body_bytes_max, reasons_usual): (usize, u16),
    ) -> Self {
        let models = ModelSlots::new(&registry, body_bytes_max);
        let longest = registry.versions().map(|version| frame_capacity(&version.loaded)).max();
        let frame = Vec::with_capacity(longest.unwrap_or(0));
        let unusual = Unusual::of(&registry.champion().loaded);
        let mut ids = IdSource::new(shard, nonce);
        if let Some(latest) = records.latest {
            ids.follow(latest);
        }
        Self {
            part: Part::of(&registry, &ModelChoice::Default),
            registry,
            models,
            records: records.writer,
            when_full: records.when_full,
            dropped: 0,
            ids,
            frame,
            shard,
            bench: SliceBuffers::new(),
            unusual,
            reasons: None,
            contributions: None,
            reasons_usual,
            tried: Vec::new(),
        }
    }

    /// Scores with other models from now on. What that replaces is in the change that is handed back, so nothing is
    /// freed here.
    pub(super) fn take(&mut self, mut change: Box<RegistryChange>) -> Box<RegistryChange> {
        for (version, _) in &change.memory {
            self.frame.reserve(frame_capacity(&version.loaded));
        }
        self.models.take(&mut change);
        std::mem::swap(&mut self.registry, &mut change.registry);
        self.unusual.serve(&self.registry.champion().loaded);
        change
    }

    /// All models.
    pub(crate) fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// Makes the model ready that reads a lead first, and says which that is.
    #[inline]
    pub(crate) fn begin(&mut self, choice: &ModelChoice) -> &Arc<ModelVersion> {
        self.part = Part::of(&self.registry, choice);
        self.models.enter(choice.reads_first(&self.registry));
        self.models.current()
    }

    /// Whose lead it is that was read last, where a split decides: makes that model ready. True when it is another one,
    /// which has to read the lead too. What is no lead of the first model may be one of the other.
    #[inline]
    pub(crate) fn settle(&mut self, choice: &ModelChoice) -> bool {
        self.part = Part::of(&self.registry, choice);
        let model: &NamedModel = match choice {
            ModelChoice::Default => self.registry.default_model(),
            ModelChoice::Named(model) => model,
            ModelChoice::Version(..) => return false,
        };
        let Some(split) = &model.split else { return false };
        self.part.split = Some(split.number);
        let Some(arm) = split.arm(self.models.workspace.lead_id()) else {
            return false;
        };
        self.part.role = Role::Challenger;
        self.models.enter(&arm.version);
        true
    }

    /// A new id, for a request that came without one.
    pub(crate) fn next_id(&mut self) -> Uuid {
        self.ids.next(now_us())
    }

    /// How many answers have no record since this was last asked.
    pub(super) fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }

    /// The model of what was read last.
    pub(crate) fn current(&self) -> &Arc<ModelVersion> {
        self.models.current()
    }

    /// Who answers `POST /score`, unless a split says otherwise.
    pub(crate) fn champion(&self) -> &LoadedModel {
        &self.registry.champion().loaded
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
        &mut self.models.workspace
    }

    pub(crate) fn workspace(&self) -> &Workspace {
        &self.models.workspace
    }

    /// Parses, scores, records, and renders the answer, in this order: a score that cannot be recorded is not answered.
    /// `start` is when the body was complete.
    pub(crate) fn score<P: Protocol>(
        &mut self,
        choice: &ModelChoice,
        body: &[u8],
        request: RequestInfo<'_>,
        start: Instant,
        arena: &mut Arena,
    ) -> Outcome {
        if let Err(rejection) = self.read_for::<P>(choice, body) {
            return Outcome::Rejected(rejection);
        }
        self.score_read::<P>(request, start, arena)
    }

    fn read_for<P: Protocol>(&mut self, choice: &ModelChoice, body: &[u8]) -> Result<(), ReadError> {
        self.begin(choice);
        let read = self.read_as_current::<P>(body);
        if matches!(read, Err(ReadError::NotJson(_))) || !self.settle(choice) {
            return read;
        }
        self.read_as_current::<P>(body)
    }

    #[inline]
    fn read_as_current<P: Protocol>(&mut self, body: &[u8]) -> Result<(), ReadError> {
        let (version, workspace) = self.models.parts();
        P::read(workspace, &version.loaded, body)
    }

    /// As [`Self::score`] of the lead that was read last.
    pub(crate) fn score_read<P: Protocol>(
        &mut self,
        request: RequestInfo<'_>,
        start: Instant,
        arena: &mut Arena,
    ) -> Outcome {
        let parsed = Instant::now();
        let score = self.models.score();
        let wanted = self.wanted(self.models.workspace.wish(), request.reasons);
        let is_explained = match wanted.asks() {
            false => false,
            true => match self.explain(wanted) {
                Ok(is_explained) => is_explained,
                Err(error) => return Outcome::Unexplained(error),
            },
        };
        self.unusual
            .look(&self.models.current().loaded, self.models.workspace.row());
        let scored = Instant::now();
        let mut timings = Timings {
            parse_ns: nanoseconds(start, parsed),
            score_ns: nanoseconds(parsed, scored),
            total_ns: nanoseconds(start, scored),
            wake_ns: 0,
        };
        if self.records.keeps() {
            if !self.record(request.id, score, timings.total_ns, is_explained) {
                match self.when_full {
                    WhenFull::Shed => return Outcome::QueueFull,
                    WhenFull::Drop => self.dropped += 1,
                }
            }
            timings.total_ns = nanoseconds(start, Instant::now());
        }
        let loaded = &self.models.current().loaded;
        let workspace = &self.models.workspace;
        let unusual = self.unusual.listed(workspace.row(), request);
        let told = render::AnswerFields {
            lead_id: workspace.lead_id(),
            score,
            predictions: workspace.predictions(),
            source: None,
            request_id: request.id,
            more: render::MoreFields {
                unusual,
                reasons: self.reasons.as_deref().filter(|_| is_explained),
                target: request.target,
            },
            timings: &timings,
        };
        let mut more = unusual.map_or(0, |fields| unusual_bytes_max(loaded, &fields));
        more += told.more.reasons.map_or(0, ReasonsWorkspace::bytes_max);
        more += request.target.map_or(0, |found| found.bytes(loaded));
        let answer = arena.cut(P::answer_bytes_max(loaded) + more, |out: &mut BytesMut| {
            P::write(out, loaded, &told);
        });
        let by = self.part.scored_by(self.models.current());
        Outcome::Scored {
            answer,
            score,
            by,
            timings,
        }
    }

    /// Reads on in a long lead, for a slice, for the model that reads it; none while there is more to read.
    pub(crate) fn read_slice(
        &mut self,
        version: &Arc<ModelVersion>,
        read: &mut SlicedRead,
        body: &[u8],
    ) -> Option<Result<(), ReadError>> {
        self.models.enter(version);
        let workspace = &mut self.models.workspace;
        workspace.read_slice(&version.loaded, read, body, LONG_LEAD_SLICE_BYTES)
    }

    /// Reads a plain lead for the model that it belongs to; false for one that has to be read in slices.
    pub(crate) fn read_plain(&mut self, choice: &ModelChoice, body: &[u8]) -> bool {
        self.begin(choice);
        self.models.read_plain(body) && (!self.settle(choice) || self.models.read_plain(body))
    }

    /// What a request asks for that keeps its models until its end, whatever comes meanwhile.
    pub(crate) fn kept(&self, choice: &ModelChoice) -> ModelChoice {
        match choice {
            ModelChoice::Default => ModelChoice::Named(Arc::clone(self.registry.default_model())),
            other => other.clone(),
        }
    }

    /// Whether the default model has changed since it was kept.
    pub(crate) fn is_outdated(&self, kept: &ModelChoice) -> bool {
        matches!(kept, ModelChoice::Named(model) if !Arc::ptr_eq(model, self.registry.default_model()))
    }

    fn record(&mut self, request_id: &str, score: Option<u8>, latency_ns: u64, is_explained: bool) -> bool {
        let time_us = now_us();
        let reasons = self.reasons.as_deref_mut().filter(|_| is_explained);
        let extras = with_reasons(self.part.extras(), reasons);
        let workspace = &self.models.workspace;
        let entry = Entry {
            // Made of this moment, so that records sorted by id are sorted by time.
            record_id: self.ids.next(time_us),
            time_us,
            model_number: self.models.current().loaded.model_number,
            shard: self.shard,
            score,
            latency_ns,
            lead_id: workspace.lead_id(),
            request_id,
            margins: workspace.margins(),
            predictions: workspace.predictions(),
            row: workspace.row(),
            source: RecordSource::Local,
            extras,
        };
        entry.encode(&mut self.frame);
        self.records.append(&self.frame).is_ok()
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
