//! Bodies in and out, with their limits.

use std::future::poll_fn;
use std::ops::Deref;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::error::Failure;
use crate::shard::ShardCore;
use crate::shard::stats::Phase;
use crate::shard::wheel::Timer;

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

/// Reads a body to its end, within the shard's limits of size and time.
pub(super) async fn collect(core: &Rc<ShardCore>, mut body: Incoming) -> Result<Collected, Failure> {
    let limit = core.limits().body_bytes_max;
    if body.size_hint().lower() > limit as u64 {
        return Err(Failure::BodyTooLarge { limit });
    }
    let mut deadline = Deadline { core, timer: None };
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
struct Deadline<'a> {
    core: &'a ShardCore,
    timer: Option<Timer>,
}

impl Deadline<'_> {
    async fn frame(&mut self, body: &mut Incoming) -> Result<Option<Frame<Bytes>>, Failure> {
        poll_fn(|cx| match Pin::new(&mut *body).poll_frame(cx) {
            Poll::Ready(None) => Poll::Ready(Ok(None)),
            Poll::Ready(Some(Ok(frame))) => Poll::Ready(Ok(Some(frame))),
            Poll::Ready(Some(Err(_))) => Poll::Ready(Err(Failure::BodyBroken)),
            Poll::Pending if self.poll_passed(cx) => {
                self.core.stats.borrow_mut().timeouts[Phase::Body as usize] += 1;
                Poll::Ready(Err(Failure::BodyTimeout))
            }
            Poll::Pending => Poll::Pending,
        })
        .await
    }

    fn poll_passed(&mut self, cx: &Context<'_>) -> bool {
        let mut wheel = self.core.wheel.borrow_mut();
        let timer = *self.timer.get_or_insert_with(|| {
            let timer = wheel.insert();
            wheel.set(timer, self.core.limits().body);
            timer
        });
        wheel.poll_fired(timer, cx)
    }
}

impl Drop for Deadline<'_> {
    fn drop(&mut self) {
        if let Some(timer) = self.timer {
            self.core.wheel.borrow_mut().remove(timer);
        }
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
