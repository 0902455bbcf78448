//! Evaluates a [`LanePlan`] with AVX-512: 64 trees a step. See the head of `plan/lanes` for what ranks, lanes and labels are.
//!
//! ```text
//! rank    value ─broadcast─▶ compare with 16 pivots ─popcount─▶ which block ─▶ compare with its 16 ─popcount─▶ a byte
//! step    indices ─vpermb over the lanes─▶ bytes ─ > ranks ─▶ and label = the step's ─▶ label := step + 1, where both
//! leaves  label of each tree ─▶ its leaf ─▶ one addition after the other, in tree order
//! ```
//!
//! 1. One permute looks up the lanes of 64 nodes: 64 lanes are a register, `vpermi2b` reads 128 from two, and bit 7 of the
//!    index chooses between two of those. Beyond 256 lanes a second byte names the 128 whose byte counts.
//! 2. A row in which nothing is missing has equal halves, so it reads the first one only: `vpermb` ignores the index bit that
//!    names the half.
//! 3. In full trees the turns taken choose a level's node by masked loads, first turn first: most of them are done before
//!    the last turn is known. 1,162 to 769 ns a row for 500 trees of depth 6, against labels.
//! 4. In listed trees a step waits for the label that the one before left. Labels are compared under the mask of those trees
//!    whose row goes right, so that only one comparison and one move are on that way; chunks are stepped in turn.
//! 5. Full trees read two lines a node from the second-level cache, whose bandwidth bounds them: they are asked for 8 KiB
//!    ahead. 710 to 640 ns for 500 trees of depth 6; listed trees gained nothing.
//! 6. Leaves are found by tree and label without following anything, and added while the next pack is decided.
//!
//! Several rows at once have tricks of their own: see `kernel/block.rs`, `avx512/rows.rs` and `avx512/leaves.rs`.

#![expect(
    unsafe_code,
    reason = "vector loads and stores take pointers, and code compiled for a CPU feature may be called only with proof of it"
)]

use std::ops::Range;

use std::arch::x86_64::{
    __m512i, _CMP_LE_OQ, _CMP_LT_OQ, _CMP_UNORD_Q, _MM_HINT_T0, _mm_movm_epi8, _mm_prefetch, _mm_storeu_si128,
    _mm512_add_epi8, _mm512_cmp_pd_mask, _mm512_cmp_ps_mask, _mm512_cmpeq_epi8_mask, _mm512_cmpgt_epu8_mask,
    _mm512_load_pd, _mm512_load_ps, _mm512_load_si512, _mm512_loadu_si512, _mm512_mask_add_epi8,
    _mm512_mask_cmpeq_epi8_mask, _mm512_mask_mov_epi8, _mm512_maskz_loadu_pd, _mm512_maskz_loadu_ps,
    _mm512_movepi8_mask, _mm512_permutex2var_epi8, _mm512_permutexvar_epi8, _mm512_set1_epi8, _mm512_set1_pd,
    _mm512_set1_ps, _mm512_setzero_si512, _mm512_storeu_si512,
};

mod leaves;
mod rows;
mod stages;

use super::block::LaneBlock;
use super::lanes::{LaneScratch, add_pack};
use super::rank::{Search, SearchBy, rank_row};
use super::real::Real;
use super::sums::sum_pack;
use crate::ensemble::Comparison;
use crate::plan::lanes::{BLOCK, Block, CHUNK, FULL_DEPTH_MAX, GROUP, LanePlan, Leaves, Line, Pack, Shape};
use leaves::ByTree;

/// Proof that the CPU has the instructions.
#[derive(Debug, Clone, Copy)]
pub struct Avx512(());

impl Avx512 {
    /// The kernel, on a CPU that has what it needs.
    #[must_use]
    pub fn new() -> Option<Self> {
        let has = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512vbmi")
            && is_x86_feature_detected!("popcnt");
        has.then_some(Self(()))
    }

    /// Sums a plan's trees for one row into `margins`, which it first sets to the base margins.
    ///
    /// `row` has at least one value and one for each column, as [`crate::ensemble::Input`] leaves it, NaN for missing;
    /// `scratch` was made for the plan.
    pub fn margins<T: Vector>(self, plan: &LanePlan<T>, row: &[T], scratch: &mut LaneScratch, margins: &mut [T]) {
        // SAFETY: `self` exists only where `new` has found every feature that the function is compiled for.
        unsafe { row_margins(plan, row, scratch, margins) }
    }

