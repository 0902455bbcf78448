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
use quintile_scoring::read::RowMemory;
use rustls::ServerConfig;

use crate::auth::{Access, KeySet};
use crate::limits::{Limits, MAILBOX_LETTERS};
use crate::models::{ModelVersion, Registry};
use crate::remote::RemoteResponse;
use crate::telemetry::{Admission, ShardStats};

/// What is sent to a shard.
#[derive(Debug)]
pub enum Mail {
    /// A connected, non-blocking socket, and what it may ask for.
    Socket(TcpStream, Admission),
    /// The models to score with from now on.
    Registry(Box<RegistryChange>),
    /// The limits from now on.
    Limits(Box<Limits>),
    /// What handshakes are made with from now on; none where connections speak plainly.
    Tls(Option<Arc<ServerConfig>>),
    /// Who may do what from now on; none where nobody is asked.
    Access(Option<Arc<Access>>),
    /// The issuer's keys from now on.
    Keys(Arc<KeySet>),
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

/// Memory for rows of the version with this number; none once a shard has taken it.
pub type VersionMemory = Option<(u64, RowMemory)>;

/// Another registry, with memory for the models that are new in it. A shard sends it back when it has taken it: that is
/// its word that the next request gets the new models, and what it has no use for any more is freed by the sender.
#[derive(Debug)]
pub struct RegistryChange {
    /// The registry; on the way back the one it has replaced.
    pub registry: Arc<Registry>,
    /// Memory for new models; on the way back what was in their slots.
    pub memory: Vec<(Arc<ModelVersion>, VersionMemory)>,
    /// Slots whose models nobody has any more.
    pub emptied: Vec<usize>,
    /// What was in them, on the way back. It has room for all of them.
    pub freed: Vec<(u64, RowMemory)>,
    /// The way back.
    pub taken: Sender<Box<RegistryChange>>,
}

impl RegistryChange {
    /// A change for one shard. Memory for its models is made here.
    #[must_use]
    pub fn new(
        registry: &Arc<Registry>,
        new: &[Arc<ModelVersion>],
        emptied: &[usize],
        taken: Sender<Box<RegistryChange>>,
    ) -> Self {
        let memory = |version: &Arc<ModelVersion>| {
            let memory = RowMemory::new(&version.loaded);
            (Arc::clone(version), Some((version.number, memory)))
        };
        Self {
            registry: Arc::clone(registry),
            memory: new.iter().map(memory).collect(),
            emptied: emptied.to_vec(),
            freed: Vec::with_capacity(emptied.len()),
            taken,
        }
    }
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
