//! Nodes for their own sake: where a row would go at every node of 64 trees, also at those it never reaches.
//! Explanations ask.

use super::{GROUPED, rank};
use crate::kernel::isa::Stages;
use crate::kernel::lanes::LaneScratch;
use crate::kernel::real::Real;
use crate::plan::lanes::{CHUNK, LanePlan, Line};

/// Ranks a row and decides steps of 64 trees: a word for each, the bit of each tree whose node sends the row left.
#[inline(always)]
pub(in crate::kernel) fn goes_left<K: Stages<PARTS>, T: Real, const PARTS: usize>(
    kernel: K,
    plan: &LanePlan<T>,
    row: &[T],
    scratch: &mut LaneScratch,
    lines: &[Line],
    words: &mut [u64],
) {
    let any_missing = rank(kernel, plan, row, scratch, plan.is_grouped());
    let lanes = &scratch.lanes[..plan.lanes()];
    let used = if any_missing & plan.has_right {
        plan.lanes()
    } else {
        plan.half
    };
    match used {
        _ if plan.is_grouped() => decide::<K, PARTS, GROUPED>(kernel, lanes, lines, words),
        64 => decide::<K, PARTS, 64>(kernel, lanes, lines, words),
        128 => decide::<K, PARTS, 128>(kernel, lanes, lines, words),
        _ => decide::<K, PARTS, 256>(kernel, lanes, lines, words),
    }
}

#[inline(always)]
fn decide<K: Stages<PARTS>, const PARTS: usize, const LANES: usize>(
    kernel: K,
    lanes: &[u8],
    lines: &[Line],
    words: &mut [u64],
) {
    let tables = kernel.tables::<LANES>(lanes);
    let kinds = if LANES == GROUPED { 3 } else { 2 };
    for (word, lines) in words.iter_mut().zip(lines.chunks_exact(kinds)) {
        let mut right = 0;
        for part in 0..PARTS {
            let index = kernel.load(&lines[0], part);
            let group = match LANES {
                GROUPED => kernel.load(&lines[2], part),
                _ => index,
            };
            let bytes = kernel.look_up::<LANES>(&tables, index, group);
            let mask = kernel.exceeds(bytes, kernel.load(&lines[1], part));
            right |= kernel.bits(mask) << (part * (CHUNK / PARTS));
        }
        *word = !right;
    }
}
