//! Answers: status, headers and body, in reused memory.
//!
//! The header map of a request becomes that of its answer: hyper gives a connection's map back for the next request, so
//! a keep-alive connection allocates none.

use std::rc::Rc;

use bytes::{BufMut, Bytes};
use http::header::{ACCEPT_ENCODING, ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Version};
use quintile_scoring::read::Timings;
use quintile_scoring::render;

use super::batch::{BatchResponse, Form};
use super::connection::deadlines::ConnectionDeadlines;
use super::cross_origin::CrossOriginHeaders;
use super::error::RequestError;
use super::protocols::ErrorForm;
use super::request_id::{HEADER as REQUEST_ID, RequestId};
use super::response_body::{ResponseBody, Whole};
use crate::auth::Denial;
use crate::media_type::{JSON, METRICS, TEXT};
use crate::protocol::{Native, Protocol as _};
use crate::shard::ShardCore;
use crate::telemetry::DenialReason;

/// Bytes of the longest `server-timing` value.
const SERVER_TIMING_BYTES_MAX: usize = 160;

const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// Writes the answer to one request.
pub(super) struct Responder<'a> {
    pub(super) core: &'a Rc<ShardCore>,
    pub(super) watch: &'a Rc<ConnectionDeadlines>,
    pub(super) headers: HeaderMap,
    pub(super) id: &'a RequestId,
    pub(super) version: Version,
    /// How errors are told.
    pub(super) form: ErrorForm,
    pub(super) cross_origin: CrossOriginHeaders,
    /// The connection ends with this answer.
    pub(super) is_last: bool,
}

