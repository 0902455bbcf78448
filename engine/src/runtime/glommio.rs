//! io_uring: one glommio executor a shard.
//!
//! This file hides where glommio differs from what the engine needs: its streams implement the futures traits, its
//! registered memory is 10 MiB a shard by default, its tasks run in a latency class that may wait 100 ms for a wake
//! from another thread, and a shutdown gives ENOTCONN if the peer has closed first. It may only be called after `probe`
//! said yes: it panics on kernels and limits that it does not support.

use std::future::Future;
use std::io;
use std::net::TcpStream;
use std::os::fd::{FromRawFd, IntoRawFd};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use ::glommio::{Latency, LocalExecutorBuilder, Placement, Shares};
use futures_io::{AsyncRead as FuturesRead, AsyncWrite as FuturesWrite};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Backend, StartError};

/// Registered buffers are for direct file I/O, which a shard never does. Unit: bytes a shard.
const IO_MEMORY_BYTES: usize = 64 << 10;

/// How soon a task woken by another thread should run.
const URGENT: Latency = Latency::Matters(Duration::from_millis(1));

/// The shortest sleep that is not over before it begins.
const TURN: Duration = Duration::from_micros(2);

/// The io_uring backend.
pub struct Glommio;

impl Backend for Glommio {
    const NAME: &'static str = "glommio";
    type Stream = Stream;

    fn run<F: Future>(future: F) -> Result<F::Output, StartError> {
        let executor = LocalExecutorBuilder::new(Placement::Unbound)
            .io_memory(IO_MEMORY_BYTES)
            .make()
            .map_err(|error| StartError {
                backend: Self::NAME,
                reason: error.to_string(),
            })?;
        Ok(executor.run(future))
    }

    fn adopt(socket: TcpStream) -> io::Result<Stream> {
        Ok(Stream(adopt_fd(socket)))
    }

    fn spawn_local(future: impl Future<Output = ()> + 'static) {
        drop(::glommio::spawn_local(future).detach());
    }

    fn spawn_urgent(future: impl Future<Output = ()> + 'static) {
        let queue = ::glommio::executor().create_task_queue(Shares::default(), URGENT, "urgent");
        let task = ::glommio::spawn_local_into(future, queue).expect("the queue was created on the line above");
        drop(task.detach());
    }

    fn sleep(duration: Duration) -> impl Future<Output = ()> + 'static {
        ::glommio::timer::sleep(duration)
    }

    fn yield_now() -> impl Future<Output = ()> + 'static {
        // A task that wakes itself, or yields its queue, runs again before the rings are looked at, until its queue's
        // latency (100 ms) is over. A timer is only looked at together with them.
        ::glommio::timer::sleep(TURN)
    }
}

#[expect(unsafe_code, reason = "glommio takes a connected socket only as a raw descriptor")]
fn adopt_fd(socket: TcpStream) -> ::glommio::net::TcpStream {
    // SAFETY: `into_raw_fd` gives up ownership of an open, connected TCP socket, and `from_raw_fd` takes it over:
    // exactly one owner at any time.
    unsafe { ::glommio::net::TcpStream::from_raw_fd(socket.into_raw_fd()) }
}

/// A glommio socket behind tokio's traits.
pub struct Stream(::glommio::net::TcpStream);

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let unfilled = buf.initialize_unfilled();
        match FuturesRead::poll_read(Pin::new(&mut self.0), cx, unfilled) {
            Poll::Ready(Ok(read)) => {
                buf.advance(read);
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        FuturesWrite::poll_write(Pin::new(&mut self.0), cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        FuturesWrite::poll_flush(Pin::new(&mut self.0), cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match FuturesWrite::poll_close(Pin::new(&mut self.0), cx) {
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::NotConnected => Poll::Ready(Ok(())),
            other => other,
        }
    }
}
