//! `POST /score/batch`: many leads in one request, as a list or a line each.
//!
//! ```text
//! list   body ─▶ BodyReader ─▶ Envelope … whole? ─▶ status ─▶ ┐
//! lines  body ─▶ BodyReader ─▶ first piece? ─────▶ status ─▶ ┴─▶ BatchResponse: turn ─▶ Scorer::slice ─▶ a part ─┐
//!                                                                     ▲───────── the client has read it ◀──────────┘
//! ```
//! The answer is made while the client reads it. So a batch holds only its body, if that is a list, or one piece of it,
//! if it is lines, and one part of its answer. It works in turns ([`crate::shard::slice_queue`]), so that single
//! requests wait for one slice.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use arrayvec::ArrayString;
use bytes::Bytes;
use http::HeaderValue;
use http_body::{Body, Frame};
use hyper::body::Incoming;
use quintile_scoring::limits::REQUEST_ID_BYTES_MAX;
use quintile_scoring::read::ReadError;
use quintile_scoring::read::batch::{Cut, Envelope, EnvelopeError, Lines, Piece, Pieces};
use quintile_scoring::reasons::ReasonsWish;
use quintile_scoring::render;

use super::body::{BodyReader, Coding};
use super::connection::deadlines::{ConnectionDeadlines, UnsentBytes};
use super::error::RequestError;
use super::explain::{self, Ticking};
use super::response_body::Piece as BodyPiece;
use super::routes::contained;
use crate::budget::{Charge, Purpose, Size};
use crate::media_type::{JSON, is_json, is_lines, lines};
use crate::models::ModelChoice;
use crate::shard::ShardCore;
use crate::shard::scorer::RequestInfo;
use crate::shard::scorer::slice::{Batch, BatchModel, HeldLead, Layout};
use crate::shard::slice_queue::SliceTurn;
use crate::telemetry::BatchCounts;

/// How the leads of a batch stand in its body, and their results in the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// `{"leads":[…]}` → `{"results":[…],…}`
    List,
    /// A lead a line → a result a line.
    Lines,
}

impl Form {
    /// The form that a content type means; a body without one is a list.
    pub(super) fn of(kind: Option<&HeaderValue>) -> Option<Self> {
        let Some(kind) = kind.map(HeaderValue::as_bytes) else {
            return Some(Self::List);
        };
        if is_lines(kind) {
            return Some(Self::Lines);
        }
        is_json(kind).then_some(Self::List)
    }

    /// The content type of the answer.
    pub(super) fn content_type(self) -> HeaderValue {
        match self {
            Self::List => JSON,
            Self::Lines => lines(),
        }
    }
}

/// Bytes of a part of the answer, unless no more is ready. Clients count small HTTP/2 frames that they have not read
/// yet as an attack and end the connection: Rust's `h2` those under 256 bytes, which one result of a slow model is.
const PART_BYTES_MIN: usize = 1024;

