//! gRPC over the HTTP/2 that is there: frames, statuses, deadlines and trailers of calls whose messages `protocol::grpc`
//! knows.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use http_body::{Body, Frame};
use hyper::body::Incoming;
use prost::Message;

use super::documents;
use super::find::choose;
use super::rows::{self, RowsAnswer, RowsCall};
use crate::http::HttpShard;
use crate::http::batch::Aborted;
use crate::http::body::{self, BodyBounds, BodyReader, Coding};
use crate::http::error::{RequestError, RowsRefusal};
use crate::http::inflate::{InflateError, Inflater};
use crate::http::response::Responder;
use crate::http::response_body::{Piece, ResponseBody, Whole};
use crate::limits::SLICE_BYTES;
use crate::models::ModelChoice;
use crate::protocol::grpc::messages::{
    FlagResponse, HealthCheckRequest, HealthCheckResponse, ModelInferRequest, ModelRequest,
};
use crate::protocol::grpc::{Grpc, PREFIX_BYTES, SERVICE, framed, reflection};
use crate::record::ProtocolName;
use crate::shard::ShardCore;
use crate::shard::slice_queue::SliceTurn;

pub(in crate::http) const KIND: HeaderValue = HeaderValue::from_static("application/grpc");
const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// Bytes of what a client of reflection may ask in one stream.
const REFLECTION_BYTES_MAX: usize = 64 << 10;

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum GrpcMethod {
    Live,
    Ready,
    ModelReady,
    ServerMetadata,
    ModelMetadata,
    Infer,
    Config,
    Statistics,
    Index,
    Health,
    Reflection,
}

/// A call, with what its headers say.
#[derive(Debug, Clone, Copy)]
pub(in crate::http) struct GrpcCall {
    pub(super) method: GrpcMethod,
    is_gzip: bool,
    deadline: Option<Instant>,
}

impl GrpcMethod {
    /// The method of a path; none for one that is not there.
    pub(super) fn of(path: &str) -> Option<Self> {
        let (service, method) = path.strip_prefix('/')?.split_once('/')?;
        Some(match (service, method) {
            ("grpc.health.v1.Health", "Check") => Self::Health,
            (
                "grpc.reflection.v1.ServerReflection" | "grpc.reflection.v1alpha.ServerReflection",
                "ServerReflectionInfo",
            ) => Self::Reflection,
            (SERVICE, "ServerLive") => Self::Live,
            (SERVICE, "ServerReady") => Self::Ready,
            (SERVICE, "ModelReady") => Self::ModelReady,
            (SERVICE, "ServerMetadata") => Self::ServerMetadata,
            (SERVICE, "ModelMetadata") => Self::ModelMetadata,
            (SERVICE, "ModelInfer") => Self::Infer,
            (SERVICE, "ModelConfig") => Self::Config,
            (SERVICE, "ModelStatistics") => Self::Statistics,
            (SERVICE, "RepositoryIndex") => Self::Index,
            _ => return None,
        })
    }
}

impl GrpcCall {
    pub(super) fn new(method: GrpcMethod) -> Self {
        Self {
            method,
            is_gzip: false,
            deadline: None,
        }
    }

    /// The call, with what its headers say.
    pub(super) fn with_headers(self, headers: &HeaderMap) -> Result<Self, RequestError> {
        let bytes = |name: HeaderName| headers.get(name).map(HeaderValue::as_bytes);
        if !bytes(CONTENT_TYPE).is_some_and(|kind| kind.starts_with(b"application/grpc")) {
            return Err(RequestError::InvocationMediaType);
        }
        let is_gzip = match bytes(ENCODING) {
            None | Some(b"identity") => false,
            Some(b"gzip") => true,
            Some(_) => {
                return Err(RequestError::NotOffered(
                    "messages are compressed with gzip, or not at all",
                ));
            }
        };
        Ok(Self {
            is_gzip,
            deadline: bytes(TIMEOUT).and_then(timeout).map(|time| Instant::now() + time),
            ..self
        })
    }
}

