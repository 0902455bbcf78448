//! Remote scoring: the messages between the shards and side when SageMaker scores.
//!
//! ```text
//!  shard: row ─▶ body ──Ask──▶ bounded queue ──▶ side: breaker, limits, calls within the deadline
//!           ticket ◀── Mail::Remote(Answer) ── mailbox ◀──┘
//! ```
//! A shard never waits for a queue: if the queue is full or the circuit is open, it gets an error at once. It holds a
//! ticket for every call, and an answer for a ticket that no longer exists is dropped. Local requests use none of this.

mod tickets;

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Instant;

use atomic_waker::AtomicWaker;
use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

pub use tickets::{PendingTicket, Ticket, Tickets};

/// Why there is no remote prediction.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RemoteError {
    /// Calls have failed too often; none is made for a while.
    #[error("the circuit is open after failures")]
    Open,
    /// No answer within the deadline.
    #[error("no answer within the deadline")]
    Late,
    /// More questions than may wait.
    #[error("too many questions are under way")]
    Busy,
    /// What the service said, or what kept us from asking it.
    #[error("{0}")]
    Failed(Box<str>),
}

/// The predictions of one row, and when they were sent to the shard.
#[derive(Debug)]
pub struct RemoteResponse {
    /// Whose question it was.
    pub ticket: Ticket,
    /// Its result.
    pub result: Result<Box<[f64]>, RemoteError>,
    /// When side sent it: what the shard's wake takes is measured from here.
    pub sent: Instant,
}

/// One question.
#[derive(Debug)]
pub struct RemoteRequest {
    /// Which shard asks.
    pub shard: u16,
    /// What the answer must carry.
    pub ticket: Ticket,
    /// The row, rendered.
    pub body: Bytes,
    /// Until when the answer is of use.
    pub deadline: Instant,
}

/// Whether calls are made, as the shards see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Circuit {
    /// They are.
    Closed,
    /// None are.
    Open,
    /// One at a time is, to see whether they work again.
    HalfOpen,
}

/// A shard's way to ask.
#[derive(Debug, Clone)]
pub struct RemoteClient {
    asks: Sender<RemoteRequest>,
    waker: Arc<AtomicWaker>,
    circuit: Arc<AtomicU8>,
}

/// Side's end.
#[derive(Debug)]
pub struct RemoteQueue {
    asks: Receiver<RemoteRequest>,
    waker: Arc<AtomicWaker>,
    circuit: Arc<AtomicU8>,
}

/// Both ends of a queue of this many requests.
#[must_use]
pub fn line(questions: usize) -> (RemoteClient, RemoteQueue) {
    let (sender, receiver) = bounded(questions);
    let (waker, circuit) = (Arc::new(AtomicWaker::new()), Arc::new(AtomicU8::new(0)));
    let line = RemoteClient {
        asks: sender,
        waker: Arc::clone(&waker),
        circuit: Arc::clone(&circuit),
    };
    let desk = RemoteQueue {
        asks: receiver,
        waker,
        circuit,
    };
    (line, desk)
}

impl RemoteClient {
    /// Asks, without waiting.
    ///
    /// # Errors
    /// When the circuit is open or the queue is full.
    pub fn ask(&self, ask: RemoteRequest) -> Result<(), RemoteError> {
        if self.circuit.load(Ordering::Relaxed) == Circuit::Open as u8 {
            return Err(RemoteError::Open);
        }
        match self.asks.try_send(ask) {
            Ok(()) => self.waker.wake(),
            Err(TrySendError::Full(_)) => return Err(RemoteError::Busy),
            Err(TrySendError::Disconnected(_)) => return Err(RemoteError::Failed("the side thread has ended".into())),
        }
        Ok(())
    }
}

impl RemoteQueue {
    /// The next question, if there is one.
    pub fn next(&self) -> Option<RemoteRequest> {
        self.asks.try_recv().ok()
    }

    /// Completes when there may be a question. Other wakers are forgotten: one task reads the queue.
    pub async fn rings(&self) {
        std::future::poll_fn(|cx| {
            self.waker.register(cx.waker());
            if self.asks.is_empty() {
                std::task::Poll::Pending
            } else {
                std::task::Poll::Ready(())
            }
        })
        .await;
    }

    /// Tells the shards whether to ask.
    pub fn set(&self, circuit: Circuit) {
        self.circuit.store(circuit as u8, Ordering::Relaxed);
    }
}
