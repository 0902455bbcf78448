//! A register's worth of full trees, split by split: see the head of [`super`].

#![expect(
    unsafe_code,
    reason = "constants, places and gains are found by counts that a plan keeps in bounds, several times a split"
)]

use super::super::Doubles;
use super::{INNER_MAX, POINTS_MAX};
use crate::explain::quadrature::Points;

/// A register's worth of trees, side by side.
pub(super) struct Side<'p, K> {
    pub(super) kernel: K,
    pub(super) depth: usize,
    pub(super) words: &'p [u64],
    pub(super) passes: &'p [u64],
    pub(super) flags: &'p [u64; 4],
    pub(super) shift: usize,
    pub(super) slots: *mut f64,
    pub(super) kept: *mut f64,
    pub(super) gains: *mut f64,
}

/// The points of the quadrature in registers.
struct Spread<K: Doubles, const POINTS: usize> {
    at: [K::Register; POINTS],
    weights: [K::Register; POINTS],
    /// Weights over `t (1 - t)`.
    stretched: [K::Register; POINTS],
}

/// A split of the last levels but the last: what it sends on, and what its own gain is made of.
struct Upper<K: Doubles, const POINTS: usize> {
    kappa: K::Register,
    a: [K::Register; POINTS],
    left: [K::Register; POINTS],
    right: [K::Register; POINTS],
    counted: [K::Register; POINTS],
}

