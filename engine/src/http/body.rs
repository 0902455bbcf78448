//! Bodies in and out, with their limits.

use std::future::poll_fn;
use std::ops::Deref;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::batch::{Aborted, Answering};
use super::error::Failure;
use super::inflate::{Inflater, Refused};
use super::pages::Inflating;
use crate::limits::SLICE_BYTES;
use crate::shard::ShardCore;
use crate::shard::turns::Turn;
use crate::shard::wheel::Timer;
use crate::telemetry::Phase;

/// Buffers for bodies in parts that a shard keeps. Beyond it they are given back to the allocator.
const POOLED_MAX: usize = 64;

/// A buffer that grew beyond this is not kept: one large body must not occupy memory for ever. Unit: bytes.
const POOLED_BYTES_MAX: usize = 256 << 10;

/// The body of an answer: whole, in one piece, of known length.
#[derive(Debug)]
pub struct Whole(Bytes);

impl Whole {
    pub(super) fn new(bytes: Bytes) -> Self {
        Self(bytes)
    }
}

impl Body for Whole {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::convert::Infallible>>> {
        let bytes = std::mem::take(&mut self.0);
        Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.len() as u64)
    }
}

/// The body of any answer.
pub enum Outgoing {
    /// One that is there.
    Whole(Whole),
    /// One that is made as it is taken.
    Batch(Box<Answering>),
    /// A compressed file of ours, for a client that takes no compression: a piece of it a turn.
    Inflating(Box<Inflating>),
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Aborted;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Aborted>>> {
        match self.get_mut() {
            Self::Whole(whole) => {
                let frame = ready!(Pin::new(whole).poll_frame(cx));
                Poll::Ready(frame.map(|frame| frame.map_err(|never| match never {})))
            }
            Self::Batch(answering) => Pin::new(&mut **answering).poll_frame(cx),
            Self::Inflating(inflating) => {
                let piece = ready!(inflating.poll_piece(cx));
                Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(whole) if whole.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(whole) => whole.size_hint(),
            Self::Batch(_) => SizeHint::default(),
            Self::Inflating(inflating) => SizeHint::with_exact(inflating.left() as u64),
        }
    }
}

/// The body of a request, complete.
pub(super) enum Collected {
    /// It came in one frame, which hyper's buffer holds.
    Frame(Bytes),
    /// It came in several, gathered in a buffer of the shard's.
    Gathered(Gathered),
}

impl Deref for Collected {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Frame(bytes) => bytes,
            Self::Gathered(gathered) => &gathered.buffer,
        }
    }
}

/// How a body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    /// Not at all.
    Identity,
    /// gzip, RFC 1952.
    Gzip,
}

/// Reads a body to its end, within the shard's limits of size and time.
pub(super) async fn collect(core: &Rc<ShardCore>, body: Incoming, coding: Coding) -> Result<Collected, Failure> {
    match coding {
        Coding::Identity => collect_plain(core, body).await,
        // In a box, so that bodies that come as they are do not carry its state.
        Coding::Gzip => Box::pin(collect_inflated(core, body)).await,
    }
}

async fn collect_inflated(core: &Rc<ShardCore>, body: Incoming) -> Result<Collected, Failure> {
    let limits = core.limits();
    let mut intake = Intake::new(core, body, Coding::Gzip, limits.body_bytes_max, limits.body)?;
    let mut gathered = Gathered::new(Rc::clone(core));
    while let Some(piece) = intake.next().await? {
        gathered.append(&piece, limits.body_bytes_max)?;
    }
    Ok(Collected::Gathered(gathered))
}

async fn collect_plain(core: &Rc<ShardCore>, mut body: Incoming) -> Result<Collected, Failure> {
    let limit = core.limits().body_bytes_max;
    if body.size_hint().lower() > limit as u64 {
        return Err(Failure::BodyTooLarge { limit });
    }
    let mut deadline = Deadline {
        core: &**core,
        limit: core.limits().body,
        timer: None,
    };
    let mut first: Option<Bytes> = None;
    let mut gathered: Option<Gathered> = None;
    while let Some(frame) = deadline.frame(&mut body).await? {
        // Trailers say nothing that we ask for.
        let Ok(data) = frame.into_data() else { continue };
        match (&first, &mut gathered) {
            (None, None) if data.len() <= limit => first = Some(data),
            (_, Some(more)) => more.append(&data, limit)?,
            (Some(_), None) => {
                let mut both = Gathered::new(Rc::clone(core));
                both.append(&first.take().unwrap_or_default(), limit)?;
                both.append(&data, limit)?;
                gathered = Some(both);
            }
            (None, None) => return Err(Failure::BodyTooLarge { limit }),
        }
        if body.is_end_stream() {
            break;
        }
    }
    Ok(match gathered {
        Some(gathered) => Collected::Gathered(gathered),
        None => Collected::Frame(first.unwrap_or_default()),
    })
}

/// The limit of one body's time. The timer is made when the body first keeps us waiting, which most never do.
struct Deadline<C: Deref<Target = ShardCore>> {
    core: C,
    limit: Duration,
    timer: Option<Timer>,
}

impl<C: Deref<Target = ShardCore>> Deadline<C> {
    async fn frame(&mut self, body: &mut Incoming) -> Result<Option<Frame<Bytes>>, Failure> {
        poll_fn(|cx| self.poll_frame(body, cx)).await
    }

