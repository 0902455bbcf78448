//! Several rows at once: what the plan says is read once for all of them.
//!
//! 1. A chunk of full trees is decided for one row after the other: its 8 KiB (depth 6) come from the second-level cache once.
//! 2. A step of listed trees is loaded into registers and applied to four rows, whose labels are four chains that do not wait
//!    for each other.
//! 3. A tree's leaves are added to eight sums, one a row: each in tree order, none waiting for another.

use std::arch::x86_64::{
    __m512i, _mm512_add_epi8, _mm512_cmpeq_epi8_mask, _mm512_cmpgt_epu8_mask, _mm512_mask_mov_epi8, _mm512_set1_epi8,
    _mm512_setzero_si512,
};

use super::{GROUPED, LookUp, Vector, bytes_of, label_full, load, load_bytes, rank_row, store};
use crate::ensemble::Comparison;
use crate::kernel::lanes::{LaneScratch, add_pack};
use crate::kernel::sums::{ROWS_A_SUM, sum_rows};
use crate::plan::lanes::{CHUNK, LanePlan, Leaves, Line, Pack, Shape};

/// Rows whose labels share a step's loads: their lanes fit the registers.
const ROWS_A_STEP: usize = 4;

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,popcnt")]
pub(super) fn rows_margins<T: Vector>(
    plan: &LanePlan<T>,
    rows: &[T],
    width: usize,
    scratches: &mut [LaneScratch],
    margins: &mut [T],
) {
    for (row, scratch) in rows.chunks_exact(width).zip(&mut *scratches) {
        let LaneScratch { lanes, missing, .. } = scratch;
        match plan.comparison {
            Comparison::Less => rank_row::<T, false>(plan, row, lanes, missing, true),
            Comparison::LessOrEqual => rank_row::<T, true>(plan, row, lanes, missing, true),
        };
    }
    match plan.lanes() {
        _ if plan.is_grouped() => evaluate::<T, GROUPED>(plan, rows, width, scratches, margins),
        64 => evaluate::<T, 64>(plan, rows, width, scratches, margins),
        128 => evaluate::<T, 128>(plan, rows, width, scratches, margins),
        _ => evaluate::<T, 256>(plan, rows, width, scratches, margins),
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,popcnt")]
fn evaluate<T: Vector, const LANES: usize>(
    plan: &LanePlan<T>,
    rows: &[T],
    width: usize,
    scratches: &mut [LaneScratch],
    margins: &mut [T],
) {
    let outputs = plan.base_margins.len();
    for margins in margins.chunks_exact_mut(outputs) {
        margins.copy_from_slice(&plan.base_margins);
    }
    for pack in &plan.packs {
        label::<T, LANES>(plan, pack, scratches);
        match &plan.leaves {
            Leaves::Numbers { values, outputs } if outputs.is_empty() => {
                let sums = margins.chunks_mut(ROWS_A_SUM);
                for (scratches, sums) in scratches.chunks(ROWS_A_SUM).zip(sums) {
                    sum_rows(pack, values, scratches, sums);
                }
            }
            Leaves::Numbers { .. } | Leaves::Places { .. } => {
                let rows = rows.chunks_exact(width).zip(margins.chunks_exact_mut(outputs));
                for ((row, margins), scratch) in rows.zip(&*scratches) {
                    add_pack(plan, pack, row, &scratch.labels, margins);
                }
            }
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,popcnt")]
fn label<T: Vector, const LANES: usize>(plan: &LanePlan<T>, pack: &Pack, scratches: &mut [LaneScratch]) {
    let lines = &plan.lines[pack.first_line..];
    let own = pack.first_tree..pack.first_tree + CHUNK * pack.chunks;
    if let Shape::Full { depth } = pack.shape {
        for LaneScratch { lanes, labels, .. } in scratches {
            let lanes = &lanes[..plan.lanes()];
            let look_up = LookUp {
                tables: tables(lanes),
                lanes,
            };
            label_full::<LANES>(depth, false, lines, &look_up, &mut labels[own.clone()]);
        }
        return;
    }
    for scratches in scratches.chunks_mut(ROWS_A_STEP) {
        for chunk in 0..pack.chunks {
            let own = pack.first_tree + CHUNK * chunk..pack.first_tree + CHUNK * (chunk + 1);
            if let Some(four) = scratches.as_chunks_mut::<ROWS_A_STEP>().0.first_mut() {
                let look_ups = four.each_ref().map(|scratch| {
                    let lanes = &scratch.lanes[..plan.lanes()];
                    LookUp {
                        tables: tables(lanes),
                        lanes,
                    }
                });
                let at = label_listed::<LANES, ROWS_A_STEP>(pack, chunk, lines, &look_ups);
                for (scratch, at) in four.iter_mut().zip(at) {
                    store(&mut scratch.labels[own.clone()], at);
                }
            } else {
                for LaneScratch { lanes, labels, .. } in &mut *scratches {
                    let lanes = &lanes[..plan.lanes()];
                    let look_up = LookUp {
                        tables: tables(lanes),
                        lanes,
                    };
                    let [at] = label_listed::<LANES, 1>(pack, chunk, lines, &[look_up]);
                    store(&mut labels[own.clone()], at);
                }
            }
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,popcnt")]
fn tables(lanes: &[u8]) -> [__m512i; 4] {
    let mut tables = [_mm512_setzero_si512(); 4];
    for (table, bytes) in tables.iter_mut().zip(lanes.chunks_exact(CHUNK)) {
        *table = load_bytes(bytes);
    }
    tables
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,popcnt")]
fn label_listed<const LANES: usize, const ROWS: usize>(
    pack: &Pack,
    chunk: usize,
    lines: &[Line],
    look_ups: &[LookUp<'_>; ROWS],
) -> [__m512i; ROWS] {
    let kinds = if LANES == GROUPED { 4 } else { 3 };
    let mut next = _mm512_setzero_si512();
    let mut at = [_mm512_setzero_si512(); ROWS];
    for lines in lines.chunks_exact(pack.chunks * kinds).take(pack.steps) {
        next = _mm512_add_epi8(next, _mm512_set1_epi8(1));
        let lines = &lines[chunk * kinds..][..kinds];
        let (index, rank) = (load(&lines[0]), load(&lines[1]));
        let (group, label) = (load(&lines[kinds - 2]), load(&lines[kinds - 1]));
        for (at, look_up) in at.iter_mut().zip(look_ups) {
            let exceeds = _mm512_cmpgt_epu8_mask(bytes_of::<LANES>(look_up, index, group), rank);
            let label = _mm512_mask_mov_epi8(_mm512_set1_epi8(-1), exceeds, label);
            *at = _mm512_mask_mov_epi8(*at, _mm512_cmpeq_epi8_mask(*at, label), next);
        }
    }
    at
}