/// `8 digits at most, and a unit`.
fn timeout(text: &[u8]) -> Option<Duration> {
    let (unit, digits) = text.split_last()?;
    let count: u64 = std::str::from_utf8(digits)
        .ok()
        .filter(|text| text.len() <= 8)?
        .parse()
        .ok()?;
    Some(match unit {
        b'H' => Duration::from_secs(count * 3600),
        b'M' => Duration::from_secs(count * 60),
        b'S' => Duration::from_secs(count),
        b'm' => Duration::from_millis(count),
        b'u' => Duration::from_micros(count),
        b'n' => Duration::from_nanos(count),
        _ => return None,
    })
}

/// What gRPC calls a failure.
fn status(failure: &RequestError) -> &'static str {
    match failure {
        RequestError::NotFound | RequestError::NotOffered(_) | RequestError::MethodNotAllowed { .. } => "12",
        RequestError::DeadlineExceeded => "4",
        RequestError::NotExplainable => "9",
        other => match other.status().0.as_u16() {
            400 | 415 | 422 => "3",
            401 => "16",
            403 => "7",
            404 => "5",
            408 => "4",
            413 | 429 | 431 => "8",
            501 => "12",
            503 => "14",
            _ => "13",
        },
    }
}

/// Puts a failure into the headers of an answer without a body.
pub(super) fn put_failure(headers: &mut HeaderMap, failure: &RequestError, text: &str) {
    headers.insert(STATUS, HeaderValue::from_static(status(failure)));
    let mut escaped = String::with_capacity(text.len());
    for &byte in text.as_bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => escaped.push(char::from(byte)),
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    if let Ok(value) = HeaderValue::try_from(escaped) {
        headers.insert(MESSAGE, value);
    }
}

/// Answers a call.
pub(super) async fn answer(
    http: &Rc<HttpShard>,
    responder: Responder<'_>,
    call: GrpcCall,
    body: Incoming,
) -> Response<ResponseBody> {
    if responder.version != http::Version::HTTP_2 {
        return responder.failed(&RequestError::NotOffered("gRPC needs HTTP/2"));
    }
    if call.method == GrpcMethod::Reflection {
        return match ReflectionBody::new(http, body) {
            Ok(stream) => responder.grpc(ResponseBody::Reflection(Box::new(stream))),
            Err(failure) => responder.failed(&failure),
        };
    }
    match message(http, responder.id.as_str(), call, body).await {
        Ok(bytes) => {
            let whole = Whole::new(bytes);
            responder.grpc(ResponseBody::Message(whole, Some(ok_trailers())))
        }
        Err(failure) => responder.failed(&failure),
    }
}

fn ok_trailers() -> Box<HeaderMap> {
    let mut trailers = HeaderMap::with_capacity(1);
    trailers.insert(STATUS, HeaderValue::from_static("0"));
    Box::new(trailers)
}

/// The framed message that answers a call.
async fn message(
    http: &Rc<HttpShard>,
    request_id: &str,
    call: GrpcCall,
    body: Incoming,
) -> Result<Bytes, RequestError> {
    let core = &http.core;
    let limits = core.limits();
    let left = call
        .deadline
        .map(|deadline| deadline.saturating_duration_since(Instant::now()));
    let bounds = BodyBounds {
        bytes: limits.batch_bytes_max,
        time: left.map_or(limits.batch, |left| left.min(limits.batch)),
    };
    let body = body::collect_within(core, body, Coding::Identity, bounds).await?;
    let (is_compressed, text) = unframed(&body)?;
    let inflated;
    let text = if is_compressed {
        if !call.is_gzip {
            return Err(refused("a message is compressed, and grpc-encoding does not say how"));
        }
        inflated = inflate(core, text, limits.batch_bytes_max).await?;
        &inflated
    } else {
        text
    };
    if call.method == GrpcMethod::Infer {
        return infer(http, request_id, call, text).await;
    }
    let mut out = Vec::new();
    plain(http, call.method, text, &mut out)?;
    Ok(out.into())
}

