//! Who may do what: API keys, certificates of clients and bearer tokens, and the rules that each class of routes has.
//!
//! ```text
//! settings, key file ─▶ Access ──┐ (mailbox)
//! JWKS, by side ─────▶ KeySet ───┴─▶ Verifier, one for each shard: headers, certificate ─▶ principal, or why not
//! ```
//! A shard verifies by itself, without a lock: what it verified it remembers by the hash of the whole token. Nothing here
//! reads a file, a clock or a socket, and nothing that a client sent is repeated in a message or a log line.

mod access;
mod api_keys;
mod base64url;
mod cache;
mod denial;
mod jwks;
mod rate;
mod rules;
mod shared;
#[cfg(test)]
mod tests;
mod token;
mod verifier;

pub use access::{Access, Class, TokenRules};
pub use api_keys::{ApiKeys, ApiKeysError, KEY_CHARACTERS_MIN};
pub use denial::Denial;
pub use jwks::{Algorithm, JwksError, KeySet};
pub use rate::{RateLimiter, RateSettings};
pub use rules::{Rule, check_rule};
pub use shared::SharedAccess;
pub use token::{TokenUse, Verified};
pub use verifier::{Credentials, Principal, Refused, Verifier};
