//! Bodies of requests, with their limits.

use std::future::poll_fn;
use std::ops::Deref;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http_body::{Body, Frame};
use hyper::body::Incoming;

use super::error::RequestError;
use super::inflate::{InflateError, Inflater};
use crate::budget::{Charge, Purpose, Size};
use crate::limits::{SLICE_BYTES, SMALL_BODY_BYTES, WAITING_REQUEST_BYTES};
use crate::shard::ShardCore;
use crate::shard::slice_queue::SliceTurn;
use crate::shard::timers::Timer;
use crate::telemetry::Phase;

/// Buffers for bodies in parts that a shard keeps. Beyond it they are given back to the allocator.
const POOLED_MAX: usize = 16;

/// A buffer that grew beyond this is not kept: one large body must not occupy memory for ever. Unit: bytes.
const POOLED_BYTES_MAX: usize = 64 << 10;

/// What a body that is being inflated holds: the library's state and what it hands on at once. Unit: bytes.
const INFLATER_BYTES: usize = 96 << 10;

/// What one step of inflating costs however little it brings, in bytes of plain text: a body may consist of empty
/// members, each of which takes a new state.
const INFLATE_STEP_BYTES: usize = 2 << 10;

/// The body of a request, complete.
pub(super) enum Collected {
    /// It came in one frame, which hyper's buffer holds.
    Frame(Bytes),
    /// It came in several, gathered in a buffer of the shard's.
    PooledBody(PooledBody),
}

impl Deref for Collected {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Frame(bytes) => bytes,
            Self::PooledBody(gathered) => &gathered.buffer,
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
    /// zlib, RFC 1950, which HTTP calls deflate.
    Deflate,
}

/// How large a body may be, and how long it may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct BodyBounds {
    pub(super) bytes: usize,
    pub(super) time: Duration,
}

/// Reads a body to its end, within the shard's limits of size and time.
pub(super) async fn collect(core: &Rc<ShardCore>, body: Incoming, coding: Coding) -> Result<Collected, RequestError> {
    let limits = core.limits();
    let bounds = BodyBounds {
        bytes: limits.body_bytes_max,
        time: limits.body,
    };
    collect_within(core, body, coding, bounds).await
}

/// The same within other limits.
pub(super) async fn collect_within(
    core: &Rc<ShardCore>,
    body: Incoming,
    coding: Coding,
    bounds: BodyBounds,
) -> Result<Collected, RequestError> {
    match coding {
        Coding::Identity => collect_plain(core, body, bounds).await,
        // In a box, so that bodies that come as they are do not carry its state.
        Coding::Gzip | Coding::Deflate => Box::pin(collect_inflated(core, body, coding, bounds)).await,
    }
}

async fn collect_inflated(
    core: &Rc<ShardCore>,
    body: Incoming,
    coding: Coding,
    bounds: BodyBounds,
) -> Result<Collected, RequestError> {
    let mut intake = BodyReader::new(core, body, coding, bounds.bytes, bounds.time)?;
    let mut gathered = PooledBody::new(Rc::clone(core));
    while let Some(piece) = intake.next().await? {
        gathered.append(&piece, bounds.bytes)?;
    }
    Ok(Collected::PooledBody(gathered))
}

async fn collect_plain(
    core: &Rc<ShardCore>,
    mut body: Incoming,
    bounds: BodyBounds,
) -> Result<Collected, RequestError> {
    let limit = bounds.bytes;
    check_length(core, &body, limit)?;
    let mut deadline = Deadline::new(&**core, bounds.time);
    let mut first: Option<Bytes> = None;
    let mut gathered: Option<PooledBody> = None;
    while let Some(frame) = deadline.frame(&mut body).await? {
        // Trailers say nothing that we ask for.
        let Ok(data) = frame.into_data() else { continue };
        match (&first, &mut gathered) {
            (None, None) if data.len() <= limit => first = Some(data),
            (_, Some(more)) => more.append(&data, limit)?,
            (Some(_), None) => {
                let mut both = PooledBody::new(Rc::clone(core));
                both.append(&first.take().unwrap_or_default(), limit)?;
                both.append(&data, limit)?;
                gathered = Some(both);
            }
            (None, None) => return Err(RequestError::BodyTooLarge { limit }),
        }
        if body.is_end_stream() {
            break;
        }
    }
    Ok(match gathered {
        Some(gathered) => Collected::PooledBody(gathered),
        None => Collected::Frame(first.unwrap_or_default()),
    })
}

