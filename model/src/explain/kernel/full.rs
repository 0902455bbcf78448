//! Full trees side by side, the points of the quadrature one after the other. What is computed is what
//! [`super::listed`] says.
//!
//! 1. The last two levels, three quarters of the splits, are one piece of code: what reaches them stays in registers. A
//!    last split's worth is `mean + t' q`, where `q` is one of two constants, and its gain is `q` times how much
//!    reaches it.
//! 2. Whether a row goes left is a bit for each of 64 trees; the bits of a register's trees choose between constants.
//! 3. `t'` of splits whose feature stands above them too is read from the plan; its weight follows without another
//!    constant or a division: `weight s = weight / (t (1 - t)) x t' (1 - t')`.
//! 4. Gains are not added to their features one by one, which has no vector form: eight of one feature are found and
//!    added at once, while a part of the trees is in the first-level cache.

#![expect(
    unsafe_code,
    reason = "constants, places and gains are found by counts that a plan keeps in bounds, several times a split"
)]

use super::Doubles;
use crate::explain::plan::full::{DEPTH_MAX, FullBlock, FullPlan, OCTET, points};
use crate::explain::quadrature::Points;

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
    /// By split above the last level, what reaches it at every point, and later what it is worth.
    slots: Vec<f64>,
    /// By split above the last two levels: `a` at every point, what reaches it times weights, and `kappa`.
    kept: Vec<f64>,
    gains: Vec<f64>,
}

