//! Servers with a given behaviour, each on a thread and a port of its own, for as long as the test process lives.

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use quintile_bench::responder::request_bytes;
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, LocalOptions};
use tokio_rustls::TlsAcceptor;

/// What a responder does. Numbers count requests over all connections, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Repeats the id.
    Right,
    /// The same in chunks.
    Chunked,
    /// The same, and closes after every so many requests, having said so.
    SaysClose(u64),
    /// Closes without an answer to every so many-th request.
    Closes(u64),
    /// Answers every so many-th request with another lead's id.
    WrongId(u64),
    /// Answers every so many-th request with 503.
    Busy(u64),
    /// Answers no request before this time has passed since the so many-th came; the whole server stops.
    Stalls(u64, Duration),
    /// Never answers.
    Silent,
}

/// How its bytes travel.
#[derive(Debug, Clone)]
pub(crate) enum Wire {
    /// HTTP/1.1 over TCP.
    Plain,
    /// h2 with prior knowledge.
    H2,
    /// HTTP/1.1 over TLS.
    Tls(Arc<ServerConfig>),
    /// h2 over TLS.
    TlsH2(Arc<ServerConfig>),
}

/// Starts one.
pub(crate) fn start(manner: Manner, wire: Wire) -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback can be bound");
    listener
        .set_nonblocking(true)
        .expect("sockets can be made non-blocking");
    let address = listener.local_addr().expect("it is bound");
    let run = move || {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build_local(LocalOptions::default());
        runtime
            .expect("a runtime can be built")
            .block_on(accept(listener, manner, wire));
    };
    let thread = std::thread::Builder::new().name("responder".into());
    thread.spawn(run).expect("a thread can be started");
    address
}

/// A certificate for 127.0.0.1, where it lies as PEM, and a server that has it.
pub(crate) fn certificate(name: &str, protocol: &[u8]) -> (PathBuf, Arc<ServerConfig>) {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).expect("a certificate can be made");
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.pem"));
    std::fs::write(&path, made.cert.pem()).expect("the target directory can be written");
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has them")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .expect("the key is the certificate's");
    config.alpn_protocols = vec![protocol.to_vec()];
    (path, Arc::new(config))
}

async fn accept(listener: std::net::TcpListener, manner: Manner, wire: Wire) {
    let listener = TcpListener::from_std(listener).expect("a reactor runs");
    let seen = Rc::new(Cell::new(0));
    loop {
        let (socket, _) = listener.accept().await.expect("accepting goes on");
        // An answer in two pieces would wait for the client's delayed acknowledgement otherwise.
        socket.set_nodelay(true).expect("it is a TCP socket");
        let (seen, wire) = (Rc::clone(&seen), wire.clone());
        drop(tokio::task::spawn_local(async move {
            // What a client breaks off is its own affair.
            let _ = match wire {
                Wire::Plain => serve(socket, manner, &seen).await,
                Wire::H2 => serve_h2(socket, manner, &seen).await,
                Wire::Tls(config) => match TlsAcceptor::from(config).accept(socket).await {
                    Ok(stream) => serve(stream, manner, &seen).await,
                    Err(error) => Err(error),
                },
                Wire::TlsH2(config) => match TlsAcceptor::from(config).accept(socket).await {
                    Ok(stream) => serve_h2(stream, manner, &seen).await,
                    Err(error) => Err(error),
                },
            };
        }));
    }
}

/// What to say to a request, and whether to go on after it; none to say nothing.
async fn answer(manner: Manner, seen: &Cell<u64>, body: &[u8]) -> Option<(u16, Vec<u8>, bool)> {
    seen.set(seen.get() + 1);
    let is_turn = |every: u64| seen.get().is_multiple_of(every);
    let text = String::from_utf8_lossy(body);
    let id = text
        .split("\"lead_id\":\"")
        .nth(1)
        .and_then(|rest| rest.split('"').next())
        .unwrap_or("none");
    let right = format!("{{\"lead_id\":\"{id}\",\"score\":3,\"probability\":0.5}}");
    Some(match manner {
        Manner::Silent => std::future::pending().await,
        Manner::Closes(every) if is_turn(every) => return None,
        Manner::WrongId(every) if is_turn(every) => (200, right.replace(id, "lead-999999999999").into(), true),
        Manner::Busy(every) if is_turn(every) => (503, b"{\"error\":{\"code\":\"record_queue_full\"}}".to_vec(), true),
        Manner::Stalls(at, time) if seen.get() == at => {
            // Nothing else of this server runs in this time, like a stopped process.
            std::thread::sleep(time);
            (200, right.into(), true)
        }
        Manner::SaysClose(every) if is_turn(every) => (200, right.into(), false),
        _ => (200, right.into(), true),
    })
}

