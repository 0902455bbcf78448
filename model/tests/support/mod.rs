//! What the comparing tests share.

use quintile_model::Precision;

/// How far apart two numbers of a precision are, in units of the last place; those of f32 are widened. Two NaNs are
/// equal.
#[expect(clippy::cast_possible_truncation, reason = "numbers of an f32 model are f32 values")]
pub(crate) fn ulps(actual: f64, expected: f64, precision: Precision) -> u64 {
    let narrow = |value: f64| {
        let bits = (value as f32).to_bits().cast_signed();
        i64::from(if bits < 0 { i32::MIN - bits } else { bits })
    };
    let wide = |value: f64| {
        let bits = value.to_bits().cast_signed();
        if bits < 0 { i64::MIN - bits } else { bits }
    };
    let ordered = |value| match precision {
        Precision::F32 => narrow(value),
        Precision::F64 => wide(value),
    };
    if actual.is_nan() && expected.is_nan() {
        0
    } else {
        ordered(actual).abs_diff(ordered(expected))
    }
}
