//! A request with rows: read, scored and answered in slices, as batches are, so that a request beside it waits for one
//! slice.

use std::future::poll_fn;
use std::rc::Rc;
use std::time::Instant;

use bytes::{BufMut as _, Bytes};
use hyper::body::Incoming;

use super::memory::{KeptProtocol, RowsMemory};
use crate::budget::{Charge, Purpose, Size};
use crate::http::HttpShard;
use crate::http::body::{self, BodyBounds, Coding};
use crate::http::error::{RequestError, RowsRefusal};
use crate::http::explain;
use crate::http::routes::contained;
use crate::limits::{LONG_LEAD_SLICE_BYTES, SMALL_BODY_BYTES};
use crate::models::ModelChoice;
use crate::protocol::rows::Scored;
use crate::protocol::{AnswerRows, ReadLimits};
use crate::record::ProtocolName;
use crate::shard::ShardCore;
use crate::shard::scorer::rows::{RowsModel, RowsRequest, RowsScoreError};
use crate::shard::slice_queue::SliceTurn;

/// An answer of fewer bytes is cut from the shard's arena.
const ARENA_BYTES_MAX: usize = 8 << 10;

/// Bytes that a request may hold beside its body without being charged for.
const FREE_BYTES: usize = 64 << 10;

/// What is asked.
#[derive(Clone, Copy)]
pub(super) struct RowsCall<'a> {
    pub(super) choice: &'a ModelChoice,
    pub(super) coding: Coding,
    pub(super) protocol: ProtocolName,
    pub(super) request_id: &'a str,
    /// Until when an answer makes sense.
    pub(super) deadline: Option<Instant>,
}

/// The answer, and the request with what its headers need.
pub(super) struct RowsAnswer<P: KeptProtocol> {
    pub(super) body: Bytes,
    pub(super) request: Kept<P>,
}

/// A request's value, which goes back to the shard's memory.
pub(super) struct Kept<P: KeptProtocol> {
    http: Rc<HttpShard>,
    request: Option<P>,
}

/// Its rows, which go back too.
struct KeptRows {
    http: Rc<HttpShard>,
    memory: Option<RowsMemory>,
}

/// Reads, scores and answers a request.
pub(super) async fn answer<P: KeptProtocol>(
    http: &Rc<HttpShard>,
    body: Incoming,
    call: RowsCall<'_>,
    set: impl FnOnce(&mut P),
) -> Result<RowsAnswer<P>, RequestError> {
    let core = &http.core;
    let limits = core.limits();
    let bounds = BodyBounds {
        bytes: limits.batch_bytes_max,
        time: limits.batch,
    };
    let body = body::collect_within(core, body, call.coding, bounds).await?;
    if body.is_empty() && call.protocol == ProtocolName::SageMaker {
        return Err(RequestError::NoContent);
    }
    of_body(http, &body, call, set).await
}

/// The same of a body that is complete.
pub(super) async fn of_body<P: KeptProtocol>(
    http: &Rc<HttpShard>,
    body: &[u8],
    call: RowsCall<'_>,
    set: impl FnOnce(&mut P),
) -> Result<RowsAnswer<P>, RequestError> {
    let core = &http.core;
    let away = core.remote.as_ref();
    if away.is_some_and(|remote| remote.takes(core.scorer.borrow().champion(), false)) {
        return Err(RequestError::BatchNotLocal);
    }
    let began = Instant::now();
    let model = core.scorer.borrow_mut().rows_model(call.choice);
    let mut request = Kept::<P>::take(http);
    set(request.get());
    let mut rows = KeptRows::take(http);
    let mut work = Work {
        core,
        call,
        model: &model,
        body,
        turns: (body.len() > SMALL_BODY_BYTES).then(|| SliceTurn::to_read(Rc::clone(core))),
        charge: Charge::new(&core.budget, Purpose::Batches),
    };
    let result = work.run(&mut request, &mut rows).await;
    let counts = &model.version.counts;
    match result {
        Ok(body) => {
            let count = rows.get().rows.count();
            counts.answered(count, began.elapsed());
            if count == 1 {
                let band = rows.get().scored.bands.first().copied().filter(|&band| band > 0);
                let took = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
                core.stats.borrow_mut().scored(band, took);
            }
            Ok(RowsAnswer { body, request })
        }
        Err(failure) => {
            counts.refused();
            Err(failure)
        }
    }
}

/// A request under way.
struct Work<'a> {
    core: &'a Rc<ShardCore>,
    call: RowsCall<'a>,
    model: &'a RowsModel,
    body: &'a [u8],
    /// Turns to read; none for a body that is read at once.
    turns: Option<SliceTurn>,
    charge: Charge,
}

