//! The code that explains a row, written once over what it needs of a CPU, and a file for each instruction set.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod entry_points;
pub(super) mod full;
pub(super) mod listed;
#[cfg(target_arch = "aarch64")]
mod neon;
mod scalar;

use super::plan::full::FullPlan;
use super::plan::listed::ListedGroup;
use crate::kernel::KernelChoice;

#[expect(unsafe_code, reason = "loads and stores take pointers")]
/// Registers of doubles. A value proves that the CPU has the instructions, so that all methods but those that take a
/// pointer are safe; they are inlined into the function that a kernel begins with, and compiled for its CPU features.
pub(super) trait Doubles: Copy {
    /// Doubles of a register.
    const LANES: usize;
    /// A register.
    type Register: Copy;

    fn splat(self, value: f64) -> Self::Register;

    /// # Safety
    /// As many doubles as a register has are there to be read. No alignment is asked for.
    unsafe fn load(self, from: *const f64) -> Self::Register;

    /// # Safety
    /// As many doubles as a register has are there to be written. No alignment is asked for.
    unsafe fn store(self, to: *mut f64, register: Self::Register);

    fn add(self, a: Self::Register, b: Self::Register) -> Self::Register;
    fn sub(self, a: Self::Register, b: Self::Register) -> Self::Register;
    fn mul(self, a: Self::Register, b: Self::Register) -> Self::Register;

    /// `a b + c`, rounded once where the CPU can.
    fn mul_add(self, a: Self::Register, b: Self::Register, c: Self::Register) -> Self::Register;

    /// `c - a b`, likewise.
    fn mul_sub_from(self, a: Self::Register, b: Self::Register, c: Self::Register) -> Self::Register;

    /// The value where a lane's bit is set, else zero. Bits beyond the lanes do not count.
    fn keep(self, bits: u64, value: Self::Register) -> Self::Register;
}

/// Which instructions explain.
#[derive(Debug, Clone, Copy)]
pub(super) enum DoublesKernel {
    Scalar(scalar::Scalar),
    #[cfg(target_arch = "x86_64")]
    Avx2(avx2::Avx2),
    #[cfg(target_arch = "x86_64")]
    Avx512(avx512::Avx512),
    #[cfg(target_arch = "aarch64")]
    Neon(neon::Neon),
}

/// Does the same with whichever it is.
macro_rules! with {
    ($kernels:expr, $kernel:ident => $what:expr) => {
        match $kernels {
            Self::Scalar($kernel) => $what,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2($kernel) => $what,
            #[cfg(target_arch = "x86_64")]
            Self::Avx512($kernel) => $what,
            #[cfg(target_arch = "aarch64")]
            Self::Neon($kernel) => $what,
        }
    };
}

impl DoublesKernel {
    /// The kernel, on a CPU that has what it needs.
    pub(super) fn new(choice: KernelChoice) -> Result<Self, &'static str> {
        match choice {
            KernelChoice::Scalar => Ok(Self::Scalar(scalar::Scalar::new())),
            #[cfg(target_arch = "x86_64")]
            KernelChoice::Avx512 | KernelChoice::Avx512Bw => avx512::Avx512::new()
                .map(Self::Avx512)
                .ok_or("the CPU lacks AVX-512 (F, DQ and VL), AVX2 or FMA"),
            #[cfg(target_arch = "x86_64")]
            KernelChoice::Avx2 => avx2::Avx2::new().map(Self::Avx2).ok_or("the CPU lacks AVX2 or FMA"),
            #[cfg(target_arch = "aarch64")]
            KernelChoice::Neon => neon::Neon::new().map(Self::Neon).ok_or("the CPU lacks NEON"),
            _ => Err("the CPU is of another architecture"),
        }
    }

    /// Its name among the choices.
    pub(super) fn choice(self) -> KernelChoice {
        match self {
            Self::Scalar(_) => KernelChoice::Scalar,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(_) => KernelChoice::Avx2,
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(_) => KernelChoice::Avx512,
            #[cfg(target_arch = "aarch64")]
            Self::Neon(_) => KernelChoice::Neon,
        }
    }

    /// Trees that a register holds side by side; 1 where they do not go side by side.
    pub(super) fn lanes(self) -> usize {
        with!(self, kernel => lanes(kernel))
    }

    /// Adds the contributions of a group of trees, each with its points side by side: see [`listed`].
    pub(super) fn listed(self, group: &ListedGroup, lefts: &mut [u8], work: &mut [f64], sums: &mut [f64]) {
        with!(self, kernel => kernel.listed(group, lefts, work, sums));
    }

    /// Adds the contributions of trees side by side: see [`full`].
    pub(super) fn full(self, plan: &FullPlan, words: &[u64], work: &mut full::Work, sums: &mut [f64]) {
        with!(self, kernel => kernel.full(plan, words, work, sums));
    }
}

fn lanes<K: Doubles>(_: K) -> usize {
    K::LANES
}
