//! Several rows at once: see `kernel/block.rs` for what is shared with other CPUs.
//!
//! 1. A step of listed trees is loaded into registers and applied to eight rows, whose labels are eight chains that do not wait
//!    for each other. 500 trees of 255 leaves took 1,820 ns a row with four.
//! 2. Some steps are applied to all rows before the next ones, so that their lines stay in the first-level cache.
//! 3. Leaves are added to sixteen sums at once where a tree's leaves fit a few registers (see `leaves.rs`).
//!
//! Two rows that share the loads of a full tree's levels were slower than one after the other (1,000 trees of depth 8: 2,750 ns
//! a row against 1,610): their turns do not fit the mask registers.

use std::arch::x86_64::{
    _mm512_add_epi8, _mm512_cmpgt_epu8_mask, _mm512_mask_cmpeq_epi8_mask, _mm512_mask_mov_epi8, _mm512_set1_epi8,
    _mm512_setzero_si512,
};
use std::ops::Range;

use super::leaves::sum_block;
use super::{GROUPED, LookUp, Vector, bytes_of, label_full, load, load_bytes, search, store};
use crate::ensemble::Comparison;
use crate::kernel::block::{LaneBlock, sum_rows};
use crate::kernel::rank::rank_rows;
use crate::plan::lanes::{CHUNK, LanePlan, Line, Pack, Shape};

/// Rows whose labels share a step's loads: their lanes fit the registers.
const ROWS_A_STEP: usize = 8;

/// Steps of listed trees that are applied to all rows before others are: 12 KiB of lines.
const STEPS_AT_ONCE: usize = 64;

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,popcnt")]
pub(super) fn rows_margins<T: Vector>(
    plan: &LanePlan<T>,
    rows: &[T],
    width: usize,
    block: &mut LaneBlock,
    margins: &mut [T],
) {
    let (lanes, missing) = block.lanes_and_missing(plan, rows.len() / width);
    match plan.comparison {
        Comparison::Less => rank_rows(plan, (rows, width), lanes, missing, &search::<T, false>()),
        Comparison::LessOrEqual => rank_rows(plan, (rows, width), lanes, missing, &search::<T, true>()),
    }
    match plan.lanes() {
        _ if plan.is_grouped() => evaluate::<T, GROUPED>(plan, rows, width, block, margins),
        64 => evaluate::<T, 64>(plan, rows, width, block, margins),
        128 => evaluate::<T, 128>(plan, rows, width, block, margins),
        _ => evaluate::<T, 256>(plan, rows, width, block, margins),
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,popcnt")]
fn evaluate<T: Vector, const LANES: usize>(
    plan: &LanePlan<T>,
    rows: &[T],
    width: usize,
    block: &mut LaneBlock,
    margins: &mut [T],
) {
    let label = |pack: &Pack, chunk: usize, lanes: &[u8], labels: &mut [u8]| {
        label_chunk::<T, LANES>(plan, pack, chunk, lanes, labels);
    };
    let sum = |leaves: &[T], stride: usize, labels: &[u8], trees: Range<usize>, sums: &mut [T]| {
        sum_block(leaves, stride, labels, trees, sums);
    };
    sum_rows(plan, (rows, width), block, margins, label, sum);
}

/// Decides a chunk's trees for all rows.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,popcnt")]
fn label_chunk<T: Vector, const LANES: usize>(
    plan: &LanePlan<T>,
    pack: &Pack,
    chunk: usize,
    lanes: &[u8],
    labels: &mut [u8],
) {
    let lines = &plan.lines[pack.first_line..];
    let lanes = Lanes { all: lanes, plan };
    if let Shape::Full { depth } = pack.shape {
        for (row, labels) in labels.chunks_exact_mut(CHUNK).enumerate() {
            let [look_up] = lanes.look_ups(row);
            label_full::<LANES>(depth, false, lines, &look_up, labels);
        }
        return;
    }
    labels.fill(0);
    for first_step in (0..pack.steps).step_by(STEPS_AT_ONCE) {
        let steps = first_step..(first_step + STEPS_AT_ONCE).min(pack.steps);
        for (number, labels) in labels.chunks_mut(ROWS_A_STEP * CHUNK).enumerate() {
            let first = number * ROWS_A_STEP;
            if labels.len() == ROWS_A_STEP * CHUNK {
                let look_ups = lanes.look_ups(first);
                label_listed::<LANES, ROWS_A_STEP>(pack, chunk, steps.clone(), lines, &look_ups, labels);
                continue;
            }
            for (row, labels) in (first..).zip(labels.chunks_exact_mut(CHUNK)) {
                label_listed::<LANES, 1>(pack, chunk, steps.clone(), lines, &lanes.look_ups(row), labels);
            }
        }
    }
}

/// The lanes of all rows.
struct Lanes<'a, T> {
    all: &'a [u8],
    plan: &'a LanePlan<T>,
}

impl<'a, T: Vector> Lanes<'a, T> {
    /// Those of some rows from one on.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,popcnt")]
    fn look_ups<const ROWS: usize>(&self, first: usize) -> [LookUp<'a>; ROWS] {
        let stride = 2 * self.plan.half;
        let mut look_ups = [LookUp::new(&[]); ROWS];
        for (own, lanes) in look_ups.iter_mut().zip(self.all[first * stride..].chunks_exact(stride)) {
            *own = LookUp::new(&lanes[..self.plan.lanes()]);
        }
        look_ups
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,popcnt")]
fn label_listed<const LANES: usize, const ROWS: usize>(
    pack: &Pack,
    chunk: usize,
    steps: Range<usize>,
    lines: &[Line],
    look_ups: &[LookUp<'_>; ROWS],
    labels: &mut [u8],
) {
    let kinds = if LANES == GROUPED { 4 } else { 3 };
    let before = u8::try_from(steps.start)
        .expect("a pack has at most 255 steps")
        .cast_signed();
    let mut next = _mm512_set1_epi8(before);
    let mut at = [_mm512_setzero_si512(); ROWS];
    for (at, labels) in at.iter_mut().zip(labels.chunks_exact(CHUNK)) {
        *at = load_bytes(labels);
    }
    let step_lines = pack.chunks * kinds;
    let lines = &lines[step_lines * steps.start..step_lines * steps.end];
    for lines in lines.chunks_exact(step_lines) {
        next = _mm512_add_epi8(next, _mm512_set1_epi8(1));
        let lines = &lines[chunk * kinds..][..kinds];
        let (index, rank) = (load(&lines[0]), load(&lines[1]));
        let (group, label) = (load(&lines[kinds - 2]), load(&lines[kinds - 1]));
        for (at, look_up) in at.iter_mut().zip(look_ups) {
            let exceeds = _mm512_cmpgt_epu8_mask(bytes_of::<LANES>(look_up, index, group), rank);
            *at = _mm512_mask_mov_epi8(*at, _mm512_mask_cmpeq_epi8_mask(exceeds, *at, label), next);
        }
    }
    for (at, labels) in at.into_iter().zip(labels.chunks_exact_mut(CHUNK)) {
        store(labels, at);
    }
}
