//! One slot's way to the server: a connection of its own (HTTP/1.1) or a share of one (pipelined, h2), with or without
//! TLS. Sends one request, waits for its answer, and says what went wrong.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::client::SendRequest;
use http::header::AUTHORIZATION;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::h1::{self, Framing, Malformed};
use crate::payload::ID_DIGITS;
use crate::pipeline::Pipeline;
use crate::target::{Protocol, Target};

/// Where reading begins. Longer answers make it grow. Unit: bytes.
pub(crate) const BUFFER_BYTES: usize = 16 << 10;

/// Bytes that a server may send ahead on an h2 stream or connection: more than any answer here.
const H2_WINDOW: u32 = 1 << 24;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// No connection.
    #[error("connect: {0}")]
    Connect(io::Error),
    /// The server closed before the answer was complete.
    #[error("the server closed the connection before its answer was complete")]
    Closed,
    /// Reading or writing failed.
    #[error("{0}")]
    Broken(io::Error),
    /// Bytes that are no answer.
    #[error("the answer is no HTTP: {0}")]
    Malformed(#[from] Malformed),
    /// h2.
    #[error("h2: {0}")]
    H2(#[from] h2::Error),
}

impl Fault {
    /// A word for tables.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Connect(_) => "not connected",
            Self::Closed => "closed",
            Self::Broken(_) => "broken",
            Self::Malformed(_) => "malformed",
            Self::H2(_) => "h2",
        }
    }
}

/// A request made before the run.
#[derive(Debug)]
pub struct Prepared {
    /// All of it for HTTP/1.1, the body for h2.
    pub bytes: Vec<u8>,
    /// Where the id's digits are.
    pub id_at: Option<usize>,
    /// The credential of this request, where h2 does not send it with the head of all.
    pub credential: Option<http::HeaderValue>,
}

/// What h2 sends besides the body.
#[derive(Debug, Clone)]
pub struct H2Head {
    /// Without a body.
    pub request: http::Request<()>,
}

/// A plain or an encrypted stream.
#[derive(Debug)]
pub enum Stream {
    /// TCP.
    Plain(TcpStream),
    /// TLS.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    /// Connects, with TCP_NODELAY: a request is written whole.
    ///
    /// # Errors
    /// When the server does not accept, or TLS does not come about.
    pub async fn connect(target: &Target) -> Result<Self, Fault> {
        let socket = TcpStream::connect(target.address).await.map_err(Fault::Connect)?;
        socket.set_nodelay(true).map_err(Fault::Connect)?;
        let Some(tls) = &target.tls else {
            return Ok(Self::Plain(socket));
        };
        let connector = TlsConnector::from(std::sync::Arc::clone(&tls.config));
        let stream = connector
            .connect(tls.name.clone(), socket)
            .await
            .map_err(Fault::Connect)?;
        Ok(Self::Tls(Box::new(stream)))
    }
}

/// An answer, until the next one.
#[derive(Debug)]
pub struct Answer<'a> {
    /// Its status.
    pub status: u16,
    /// Its body.
    pub body: &'a [u8],
}

/// A slot's connection, opened when it is needed.
pub enum Link {
    /// HTTP/1.1.
    H1(H1),
    /// HTTP/1.1 with several requests at once.
    Pipelined(Pipelined),
    /// h2.
    H2(H2),
}

/// A connection for several slots to share: one or the other, as the protocol has it.
#[derive(Debug, Default)]
pub struct Connection {
    pipeline: Pipeline,
    h2: H2Connection,
}

/// A slot's share of a pipelined connection.
pub struct Pipelined {
    shared: Rc<Connection>,
    body: Vec<u8>,
}

impl Link {
    /// A slot's link, one of `streams` that have a share of the connection `shared`.
    #[must_use]
    pub fn new(target: &Target, streams: usize, shared: &Rc<Connection>) -> Self {
        let shared = Rc::clone(shared);
        match target.protocol {
            Protocol::H1 if streams == 1 => Self::H1(H1::default()),
            Protocol::H1 => Self::Pipelined(Pipelined {
                shared,
                body: Vec::with_capacity(BUFFER_BYTES),
            }),
            Protocol::H2 => Self::H2(H2 {
                shared,
                body: Vec::with_capacity(BUFFER_BYTES),
            }),
        }
    }

