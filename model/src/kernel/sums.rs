//! Sums of leaves that are numbers of one output, for the vector kernels: the same additions in the same order in each.
//!
//! Inlined wherever they are called, so that they are compiled for the caller's CPU features.

#![expect(
    unsafe_code,
    reason = "a leaf is found by tree and label, which a plan keeps in bounds, once a tree and row"
)]

use super::lanes::LaneScratch;
use crate::kernel::real::Real;
use crate::plan::lanes::Pack;

/// Rows whose sums are kept at once.
pub(super) const ROWS_A_SUM: usize = 8;

/// Adds the leaves of a pack's trees to a sum, in tree order.
#[inline(always)]
pub(super) fn sum_pack<T: Real>(pack: &Pack, values: &[T], labels: &[u8], mut sum: T) -> T {
    let labels = &labels[pack.first_tree..][..pack.trees];
    let mut leaves = values[pack.first_leaf..][..pack.stride * pack.trees].as_ptr();
    let (eights, others) = labels.as_chunks::<8>();
    for eight in eights {
        for &label in eight {
            // SAFETY: the slice above holds `stride` leaves for each of the pack's trees, `leaves` is at those of one tree, and
            // a label is less than the stride: a full tree's labels count its leaves and a listed one's its steps.
            unsafe {
                sum += *leaves.add(usize::from(label));
                leaves = leaves.add(pack.stride);
            }
        }
    }
    for &label in others {
        // SAFETY: as above.
        unsafe {
            sum += *leaves.add(usize::from(label));
            leaves = leaves.add(pack.stride);
        }
    }
    sum
}

/// Adds the leaves of a pack's trees to the sums of up to eight rows.
#[inline(always)]
pub(super) fn sum_rows<T: Real>(pack: &Pack, values: &[T], scratches: &[LaneScratch], sums: &mut [T]) {
    let trees = pack.first_tree..pack.first_tree + pack.trees;
    let leaves = values[pack.first_leaf..].chunks_exact(pack.stride);
    let (Ok(eight), Ok(into)) = (
        <&[LaneScratch; ROWS_A_SUM]>::try_from(scratches),
        <&mut [T; ROWS_A_SUM]>::try_from(&mut *sums),
    ) else {
        for (scratch, sum) in scratches.iter().zip(sums) {
            for (leaves, &label) in leaves.clone().zip(&scratch.labels[trees.clone()]) {
                *sum += leaves[usize::from(label)];
            }
        }
        return;
    };
    let labels = eight.each_ref().map(|scratch| &scratch.labels[trees.clone()]);
    let mut own = *into;
    for (tree, leaves) in leaves.take(pack.trees).enumerate() {
        for (sum, labels) in own.iter_mut().zip(&labels) {
            // SAFETY: every row has a label for each of the pack's trees, and a label is less than the stride, which is how
            // many leaves there are: a full tree's labels count its leaves and a listed one's its steps.
            *sum += unsafe { *leaves.get_unchecked(usize::from(*labels.get_unchecked(tree))) };
        }
    }
    *into = own;
}
