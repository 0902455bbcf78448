//! A connection that speaks TLS: the handshake, and then the same as on any other.
//!
//! The handshake is a task of its own on its shard, with one limit from the connection's start to its end, so a client
//! that stalls waits alone. What was said is decided by ALPN, not by the first bytes.

use std::rc::Rc;
use std::sync::Arc;

use rustls::{HandshakeKind, ServerConfig};
use tokio::io::AsyncWriteExt as _;
use tokio_rustls::TlsAcceptor;

use super::deadlines::ConnectionDeadlines;
use super::io::{Io, Protocol};
use super::{converse, timed_out, within};
use crate::http::HttpShard;
use crate::runtime::Backend;
use crate::telemetry::Counter;

/// Makes the handshake, and serves the connection.
pub(super) async fn serve<B: Backend>(
    http: Rc<HttpShard>,
    watch: Rc<ConnectionDeadlines>,
    stream: B::Stream,
    config: Arc<ServerConfig>,
) {
    let core = Rc::clone(&http.core);
    watch.handshakes();
    let accepting = TlsAcceptor::from(config).accept(stream).into_fallible();
    let stream = match within(&watch, accepting).await {
        Ok(Ok(stream)) => stream,
        Ok(Err((_, stream))) => {
            core.stats.borrow_mut().count(Counter::HandshakesFailed);
            // The alert is written. Closing at once would reset the connection when the client has sent more, and the
            // alert would be lost with it.
            let mut io = Io::new(stream, Rc::clone(&watch));
            let _ = within(&watch, io.shutdown()).await;
            return;
        }
        Err(phase) => {
            core.stats.borrow_mut().count(Counter::HandshakesFailed);
            return timed_out(&core, phase);
        }
    };
    let session = stream.get_ref().1;
    let counter = match session.handshake_kind() {
        Some(HandshakeKind::Resumed) => Counter::HandshakesResumed,
        _ => Counter::HandshakesFull,
    };
    core.stats.borrow_mut().count(counter);
    let protocol = match session.alpn_protocol() {
        Some(b"h2") => Protocol::Http2,
        _ => Protocol::Http1,
    };
    watch.is_secure();
    let io = Io::new(stream, Rc::clone(&watch));
    converse::<B, _>(http, watch, io, protocol).await;
}
