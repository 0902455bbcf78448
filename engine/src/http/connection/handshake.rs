//! A connection that speaks TLS: the handshake, and then the same as on any other.
//!
//! The handshake is a task of its own on its shard, with one limit from the connection's start to its end, so a client
//! that stalls waits alone. What was said is decided by ALPN, not by the first bytes.

use std::rc::Rc;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::{HandshakeKind, ServerConfig};
use tokio::io::AsyncWriteExt as _;
use tokio_rustls::TlsAcceptor;

use super::deadlines::ConnectionDeadlines;
use super::io::{Io, Protocol};
use super::{converse, timed_out, within};
use crate::auth::Principal;
use crate::http::HttpShard;
use crate::runtime::Backend;
use crate::telemetry::Counter;
use crate::tls;

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
            return timed_out(&core, &watch, phase);
        }
    };
    let session = stream.get_ref().1;
    let counter = match session.handshake_kind() {
        Some(HandshakeKind::Resumed) => Counter::HandshakesResumed,
        _ => Counter::HandshakesFull,
    };
    core.stats.borrow_mut().count(counter);
    if let Some(certificate) = session.peer_certificates().and_then(<[_]>::first) {
        watch.shows(principal(certificate));
    }
    let protocol = match session.alpn_protocol() {
        Some(b"h2") => Protocol::Http2,
        _ => Protocol::Http1,
    };
    watch.is_secure();
    let io = Io::new(stream, Rc::clone(&watch));
    converse::<B, _>(http, watch, io, protocol).await;
}

/// Whose a certificate is. A resumed session has the one of its full handshake, which may have ended since.
#[expect(clippy::cast_precision_loss, reason = "seconds since 1970 are small")]
fn principal(certificate: &CertificateDer<'_>) -> Principal {
    let until_s = tls::validity(certificate).map_or(0.0, |validity| validity.not_after as f64);
    Principal::of_certificate(tls::names(certificate), until_s)
}
