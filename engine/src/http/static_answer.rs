//! The static responder's answer to `POST /score`: the same connection code, headers and number of bytes as a score,
//! with no parsing, scoring or recording. Its rate is the upper bound for scoring on the same backend.
//!
//! In builds with the feature `static-answer` only; `bench/peers` measures with it.

use std::rc::Rc;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Request, Response};
use hyper::body::Incoming;

use super::HttpShard;
use super::body::{self, Coding};
use super::connection::deadlines::ConnectionDeadlines;
use super::response_body::{ResponseBody, Whole};
use super::routes::{self, InFlightGuard};

const ANSWER: &[u8] = b"{\"lead_id\":\"lead-000000000000\",\"score\":5,\"probability\":0.16741915047168732,\"model\":\
{\"name\":\"demo\",\"version\":\"1.0.0\"},\"request_id\":\"01a20e7f-6d99-7c39-8063-0f4bf4172e43\",\"latency_us\":\
{\"parse\":1.082,\"score\":0.705,\"total\":2.061}}";

const HEADERS: [(HeaderName, HeaderValue); 4] = [
    (
        HeaderName::from_static("server-timing"),
        HeaderValue::from_static("parse;dur=0.001082, score;dur=0.000705, total;dur=0.002061"),
    ),
    (CONTENT_TYPE, HeaderValue::from_static("application/json")),
    (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (
        HeaderName::from_static("x-request-id"),
        HeaderValue::from_static("01a20e7f-6d99-7c39-8063-0f4bf4172e43"),
    ),
];

/// Answers one request: a score with fixed bytes, everything else as usual.
pub(super) async fn respond(
    http: &Rc<HttpShard>,
    watch: &Rc<ConnectionDeadlines>,
    request: Request<Incoming>,
) -> Response<ResponseBody> {
    if request.uri().path() != "/score" {
        return routes::respond(http, watch, request).await;
    }
    let core = &http.core;
    let _under_way = InFlightGuard::new(core, watch);
    let (mut head, body) = request.into_parts();
    let read = body::collect(core, body, Coding::Identity).await.is_ok();
    head.headers.clear();
    for (name, value) in HEADERS {
        head.headers.insert(name, value);
    }
    let body = Whole::new(Bytes::from_static(if read { ANSWER } else { b"" }));
    let mut response = Response::new(ResponseBody::Whole(body));
    *response.headers_mut() = head.headers;
    response
}