impl<K: Doubles> Side<'_, K> {
    #[inline(always)]
    pub(super) fn trees<const POINTS: usize>(&self, points: &Points, mut constants: *const f64) -> *const f64 {
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
        if self.depth < 3 {
            let reach = [kernel.splat(1.0); POINTS];
            self.bottom(&spread, 0, &reach, &mut constants);
            return constants;
        }
        let third = (1 << (self.depth - 3)) - 1;
        for step in 0..third {
            constants = self.down(&spread, step, constants);
        }
        for step in third..2 * third + 1 {
            self.third(&spread, step, &mut constants);
        }
        for step in (0..third).rev() {
            self.up::<POINTS>(step);
        }
        constants
    }

    /// What reaches the splits below one that is above the last three levels.
    #[inline(always)]
    fn down<const POINTS: usize>(&self, spread: &Spread<K, POINTS>, step: usize, constants: *const f64) -> *const f64 {
        if self.is_again(step) {
            self.down_of::<POINTS, true>(spread, step, constants)
        } else {
            self.down_of::<POINTS, false>(spread, step, constants)
        }
    }

    #[inline(always)]
    fn down_of<const POINTS: usize, const AGAIN: bool>(
        &self,
        spread: &Spread<K, POINTS>,
        step: usize,
        mut constants: *const f64,
    ) -> *const f64 {
        let kernel = self.kernel;
        let share = self.take(&mut constants);
        let kappa = self.kappa::<AGAIN>(step, share);
        self.put(self.kept::<POINTS>(step, 2 * POINTS), kappa);
        for point in 0..POINTS {
            let (at, weight) = self.point::<POINTS, AGAIN>(spread, point, &mut constants);
            let reach = self.get(self.slot::<POINTS>(step, point));
            let a = kernel.mul_add(at, kappa, share);
            let left = kernel.mul(reach, a);
            self.put(self.slot::<POINTS>(2 * step + 1, point), left);
            self.put(self.slot::<POINTS>(2 * step + 2, point), kernel.sub(reach, left));
            self.put(self.kept::<POINTS>(step, point), a);
            self.put(self.kept::<POINTS>(step, POINTS + point), kernel.mul(reach, weight));
        }
        constants
    }

    /// A split of the last level but two with all below it.
    #[inline(always)]
    fn third<const POINTS: usize>(&self, spread: &Spread<K, POINTS>, step: usize, constants: &mut *const f64) {
        let mut reach = spread.at;
        for (point, reach) in reach.iter_mut().enumerate() {
            *reach = self.get(self.slot::<POINTS>(step, point));
        }
        let upper = self.upper(spread, step, &reach, constants);
        let worth_left = self.bottom(spread, 2 * step + 1, &upper.left, constants);
        let worth_right = self.bottom(spread, 2 * step + 2, &upper.right, constants);
        let worth = self.close(step, &upper, &worth_left, &worth_right);
        for (point, &worth) in worth.iter().enumerate() {
            self.put(self.slot::<POINTS>(step, point), worth);
        }
    }

    /// A split of the last level but one with both below it.
    #[inline(always)]
    fn bottom<const POINTS: usize>(
        &self,
        spread: &Spread<K, POINTS>,
        step: usize,
        reach: &[K::Register; POINTS],
        constants: &mut *const f64,
    ) -> [K::Register; POINTS] {
        let upper = self.upper(spread, step, reach, constants);
        let worth_left = self.last(spread, 2 * step + 1, &upper.left, constants);
        let worth_right = self.last(spread, 2 * step + 2, &upper.right, constants);
        self.close(step, &upper, &worth_left, &worth_right)
    }

    /// The gain of a split, and what it is worth.
    #[inline(always)]
    fn close<const POINTS: usize>(
        &self,
        step: usize,
        upper: &Upper<K, POINTS>,
        worth_left: &[K::Register; POINTS],
        worth_right: &[K::Register; POINTS],
    ) -> [K::Register; POINTS] {
        let kernel = self.kernel;
        let mut gain = kernel.splat(0.0);
        let mut worth = upper.a;
        for point in 0..POINTS {
            let apart = kernel.sub(worth_left[point], worth_right[point]);
            gain = kernel.mul_add(upper.counted[point], apart, gain);
            worth[point] = kernel.mul_add(upper.a[point], apart, worth_right[point]);
        }
        self.put(self.gain(step), kernel.mul(gain, upper.kappa));
        worth
    }

    /// What a split sends on.
    #[inline(always)]
    fn upper<const POINTS: usize>(
        &self,
        spread: &Spread<K, POINTS>,
        step: usize,
        reach: &[K::Register; POINTS],
        constants: &mut *const f64,
    ) -> Upper<K, POINTS> {
        if self.is_again(step) {
            self.upper_of::<POINTS, true>(spread, step, reach, constants)
        } else {
            self.upper_of::<POINTS, false>(spread, step, reach, constants)
        }
    }

    #[inline(always)]
    fn upper_of<const POINTS: usize, const AGAIN: bool>(
        &self,
        spread: &Spread<K, POINTS>,
        step: usize,
        reach: &[K::Register; POINTS],
        constants: &mut *const f64,
    ) -> Upper<K, POINTS> {
        let kernel = self.kernel;
        let share = self.take(constants);
        let kappa = self.kappa::<AGAIN>(step, share);
        let mut upper = Upper {
            kappa,
            a: spread.at,
            left: spread.at,
            right: spread.at,
            counted: spread.at,
        };
        for (point, &reach) in reach.iter().enumerate() {
            let (at, weight) = self.point::<POINTS, AGAIN>(spread, point, constants);
            upper.a[point] = kernel.mul_add(at, kappa, share);
            upper.left[point] = kernel.mul(reach, upper.a[point]);
            upper.right[point] = kernel.sub(reach, upper.left[point]);
            upper.counted[point] = kernel.mul(reach, weight);
        }
        upper
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
        if self.is_again(step) {
            self.last_of::<POINTS, true>(spread, step, reach, constants)
        } else {
            self.last_of::<POINTS, false>(spread, step, reach, constants)
        }
    }

    #[inline(always)]
    fn last_of<const POINTS: usize, const AGAIN: bool>(
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
        let (left, passes) = self.bits(step);
        let mut off = kernel.add(right, kernel.keep(left, apart));
        if AGAIN {
            off = kernel.keep(passes, off);
        }
        let mut sum = kernel.splat(0.0);
        let mut worth = spread.at;
        for (point, &reach) in reach.iter().enumerate() {
            let (at, weight) = self.point::<POINTS, AGAIN>(spread, point, constants);
            sum = kernel.mul_add(reach, weight, sum);
            worth[point] = kernel.mul_add(at, off, mean);
        }
        self.put(self.gain(step), kernel.mul(sum, off));
        worth
    }

    /// What a split above the last three levels gains and is worth.
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

    /// Whether the feature of some lane's split stands above it too.
    #[inline(always)]
    fn is_again(&self, step: usize) -> bool {
        self.flags[step / 64 % 4] >> (step % 64) & 1 == 1
    }

    /// Where the trees' rows go at a step, and whether they pass all splits of the same feature above.
    #[inline(always)]
    fn bits(&self, step: usize) -> (u64, u64) {
        debug_assert!(step < self.words.len() && step < self.passes.len());
        // SAFETY: a step is one of its block's, which has a word for each.
        let (left, passes) = unsafe { (*self.words.get_unchecked(step), *self.passes.get_unchecked(step)) };
        (left >> self.shift, passes >> self.shift)
    }

    /// `t'` and its weight.
    #[inline(always)]
    fn point<const POINTS: usize, const AGAIN: bool>(
        &self,
        spread: &Spread<K, POINTS>,
        point: usize,
        constants: &mut *const f64,
    ) -> (K::Register, K::Register) {
        if !AGAIN {
            return (spread.at[point], spread.weights[point]);
        }
        let kernel = self.kernel;
        let at = self.take(constants);
        (at, kernel.mul(spread.stretched[point], kernel.mul_sub_from(at, at, at)))
    }

    /// What the rows add to a split's share.
    #[inline(always)]
    fn kappa<const AGAIN: bool>(&self, step: usize, share: K::Register) -> K::Register {
        let kernel = self.kernel;
        let (left, passes) = self.bits(step);
        let kappa = kernel.sub(kernel.keep(left, kernel.splat(1.0)), share);
        if AGAIN { kernel.keep(passes, kappa) } else { kappa }
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
