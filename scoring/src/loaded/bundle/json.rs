//! JSON of descriptions, with look-ups that return nothing instead of an error.

use simd_json::OwnedValue;
use simd_json::prelude::{TypedScalarValue as _, ValueAsScalar as _};

use super::Value;

pub(super) fn parse(text: &str) -> Result<OwnedValue, String> {
    let mut bytes = text.as_bytes().to_vec();
    simd_json::to_owned_value(&mut bytes).map_err(|error| format!("is not JSON: {error}"))
}

/// A value of an example row; none for what no feature takes.
pub(super) fn value(value: &OwnedValue) -> Option<Value> {
    if value.is_null() {
        return Some(Value::Number(f64::NAN));
    }
    if let Some(text) = value.as_str() {
        return Some(Value::Text(text.to_owned()));
    }
    let number = value.cast_f64().or_else(|| value.as_bool().map(f64::from));
    number.map(Value::Number)
}