/// What the length that a body says it has decides. Nothing is charged for bytes that have not come.
fn check_length(core: &ShardCore, body: &Incoming, limit: usize) -> Result<(), RequestError> {
    let length = body.size_hint().lower();
    if length <= SMALL_BODY_BYTES as u64 {
        return Ok(());
    }
    match usize::try_from(length) {
        Ok(bytes) if bytes <= limit && core.budget.has_room(bytes, Size::Large) => Ok(()),
        Ok(bytes) if bytes <= limit => {
            core.budget.refuse();
            Err(RequestError::OutOfMemory)
        }
        _ => Err(RequestError::BodyTooLarge { limit }),
    }
}

/// The limit of one body's time. The timer is made when the body first keeps us waiting, which most never do.
struct Deadline<C: Deref<Target = ShardCore>> {
    core: C,
    limit: Duration,
    timer: Option<Timer>,
    /// What the request holds while it waits.
    charge: Option<Charge>,
}

impl<C: Deref<Target = ShardCore>> Deadline<C> {
    fn new(core: C, limit: Duration) -> Self {
        Self {
            core,
            limit,
            timer: None,
            charge: None,
        }
    }

    async fn frame(&mut self, body: &mut Incoming) -> Result<Option<Frame<Bytes>>, RequestError> {
        poll_fn(|cx| self.poll_frame(body, cx)).await
    }

    fn poll_frame(
        &mut self,
        body: &mut Incoming,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Frame<Bytes>>, RequestError>> {
        match Pin::new(body).poll_frame(cx) {
            Poll::Ready(None) => Poll::Ready(Ok(None)),
            Poll::Ready(Some(Ok(frame))) => Poll::Ready(Ok(Some(frame))),
            Poll::Ready(Some(Err(_))) => Poll::Ready(Err(RequestError::BodyBroken)),
            Poll::Pending => match self.poll_passed(cx) {
                Err(failure) => Poll::Ready(Err(failure)),
                Ok(true) => {
                    self.core.stats.borrow_mut().timeouts[Phase::Body as usize] += 1;
                    Poll::Ready(Err(RequestError::BodyTimeout))
                }
                Ok(false) => Poll::Pending,
            },
        }
    }

    fn poll_passed(&mut self, cx: &Context<'_>) -> Result<bool, RequestError> {
        if self.charge.is_none() {
            let mut charge = Charge::new(&self.core.budget, Purpose::Bodies);
            charge.set(WAITING_REQUEST_BYTES, Size::Small)?;
            self.charge = Some(charge);
        }
        let mut wheel = self.core.wheel.borrow_mut();
        let timer = *self.timer.get_or_insert_with(|| {
            let timer = wheel.insert();
            wheel.set(timer, self.limit);
            timer
        });
        Ok(wheel.poll_fired(timer, cx))
    }
}

impl<C: Deref<Target = ShardCore>> Drop for Deadline<C> {
    fn drop(&mut self) {
        if let Some(timer) = self.timer {
            self.core.wheel.borrow_mut().remove(timer);
        }
    }
}

/// A body that is read piece by piece, inflated if it is compressed, within limits of size and time. However fast it
/// comes, it takes turns with the shard's other work.
pub(super) struct BodyReader {
    incoming: Incoming,
    deadline: Deadline<Rc<ShardCore>>,
    limit: usize,
    /// As they come over the wire.
    bytes: usize,
    inflater: Option<Box<Inflater>>,
    /// For the inflater.
    _charge: Charge,
    /// What came last and is not inflated yet.
    compressed: Bytes,
    turn: SliceTurn,
    bytes_since_turn: usize,
}

impl BodyReader {
    /// A body of at most `limit` bytes, inflated or not, that is complete within `time`.
    pub(super) fn new(
        core: &Rc<ShardCore>,
        incoming: Incoming,
        coding: Coding,
        limit: usize,
        time: Duration,
    ) -> Result<Self, RequestError> {
        check_length(core, &incoming, limit)?;
        let mut charge = Charge::new(&core.budget, Purpose::Bodies);
        if coding != Coding::Identity {
            charge.set(INFLATER_BYTES, Size::Small)?;
        }
        Ok(Self {
            incoming,
            deadline: Deadline::new(Rc::clone(core), time),
            limit,
            bytes: 0,
            inflater: (coding != Coding::Identity).then(|| Box::new(Inflater::new(coding == Coding::Gzip, limit))),
            _charge: charge,
            compressed: Bytes::new(),
            turn: SliceTurn::to_read(Rc::clone(core)),
            bytes_since_turn: 0,
        })
    }