/// Reads as much of a batch as its status depends on.
pub(super) async fn open(
    core: &Rc<ShardCore>,
    watch: &Rc<ConnectionDeadlines>,
    body: Incoming,
    (form, coding): (Form, Coding),
    (choice, request): (&ModelChoice, RequestInfo<'_>),
) -> Result<BatchResponse, RequestError> {
    let seat = BatchPermit::take(core, watch)?;
    let mut reasons = request.reasons;
    let source = match form {
        Form::List => {
            let (cut, charge, wish) = read_list(core, body, coding).await?;
            reasons = wish.over(reasons);
            LeadSource::List(Box::new((cut, charge)))
        }
        Form::Lines => {
            let limits = core.limits();
            let mut intake = BodyReader::new(core, body, coding, limits.batch_bytes_max, limits.batch)?;
            let mut lines = Lines::new(limits.body_bytes_max, limits.batch_leads_max);
            // A fault at the beginning has a status of its own; and a client that waits for `100 Continue` gets it only
            // before an answer has begun.
            match intake.next().await? {
                Some(piece) => lines.add(piece),
                None => lines.end(),
            }
            let charge = Charge::new(&core.budget, Purpose::Batches);
            LeadSource::Lines(Box::new((intake, lines, charge)))
        }
    };
    if core.scorer.borrow().must_explain(reasons) {
        explain::prepare(core, choice).await?;
    }
    Ok(BatchResponse {
        model: core.scorer.borrow_mut().batch_model(choice),
        request_id: ArrayString::from(request.id).unwrap_or_default(),
        lists_unusual: request.lists_unusual,
        reasons,
        source,
        turn: SliceTurn::to_score(Rc::clone(core)),
        tally: BatchCounts::default(),
        began: Instant::now(),
        part: Vec::new(),
        part_bytes: 0,
        has_begun: false,
        has_ended: false,
        held: None,
        ticking: None,
        owed: UnsentBytes::new(Rc::clone(watch)),
        seat,
    })
}

/// Reads a list to its end. A body that is wrong in its shape is read to its end too, unless it is too large: then its
/// connection can go on.
async fn read_list(
    core: &Rc<ShardCore>,
    body: Incoming,
    coding: Coding,
) -> Result<(Cut, Charge, ReasonsWish), RequestError> {
    let limits = core.limits();
    let mut intake = BodyReader::new(core, body, coding, limits.batch_bytes_max, limits.batch)?;
    let mut envelope = Envelope::new(limits.body_bytes_max, limits.batch_leads_max);
    let mut charge = Charge::new(&core.budget, Purpose::Batches);
    let mut fault = None;
    while let Some(piece) = intake.next().await? {
        if fault.is_none() {
            charge.set(envelope.bytes() + piece.len(), Size::Large)?;
            fault = envelope.add(&piece).err();
        }
        match fault {
            Some(EnvelopeError::TooManyLeads) => {
                return Err(RequestError::TooManyLeads {
                    limit: limits.batch_leads_max,
                });
            }
            Some(EnvelopeError::Skeleton) => return Err(RequestError::TooMuchBesideLeads),
            _ => {}
        }
    }
    let wish = contained(core, || {
        let mut scorer = core.scorer.borrow_mut();
        let workspace = scorer.workspace_mut();
        let skeleton = match fault {
            Some(fault) => Err(fault),
            None => envelope.skeleton(),
        };
        match skeleton {
            Ok(skeleton) => workspace.read_skeleton(skeleton).map_err(|rejection| match rejection {
                ReadError::NotJson(fault) => ReadError::NotJson(envelope.fault(fault)),
                ReadError::Invalid => ReadError::Invalid,
            }),
            Err(EnvelopeError::NotObject(found)) => Err(workspace.refuse_type(found)),
            Err(EnvelopeError::NotJson(fault)) => Err(ReadError::NotJson(fault)),
            Err(EnvelopeError::TooManyLeads | EnvelopeError::Skeleton) => unreachable!("these have ended the reading"),
        }
        .map_err(RequestError::Rejected)?;
        Ok(workspace.wish())
    })?;
    Ok((envelope.cut(), charge, wish))
}

/// A place among the batches of a shard, and a request under way until the answer's last byte.
#[derive(Debug)]
struct BatchPermit {
    core: Rc<ShardCore>,
    watch: Rc<ConnectionDeadlines>,
}

impl BatchPermit {
    fn take(core: &Rc<ShardCore>, watch: &Rc<ConnectionDeadlines>) -> Result<Self, RequestError> {
        let limit = core.limits().batches_max;
        if core.batches.get() >= limit {
            return Err(RequestError::TooManyBatches { limit });
        }
        core.batches.set(core.batches.get() + 1);
        core.in_flight.set(core.in_flight.get() + 1);
        watch.request_began();
        Ok(Self {
            core: Rc::clone(core),
            watch: Rc::clone(watch),
        })
    }
}

impl Drop for BatchPermit {
    fn drop(&mut self) {
        self.core.batches.set(self.core.batches.get() - 1);
        self.core.in_flight.set(self.core.in_flight.get() - 1);
        self.watch.request_ended();
    }
}

/// Where the leads come from.
enum LeadSource {
    List(Box<(Cut, Charge)>),
    Lines(Box<(BodyReader, Lines, Charge)>),
}

impl LeadSource {
    /// Waits until there is a lead, or none will come. What keeps more from coming is the stream's end.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), RequestError>> {
        let Self::Lines(parts) = self else {
            return Poll::Ready(Ok(()));
        };
        let (intake, lines, charge) = &mut **parts;
        while lines.wants_more() {
            // A line that has only begun is kept by its reader.
            let is_whole = lines.next().is_none();
            debug_assert!(is_whole, "a reader that wants more has no line");
            charge.set(lines.kept_bytes(), Size::Large)?;
            match ready!(intake.poll_next(cx))? {
                Some(piece) => lines.add(piece),
                None => lines.end(),
            }
        }
        Poll::Ready(Ok(()))
    }

    fn layout(&self) -> Layout {
        match self {
            Self::List(_) => Layout::List,
            Self::Lines(_) => Layout::Lines,
        }
    }
}

