//! Which pages of other origins a browser lets call this server (CORS,
//! <https://fetch.spec.whatwg.org/#http-cors-protocol>).
//!
//! `server.cors_origins` lists them. By default there are none, and then this costs a request one comparison. A browser
//! asks before such a call (`OPTIONS` with `access-control-request-method`) and reads an answer only when it names the
//! page's origin. Cookies play no part: credentials are headers that the page's script sets.

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue, Method};

/// The value that lets pages of every origin call.
const ANY_ORIGIN: &str = "*";

/// Headers that a page may set, besides those that every page may.
const REQUEST_HEADERS: HeaderValue = HeaderValue::from_static(
    "authorization, content-encoding, content-type, traceparent, tracestate, x-api-key, x-quintile-scorer, x-request-id",
);

/// Headers of an answer that a page may read, besides those that every page may.
const ANSWER_HEADERS: HeaderValue = HeaderValue::from_static("retry-after, server-timing, x-request-id");

/// How long a browser remembers the answer to a preflight. Unit: seconds; Chromium keeps no more than two hours.
const MAX_AGE: HeaderValue = HeaderValue::from_static("7200");

/// The origins whose pages may call.
#[derive(Debug, PartialEq, Eq)]
pub struct CrossOrigin {
    /// Empty where any may.
    origins: Vec<HeaderValue>,
}

/// What the headers of one answer say to pages of other origins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum CrossOriginHeaders {
    /// Nothing: no origin is configured.
    Off,
    /// The request's origin may not read the answer, or the request has none.
    Refused,
    /// This origin may.
    Allowed(HeaderValue),
}

impl CrossOrigin {
    /// The origins of a configuration; none where no other origin may call.
    ///
    /// # Panics
    /// When an origin cannot be a header's value: the configuration has checked their form.
    #[must_use]
    pub fn new(origins: &[String]) -> Option<Self> {
        if origins.is_empty() {
            return None;
        }
        let exact = origins.iter().filter(|origin| *origin != ANY_ORIGIN);
        let origins = match exact.clone().count() == origins.len() {
            true => exact.map(|origin| HeaderValue::try_from(origin).expect("the configuration has checked it")),
            false => return Some(Self { origins: Vec::new() }),
        };
        Some(Self {
            origins: origins.collect(),
        })
    }

    /// What the answer to a request with these headers says.
    fn answer(&self, headers: &HeaderMap) -> CrossOriginHeaders {
        if self.origins.is_empty() {
            return CrossOriginHeaders::Allowed(HeaderValue::from_static(ANY_ORIGIN));
        }
        let mut given = headers.get_all(ORIGIN).iter();
        let (Some(given), None) = (given.next(), given.next()) else {
            return CrossOriginHeaders::Refused;
        };
        let known = self.origins.iter().find(|origin| *origin == given);
        known.map_or(CrossOriginHeaders::Refused, |origin| {
            CrossOriginHeaders::Allowed(origin.clone())
        })
    }
}

impl CrossOriginHeaders {
    pub(super) fn of(allowed: Option<&CrossOrigin>, headers: &HeaderMap) -> Self {
        allowed.map_or(Self::Off, |allowed| allowed.answer(headers))
    }

    /// Whether a request is a preflight: a browser asks whether a page may make another request.
    pub(super) fn is_preflight(&self, method: &Method, headers: &HeaderMap) -> bool {
        matches!(self, Self::Allowed(_))
            && *method == Method::OPTIONS
            && headers.contains_key(ORIGIN)
            && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
    }

    /// Adds what every answer says.
    pub(super) fn put(&self, headers: &mut HeaderMap) {
        match self {
            Self::Off => return,
            Self::Refused => {}
            Self::Allowed(origin) => {
                headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
                headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, ANSWER_HEADERS);
                if origin == ANY_ORIGIN {
                    return;
                }
            }
        }
        // A cache must not give one origin's answer to another.
        headers.append(VARY, HeaderValue::from_static("origin"));
    }

    /// Adds what the answer to a preflight says of a path that takes `methods`.
    pub(super) fn put_preflight(headers: &mut HeaderMap, methods: &'static str) {
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(methods));
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS);
        headers.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(origins: &[&str], given: &[&'static str]) -> CrossOriginHeaders {
        let origins: Vec<String> = origins.iter().map(|&origin| origin.to_owned()).collect();
        let mut headers = HeaderMap::new();
        for origin in given {
            headers.append(ORIGIN, HeaderValue::from_static(origin));
        }
        CrossOriginHeaders::of(CrossOrigin::new(&origins).as_ref(), &headers)
    }

    #[test]
    fn only_an_exact_origin_is_named() {
        let listed = ["https://crm.example", "http://127.0.0.1:3000"];
        assert_eq!(of(&[], &["https://crm.example"]), CrossOriginHeaders::Off);
        for origin in listed {
            let expected = CrossOriginHeaders::Allowed(HeaderValue::from_str(origin).unwrap());
            assert_eq!(of(&listed, &[Box::leak(origin.to_owned().into_boxed_str())]), expected);
        }
        for given in [
            &[][..],
            &["null"],
            &["https://crm.example.evil.example"],
            &["http://crm.example"],
            &["https://crm.example:443"],
            &["https://crm.example", "https://crm.example"],
        ] {
            assert_eq!(of(&listed, given), CrossOriginHeaders::Refused, "{given:?}");
        }
        assert_eq!(
            of(&["*"], &["https://any.example"]),
            CrossOriginHeaders::Allowed(HeaderValue::from_static("*"))
        );
    }

    #[test]
    fn a_cache_is_told_that_answers_differ_by_origin() {
        let mut headers = HeaderMap::new();
        headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
        of(&["https://a.example"], &["https://b.example"]).put(&mut headers);
        assert!(!headers.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN));
        let vary: Vec<_> = headers.get_all(VARY).iter().collect();
        assert_eq!(vary, ["accept-encoding", "origin"]);
        let mut headers = HeaderMap::new();
        of(&["*"], &[]).put(&mut headers);
        assert!(!headers.contains_key(VARY), "the same answer for all");
    }
}
