//! API keys: a JSON object of names and keys, of which only hashes are kept.

use std::fmt;

use ring::digest::{SHA256, digest};
use serde_json::Value;

/// Characters of a key at least.
pub const KEY_CHARACTERS_MIN: usize = 24;

/// Bytes of a key at most. A longer one is none.
const KEY_BYTES_MAX: usize = 1024;

/// Bytes of a name at most.
const NAME_BYTES_MAX: usize = 128;

/// Says that the value is the SHA-256 of a key, in hexadecimal.
const HASHED: &str = "sha256:";

/// The hash of a key.
type Hash = [u8; 32];

/// Names and the hashes of their keys.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ApiKeys(Vec<(String, Hash)>);

impl fmt::Debug for ApiKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

/// What is wrong with an object of keys. It repeats names, never a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApiKeysError {
    /// It is something else.
    #[error("is no JSON object of names and keys, as {{\"crm\": \"…\"}}")]
    NotAnObject,
    /// A name that could not stand in a log line.
    #[error("has a name that is empty, longer than 128 bytes, or not of visible ASCII")]
    Name,
    /// A value that is no text.
    #[error("has something else than a text for the key {0:?}")]
    NotAText(String),
    /// A key that can be guessed.
    #[error("has a key {0:?} of fewer than 24 characters; openssl rand -hex 32 makes a good one")]
    Short(String),
    /// A key that no header can have.
    #[error("has a key {0:?} that is longer than 1024 bytes or not of visible ASCII")]
    Unsendable(String),
    /// A hash that is none.
    #[error("has a key {0:?} whose sha256: is not followed by 64 hexadecimal digits")]
    Hash(String),
    /// Two principals with one key.
    #[error("has the same key for {0:?} and {1:?}")]
    Twice(String, String),
}

impl ApiKeys {
    /// Reads the JSON object.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn parse(json: &[u8]) -> Result<Self, ApiKeysError> {
        let value = serde_json::from_slice(json).map_err(|_| ApiKeysError::NotAnObject)?;
        let Value::Object(object) = value else {
            return Err(ApiKeysError::NotAnObject);
        };
        let mut keys: Vec<(String, Hash)> = Vec::with_capacity(object.len());
        for (name, value) in object {
            let is_right =
                (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic());
            if !is_right {
                return Err(ApiKeysError::Name);
            }
            let Value::String(text) = value else {
                return Err(ApiKeysError::NotAText(name));
            };
            let hash = match text.strip_prefix(HASHED) {
                Some(digits) => hex(digits).ok_or_else(|| ApiKeysError::Hash(name.clone()))?,
                None if text.chars().count() < KEY_CHARACTERS_MIN => return Err(ApiKeysError::Short(name)),
                None if text.len() > KEY_BYTES_MAX || !text.bytes().all(|byte| byte.is_ascii_graphic()) => {
                    return Err(ApiKeysError::Unsendable(name));
                }
                None => hash(text.as_bytes()),
            };
            if let Some((other, _)) = keys.iter().find(|(_, known)| *known == hash) {
                return Err(ApiKeysError::Twice(other.clone(), name));
            }
            keys.push((name, hash));
        }
        Ok(Self(keys))
    }

    /// The place of a key that was sent, among [`Self::names`]. All keys are compared, each in the same time.
    #[must_use]
    pub fn place_of(&self, sent: &[u8]) -> Option<usize> {
        if sent.len() > KEY_BYTES_MAX {
            return None;
        }
        let sent = hash(sent);
        let mut found = None;
        for (place, (_, known)) in self.0.iter().enumerate() {
            let differences = known.iter().zip(&sent).fold(0, |sum, (one, other)| sum | (one ^ other));
            if std::hint::black_box(differences) == 0 {
                found = Some(place);
            }
        }
        found
    }

    /// All names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }
}

fn hash(bytes: &[u8]) -> Hash {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, bytes).as_ref());
    hash
}

fn hex(digits: &str) -> Option<Hash> {
    let mut hash = [0; 32];
    if digits.len() != 64 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (place, byte) in hash.iter_mut().enumerate() {
        *byte = u8::from_str_radix(digits.get(2 * place..2 * place + 2)?, 16).ok()?;
    }
    Some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "0123456789abcdef01234567";

    #[test]
    fn keys_are_known_by_themselves_or_their_hash() {
        let of = |bytes: &[u8]| hash(bytes).iter().map(|byte| format!("{byte:02X}")).collect::<String>();
        let text = format!("{{\"crm\":\"{KEY}\",\"batch\":\"sha256:{}\"}}", of(b"another key"));
        let keys = ApiKeys::parse(text.as_bytes()).unwrap();
        assert_eq!(keys.place_of(KEY.as_bytes()), Some(0));
        assert_eq!(keys.place_of(b"another key"), Some(1));
        for sent in [
            &b""[..],
            &KEY.as_bytes()[1..],
            of(b"another key").as_bytes(),
            &[b'x'; 2000],
        ] {
            assert_eq!(keys.place_of(sent), None);
        }
        assert!(!format!("{keys:?}").contains(KEY));
    }

    #[test]
    fn what_is_wrong_is_told_without_the_key() {
        let short = &KEY[1..];
        for (text, name) in [
            ("[]".to_owned(), "object"),
            ("{".to_owned(), "object"),
            (format!("{{\"a\":\"{KEY}\"}} x"), "object"),
            (format!("{{\"a\":\"{short}\"}}"), "24 characters"),
            (format!("{{\"a\":[\"{KEY}\"]}}"), "something else"),
            (format!("{{\"\":\"{KEY}\"}}"), "name"),
            (format!("{{\"a b\":\"{KEY}\"}}"), "name"),
            (format!("{{\"a\":\"{KEY} x\"}}"), "visible ASCII"),
            ("{\"a\":\"sha256:00\"}".to_owned(), "64 hexadecimal"),
            (format!("{{\"a\":\"{KEY}\",\"b\":\"{KEY}\"}}"), "the same key"),
        ] {
            let error = ApiKeys::parse(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(name), "{text}: {error}");
            assert!(!error.contains(short), "{error}");
        }
    }
}