impl Pieces for LeadSource {
    fn next(&mut self) -> Option<Piece<'_>> {
        match self {
            Self::List(list) => list.0.next(),
            Self::Lines(parts) => parts.1.next(),
        }
    }
}

/// An answer that cannot go on: the connection ends without its last byte, so that no client takes it for complete.
#[derive(Debug, thiserror::Error)]
#[error("a fault of the server has cut the answer off")]
pub struct Aborted;

/// The answer to a batch, made as it is taken.
pub struct BatchResponse {
    model: BatchModel,
    request_id: ArrayString<REQUEST_ID_BYTES_MAX>,
    lists_unusual: bool,
    reasons: ReasonsWish,
    source: LeadSource,
    turn: SliceTurn,
    tally: BatchCounts,
    /// When the status was decided: of a list, when its body was complete.
    began: Instant,
    /// Results that are too few to be given away.
    part: Vec<u8>,
    /// Bytes of the largest part so far.
    part_bytes: usize,
    has_begun: bool,
    has_ended: bool,
    /// A lead that a slice could not finish.
    held: Option<HeldLead>,
    /// Until when another slice makes no sense, because that lead waits for what explains its model.
    ticking: Option<Ticking>,
    owed: UnsentBytes,
    /// Given back last.
    seat: BatchPermit,
}

