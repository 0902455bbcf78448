//! Why a request is not answered with a score: one enum, one table of statuses.

use std::fmt;

use http::StatusCode;
use quintile_scoring::read::ReadError;
use quintile_scoring::read::batch::LeadError;
use quintile_scoring::reasons::ReasonsRequestError;

use crate::auth::Denial;
use crate::budget::BudgetError;
use crate::remote::RemoteError;
use crate::telemetry::DenialReason;

/// What went wrong. Building one allocates nothing; rendering may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestError {
    /// An HTTP/1.1 request without a `Host`, with several, or with one that is none.
    Host,
    /// A transfer encoding other than `chunked` alone.
    TransferEncoding,
    /// No such path.
    NotFound,
    /// No model, alias or version of this name.
    UnknownModel,
    /// The model is known, and not loaded.
    ModelNotLoaded,
    /// The path is there, but not for this method.
    MethodNotAllowed {
        /// The `Allow` header.
        allow: &'static str,
    },
    /// A body that does not say it is JSON.
    MediaType,
    /// A batch that says it is neither JSON nor lines of JSON.
    BatchMediaType,
    /// A body that is compressed in a way that is not known.
    ContentEncoding,
    /// A body that is said to be gzip and does not inflate.
    BadGzip,
    /// More body than is accepted.
    BodyTooLarge {
        /// Bytes accepted.
        limit: usize,
    },
    /// A body that inflates to more than is accepted.
    InflatesTooLarge {
        /// Bytes accepted.
        limit: usize,
    },
    /// Too much around the leads of a batch.
    TooMuchBesideLeads,
    /// More leads than a batch may have.
    TooManyLeads {
        /// Leads accepted.
        limit: usize,
    },
    /// The body did not end in time.
    BodyTimeout,
    /// The connection broke, or the framing of the body is wrong.
    BodyBroken,
    /// More headers than are accepted.
    HeadersTooMany {
        /// Headers accepted.
        limit: usize,
    },
    /// The body is not JSON, or no lead of this model; the faults are in the workspace.
    Rejected(ReadError),
    /// A parameter of the query that is not understood.
    Query(ReasonsRequestError),
    /// Reasons of a model whose scores cannot be explained: why is the model's to say.
    NotExplainable,
    /// A target of a model whose predictions have no bands.
    NoBands,
    /// Reasons of a model for which what explains it is still being made.
    Preparing,
    /// The shard answers as many requests as it may.
    Overloaded,
    /// It has waited too long for the shard.
    Late,
    /// There are as many connections as there may be.
    TooManyConnections,
    /// The process holds as many bytes for requests as it may.
    OutOfMemory,
    /// The shard reads and answers as many batches as it may.
    TooManyBatches {
        /// Batches accepted.
        limit: usize,
    },
    /// A batch for a model that a remote scorer evaluates.
    BatchNotLocal,
    /// Records wait for the sink, and there is no room for one more.
    QueueFull,
    /// The remote scorer failed, and there is no fallback.
    Remote(RemoteError),
    /// The request is not allowed.
    Denied(Denial),
    /// Rows of another protocol's request cannot be read: too many, or not right. Why, in words.
    Rows(Box<RowsRefusal>),
    /// A call of another protocol that is not offered: what instead.
    NotOffered(&'static str),
    /// The client has said how long it waits, and that is over.
    DeadlineExceeded,
    /// A body of no bytes, where that is no fault.
    NoContent,
    /// A body of a type that `/invocations` does not take.
    InvocationMediaType,
    /// No type of answer that the client takes.
    NotAcceptable,
    /// The code panicked.
    Panicked,
}

/// Why rows are refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowsRefusal {
    /// Whether there are too many.
    pub is_too_large: bool,
    /// For people.
    pub text: String,
}

