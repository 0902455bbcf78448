//! The face of the vector kernels on a CPU of another kind, where they cannot be constructed.

use super::block::LaneBlock;
use super::lanes::LaneScratch;
use super::real::Real;
use crate::plan::lanes::LanePlan;

/// Proof that the CPU has the instructions: there is none.
#[derive(Debug, Clone, Copy)]
pub struct Absent(std::convert::Infallible);

/// The AVX-512 kernel, which this CPU cannot have.
pub type Avx512 = Absent;

/// The AVX2 kernel, which this CPU cannot have.
pub type Avx2 = Absent;

impl Absent {
    /// None: this CPU is of another kind.
    #[must_use]
    pub fn new() -> Option<Self> {
        None
    }

    /// Cannot be called.
    pub fn margins<T: Vector>(self, _: &LanePlan<T>, _: &[T], _: &mut LaneScratch, _: &mut [T]) {
        match self.0 {}
    }

    /// Cannot be called.
    pub fn rows_margins<T: Vector>(self, _: &LanePlan<T>, _: &[T], _: usize, _: &mut LaneBlock, _: &mut [T]) {
        match self.0 {}
    }
}

/// A number that vectors compare: [`f32`] and [`f64`].
pub trait Vector: Real {}

impl Vector for f32 {}
impl Vector for f64 {}
