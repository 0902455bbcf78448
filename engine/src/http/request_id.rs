//! The id of a request: the client's own from `x-request-id`, or one that the server made.

use arrayvec::ArrayString;
use http::{HeaderMap, HeaderName, HeaderValue};
use quintile_scoring::limits::REQUEST_ID_BYTES_MAX;
use uuid::Uuid;
use uuid::fmt::Hyphenated;

/// The header's name, in requests and answers. Made once: a text would be read and checked for each request, twice.
pub(super) static HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// The id that an answer and a record carry.
pub(super) enum RequestId {
    /// The client's: 1 to [`REQUEST_ID_BYTES_MAX`] visible ASCII characters.
    Given(HeaderValue),
    /// Ours: time-ordered.
    Made(ArrayString<{ Hyphenated::LENGTH }>),
}

impl RequestId {
    /// Takes the client's id if it is one that may stand in logs and answers, else makes and writes ours.
    pub(super) fn new(headers: &HeaderMap, own: impl FnOnce() -> Uuid) -> Self {
        match headers.get(&HEADER) {
            Some(given) if is_fit(given.as_bytes()) => Self::Given(given.clone()),
            _ => {
                let mut space = [0; Hyphenated::LENGTH];
                let text: &str = own().hyphenated().encode_lower(&mut space);
                Self::Made(ArrayString::from(text).unwrap_or_default())
            }
        }
    }

    pub(super) fn as_str(&self) -> &str {
        match self {
            Self::Given(value) => value.to_str().unwrap_or_default(),
            Self::Made(text) => text,
        }
    }
}

fn is_fit(bytes: &[u8]) -> bool {
    (1..=REQUEST_ID_BYTES_MAX).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(value: &[u8]) -> String {
        let mut headers = HeaderMap::new();
        headers.insert(&HEADER, HeaderValue::from_bytes(value).unwrap());
        RequestId::new(&headers, || Uuid::from_u128(7)).as_str().to_owned()
    }

    #[test]
    fn takes_what_is_fit_and_replaces_the_rest() {
        let ours = Uuid::from_u128(7).hyphenated().to_string();
        assert_eq!(id(b"crm-42/\"a\""), "crm-42/\"a\"");
        assert_eq!(id(&[b'x'; REQUEST_ID_BYTES_MAX]), "x".repeat(REQUEST_ID_BYTES_MAX));
        for unfit in [&b""[..], b"two words", b"\xc3\xa9", &[b'x'; REQUEST_ID_BYTES_MAX + 1]] {
            assert_eq!(id(unfit), ours, "{unfit:?}");
        }
        assert_eq!(RequestId::new(&HeaderMap::new(), || Uuid::from_u128(7)).as_str(), ours);
    }
}
