//! The one door into a shard: a bounded queue and a waker, read by one task that lives as long as the shard.
//!
//! Only this task's waker crosses threads. A connection's never does: glommio's wakers count references without
//! atomics.

use std::future::poll_fn;
use std::net::TcpStream;
use std::sync::Arc;
use std::task::Poll;

use atomic_waker::AtomicWaker;
use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender, TryRecvError, TrySendError, bounded};
use quintile_scoring::loaded::LoadedModel;

use crate::limits::{Limits, MAILBOX_LETTERS};
use crate::remote::RemoteResponse;
use crate::telemetry::{Admission, ShardStats};

/// What is sent to a shard.
#[derive(Debug)]
pub enum Mail {
    /// A connected, non-blocking socket, and what it may ask for.
    Socket(TcpStream, Admission),
    /// The model to score with from now on.
    Model(Arc<LoadedModel>),
    /// The limits from now on.
    Limits(Box<Limits>),
    /// An empty block of counts, to be swapped for the full one.
    Stats(Box<ShardStats>),
    /// The text of `/metrics` from now on.
    Metrics(Bytes),
    /// The text of `/v1/status` from now on.
    Status(Bytes),
    /// The result of a remote call.
    Remote(RemoteResponse),
    /// Finish what is in flight and end.
    Drain,
}

/// The sending end; one for each thread that writes.
#[derive(Debug, Clone)]
pub struct Address {
    queue: Sender<Mail>,
    waker: Arc<AtomicWaker>,
}

/// The receiving end.
#[derive(Debug)]
pub struct Mailbox {
    queue: Receiver<Mail>,
    waker: Arc<AtomicWaker>,
}

/// A mailbox and its address.
#[must_use]
pub fn mailbox() -> (Address, Mailbox) {
    let (sender, receiver) = bounded(MAILBOX_LETTERS);
    let waker = Arc::new(AtomicWaker::new());
    (
        Address {
            queue: sender,
            waker: Arc::clone(&waker),
        },
        Mailbox { queue: receiver, waker },
    )
}

impl Address {
    /// Sends without waiting.
    ///
    /// # Errors
    /// The letter itself, when the mailbox is full or the shard has ended.
    pub fn send(&self, mail: Mail) -> Result<(), Mail> {
        self.queue.try_send(mail).map_err(|error| match error {
            TrySendError::Full(mail) | TrySendError::Disconnected(mail) => mail,
        })?;
        self.waker.wake();
        Ok(())
    }
}

impl Mailbox {
    /// The next letter; none when every address is gone.
    pub async fn next(&self) -> Option<Mail> {
        poll_fn(|cx| {
            // Looked at twice: a letter that came before the waker was registered has woken no task.
            for registered in [false, true] {
                match self.queue.try_recv() {
                    Ok(mail) => return Poll::Ready(Some(mail)),
                    Err(TryRecvError::Disconnected) => return Poll::Ready(None),
                    Err(TryRecvError::Empty) if !registered => self.waker.register(cx.waker()),
                    Err(TryRecvError::Empty) => {}
                }
            }
            Poll::Pending
        })
        .await
    }

    /// The next letter, if one is there.
    #[must_use]
    pub fn try_next(&self) -> Option<Mail> {
        self.queue.try_recv().ok()
    }
}
