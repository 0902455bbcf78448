//! epoll: one tokio `current_thread` runtime a shard. Runs everywhere.

use std::future::Future;
use std::io;
use std::net::TcpStream;
use std::time::Duration;

use tokio::runtime::{Builder, LocalOptions};

use super::{Backend, StartError};

/// The epoll backend.
pub struct Epoll;

impl Backend for Epoll {
    const NAME: &'static str = "epoll";
    type Stream = tokio::net::TcpStream;

    fn run<F: Future>(future: F) -> Result<F::Output, StartError> {
        let runtime = Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build_local(LocalOptions::default())
            .map_err(|error| StartError {
                backend: Self::NAME,
                reason: error.to_string(),
            })?;
        Ok(runtime.block_on(future))
    }

    fn adopt(socket: TcpStream) -> io::Result<Self::Stream> {
        tokio::net::TcpStream::from_std(socket)
    }

    fn spawn_local(future: impl Future<Output = ()> + 'static) {
        drop(tokio::task::spawn_local(future));
    }

    fn spawn_urgent(future: impl Future<Output = ()> + 'static) {
        Self::spawn_local(future);
    }

    fn sleep(duration: Duration) -> impl Future<Output = ()> + 'static {
        tokio::time::sleep(duration)
    }

    fn yield_now() -> impl Future<Output = ()> + 'static {
        // Woken behind the reactor's next look, unlike a task that wakes itself.
        tokio::task::yield_now()
    }
}