async fn infer(http: &Rc<HttpShard>, request_id: &str, call: GrpcCall, text: &[u8]) -> Result<Bytes, RequestError> {
    let request: ModelInferRequest = decoded(text)?;
    let choice = choose_named(http, &request.model_name, &request.model_version)?;
    let rows = RowsCall {
        choice: &choice,
        coding: Coding::Identity,
        protocol: ProtocolName::Grpc,
        request_id,
        deadline: call.deadline,
    };
    let RowsAnswer { body, .. } = rows::of_body::<Grpc>(http, &[], rows, |own| own.set_request(request)).await?;
    Ok(body)
}

/// Answers that need no rows.
fn plain(http: &HttpShard, method: GrpcMethod, text: &[u8], out: &mut Vec<u8>) -> Result<(), RequestError> {
    let is_ready = http.core.is_ready();
    match method {
        GrpcMethod::Live => framed(&FlagResponse { flag: true }, out),
        GrpcMethod::Ready => framed(&FlagResponse { flag: is_ready }, out),
        GrpcMethod::ServerMetadata => framed(&documents::grpc_server(), out),
        GrpcMethod::Health => {
            let asked: HealthCheckRequest = decoded(text)?;
            if !matches!(asked.service.as_str(), "" | SERVICE | "grpc.health.v1.Health") {
                return Err(RequestError::UnknownModel);
            }
            let status = if is_ready { 1 } else { 2 };
            framed(&HealthCheckResponse { status }, out);
        }
        GrpcMethod::Index => framed(&documents::grpc_index(http), out),
        GrpcMethod::Statistics => {
            let asked: ModelRequest = decoded(text)?;
            let choice = match asked.name.is_empty() {
                true => None,
                false => Some(choose_named(http, &asked.name, &asked.version)?),
            };
            framed(&documents::grpc_statistics(http, choice.as_ref()), out);
        }
        _ => {
            let asked: ModelRequest = decoded(text)?;
            let choice = choose_named(http, &asked.name, &asked.version)?;
            match method {
                GrpcMethod::Config => framed(&documents::grpc_config(http, &choice), out),
                GrpcMethod::ModelReady => framed(&FlagResponse { flag: is_ready }, out),
                _ => framed(&documents::grpc_metadata(http, &choice), out),
            }
        }
    }
    Ok(())
}

fn choose_named(http: &HttpShard, name: &str, version: &str) -> Result<ModelChoice, RequestError> {
    choose(http, name, Some(version).filter(|version| !version.is_empty()))
}

fn refused(text: &str) -> RequestError {
    RequestError::Rows(Box::new(RowsRefusal {
        is_too_large: false,
        text: text.into(),
    }))
}

fn decoded<M: Message + Default>(text: &[u8]) -> Result<M, RequestError> {
    M::decode(text).map_err(|_| refused("the message is not one of this method's type"))
}

/// The one message of a body: whether it is compressed, and its bytes.
fn unframed(body: &[u8]) -> Result<(bool, &[u8]), RequestError> {
    let wrong = || refused("the body is no single message behind a byte and its length");
    let (head, text) = body.split_first_chunk::<PREFIX_BYTES>().ok_or_else(wrong)?;
    let [flag, length @ ..] = *head;
    if flag > 1 || u32::from_be_bytes(length) as usize != text.len() {
        return Err(wrong());
    }
    Ok((flag == 1, text))
}