    fn poll_frame(&mut self, body: &mut Incoming, cx: &mut Context<'_>) -> Poll<Result<Option<Frame<Bytes>>, Failure>> {
        match Pin::new(body).poll_frame(cx) {
            Poll::Ready(None) => Poll::Ready(Ok(None)),
            Poll::Ready(Some(Ok(frame))) => Poll::Ready(Ok(Some(frame))),
            Poll::Ready(Some(Err(_))) => Poll::Ready(Err(Failure::BodyBroken)),
            Poll::Pending if self.poll_passed(cx) => {
                self.core.stats.borrow_mut().timeouts[Phase::Body as usize] += 1;
                Poll::Ready(Err(Failure::BodyTimeout))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn poll_passed(&mut self, cx: &Context<'_>) -> bool {
        let mut wheel = self.core.wheel.borrow_mut();
        let timer = *self.timer.get_or_insert_with(|| {
            let timer = wheel.insert();
            wheel.set(timer, self.limit);
            timer
        });
        wheel.poll_fired(timer, cx)
    }
}

impl<C: Deref<Target = ShardCore>> Drop for Deadline<C> {
    fn drop(&mut self) {
        if let Some(timer) = self.timer {
            self.core.wheel.borrow_mut().remove(timer);
        }
    }
}

/// A body that is read piece by piece, inflated if it is compressed, within limits of size and time. However fast it comes,
/// it takes turns with the shard's other work.
pub(super) struct Intake {
    incoming: Incoming,
    deadline: Deadline<Rc<ShardCore>>,
    limit: usize,
    /// As they come over the wire.
    bytes: usize,
    inflater: Option<Box<Inflater>>,
    /// What came last and is not inflated yet.
    compressed: Bytes,
    turn: Turn,
    bytes_since_turn: usize,
}

impl Intake {
    /// A body of at most `limit` bytes, inflated or not, that is complete within `time`.
    pub(super) fn new(
        core: &Rc<ShardCore>,
        incoming: Incoming,
        coding: Coding,
        limit: usize,
        time: Duration,
    ) -> Result<Self, Failure> {
        if incoming.size_hint().lower() > limit as u64 {
            return Err(Failure::BodyTooLarge { limit });
        }
        Ok(Self {
            incoming,
            deadline: Deadline {
                core: Rc::clone(core),
                limit: time,
                timer: None,
            },
            limit,
            bytes: 0,
            inflater: (coding == Coding::Gzip).then(|| Box::new(Inflater::new(limit))),
            compressed: Bytes::new(),
            turn: Turn::new(Rc::clone(core)),
            bytes_since_turn: 0,
        })
    }

    /// The next piece, never an empty one; none at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Failure>> {
        loop {
            if self.bytes_since_turn >= SLICE_BYTES {
                ready!(self.turn.poll(cx));
                self.bytes_since_turn = 0;
            }
            let piece = if self.compressed.is_empty() {
                match ready!(self.deadline.poll_frame(&mut self.incoming, cx))? {
                    Some(frame) => self.arrived(frame)?,
                    None => match self.rest()? {
                        Some(piece) => piece,
                        None => return Poll::Ready(Ok(None)),
                    },
                }
            } else {
                self.inflate()?
            };
            if !piece.is_empty() {
                return Poll::Ready(Ok(Some(piece)));
            }
        }
    }

    fn arrived(&mut self, frame: Frame<Bytes>) -> Result<Bytes, Failure> {
        // Trailers say nothing that we ask for.
        let data = frame.into_data().unwrap_or_default();
        self.bytes += data.len();
        if self.bytes > self.limit {
            return Err(Failure::BodyTooLarge { limit: self.limit });
        }
        if self.inflater.is_some() {
            self.compressed = data;
            return Ok(Bytes::new());
        }
        self.bytes_since_turn += data.len();
        Ok(data)
    }

    fn inflate(&mut self) -> Result<Bytes, Failure> {
        let Some(inflater) = &mut self.inflater else {
            return Ok(std::mem::take(&mut self.compressed));
        };
        let used = inflater
            .step(&self.compressed)
            .map_err(|refused| failure(refused, self.limit))?;
        self.compressed.advance(used);
        // Inflating a byte costs about twice what reading one does.
        self.bytes_since_turn += used + 2 * inflater.ready();
        Ok(inflater.take().into())
    }

    /// What only the end of a compressed body brings out.
    fn rest(&mut self) -> Result<Option<Bytes>, Failure> {
        let Some(mut inflater) = self.inflater.take() else {
            return Ok(None);
        };
        inflater.finish().map_err(|refused| failure(refused, self.limit))?;
        Ok(Some(inflater.take().into()))
    }
}

fn failure(refused: Refused, limit: usize) -> Failure {
    match refused {
        Refused::Damaged => Failure::BadGzip,
        Refused::TooLarge => Failure::InflatesTooLarge { limit },
    }
}

/// A buffer of the shard's pool, given back when dropped.
pub(super) struct Gathered {
    core: Rc<ShardCore>,
    buffer: Vec<u8>,
}

impl Gathered {
    fn new(core: Rc<ShardCore>) -> Self {
        let buffer = core.bodies.borrow_mut().pop().unwrap_or_default();
        Self { core, buffer }
    }

    fn append(&mut self, data: &Bytes, limit: usize) -> Result<(), Failure> {
        if data.remaining() > limit - self.buffer.len() {
            return Err(Failure::BodyTooLarge { limit });
        }
        self.buffer.extend_from_slice(data);
        Ok(())
    }
}

impl Drop for Gathered {
    fn drop(&mut self) {
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut pool = self.core.bodies.borrow_mut();
        if pool.len() < POOLED_MAX && buffer.capacity() <= POOLED_BYTES_MAX {
            buffer.clear();
            pool.push(buffer);
        }
    }
}
