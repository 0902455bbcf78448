//! Protocols of other servers on the same port: which call a path is, and its answer (`docs/protocols.md`).
//!
//! ```text
//! admit ─▶ find: the call of a path ─▶ answer ─┬─ documents: what is served, and how it is doing
//!                                              └─ rows: body ─▶ RowsProtocol::read ─▶ Scorer::score_some ─▶ write
//! ```

mod documents;
mod error_form;
mod find;
pub(super) mod grpc;
mod media;
mod memory;
mod rows;
mod v2_path;

use std::rc::Rc;

use http::header::CONTENT_ENCODING;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use hyper::body::Incoming;

use self::documents::Document;
pub(super) use self::error_form::ErrorForm;
pub(super) use self::find::{alive, find, may_be_one};
use self::grpc::GrpcCall;
pub(super) use self::memory::ProtocolMemory;
use self::rows::{RowsAnswer, RowsCall};
use super::HttpShard;
use super::body::Coding;
use super::error::RequestError;
use super::response::Responder;
use super::response_body::ResponseBody;
use crate::media_type::{CSV, JSON, OCTETS, json_lines};
use crate::models::ModelChoice;
use crate::protocol::invocations::{AnswerForm, BodyForm, Invocations};
use crate::protocol::v1::V1;
use crate::protocol::v2::V2;
use crate::record::ProtocolName;

/// Where the binary tensors of a body or an answer begin.
const JSON_BYTES: HeaderName = HeaderName::from_static("inference-header-content-length");

/// Which of an endpoint's models has answered: there is one.
const VARIANT: HeaderName = HeaderName::from_static("x-amzn-invoked-production-variant");

