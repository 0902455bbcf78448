//! The keys of an issuer (RFC 7517): those of a set that verify tokens, and only those.

use std::collections::HashMap;
use std::fmt;

use ring::digest::{SHA256, digest};
use ring::signature::{self, RsaPublicKeyComponents, UnparsedPublicKey};
use serde_json::Value;

use super::base64url::decode;

/// Keys of a set that are kept. A pool has two.
const KEYS_MAX: usize = 100;

/// Bits of the shortest and of the longest RSA key.
const RSA_BITS_MIN: usize = 2048;
const RSA_BITS_MAX: usize = 8192;

/// An algorithm of signatures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// RSA PKCS#1 1.5 with SHA-256.
    Rs256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// By its name in a token's header.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "RS256" => Some(Self::Rs256),
            "ES256" => Some(Self::Es256),
            "EdDSA" => Some(Self::EdDsa),
            _ => None,
        }
    }

    /// Its name in a token's header.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }
}

/// A public key, of one algorithm.
#[derive(Clone)]
pub(super) enum PublicKey {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    P256(Vec<u8>),
    Ed25519(Vec<u8>),
}

impl PublicKey {
    pub(super) fn algorithm(&self) -> Algorithm {
        match self {
            Self::Rsa { .. } => Algorithm::Rs256,
            Self::P256(_) => Algorithm::Es256,
            Self::Ed25519(_) => Algorithm::EdDsa,
        }
    }

    /// Whether a signature is this key's.
    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let verified = match self {
            Self::Rsa { n, e } => {
                RsaPublicKeyComponents { n, e }.verify(&signature::RSA_PKCS1_2048_8192_SHA256, message, signature)
            }
            Self::P256(point) => {
                UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, point).verify(message, signature)
            }
            Self::Ed25519(key) => UnparsedPublicKey::new(&signature::ED25519, key).verify(message, signature),
        };
        verified.is_ok()
    }
}

/// Why a text is no set of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JwksError {
    /// It is something else.
    #[error("is no JSON object with a list \"keys\"")]
    NotASet,
    /// It has no key that verifies anything.
    #[error("has no usable key: one with a kid, for signatures, RSA of 2048 bits or more, EC P-256 or OKP Ed25519")]
    NoKey,
}

/// The keys of an issuer by their `kid`.
pub struct KeySet {
    keys: HashMap<String, PublicKey>,
    /// A digest of the text: what was verified stays so while it is the same.
    digest: [u8; 32],
    /// When it was had, in seconds of the process's clock.
    fetched_s: u64,
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeySet")
            .field("keys", &self.keys.len())
            .finish_non_exhaustive()
    }
}

impl KeySet {
    /// Reads a set that was had at `fetched_s`. Keys that cannot be used are passed over; of two with one `kid` the later
    /// counts.
    ///
    /// # Errors
    /// When nothing in it can be used.
    pub fn parse(json: &[u8], fetched_s: u64) -> Result<Self, JwksError> {
        let value: Value = serde_json::from_slice(json).map_err(|_| JwksError::NotASet)?;
        let list = value.get("keys").and_then(Value::as_array).ok_or(JwksError::NotASet)?;
        let keys: HashMap<_, _> = list.iter().filter_map(usable).take(KEYS_MAX).collect();
        if keys.is_empty() {
            return Err(JwksError::NoKey);
        }
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, json).as_ref());
        Ok(Self {
            keys,
            digest: hash,
            fetched_s,
        })
    }

    pub(super) fn key(&self, kid: &str) -> Option<&PublicKey> {
        self.keys.get(kid)
    }

    /// Whether both have the same keys.
    pub(super) fn is_as(&self, other: &Self) -> bool {
        self.digest == other.digest
    }

    /// How many keys it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Never: a set without a key is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// When it was had, in seconds of the process's clock.
    #[must_use]
    pub fn fetched_s(&self) -> u64 {
        self.fetched_s
    }
}

