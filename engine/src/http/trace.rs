//! The trace that a request belongs to: W3C's `traceparent`, or the `X-Amzn-Trace-Id` of AWS's load balancers.
//!
//! Read from every request, and written only if a request is logged. It allocates nothing, and refuses anything that
//! does not follow these two documents exactly. <https://www.w3.org/TR/trace-context/>,
//! <https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-request-tracing.html>

use http::{HeaderMap, HeaderName};

use crate::telemetry::Trace;

const W3C: HeaderName = HeaderName::from_static("traceparent");
const AWS: HeaderName = HeaderName::from_static("x-amzn-trace-id");

/// What a request says of its trace. Where both headers are there, W3C's: a client wrote it, and the balancer adds its
/// own.
pub(super) fn given(headers: &HeaderMap) -> Option<Trace> {
    let bytes = |name: HeaderName| headers.get(name).map(http::HeaderValue::as_bytes);
    bytes(W3C).and_then(w3c).or_else(|| bytes(AWS).and_then(aws))
}

/// `00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01`. Later versions may say more behind it.
fn w3c(text: &[u8]) -> Option<Trace> {
    let (version, rest) = part(text, 2)?;
    let (trace_id, rest) = part(rest.strip_prefix(b"-")?, 32)?;
    let (span_id, rest) = part(rest.strip_prefix(b"-")?, 16)?;
    let (flags, rest) = part(rest.strip_prefix(b"-")?, 2)?;
    let ends = match version {
        0xff => false,
        0 => rest.is_empty(),
        _ => rest.is_empty() || rest.starts_with(b"-"),
    };
    let trace = Trace {
        trace_id,
        span_id: u64::try_from(span_id).ok()?,
        flags: u8::try_from(flags).ok(),
    };
    (ends && trace.trace_id != 0 && trace.span_id != 0).then_some(trace)
}

/// `Self=1-…;Root=1-67891233-abcdef012345678912345678;Parent=463ac35c9f6413ad;Sampled=1`: the root's two numbers
/// together are W3C's trace id.
fn aws(text: &[u8]) -> Option<Trace> {
    let field = |name: &[u8]| {
        let fields = text.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
        fields.into_iter().find_map(|field| field.strip_prefix(name))
    };
    let root = field(b"Root=")?.strip_prefix(b"1-")?;
    let (seconds, rest) = part(root, 8)?;
    let (unique, rest) = part(rest.strip_prefix(b"-")?, 24)?;
    let parent = field(b"Parent=")
        .and_then(|parent| part(parent, 16))
        .filter(|(_, rest)| rest.is_empty());
    let trace = Trace {
        trace_id: (seconds << 96) | unique,
        span_id: parent.map_or(0, |(id, _)| u64::try_from(id).unwrap_or(0)),
        flags: match field(b"Sampled=") {
            Some(b"1") => Some(1),
            Some(b"0") => Some(0),
            _ => None,
        },
    };
    (rest.is_empty() && trace.trace_id != 0).then_some(trace)
}

/// So many lower-case hexadecimal digits as a number, and what is behind them.
fn part(text: &[u8], digits: usize) -> Option<(u128, &[u8])> {
    let (hex, rest) = text.split_at_checked(digits)?;
    let number = hex.iter().try_fold(0_u128, |number, &byte| {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            _ => return None,
        };
        Some((number << 4) | u128::from(digit))
    })?;
    Some((number, rest))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn trace(headers: &[(HeaderName, &str)]) -> Option<(String, String, Option<u8>)> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(name, HeaderValue::from_bytes(value.as_bytes()).expect("a header"));
        }
        given(&map).map(|trace| {
            (
                format!("{:032x}", trace.trace_id),
                format!("{:016x}", trace.span_id),
                trace.flags,
            )
        })
    }

    fn told(trace_id: &str, span_id: &str, flags: Option<u8>) -> Option<(String, String, Option<u8>)> {
        Some((trace_id.into(), span_id.into(), flags))
    }

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    const ROOT: &str = "Root=1-67891233-abcdef012345678912345678";

    #[test]
    fn both_headers_are_understood_and_w3cs_comes_first() {
        let w3c = told("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", Some(1));
        assert_eq!(trace(&[(W3C, PARENT)]), w3c);
        assert_eq!(trace(&[(W3C, PARENT), (AWS, ROOT)]), w3c);
        assert_eq!(trace(&[(W3C, &PARENT.replacen("00", "cc", 1)), (AWS, ROOT)]), w3c);
        assert_eq!(
            trace(&[(W3C, &format!("{}-more", PARENT.replacen("00", "01", 1)))]),
            w3c
        );
        let aws = "67891233abcdef012345678912345678";
        assert_eq!(trace(&[(AWS, ROOT)]), told(aws, "0000000000000000", None));
        assert_eq!(trace(&[(W3C, "?"), (AWS, ROOT)]), told(aws, "0000000000000000", None));
        let all = format!("Self=1-1-1; {ROOT};Parent=463ac35c9f6413ad;Sampled=0;Lineage=a:1|b:2");
        assert_eq!(trace(&[(AWS, &all)]), told(aws, "463ac35c9f6413ad", Some(0)));
        assert_eq!(
            trace(&[(AWS, &format!("{ROOT};Parent=46;Sampled=?"))]),
            told(aws, "0000000000000000", None)
        );
    }

    #[test]
    fn what_is_neither_is_no_trace() {
        let wrong_parents = [
            "".to_owned(),
            PARENT[..54].to_owned(),
            format!("{PARENT}0"),
            format!("{PARENT}-more"),
            PARENT.to_uppercase(),
            PARENT.replacen("00", "ff", 1),
            PARENT.replace("-01", "_01"),
            PARENT.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
            PARENT.replace("b7ad6b7169203331", &"0".repeat(16)),
            PARENT.replace("b7ad", "\u{e9}\u{e9}"),
        ];
        for wrong in wrong_parents {
            assert_eq!(trace(&[(W3C, &wrong)]), None, "{wrong}");
        }
        for wrong in [
            "",
            "Root=",
            "Root=2-67891233-abcdef012345678912345678",
            "Root=1-6789123-abcdef0123456789123456789",
            "Root=1-67891233-abcdef01234567891234567",
            "Root=1-67891233-abcdef0123456789123456789",
            "Root=1-00000000-000000000000000000000000",
            "Parent=463ac35c9f6413ad",
            "root=1-67891233-abcdef012345678912345678",
        ] {
            assert_eq!(trace(&[(AWS, wrong)]), None, "{wrong}");
        }
    }
}
