//! From a row to its lanes: the search of two levels with AVX2 comparisons.

use std::arch::x86_64::{
    _CMP_LE_OQ, _CMP_LT_OQ, _mm256_cmp_pd, _mm256_cmp_ps, _mm256_loadu_pd, _mm256_loadu_ps, _mm256_movemask_pd,
    _mm256_movemask_ps, _mm256_set1_pd, _mm256_set1_ps,
};

use crate::kernel::lanes::{look_up_sets, set_lanes, value};
use crate::kernel::real::Real;
use crate::plan::lanes::{BLOCK, Block, LanePlan};

/// A number that vectors compare: [`f32`] and [`f64`].
pub trait Vector: Real {
    /// How many of a block's thresholds are below the value (`OR_EQUAL`: a value equal to a threshold stays left of it).
    ///
    /// # Safety
    /// The CPU has AVX2 and POPCNT.
    #[doc(hidden)]
    unsafe fn count<const OR_EQUAL: bool>(block: &[Self; BLOCK], value: Self) -> usize;
}

impl Vector for f32 {
    #[inline]
    #[target_feature(enable = "avx2,popcnt")]
    unsafe fn count<const OR_EQUAL: bool>(block: &[Self; BLOCK], value: Self) -> usize {
        let value = _mm256_set1_ps(value);
        let mut below = 0;
        for eight in block.as_chunks::<8>().0.iter().rev() {
            // SAFETY: 8 f32 are there; the load needs no alignment.
            let thresholds = unsafe { _mm256_loadu_ps(eight.as_ptr()) };
            let mask = if OR_EQUAL {
                _mm256_cmp_ps::<_CMP_LT_OQ>(thresholds, value)
            } else {
                _mm256_cmp_ps::<_CMP_LE_OQ>(thresholds, value)
            };
            below = below << 8 | _mm256_movemask_ps(mask);
        }
        below.count_ones() as usize
    }
}

impl Vector for f64 {
    #[inline]
    #[target_feature(enable = "avx2,popcnt")]
    unsafe fn count<const OR_EQUAL: bool>(block: &[Self; BLOCK], value: Self) -> usize {
        let value = _mm256_set1_pd(value);
        let mut below = 0;
        for four in block.as_chunks::<4>().0.iter().rev() {
            // SAFETY: 4 f64 are there; the load needs no alignment.
            let thresholds = unsafe { _mm256_loadu_pd(four.as_ptr()) };
            let mask = if OR_EQUAL {
                _mm256_cmp_pd::<_CMP_LT_OQ>(thresholds, value)
            } else {
                _mm256_cmp_pd::<_CMP_LE_OQ>(thresholds, value)
            };
            below = below << 4 | _mm256_movemask_pd(mask);
        }
        below.count_ones() as usize
    }
}

/// Writes both halves of the lanes; returns whether something is missing. If not, the second half is only written when asked.
#[inline]
#[target_feature(enable = "avx2,popcnt")]
pub(super) fn rank_row<T: Vector, const OR_EQUAL: bool>(
    plan: &LanePlan<T>,
    row: &[T],
    lanes: &mut [u8],
    missing: &mut [u8],
    always_both: bool,
) -> bool {
    let ranks = &plan.ranks;
    let row = &row[..ranks.columns];
    let (left, right) = lanes.split_at_mut(plan.half);
    let (plain, others) = ranks.items.split_at(ranks.plain);
    // SAFETY: this function is compiled for the features that `count` asks for.
    let count = |block: &Block<T>, value: T| unsafe { T::count::<OR_EQUAL>(&block.0, value) };
    for (item, left) in plain.iter().zip(&mut *left) {
        let value = row[item.column as usize];
        let blocks = &ranks.blocks[item.first_block as usize..];
        let full = count(&blocks[0], value);
        *left = byte(full * BLOCK + count(&blocks[1 + full], value));
    }
    let mut any = 0;
    for (missing, value) in missing.iter_mut().zip(row) {
        *missing = if value.is_nan() { u8::MAX } else { 0 };
        any |= *missing;
    }
    let mut any_missing = any != 0;
    for (number, item) in (ranks.plain..).zip(others) {
        let value = value(item, row);
        let first = item.first_block as usize;
        let blocks = first + item.pivot_blocks as usize;
        let full: usize = ranks.blocks[first..blocks]
            .iter()
            .map(|block| count(block, value))
            .sum();
        let rank = full * BLOCK + count(&ranks.blocks[blocks + full], value);
        set_lanes(item, number, rank, value.is_nan(), left, right);
        any_missing |= value.is_nan();
    }
    any_missing |= look_up_sets(plan, row, left, right);
    // Last, for a zero that counts as missing makes the other half be read too.
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

#[inline]
#[expect(
    clippy::cast_possible_truncation,
    reason = "an item of one window has at most 255 thresholds"
)]
fn byte(rank: usize) -> u8 {
    rank as u8
}
