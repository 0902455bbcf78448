//! Files → [`Ensemble`]: one file a format, chosen by content.
//!
//! ```text
//! bytes ─┬─ json   ─┐
//!        ├─ ubjson ─┴─ document ── xgboost ─┬─ Ensemble::try_new
//!        ├─ json ──── document ── catboost ─┤
//!        ├─ lightgbm ───────────────────────┤
//!        ├─ treelite ───────────────────────┤
//!        ├─ onnx ───────────────────────────┘
//!        └─ foreign: what else it is, and what to do instead
//! ```
//!
//! A reader never reserves memory by what a file claims, never recurses deeper than [`crate::limits::NESTING_MAX`], and
//! never returns an ensemble that `try_new` has not seen.

mod bytes;
mod catboost;
mod document;
mod error;
mod foreign;
mod json;
mod lightgbm;
mod onnx;
mod treelite;
mod ubjson;
mod xgboost;

pub use error::FormatError;

use crate::ensemble::{Ensemble, Precision};
use crate::limits::MODEL_BYTES_MAX;

/// Reads a model file of any accepted format.
///
/// # Errors
/// What is wrong, where (byte offset, JSON path or tree and node), and what is accepted.
pub fn load(bytes: &[u8]) -> Result<Ensemble, FormatError> {
    if bytes.is_empty() {
        return Err(FormatError::Empty);
    }
    if bytes.len() > MODEL_BYTES_MAX {
        return Err(FormatError::TooLarge { bytes: bytes.len() });
    }
    if lightgbm::is_one(bytes) {
        return lightgbm::ensemble(bytes);
    }
    if let Some(version) = treelite::version(bytes) {
        return match version {
            4 => treelite::ensemble(bytes),
            _ => Err(foreign::old_treelite()),
        };
    }
    if onnx::is_one(bytes) {
        return onnx::ensemble(bytes);
    }
    let brace = bytes.iter().position(|byte| !byte.is_ascii_whitespace());
    let after_brace = brace
        .filter(|&brace| bytes[brace] == b'{')
        .map(|brace| &bytes[brace + 1..]);
    let Some(after_brace) = after_brace else {
        return Err(foreign::refusal(bytes));
    };
    // A UBJSON key starts with the type of its length; a JSON one with a quote.
    match after_brace.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'L' | b'l' | b'I' | b'i' | b'U') => xgboost::ensemble(&ubjson::parse(bytes)?, "XGBoost UBJSON"),
        Some(b'"') if catboost::is_first_key(first_key(after_brace)) => {
            catboost::ensemble(&json::parse_doubles(bytes)?, bytes.len())
        }
        _ => match foreign::json_object(first_key(after_brace), bytes) {
            Some(refusal) => Err(refusal),
            None => xgboost::ensemble(&json::parse(bytes)?, "XGBoost JSON"),
        },
    }
}

/// What stands between the first two quotes.
fn first_key(after_brace: &[u8]) -> &[u8] {
    after_brace.split(|&byte| byte == b'"').nth(1).unwrap_or_default()
}

/// The next number up: `x <= t` is `x < next_up(t)`. Infinity and NaN are judged elsewhere.
#[expect(
    clippy::cast_possible_truncation,
    reason = "thresholds of an f32 model are f32 values"
)]
fn next_up(value: f64, precision: Precision) -> f64 {
    match precision {
        Precision::F32 => f64::from((value as f32).next_up()),
        Precision::F64 => value.next_up(),
    }
}