impl Work<'_> {
    async fn run<P: KeptProtocol>(
        &mut self,
        request: &mut Kept<P>,
        kept: &mut KeptRows,
    ) -> Result<Bytes, RequestError> {
        kept.get().rows.reset(&self.model.version.loaded);
        self.read(request, kept).await?;
        self.score(request, kept).await?;
        self.write(request, kept).await
    }

    async fn read<P: KeptProtocol>(&mut self, request: &mut Kept<P>, kept: &mut KeptRows) -> Result<(), RequestError> {
        let loaded = &self.model.version.loaded;
        let limits = ReadLimits {
            bytes: LONG_LEAD_SLICE_BYTES * 4,
            rows: self.core.limits().tensor_rows_max,
        };
        loop {
            self.check_time()?;
            let (request, memory) = (request.get(), kept.get());
            let read = contained(self.core, || {
                Ok(request.read(loaded, self.body, &mut memory.rows, limits))
            })?;
            self.hold(request.held_bytes() + memory.rows.bytes())?;
            match read {
                Some(Ok(())) => return Ok(()),
                Some(Err(error)) => {
                    return Err(RequestError::Rows(Box::new(RowsRefusal {
                        is_too_large: error.is_too_large(),
                        text: error.text(loaded),
                    })));
                }
                None => self.wait().await,
            }
        }
    }

    async fn score<P: KeptProtocol>(&mut self, request: &mut Kept<P>, kept: &mut KeptRows) -> Result<(), RequestError> {
        let asked = request.get().asked();
        let protocol = request.get().protocol(self.call.protocol);
        if asked.contributions {
            explain::prepare(self.core, self.call.choice).await?;
        }
        let model = &self.model.version.loaded.model;
        let count = kept.get().rows.count();
        self.hold(self.charge.bytes() + Scored::bytes_of(model, asked, count))?;
        let mut turn: Option<SliceTurn> = None;
        loop {
            self.check_time()?;
            let RowsMemory { rows, scored, .. } = kept.get();
            if scored.rows() == count {
                return Ok(());
            }
            if scored.rows() > 0 {
                let turn = turn.get_or_insert_with(|| SliceTurn::to_score(Rc::clone(self.core)));
                poll_fn(|cx| turn.poll(cx)).await;
            }
            let request = RowsRequest {
                model: self.model,
                protocol,
                request_id: self.call.request_id,
                rows,
                asked,
            };
            contained(self.core, || {
                let mut stats = self.core.stats.borrow_mut();
                let mut scorer = self.core.scorer.borrow_mut();
                scorer.score_some(&request, scored, &mut stats).map_err(failure)
            })?;
        }
    }

    async fn write<P: KeptProtocol>(
        &mut self,
        request: &mut Kept<P>,
        kept: &mut KeptRows,
    ) -> Result<Bytes, RequestError> {
        let version = &self.model.version;
        let memory = kept.get();
        loop {
            let answer = AnswerRows {
                loaded: &version.loaded,
                name: version.loaded.model.name(),
                version: &version.version,
                rows: &memory.rows,
                scored: &memory.scored,
            };
            let held = self.charge.bytes();
            let (request, out) = (request.get(), &mut memory.out);
            let before = out.capacity();
            let is_done = contained(self.core, || Ok(request.write(&answer, self.body, out)))?;
            self.hold(held + out.capacity() - before)?;
            if is_done {
                break;
            }
            self.wait().await;
        }
        let out = &mut memory.out;
        if out.len() > ARENA_BYTES_MAX {
            return Ok(std::mem::take(out).into());
        }
        let mut arena = self.core.arena.borrow_mut();
        Ok(arena.cut(out.len(), |answer| answer.put_slice(out)))
    }

    /// Whether the client still waits.
    fn check_time(&self) -> Result<(), RequestError> {
        match self.call.deadline {
            Some(deadline) if Instant::now() >= deadline => Err(RequestError::DeadlineExceeded),
            _ => Ok(()),
        }
    }

    /// Waits for a turn.
    async fn wait(&mut self) {
        let turn = self
            .turns
            .get_or_insert_with(|| SliceTurn::to_read(Rc::clone(self.core)));
        poll_fn(|cx| turn.poll(cx)).await;
    }

    fn hold(&mut self, bytes: usize) -> Result<(), RequestError> {
        if bytes > FREE_BYTES {
            self.charge.set(bytes, Size::Large)?;
        }
        Ok(())
    }
}

fn failure(error: RowsScoreError) -> RequestError {
    match error {
        RowsScoreError::QueueFull => RequestError::QueueFull,
        RowsScoreError::Unexplained(error) => explain::failure(error),
    }
}

impl<P: KeptProtocol> Kept<P> {
    fn take(http: &Rc<HttpShard>) -> Self {
        Self {
            http: Rc::clone(http),
            request: Some(http.memory.take()),
        }
    }

    pub(super) fn get(&mut self) -> &mut P {
        self.request.get_or_insert_with(Default::default)
    }
}

impl<P: KeptProtocol> Drop for Kept<P> {
    fn drop(&mut self) {
        if let Some(request) = self.request.take() {
            self.http.memory.give(request);
        }
    }
}

impl KeptRows {
    fn take(http: &Rc<HttpShard>) -> Self {
        Self {
            http: Rc::clone(http),
            memory: Some(http.memory.take_rows()),
        }
    }

    fn get(&mut self) -> &mut RowsMemory {
        self.memory.get_or_insert_with(Default::default)
    }
}

impl Drop for KeptRows {
    fn drop(&mut self) {
        if let Some(memory) = self.memory.take() {
            self.http.memory.give_rows(memory);
        }
    }
}
