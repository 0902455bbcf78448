//! A socket as a connection uses it: bytes that were read to detect the protocol are read again, every read and write
//! moves the connection's clock ([`ConnectionDeadlines`]), and a shutdown lingers so that what the peer had in flight
//! is not answered by a reset. `connection` wraps each adopted stream in one; nothing here knows HTTP beyond the h2
//! preface.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use arrayvec::ArrayVec;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::coalesce::Coalesced;
use super::deadlines::ConnectionDeadlines;

/// What an HTTP/2 client with prior knowledge sends first (RFC 9113, section 3.4). Unit: bytes.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How much a lingering close reads and throws away before it gives up on the peer. Unit: bytes.
const LINGER_BYTES_MAX: usize = 1 << 20;

/// A read of this many bytes makes hyper's buffer grow. Unit: bytes.
const LARGE_READ_BYTES: usize = 4 << 10;

/// Which protocol the first bytes speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// HTTP/1.1, or anything else: hyper answers what is not HTTP.
    Http1,
    /// HTTP/2 with prior knowledge.
    Http2,
}

/// A stream with its connection's clock.
pub(super) struct Io<S: AsyncRead + AsyncWrite + Unpin> {
    stream: Coalesced<S>,
    watch: Rc<ConnectionDeadlines>,
    sniffed: ArrayVec<u8, { PREFACE.len() }>,
    replayed: usize,
    lingered_bytes: usize,
    shut: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Io<S> {
    pub(super) fn new(stream: S, watch: Rc<ConnectionDeadlines>) -> Self {
        Self {
            stream: Coalesced::new(stream, Rc::clone(&watch)),
            watch,
            sniffed: ArrayVec::new(),
            replayed: 0,
            lingered_bytes: 0,
            shut: false,
        }
    }

    /// Reads until the protocol is certain. `None` when the peer closed before saying a byte.
    pub(super) async fn sniff(&mut self) -> io::Result<Option<Protocol>> {
        std::future::poll_fn(|cx| self.poll_sniff(cx)).await
    }

    fn poll_sniff(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Protocol>>> {
        loop {
            if !PREFACE.starts_with(&self.sniffed) {
                return Poll::Ready(Ok(Some(Protocol::Http1)));
            }
            if self.sniffed.is_full() {
                return Poll::Ready(Ok(Some(Protocol::Http2)));
            }
            let mut space = [0; PREFACE.len()];
            let mut buf = ReadBuf::new(&mut space[..self.sniffed.remaining_capacity()]);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buf))?;
            if buf.filled().is_empty() {
                let spoke = !self.sniffed.is_empty();
                return Poll::Ready(Ok(spoke.then_some(Protocol::Http1)));
            }
            self.watch.read();
            self.sniffed.extend(buf.filled().iter().copied());
        }
    }

    /// Reads and drops what the peer still sends until it closes too: closing a socket with unread bytes makes the
    /// kernel answer with a reset, which can destroy the response before the peer has read it.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut space = [0; 2048];
        loop {
            if self.watch.linger_expired() || self.lingered_bytes > LINGER_BYTES_MAX {
                return Poll::Ready(());
            }
            let mut buf = ReadBuf::new(&mut space);
            match ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buf)) {
                Ok(()) if !buf.filled().is_empty() => self.lingered_bytes += buf.filled().len(),
                _ => return Poll::Ready(()),
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Io<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.replayed < this.sniffed.len() {
            let rest = &this.sniffed[this.replayed..];
            let fits = rest.len().min(buf.remaining());
            buf.put_slice(&rest[..fits]);
            this.replayed += fits;
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
        let bytes = buf.filled().len() - before;
        if bytes > 0 {
            this.watch.read();
        }
        if bytes >= LARGE_READ_BYTES {
            this.watch.read_much().map_err(|_| io::ErrorKind::OutOfMemory)?;
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Io<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(cx, buf);
        if poll.is_pending() {
            self.watch.write_blocked();
        }
        poll
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        if poll.is_pending() {
            self.watch.write_blocked();
        }
        poll
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// hyper flushes when it has written everything it had.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_flush(cx);
        if poll.is_pending() {
            self.watch.write_blocked();
        }
        ready!(poll)?;
        self.watch.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.shut {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
            self.shut = true;
            self.watch.lingering();
        }
        self.poll_linger(cx).map(Ok)
    }
}
