//! The two kinds of number that rows and sums are made of, so that each kernel is written once.

use std::fmt::Debug;
use std::ops::{AddAssign, Mul, Range};

use super::isa::Numbers;
use crate::ensemble::{Codes, Precision};
use crate::plan::lanes::BLOCK;

/// `f32` or `f64`.
pub trait Real: Copy + Debug + PartialOrd + AddAssign + Mul<Output = Self> + sealed::Sealed {
    /// Which of the two.
    const PRECISION: Precision;
    /// Zero.
    const ZERO: Self;
    /// Not a number: missing.
    const NAN: Self;

    /// Rounds to nearest.
    fn narrow(value: f64) -> Self;

    /// Widens, which is exact.
    fn widen(self) -> f64;

    /// Whether it is NaN.
    fn is_nan(self) -> bool;

    /// The category code of a value that is not NaN, if it is one under the rule.
    fn code(self, codes: Codes) -> Option<u32>;

    /// A number that holds an index in its bits, for nodes whose threshold or value has no other use.
    fn from_index(index: u32) -> Self;

    /// The index that [`Self::from_index`] was given.
    fn index(self) -> u32;

    /// The search of a block, by a kernel: see [`Numbers`].
    #[doc(hidden)]
    fn count<K: Numbers, const OR_EQUAL: bool>(kernel: K, block: &[Self; BLOCK], value: Self) -> usize;

    /// What is missing in a row, by a kernel.
    #[doc(hidden)]
    fn missing<K: Numbers>(kernel: K, row: &[Self], bytes: &mut [u8]) -> bool;

    /// The sums of rows, by a kernel.
    #[doc(hidden)]
    fn sum<K: Numbers>(
        kernel: K,
        leaves: &[Self],
        stride: usize,
        labels: &[u8],
        trees: Range<usize>,
        sums: &mut [Self],
    );
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

macro_rules! real {
    ($real:ty, $precision:expr, $counts_to:expr, $bits:ty, $count:ident, $missing:ident, $sum:ident) => {
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_lossless,
            clippy::unnecessary_cast,
            trivial_numeric_casts,
            reason = "one of the two types needs each cast; codes are checked before, indices fit both"
        )]
        impl Real for $real {
            const PRECISION: Precision = $precision;
            const ZERO: Self = 0.0;
            const NAN: Self = Self::NAN;

            #[inline]
            fn narrow(value: f64) -> Self {
                value as Self
            }

            #[inline]
            fn widen(self) -> f64 {
                self as f64
            }

            #[inline]
            fn is_nan(self) -> bool {
                Self::is_nan(self)
            }

            #[inline]
            fn code(self, codes: Codes) -> Option<u32> {
                let (value, is_code) = match codes {
                    Codes::Below24Bits => (self, (0.0..16_777_216.0).contains(&self)),
                    Codes::Int => (self.trunc(), (0.0..2_147_483_648.0).contains(&self.trunc())),
                    Codes::Whole => (self, (0.0..16_777_216.0).contains(&self) && self.fract() == 0.0),
                    Codes::Unsigned => (self, (0.0..=$counts_to).contains(&self)),
                };
                is_code.then_some(value as u32)
            }

            #[inline]
            fn from_index(index: u32) -> Self {
                Self::from_bits(index as $bits)
            }

            #[inline]
            fn index(self) -> u32 {
                self.to_bits() as u32
            }

            #[inline(always)]
            fn count<K: Numbers, const OR_EQUAL: bool>(kernel: K, block: &[Self; BLOCK], value: Self) -> usize {
                kernel.$count::<OR_EQUAL>(block, value)
            }

            #[inline(always)]
            fn missing<K: Numbers>(kernel: K, row: &[Self], bytes: &mut [u8]) -> bool {
                kernel.$missing(row, bytes)
            }

            #[inline(always)]
            fn sum<K: Numbers>(
                kernel: K,
                leaves: &[Self],
                stride: usize,
                labels: &[u8],
                trees: Range<usize>,
                sums: &mut [Self],
            ) {
                kernel.$sum(leaves, stride, labels, trees, sums);
            }
        }
    };
}

real!(f32, Precision::F32, 16_777_216.0, u32, count_f32, missing_f32, sum_f32);
real!(
    f64,
    Precision::F64,
    4_294_967_295.0,
    u64,
    count_f64,
    missing_f64,
    sum_f64
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_cut_off_and_bounded_as_each_library_does() {
        for (value, xgboost, lightgbm, treelite) in [
            (0.0, Some(0), Some(0), Some(0)),
            (-0.0, Some(0), Some(0), Some(0)),
            (0.5, Some(0), Some(0), Some(0)),
            (-0.5, None, Some(0), None),
            (-1.0, None, None, None),
            (3.999, Some(3), Some(3), Some(3)),
            (16_777_215.0, Some(16_777_215), Some(16_777_215), Some(16_777_215)),
            (16_777_216.0, None, Some(16_777_216), Some(16_777_216)),
            (2_147_483_647.5, None, Some(2_147_483_647), Some(2_147_483_647)),
            (2_147_483_648.0, None, None, Some(2_147_483_648)),
            (4_294_967_295.0, None, None, Some(u32::MAX)),
            (4_294_967_296.0, None, None, None),
            (f64::INFINITY, None, None, None),
            (f64::NEG_INFINITY, None, None, None),
        ] {
            let codes = [Codes::Below24Bits, Codes::Int, Codes::Unsigned].map(|codes| value.code(codes));
            assert_eq!(codes, [xgboost, lightgbm, treelite], "{value}");
        }
        for (value, code) in [(16_777_216f32, Some(16_777_216)), (16_777_218.0, None), (-1e-45, None)] {
            assert_eq!(value.code(Codes::Unsigned), code, "{value}");
        }
        assert_eq!((-1e-45f32).code(Codes::Below24Bits), None);
    }

    #[test]
    fn indices_survive_in_the_bits() {
        for index in [0, 1, 0x7fc0_0001, u32::MAX] {
            assert_eq!(
                (f32::from_index(index).index(), f64::from_index(index).index()),
                (index, index)
            );
        }
    }
}
