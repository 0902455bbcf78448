//! From rows to their lanes, for the vector kernels: everything but how a block of thresholds is compared with a value.
//!
//! Inlined wherever they are called, so that they are compiled for the caller's CPU features.
//!
//! 1. A column takes two comparisons: its pivots say which block, and that block where in it.
//! 2. Several rows are ranked column by column: a column's thresholds are 1 KiB (2 KiB in `f64`) and stay in the
//!    first-level cache for all of them, where those of 50 columns do not.

#![expect(
    unsafe_code,
    reason = "a block is found by a count of thresholds, which a plan keeps in bounds, twice a value"
)]

use super::isa::Numbers;
use super::lanes::{look_up_sets, set_lanes, value};
use super::real::Real;
use crate::plan::lanes::{BLOCK, Block, Item, LanePlan, Ranks};

/// How a kernel searches under one of the two comparisons: `OR_EQUAL`, a value equal to a threshold stays left of it.
#[derive(Clone, Copy)]
pub(super) struct SearchBy<K, const OR_EQUAL: bool>(pub(super) K);

impl<K: Numbers, const OR_EQUAL: bool> SearchBy<K, OR_EQUAL> {
    /// How many of a block's thresholds are below a value, or equal to it when that goes right too.
    #[inline(always)]
    fn count<T: Real>(self, block: &Block<T>, value: T) -> usize {
        T::count::<K, OR_EQUAL>(self.0, &block.0, value)
    }
}

/// Writes both halves of a row's lanes; returns whether something is missing. If not, the second half is only written
/// when asked.
#[inline(always)]
pub(super) fn rank_row<T: Real, K: Numbers, const OR_EQUAL: bool>(
    plan: &LanePlan<T>,
    row: &[T],
    lanes: &mut [u8],
    missing: &mut [u8],
    search: SearchBy<K, OR_EQUAL>,
    always_both: bool,
) -> bool {
    let row = &row[..plan.ranks.columns];
    let plain = &plan.ranks.items[..plan.ranks.plain];
    for (item, lane) in plain.iter().zip(&mut *lanes) {
        *lane = plain_rank(&plan.ranks, item, row, search);
    }
    complete(plan, row, lanes, missing, search, always_both)
}

/// Writes both halves of the lanes of several rows, `width` values each.
#[inline(always)]
pub(super) fn rank_rows<T: Real, K: Numbers, const OR_EQUAL: bool>(
    plan: &LanePlan<T>,
    (rows, width): (&[T], usize),
    lanes: &mut [u8],
    missing: &mut [u8],
    search: SearchBy<K, OR_EQUAL>,
) {
    let columns = plan.ranks.columns;
    let all = 2 * plan.half;
    for (number, item) in plan.ranks.items[..plan.ranks.plain].iter().enumerate() {
        for (row, lanes) in rows.chunks_exact(width).zip(lanes.chunks_exact_mut(all)) {
            lanes[number] = plain_rank(&plan.ranks, item, &row[..columns], search);
        }
    }
    for (row, lanes) in rows.chunks_exact(width).zip(lanes.chunks_exact_mut(all)) {
        complete(plan, &row[..columns], lanes, missing, search, true);
    }
}

/// The rank of a column with at most 255 thresholds.
#[inline(always)]
#[expect(
    clippy::cast_possible_truncation,
    reason = "an item of one window has at most 255 thresholds"
)]
fn plain_rank<T: Real, K: Numbers, const OR_EQUAL: bool>(
    ranks: &Ranks<T>,
    item: &Item,
    row: &[T],
    search: SearchBy<K, OR_EQUAL>,
) -> u8 {
    debug_assert!((item.column as usize) < row.len());
    // SAFETY: a plan's columns lie below `columns`, which is the length of the row here. An item's blocks begin with
    // one of pivots, the last of which is NaN and never counted, so that at least one block of thresholds follows those
    // that are full.
    unsafe {
        let value = *row.get_unchecked(item.column as usize);
        let first = ranks.blocks.as_ptr().add(item.first_block as usize);
        let full = search.count(&*first, value);
        (full * BLOCK + search.count(&*first.add(1 + full), value)) as u8
    }
}

/// The lanes that are not plain, and the half in which what is missing goes right.
#[inline(always)]
fn complete<T: Real, K: Numbers, const OR_EQUAL: bool>(
    plan: &LanePlan<T>,
    row: &[T],
    lanes: &mut [u8],
    missing: &mut [u8],
    search: SearchBy<K, OR_EQUAL>,
    always_both: bool,
) -> bool {
    let ranks = &plan.ranks;
    // A plan in which every node sends what is missing left has one half only: what is written to the other is not
    // kept.
    let (left, right) = lanes.split_at_mut(plan.half);
    let (plain, others) = ranks.items.split_at(ranks.plain);
    let mut any_missing = T::missing(search.0, row, missing);
    for (number, item) in (ranks.plain..).zip(others) {
        let value = value(item, row);
        let blocks = item.first_block as usize + item.pivot_blocks as usize;
        let pivots = &ranks.blocks[item.first_block as usize..blocks];
        let full: usize = pivots.iter().map(|block| search.count(block, value)).sum();
        let rank = full * BLOCK + search.count(&ranks.blocks[blocks + full], value);
        set_lanes(item, number, rank, value.is_nan(), left, right);
        any_missing |= value.is_nan();
    }
    any_missing |= look_up_sets(plan, row, left, right);
    // Last, because a zero that counts as missing means that the other half is read too.
    if (any_missing | always_both) & plan.has_right {
        if ranks.is_in_order {
            for ((right, left), missing) in right.iter_mut().zip(&*left).zip(&missing[..ranks.plain]) {
                *right = left | missing;
            }
        } else {
            for ((item, right), left) in plain.iter().zip(&mut *right).zip(&*left) {
                *right = left | missing[item.column as usize];
            }
        }
    }
    any_missing
}