    /// The next piece, never an empty one; none at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, RequestError> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, RequestError>> {
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

    fn arrived(&mut self, frame: Frame<Bytes>) -> Result<Bytes, RequestError> {
        // Trailers say nothing that we ask for.
        let data = frame.into_data().unwrap_or_default();
        self.bytes += data.len();
        if self.bytes > self.limit {
            return Err(RequestError::BodyTooLarge { limit: self.limit });
        }
        if self.inflater.is_some() {
            self.compressed = data;
            return Ok(Bytes::new());
        }
        self.bytes_since_turn += data.len();
        Ok(data)
    }

    fn inflate(&mut self) -> Result<Bytes, RequestError> {
        let Some(inflater) = &mut self.inflater else {
            return Ok(std::mem::take(&mut self.compressed));
        };
        let used = inflater
            .step(&self.compressed)
            .map_err(|refused| failure(refused, self.limit))?;
        self.compressed.advance(used);
        // Inflating a byte costs about twice what reading one does.
        self.bytes_since_turn += used + 2 * inflater.ready() + INFLATE_STEP_BYTES;
        Ok(inflater.take().into())
    }

    /// What only the end of a compressed body brings out.
    fn rest(&mut self) -> Result<Option<Bytes>, RequestError> {
        let Some(mut inflater) = self.inflater.take() else {
            return Ok(None);
        };
        inflater.finish().map_err(|refused| failure(refused, self.limit))?;
        Ok(Some(inflater.take().into()))
    }
}

fn failure(refused: InflateError, limit: usize) -> RequestError {
    match refused {
        InflateError::Damaged => RequestError::BadGzip,
        InflateError::TooLarge => RequestError::InflatesTooLarge { limit },
    }
}

/// A buffer of the shard's pool, given back when dropped. All that it has room for is charged.
pub(super) struct PooledBody {
    core: Rc<ShardCore>,
    buffer: Vec<u8>,
    charge: Charge,
}

impl PooledBody {
    fn new(core: Rc<ShardCore>) -> Self {
        let buffer = core.bodies.borrow_mut().pop().unwrap_or_default();
        let charge = Charge::new(&core.budget, Purpose::Bodies);
        Self { core, buffer, charge }
    }

    fn append(&mut self, data: &Bytes, limit: usize) -> Result<(), RequestError> {
        if data.remaining() > limit - self.buffer.len() {
            return Err(RequestError::BodyTooLarge { limit });
        }
        self.make_room(self.buffer.len() + data.len(), limit)?;
        self.buffer.extend_from_slice(data);
        Ok(())
    }

    /// Room for a body of this many bytes.
    fn make_room(&mut self, bytes: usize, limit: usize) -> Result<(), RequestError> {
        let capacity = match self.buffer.capacity() {
            enough if enough >= bytes => enough,
            less => bytes.max(2 * less).min(limit.max(bytes)),
        };
        if capacity > self.charge.bytes() {
            let size = if bytes <= SMALL_BODY_BYTES {
                Size::Small
            } else {
                Size::Large
            };
            self.charge.set(capacity, size)?;
        }
        let more = capacity - self.buffer.len();
        self.buffer
            .try_reserve_exact(more)
            .map_err(|_| RequestError::OutOfMemory)
    }
}

impl Drop for PooledBody {
    fn drop(&mut self) {
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut pool = self.core.bodies.borrow_mut();
        if pool.len() < POOLED_MAX && buffer.capacity() <= POOLED_BYTES_MAX {
            buffer.clear();
            pool.push(buffer);
        }
    }
}
