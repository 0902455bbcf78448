//! Evaluates a [`LanePlan`] with AVX2: 32 trees a step, half of each line. See the head of `plan/lanes` for what ranks, lanes
//! and labels are, and `avx512.rs` for the same with wider registers.
//!
//! ```text
//! rank    value ─broadcast─▶ compare with 16 pivots ─popcount─▶ which block ─▶ compare with its 16 ─popcount─▶ a byte
//! step    indices ─pshufb over 16 lanes, for each 16─▶ blends by bits 4, 5 … of the index ─▶ bytes ─ > ranks ─▶ a mask
//! leaves  label of each tree ─▶ its leaf ─▶ one addition after the other, in tree order
//! ```
//!
//! 1. `pshufb` reaches 16 bytes. 64 lanes are four of them and three blends, 128 are eight and seven, 256 twice that. A blend
//!    looks at bit 7 of a byte, to which a shift of 16-bit words brings any bit of the index.
//! 2. Beyond 256 lanes the bytes are fetched from memory one by one.
//! 3. Bytes are compared as signed ones: the lanes are kept with bit 7 turned over, and a node's rank is turned when used.
//! 4. A row in which nothing is missing has equal halves, so it reads the first one only.
//! 5. Masks are bytes, 255 where a tree's row goes right: -1, which the labels of full trees subtract.

#![expect(
    unsafe_code,
    reason = "vector loads and stores take pointers, and code compiled for a CPU feature may be called only with proof of it"
)]

use std::arch::x86_64::{
    __m256i, _mm_loadu_si128, _mm256_add_epi8, _mm256_and_si256, _mm256_blendv_epi8, _mm256_broadcastsi128_si256,
    _mm256_cmpeq_epi8, _mm256_cmpgt_epi8, _mm256_load_si256, _mm256_loadu_si256, _mm256_set1_epi8,
    _mm256_setzero_si256, _mm256_shuffle_epi8, _mm256_slli_epi16, _mm256_storeu_si256, _mm256_sub_epi8,
    _mm256_xor_si256,
};

mod rank;
mod stages;

use super::block::{LaneBlock, sum_rows};
use super::lanes::{LaneScratch, add_pack};
use super::rank::{Search, SearchBy, rank_row, rank_rows};
use super::sums::{sum_block, sum_pack};
use crate::ensemble::Comparison;
use crate::plan::lanes::{Block, CHUNK, FULL_DEPTH_MAX, GROUP, LANES_BYTE, LanePlan, Leaves, Line, Pack, Shape};
pub use rank::Vector;

/// Bytes of a register: trees of a step.
const HALF_CHUNK: usize = CHUNK / 2;

/// Lanes that one `pshufb` reaches.
const REACH: usize = 16;

/// Lanes beyond those of [`LANES_BYTE`].
const GROUPED: usize = 0;

/// Proof that the CPU has the instructions.
#[derive(Debug, Clone, Copy)]
pub struct Avx2(());

impl Avx2 {
    /// The kernel, on a CPU that has what it needs.
    #[must_use]
    pub fn new() -> Option<Self> {
        let has = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("popcnt");
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
        unsafe { rows_margins(plan, rows, width, block, margins) }
    }
}

/// How a block of thresholds is compared with a value, and how NaN is found.
#[inline]
#[target_feature(enable = "avx2,popcnt")]
fn search<T: Vector, const OR_EQUAL: bool>() -> impl Search<T> {
    SearchBy {
        // SAFETY: this function is compiled for the features that `count` asks for.
        count: |block: &Block<T>, value| unsafe { T::count::<OR_EQUAL>(&block.0, value) },
        missing: |row: &[T], bytes: &mut [u8]| {
            let mut any = 0;
            for (missing, value) in bytes.iter_mut().zip(row) {
                *missing = if value.is_nan() { u8::MAX } else { 0 };
                any |= *missing;
            }
            any != 0
        },
    }
}