/// A call of another protocol.
#[derive(Debug)]
pub(super) enum ProtocolCall {
    /// Something about the server or a model.
    Document(Document),
    /// Rows in tensors.
    Infer {
        choice: ModelChoice,
        coding: Coding,
        json_bytes: Option<usize>,
    },
    /// Rows of KServe's first protocol.
    Predict { choice: ModelChoice, coding: Coding },
    /// Rows of SageMaker or MLflow.
    Invoke(InvocationCall),
    /// A call of gRPC.
    Grpc(GrpcCall),
    /// A call that is not offered, and what instead.
    NotOffered(&'static str),
}

/// A call of `/invocations`.
#[derive(Debug, Clone, Copy)]
pub(super) struct InvocationCall {
    is_mlflow: bool,
    /// Whether it is an endpoint's, for AWS's clients.
    is_endpoint: bool,
    coding: Coding,
    body: BodyForm,
    answer: AnswerForm,
}

impl Default for InvocationCall {
    fn default() -> Self {
        Self {
            is_mlflow: false,
            is_endpoint: false,
            coding: Coding::Identity,
            body: BodyForm::Json,
            answer: AnswerForm::Csv,
        }
    }
}

impl ProtocolCall {
    /// The call, with what its headers say.
    pub(super) fn with_headers(self, headers: &HeaderMap) -> Result<Self, RequestError> {
        Ok(match self {
            Self::Infer { choice, .. } => Self::Infer {
                choice,
                coding: coding(headers)?,
                json_bytes: json_bytes(headers)?,
            },
            Self::Predict { choice, .. } => Self::Predict {
                choice,
                coding: coding(headers)?,
            },
            Self::Invoke(call) => Self::Invoke(InvocationCall {
                coding: coding(headers)?,
                body: media::body_form(headers, call.is_mlflow)?,
                answer: media::answer_form(headers, call.is_mlflow)?,
                ..call
            }),
            Self::Grpc(call) => Self::Grpc(call.with_headers(headers)?),
            other => other,
        })
    }
}

/// How a body is compressed; `deflate` is zlib's format, as HTTP has it.
fn coding(headers: &HeaderMap) -> Result<Coding, RequestError> {
    let mut codings = headers.get_all(CONTENT_ENCODING).iter();
    let coding = match codings.next().map(HeaderValue::as_bytes) {
        None => Coding::Identity,
        Some(name) if name.eq_ignore_ascii_case(b"identity") || name.is_empty() => Coding::Identity,
        Some(name) if name.eq_ignore_ascii_case(b"gzip") || name.eq_ignore_ascii_case(b"x-gzip") => Coding::Gzip,
        Some(name) if name.eq_ignore_ascii_case(b"deflate") => Coding::Deflate,
        Some(_) => return Err(RequestError::ContentEncoding),
    };
    match codings.next() {
        None => Ok(coding),
        Some(_) => Err(RequestError::ContentEncoding),
    }
}

fn json_bytes(headers: &HeaderMap) -> Result<Option<usize>, RequestError> {
    let Some(value) = headers.get(JSON_BYTES) else {
        return Ok(None);
    };
    let bytes = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    bytes.map(Some).ok_or(RequestError::NotOffered(
        "inference-header-content-length is the number of bytes of the body's JSON part",
    ))
}

/// Answers a call.
pub(super) async fn answer(
    http: &Rc<HttpShard>,
    responder: Responder<'_>,
    call: ProtocolCall,
    body: Incoming,
) -> Response<ResponseBody> {
    let of = |choice, coding, protocol| RowsCall {
        choice,
        coding,
        protocol,
        request_id: responder.id.as_str(),
        deadline: None,
    };
    match call {
        ProtocolCall::Document(document) => documents::answer(http, responder, document),
        ProtocolCall::Grpc(call) => grpc::answer(http, responder, call, body).await,
        ProtocolCall::NotOffered(why) => responder.failed(&RequestError::NotOffered(why)),
        ProtocolCall::Infer {
            choice,
            coding,
            json_bytes,
        } => {
            let call = of(&choice, coding, ProtocolName::V2);
            let scored = rows::answer::<V2>(http, body, call, |request| request.set_json_bytes(json_bytes)).await;
            scored_tensors(responder, scored)
        }
        ProtocolCall::Predict { choice, coding } => {
            let call = of(&choice, coding, ProtocolName::V1);
            match rows::answer::<V1>(http, body, call, |_| {}).await {
                Ok(scored) => responder.finish(StatusCode::OK, JSON, scored.body, false),
                Err(failure) => responder.failed(&failure),
            }
        }
        ProtocolCall::Invoke(call) => {
            let protocol = match call.is_mlflow {
                true => ProtocolName::Mlflow,
                false => ProtocolName::SageMaker,
            };
            let rows = of(&ModelChoice::Default, call.coding, protocol);
            let set = |request: &mut Invocations| request.set(call.body, call.answer, call.is_mlflow);
            let scored = rows::answer::<Invocations>(http, body, rows, set).await;
            invoked(responder, call, scored)
        }
    }
}

fn scored_tensors(
    mut responder: Responder<'_>,
    scored: Result<RowsAnswer<V2>, RequestError>,
) -> Response<ResponseBody> {
    match scored {
        Ok(RowsAnswer { body, mut request }) => match request.get().answer_json_bytes() {
            Some(bytes) => {
                responder.headers.insert(JSON_BYTES, HeaderValue::from(bytes));
                responder.finish(StatusCode::OK, OCTETS, body, false)
            }
            None => responder.finish(StatusCode::OK, JSON, body, false),
        },
        Err(failure) => responder.failed(&failure),
    }
}

fn invoked(
    mut responder: Responder<'_>,
    call: InvocationCall,
    scored: Result<RowsAnswer<Invocations>, RequestError>,
) -> Response<ResponseBody> {
    match scored {
        Ok(RowsAnswer { body, mut request }) => {
            let kind = match request.get().answer_form() {
                AnswerForm::Csv => CSV,
                AnswerForm::Json | AnswerForm::Mlflow => JSON,
                AnswerForm::Lines => json_lines(),
            };
            if call.is_endpoint {
                responder
                    .headers
                    .insert(VARIANT, HeaderValue::from_static("AllTraffic"));
            }
            responder.finish(StatusCode::OK, kind, body, false)
        }
        Err(failure) => responder.failed(&failure),
    }
}