impl BatchResponse {
    fn poll_part(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Aborted>>> {
        self.owed.end();
        while !self.has_ended && self.part.len() < PART_BYTES_MIN {
            if let Some(ticking) = &mut self.ticking {
                match ticking.poll(cx) {
                    Poll::Ready(()) => self.ticking = None,
                    Poll::Pending if self.part.is_empty() => return Poll::Pending,
                    // Results do not wait for reasons of others.
                    Poll::Pending => break,
                }
            }
            let ready = match self.held {
                // What is begun does not wait for what follows.
                Some(_) => Ok(()),
                None => match self.source.poll_ready(cx) {
                    Poll::Ready(ready) => ready,
                    Poll::Pending if self.part.is_empty() => return Poll::Pending,
                    // Results do not wait for leads that have not come.
                    Poll::Pending => break,
                },
            };
            match ready {
                Ok(()) => {
                    ready!(self.turn.poll(cx));
                    let core = Rc::clone(&self.seat.core);
                    let scored = contained(&core, || {
                        self.score_slice();
                        Ok(())
                    });
                    if scored.is_err() {
                        self.has_ended = true;
                        self.part.clear();
                        return Poll::Ready(Some(Err(Aborted)));
                    }
                }
                Err(failure) => self.break_off(&failure),
            }
        }
        if self.part.is_empty() {
            return Poll::Ready(None);
        }
        let part = std::mem::take(&mut self.part);
        self.part_bytes = self.part_bytes.max(part.len());
        self.owed.begin();
        Poll::Ready(Some(Ok(part.into())))
    }

    /// Scores a slice of the leads.
    fn score_slice(&mut self) {
        let out = &mut self.part;
        if out.is_empty() {
            out.reserve(self.part_bytes);
        }
        let layout = self.source.layout();
        if layout == Layout::List && !self.has_begun {
            out.extend_from_slice(b"{\"results\":[");
            self.has_begun = true;
        }
        let core = &self.seat.core;
        let batch = Batch {
            model: &self.model,
            request: RequestInfo {
                id: &self.request_id,
                lists_unusual: self.lists_unusual,
                reasons: self.reasons,
                target: None,
            },
            layout,
            has_begun: self.tally != BatchCounts::default(),
            lead_bytes_max: core.limits().body_bytes_max,
            budget: &core.budget,
        };
        let mut scorer = core.scorer.borrow_mut();
        let mut stats = core.stats.borrow_mut();
        let tally = scorer.slice(&batch, &mut self.source, &mut self.held, out, &mut stats);
        stats.batch(&tally);
        drop((scorer, stats));
        self.tally.add(&tally);
        if let Some(held) = &self.held {
            self.ticking = held.waits_for_reasons().then(|| Ticking::new(core));
            return;
        }
        if let LeadSource::List(list) = &mut self.source {
            list.1.lower(list.0.bytes());
        }
        match &self.source {
            LeadSource::List(list) if list.0.is_empty() => {
                let total_ns = u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX);
                let counts = (self.tally.scored(), self.tally.failed);
                render::batch_end(out, &self.model.version().loaded, counts, &self.request_id, total_ns);
                self.has_ended = true;
            }
            LeadSource::List(_) => {}
            LeadSource::Lines(parts) => {
                if let Some(line) = parts.1.is_over() {
                    let failure = RequestError::TooManyLeads {
                        limit: core.limits().batch_leads_max,
                    };
                    self.has_ended = true;
                    break_off(out, line, &failure);
                } else if tally == BatchCounts::default() {
                    // There was none, though there was nothing to wait for.
                    self.has_ended = true;
                }
            }
        }
    }

    /// The last line of lines whose body breaks off.
    fn break_off(&mut self, failure: &RequestError) {
        self.has_ended = true;
        if let LeadSource::Lines(parts) = &self.source {
            break_off(&mut self.part, parts.1.number() + 1, failure);
        }
    }
}

fn break_off(out: &mut Vec<u8>, line: u64, failure: &RequestError) {
    let (_, code) = failure.status();
    render::broken_off(out, line, code, &failure.to_string());
}

impl Body for BatchResponse {
    type Data = BodyPiece;
    type Error = Aborted;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<BodyPiece>, Aborted>>> {
        let part = ready!(self.poll_part(cx));
        let piece = |bytes: Bytes| BodyPiece::counted(bytes, &self.seat.watch);
        Poll::Ready(part.map(|part| part.map(|bytes| Frame::data(piece(bytes)))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_many_names() {
        let of = |kind| Form::of(Some(&HeaderValue::from_static(kind)));
        for kind in [
            "application/x-ndjson",
            "Application/NDJSON; charset=utf-8",
            "application/jsonlines",
            "application/jsonl ;x=y",
        ] {
            assert_eq!(of(kind), Some(Form::Lines), "{kind}");
        }
        for kind in ["application/json", "application/vnd.crm+json"] {
            assert_eq!(of(kind), Some(Form::List), "{kind}");
        }
        for kind in ["text/csv", "application/x-ndjson2", "ndjson", ""] {
            assert_eq!(of(kind), None, "{kind}");
        }
        assert_eq!(Form::of(None), Some(Form::List));
    }
}