impl RequestError {
    /// The status and a word for programs.
    #[must_use]
    pub fn status(&self) -> (StatusCode, &'static str) {
        match self {
            Self::Host => (StatusCode::BAD_REQUEST, "bad_host"),
            Self::TransferEncoding => (StatusCode::NOT_IMPLEMENTED, "unsupported_transfer_encoding"),
            Self::NotFound => (StatusCode::NOT_FOUND, "not_found"),
            Self::UnknownModel => (StatusCode::NOT_FOUND, "unknown_model"),
            Self::ModelNotLoaded => (StatusCode::SERVICE_UNAVAILABLE, "model_not_loaded"),
            Self::MethodNotAllowed { .. } => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
            Self::MediaType | Self::BatchMediaType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type"),
            Self::ContentEncoding => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_content_encoding"),
            Self::BadGzip => (StatusCode::BAD_REQUEST, "bad_gzip"),
            Self::BodyTooLarge { .. } | Self::InflatesTooLarge { .. } | Self::TooMuchBesideLeads => {
                (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large")
            }
            Self::TooManyLeads { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "too_many_leads"),
            Self::BodyTimeout => (StatusCode::REQUEST_TIMEOUT, "body_timeout"),
            Self::BodyBroken => (StatusCode::BAD_REQUEST, "body_incomplete"),
            Self::HeadersTooMany { .. } => (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "too_many_headers"),
            Self::Rejected(ReadError::NotJson(_)) => (StatusCode::BAD_REQUEST, "not_json"),
            Self::Rejected(ReadError::Invalid) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid_request"),
            Self::Query(_) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid_query"),
            Self::NotExplainable => (StatusCode::UNPROCESSABLE_ENTITY, "not_explainable"),
            Self::NoBands => (StatusCode::UNPROCESSABLE_ENTITY, "no_bands"),
            Self::Preparing => (StatusCode::SERVICE_UNAVAILABLE, "preparing_reasons"),
            Self::BatchNotLocal => (StatusCode::NOT_IMPLEMENTED, "batch_not_local"),
            Self::Overloaded
            | Self::Late
            | Self::TooManyConnections
            | Self::OutOfMemory
            | Self::TooManyBatches { .. } => (StatusCode::SERVICE_UNAVAILABLE, "overloaded"),
            Self::QueueFull => (StatusCode::SERVICE_UNAVAILABLE, "record_queue_full"),
            Self::Remote(_) => (StatusCode::SERVICE_UNAVAILABLE, "scoring_unavailable"),
            Self::Denied(denial) => match denial.reason {
                DenialReason::NoCredential => (StatusCode::UNAUTHORIZED, "no_credential"),
                DenialReason::NotAllowed => (StatusCode::FORBIDDEN, "not_allowed"),
                DenialReason::KeysUnavailable => (StatusCode::SERVICE_UNAVAILABLE, "keys_unavailable"),
                DenialReason::RateLimited => (StatusCode::TOO_MANY_REQUESTS, "rate_limited"),
                _ => (StatusCode::UNAUTHORIZED, "invalid_credential"),
            },
            Self::Rows(refusal) if refusal.is_too_large => (StatusCode::PAYLOAD_TOO_LARGE, "too_many_rows"),
            Self::Rows(_) => (StatusCode::BAD_REQUEST, "invalid_rows"),
            Self::NotOffered(_) => (StatusCode::BAD_REQUEST, "not_offered"),
            Self::DeadlineExceeded => (StatusCode::REQUEST_TIMEOUT, "deadline_exceeded"),
            Self::NoContent => (StatusCode::NO_CONTENT, "no_content"),
            Self::InvocationMediaType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type"),
            Self::NotAcceptable => (StatusCode::NOT_ACCEPTABLE, "not_acceptable"),
            Self::Panicked => (StatusCode::INTERNAL_SERVER_ERROR, "internal_error"),
        }
    }

    /// Whether the connection cannot go on: what follows on it is not known to be a request.
    #[must_use]
    pub fn closes(&self) -> bool {
        matches!(
            self,
            Self::Host
                | Self::TransferEncoding
                | Self::BodyTooLarge { .. }
                | Self::InflatesTooLarge { .. }
                | Self::TooMuchBesideLeads
                | Self::TooManyLeads { .. }
                | Self::BadGzip
                | Self::BodyTimeout
                | Self::BodyBroken
                | Self::HeadersTooMany { .. }
                | Self::OutOfMemory
                | Self::Panicked
        )
    }

    /// Seconds after which trying again makes sense.
    #[must_use]
    pub fn retry_after(&self) -> Option<&'static str> {
        matches!(
            self,
            Self::Overloaded
                | Self::Late
                | Self::Preparing
                | Self::TooManyConnections
                | Self::OutOfMemory
                | Self::TooManyBatches { .. }
                | Self::QueueFull
                | Self::ModelNotLoaded
                | Self::Remote(_)
        )
        .then_some("1")
    }
}

