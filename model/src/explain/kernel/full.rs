//! Full trees side by side, the points of the quadrature one after the other. What is computed is what
//! [`super::listed`] says.
//!
//! 1. The last two levels, three quarters of the splits, are one piece of code: what reaches them stays in registers. A
//!    last split's worth is `mean + t' q`, where `q` is one of two constants, and its gain is `q` times how much
//!    reaches it.
//! 2. Whether a row goes left is a bit for each of 64 trees; the bits of a register's trees choose between constants.
//! 3. `t'` of splits whose feature stands above them too is read from the plan; its weight follows without another
//!    constant or a division: `weight s = weight / (t (1 - t)) x t' (1 - t')`.
//! 4. Everything that a register is loaded from begins at a cache line: loads that cross two took 15 % more of the
//!    whole.
//! 5. Gains are not added to their features one by one, which has no vector form: eight of one feature are found and
//!    added at once, while a part of the trees is in the first-level cache.

#![expect(
    unsafe_code,
    reason = "constants, places and gains are found by counts that a plan keeps in bounds, several times a split"
)]

mod side;

use super::Doubles;
use crate::explain::aligned::AlignedDoubles;
use crate::explain::plan::full::{DEPTH_MAX, FullBlock, FullPlan, Octet, points};
use side::Side;

/// Doubles of the largest register, and points of the deepest tree.
const LANES_MAX: usize = 8;
const POINTS_MAX: usize = DEPTH_MAX / 2;

/// Splits above the last level.
const INNER_MAX: usize = (1 << (DEPTH_MAX - 1)) - 1;

/// Memory that a thread works in.
#[derive(Debug, Clone, Default)]
pub(in crate::explain) struct Work {
    /// By step, the trees whose row passes all splits of the same feature above.
    passes: Vec<u64>,
    /// By split above the last two levels, what reaches it at every point, and later what it is worth.
    slots: AlignedDoubles,
    /// By split above the last three levels: `a` at every point, what reaches it times weights, and `kappa`.
    kept: AlignedDoubles,
    gains: AlignedDoubles,
}

impl Work {
    pub(in crate::explain) fn new(plan: &FullPlan) -> Self {
        if plan.blocks.is_empty() {
            return Self::default();
        }
        Self {
            passes: vec![0; 1 << DEPTH_MAX],
            slots: AlignedDoubles::zeros(INNER_MAX * POINTS_MAX * LANES_MAX),
            kept: AlignedDoubles::zeros(INNER_MAX / 2 * (2 * POINTS_MAX + 1) * LANES_MAX),
            gains: AlignedDoubles::zeros(plan.gains()),
        }
    }
}

/// Adds the contributions of all blocks to `sums`. `words` are the outcomes of their steps.
#[inline(always)]
pub(super) fn add<K: Doubles>(kernel: K, plan: &FullPlan, words: &[u64], work: &mut Work, sums: &mut [f64]) {
    let mut octets = 0;
    for block in &plan.blocks {
        let steps = (1 << block.depth) - 1;
        let words = &words[block.first_word..][..steps];
        passes(block, words, &mut work.passes[..steps]);
        let mut constants = plan.constants[block.first_constant..].as_ptr();
        let mut group = 0;
        for &end in &block.octets {
            let first = group;
            while group < block.groups.min(first + block.part) {
                let gains = &mut work.gains[(group - first) * steps * K::LANES..][..steps * K::LANES];
                let side = Side {
                    kernel,
                    depth: block.depth,
                    words,
                    passes: &work.passes[..steps],
                    flags: &block.flags[group],
                    shift: group * K::LANES,
                    slots: work.slots.as_mut_ptr(),
                    kept: work.kept.as_mut_ptr(),
                    gains: gains.as_mut_ptr(),
                };
                let points = &plan.points[points(block.depth) - 1];
                constants = match points.at.len() {
                    1 => side.trees::<1>(points, constants),
                    2 => side.trees::<2>(points, constants),
                    3 => side.trees::<3>(points, constants),
                    _ => side.trees::<4>(points, constants),
                };
                group += 1;
            }
            let gains = &mut work.gains[..];
            gains[(group - first) * steps * K::LANES] = 0.0;
            add_octets(&plan.octets[octets..end], &plan.places[octets..end], gains, sums);
            octets = end;
        }
    }
}

/// By step, the trees whose row passes all splits of the same feature above.
#[inline(always)]
fn passes(block: &FullBlock, words: &[u64], passes: &mut [u64]) {
    passes.fill(u64::MAX);
    for again in &block.again {
        let above = usize::from(again.above);
        let ways = !(words[above] ^ again.is_left) & passes[above];
        passes[usize::from(again.step)] &= ways | !again.lanes;
    }
}

/// Adds gains to their features, eight at once.
#[inline(always)]
fn add_octets(octets: &[Octet], places: &[u32], gains: &[f64], sums: &mut [f64]) {
    for (octet, &place) in octets.iter().zip(places) {
        let four = |word: u64| {
            let gain = |number: u32| {
                let at = (word >> (16 * number) & 0xffff) as usize;
                debug_assert!(at < gains.len());
                // SAFETY: an octet names gains of its part, which lie within the work, and the zero behind them.
                unsafe { *gains.get_unchecked(at) }
            };
            gain(0) + gain(1) + gain(2) + gain(3)
        };
        let sum = four(octet[0]) + four(octet[1]);
        debug_assert!((place as usize) < sums.len());
        // SAFETY: a plan's places are those that its sums have.
        unsafe { *sums.get_unchecked_mut(place as usize) += sum };
    }
}
