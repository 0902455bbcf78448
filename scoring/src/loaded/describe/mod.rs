//! The descriptions of a model for its users: the texts of `/v1/schema` and `/openapi.json`, made once, at the first
//! call.
//!
//! Called by [`crate::loaded`], which owns the texts, so that each model has its own. Knows models and the contents of
//! requests; never sees HTTP or a client.

mod example;
mod feature;
mod openapi;
mod schema;

use bytes::Bytes;
use quintile_model::Model;
use serde_json::Value;
use sha2::Digest as _;

pub use example::is_fit;

/// A model's texts.
#[derive(Debug)]
pub struct Descriptions {
    /// `/v1/schema`
    pub schema: Text,
    /// `/openapi.json`
    pub openapi: Text,
}

/// A constant text, and the tag that identifies it.
#[derive(Debug, Clone)]
pub struct Text {
    /// The text: JSON.
    pub bytes: Bytes,
    /// The first digits of its SHA-256.
    pub digest: String,
}

impl Descriptions {
    /// Describes a model. `row` is an example in column order, NaN for missing; without one, or with one that the
    /// model's rules refuse, an example is made up.
    #[must_use]
    pub fn of(model: &Model, row: Option<&[f64]>) -> Self {
        Self {
            schema: Text::new(&schema::document(model)),
            openapi: Text::new(&openapi::document(model, row)),
        }
    }
}

impl Text {
    fn new(document: &Value) -> Self {
        let text = document.to_string();
        Self {
            digest: digest(text.as_bytes()),
            bytes: text.into(),
        }
    }
}

/// The first 16 digits of a text's SHA-256.
pub fn digest(text: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut digits = String::with_capacity(16);
    for byte in &sha2::Sha256::digest(text)[..8] {
        // Writing to a String cannot fail.
        let _ = write!(digits, "{byte:02x}");
    }
    digits
}

/// A number as JSON writes it: without a fraction where it has none, null where it is not finite.
fn number(value: f64) -> Value {
    /// Doubles below it hold every whole number.
    const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;
    let is_whole =
        value.fract().abs() <= 0.0 && value.abs() < WHOLE_MAX && (value.abs() > 0.0 || value.is_sign_positive());
    if is_whole {
        #[expect(clippy::cast_possible_truncation, reason = "it is whole and below 2^53")]
        return Value::from(value as i64);
    }
    Value::from(value)
}

#[cfg(test)]
mod tests;