fn usable(key: &Value) -> Option<(String, PublicKey)> {
    let text = |name: &str| key.get(name).and_then(Value::as_str);
    let kid = text("kid").filter(|kid| !kid.is_empty())?;
    if key.get("use").is_some_and(|purpose| purpose != "sig") {
        return None;
    }
    if let Some(operations) = key.get("key_ops") {
        operations.as_array()?.iter().find(|operation| *operation == "verify")?;
    }
    let bytes = |name: &str| decode(text(name)?.as_bytes());
    let public = match (text("kty")?, text("crv")) {
        ("RSA", _) => rsa(bytes("n")?, bytes("e")?)?,
        ("EC", Some("P-256")) => p256(&bytes("x")?, &bytes("y")?)?,
        ("OKP", Some("Ed25519")) => PublicKey::Ed25519(bytes("x").filter(|key| key.len() == 32)?),
        _ => return None,
    };
    let is_right = key.get("alg").is_none_or(|name| name == public.algorithm().name());
    is_right.then(|| (kid.to_owned(), public))
}

fn rsa(n: Vec<u8>, e: Vec<u8>) -> Option<PublicKey> {
    let stripped = |number: Vec<u8>| {
        let zeros = number.iter().take_while(|&&byte| byte == 0).count();
        number[zeros..].to_vec()
    };
    let (n, e) = (stripped(n), stripped(e));
    let bits = n.len() * 8 - n.first()?.leading_zeros() as usize;
    let is_odd = |number: &[u8]| number.last().is_some_and(|byte| byte & 1 == 1);
    let exponent_is_right = is_odd(&e) && e.len() <= 4 && e != [1];
    let is_right = (RSA_BITS_MIN..=RSA_BITS_MAX).contains(&bits) && is_odd(&n) && exponent_is_right;
    is_right.then_some(PublicKey::Rsa { n, e })
}

fn p256(x: &[u8], y: &[u8]) -> Option<PublicKey> {
    let is_right = x.len() == 32 && y.len() == 32;
    is_right.then(|| PublicKey::P256([&[4], x, y].concat()))
}

#[cfg(test)]
mod tests {
    use super::super::base64url::encode;
    use super::*;

    fn set(keys: &str) -> Result<KeySet, JwksError> {
        KeySet::parse(format!("{{\"keys\":[{keys}]}}").as_bytes(), 0)
    }

    fn rsa_key(bits: usize, more: &str) -> String {
        let mut n = vec![0xff; bits / 8];
        n[0] = if bits.is_multiple_of(8) { 0xff } else { 0x0f };
        format!(r#"{{"kty":"RSA","kid":"a","n":"{}","e":"AQAB"{more}}}"#, encode(&n))
    }

    #[test]
    fn unusable_keys_are_passed_over() {
        let good = rsa_key(2048, r#","use":"sig","alg":"RS256""#);
        assert_eq!(set(&good).unwrap().len(), 1);
        for key in [
            rsa_key(1024, ""),
            rsa_key(2040, ""),
            rsa_key(16_384, ""),
            rsa_key(2048, r#","use":"enc""#),
            rsa_key(2048, r#","alg":"RS512""#),
            rsa_key(2048, r#","alg":"HS256""#),
            rsa_key(2048, r#","key_ops":["encrypt"]"#),
            rsa_key(2048, "").replace("AQAB", "AQ"),
            rsa_key(2048, "").replace("AQAB", "AA"),
            rsa_key(2048, "").replace(r#""kid":"a","#, ""),
            rsa_key(2048, "").replace(r#""kid":"a""#, r#""kid":7"#),
            r#"{"kty":"oct","kid":"a","k":"AAAA"}"#.to_owned(),
            r#"{"kty":"EC","kid":"a","crv":"P-384","x":"AAAA","y":"AAAA"}"#.to_owned(),
            r#"{"kty":"OKP","kid":"a","crv":"Ed25519","x":"AAAA"}"#.to_owned(),
            "7".to_owned(),
            "{}".to_owned(),
        ] {
            assert_eq!(set(&key).err(), Some(JwksError::NoKey), "{key}");
            assert_eq!(set(&format!("{key},{good}")).unwrap().len(), 1, "{key}");
        }
        for text in ["", "[]", "{}", "{\"keys\":{}}", "{\"keys\":[]} x", "nul"] {
            assert_eq!(
                KeySet::parse(text.as_bytes(), 0).err(),
                Some(JwksError::NotASet),
                "{text}"
            );
        }
    }
}
