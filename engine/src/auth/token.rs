//! Verifies a bearer token: a compact JWS (RFC 7515) with the claims of a Cognito token.
//!
//! Strict where the RFCs allow it: three parts in canonical base64url, `alg` out of the configuration and that of the key,
//! no `crit`. `jwk`, `jku`, `x5u` and `x5c` count for nothing. The claims are read after the signature was verified.

use serde_json::{Map, Value};

use super::access::TokenRules;
use super::base64url::decode;
use super::jwks::{Algorithm, KeySet};
use crate::telemetry::DenialReason;

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenUse {
    /// Access to services.
    Access,
    /// Who somebody is.
    Id,
}

impl TokenUse {
    /// By its name in a token.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "access" => Some(Self::Access),
            "id" => Some(Self::Id),
            _ => None,
        }
    }
}

/// What a token says, verified.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Verified {
    /// `client_id`, or `aud` of an ID token.
    pub client: String,
    /// `sub`.
    pub subject: Option<String>,
    /// `scope` of an access token.
    pub scopes: Vec<String>,
    /// `cognito:groups`.
    pub groups: Vec<String>,
    /// Its last second, leeway included.
    pub until_s: f64,
}

/// A token's three parts, and what its header says.
pub(super) struct Parsed<'t> {
    algorithm: Algorithm,
    kid: String,
    signed: &'t [u8],
    payload: &'t [u8],
    signature: Vec<u8>,
}

impl<'t> Parsed<'t> {
    /// Reads the header.
    pub(super) fn new(token: &'t [u8], rules: &TokenRules) -> Result<Self, DenialReason> {
        let mut parts = token.split(|&byte| byte == b'.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(DenialReason::Malformed);
        };
        let object = object(header)?;
        let signature = decode(signature).ok_or(DenialReason::Malformed)?;
        // Looked at now, so that what is no token is told so whatever its signature is.
        decode(payload).ok_or(DenialReason::Malformed)?;
        let text = |name: &str| object.get(name).and_then(Value::as_str);
        let algorithm = text("alg").and_then(Algorithm::named);
        let algorithm = algorithm.filter(|algorithm| rules.algorithms.contains(algorithm));
        let is_typ_right = object.get("typ").is_none_or(|typ| {
            let typ = typ.as_str().unwrap_or_default();
            ["JWT", "at+jwt"].iter().any(|known| typ.eq_ignore_ascii_case(known))
        });
        match algorithm {
            Some(algorithm) if is_typ_right && !object.contains_key("crit") && !signature.is_empty() => Ok(Self {
                algorithm,
                kid: text("kid").ok_or(DenialReason::UnknownKey)?.to_owned(),
                signed: &token[..header.len() + 1 + payload.len()],
                payload,
                signature,
            }),
            _ => Err(DenialReason::Algorithm),
        }
    }

    /// Verifies signature and claims, at `now_s` seconds since 1970.
    pub(super) fn verify(&self, keys: &KeySet, rules: &TokenRules, now_s: f64) -> Result<Verified, DenialReason> {
        let key = keys.key(&self.kid).ok_or(DenialReason::UnknownKey)?;
        if key.algorithm() != self.algorithm {
            return Err(DenialReason::Algorithm);
        }
        if !key.verifies(self.signed, &self.signature) {
            return Err(DenialReason::Signature);
        }
        claims(&object(self.payload)?, rules, now_s)
    }
}

fn object(part: &[u8]) -> Result<Map<String, Value>, DenialReason> {
    let json = decode(part).ok_or(DenialReason::Malformed)?;
    match serde_json::from_slice(&json) {
        Ok(Value::Object(object)) => Ok(object),
        _ => Err(DenialReason::Malformed),
    }
}

fn claims(object: &Map<String, Value>, rules: &TokenRules, now_s: f64) -> Result<Verified, DenialReason> {
    let text = |name: &str| object.get(name).and_then(Value::as_str).ok_or(DenialReason::Claims);
    if text("iss")? != rules.issuer {
        return Err(DenialReason::Issuer);
    }
    let token_use = TokenUse::named(text("token_use")?).ok_or(DenialReason::TokenUse)?;
    if !rules.uses.contains(&token_use) {
        return Err(DenialReason::TokenUse);
    }
    let client = match token_use {
        TokenUse::Access => text("client_id")?,
        TokenUse::Id => text("aud")?,
    };
    if !rules.clients.iter().any(|known| known == client) {
        return Err(DenialReason::Client);
    }
    let until_s = object.get("exp").and_then(Value::as_f64).ok_or(DenialReason::Claims)? + rules.leeway_s;
    if now_s >= until_s {
        return Err(DenialReason::Expired);
    }
    for name in ["nbf", "iat"] {
        if let Some(value) = object.get(name) {
            let from_s = value.as_f64().ok_or(DenialReason::Claims)?;
            if from_s > now_s + rules.leeway_s {
                return Err(DenialReason::NotYetValid);
            }
        }
    }
    let subject = match object.get("sub") {
        None => None,
        Some(subject) => Some(subject.as_str().ok_or(DenialReason::Claims)?.to_owned()),
    };
    let scopes = match (token_use, object.get("scope")) {
        (TokenUse::Access, Some(Value::String(scopes))) => words(scopes),
        _ => Vec::new(),
    };
    let groups = object.get("cognito:groups").and_then(Value::as_array);
    let groups = groups.map(Vec::as_slice).unwrap_or_default();
    Ok(Verified {
        client: client.to_owned(),
        subject,
        scopes,
        groups: groups.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        until_s,
    })
}

/// Scopes, with single spaces between them (RFC 6749, 3.3).
fn words(scopes: &str) -> Vec<String> {
    let words = scopes.split(' ').filter(|word| !word.is_empty());
    words.map(str::to_owned).collect()
}