    /// Opens the connection if there is none; whether it had to.
    ///
    /// # Errors
    /// When the server does not accept.
    pub async fn open(&mut self, target: &Target) -> Result<bool, Fault> {
        match self {
            Self::H1(link) if link.stream.is_some() => Ok(false),
            Self::H1(link) => {
                link.stream = Some(Stream::connect(target).await?);
                link.filled = 0;
                Ok(true)
            }
            Self::Pipelined(link) => link.shared.pipeline.open(target).await,
            Self::H2(link) => link.shared.h2.open(target).await,
        }
    }

    /// Sends a request and waits for its answer.
    ///
    /// # Errors
    /// When there is none. The next [`Self::open`] opens a new connection then.
    pub async fn exchange(
        &mut self,
        request: &Prepared,
        head: &H2Head,
        id: &[u8; ID_DIGITS],
    ) -> Result<Answer<'_>, Fault> {
        match self {
            Self::H1(link) => link.exchange(request, id).await,
            Self::Pipelined(link) => {
                let status = link.shared.pipeline.exchange(request, id, &mut link.body).await?;
                let body = &link.body;
                Ok(Answer { status, body })
            }
            Self::H2(link) => link.exchange(request, head, id).await,
        }
    }
}

/// An answer as it lies in memory.
struct Read {
    status: u16,
    body: BodyPlace,
    leaves_open: bool,
}

/// Where a body is.
enum BodyPlace {
    Buffer(std::ops::Range<usize>),
    Joined,
}

/// An HTTP/1.1 connection and its memory.
#[derive(Debug, Default)]
pub struct H1 {
    stream: Option<Stream>,
    out: Vec<u8>,
    buffer: Vec<u8>,
    filled: usize,
    joined: Vec<u8>,
}

impl H1 {
    async fn exchange(&mut self, request: &Prepared, id: &[u8; ID_DIGITS]) -> Result<Answer<'_>, Fault> {
        let mut stream = self.stream.take().ok_or(Fault::Closed)?;
        self.out.clear();
        self.out.extend_from_slice(&request.bytes);
        if let Some(at) = request.id_at {
            self.out[at..at + ID_DIGITS].copy_from_slice(id);
        }
        stream.write_all(&self.out).await.map_err(broken)?;
        stream.flush().await.map_err(broken)?;
        let read = self.answer(&mut stream).await?;
        if read.leaves_open {
            self.stream = Some(stream);
        }
        let body = match read.body {
            BodyPlace::Buffer(range) => &self.buffer[range],
            BodyPlace::Joined => &self.joined,
        };
        Ok(Answer {
            status: read.status,
            body,
        })
    }

    async fn answer(&mut self, stream: &mut Stream) -> Result<Read, Fault> {
        self.filled = 0;
        let head = loop {
            match h1::head(&self.buffer[..self.filled])? {
                // An interim answer: the final one follows it.
                Some(head) if head.status / 100 == 1 => {
                    self.buffer.copy_within(head.bytes..self.filled, 0);
                    self.filled -= head.bytes;
                }
                Some(head) => break head,
                None => self.read(stream).await?,
            }
        };
        let read = |body, leaves_open| Read {
            status: head.status,
            body,
            leaves_open: leaves_open && !head.closes,
        };
        // Bytes after the answer were not asked for: such a connection is not used again.
        match head.body {
            Framing::Length(length) => {
                let end = head.bytes + length;
                while self.filled < end {
                    self.read(stream).await?;
                }
                Ok(read(BodyPlace::Buffer(head.bytes..end), self.filled == end))
            }
            Framing::Chunked => loop {
                let bytes = &self.buffer[head.bytes..self.filled];
                if let Some(took) = h1::chunks(bytes, &mut self.joined)? {
                    break Ok(read(BodyPlace::Joined, head.bytes + took == self.filled));
                }
                self.read(stream).await?;
            },
            Framing::Close => loop {
                match self.read(stream).await {
                    Ok(()) => {}
                    Err(Fault::Closed) => break Ok(read(BodyPlace::Buffer(head.bytes..self.filled), false)),
                    Err(fault) => break Err(fault),
                }
            },
        }
    }

    async fn read(&mut self, stream: &mut Stream) -> Result<(), Fault> {
        if self.filled == self.buffer.len() {
            if self.filled > 2 * h1::ANSWER_BYTES_MAX {
                return Err(Malformed::TooLong.into());
            }
            self.buffer.resize((2 * self.filled).max(BUFFER_BYTES), 0);
        }
        match stream.read(&mut self.buffer[self.filled..]).await.map_err(broken)? {
            0 => Err(Fault::Closed),
            count => {
                self.filled += count;
                Ok(())
            }
        }
    }
}

