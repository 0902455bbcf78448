//! Rules of RFC 9112 for HTTP/1.1 requests that hyper does not check. Called first for each request: a request whose
//! framing or host two programs may read differently must not be answered.
//!
//! hyper itself refuses several content lengths, a content length that is no number, and chunks in HTTP/1.0; it closes
//! a connection after a request with both a content length and a transfer encoding.

use http::header::{HOST, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, Version};
use http_body::Body;
use hyper::body::Incoming;

use super::error::RequestError;

/// Refuses a request that has no single valid `Host` (RFC 9112, section 3.2), or a body in another transfer encoding
/// than `chunked` alone (section 6.1).
///
/// # Errors
/// [`RequestError::Host`] or [`RequestError::TransferEncoding`]; both close the connection.
#[inline]
pub(super) fn check(version: Version, headers: &HeaderMap, body: &Incoming) -> Result<(), RequestError> {
    // HTTP/1.0 needs no host, and in HTTP/2 neither header frames anything.
    if version != Version::HTTP_11 {
        return Ok(());
    }
    let mut hosts = headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) if is_host(host.as_bytes()) => {}
        _ => return Err(RequestError::Host),
    }
    // A body whose length is known came without a transfer encoding, so its headers need no second look.
    if body.size_hint().exact().is_none() && !is_chunked_alone(headers) {
        return Err(RequestError::TransferEncoding);
    }
    Ok(())
}

fn is_chunked_alone(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter().map(HeaderValue::as_bytes);
    let first = codings.next().unwrap_or_default().trim_ascii();
    first.eq_ignore_ascii_case(b"chunked") && codings.next().is_none()
}

/// Whether a value has the form of `uri-host [":" port]` (RFC 9110, section 7.2; RFC 3986, section 3.2.2), which may be
/// empty. Whether a name exists is not asked.
fn is_host(value: &[u8]) -> bool {
    let (host, port) = match value.iter().rposition(|&byte| byte == b':') {
        Some(at) if !value[at..].contains(&b']') => (&value[..at], &value[at + 1..]),
        _ => (value, &value[..0]),
    };
    let is_literal = host.len() > 2 && host.starts_with(b"[") && host.ends_with(b"]");
    let is_right = match is_literal {
        true => host[1..host.len() - 1]
            .iter()
            .all(|&byte| byte.is_ascii_alphanumeric() || b":.-_~%".contains(&byte)),
        false => host
            .iter()
            .all(|&byte| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=".contains(&byte)),
    };
    is_right && port.iter().all(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address_with_or_without_a_port() {
        for host in [
            "",
            "q",
            "localhost:8080",
            "10.0.0.1",
            "[::1]",
            "[fe80::1%25eth0]:80",
            "a-b.example.",
            "q:",
        ] {
            assert!(is_host(host.as_bytes()), "{host}");
        }
        for host in [
            "a b",
            "a/b",
            "user@host",
            "::1",
            "[::1",
            "::1]",
            "[]",
            "h:80x",
            "h:-1",
            "a\tb",
            "é",
            "a?b",
        ] {
            assert!(!is_host(host.as_bytes()), "{host}");
        }
    }

    #[test]
    fn chunked_stands_alone() {
        let of = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(TRANSFER_ENCODING, HeaderValue::from_static(value));
            }
            is_chunked_alone(&headers)
        };
        for values in [&["chunked"][..], &["Chunked"], &[" chunked "]] {
            assert!(of(values), "{values:?}");
        }
        for values in [
            &["gzip, chunked"][..],
            &["chunked", "chunked"],
            &["gzip", "chunked"],
            &["chunked, chunked"],
            &["identity, chunked"],
            &["chunked;x=1"],
            &[", chunked"],
            &[],
        ] {
            assert!(!of(values), "{values:?}");
        }
    }
}
