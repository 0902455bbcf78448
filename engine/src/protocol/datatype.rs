//! What the values of a tensor are, and numbers of fewer bits than a model reads.

/// What the values of a tensor are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Datatype {
    /// A byte: 0 or 1.
    Bool,
    /// An integer of 8 bits.
    Uint8,
    /// An integer of 16 bits.
    Uint16,
    /// An integer of 32 bits.
    Uint32,
    /// An integer of 64 bits.
    Uint64,
    /// A signed integer of 8 bits.
    Int8,
    /// A signed integer of 16 bits.
    Int16,
    /// A signed integer of 32 bits.
    Int32,
    /// A signed integer of 64 bits.
    Int64,
    /// A number of 16 bits, IEEE 754.
    Fp16,
    /// A number of 32 bits.
    Fp32,
    /// A number of 64 bits.
    Fp64,
    /// A number of 16 bits: the upper half of one of 32.
    Bf16,
    /// A text.
    Bytes,
}

impl Datatype {
    const NAMES: [(&'static str, Self); 14] = [
        ("FP32", Self::Fp32),
        ("FP64", Self::Fp64),
        ("BYTES", Self::Bytes),
        ("INT64", Self::Int64),
        ("INT32", Self::Int32),
        ("BOOL", Self::Bool),
        ("UINT8", Self::Uint8),
        ("UINT16", Self::Uint16),
        ("UINT32", Self::Uint32),
        ("UINT64", Self::Uint64),
        ("INT8", Self::Int8),
        ("INT16", Self::Int16),
        ("FP16", Self::Fp16),
        ("BF16", Self::Bf16),
    ];

    /// The datatype of a name.
    #[must_use]
    pub fn of(name: &[u8]) -> Option<Self> {
        let found = Self::NAMES.iter().find(|(known, _)| known.as_bytes() == name);
        found.map(|&(_, datatype)| datatype)
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        let found = Self::NAMES.iter().find(|&&(_, known)| known == self);
        found.map_or("", |&(name, _)| name)
    }

    /// Triton's number of it.
    #[must_use]
    pub fn number(self) -> i32 {
        match self {
            Self::Bool => 1,
            Self::Uint8 => 2,
            Self::Uint16 => 3,
            Self::Uint32 => 4,
            Self::Uint64 => 5,
            Self::Int8 => 6,
            Self::Int16 => 7,
            Self::Int32 => 8,
            Self::Int64 => 9,
            Self::Fp16 => 10,
            Self::Fp32 => 11,
            Self::Fp64 => 12,
            Self::Bytes => 13,
            Self::Bf16 => 14,
        }
    }

    /// Bytes of a value; none for texts, which have any number.
    #[must_use]
    pub fn bytes(self) -> Option<usize> {
        Some(match self {
            Self::Bool | Self::Uint8 | Self::Int8 => 1,
            Self::Uint16 | Self::Int16 | Self::Fp16 | Self::Bf16 => 2,
            Self::Uint32 | Self::Int32 | Self::Fp32 => 4,
            Self::Uint64 | Self::Int64 | Self::Fp64 => 8,
            Self::Bytes => return None,
        })
    }

    /// The least and the greatest of its integers; none for what is no integer.
    pub(super) fn integers(self) -> Option<(f64, f64)> {
        const END: f64 = 18_446_744_073_709_551_616.0;
        Some(match self {
            Self::Uint8 => (0.0, 255.0),
            Self::Uint16 => (0.0, 65_535.0),
            Self::Uint32 => (0.0, 4_294_967_295.0),
            Self::Uint64 => (0.0, END),
            Self::Int8 => (-128.0, 127.0),
            Self::Int16 => (-32_768.0, 32_767.0),
            Self::Int32 => (-2_147_483_648.0, 2_147_483_647.0),
            Self::Int64 => (-END / 2.0, END / 2.0),
            Self::Bool => (0.0, 1.0),
            _ => return None,
        })
    }
}

/// A number of 16 bits, widened.
pub(super) fn half(bits: u16) -> f64 {
    let (sign, exponent, fraction) = (bits >> 15, bits >> 10 & 0x1F, bits & 0x3FF);
    let magnitude = match exponent {
        0 => f64::from(fraction) * 2f64.powi(-24),
        0x1F if fraction == 0 => f64::INFINITY,
        0x1F => f64::NAN,
        _ => f64::from(0x400 | fraction) * 2f64.powi(i32::from(exponent) - 25),
    };
    if sign == 1 { -magnitude } else { magnitude }
}

/// The number of 16 bits that is nearest to a double, ties to even, widened.
pub(super) fn to_half(number: f64) -> f64 {
    if !number.is_finite() || number.abs() < f64::MIN_POSITIVE {
        return number;
    }
    if number.abs() >= 65_520.0 {
        return f64::INFINITY.copysign(number);
    }
    // Numbers of one exponent have steps of 2^(exponent - 10), and those below 2^-14 of 2^-24.
    let exponent = (i32::try_from(number.to_bits() >> 52 & 0x7FF).unwrap_or(0) - 1023).max(-14);
    let step = 2f64.powi(exponent - 10);
    (number / step).round_ties_even() * step
}

/// A number of 64 bits that was written as one of fewer.
#[expect(clippy::cast_possible_truncation, reason = "that is what is asked for")]
pub(super) fn narrowed(datatype: Datatype, number: f64) -> f64 {
    match datatype {
        Datatype::Fp32 => f64::from(number as f32),
        Datatype::Fp16 => to_half(number),
        Datatype::Bf16 => {
            let bits = (number as f32).to_bits();
            let rounded = bits.wrapping_add(0x7FFF + (bits >> 16 & 1)) & 0xFFFF_0000;
            if number.is_nan() {
                number
            } else {
                f64::from(f32::from_bits(rounded))
            }
        }
        _ => number,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_those_of_ieee_754() {
        for (bits, number) in [
            (0x0000, 0.0),
            (0x3C00, 1.0),
            (0xC000, -2.0),
            (0x7BFF, 65504.0),
            (0x0001, 5.960_464_477_539_063e-8),
            (0x03FF, 6.097_555_160_522_461e-5),
            (0x3555, 0.333_251_953_125),
        ] {
            assert!((half(bits) - number).abs() <= 0.0, "{bits:x}");
            assert!((to_half(number) - number).abs() <= 0.0, "{number}");
        }
        assert!((to_half(1.0 / 3.0) - 0.333_251_953_125).abs() <= 0.0);
        assert!(to_half(65519.9).is_finite() && to_half(65520.0).is_infinite());
        assert!((to_half(2049.0) - 2048.0).abs() <= 0.0 && (to_half(2051.0) - 2052.0).abs() <= 0.0);
        assert!(half(0x7C00).is_infinite() && half(0x7E00).is_nan());
    }
}