    /// Does the same for several rows, `width` values each; `block` was made for the plan and for as many of them.
    pub fn rows_margins<T: Vector>(
        self,
        plan: &LanePlan<T>,
        rows: &[T],
        width: usize,
        block: &mut LaneBlock,
        margins: &mut [T],
    ) {
        // SAFETY: as above.
        unsafe { rows::rows_margins(plan, rows, width, block, margins) }
    }
}

/// A number that vectors compare: [`f32`] and [`f64`].
pub trait Vector: Real {
    /// How many of a block's thresholds are below the value (`OR_EQUAL`: a value equal to a threshold stays left of it).
    ///
    /// # Safety
    /// The CPU has AVX-512F and POPCNT.
    #[doc(hidden)]
    unsafe fn count<const OR_EQUAL: bool>(block: &[Self; BLOCK], value: Self) -> usize;

    /// Writes 255 for each value that is NaN, else 0, to as many bytes as the row has values, rounded up to 16. Returns
    /// whether there is one.
    ///
    /// # Safety
    /// The CPU has AVX-512F, BW and VL.
    #[doc(hidden)]
    unsafe fn missing(row: &[Self], bytes: &mut [u8]) -> bool;

    /// Leaves of a tree that [`Self::sum_sixteen`] can look up.
    #[doc(hidden)]
    const LEAVES_MAX: usize;

    /// Adds the leaves of some trees to the sums of sixteen rows. `leaves` begins with those of the first of them, `stride`
    /// for each, which is at most [`Self::LEAVES_MAX`].
    ///
    /// # Safety
    /// The CPU has AVX-512F and BW.
    #[doc(hidden)]
    unsafe fn sum_sixteen(
        leaves: &[Self],
        stride: usize,
        labels: &ByTree,
        trees: Range<usize>,
        sums: &mut [Self; leaves::ROWS],
    );
}

