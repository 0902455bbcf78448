//! Bodies of answers: complete, or made while the client reads them.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

use super::batch::{Aborted, BatchResponse};
use super::connection::deadlines::{ConnectionDeadlines, Unsent};
use super::protocols::grpc::ReflectionBody;
/// Bytes of an answer that are handed on at once. They are shared and not copied, but a stream that is not written from
/// several places copies them into its buffer.
const PIECE_BYTES: usize = 64 << 10;

/// The body of an answer: whole, of known length.
#[derive(Debug)]
pub struct Whole {
    bytes: Bytes,
    /// Whether others hold the same bytes for as long as the process or the model lives.
    is_shared: bool,
    unsent: Option<Unsent>,
}

impl Whole {
    /// Bytes of this answer, or of few.
    pub(super) fn new(bytes: Bytes) -> Self {
        Self {
            bytes,
            is_shared: false,
            unsent: None,
        }
    }

    /// Bytes that are held even if the client does not read them.
    pub(super) fn shared(bytes: Bytes) -> Self {
        Self {
            is_shared: true,
            ..Self::new(bytes)
        }
    }

    /// Counts it as held by a connection until it is written.
    pub(super) fn count(&mut self, watch: &Rc<ConnectionDeadlines>) {
        let bytes = if self.is_shared { 0 } else { self.bytes.len() };
        self.unsent = Some(Unsent::new(watch, bytes));
    }
}

impl Body for Whole {
    type Data = Piece;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Piece>, std::convert::Infallible>>> {
        let piece = if self.bytes.len() <= PIECE_BYTES {
            Piece {
                bytes: std::mem::take(&mut self.bytes),
                unsent: self.unsent.take(),
            }
        } else {
            Piece::from(self.bytes.split_to(PIECE_BYTES))
        };
        Poll::Ready((!piece.bytes.is_empty()).then(|| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.len() as u64)
    }
}

/// Bytes of an answer on their way. hyper and h2 drop it when it is written.
#[derive(Debug)]
pub struct Piece {
    bytes: Bytes,
    /// What its connection holds for it.
    unsent: Option<Unsent>,
}

impl Piece {
    /// Bytes that a connection holds until they are written.
    pub(super) fn counted(bytes: Bytes, watch: &Rc<ConnectionDeadlines>) -> Self {
        let unsent = Some(Unsent::new(watch, bytes.len()));
        Self { bytes, unsent }
    }
}

impl From<Bytes> for Piece {
    fn from(bytes: Bytes) -> Self {
        Self { bytes, unsent: None }
    }
}

impl Buf for Piece {
    #[inline]
    fn remaining(&self) -> usize {
        self.bytes.len()
    }

    #[inline]
    fn chunk(&self) -> &[u8] {
        &self.bytes
    }

    #[inline]
    fn advance(&mut self, bytes: usize) {
        self.bytes.advance(bytes);
        if self.bytes.is_empty() {
            self.unsent = None;
        }
    }
}

/// The body of any answer.
pub enum ResponseBody {
    /// One that is there.
    Whole(Whole),
    /// A message of gRPC, and the trailers behind it.
    Message(Whole, Option<Box<HeaderMap>>),
    /// Answers to questions of gRPC, as they are asked.
    Reflection(Box<ReflectionBody>),
    /// One that is made as it is taken.
    Batch(Box<BatchResponse>),
}

impl Body for ResponseBody {
    type Data = Piece;
    type Error = Aborted;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Piece>, Aborted>>> {
        match self.get_mut() {
            Self::Whole(whole) => {
                let frame = ready!(Pin::new(whole).poll_frame(cx));
                Poll::Ready(frame.map(|frame| frame.map_err(|never| match never {})))
            }
            Self::Message(whole, trailers) => {
                if let Some(frame) = ready!(Pin::new(whole).poll_frame(cx)) {
                    return Poll::Ready(Some(frame.map_err(|never| match never {})));
                }
                Poll::Ready(trailers.take().map(|trailers| Ok(Frame::trailers(*trailers))))
            }
            Self::Reflection(answers) => Pin::new(&mut **answers).poll_frame(cx),
            Self::Batch(answering) => Pin::new(&mut **answering).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(whole) if whole.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(whole) => whole.size_hint(),
            Self::Message(..) | Self::Reflection(_) | Self::Batch(_) => SizeHint::default(),
        }
    }
}