async fn inflate(core: &Rc<ShardCore>, text: &[u8], limit: usize) -> Result<Vec<u8>, RequestError> {
    let failure = |error| match error {
        InflateError::Damaged => RequestError::BadGzip,
        InflateError::TooLarge => RequestError::InflatesTooLarge { limit },
    };
    let mut inflater = Inflater::new(true, limit);
    let (mut out, mut rest, mut since) = (Vec::new(), text, 0);
    let mut turn = SliceTurn::to_read(Rc::clone(core));
    while !rest.is_empty() {
        let used = inflater.step(rest).map_err(failure)?;
        rest = &rest[used..];
        let piece = inflater.take();
        since += used + piece.len();
        out.extend_from_slice(&piece);
        if since >= SLICE_BYTES {
            since = 0;
            std::future::poll_fn(|cx| turn.poll(cx)).await;
        }
    }
    inflater.finish().map_err(failure)?;
    out.extend_from_slice(&inflater.take());
    Ok(out)
}

/// Questions about services and their answers, one by one, for as long as the client asks.
pub struct ReflectionBody {
    reader: BodyReader,
    asked: Vec<u8>,
    has_ended: bool,
}

impl ReflectionBody {
    fn new(http: &Rc<HttpShard>, body: Incoming) -> Result<Self, RequestError> {
        let core = &http.core;
        let reader = BodyReader::new(core, body, Coding::Identity, REFLECTION_BYTES_MAX, core.limits().batch)?;
        Ok(Self {
            reader,
            asked: Vec::new(),
            has_ended: false,
        })
    }

    /// The answer to the next question that is there whole.
    fn next(&mut self) -> Option<Vec<u8>> {
        let head = self.asked.first_chunk::<PREFIX_BYTES>()?;
        let [_, length @ ..] = *head;
        let end = PREFIX_BYTES + u32::from_be_bytes(length) as usize;
        let text = self.asked.get(PREFIX_BYTES..end)?;
        let mut out = Vec::new();
        reflection::answer(text, &mut out);
        self.asked.drain(..end);
        Some(out)
    }
}

impl Body for ReflectionBody {
    type Data = Piece;
    type Error = Aborted;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Piece>, Aborted>>> {
        if self.has_ended {
            return Poll::Ready(None);
        }
        loop {
            if let Some(answer) = self.next() {
                return Poll::Ready(Some(Ok(Frame::data(Piece::from(Bytes::from(answer))))));
            }
            match ready!(self.reader.poll_next(cx)) {
                Ok(Some(piece)) => self.asked.extend_from_slice(&piece),
                ended => {
                    self.has_ended = true;
                    let mut trailers = *ok_trailers();
                    if let Err(failure) = ended {
                        put_failure(&mut trailers, &failure, &failure.to_string());
                    }
                    return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
                }
            }
        }
    }
}

impl Responder<'_> {
    /// An answer of gRPC: what went wrong is in its trailers.
    fn grpc(mut self, body: ResponseBody) -> Response<ResponseBody> {
        self.headers.insert(CONTENT_TYPE, KIND);
        self.send(StatusCode::OK, body, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_have_units() {
        for (text, time) in [
            ("1S", Some(Duration::from_secs(1))),
            ("250m", Some(Duration::from_millis(250))),
            ("99999999n", Some(Duration::from_nanos(99_999_999))),
            ("2H", Some(Duration::from_secs(7200))),
            ("", None),
            ("S", None),
            ("1", None),
            ("-1S", None),
            ("123456789S", None),
        ] {
            assert_eq!(timeout(text.as_bytes()), time, "{text}");
        }
    }

    #[test]
    fn a_body_is_one_message() {
        assert_eq!(unframed(b"\0\0\0\0\x02ab").ok(), Some((false, &b"ab"[..])));
        assert_eq!(unframed(b"\x01\0\0\0\0").ok(), Some((true, &b""[..])));
        for wrong in [
            &b""[..],
            b"\0\0\0\0",
            b"\0\0\0\0\x03ab",
            b"\0\0\0\0\x01ab",
            b"\x02\0\0\0\0",
        ] {
            assert!(unframed(wrong).is_err());
        }
    }
}