impl Vector for f32 {
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,popcnt")]
    unsafe fn count<const OR_EQUAL: bool>(block: &[Self; BLOCK], value: Self) -> usize {
        let value = _mm512_set1_ps(value);
        // SAFETY: the block is 16 f32, 64 bytes, and aligned so as part of a `Block`.
        let thresholds = unsafe { _mm512_load_ps(block.as_ptr()) };
        let below = if OR_EQUAL {
            _mm512_cmp_ps_mask::<_CMP_LT_OQ>(thresholds, value)
        } else {
            _mm512_cmp_ps_mask::<_CMP_LE_OQ>(thresholds, value)
        };
        below.count_ones() as usize
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    unsafe fn missing(row: &[Self], bytes: &mut [u8]) -> bool {
        let mut any = 0;
        for (values, bytes) in row.chunks(BLOCK).zip(bytes.chunks_exact_mut(BLOCK)) {
            let there = u16::MAX >> (BLOCK - values.len());
            // SAFETY: the mask lets only those be read that are there.
            let values = unsafe { _mm512_maskz_loadu_ps(there, values.as_ptr()) };
            let missing = _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(values, values);
            store_missing(missing, bytes);
            any |= missing;
        }
        any != 0
    }

    const LEAVES_MAX: usize = 64;

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,popcnt")]
    unsafe fn sum_sixteen(
        leaves: &[Self],
        stride: usize,
        labels: &ByTree,
        trees: Range<usize>,
        sums: &mut [Self; leaves::ROWS],
    ) {
        match stride {
            0..=32 => leaves::sum_f32::<1>(leaves, stride, labels, trees, sums),
            _ => leaves::sum_f32::<2>(leaves, stride, labels, trees, sums),
        }
    }
}

impl Vector for f64 {
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,popcnt")]
    unsafe fn count<const OR_EQUAL: bool>(block: &[Self; BLOCK], value: Self) -> usize {
        let value = _mm512_set1_pd(value);
        // SAFETY: the block is 16 f64, 128 bytes, and aligned to 64 as part of a `Block`; 8 are read from its middle.
        let (low, high) = unsafe { (_mm512_load_pd(block.as_ptr()), _mm512_load_pd(block.as_ptr().add(8))) };
        let below = |thresholds| {
            if OR_EQUAL {
                _mm512_cmp_pd_mask::<_CMP_LT_OQ>(thresholds, value)
            } else {
                _mm512_cmp_pd_mask::<_CMP_LE_OQ>(thresholds, value)
            }
        };
        (u32::from(below(low)) | u32::from(below(high)) << 8).count_ones() as usize
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    unsafe fn missing(row: &[Self], bytes: &mut [u8]) -> bool {
        let mut any = 0;
        for (values, bytes) in row.chunks(BLOCK).zip(bytes.chunks_exact_mut(BLOCK)) {
            let [low, high] = (u16::MAX >> (BLOCK - values.len())).to_le_bytes();
            let (first, second) = values.split_at(values.len().min(8));
            // SAFETY: the masks let only those be read that are there.
            let (first, second) = unsafe {
                (
                    _mm512_maskz_loadu_pd(low, first.as_ptr()),
                    _mm512_maskz_loadu_pd(high, second.as_ptr()),
                )
            };
            let missing = [first, second].map(|values| _mm512_cmp_pd_mask::<_CMP_UNORD_Q>(values, values));
            store_missing(u16::from_le_bytes(missing), bytes);
            any |= u16::from_le_bytes(missing);
        }
        any != 0
    }

    const LEAVES_MAX: usize = 64;

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,popcnt")]
    unsafe fn sum_sixteen(
        leaves: &[Self],
        stride: usize,
        labels: &ByTree,
        trees: Range<usize>,
        sums: &mut [Self; leaves::ROWS],
    ) {
        match stride {
            0..=16 => leaves::sum_f64::<1>(leaves, stride, labels, trees, sums),
            17..=32 => leaves::sum_f64::<2>(leaves, stride, labels, trees, sums),
            _ => leaves::sum_f64::<4>(leaves, stride, labels, trees, sums),
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn store_missing(missing: u16, bytes: &mut [u8]) {
    let (bytes, _) = bytes.split_first_chunk_mut::<BLOCK>().expect("bytes come in blocks");
    // SAFETY: 16 bytes are there; the store needs no alignment.
    unsafe { _mm_storeu_si128(std::ptr::from_mut(bytes).cast(), _mm_movm_epi8(missing)) }
}

/// How a block of thresholds is compared with a value, and how NaN is found.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,popcnt")]
fn search<T: Vector, const OR_EQUAL: bool>() -> impl Search<T> {
    SearchBy {
        // SAFETY: this function is compiled for the features that both ask for.
        count: |block: &Block<T>, value| unsafe { T::count::<OR_EQUAL>(&block.0, value) },
        // SAFETY: as above.
        missing: |row: &[T], bytes: &mut [u8]| unsafe { T::missing(row, bytes) },
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,popcnt")]
fn row_margins<T: Vector>(plan: &LanePlan<T>, row: &[T], scratch: &mut LaneScratch, margins: &mut [T]) {
    let LaneScratch { lanes, missing, labels } = scratch;
    let both = plan.is_grouped();
    let any_missing = match plan.comparison {
        Comparison::Less => rank_row(plan, row, lanes, missing, &search::<T, false>(), both),
        Comparison::LessOrEqual => rank_row(plan, row, lanes, missing, &search::<T, true>(), both),
    };
    let used = if any_missing & plan.has_right {
        plan.lanes()
    } else {
        plan.half
    };
    let lanes = &lanes[..plan.lanes()];
    match used {
        _ if plan.is_grouped() => evaluate::<T, GROUPED>(plan, row, lanes, labels, margins),
        64 => evaluate::<T, 64>(plan, row, lanes, labels, margins),
        128 => evaluate::<T, 128>(plan, row, lanes, labels, margins),
        _ => evaluate::<T, 256>(plan, row, lanes, labels, margins),
    }
}

/// Lines that are asked for ahead of the ones in use: 8 KiB, what a chunk of full trees of depth 6 takes.
const AHEAD: usize = 128;

/// Lines of the plans for which asking ahead is worth it. Smaller ones stay in the first-level cache from row to row, and
/// what larger ones wait for is beyond the second: 1,000 trees of depth 8 take 2.9 µs without and 3.1 with it.
const ASKED_FOR: Range<usize> = 512..4_096;

/// Lanes beyond those of [`crate::plan::lanes::LANES_BYTE`].
const GROUPED: usize = 0;

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,popcnt")]
fn evaluate<T: Vector, const LANES: usize>(
    plan: &LanePlan<T>,
    row: &[T],
    lanes: &[u8],
    labels: &mut [u8],
    margins: &mut [T],
) {
    let look_up = LookUp::new(lanes);
    margins.copy_from_slice(&plan.base_margins);
    let mut sum = margins[0];
    let mut add = |pack: &Pack, labels: &[u8]| match &plan.leaves {
        Leaves::Numbers { values, outputs } if outputs.is_empty() => sum = sum_pack(pack, values, labels, sum),
        Leaves::Numbers { .. } | Leaves::Places { .. } => add_pack(plan, pack, row, labels, margins),
    };
    let mut before: Option<&Pack> = None;
    for pack in &plan.packs {
        label_pack::<T, LANES>(plan, pack, &look_up, labels);
        if let Some(before) = before.replace(pack) {
            add(before, labels);
        }
    }
    if let Some(last) = before {
        add(last, labels);
    }
    if let Leaves::Numbers { outputs, .. } = &plan.leaves
        && outputs.is_empty()
    {
        margins[0] = sum;
    }
}

/// Decides a pack's trees for a row.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,popcnt")]
fn label_pack<T: Vector, const LANES: usize>(plan: &LanePlan<T>, pack: &Pack, look_up: &LookUp<'_>, labels: &mut [u8]) {
    let is_asked_for = ASKED_FOR.contains(&plan.lines.len());
    let lines = &plan.lines[pack.first_line..];
    let own = &mut labels[pack.first_tree..][..CHUNK * pack.chunks];
    match (pack.shape, pack.chunks) {
        (Shape::Full { depth }, _) => label_full::<LANES>(depth, is_asked_for, lines, look_up, own),
        (Shape::Listed, 1) => label_listed::<LANES, 1>(pack.steps, lines, look_up, own),
        (Shape::Listed, 2) => label_listed::<LANES, 2>(pack.steps, lines, look_up, own),
        (Shape::Listed, 3) => label_listed::<LANES, 3>(pack.steps, lines, look_up, own),
        (Shape::Listed, _) => label_listed::<LANES, 4>(pack.steps, lines, look_up, own),
    }
}

/// A row's lanes: in registers when an index byte can name them.
#[derive(Clone, Copy)]
struct LookUp<'a> {
    tables: [__m512i; 4],
    lanes: &'a [u8],
}

impl<'a> LookUp<'a> {
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,popcnt")]
    fn new(lanes: &'a [u8]) -> Self {
        let mut tables = [_mm512_setzero_si512(); 4];
        for (table, bytes) in tables.iter_mut().zip(lanes.chunks_exact(CHUNK)) {
            *table = load_bytes(bytes);
        }
        Self { tables, lanes }
    }
}

/// One of a level's lines for each of 64 trees: the one that its turns so far lead to.
macro_rules! select {
    ($name:ident, $turn:literal, $below:ident) => {
        #[inline]
        #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,popcnt")]
        fn $name(lines: &[Line], turns: &[u64; FULL_DEPTH_MAX]) -> __m512i {
            let (left, right) = lines.split_at(1 << $turn);
            _mm512_mask_mov_epi8($below(left, turns), turns[$turn], $below(right, turns))
        }
    };
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,popcnt")]
fn select_0(lines: &[Line], _: &[u64; FULL_DEPTH_MAX]) -> __m512i {
    load(&lines[0])
}

select!(select_1, 0, select_0);
select!(select_2, 1, select_1);
select!(select_3, 2, select_2);
select!(select_4, 3, select_3);
select!(select_5, 4, select_4);
select!(select_6, 5, select_5);
select!(select_7, 6, select_6);

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,popcnt")]
fn label_full<const LANES: usize>(
    depth: usize,
    is_asked_for: bool,
    lines: &[Line],
    look_up: &LookUp<'_>,
    labels: &mut [u8],
) {
    let mut rest = lines;
    let mut turns = [0u64; FULL_DEPTH_MAX];
    let mut at = _mm512_setzero_si512();
    macro_rules! level {
        ($level:literal, $select:ident) => {
            if depth > $level {
                let nodes = 1 << $level;
                let kinds = if LANES == GROUPED { 3 } else { 2 };
                let (own, below) = rest.split_at(kinds * nodes);
                rest = below;
                if is_asked_for {
                    prefetch(own);
                }
                let index = $select(&own[..nodes], &turns);
                let rank = $select(&own[nodes..2 * nodes], &turns);
                let group = match LANES {
                    GROUPED => $select(&own[2 * nodes..], &turns),
                    _ => index,
                };
                turns[$level] = _mm512_cmpgt_epu8_mask(bytes_of::<LANES>(look_up, index, group), rank);
                let doubled = _mm512_add_epi8(at, at);
                at = _mm512_mask_add_epi8(doubled, turns[$level], doubled, _mm512_set1_epi8(1));
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
    store(labels, at);
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,popcnt")]
fn label_listed<const LANES: usize, const CHUNKS: usize>(
    steps: usize,
    lines: &[Line],
    look_up: &LookUp<'_>,
    labels: &mut [u8],
) {
    let kinds = if LANES == GROUPED { 4 } else { 3 };
    let mut next = _mm512_setzero_si512();
    let mut at = [_mm512_setzero_si512(); CHUNKS];
    for lines in lines.chunks_exact(CHUNKS * kinds).take(steps) {
        next = _mm512_add_epi8(next, _mm512_set1_epi8(1));
        for (chunk, at) in at.iter_mut().enumerate() {
            let lines = &lines[chunk * kinds..][..kinds];
            let bytes = bytes_of::<LANES>(look_up, load(&lines[0]), load(&lines[kinds - 2]));
            let exceeds = _mm512_cmpgt_epu8_mask(bytes, load(&lines[1]));
            let moves = _mm512_mask_cmpeq_epi8_mask(exceeds, *at, load(&lines[kinds - 1]));
            *at = _mm512_mask_mov_epi8(*at, moves, next);
        }
    }
    for (at, labels) in at.into_iter().zip(labels.chunks_exact_mut(CHUNK)) {
        store(labels, at);
    }
}

/// The bytes of 64 lanes.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,popcnt")]
fn bytes_of<const LANES: usize>(look_up: &LookUp<'_>, indices: __m512i, groups: __m512i) -> __m512i {
    let [a, b, c, d] = look_up.tables;
    match LANES {
        64 => _mm512_permutexvar_epi8(indices, a),
        128 => _mm512_permutex2var_epi8(a, indices, b),
        256 => {
            let low = _mm512_permutex2var_epi8(a, indices, b);
            let high = _mm512_permutex2var_epi8(c, indices, d);
            _mm512_mask_mov_epi8(low, _mm512_movepi8_mask(indices), high)
        }
        _ => {
            let mut bytes = _mm512_setzero_si512();
            let mut group = _mm512_setzero_si512();
            for lanes in look_up.lanes.chunks_exact(GROUP) {
                let (low, high) = lanes.split_at(CHUNK);
                let found = _mm512_permutex2var_epi8(load_bytes(low), indices, load_bytes(high));
                bytes = _mm512_mask_mov_epi8(bytes, _mm512_cmpeq_epi8_mask(groups, group), found);
                group = _mm512_add_epi8(group, _mm512_set1_epi8(1));
            }
            bytes
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store(labels: &mut [u8], at: __m512i) {
    let (labels, _) = labels
        .split_first_chunk_mut::<CHUNK>()
        .expect("labels come in chunks of 64");
    // SAFETY: 64 bytes are there; the store needs no alignment.
    unsafe { _mm512_storeu_si512(std::ptr::from_mut(labels).cast(), at) }
}

/// Asks the first-level cache for what lies ahead of some lines.
#[inline]
fn prefetch(lines: &[Line]) {
    for line in lines {
        let ahead = std::ptr::from_ref(line).wrapping_add(AHEAD);
        // SAFETY: a prefetch may be given any address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(ahead.cast()) }
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load(line: &Line) -> __m512i {
    // SAFETY: a line is 64 bytes and aligned to 64.
    unsafe { _mm512_load_si512(std::ptr::from_ref(line).cast()) }
}

/// Loads the first 64 of at least 64 bytes.
#[inline]
#[target_feature(enable = "avx512f")]
fn load_bytes(bytes: &[u8]) -> __m512i {
    let (bytes, _) = bytes.split_first_chunk::<CHUNK>().expect("lanes come in chunks of 64");
    // SAFETY: 64 bytes are there; the load needs no alignment.
    unsafe { _mm512_loadu_si512(std::ptr::from_ref(bytes).cast()) }
}
