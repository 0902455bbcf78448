//! Full trees: level by level, the turns so far choose a node of the level for each of 64 trees, and one comparison
//! decides them.
//!
//! 1. The levels themselves: 500 trees of depth 6, laid out as lists instead, take 1,346 ns a row for 1,165 with
//!    `avx512`, 2,462 for 1,305 with `avx512bw` and 5,662 for 2,020 with `avx2`; in batches 1,073 for 571, 2,052 for
//!    830 and 5,595 for 1,650. A level costs one look-up however many nodes it has.
//! 2. The choosing goes by the first turn first (the plan stores a level's nodes in that order), so that most of it is
//!    done before the last turn is known.
//! 3. Two lines a node come from the second-level cache. On AMD they are asked for 8 KiB ahead: 710 to 640 ns on Zen 5.
//!    Intel's caches look ahead by themselves, and being asked took 1,284 ns for 1,165, so that only AMD's are asked.
//! 4. Where a line takes several registers, all levels are decided for one of them before the next: the turns stay in
//!    registers.

use std::ops::Range;

use super::GROUPED;
use crate::kernel::isa::Isa;
use crate::kernel::real::Real;
use crate::kernel::sums::Pending;
use crate::plan::lanes::{FULL_DEPTH_MAX, LanePlan, Line};

/// Lines that are asked for ahead of the ones in use: 8 KiB, what a chunk of full trees of depth 6 takes.
const AHEAD: usize = 128;

/// Lines of the plans for which asking ahead is worth it. Smaller ones stay in the first-level cache from row to row,
/// and what larger ones wait for is beyond the second: 1,000 trees of depth 8 take 2.9 µs without and 3.1 with it.
const ASKED_FOR: Range<usize> = 512..4_096;

/// Whether a row's lines should be asked for ahead.
#[inline(always)]
pub(super) fn is_asked_for<T>(plan: &LanePlan<T>) -> bool {
    ASKED_FOR.contains(&plan.lines.len())
}

/// Decides a chunk of full trees for a row.
#[inline(always)]
pub(in crate::kernel) fn label<K: Isa<PARTS>, T: Real, const PARTS: usize, const LANES: usize>(
    kernel: K,
    (depth, is_asked_for): (usize, bool),
    lines: &[Line],
    tables: &K::Tables<'_>,
    labels: &mut [u8],
    pending: &mut Pending<'_, T>,
) {
    let mut sum = *pending;
    for part in 0..PARTS {
        // The first part brings the lines in for all of them.
        let how = (depth, is_asked_for & (part == 0), part);
        let at = label_part::<K, T, PARTS, LANES>(kernel, how, lines, tables, &mut sum);
        kernel.store_labels(labels, part, at);
    }
    *pending = sum;
}

/// One of a level's lines for each tree: the one that its turns so far lead to.
macro_rules! select {
    ($name:ident, $turn:literal, $below:ident) => {
        #[inline(always)]
        fn $name<K: Isa<PARTS>, const PARTS: usize>(
            kernel: K,
            part: usize,
            lines: &[Line],
            turns: &[K::Mask; FULL_DEPTH_MAX],
        ) -> K::Bytes {
            let (left, right) = lines.split_at(1 << $turn);
            let (left, right) = (
                $below(kernel, part, left, turns),
                $below(kernel, part, right, turns),
            );
            kernel.choose(turns[$turn], left, right)
        }
    };
}

#[inline(always)]
fn select_0<K: Isa<PARTS>, const PARTS: usize>(
    kernel: K,
    part: usize,
    lines: &[Line],
    _: &[K::Mask; FULL_DEPTH_MAX],
) -> K::Bytes {
    kernel.load(&lines[0], part)
}

select!(select_1, 0, select_0);
select!(select_2, 1, select_1);
select!(select_3, 2, select_2);
select!(select_4, 3, select_3);
select!(select_5, 4, select_4);
select!(select_6, 5, select_5);
select!(select_7, 6, select_6);

#[inline(always)]
fn label_part<K: Isa<PARTS>, T: Real, const PARTS: usize, const LANES: usize>(
    kernel: K,
    (depth, is_asked_for, part): (usize, bool, usize),
    lines: &[Line],
    tables: &K::Tables<'_>,
    sum: &mut Pending<'_, T>,
) -> K::Bytes {
    let mut rest = lines;
    let mut turns = [kernel.never(); FULL_DEPTH_MAX];
    let mut at = kernel.splat(0);
    macro_rules! level {
        ($level:literal, $select:ident) => {
            if depth > $level {
                let nodes = 1 << $level;
                let kinds = if LANES == GROUPED { 3 } else { 2 };
                let (own, below) = rest.split_at(kinds * nodes);
                rest = below;
                if is_asked_for {
                    for line in own {
                        kernel.prefetch(std::ptr::from_ref(line).wrapping_add(AHEAD));
                    }
                }
                let index = $select(kernel, part, &own[..nodes], &turns);
                let rank = $select(kernel, part, &own[nodes..2 * nodes], &turns);
                let group = match LANES {
                    GROUPED => $select(kernel, part, &own[2 * nodes..], &turns),
                    _ => index,
                };
                turns[$level] = kernel.exceeds(kernel.look_up::<LANES>(tables, index, group), rank);
                at = kernel.turn(at, turns[$level]);
                sum.add::<8>();
            }
        };
    }
    level!(0, select_0);
    level!(1, select_1);
    level!(2, select_2);
    level!(3, select_3);
    level!(4, select_4);
    level!(5, select_5);
    level!(6, select_6);
    level!(7, select_7);
    let _ = rest;
    at
}
