//! How a protocol tells errors. Clients read only their own form: Triton's prints no other, and fails at an object.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use quintile_scoring::render;

use super::grpc;
use crate::http::error::RequestError;
use crate::media_type::{JSON, TEXT};
use crate::telemetry::Route;

/// What AWS's clients call an error.
const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");

/// How errors are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum ErrorForm {
    /// `{"error":{"code":…,"message":…}}`
    Native,
    /// `{"error":"text"}`
    Text,
    /// The text alone.
    Plain,
    /// `{"error_code":…,"message":…}`
    Mlflow,
    /// `{"Message":…}`, with a header that says what kind of error it is.
    Aws,
    /// Headers, with the status 200 and without a body.
    Grpc,
}

impl ErrorForm {
    /// That of a route's protocol.
    pub(in crate::http) fn of(route: Route) -> Self {
        match route {
            Route::V2 | Route::V1 => Self::Text,
            Route::SageMaker => Self::Plain,
            Route::Mlflow => Self::Mlflow,
            Route::Endpoint => Self::Aws,
            Route::Grpc => Self::Grpc,
            _ => Self::Native,
        }
    }

    /// Its content type.
    pub(in crate::http) fn kind(self) -> HeaderValue {
        match self {
            Self::Plain => TEXT,
            Self::Grpc => grpc::KIND,
            _ => JSON,
        }
    }

    /// Writes an error, and says with which status it is answered: AWS's endpoints say that the model has failed where
    /// a container says that the request is wrong.
    pub(in crate::http) fn write(
        self,
        (out, headers): (&mut Vec<u8>, &mut HeaderMap),
        failure: &RequestError,
        text: &str,
    ) -> StatusCode {
        let (status, _) = failure.status();
        if status == StatusCode::NO_CONTENT {
            return status;
        }
        match self {
            Self::Plain => {
                out.extend_from_slice(text.as_bytes());
                out.push(b'\n');
                return status;
            }
            Self::Grpc => {
                grpc::put_failure(headers, failure, text);
                return StatusCode::OK;
            }
            Self::Aws => return aws((out, headers), status, text),
            Self::Mlflow => {
                let code = match status.as_u16() {
                    400..500 => "BAD_REQUEST",
                    503 => "TEMPORARILY_UNAVAILABLE",
                    _ => "INTERNAL_ERROR",
                };
                out.extend_from_slice(b"{\"error_code\":\"");
                out.extend_from_slice(code.as_bytes());
                out.extend_from_slice(b"\",\"message\":");
            }
            Self::Text | Self::Native => out.extend_from_slice(b"{\"error\":"),
        }
        render::string(out, text);
        out.push(b'}');
        status
    }
}

fn aws((out, headers): (&mut Vec<u8>, &mut HeaderMap), status: StatusCode, text: &str) -> StatusCode {
    let (status, kind, original) = match status.as_u16() {
        400 | 406 | 413 | 415 | 422 => (StatusCode::FAILED_DEPENDENCY, "ModelError", Some(status)),
        429 => (status, "ModelNotReadyException", None),
        500 | 501 => (StatusCode::INTERNAL_SERVER_ERROR, "InternalFailure", None),
        503 => (status, "ServiceUnavailable", None),
        401 | 403 => (status, "AccessDeniedException", None),
        _ => (StatusCode::BAD_REQUEST, "ValidationError", None),
    };
    headers.insert(ERROR_TYPE, HeaderValue::from_static(kind));
    out.extend_from_slice(b"{\"Message\":");
    render::string(out, text);
    if let Some(original) = original {
        out.extend_from_slice(b",\"OriginalStatusCode\":");
        out.extend_from_slice(original.as_str().as_bytes());
        out.extend_from_slice(b",\"OriginalMessage\":");
        render::string(out, text);
        out.extend_from_slice(b",\"LogStreamArn\":\"\"");
    }
    out.push(b'}');
    status
}