impl From<BudgetError> for RequestError {
    fn from(_: BudgetError) -> Self {
        Self::OutOfMemory
    }
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host => f.write_str("a request of HTTP/1.1 has one host header, and its value is HOST or HOST:PORT"),
            Self::TransferEncoding => {
                f.write_str("the body is sent with a content-length, or with transfer-encoding: chunked and nothing else in it")
            }
            Self::NotFound => f.write_str("no such path; GET /openapi.json lists those there are"),
            Self::UnknownModel => f.write_str("no model, alias or version of this name is served here"),
            Self::ModelNotLoaded => f.write_str("this model is known and not loaded; try again when it is"),
            Self::MethodNotAllowed { allow } => write!(f, "this path takes {allow}"),
            Self::MediaType => f.write_str(
                "the body's content-type is application/json or absent (curl: -H 'content-type: application/json')",
            ),
            Self::BatchMediaType => f.write_str(
                "a batch's content-type is application/json or absent, or application/x-ndjson for a lead a line \
                 (curl: -H 'content-type: application/json')",
            ),
            Self::ContentEncoding => {
                f.write_str("the body is sent as it is, without content-encoding, or with content-encoding: gzip")
            }
            Self::BadGzip => {
                f.write_str("the body is said to be gzip, but it is something else, damaged, or cut off")
            }
            Self::BodyTooLarge { limit } => write!(f, "a body has at most {limit} bytes"),
            Self::InflatesTooLarge { limit } => {
                write!(f, "a body has at most {limit} bytes, and this one inflates to more")
            }
            Self::TooMuchBesideLeads => f.write_str("there is more beside the leads than a batch has: {\"leads\":[…]}"),
            Self::TooManyLeads { limit } => write!(f, "a batch has at most {limit} leads"),
            Self::BodyTimeout => f.write_str("the body did not arrive in time"),
            Self::BodyBroken => f.write_str("the body did not arrive whole"),
            Self::HeadersTooMany { limit } => write!(f, "a request has at most {limit} headers"),
            Self::Rejected(rejection) => write!(f, "{rejection}"),
            Self::Query(error) => write!(f, "{error}"),
            Self::NotExplainable => f.write_str("this model's scores cannot be explained"),
            Self::NoBands => f.write_str("this model gives no scores from 1 to 5 here, so nothing can bring a lead to one"),
            Self::Preparing => f.write_str("what explains this model's scores is being made; try again"),
            Self::Overloaded => f.write_str("too many requests are under way; try again"),
            Self::Late => f.write_str("requests come faster than they are answered, and this one has waited too long; try again"),
            Self::TooManyConnections => {
                f.write_str("all connections that there may be are open; this one is for health checks: try again")
            }
            Self::OutOfMemory => f.write_str("the memory for requests is in use; try again"),
            Self::TooManyBatches { limit } => {
                write!(f, "{limit} batches are under way; try again, or send leads one by one to POST /score")
            }
            Self::BatchNotLocal => f.write_str(
                "SageMaker scores this model, and batches are only scored by this process: send leads one by one to POST /score",
            ),
            Self::QueueFull => write!(f, "{}", LeadError::NotRecorded),
            Self::Remote(miss) => write!(f, "SageMaker has not scored this lead: {miss}; try again"),
            Self::Denied(denial) => f.write_str(denial.message()),
            Self::Rows(refusal) => f.write_str(&refusal.text),
            Self::NotOffered(instead) => f.write_str(instead),
            Self::DeadlineExceeded => f.write_str("the time that the client waits is over"),
            Self::NoContent => f.write_str("the body has no bytes, and so no rows"),
            Self::InvocationMediaType => f.write_str(
                "the content-type is not one of application/json, text/csv, and for SageMaker application/jsonlines, \
                 text/libsvm, application/x-recordio-protobuf, application/x-npy",
            ),
            Self::NotAcceptable => {
                f.write_str("the answer is text/csv, application/json or application/jsonlines, and accept names none of them")
            }
            Self::Panicked => f.write_str("a fault of the server; it is logged and counted"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Class;
    use crate::telemetry::STATUSES;

    #[test]
    fn every_status_has_a_place_in_the_counts_and_every_code_in_the_document() {
        let failures = [
            RequestError::Host,
            RequestError::TransferEncoding,
            RequestError::NotFound,
            RequestError::UnknownModel,
            RequestError::ModelNotLoaded,
            RequestError::MethodNotAllowed { allow: "POST" },
            RequestError::MediaType,
            RequestError::BatchMediaType,
            RequestError::ContentEncoding,
            RequestError::BadGzip,
            RequestError::BodyTooLarge { limit: 1 },
            RequestError::InflatesTooLarge { limit: 1 },
            RequestError::TooMuchBesideLeads,
            RequestError::TooManyLeads { limit: 1 },
            RequestError::BodyTimeout,
            RequestError::BodyBroken,
            RequestError::HeadersTooMany { limit: 1 },
            RequestError::Rejected(ReadError::Invalid),
            RequestError::Query(ReasonsRequestError::Count),
            RequestError::NotExplainable,
            RequestError::NoBands,
            RequestError::Preparing,
            RequestError::Overloaded,
            RequestError::Late,
            RequestError::TooManyConnections,
            RequestError::OutOfMemory,
            RequestError::TooManyBatches { limit: 1 },
            RequestError::BatchNotLocal,
            RequestError::QueueFull,
            RequestError::Remote(RemoteError::Late),
            RequestError::Panicked,
        ];
        let denials = DenialReason::ALL.map(|reason| {
            RequestError::Denied(Denial {
                reason,
                class: Class::Score,
                retry_s: 0,
            })
        });
        for failure in failures.into_iter().chain(denials) {
            let (status, code) = failure.status();
            assert!(STATUSES.contains(&status.as_u16()), "{failure:?}");
            assert!(
                code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'),
                "{code}"
            );
            assert!(!failure.to_string().is_empty());
            let document = include_str!("../../../scoring/src/loaded/describe/openapi.json");
            assert!(
                document.contains(&format!("\"{code}\"")),
                "{code} is not in the document"
            );
        }
    }
    #[test]
    fn what_only_other_protocols_answer_has_a_place_in_the_counts() {
        let rows = |is_too_large| {
            RequestError::Rows(Box::new(RowsRefusal {
                is_too_large,
                text: "x".into(),
            }))
        };
        for (failure, status) in [
            (rows(true), 413),
            (rows(false), 400),
            (RequestError::NotOffered("x"), 400),
            (RequestError::DeadlineExceeded, 408),
            (RequestError::NoContent, 204),
            (RequestError::InvocationMediaType, 415),
            (RequestError::NotAcceptable, 406),
        ] {
            assert_eq!(failure.status().0.as_u16(), status);
            assert!(STATUSES.contains(&status) && !failure.to_string().is_empty());
        }
    }
}