async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, manner: Manner, seen: &Cell<u64>) -> io::Result<()> {
    let mut bytes = Vec::new();
    loop {
        let length = loop {
            match request_bytes(&bytes) {
                Some(length) if length <= bytes.len() => break length,
                _ if stream.read_buf(&mut bytes).await? == 0 => return Ok(()),
                _ => {}
            }
        };
        let request: Vec<u8> = bytes.drain(..length).collect();
        if request.starts_with(b"GET /openapi.json ") {
            let text = OPENAPI;
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{text}", text.len());
            stream.write_all(head.as_bytes()).await?;
            continue;
        }
        let Some((status, body, goes_on)) = answer(manner, seen, &request).await else {
            return Ok(());
        };
        let connection = if goes_on { "" } else { "connection: close\r\n" };
        let mut out = if manner == Manner::Chunked {
            let (first, second) = body.split_at(body.len() / 2);
            let mut out = format!("HTTP/1.1 {status} x\r\ntransfer-encoding: chunked\r\n\r\n").into_bytes();
            for chunk in [first, second] {
                out.extend(format!("{:x}\r\n", chunk.len()).bytes());
                out.extend(chunk);
                out.extend(b"\r\n");
            }
            out.extend(b"0\r\n\r\n");
            out
        } else {
            let mut out = format!(
                "HTTP/1.1 {status} x\r\n{connection}content-length: {}\r\n\r\n",
                body.len()
            )
            .into_bytes();
            out.extend(&body);
            out
        };
        // In two pieces, so that answers arrive in parts.
        let rest = out.split_off(out.len() - 3);
        stream.write_all(&out).await?;
        stream.flush().await?;
        stream.write_all(&rest).await?;
        stream.flush().await?;
        if !goes_on {
            return stream.shutdown().await;
        }
    }
}

async fn serve_h2(stream: impl AsyncRead + AsyncWrite + Unpin, manner: Manner, seen: &Rc<Cell<u64>>) -> io::Result<()> {
    let mut connection = h2::server::handshake(stream).await.map_err(io::Error::other)?;
    while let Some(request) = connection.accept().await {
        let (request, mut respond) = request.map_err(io::Error::other)?;
        let seen = Rc::clone(seen);
        drop(tokio::task::spawn_local(async move {
            let (mut stream, mut body) = (request.into_body(), Vec::new());
            while let Some(Ok(chunk)) = stream.data().await {
                let _ = stream.flow_control().release_capacity(chunk.len());
                body.extend_from_slice(&chunk);
            }
            match answer(manner, &seen, &body).await {
                None => respond.send_reset(h2::Reason::INTERNAL_ERROR),
                Some((status, body, _)) => {
                    let head = http::Response::builder()
                        .status(status)
                        .body(())
                        .expect("it is a status");
                    if let Ok(mut out) = respond.send_response(head, false) {
                        let _ = out.send_data(Bytes::from(body), true);
                    }
                }
            }
        }));
    }
    Ok(())
}

const OPENAPI: &str = r##"{"openapi":"3.1.0","paths":{"/score":{"post":{"requestBody":{"content":{"application/json":
{"schema":{"$ref":"#/components/schemas/Lead"}}}}}}},"components":{"schemas":{"Lead":{"type":"object","properties":
{"lead_id":{"type":"string"},"features":{"type":"object","properties":{"age":{"type":["integer","null"],"minimum":1,"maximum":9},
"source":{"anyOf":[{"type":"string","enum":["web","mail"]},{"type":"null"}]}}}}}}}}"##;
