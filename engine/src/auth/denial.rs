//! Why a request is not allowed: a value that is built without an allocation, and what a developer is told.

use super::access::Class;
use crate::telemetry::DenialReason;

/// A request that is not allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Denial {
    /// Why.
    pub reason: DenialReason,
    /// Of which routes it was.
    pub class: Class,
    /// Seconds after which trying again makes sense; 0 where it makes none.
    pub retry_s: u32,
}

impl Denial {
    pub(super) fn new(reason: DenialReason, class: Class) -> Self {
        let retry_s = match reason {
            DenialReason::KeysUnavailable | DenialReason::RateLimited => 1,
            _ => 0,
        };
        Self { reason, class, retry_s }
    }

    /// What a developer is told. It repeats nothing that was sent.
    #[must_use]
    pub fn message(&self) -> &'static str {
        match self.reason {
            DenialReason::NoCredential => {
                "this needs a credential: a token (authorization: Bearer TOKEN), an API key (x-api-key: KEY) or a client \
                 certificate, as the operator has configured"
            }
            DenialReason::Malformed => {
                "the authorization header is not one Bearer token of the form HEADER.PAYLOAD.SIGNATURE, each in base64url"
            }
            DenialReason::NotAccepted => {
                "credentials of this kind are not accepted here: the operator has configured others"
            }
            DenialReason::Algorithm => {
                "the token's header is not accepted: its alg must be one of auth.algorithms and that of its key, its typ JWT, \
                 at+jwt or absent, without crit"
            }
            DenialReason::UnknownKey => {
                "the token's kid names no signing key of the issuer: it may be of another user pool, or too new; try again"
            }
            DenialReason::Signature => "the token's signature is wrong",
            DenialReason::Expired => "the token has expired: get a new one",
            DenialReason::NotYetValid => "the token is not valid yet (nbf or iat): compare the clocks",
            DenialReason::Issuer => "the token is of another issuer (iss) than auth.issuer",
            DenialReason::Client => {
                "the token is for another client (client_id, or aud of an ID token) than auth.clients"
            }
            DenialReason::TokenUse => "the token's token_use is not accepted here: access and ID tokens are told apart",
            DenialReason::Claims => {
                "the token lacks a claim or has one of a wrong type: iss, token_use, client_id or aud, exp"
            }
            DenialReason::ApiKey => "the API key is not known; there is one x-api-key header",
            DenialReason::Certificate => "the client certificate has expired since the connection began",
            DenialReason::NotAllowed => "this credential is good, and not allowed to do this",
            DenialReason::KeysUnavailable => "the issuer's keys cannot be had, so no token can be verified; try again",
            DenialReason::RateLimited => "this principal asks more often than limits.principal_rate; try again later",
        }
    }
}
