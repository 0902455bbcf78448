//! The instructions of NEON for explanations: a register is two doubles. There are no masks of bits: two bits find
//! their mask in a table.

#![expect(
    unsafe_code,
    reason = "vector loads and stores take pointers, and code compiled for a CPU feature may be called only with proof of it"
)]

use std::arch::aarch64::{
    float64x2_t, vaddq_f64, vandq_u64, vdupq_n_f64, vfmaq_f64, vfmsq_f64, vld1q_f64, vld1q_u64, vmulq_f64,
    vreinterpretq_f64_u64, vreinterpretq_u64_f64, vst1q_f64, vsubq_f64,
};

use super::entry_points::entry_points;
use super::{Doubles, full, listed};
use crate::explain::plan::full::FullPlan;
use crate::explain::plan::listed::ListedGroup;

/// Proof that the CPU has the instructions.
#[derive(Debug, Clone, Copy)]
pub(in crate::explain) struct Neon(());

impl Neon {
    /// The kernel, on a CPU that has what it needs.
    pub(super) fn new() -> Option<Self> {
        std::arch::is_aarch64_feature_detected!("neon").then_some(Self(()))
    }
}

entry_points!(Neon, 2, "neon", std::convert::identity, 2);

/// The mask of two bits.
static MASKS: [[u64; 2]; 4] = [[0, 0], [u64::MAX, 0], [0, u64::MAX], [u64::MAX, u64::MAX]];

impl Doubles for Neon {
    const LANES: usize = 2;
    type Register = float64x2_t;

    #[inline(always)]
    fn splat(self, value: f64) -> float64x2_t {
        // SAFETY: `self` proves NEON.
        unsafe { vdupq_n_f64(value) }
    }

    #[inline(always)]
    unsafe fn load(self, from: *const f64) -> float64x2_t {
        // SAFETY: `self` proves NEON, and the caller vouches for the place.
        unsafe { vld1q_f64(from) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f64, register: float64x2_t) {
        // SAFETY: `self` proves NEON, and the caller vouches for the place.
        unsafe { vst1q_f64(to, register) }
    }

    #[inline(always)]
    fn add(self, a: float64x2_t, b: float64x2_t) -> float64x2_t {
        // SAFETY: `self` proves NEON.
        unsafe { vaddq_f64(a, b) }
    }

    #[inline(always)]
    fn sub(self, a: float64x2_t, b: float64x2_t) -> float64x2_t {
        // SAFETY: `self` proves NEON.
        unsafe { vsubq_f64(a, b) }
    }

    #[inline(always)]
    fn mul(self, a: float64x2_t, b: float64x2_t) -> float64x2_t {
        // SAFETY: `self` proves NEON.
        unsafe { vmulq_f64(a, b) }
    }

    #[inline(always)]
    fn mul_add(self, a: float64x2_t, b: float64x2_t, c: float64x2_t) -> float64x2_t {
        // SAFETY: `self` proves NEON.
        unsafe { vfmaq_f64(c, a, b) }
    }

    #[inline(always)]
    fn mul_sub_from(self, a: float64x2_t, b: float64x2_t, c: float64x2_t) -> float64x2_t {
        // SAFETY: `self` proves NEON.
        unsafe { vfmsq_f64(c, a, b) }
    }

    #[inline(always)]
    fn keep(self, bits: u64, value: float64x2_t) -> float64x2_t {
        let mask = &MASKS[(bits & 3) as usize];
        // SAFETY: a mask is 16 bytes, and `self` proves NEON.
        unsafe { vreinterpretq_f64_u64(vandq_u64(vreinterpretq_u64_f64(value), vld1q_u64(mask.as_ptr()))) }
    }
}
