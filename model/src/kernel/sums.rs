//! Sums of leaves that are numbers of one output, for the vector kernels: the same additions in the same order in each.
//!
//! Inlined wherever they are called, so that they are compiled for the caller's CPU features.

#![expect(
    unsafe_code,
    reason = "a leaf is found by tree and label, which a plan keeps in bounds, once a tree and row"
)]

use std::ops::Range;

use crate::kernel::real::Real;
use crate::plan::lanes::{CHUNK, Pack};

/// Rows whose sums are kept at once.
const ROWS_A_SUM: usize = 8;

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

/// Adds the leaves of some trees of a chunk to the sums of rows, each in tree order. `leaves` begins with those of the first of
/// these trees, `stride` for each, and `labels` holds a row's labels of the whole chunk, row after row.
#[inline(always)]
pub(super) fn sum_block<T: Real>(leaves: &[T], stride: usize, labels: &[u8], trees: Range<usize>, sums: &mut [T]) {
    let leaves = &leaves[..stride * trees.len()];
    let (eights, rest) = sums.as_chunks_mut::<ROWS_A_SUM>();
    let (labels, rest_labels) = labels.split_at(eights.len() * ROWS_A_SUM * CHUNK);
    for (sums, labels) in eights.iter_mut().zip(labels.as_chunks::<{ ROWS_A_SUM * CHUNK }>().0) {
        let mut own = *sums;
        for (tree, leaves) in trees.clone().zip(leaves.chunks_exact(stride)) {
            for (row, sum) in own.iter_mut().enumerate() {
                // SAFETY: eight rows have 64 labels each, `tree` is one of a chunk, and a label is less than the stride, which
                // is how many leaves there are: a full tree's labels count its leaves and a listed one's its steps.
                *sum += unsafe { *leaves.get_unchecked(usize::from(*labels.get_unchecked(row * CHUNK + tree))) };
            }
        }
        *sums = own;
    }
    for (sum, labels) in rest.iter_mut().zip(rest_labels.chunks_exact(CHUNK)) {
        for (&label, leaves) in labels[trees.clone()].iter().zip(leaves.chunks_exact(stride)) {
            *sum += leaves[usize::from(label)];
        }
    }
}
