//! Content types: those of our answers, and those that are accepted for bodies.

use http::HeaderValue;

/// Of a JSON text.
pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Of bytes that a header describes.
pub(crate) const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// Of rows of numbers. SageMaker's clients refuse it with parameters.
pub(crate) const CSV: HeaderValue = HeaderValue::from_static("text/csv");

/// Of results, a line each, as SageMaker names it.
pub(crate) fn json_lines() -> HeaderValue {
    HeaderValue::from_static(LINES[3])
}

/// Of a plain text.
pub(crate) const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// Of a text that Prometheus reads.
pub(crate) const METRICS: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

/// Content types of a lead a line. None is registered; these are in use.
const LINES: [&str; 5] = [
    "application/x-ndjson",
    "application/ndjson",
    "application/jsonl",
    "application/jsonlines",
    "application/x-jsonlines",
];

/// Of results, a line each.
pub(crate) fn lines() -> HeaderValue {
    HeaderValue::from_static(LINES[0])
}

/// Whether a body is said to be lines of JSON.
pub(crate) fn is_lines(kind: &[u8]) -> bool {
    let essence = essence(kind);
    LINES.iter().any(|name| essence.eq_ignore_ascii_case(name.as_bytes()))
}

/// `application/json` or `application/….+json`, with any parameters.
pub(crate) fn is_json(kind: &[u8]) -> bool {
    let essence = essence(kind);
    let Some((start, rest)) = essence.split_at_checked(b"application/".len()) else {
        return false;
    };
    let suffix = rest.len().checked_sub(b"+json".len()).map(|at| &rest[at..]);
    start.eq_ignore_ascii_case(b"application/")
        && (rest.eq_ignore_ascii_case(b"json") || suffix.is_some_and(|suffix| suffix.eq_ignore_ascii_case(b"+json")))
}

/// A content type without its parameters.
fn essence(kind: &[u8]) -> &[u8] {
    kind.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_has_many_names() {
        for kind in [
            "application/json",
            "Application/JSON; charset=utf-8",
            "application/vnd.crm+json",
            "application/json;",
        ] {
            assert!(is_json(kind.as_bytes()), "{kind}");
        }
        for kind in [
            "",
            "text/json",
            "application/",
            "application/jsonlines",
            "application/x-www-form-urlencoded",
            "json",
        ] {
            assert!(!is_json(kind.as_bytes()), "{kind}");
        }
    }
}