impl Work {
    pub(in crate::explain) fn new(plan: &FullPlan) -> Self {
        if plan.blocks.is_empty() {
            return Self::default();
        }
        Self {
            passes: vec![0; 1 << DEPTH_MAX],
            slots: vec![0.0; INNER_MAX * POINTS_MAX * LANES_MAX],
            kept: vec![0.0; INNER_MAX / 2 * (2 * POINTS_MAX + 1) * LANES_MAX],
            gains: vec![0.0; plan.gains()],
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
fn add_octets(octets: &[[u16; OCTET]], places: &[u32], gains: &[f64], sums: &mut [f64]) {
    for (octet, &place) in octets.iter().zip(places) {
        // SAFETY: an octet names gains of its part, which lie within the work, and the zero behind them.
        let [a, b, c, d, e, f, g, h] = octet.map(|gain| unsafe { *gains.get_unchecked(usize::from(gain)) });
        debug_assert!((place as usize) < sums.len());
        // SAFETY: a plan's places are those that its sums have.
        unsafe { *sums.get_unchecked_mut(place as usize) += ((a + b) + (c + d)) + ((e + f) + (g + h)) };
    }
}

/// A register's worth of trees, side by side.
struct Side<'p, K> {
    kernel: K,
    depth: usize,
    words: &'p [u64],
    passes: &'p [u64],
    flags: &'p [u64; 4],
    shift: usize,
    slots: *mut f64,
    kept: *mut f64,
    gains: *mut f64,
}

/// The points of the quadrature in registers.
struct Spread<K: Doubles, const POINTS: usize> {
    at: [K::Register; POINTS],
    weights: [K::Register; POINTS],
    /// Weights over `t (1 - t)`.
    stretched: [K::Register; POINTS],
}

/// What a split does at every point.
struct Decided<K: Doubles, const POINTS: usize> {
    at: [K::Register; POINTS],
    weights: [K::Register; POINTS],
    left: u64,
    passes: u64,
    is_again: bool,
}

impl<K: Doubles> Side<'_, K> {
    #[inline(always)]
    fn trees<const POINTS: usize>(&self, points: &Points, mut constants: *const f64) -> *const f64 {
        let kernel = self.kernel;
        let mut spread = Spread::<K, POINTS> {
            at: [kernel.splat(0.0); POINTS],
            weights: [kernel.splat(0.0); POINTS],
            stretched: [kernel.splat(0.0); POINTS],
        };
        for point in 0..POINTS {
            let (at, weight) = (points.at[point], points.weights[point]);
            spread.at[point] = kernel.splat(at);
            spread.weights[point] = kernel.splat(weight);
            spread.stretched[point] = kernel.splat(weight / (at * (1.0 - at)));
            self.put(self.slot::<POINTS>(0, point), kernel.splat(1.0));
        }
        let last_but_one = (1 << (self.depth - 2)) - 1;
        for step in 0..last_but_one {
            constants = self.down(&spread, step, constants);
        }
        for step in last_but_one..2 * last_but_one + 1 {
            constants = self.bottom(&spread, step, constants);
        }
        for step in (0..last_but_one).rev() {
            self.up::<POINTS>(step);
        }
        constants
    }

    /// What reaches the splits below one that is above the last two levels.
    #[inline(always)]
    fn down<const POINTS: usize>(
        &self,
        spread: &Spread<K, POINTS>,
        step: usize,
        mut constants: *const f64,
    ) -> *const f64 {
        let kernel = self.kernel;
        let share = self.take(&mut constants);
        let decided = self.decide(spread, step, &mut constants);
        let kappa = self.kappa(&decided, share);
        self.put(self.kept::<POINTS>(step, 2 * POINTS), kappa);
        for point in 0..POINTS {
            let reach = self.get(self.slot::<POINTS>(step, point));
            let a = kernel.mul_add(decided.at[point], kappa, share);
            let left = kernel.mul(reach, a);
            self.put(self.slot::<POINTS>(2 * step + 1, point), left);
            self.put(self.slot::<POINTS>(2 * step + 2, point), kernel.sub(reach, left));
            self.put(self.kept::<POINTS>(step, point), a);
            let counted = kernel.mul(reach, decided.weights[point]);
            self.put(self.kept::<POINTS>(step, POINTS + point), counted);
        }
        constants
    }

    /// A split of the last level but one with both below it.
    #[inline(always)]
    fn bottom<const POINTS: usize>(
        &self,
        spread: &Spread<K, POINTS>,
        step: usize,
        mut constants: *const f64,
    ) -> *const f64 {
        let kernel = self.kernel;
        let share = self.take(&mut constants);
        let decided = self.decide(spread, step, &mut constants);
        let kappa = self.kappa(&decided, share);
        let (mut a, mut left, mut right) = (decided.at, decided.at, decided.at);
        let mut counted = decided.weights;
        for point in 0..POINTS {
            let reach = self.get(self.slot::<POINTS>(step, point));
            a[point] = kernel.mul_add(decided.at[point], kappa, share);
            left[point] = kernel.mul(reach, a[point]);
            right[point] = kernel.sub(reach, left[point]);
            counted[point] = kernel.mul(reach, decided.weights[point]);
        }
        let worth_left = self.last(spread, 2 * step + 1, &left, &mut constants);
        let worth_right = self.last(spread, 2 * step + 2, &right, &mut constants);
        let mut gain = kernel.splat(0.0);
        for point in 0..POINTS {
            let apart = kernel.sub(worth_left[point], worth_right[point]);
            gain = kernel.mul_add(counted[point], apart, gain);
            let worth = kernel.mul_add(a[point], apart, worth_right[point]);
            self.put(self.slot::<POINTS>(step, point), worth);
        }
        self.put(self.gain(step), kernel.mul(gain, kappa));
        constants
    }

    /// A split of the last level. Returns what it is worth at every point.
    #[inline(always)]
    fn last<const POINTS: usize>(
        &self,
        spread: &Spread<K, POINTS>,
        step: usize,
        reach: &[K::Register; POINTS],
        constants: &mut *const f64,
    ) -> [K::Register; POINTS] {
        let kernel = self.kernel;
        let mean = self.take(constants);
        let right = self.take(constants);
        let apart = self.take(constants);
        let decided = self.decide(spread, step, constants);
        let mut off = kernel.add(right, kernel.keep(decided.left, apart));
        if decided.is_again {
            off = kernel.keep(decided.passes, off);
        }
        let mut sum = kernel.splat(0.0);
        let mut worth = decided.at;
        for point in 0..POINTS {
            sum = kernel.mul_add(reach[point], decided.weights[point], sum);
            worth[point] = kernel.mul_add(decided.at[point], off, mean);
        }
        self.put(self.gain(step), kernel.mul(sum, off));
        worth
    }

    /// What a split above the last two levels gains and is worth.
    #[inline(always)]
    fn up<const POINTS: usize>(&self, step: usize) {
        let kernel = self.kernel;
        let mut gain = kernel.splat(0.0);
        for point in 0..POINTS {
            let left = self.get(self.slot::<POINTS>(2 * step + 1, point));
            let right = self.get(self.slot::<POINTS>(2 * step + 2, point));
            let apart = kernel.sub(left, right);
            let counted = self.get(self.kept::<POINTS>(step, POINTS + point));
            gain = kernel.mul_add(counted, apart, gain);
            let worth = kernel.mul_add(self.get(self.kept::<POINTS>(step, point)), apart, right);
            self.put(self.slot::<POINTS>(step, point), worth);
        }
        let kappa = self.get(self.kept::<POINTS>(step, 2 * POINTS));
        self.put(self.gain(step), kernel.mul(gain, kappa));
    }

    /// Where the trees' rows go at a step, and the points and weights there.
    #[inline(always)]
    fn decide<const POINTS: usize>(
        &self,
        spread: &Spread<K, POINTS>,
        step: usize,
        constants: &mut *const f64,
    ) -> Decided<K, POINTS> {
        let kernel = self.kernel;
        debug_assert!(step < self.words.len() && step < self.passes.len());
        // SAFETY: a step is one of its block's, which has a word for each.
        let (left, passes) = unsafe { (*self.words.get_unchecked(step), *self.passes.get_unchecked(step)) };
        let mut decided = Decided {
            at: spread.at,
            weights: spread.weights,
            left: left >> self.shift,
            passes: passes >> self.shift,
            is_again: self.flags[step / 64 % 4] >> (step % 64) & 1 == 1,
        };
        if decided.is_again {
            for point in 0..POINTS {
                let at = self.take(constants);
                decided.at[point] = at;
                decided.weights[point] = kernel.mul(spread.stretched[point], kernel.mul_sub_from(at, at, at));
            }
        }
        decided
    }

    /// What the rows add to a split's share.
    #[inline(always)]
    fn kappa<const POINTS: usize>(&self, decided: &Decided<K, POINTS>, share: K::Register) -> K::Register {
        let kernel = self.kernel;
        let kappa = kernel.sub(kernel.keep(decided.left, kernel.splat(1.0)), share);
        if decided.is_again {
            kernel.keep(decided.passes, kappa)
        } else {
            kappa
        }
    }

    #[inline(always)]
    fn take(&self, constants: &mut *const f64) -> K::Register {
        // SAFETY: a group's constants are as many as its steps and their flags ask for, in this order.
        unsafe {
            let register = self.kernel.load(*constants);
            *constants = constants.add(K::LANES);
            register
        }
    }

    #[inline(always)]
    fn slot<const POINTS: usize>(&self, step: usize, point: usize) -> *mut f64 {
        debug_assert!(step < INNER_MAX && point < POINTS_MAX);
        self.slots.wrapping_add((step * POINTS + point) * K::LANES)
    }

    #[inline(always)]
    fn kept<const POINTS: usize>(&self, step: usize, number: usize) -> *mut f64 {
        debug_assert!(step < INNER_MAX / 2 && number <= 2 * POINTS_MAX);
        self.kept.wrapping_add((step * (2 * POINTS + 1) + number) * K::LANES)
    }

    #[inline(always)]
    fn gain(&self, step: usize) -> *mut f64 {
        debug_assert!(step < self.words.len());
        self.gains.wrapping_add(step * K::LANES)
    }

    #[inline(always)]
    fn get(&self, place: *mut f64) -> K::Register {
        // SAFETY: places are those of the work, which is large enough for the deepest trees and the widest registers.
        unsafe { self.kernel.load(place) }
    }

    #[inline(always)]
    fn put(&self, place: *mut f64, register: K::Register) {
        // SAFETY: as above.
        unsafe { self.kernel.store(place, register) }
    }
}
