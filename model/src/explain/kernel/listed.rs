//! One tree after the other, the points of the quadrature side by side.
//!
//! A feature's contribution is the integral over `t` of its gain when every other feature is known with probability
//! `t`. At a point `t`, a split of which a share `w` of the data went left sends `a = w + t' kappa` of what reaches it
//! left, where `kappa = o - w` and `o` is whether the row goes left:
//!
//! ```text
//! down   P_left = P a      P_right = P - P_left                   how much of the mix reaches each split
//! up     D = G_left - G_right      G = G_right + a D              what the mix is worth below it
//!        phi += kappa x the sum over points of  weight s P D      for the split's feature
//! ```
//!
//! At a feature's first split on a path `t' = t` and `s = 1`. Below splits of the same feature, over which a share
//! `w_a` of the data went this way, the row either went this way too: `A = (1 - t) w_a + t`, `t' = t / A`, `s = w_a /
//! A^2`. Or it did not: `kappa = 0`. No other division is left for the row, and none by a share.
//!
//! 1. The weights of points are applied to the sums of a feature, not at each split.
//! 2. There are no branches on what a tree is like: the place above the last split takes what goes to leaves on the way
//!    down, and is zero on the way up, where a leaf's value comes from its parent. Factors of splits whose feature is
//!    new are read from the points themselves and from ones.
//! 3. A split's place holds `P` on the way down and `G` once `P` has served.

#![expect(
    unsafe_code,
    reason = "places are found by the numbers of splits, which a plan keeps in bounds, several times a split"
)]

use super::Doubles;
use crate::explain::plan::listed::{AGAIN, Again, LEFT_LEAF, ListedGroup, ListedSplit, ListedTree, NUMBER, RIGHT_LEAF};

/// Bit of a split's byte: the row goes left.
pub(in crate::explain) const LEFT: u8 = 1;
/// Bit of a split's byte: the row fails a split of the same feature above.
const FAILS: u8 = 2;

/// Adds the contributions of a group's trees to `sums`. `lefts` has a byte for each split: [`LEFT`] or 0.
#[inline(always)]
pub(super) fn add<K: Doubles, const POINTS: usize, const REGISTERS: usize>(
    kernel: K,
    group: &ListedGroup,
    lefts: &mut [u8],
    work: &mut [f64],
    sums: &mut [f64],
) {
    const { assert!(POINTS == REGISTERS * K::LANES, "the registers hold the points") };
    assert!(group.points == POINTS && lefts.len() == group.splits.len() && work.len() >= group.work());
    let (slots, rest) = work.split_at_mut((group.splits_max + 1) * POINTS);
    let (by_point, rest) = rest.split_at_mut(group.places * POINTS);
    let kappas = &mut rest[..group.splits_max];
    by_point.fill(0.0);
    for tree in &group.trees {
        let splits = &group.splits[tree.first_split..][..tree.splits];
        let again = &group.again[tree.first_again..][..tree.agains];
        let factors = &group.factors[2 * POINTS * tree.first_again..][..2 * POINTS * tree.agains];
        kappas_of(splits, again, &mut lefts[tree.first_split..][..tree.splits], kappas);
        let one = OneTree::<K, POINTS, REGISTERS> {
            kernel,
            at: &group.at,
            ones: &group.ones,
            splits,
            factors,
            kappas,
        };
        one.down(slots);
        one.up(slots, by_point);
        debug_assert!(tree_fits(tree, group));
    }
    for (sum, by_point) in sums.iter_mut().zip(by_point.as_chunks::<POINTS>().0) {
        let terms = by_point.iter().zip(&group.weights);
        *sum += terms.map(|(value, weight)| value * weight).sum::<f64>();
    }
}

fn tree_fits(tree: &ListedTree, group: &ListedGroup) -> bool {
    tree.splits <= group.splits_max
}

/// What the row adds to a split's share by going where it goes: zero where it fails a split of the same feature above.
#[inline(always)]
fn kappas_of(splits: &[ListedSplit], again: &[Again], lefts: &mut [u8], kappas: &mut [f64]) {
    for again in again {
        let above = lefts[again.above as usize];
        let fails = (above & FAILS != 0) | ((above & LEFT != 0) != again.is_left);
        lefts[again.split as usize] |= if fails { FAILS } else { 0 };
    }
    for ((kappa, split), &left) in kappas.iter_mut().zip(splits).zip(&*lefts) {
        let passes = f64::from((left & FAILS == 0) as u8);
        *kappa = (f64::from(left & LEFT) - split.share) * passes;
    }
}

/// A tree of a group and what the row does at its splits.
struct OneTree<'g, K, const POINTS: usize, const REGISTERS: usize> {
    kernel: K,
    at: &'g [f64],
    ones: &'g [f64],
    splits: &'g [ListedSplit],
    factors: &'g [f64],
    kappas: &'g [f64],
}

