//! How a block of thresholds is compared with a value.

use std::arch::x86_64::{
    _CMP_LE_OQ, _CMP_LT_OQ, _mm256_cmp_pd, _mm256_cmp_ps, _mm256_loadu_pd, _mm256_loadu_ps, _mm256_movemask_pd,
    _mm256_movemask_ps, _mm256_set1_pd, _mm256_set1_ps,
};

use crate::kernel::real::Real;
use crate::plan::lanes::BLOCK;

/// A number that vectors compare: [`f32`] and [`f64`].
pub trait Vector: Real {
    /// How many of a block's thresholds are below the value (`OR_EQUAL`: a value equal to a threshold stays left of it).
    ///
    /// # Safety
    /// The CPU has AVX2 and POPCNT.
    #[doc(hidden)]
    unsafe fn count<const OR_EQUAL: bool>(block: &[Self; BLOCK], value: Self) -> usize;
}

impl Vector for f32 {
    #[inline]
    #[target_feature(enable = "avx2,popcnt")]
    unsafe fn count<const OR_EQUAL: bool>(block: &[Self; BLOCK], value: Self) -> usize {
        let value = _mm256_set1_ps(value);
        let mut below = 0;
        for eight in block.as_chunks::<8>().0.iter().rev() {
            // SAFETY: 8 f32 are there; the load needs no alignment.
            let thresholds = unsafe { _mm256_loadu_ps(eight.as_ptr()) };
            let mask = if OR_EQUAL {
                _mm256_cmp_ps::<_CMP_LT_OQ>(thresholds, value)
            } else {
                _mm256_cmp_ps::<_CMP_LE_OQ>(thresholds, value)
            };
            below = below << 8 | _mm256_movemask_ps(mask);
        }
        below.count_ones() as usize
    }
}

impl Vector for f64 {
    #[inline]
    #[target_feature(enable = "avx2,popcnt")]
    unsafe fn count<const OR_EQUAL: bool>(block: &[Self; BLOCK], value: Self) -> usize {
        let value = _mm256_set1_pd(value);
        let mut below = 0;
        for four in block.as_chunks::<4>().0.iter().rev() {
            // SAFETY: 4 f64 are there; the load needs no alignment.
            let thresholds = unsafe { _mm256_loadu_pd(four.as_ptr()) };
            let mask = if OR_EQUAL {
                _mm256_cmp_pd::<_CMP_LT_OQ>(thresholds, value)
            } else {
                _mm256_cmp_pd::<_CMP_LE_OQ>(thresholds, value)
            };
            below = below << 4 | _mm256_movemask_pd(mask);
        }
        below.count_ones() as usize
    }
}
