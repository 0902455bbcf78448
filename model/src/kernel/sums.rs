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

/// Leaves of trees that are decided, to be added in tree order while others are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pending<'a, T> {
    /// The sum so far.
    sum: T,
    /// One a tree that is left.
    labels: &'a [u8],
    /// So many a tree that is left.
    stride: usize,
    leaves: &'a [T],
}

impl<'a, T: Real> Pending<'a, T> {
    /// Nothing to add.
    pub(super) fn none(sum: T) -> Self {
        Self {
            sum,
            labels: &[],
            stride: 0,
            leaves: &[],
        }
    }

    /// The leaves of a pack's trees. `labels` are those of all trees, `values` the leaves.
    #[inline(always)]
    pub(super) fn new(pack: &Pack, values: &'a [T], labels: &'a [u8], sum: T) -> Self {
        Self {
            sum,
            labels: &labels[pack.first_tree..][..pack.trees],
            stride: pack.stride,
            leaves: &values[pack.first_leaf..][..pack.stride * pack.trees],
        }
    }

    /// Adds those of the next `COUNT` trees, if there are as many.
    #[inline(always)]
    pub(super) fn add<const COUNT: usize>(&mut self) {
        let Some((next, labels)) = self.labels.split_first_chunk::<COUNT>() else {
            return;
        };
        let (leaves, others) = self.leaves.split_at(COUNT * self.stride);
        for (tree, &label) in next.iter().enumerate() {
            debug_assert!(usize::from(label) < self.stride);
            // SAFETY: there are `stride` leaves for each of `COUNT` trees, and a label is less than the stride: a full
            // tree's labels count its leaves and a listed one's its steps.
            self.sum += unsafe { *leaves.get_unchecked(tree * self.stride + usize::from(label)) };
        }
        (self.labels, self.leaves) = (labels, others);
    }

    /// Whether eight trees a step are needed for all of them to be added within as many steps, or four are enough.
    #[inline(always)]
    pub(super) fn needs_eight(&self, steps: usize) -> bool {
        self.labels.len() > 4 * steps
    }

    /// Adds all that are left; returns the sum.
    #[inline(always)]
    pub(super) fn finish(mut self) -> T {
        while self.labels.len() >= 8 {
            self.add::<8>();
        }
        for (&label, leaves) in self.labels.iter().zip(self.leaves.chunks_exact(self.stride.max(1))) {
            self.sum += leaves[usize::from(label)];
        }
        self.sum
    }
}

/// Adds the leaves of some trees of a chunk to the sums of rows, each in tree order. `leaves` begins with those of the
/// first of these trees, `stride` for each, and `labels` holds a row's labels of the whole chunk, row after row.
#[inline(always)]
pub(super) fn sum_block<T: Real>(leaves: &[T], stride: usize, labels: &[u8], trees: Range<usize>, sums: &mut [T]) {
    let leaves = &leaves[..stride * trees.len()];
    let (eights, rest) = sums.as_chunks_mut::<ROWS_A_SUM>();
    let (labels, rest_labels) = labels.split_at(eights.len() * ROWS_A_SUM * CHUNK);
    for (sums, labels) in eights.iter_mut().zip(labels.as_chunks::<{ ROWS_A_SUM * CHUNK }>().0) {
        let mut own = *sums;
        for (tree, leaves) in trees.clone().zip(leaves.chunks_exact(stride)) {
            for (row, sum) in own.iter_mut().enumerate() {
                // SAFETY: eight rows have 64 labels each, `tree` is one of a chunk, and a label is less than the
                // stride, which is how many leaves there are: a full tree's labels count its leaves and a listed one's
                // its steps.
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