impl<K: Doubles, const POINTS: usize, const REGISTERS: usize> OneTree<'_, K, POINTS, REGISTERS> {
    #[inline(always)]
    fn down(&self, slots: &mut [f64]) {
        let (kernel, slots) = (self.kernel, slots.as_mut_ptr());
        let leaf = self.splits.len();
        let one = kernel.splat(1.0);
        let mut factors = self.factors.as_ptr();
        for register in 0..REGISTERS {
            // SAFETY: the first place is there, because a tree of a group has a split.
            unsafe { kernel.store(slots.add(register * K::LANES), one) };
        }
        for (number, (split, &kappa)) in self.splits.iter().zip(self.kappas).enumerate() {
            let is_again = split.right & AGAIN != 0;
            let at = if is_again { factors } else { self.at.as_ptr() };
            // One past the last at most: there are so many factors as splits with the flag.
            factors = factors.wrapping_add(if is_again { 2 * POINTS } else { 0 });
            let (left, right) = self.below(number, split, leaf);
            let (share, kappa) = (kernel.splat(split.share), kernel.splat(kappa));
            for register in 0..REGISTERS {
                let place = register * K::LANES;
                // SAFETY: a split's and its children's places lie within the tree's, the last of which is the leaves',
                // and each has so many points; so have the points and the factors.
                unsafe {
                    let reach = kernel.load(slots.add(number * POINTS + place));
                    let a = kernel.mul_add(kernel.load(at.add(place)), kappa, share);
                    let reach_left = kernel.mul(reach, a);
                    kernel.store(slots.add(left * POINTS + place), reach_left);
                    kernel.store(slots.add(right * POINTS + place), kernel.sub(reach, reach_left));
                }
            }
        }
    }

    #[inline(always)]
    fn up(&self, slots: &mut [f64], by_point: &mut [f64]) {
        let (kernel, slots, places) = (self.kernel, slots.as_mut_ptr(), by_point.len() / POINTS);
        let leaf = self.splits.len();
        let mut factors = self.factors.as_ptr().wrapping_add(self.factors.len());
        for register in 0..REGISTERS {
            // SAFETY: there is one place more than splits.
            unsafe { kernel.store(slots.add(leaf * POINTS + register * K::LANES), kernel.splat(0.0)) };
        }
        for (number, (split, &kappa)) in self.splits.iter().zip(self.kappas).enumerate().rev() {
            let is_again = split.right & AGAIN != 0;
            factors = factors.wrapping_sub(if is_again { 2 * POINTS } else { 0 });
            let (at, slope) = match is_again {
                true => (factors, factors.wrapping_add(POINTS)),
                false => (self.at.as_ptr(), self.ones.as_ptr()),
            };
            let (left, right) = self.below(number, split, leaf);
            debug_assert!((split.place as usize) < places);
            let sum = by_point.as_mut_ptr().wrapping_add(split.place as usize * POINTS);
            let (share, kappa) = (kernel.splat(split.share), kernel.splat(kappa));
            let (apart, right_value) = (kernel.splat(split.apart), kernel.splat(split.right_value));
            for register in 0..REGISTERS {
                let place = register * K::LANES;
                // SAFETY: as above; and a split's sum is one of the group's.
                unsafe {
                    let (worth_left, worth_right) = (
                        kernel.load(slots.add(left * POINTS + place)),
                        kernel.load(slots.add(right * POINTS + place)),
                    );
                    let reach = kernel.load(slots.add(number * POINTS + place));
                    let gain = kernel.add(kernel.sub(worth_left, worth_right), apart);
                    let a = kernel.mul_add(kernel.load(at.add(place)), kappa, share);
                    let worth = kernel.mul_add(a, gain, kernel.add(worth_right, right_value));
                    kernel.store(slots.add(number * POINTS + place), worth);
                    let counted = kernel.mul(kernel.mul(reach, kernel.load(slope.add(place))), gain);
                    let sum = sum.add(place);
                    kernel.store(sum, kernel.mul_add(counted, kappa, kernel.load(sum)));
                }
            }
        }
    }

    /// The places of a split's children; the last one for leaves.
    #[inline(always)]
    fn below(&self, number: usize, split: &ListedSplit, leaf: usize) -> (usize, usize) {
        let left = if split.right & LEFT_LEAF != 0 { leaf } else { number + 1 };
        let right = if split.right & RIGHT_LEAF != 0 {
            leaf
        } else {
            (split.right & NUMBER) as usize
        };
        debug_assert!(left <= leaf && right <= leaf);
        (left, right)
    }
}
