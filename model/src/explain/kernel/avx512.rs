//! The instructions of AVX-512 for explanations: a register is eight doubles, and a lane's bit is a mask's.

#![expect(
    unsafe_code,
    reason = "vector loads and stores take pointers, and code compiled for a CPU feature may be called only with proof of it"
)]

use std::arch::x86_64::{
    __m512d, _mm512_add_pd, _mm512_fmadd_pd, _mm512_fnmadd_pd, _mm512_loadu_pd, _mm512_maskz_mov_pd, _mm512_mul_pd,
    _mm512_set1_pd, _mm512_storeu_pd, _mm512_sub_pd,
};

use super::avx2::Avx2;
use super::entry_points::entry_points;
use super::{Doubles, full, listed};
use crate::explain::plan::full::FullPlan;
use crate::explain::plan::listed::ListedGroup;

/// Proof that the CPU has the instructions, those of AVX2 among them.
#[derive(Debug, Clone, Copy)]
pub(in crate::explain) struct Avx512(Avx2);

impl Avx512 {
    /// The kernel, on a CPU that has what it needs.
    pub(super) fn new() -> Option<Self> {
        let has = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl");
        Avx2::new().filter(|_| has).map(Self)
    }

    fn half(self) -> Avx2 {
        self.0
    }
}

entry_points!(Avx512, 8, "avx512f,avx512dq,avx512vl,avx2,fma,popcnt", Avx512::half, 1);

impl Doubles for Avx512 {
    const LANES: usize = 8;
    type Register = __m512d;

    #[inline(always)]
    fn splat(self, value: f64) -> __m512d {
        // SAFETY: `self` proves AVX-512.
        unsafe { _mm512_set1_pd(value) }
    }

    #[inline(always)]
    unsafe fn load(self, from: *const f64) -> __m512d {
        // SAFETY: `self` proves AVX-512, and the caller vouches for the place.
        unsafe { _mm512_loadu_pd(from) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f64, register: __m512d) {
        // SAFETY: `self` proves AVX-512, and the caller vouches for the place.
        unsafe { _mm512_storeu_pd(to, register) }
    }

    #[inline(always)]
    fn add(self, a: __m512d, b: __m512d) -> __m512d {
        // SAFETY: `self` proves AVX-512.
        unsafe { _mm512_add_pd(a, b) }
    }

    #[inline(always)]
    fn sub(self, a: __m512d, b: __m512d) -> __m512d {
        // SAFETY: `self` proves AVX-512.
        unsafe { _mm512_sub_pd(a, b) }
    }

    #[inline(always)]
    fn mul(self, a: __m512d, b: __m512d) -> __m512d {
        // SAFETY: `self` proves AVX-512.
        unsafe { _mm512_mul_pd(a, b) }
    }

    #[inline(always)]
    fn mul_add(self, a: __m512d, b: __m512d, c: __m512d) -> __m512d {
        // SAFETY: `self` proves AVX-512.
        unsafe { _mm512_fmadd_pd(a, b, c) }
    }

    #[inline(always)]
    fn mul_sub_from(self, a: __m512d, b: __m512d, c: __m512d) -> __m512d {
        // SAFETY: `self` proves AVX-512.
        unsafe { _mm512_fnmadd_pd(a, b, c) }
    }

    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "bits beyond the lanes do not count")]
    fn keep(self, bits: u64, value: __m512d) -> __m512d {
        // SAFETY: `self` proves AVX-512.
        unsafe { _mm512_maskz_mov_pd(bits as u8, value) }
    }
}
