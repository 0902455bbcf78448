//! CatBoost's exponential (`library/cpp/fast_exp`, after fmath's `expd`): a table of 2048 powers of two and a cubic. It
//! differs from libm in the last bits, so predictions of CatBoost are equal to its own with this one alone.

use std::hint::black_box;
use std::sync::LazyLock;

const BITS: u32 = 11;
const POWERS: usize = 1 << BITS;
const MANTISSA: u64 = (1 << 52) - 1;

/// Mantissas of 2^(i / 2048). `pow`, as the library has it: a compiler that sees the base makes it `exp2`.
static TABLE: LazyLock<[u64; POWERS]> = LazyLock::new(|| {
    let mut table = [0; POWERS];
    for (index, mantissa) in (0u32..).zip(&mut table) {
        let exponent = f64::from(index) * (1.0 / POWERS as f64);
        *mantissa = black_box(2.0f64).powf(exponent).to_bits() & MANTISSA;
    }
    table
});

/// Fills the table, so that the first row need not.
pub(super) fn prepare() {
    LazyLock::force(&TABLE);
}

pub(super) fn fast_exp(x: f64) -> f64 {
    const SHIFT: f64 = (3u64 << 51) as f64;
    const ADJUST: u64 = (1 << (BITS + 10)) - (1 << BITS);
    const CUBIC: [f64; 2] = [0.166_666_666_852_278_35, 3.000_000_002_795_539_4];
    if x <= -708.396_418_532_264_1 {
        return 0.0;
    }
    if x >= 709.782_712_893_384 {
        return f64::INFINITY;
    }
    let per_power = POWERS as f64 / std::f64::consts::LN_2;
    let shifted = x * per_power + SHIFT;
    let bits = shifted.to_bits();
    #[expect(clippy::cast_possible_truncation, reason = "the low bits are the table's index")]
    let mantissa = TABLE[bits as usize % POWERS];
    let rest = (shifted - SHIFT) * (1.0 / per_power) - x;
    let exponent = (bits.wrapping_add(ADJUST) >> BITS) << 52;
    let cubic = (CUBIC[1] - rest) * (rest * rest) * CUBIC[0] - rest + 1.0;
    cubic * f64::from_bits(exponent | mantissa)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_close_to_the_exponential_and_total() {
        for step in -7_000..7_000i32 {
            let x = f64::from(step) / 10.03;
            let ratio = fast_exp(x) / x.exp();
            assert!((ratio - 1.0).abs() < 1e-12, "{x}: {ratio}");
        }
        let ends = [-1e300, f64::NEG_INFINITY, 1e300].map(|x| fast_exp(x).to_bits());
        assert_eq!(ends, [0.0, 0.0, f64::INFINITY].map(f64::to_bits));
        assert!(fast_exp(f64::NAN).is_nan());
    }
}
