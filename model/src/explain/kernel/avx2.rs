//! The instructions of AVX2 and FMA for explanations: a register is four doubles. There are no masks of bits: four bits
//! find their mask in a table of 512 bytes.

#![expect(
    unsafe_code,
    reason = "vector loads and stores take pointers, and code compiled for a CPU feature may be called only with proof of it"
)]

use std::arch::x86_64::{
    __m256d, _mm256_add_pd, _mm256_and_pd, _mm256_fmadd_pd, _mm256_fnmadd_pd, _mm256_loadu_pd, _mm256_mul_pd,
    _mm256_set1_pd, _mm256_storeu_pd, _mm256_sub_pd,
};

use super::entry_points::entry_points;
use super::{Doubles, full, listed};
use crate::explain::plan::full::FullPlan;
use crate::explain::plan::listed::ListedGroup;

/// Proof that the CPU has the instructions.
#[derive(Debug, Clone, Copy)]
pub(in crate::explain) struct Avx2(());

impl Avx2 {
    /// The kernel, on a CPU that has what it needs.
    pub(super) fn new() -> Option<Self> {
        let has =
            is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("popcnt");
        has.then_some(Self(()))
    }
}

entry_points!(Avx2, 4, "avx2,fma,popcnt", std::convert::identity, 1);

/// The mask of four bits.
#[repr(align(64))]
struct Masks([[u64; 4]; 16]);

static MASKS: Masks = {
    let mut masks = [[0; 4]; 16];
    let mut bits = 0;
    while bits < 16 {
        let mut lane = 0;
        while lane < 4 {
            if bits >> lane & 1 == 1 {
                masks[bits][lane] = u64::MAX;
            }
            lane += 1;
        }
        bits += 1;
    }
    Masks(masks)
};

impl Doubles for Avx2 {
    const LANES: usize = 4;
    type Register = __m256d;

    #[inline(always)]
    fn splat(self, value: f64) -> __m256d {
        // SAFETY: `self` proves AVX2.
        unsafe { _mm256_set1_pd(value) }
    }

    #[inline(always)]
    unsafe fn load(self, from: *const f64) -> __m256d {
        // SAFETY: `self` proves AVX2, and the caller vouches for the place.
        unsafe { _mm256_loadu_pd(from) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f64, register: __m256d) {
        // SAFETY: `self` proves AVX2, and the caller vouches for the place.
        unsafe { _mm256_storeu_pd(to, register) }
    }

    #[inline(always)]
    fn add(self, a: __m256d, b: __m256d) -> __m256d {
        // SAFETY: `self` proves AVX2.
        unsafe { _mm256_add_pd(a, b) }
    }

    #[inline(always)]
    fn sub(self, a: __m256d, b: __m256d) -> __m256d {
        // SAFETY: `self` proves AVX2.
        unsafe { _mm256_sub_pd(a, b) }
    }

    #[inline(always)]
    fn mul(self, a: __m256d, b: __m256d) -> __m256d {
        // SAFETY: `self` proves AVX2.
        unsafe { _mm256_mul_pd(a, b) }
    }

    #[inline(always)]
    fn mul_add(self, a: __m256d, b: __m256d, c: __m256d) -> __m256d {
        // SAFETY: `self` proves AVX2 and FMA.
        unsafe { _mm256_fmadd_pd(a, b, c) }
    }

    #[inline(always)]
    fn mul_sub_from(self, a: __m256d, b: __m256d, c: __m256d) -> __m256d {
        // SAFETY: `self` proves AVX2 and FMA.
        unsafe { _mm256_fnmadd_pd(a, b, c) }
    }

    #[inline(always)]
    fn keep(self, bits: u64, value: __m256d) -> __m256d {
        let mask = &MASKS.0[(bits & 15) as usize];
        // SAFETY: a mask is 32 bytes, and `self` proves AVX2.
        unsafe { _mm256_and_pd(value, _mm256_loadu_pd(mask.as_ptr().cast())) }
    }
}