impl Responder<'_> {
    pub(super) fn text(self, status: StatusCode, body: &'static str) -> Response<ResponseBody> {
        self.finish(status, TEXT, Bytes::from_static(body.as_bytes()), false)
    }

    /// Whether the server takes traffic.
    pub(super) fn readiness(self) -> Response<ResponseBody> {
        if self.core.is_ready() {
            self.text(StatusCode::OK, "ready\n")
        } else {
            self.text(StatusCode::SERVICE_UNAVAILABLE, "not ready\n")
        }
    }

    /// The methods that a path takes, in a header of its own where a browser asks for a page of another origin
    /// (`preflight`).
    pub(super) fn options(mut self, allow: &'static str, preflight: bool) -> Response<ResponseBody> {
        if preflight {
            CrossOriginHeaders::put_preflight(&mut self.headers, allow);
        } else {
            self.headers.insert(ALLOW, HeaderValue::from_static(allow));
        }
        self.send(
            StatusCode::NO_CONTENT,
            ResponseBody::Whole(Whole::new(Bytes::new())),
            false,
        )
    }

    /// A JSON text.
    pub(super) fn document(self, body: Bytes) -> Response<ResponseBody> {
        self.finish(StatusCode::OK, JSON, body, false)
    }

    pub(super) fn metrics(self, body: Bytes) -> Response<ResponseBody> {
        self.finish(StatusCode::OK, METRICS, body, false)
    }

    /// The answer to one lead.
    pub(super) fn answered(self, scored: Result<(Bytes, Timings), RequestError>) -> Response<ResponseBody> {
        match scored {
            Ok((answer, timings)) => self.scored(answer, &timings),
            Err(failure) => self.failed(&failure),
        }
    }

    /// The answer to a batch, but for its body.
    pub(super) fn opened(self, form: Form, opened: Result<BatchResponse, RequestError>) -> Response<ResponseBody> {
        match opened {
            Ok(answering) => self.batch(form, answering),
            Err(failure) => self.failed(&failure),
        }
    }

    fn scored(mut self, answer: Bytes, timings: &Timings) -> Response<ResponseBody> {
        let timing = self.core.arena.borrow_mut().cut(SERVER_TIMING_BYTES_MAX, |out| {
            for (name, nanoseconds) in [
                ("parse;dur=", timings.parse_ns),
                (", score;dur=", timings.score_ns),
                (", total;dur=", timings.total_ns),
            ] {
                out.put_slice(name.as_bytes());
                put_milliseconds(out, nanoseconds);
            }
            if timings.wake_ns > 0 {
                out.put_slice(b", wake;dur=");
                put_milliseconds(out, timings.wake_ns);
            }
        });
        if let Ok(value) = HeaderValue::from_maybe_shared(timing) {
            self.headers.insert(SERVER_TIMING, value);
        }
        self.finish(StatusCode::OK, JSON, answer, false)
    }

    pub(super) fn failed(mut self, failure: &RequestError) -> Response<ResponseBody> {
        let (status, code) = failure.status();
        if let RequestError::MethodNotAllowed { allow } = failure {
            self.headers.insert(ALLOW, HeaderValue::from_static(allow));
        }
        if *failure == RequestError::ContentEncoding {
            self.headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        }
        if let RequestError::Denied(denial) = failure {
            self.challenge(denial);
        }
        if let Some(seconds) = failure.retry_after() {
            self.headers.insert(RETRY_AFTER, HeaderValue::from_static(seconds));
        }
        if self.form != ErrorForm::Native {
            return self.failed_elsewhere(failure);
        }
        let mut body = Vec::with_capacity(256);
        if let RequestError::Rejected(rejection) = failure {
            let scorer = self.core.scorer.borrow();
            Native::reject(&mut body, &scorer.current().loaded, scorer.workspace(), rejection);
        } else if *failure == RequestError::NotExplainable {
            render::error(&mut body, code, Some(&self.words(failure)), None);
        } else {
            render::error(&mut body, code, Some(&failure.to_string()), None);
        }
        self.finish(status, JSON, body.into(), failure.closes())
    }

    /// The same in the form of another protocol.
    fn failed_elsewhere(mut self, failure: &RequestError) -> Response<ResponseBody> {
        let text = self.words(failure);
        let mut body = Vec::with_capacity(256);
        let status = self.form.write((&mut body, &mut self.headers), failure, &text);
        let kind = self.form.kind();
        self.finish(status, kind, body.into(), failure.closes())
    }

    /// What people are told of a failure that is not one of a lead.
    fn words(&self, failure: &RequestError) -> String {
        match failure {
            RequestError::NotExplainable => self.core.scorer.borrow().why_not_explained(),
            other => other.to_string(),
        }
    }

    /// What the headers of a refusal say (RFC 6750).
    fn challenge(&mut self, denial: &Denial) {
        let challenge = match denial.reason {
            DenialReason::NoCredential => HeaderValue::from_static(r#"Bearer realm="quintile""#),
            DenialReason::NotAllowed => match self.core.auth.borrow().as_ref() {
                Some(verifier) => verifier.access().forbidden(denial.class),
                None => return,
            },
            DenialReason::KeysUnavailable | DenialReason::RateLimited => {
                self.headers.insert(RETRY_AFTER, HeaderValue::from(denial.retry_s));
                return;
            }
            _ => HeaderValue::from_static(r#"Bearer realm="quintile", error="invalid_token""#),
        };
        self.headers.insert(WWW_AUTHENTICATE, challenge);
    }

    fn batch(self, form: Form, answering: BatchResponse) -> Response<ResponseBody> {
        let mut response = self.finish(StatusCode::OK, form.content_type(), Bytes::new(), false);
        *response.body_mut() = ResponseBody::Batch(Box::new(answering));
        response
    }

    pub(super) fn finish(
        mut self,
        status: StatusCode,
        kind: HeaderValue,
        body: Bytes,
        close: bool,
    ) -> Response<ResponseBody> {
        self.headers.insert(CONTENT_TYPE, kind);
        self.headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        self.send(status, ResponseBody::Whole(Whole::new(body)), close)
    }

    /// Adds the headers that every answer has.
    pub(super) fn send(mut self, status: StatusCode, body: ResponseBody, close: bool) -> Response<ResponseBody> {
        if let Some(value) = self.id_value() {
            self.headers.insert(&REQUEST_ID, value);
        }
        self.cross_origin.put(&mut self.headers);
        // h2 has no such header; hyper says GOAWAY there.
        if (close || self.is_last || self.core.draining.get()) && self.version <= Version::HTTP_11 {
            self.headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        let mut body = body;
        // Its streams share a socket: that one of them is not read shows nowhere else.
        if self.version == Version::HTTP_2
            && let ResponseBody::Whole(whole) | ResponseBody::Message(whole, _) = &mut body
        {
            whole.count(self.watch);
        }
        let mut response = Response::new(body);
        *response.status_mut() = status;
        *response.headers_mut() = self.headers;
        response
    }

    fn id_value(&self) -> Option<HeaderValue> {
        match self.id {
            RequestId::Given(value) => Some(value.clone()),
            RequestId::Made(text) => {
                let text = self
                    .core
                    .arena
                    .borrow_mut()
                    .cut(text.len(), |out| out.put_slice(text.as_bytes()));
                HeaderValue::from_maybe_shared(text).ok()
            }
        }
    }
}

/// Milliseconds with six decimals, as `0.012345`.
fn put_milliseconds(out: &mut impl BufMut, nanoseconds: u64) {
    let mut whole = itoa::Buffer::new();
    out.put_slice(whole.format(nanoseconds / 1_000_000).as_bytes());
    out.put_u8(b'.');
    let mut rest = nanoseconds % 1_000_000;
    let mut digits = [b'0'; 6];
    for digit in digits.iter_mut().rev() {
        *digit += u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
    }
    out.put_slice(&digits);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_keep_their_zeros() {
        for (nanoseconds, text) in [
            (0, "0.000000"),
            (1_234, "0.001234"),
            (12_000_000, "12.000000"),
            (u64::MAX, "18446744073709.551615"),
        ] {
            let mut out = Vec::new();
            put_milliseconds(&mut out, nanoseconds);
            assert_eq!(out, text.as_bytes());
        }
    }
}
