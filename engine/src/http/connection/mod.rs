//! One connection's life: adopt, find the protocol, serve it with hyper, close within its limits.
//!
//! A panic ends only its own connection: each task is [`Contained`]. hyper has no time limits; [`ConnectionDeadlines`]
//! adds them.

mod coalesce;
pub mod deadlines;
mod handshake;
mod io;
mod proxy_protocol;

use std::future::{Future, poll_fn};
use std::marker::PhantomData;
use std::net::{IpAddr, TcpStream};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::task::Poll;

use hyper::rt::Executor;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::HttpShard;
use crate::budget::{Charge, Purpose, Size};
use crate::runtime::{Backend, Contained};
use crate::shard::ShardCore;
use crate::telemetry::{Admission, Counter, Event, EventKind, Phase};
use deadlines::{ConnectionDeadlines, UNSENT_BYTES_FREE};
use io::{Io, Protocol};

/// Streams of one h2 connection that are answered at once; more wait, as the protocol has it.
const H2_STREAMS_MAX: u32 = 128;

/// What one connection's reads may grow to: a large body comes in pieces of this size.
const READ_BUFFER_BYTES_MAX: usize = 32 << 10;

/// What the peer of one h2 stream may send before its body is read.
const H2_STREAM_WINDOW_BYTES: u32 = 64 << 10;

/// The same of one h2 connection. It is twice that of a stream, so that one which is not read does not stop the others.
const H2_CONNECTION_WINDOW_BYTES: u32 = 2 * H2_STREAM_WINDOW_BYTES;

/// Bytes of an answer that h2 takes before they can be sent.
const H2_SEND_BUFFER_BYTES_MAX: usize = 64 << 10;

/// What an h2 connection can hold beside an idle one: its window and the frames under way. Unit: bytes.
const H2_CONNECTION_BYTES: usize = H2_CONNECTION_WINDOW_BYTES as usize + (32 << 10) + UNSENT_BYTES_FREE;

/// Streams that are reset for faults of the peer and remembered.
const H2_RESET_STREAMS_MAX: usize = 64;

/// Starts serving a socket. The acceptor has already counted it in [`crate::telemetry::Gauges`].
pub(super) fn open<B: Backend>(http: &Rc<HttpShard>, socket: TcpStream, admission: Admission) {
    let open = Open(Rc::clone(http), admission);
    http.core.stats.borrow_mut().count(Counter::Connections);
    let peer = socket.peer_addr().ok().map(|address| address.ip().to_canonical());
    // The reactor cannot watch it: closing is all that is left to do, and dropping does.
    let Ok(stream) = B::adopt(socket) else { return };
    B::spawn_local(async move {
        let http = Rc::clone(&open.0);
        let serving = serve::<B>(Rc::clone(&http), stream, admission, peer);
        if Contained::new(serving).await.is_err() {
            panicked(&http.core, peer);
        }
        drop(open);
    });
}

/// Counts a connection out, however it ends.
struct Open(Rc<HttpShard>, Admission);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.core.gauges.count(self.1).fetch_sub(1, Ordering::Relaxed);
    }
}

/// Keeps a connection in the list that a drain walks.
struct Listed {
    http: Rc<HttpShard>,
    key: usize,
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.http.connections.borrow_mut().remove(self.key);
    }
}

async fn serve<B: Backend>(http: Rc<HttpShard>, mut stream: B::Stream, admission: Admission, peer: Option<IpAddr>) {
    let core = Rc::clone(&http.core);
    let watch = ConnectionDeadlines::new(Rc::clone(&core), admission, peer);
    let key = http.connections.borrow_mut().insert(Rc::downgrade(&watch));
    let _listed = Listed {
        http: Rc::clone(&http),
        key,
    };
    if core.draining.get() {
        watch.drain();
    }
    if http.setup.proxy_protocol {
        // In a box, so that connections without it do not carry its state.
        let read = Box::pin(within(&watch, proxy_protocol::read(&mut stream))).await;
        match read {
            Ok(Ok(client)) => client.into_iter().for_each(|client| watch.comes_from(client)),
            Ok(Err(_)) => return unproxied(&http, peer),
            Err(phase) => return timed_out(&core, &watch, phase),
        }
    }
    let config = core.tls.borrow().clone();
    if let Some(config) = config {
        // In a box, so that connections without TLS do not carry its state.
        return Box::pin(handshake::serve::<B>(http, watch, stream, config)).await;
    }
    let mut io = Io::new(stream, Rc::clone(&watch));
    match within(&watch, io.sniff()).await {
        Ok(Ok(Some(protocol))) => converse::<B, _>(http, watch, io, protocol).await,
        // Closed or broken before it said anything.
        Ok(_) => {}
        Err(phase) => timed_out(&core, &watch, phase),
    }
}

