//! The vector kernels of this architecture, one of which a CPU may have.

use super::KernelChoice;
use super::block::LaneBlock;
use super::lanes::{LaneScratch, add_leaves};
#[cfg(target_arch = "aarch64")]
use super::neon::Neon;
use super::real::Real;
#[cfg(target_arch = "x86_64")]
use super::{
    avx2::Avx2,
    avx512::{Avx512, Avx512Bw},
};
use crate::plan::lanes::{LanePlan, Line};

/// Proof that the CPU has a kernel's instructions, and the way to them.
///
/// All methods are as those of [`mod@super::lanes`], which computes the same without vectors.
#[derive(Debug, Clone, Copy)]
pub enum Vectors {
    /// See `avx512.rs`.
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512),
    /// See `avx512/shuffles.rs`.
    #[cfg(target_arch = "x86_64")]
    Avx512Bw(Avx512Bw),
    /// See `avx2.rs`.
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    /// See `neon.rs`.
    #[cfg(target_arch = "aarch64")]
    Neon(Neon),
}

/// Does the same with whichever it is.
macro_rules! with {
    ($vectors:expr, $kernel:ident => $what:expr) => {
        match $vectors {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512($kernel) => $what,
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Bw($kernel) => $what,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2($kernel) => $what,
            #[cfg(target_arch = "aarch64")]
            Self::Neon($kernel) => $what,
        }
    };
}

impl Vectors {
    /// Those of this architecture, even if the CPU lacks them: the fastest first.
    #[cfg(target_arch = "x86_64")]
    pub const CHOICES: &[KernelChoice] = &[KernelChoice::Avx512, KernelChoice::Avx512Bw, KernelChoice::Avx2];
    /// Those of this architecture, even if the CPU lacks them: the fastest first.
    #[cfg(target_arch = "aarch64")]
    pub const CHOICES: &[KernelChoice] = &[KernelChoice::Neon];
    /// Those of this architecture: none.
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    pub const CHOICES: &[KernelChoice] = &[];

    /// A kernel, on a CPU that has what it needs.
    ///
    /// # Errors
    /// What the CPU lacks.
    pub fn new(choice: KernelChoice) -> Result<Self, &'static str> {
        match choice {
            #[cfg(target_arch = "x86_64")]
            KernelChoice::Avx512 => Avx512::new()
                .map(Self::Avx512)
                .ok_or("the CPU lacks AVX-512 with byte permutes (VBMI)"),
            #[cfg(target_arch = "x86_64")]
            KernelChoice::Avx512Bw => Avx512Bw::new()
                .map(Self::Avx512Bw)
                .ok_or("the CPU lacks AVX-512 (F, BW and VL)"),
            #[cfg(target_arch = "x86_64")]
            KernelChoice::Avx2 => Avx2::new().map(Self::Avx2).ok_or("the CPU lacks AVX2"),
            #[cfg(target_arch = "aarch64")]
            KernelChoice::Neon => Neon::new().map(Self::Neon).ok_or("the CPU lacks NEON"),
            _ => Err("the CPU is of another architecture"),
        }
    }

    /// Those that this CPU has, the fastest first.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::CHOICES.iter().filter_map(|&choice| Self::new(choice).ok())
    }

    /// Which it is.
    #[must_use]
    pub fn choice(self) -> KernelChoice {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(_) => KernelChoice::Avx512,
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Bw(_) => KernelChoice::Avx512Bw,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(_) => KernelChoice::Avx2,
            #[cfg(target_arch = "aarch64")]
            Self::Neon(_) => KernelChoice::Neon,
        }
    }

    /// Sums a plan's trees for one row into `margins`, which it first sets to the base margins.
    ///
    /// `row` has at least one value and one for each column, as [`crate::ensemble::Input`] leaves it, NaN for missing;
    /// `scratch` was made for the plan.
    pub fn margins<T: Real>(self, plan: &LanePlan<T>, row: &[T], scratch: &mut LaneScratch, margins: &mut [T]) {
        with!(self, kernel => kernel.margins(plan, row, scratch, margins));
    }

    /// Does the same for several rows, `width` values each; `block` was made for the plan and for as many of them.
    pub fn rows_margins<T: Real>(
        self,
        plan: &LanePlan<T>,
        rows: (&[T], usize),
        block: &mut LaneBlock,
        margins: &mut [T],
    ) {
        with!(self, kernel => kernel.rows_margins(plan, rows, block, margins));
    }

    /// Decides nodes for one row, whatever path it takes. `lines` are those of [`LanePlan::push_step`], and `words` has
    /// one for each step: the bit of each tree whose node sends the row left.
    pub(crate) fn goes_left<T: Real>(
        self,
        plan: &LanePlan<T>,
        row: &[T],
        scratch: &mut LaneScratch,
        lines: &[Line],
        words: &mut [u64],
    ) {
        with!(self, kernel => kernel.goes_left(plan, row, scratch, lines, words));
    }

    /// Ranks a row: the first stage, for `benches/stages.rs`. Scoring runs the last two interleaved.
    #[doc(hidden)]
    pub fn rank<T: Real>(self, plan: &LanePlan<T>, row: &[T], scratch: &mut LaneScratch) {
        with!(self, kernel => kernel.rank(plan, row, scratch));
    }

    /// Decides all trees for the row that was ranked: the second stage.
    #[doc(hidden)]
    pub fn label<T: Real>(self, plan: &LanePlan<T>, scratch: &mut LaneScratch) {
        with!(self, kernel => kernel.label(plan, scratch));
    }

    /// Adds the leaves of the row that was decided: the last stage.
    #[doc(hidden)]
    pub fn add<T: Real>(self, plan: &LanePlan<T>, row: &[T], scratch: &LaneScratch, margins: &mut [T]) {
        add_leaves(plan, row, &scratch.labels, margins);
    }
}
