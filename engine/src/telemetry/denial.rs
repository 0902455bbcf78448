//! Why requests are not allowed, as metrics and log lines name it.

/// Why a request is not allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum DenialReason {
    /// There was no credential.
    NoCredential,
    /// The authorization header is no bearer token.
    Malformed,
    /// No credential of this kind is configured.
    NotAccepted,
    /// The token's header.
    Algorithm,
    /// The token's `kid` is not among the keys.
    UnknownKey,
    /// The token's signature.
    Signature,
    /// The token's `exp`.
    Expired,
    /// The token's `nbf` or `iat`.
    NotYetValid,
    /// The token's `iss`.
    Issuer,
    /// The token's `client_id` or `aud`.
    Client,
    /// The token's `token_use`.
    TokenUse,
    /// A claim that is not there, or of another type.
    Claims,
    /// The API key.
    ApiKey,
    /// The client's certificate.
    Certificate,
    /// The credential is good, and no rule fits.
    NotAllowed,
    /// There are no keys to verify tokens with.
    KeysUnavailable,
    /// Too many requests of a principal.
    RateLimited,
}

impl DenialReason {
    /// All of them, by number.
    pub const ALL: [Self; 17] = [
        Self::NoCredential,
        Self::Malformed,
        Self::NotAccepted,
        Self::Algorithm,
        Self::UnknownKey,
        Self::Signature,
        Self::Expired,
        Self::NotYetValid,
        Self::Issuer,
        Self::Client,
        Self::TokenUse,
        Self::Claims,
        Self::ApiKey,
        Self::Certificate,
        Self::NotAllowed,
        Self::KeysUnavailable,
        Self::RateLimited,
    ];

    /// The word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NoCredential => "no_credential",
            Self::Malformed => "malformed",
            Self::NotAccepted => "not_accepted",
            Self::Algorithm => "algorithm",
            Self::UnknownKey => "unknown_key",
            Self::Signature => "signature",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::Issuer => "issuer",
            Self::Client => "client",
            Self::TokenUse => "token_use",
            Self::Claims => "claims",
            Self::ApiKey => "api_key",
            Self::Certificate => "certificate",
            Self::NotAllowed => "not_allowed",
            Self::KeysUnavailable => "keys_unavailable",
            Self::RateLimited => "rate_limited",
        }
    }
}