#[target_feature(enable = "avx2,popcnt")]
fn row_margins<T: Vector>(plan: &LanePlan<T>, row: &[T], scratch: &mut LaneScratch, margins: &mut [T]) {
    let any_missing = rank(plan, row, scratch, plan.is_grouped());
    let used = if any_missing & plan.has_right {
        plan.lanes()
    } else {
        plan.half
    };
    match used {
        _ if plan.is_grouped() => evaluate::<T, GROUPED>(plan, row, scratch, margins),
        64 => evaluate::<T, 64>(plan, row, scratch, margins),
        128 => evaluate::<T, 128>(plan, row, scratch, margins),
        _ => evaluate::<T, 256>(plan, row, scratch, margins),
    }
}

#[inline]
#[target_feature(enable = "avx2,popcnt")]
fn rank<T: Vector>(plan: &LanePlan<T>, row: &[T], scratch: &mut LaneScratch, always_both: bool) -> bool {
    let LaneScratch { lanes, missing, .. } = scratch;
    match plan.comparison {
        Comparison::Less => rank_row(plan, row, lanes, missing, &search::<T, false>(), always_both),
        Comparison::LessOrEqual => rank_row(plan, row, lanes, missing, &search::<T, true>(), always_both),
    }
}

#[inline]
#[target_feature(enable = "avx2,popcnt")]
fn evaluate<T: Vector, const LANES: usize>(
    plan: &LanePlan<T>,
    row: &[T],
    scratch: &mut LaneScratch,
    margins: &mut [T],
) {
    let LaneScratch { lanes, labels, .. } = scratch;
    let look_up = LookUp::new::<LANES>(&lanes[..plan.lanes()]);
    margins.copy_from_slice(&plan.base_margins);
    let mut sum = margins[0];
    let mut add = |pack: &Pack, labels: &[u8]| match &plan.leaves {
        Leaves::Numbers { values, outputs } if outputs.is_empty() => sum = sum_pack(pack, values, labels, sum),
        Leaves::Numbers { .. } | Leaves::Places { .. } => add_pack(plan, pack, row, labels, margins),
    };
    let mut before: Option<&Pack> = None;
    for pack in &plan.packs {
        label::<T, LANES>(plan, pack, &look_up, labels);
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

/// Several rows: a chunk is decided for one after the other, so that its lines come from beyond the first-level cache once.
#[target_feature(enable = "avx2,popcnt")]
fn rows_margins<T: Vector>(plan: &LanePlan<T>, rows: &[T], width: usize, block: &mut LaneBlock, margins: &mut [T]) {
    let (lanes, missing) = block.lanes_and_missing(plan, rows.len() / width);
    match plan.comparison {
        Comparison::Less => rank_rows(plan, (rows, width), lanes, missing, &search::<T, false>()),
        Comparison::LessOrEqual => rank_rows(plan, (rows, width), lanes, missing, &search::<T, true>()),
    }
    match plan.lanes() {
        _ if plan.is_grouped() => evaluate_rows::<T, GROUPED>(plan, rows, width, block, margins),
        64 => evaluate_rows::<T, 64>(plan, rows, width, block, margins),
        128 => evaluate_rows::<T, 128>(plan, rows, width, block, margins),
        _ => evaluate_rows::<T, 256>(plan, rows, width, block, margins),
    }
}

#[inline]
#[target_feature(enable = "avx2,popcnt")]
fn evaluate_rows<T: Vector, const LANES: usize>(
    plan: &LanePlan<T>,
    rows: &[T],
    width: usize,
    block: &mut LaneBlock,
    margins: &mut [T],
) {
    let label = |pack: &Pack, chunk: usize, lanes: &[u8], labels: &mut [u8]| {
        let lines = &plan.lines[pack.first_line..];
        let lanes = lanes.chunks_exact(2 * plan.half);
        for (lanes, labels) in lanes.zip(labels.chunks_exact_mut(CHUNK)) {
            let look_up = LookUp::new::<LANES>(&lanes[..plan.lanes()]);
            match pack.shape {
                Shape::Full { depth } => label_both::<LANES>(depth, lines, &look_up, labels),
                Shape::Listed => label_chunk::<LANES>(pack, chunk, lines, &look_up, labels),
            }
        }
    };
    sum_rows(plan, (rows, width), block, margins, label, sum_block);
}

/// Decides a pack's trees for a row.
#[inline]
#[target_feature(enable = "avx2,popcnt")]
fn label<T: Vector, const LANES: usize>(plan: &LanePlan<T>, pack: &Pack, look_up: &LookUp<'_>, labels: &mut [u8]) {
    let lines = &plan.lines[pack.first_line..];
    let own = &mut labels[pack.first_tree..][..CHUNK * pack.chunks];
    match (pack.shape, pack.chunks) {
        (Shape::Full { depth }, _) => label_both::<LANES>(depth, lines, look_up, own),
        (Shape::Listed, 1) => label_listed::<LANES, 1>(pack.steps, lines, look_up, own),
        (Shape::Listed, 2) => label_listed::<LANES, 2>(pack.steps, lines, look_up, own),
        (Shape::Listed, 3) => label_listed::<LANES, 3>(pack.steps, lines, look_up, own),
        (Shape::Listed, _) => label_listed::<LANES, 4>(pack.steps, lines, look_up, own),
    }
}

/// One of a level's lines for each of 32 trees: the one that its turns so far lead to.
macro_rules! select {
    ($name:ident, $turn:literal, $below:ident) => {
        #[inline]
        #[target_feature(enable = "avx2,popcnt")]
        fn $name<const HALF: usize>(lines: &[Line], turns: &[__m256i; FULL_DEPTH_MAX]) -> __m256i {
            let (left, right) = lines.split_at(1 << $turn);
            _mm256_blendv_epi8(
                $below::<HALF>(left, turns),
                $below::<HALF>(right, turns),
                turns[$turn],
            )
        }
    };
}

#[inline]
#[target_feature(enable = "avx2,popcnt")]
fn select_0<const HALF: usize>(lines: &[Line], _: &[__m256i; FULL_DEPTH_MAX]) -> __m256i {
    load(&lines[0], HALF)
}

select!(select_1, 0, select_0);
select!(select_2, 1, select_1);
select!(select_3, 2, select_2);
select!(select_4, 3, select_3);
select!(select_5, 4, select_4);
select!(select_6, 5, select_5);
select!(select_7, 6, select_6);

/// Both halves of a chunk of full trees.
#[inline]
#[target_feature(enable = "avx2,popcnt")]
fn label_both<const LANES: usize>(depth: usize, lines: &[Line], look_up: &LookUp<'_>, labels: &mut [u8]) {
    let (first, second) = labels.split_at_mut(HALF_CHUNK);
    label_full::<LANES, 0>(depth, lines, look_up, first);
    label_full::<LANES, 1>(depth, lines, look_up, second);
}

#[inline]
#[target_feature(enable = "avx2,popcnt")]
fn label_full<const LANES: usize, const HALF: usize>(
    depth: usize,
    lines: &[Line],
    look_up: &LookUp<'_>,
    labels: &mut [u8],
) {
    let mut rest = lines;
    let mut turns = [_mm256_setzero_si256(); FULL_DEPTH_MAX];
    let mut at = _mm256_setzero_si256();
    macro_rules! level {
        ($level:literal, $select:ident) => {
            if depth > $level {
                let nodes = 1 << $level;
                let kinds = if LANES == GROUPED { 3 } else { 2 };
                let (own, below) = rest.split_at(kinds * nodes);
                rest = below;
                let index = $select::<HALF>(&own[..nodes], &turns);
                let rank = $select::<HALF>(&own[nodes..2 * nodes], &turns);
                let group = match LANES {
                    GROUPED => $select::<HALF>(&own[2 * nodes..], &turns),
                    _ => index,
                };
                turns[$level] = exceeds(look_up.bytes_of::<LANES>(index, group), rank);
                at = _mm256_sub_epi8(_mm256_add_epi8(at, at), turns[$level]);
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
#[target_feature(enable = "avx2,popcnt")]
fn label_listed<const LANES: usize, const CHUNKS: usize>(
    steps: usize,
    lines: &[Line],
    look_up: &LookUp<'_>,
    labels: &mut [u8],
) {
    let kinds = if LANES == GROUPED { 4 } else { 3 };
    let mut next = _mm256_setzero_si256();
    let mut at = [[_mm256_setzero_si256(); 2]; CHUNKS];
    for lines in lines.chunks_exact(CHUNKS * kinds).take(steps) {
        next = _mm256_add_epi8(next, _mm256_set1_epi8(1));
        for (lines, at) in lines.chunks_exact(kinds).zip(&mut at) {
            for (half, at) in at.iter_mut().enumerate() {
                *at = step::<LANES>(lines, half, look_up, *at, next);
            }
        }
    }
    for (at, labels) in at.into_iter().flatten().zip(labels.chunks_exact_mut(HALF_CHUNK)) {
        store(labels, at);
    }
}

/// One chunk of a pack of listed trees.
#[inline]
#[target_feature(enable = "avx2,popcnt")]
fn label_chunk<const LANES: usize>(pack: &Pack, chunk: usize, lines: &[Line], look_up: &LookUp<'_>, labels: &mut [u8]) {
    let kinds = if LANES == GROUPED { 4 } else { 3 };
    let mut next = _mm256_setzero_si256();
    let mut at = [_mm256_setzero_si256(); 2];
    for lines in lines.chunks_exact(pack.chunks * kinds).take(pack.steps) {
        next = _mm256_add_epi8(next, _mm256_set1_epi8(1));
        let lines = &lines[chunk * kinds..][..kinds];
        for (half, at) in at.iter_mut().enumerate() {
            *at = step::<LANES>(lines, half, look_up, *at, next);
        }
    }
    for (at, labels) in at.into_iter().zip(labels.chunks_exact_mut(HALF_CHUNK)) {
        store(labels, at);
    }
}

/// A step of half a chunk of listed trees.
#[inline]
#[target_feature(enable = "avx2,popcnt")]
fn step<const LANES: usize>(lines: &[Line], half: usize, look_up: &LookUp<'_>, at: __m256i, next: __m256i) -> __m256i {
    let last = lines.len() - 1;
    let bytes = look_up.bytes_of::<LANES>(load(&lines[0], half), load(&lines[last - 1], half));
    let exceeds = exceeds(bytes, load(&lines[1], half));
    let is_here = _mm256_cmpeq_epi8(at, load(&lines[last], half));
    _mm256_blendv_epi8(at, next, _mm256_and_si256(exceeds, is_here))
}

/// A row's lanes, bit 7 turned over: sixteen of them in both halves of a register, as `pshufb` reads them.
struct LookUp<'a> {
    tables: [__m256i; LANES_BYTE / REACH],
    lanes: &'a [u8],
}

impl<'a> LookUp<'a> {
    #[inline]
    #[target_feature(enable = "avx2,popcnt")]
    fn new<const LANES: usize>(lanes: &'a [u8]) -> Self {
        let mut tables = [_mm256_setzero_si256(); LANES_BYTE / REACH];
        for (table, bytes) in tables.iter_mut().zip(lanes.as_chunks::<REACH>().0).take(LANES / REACH) {
            // SAFETY: 16 bytes are there; the load needs no alignment.
            let bytes = unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) };
            *table = turned(_mm256_broadcastsi128_si256(bytes));
        }
        Self { tables, lanes }
    }

    /// The bytes of 32 lanes, bit 7 turned over.
    #[inline]
    #[target_feature(enable = "avx2,popcnt")]
    fn bytes_of<const LANES: usize>(&self, indices: __m256i, groups: __m256i) -> __m256i {
        // Of 64 lanes an index has no bit 7, which `pshufb` would heed; a bit for the half it does not.
        let within = match LANES {
            64 => indices,
            _ => _mm256_and_si256(indices, _mm256_set1_epi8(0x0f)),
        };
        match LANES {
            64 => self.of_64(0, indices, within),
            128 => self.of_128(0, indices, within),
            256 => {
                let [low, high] = [0, GROUP / REACH].map(|first| self.of_128(first, indices, within));
                _mm256_blendv_epi8(low, high, indices)
            }
            _ => self.fetch(indices, groups),
        }
    }

    #[inline]
    #[target_feature(enable = "avx2,popcnt")]
    fn of_128(&self, first: usize, indices: __m256i, within: __m256i) -> __m256i {
        let low = self.of_64(first, indices, within);
        let high = self.of_64(first + CHUNK / REACH, indices, within);
        _mm256_blendv_epi8(low, high, _mm256_slli_epi16::<1>(indices))
    }

    #[inline]
    #[target_feature(enable = "avx2,popcnt")]
    fn of_64(&self, first: usize, indices: __m256i, within: __m256i) -> __m256i {
        let is_odd = _mm256_slli_epi16::<3>(indices);
        let pair = |first: usize| {
            let low = _mm256_shuffle_epi8(self.tables[first], within);
            let high = _mm256_shuffle_epi8(self.tables[first + 1], within);
            _mm256_blendv_epi8(low, high, is_odd)
        };
        _mm256_blendv_epi8(pair(first), pair(first + 2), _mm256_slli_epi16::<2>(indices))
    }

    #[inline]
    #[target_feature(enable = "avx2,popcnt")]
    fn fetch(&self, indices: __m256i, groups: __m256i) -> __m256i {
        let (mut within, mut of) = ([0; HALF_CHUNK], [0; HALF_CHUNK]);
        store(&mut within, indices);
        store(&mut of, groups);
        let mut bytes = [0; HALF_CHUNK];
        for ((byte, index), group) in bytes.iter_mut().zip(within).zip(of) {
            *byte = self.lanes[usize::from(index) + GROUP * usize::from(group)];
        }
        // SAFETY: 32 bytes are there; the load needs no alignment.
        turned(unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) })
    }
}

/// Where a lane's byte, bit 7 turned over, exceeds a rank.
#[inline]
#[target_feature(enable = "avx2")]
fn exceeds(bytes: __m256i, ranks: __m256i) -> __m256i {
    _mm256_cmpgt_epi8(bytes, turned(ranks))
}

#[inline]
#[target_feature(enable = "avx2")]
fn turned(bytes: __m256i) -> __m256i {
    _mm256_xor_si256(bytes, _mm256_set1_epi8(i8::MIN))
}

#[inline]
#[target_feature(enable = "avx2")]
fn store(labels: &mut [u8], at: __m256i) {
    let labels = labels
        .first_chunk_mut::<HALF_CHUNK>()
        .expect("labels come in chunks of 64");
    // SAFETY: 32 bytes are there; the store needs no alignment.
    unsafe { _mm256_storeu_si256(std::ptr::from_mut(labels).cast(), at) }
}

/// Half of a line.
#[inline]
#[target_feature(enable = "avx2")]
fn load(line: &Line, half: usize) -> __m256i {
    let (halves, _) = line.0.as_chunks::<HALF_CHUNK>();
    // SAFETY: half a line is 32 bytes, and aligned to 32 because the line is to 64.
    unsafe { _mm256_load_si256(std::ptr::from_ref(&halves[half]).cast()) }
}
