//! No instructions beyond what every CPU of the architecture has: registers of one double.

#![expect(unsafe_code, reason = "loads and stores take pointers, as those of vectors do")]

use super::entry_points::entry_points;
use super::{Doubles, full, listed};
use crate::explain::plan::full::FullPlan;
use crate::explain::plan::listed::ListedGroup;

/// Every CPU has this.
#[derive(Debug, Clone, Copy)]
pub(in crate::explain) struct Scalar(());

impl Scalar {
    pub(super) fn new() -> Self {
        Self(())
    }
}

#[cfg(target_arch = "x86_64")]
entry_points!(Scalar, 1, "sse2", std::convert::identity, 4);
#[cfg(target_arch = "aarch64")]
entry_points!(Scalar, 1, "neon", std::convert::identity, 4);

impl Doubles for Scalar {
    const LANES: usize = 1;
    type Register = f64;

    #[inline(always)]
    fn splat(self, value: f64) -> f64 {
        value
    }

    #[inline(always)]
    unsafe fn load(self, from: *const f64) -> f64 {
        // SAFETY: the caller vouches for the place.
        unsafe { from.read_unaligned() }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f64, register: f64) {
        // SAFETY: the caller vouches for the place.
        unsafe { to.write_unaligned(register) }
    }

    #[inline(always)]
    fn add(self, a: f64, b: f64) -> f64 {
        a + b
    }

    #[inline(always)]
    fn sub(self, a: f64, b: f64) -> f64 {
        a - b
    }

    #[inline(always)]
    fn mul(self, a: f64, b: f64) -> f64 {
        a * b
    }

    #[inline(always)]
    fn mul_add(self, a: f64, b: f64, c: f64) -> f64 {
        a * b + c
    }

    #[inline(always)]
    fn mul_sub_from(self, a: f64, b: f64, c: f64) -> f64 {
        c - a * b
    }

    #[inline(always)]
    fn keep(self, bits: u64, value: f64) -> f64 {
        if bits & 1 == 1 { value } else { 0.0 }
    }
}
