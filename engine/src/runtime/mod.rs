//! The seam between the engine and the two ways of driving sockets: io_uring (`glommio`) and epoll (`tokio`).
//!
//! A leaf: it knows nothing of HTTP, models or shards. `server` picks one backend at start ([`choose`]), and everything
//! above is generic over [`Backend`], so the choice costs nothing per request and both pass the same tests.

pub mod epoll;
pub mod glommio;
pub mod probe;

use std::future::Future;
use std::net::TcpStream;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::str::FromStr;
use std::task::{Context, Poll};
use std::time::Duration;
use std::{fmt, io};

use tokio::io::{AsyncRead, AsyncWrite};

/// One way of driving a shard's sockets and tasks on the current thread.
pub trait Backend: 'static {
    /// The name a user forces it by.
    const NAME: &'static str;
    /// A connected socket, owned by this backend's reactor.
    type Stream: AsyncRead + AsyncWrite + Unpin + 'static;

    /// Builds a reactor on the current thread and runs `future` on it to completion.
    ///
    /// # Errors
    /// When the reactor cannot be built: no file descriptors, no locked memory, io_uring denied.
    fn run<F: Future>(future: F) -> Result<F::Output, StartError>;

    /// Hands a connected, non-blocking socket to the current thread's reactor.
    ///
    /// # Errors
    /// When the reactor cannot watch one more socket.
    fn adopt(socket: TcpStream) -> io::Result<Self::Stream>;

    /// Runs `future` on the current thread, beside the caller. It must not panic: wrap it in [`Contained`].
    fn spawn_local(future: impl Future<Output = ()> + 'static);

    /// As [`Backend::spawn_local`], for a task that other threads wake and that must run soon after.
    fn spawn_urgent(future: impl Future<Output = ()> + 'static);

    /// Completes after `duration`, give or take the backend's timer.
    fn sleep(duration: Duration) -> impl Future<Output = ()> + 'static;

    /// Completes when the sockets have been looked at once more and every task that was ready has run.
    fn yield_now() -> impl Future<Output = ()> + 'static;
}

/// Why a reactor could not be started.
#[derive(Debug, thiserror::Error)]
#[error("start the {backend} runtime: {reason}")]
pub struct StartError {
    /// [`Backend::NAME`].
    pub backend: &'static str,
    /// The operating system's or the library's reason.
    pub reason: String,
}

/// What the operator asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// The backend that our own benchmark shows faster, if it can run here.
    #[default]
    Auto,
    /// io_uring or nothing.
    Glommio,
    /// epoll.
    Epoll,
}

/// What runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chosen {
    /// io_uring through glommio.
    Glommio,
    /// epoll through tokio's current-thread runtime.
    Epoll,
}

/// glommio was forced and cannot run.
#[derive(Debug, thiserror::Error)]
#[error("start the glommio runtime: {0}; use --runtime epoll, or auto, which falls back by itself")]
pub struct RuntimeRefusedError(pub probe::IoUringError);

/// The backend that `auto` takes if both can run: the faster one in `docs/runtimes.md`.
pub const FASTER: Chosen = Chosen::Epoll;

/// Turns the operator's choice into a backend, and says why when it was not a plain wish.
///
/// # Errors
/// When glommio is forced and the kernel or the limits of this process do not allow it.
pub fn choose(choice: Choice, shards: usize) -> Result<(Chosen, String), RuntimeRefusedError> {
    match choice {
        Choice::Epoll => Ok((Chosen::Epoll, "asked for".into())),
        Choice::Glommio => {
            probe::io_uring(shards).map_err(RuntimeRefusedError)?;
            Ok((Chosen::Glommio, "asked for".into()))
        }
        Choice::Auto => Ok(match (FASTER, probe::io_uring(shards)) {
            (_, Err(denied)) => (
                Chosen::Epoll,
                format!("io_uring cannot be used here, falling back: {denied}"),
            ),
            (Chosen::Epoll, Ok(())) => (
                Chosen::Epoll,
                "measured faster than io_uring, which could run here".into(),
            ),
            (Chosen::Glommio, Ok(())) => (Chosen::Glommio, "measured faster".into()),
        }),
    }
}

impl Chosen {
    /// The backend's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Glommio => glommio::Glommio::NAME,
            Self::Epoll => epoll::Epoll::NAME,
        }
    }
}

impl FromStr for Choice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "glommio" => Ok(Self::Glommio),
            "epoll" => Ok(Self::Epoll),
            other => Err(format!("unknown runtime {other:?}; accepted: auto, glommio, epoll")),
        }
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Glommio => "glommio",
            Self::Epoll => "epoll",
        })
    }
}

/// A future whose panic ends itself and nothing else: the output becomes `Err`.
///
/// glommio ends the whole executor when a task panics and tokio swallows it, so neither may see one.
pub struct Contained<F>(Pin<Box<F>>);

impl<F: Future> Contained<F> {
    /// Contains `future`; one allocation, so for tasks and not for requests.
    pub fn new(future: F) -> Self {
        Self(Box::pin(future))
    }
}

impl<F: Future> Future for Contained<F> {
    type Output = Result<F::Output, Panicked>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // Unwind safety: after a panic the future is dropped unpolled; what it shares with its shard is counters and
        // pools, which are whole between statements.
        match std::panic::catch_unwind(AssertUnwindSafe(|| self.0.as_mut().poll(cx))) {
            Ok(poll) => poll.map(Ok),
            Err(_) => Poll::Ready(Err(Panicked)),
        }
    }
}

/// A contained task panicked; the message went to the panic hook.
#[derive(Debug, thiserror::Error)]
#[error("task panicked")]
pub struct Panicked;