/// A reset is how a server closes that has not read everything.
pub(crate) fn broken(error: io::Error) -> Fault {
    match error.kind() {
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof => Fault::Closed,
        _ => Fault::Broken(error),
    }
}

/// An h2 connection that several slots share.
#[derive(Debug, Default)]
struct H2Connection {
    sender: RefCell<Option<SendRequest<Bytes>>>,
    opening: Mutex<()>,
}

impl H2Connection {
    async fn open(&self, target: &Target) -> Result<bool, Fault> {
        let _one_at_a_time = self.opening.lock().await;
        if self.sender.borrow().is_some() {
            return Ok(false);
        }
        let stream = Stream::connect(target).await?;
        let (sender, connection) = h2::client::Builder::new()
            .initial_window_size(H2_WINDOW)
            .initial_connection_window_size(H2_WINDOW)
            .handshake(stream)
            .await?;
        drop(tokio::task::spawn_local(connection));
        *self.sender.borrow_mut() = Some(sender);
        Ok(true)
    }
}

/// A slot's share of an h2 connection.
#[derive(Debug)]
pub struct H2 {
    shared: Rc<Connection>,
    body: Vec<u8>,
}

impl H2 {
    async fn exchange(&mut self, request: &Prepared, head: &H2Head, id: &[u8; ID_DIGITS]) -> Result<Answer<'_>, Fault> {
        let sender = self.shared.h2.sender.borrow().clone().ok_or(Fault::Closed)?;
        match Self::send(sender, request, head, id, &mut self.body).await {
            Ok(status) => Ok(Answer {
                status,
                body: &self.body,
            }),
            Err(error) => {
                // A refused stream leaves the connection whole; everything else does not.
                if error.is_io() || error.is_go_away() {
                    *self.shared.h2.sender.borrow_mut() = None;
                }
                Err(error.into())
            }
        }
    }

    async fn send(
        sender: SendRequest<Bytes>,
        request: &Prepared,
        head: &H2Head,
        id: &[u8; ID_DIGITS],
        body: &mut Vec<u8>,
    ) -> Result<u16, h2::Error> {
        let mut sender = sender.ready().await?;
        let has_body = !request.bytes.is_empty();
        let mut own_head = head.request.clone();
        if let Some(credential) = &request.credential {
            own_head.headers_mut().insert(AUTHORIZATION, credential.clone());
        }
        let (answer, mut stream) = sender.send_request(own_head, !has_body)?;
        if has_body {
            let mut bytes = request.bytes.clone();
            if let Some(at) = request.id_at {
                bytes[at..at + ID_DIGITS].copy_from_slice(id);
            }
            stream.send_data(bytes.into(), true)?;
        }
        let (parts, mut data) = answer.await?.into_parts();
        body.clear();
        while let Some(chunk) = data.data().await {
            let chunk = chunk?;
            // Without room for more, a server would stop.
            let _ = data.flow_control().release_capacity(chunk.len());
            body.extend_from_slice(&chunk);
        }
        Ok(parts.status.as_u16())
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