/// Answers requests until the end of the connection.
async fn converse<B: Backend, S: AsyncRead + AsyncWrite + Unpin + 'static>(
    http: Rc<HttpShard>,
    watch: Rc<ConnectionDeadlines>,
    io: Io<S>,
    protocol: Protocol,
) {
    let core = Rc::clone(&http.core);
    let (io, service) = (TokioIo::new(io), super::service(http, Rc::clone(&watch)));
    let ended = match protocol {
        Protocol::Http1 => {
            let connection = http1::Builder::new()
                .half_close(true)
                .header_read_timeout(None)
                .max_buf_size(READ_BUFFER_BYTES_MAX.max(core.limits().head_bytes_max))
                .max_header_size(core.limits().head_bytes_max)
                .serve_connection(io, service);
            drive(
                &core,
                &watch,
                connection,
                http1::Connection::graceful_shutdown,
                CloseNotice::WhenQuiet,
            )
            .await
        }
        Protocol::Http2 => {
            watch.is_http2();
            let mut charge = Charge::new(&core.budget, Purpose::Connections);
            if charge.set(H2_CONNECTION_BYTES, Size::Large).is_err() {
                return;
            }
            let connection = http2::Builder::new(Spawner::<B>::new(Rc::clone(&core)))
                .max_concurrent_streams(H2_STREAMS_MAX)
                .initial_stream_window_size(H2_STREAM_WINDOW_BYTES)
                .initial_connection_window_size(H2_CONNECTION_WINDOW_BYTES)
                .max_send_buf_size(H2_SEND_BUFFER_BYTES_MAX)
                .max_local_error_reset_streams(H2_RESET_STREAMS_MAX)
                .max_header_list_size(u32::try_from(core.limits().head_bytes_max).unwrap_or(u32::MAX))
                .serve_connection(io, service);
            drive(
                &core,
                &watch,
                connection,
                http2::Connection::graceful_shutdown,
                CloseNotice::AtOnce,
            )
            .await
        }
    };
    if let Err(phase) = ended {
        timed_out(&core, &watch, phase);
    }
}

/// A connection that does not begin as it must. One line a second: a scanner makes many of them.
fn unproxied(http: &HttpShard, peer: Option<IpAddr>) {
    let core = &http.core;
    let now = core.security.clock_s() + 1;
    if http.unproxied_line.replace(now) != now {
        let event = Event::of_connection(EventKind::Unproxied, core.number);
        core.tell(Event { client: peer, ..event });
    }
}

fn timed_out(core: &ShardCore, watch: &ConnectionDeadlines, phase: Phase) {
    // At the end of a drain an idle connection is closed because we want it, not because it was slow.
    if core.draining.get() {
        return;
    }
    core.stats.borrow_mut().timeouts[phase as usize] += 1;
    // Idle connections end like this every day.
    if phase != Phase::Idle {
        let event = Event::of_connection(EventKind::TimedOut(phase), core.number);
        core.tell(Event {
            client: watch.peer(),
            ..event
        });
    }
}

/// A task ended by a panic: its connection or stream is gone, everything else goes on.
fn panicked(core: &ShardCore, client: Option<IpAddr>) {
    core.stats.borrow_mut().count(Counter::Panics);
    let event = Event::of_connection(EventKind::Panicked, core.number);
    core.tell(Event { client, ..event });
}

/// Runs `future` unless the connection's limit passes first.
async fn within<F: Future>(watch: &ConnectionDeadlines, future: F) -> Result<F::Output, Phase> {
    let mut future = pin!(future);
    poll_fn(|cx| match watch.poll_expired(cx) {
        Some(phase) => Poll::Ready(Err(phase)),
        None => future.as_mut().poll(cx).map(Ok),
    })
    .await
}

/// When a draining shard tells a connection to finish.
#[derive(Clone, Copy, PartialEq, Eq)]
enum CloseNotice {
    /// HTTP/1.1: hyper would close a connection whose next request is half read, so hyper learns of the drain only
    /// after a quiet time. Requests answered until then say `connection: close` themselves.
    WhenQuiet,
    /// HTTP/2: a GOAWAY lets the streams under way finish.
    AtOnce,
}

/// Polls hyper's connection to its end, tells it to finish when the shard drains or it has had its one request, and
/// gives up at a limit. hyper's own errors are the peer's doing: bytes that are not HTTP (answered by hyper) or a
/// connection that broke.
async fn drive<C: Future>(
    core: &ShardCore,
    watch: &ConnectionDeadlines,
    connection: C,
    finish: impl Fn(Pin<&mut C>),
    farewell: CloseNotice,
) -> Result<(), Phase> {
    let mut connection = pin!(connection);
    let mut finishing = false;
    poll_fn(|cx| {
        watch.polled();
        let expired = watch.poll_expired(cx);
        let ends = (core.draining.get() || watch.has_had_its_request()) && !finishing;
        if ends && (farewell == CloseNotice::AtOnce || expired.is_some_and(|_| watch.is_quiet())) {
            finishing = true;
            watch.closing();
            finish(connection.as_mut());
        } else if let Some(phase) = expired {
            return Poll::Ready(Err(phase));
        }
        connection.as_mut().poll(cx).map(|_| Ok(()))
    })
    .await
}

/// Runs an h2 connection's streams on its own shard.
struct Spawner<B> {
    core: Rc<ShardCore>,
    backend: PhantomData<B>,
}

impl<B> Spawner<B> {
    fn new(core: Rc<ShardCore>) -> Self {
        Self {
            core,
            backend: PhantomData,
        }
    }
}

impl<B> Clone for Spawner<B> {
    fn clone(&self) -> Self {
        Self::new(Rc::clone(&self.core))
    }
}

impl<B: Backend, F: Future<Output = ()> + 'static> Executor<F> for Spawner<B> {
    fn execute(&self, future: F) {
        let core = Rc::clone(&self.core);
        B::spawn_local(async move {
            if Contained::new(future).await.is_err() {
                panicked(&core, None);
            }
        });
    }
}
