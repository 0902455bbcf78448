//! Leaves of sixteen rows at once, of trees whose leaves fit a few registers.
//!
//! ```text
//! labels   16 rows × 64 trees ─four rounds of byte unpacks─▶ 64 trees × 16 rows
//! a tree   its leaves, 2 or 4 registers of f32 ─permuted by the 16 labels─▶ one leaf for each row ─▶ 16 sums
//! ```
//!
//! A look-up by address costs two loads and an addition for each leaf; a permute serves sixteen of them (eight `f64`).
//! Every row is a lane of its own, so its sum is in tree order as before. 1,024 rows a call went from 849 to 571 ns a
//! row (500 trees of depth 6), 1,200 to 809 (500 of 31 leaves, `f64`), 311 to 288 (100 of depth 6); see `vector.rs` for
//! the machine.

use std::arch::x86_64::{
    __m512i, _mm_load_si128, _mm_loadl_epi64, _mm512_add_pd, _mm512_add_ps, _mm512_cvtepu8_epi32, _mm512_cvtepu8_epi64,
    _mm512_loadu_pd, _mm512_loadu_ps, _mm512_loadu_si512, _mm512_mask_mov_pd, _mm512_mask_mov_ps,
    _mm512_maskz_loadu_pd, _mm512_maskz_loadu_ps, _mm512_permutex2var_pd, _mm512_permutex2var_ps, _mm512_set1_epi32,
    _mm512_set1_epi64, _mm512_setzero_si512, _mm512_store_si512, _mm512_storeu_pd, _mm512_storeu_ps,
    _mm512_test_epi32_mask, _mm512_test_epi64_mask, _mm512_unpackhi_epi8, _mm512_unpacklo_epi8,
};
use std::ops::Range;

use crate::kernel::real::Real;
use crate::kernel::sums;
use crate::plan::lanes::CHUNK;

/// Rows that are summed together.
const ROWS: usize = 16;

/// Leaves of a tree that the permutes reach.
const LEAVES_MAX: usize = 64;

/// Labels of 16 rows, tree by tree: those of tree `t` begin at `t % 16 * 64 + t / 16 * 16`.
#[derive(Debug)]
#[repr(C, align(64))]
pub(super) struct ByTree([u8; ROWS * CHUNK]);

/// A number of which a few registers hold a tree's leaves.
pub(super) trait Leaf: Real {
    /// Adds the leaves of some trees to the sums of sixteen rows. `leaves` begins with those of the first of them,
    /// `stride` for each, which is at most [`LEAVES_MAX`].
    ///
    /// # Safety
    /// The CPU has AVX-512 F, BW and VL.
    unsafe fn sum_sixteen(
        leaves: &[Self],
        stride: usize,
        labels: &ByTree,
        trees: Range<usize>,
        sums: &mut [Self; ROWS],
    );
}

impl Leaf for f32 {
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,popcnt")]
    unsafe fn sum_sixteen(
        leaves: &[Self],
        stride: usize,
        labels: &ByTree,
        trees: Range<usize>,
        sums: &mut [Self; ROWS],
    ) {
        match stride {
            0..=32 => sum_f32::<1>(leaves, stride, labels, trees, sums),
            _ => sum_f32::<2>(leaves, stride, labels, trees, sums),
        }
    }
}

impl Leaf for f64 {
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,popcnt")]
    unsafe fn sum_sixteen(
        leaves: &[Self],
        stride: usize,
        labels: &ByTree,
        trees: Range<usize>,
        sums: &mut [Self; ROWS],
    ) {
        match stride {
            0..=16 => sum_f64::<1>(leaves, stride, labels, trees, sums),
            17..=32 => sum_f64::<2>(leaves, stride, labels, trees, sums),
            _ => sum_f64::<4>(leaves, stride, labels, trees, sums),
        }
    }
}

/// As [`sums::sum_block`].
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,popcnt")]
pub(super) fn sum_block<T: Leaf>(leaves: &[T], stride: usize, labels: &[u8], trees: Range<usize>, sums: &mut [T]) {
    if stride > LEAVES_MAX {
        return sums::sum_block(leaves, stride, labels, trees, sums);
    }
    let (groups, rest) = sums.as_chunks_mut::<ROWS>();
    let (labels, rest_labels) = labels.split_at(groups.len() * ROWS * CHUNK);
    for (sums, labels) in groups.iter_mut().zip(labels.as_chunks().0.as_chunks().0) {
        let labels = by_tree(labels);
        // SAFETY: this function is compiled for the features that `sum_sixteen` asks for.
        unsafe { T::sum_sixteen(leaves, stride, &labels, trees.clone(), sums) }
    }
    sums::sum_block(leaves, stride, rest_labels, trees, rest);
}

/// Transposes the labels of 16 rows.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,popcnt")]
fn by_tree(labels: &[[u8; CHUNK]; ROWS]) -> ByTree {
    let mut rows = [_mm512_setzero_si512(); ROWS];
    for (row, labels) in rows.iter_mut().zip(labels) {
        // SAFETY: 64 bytes are there; the load needs no alignment.
        *row = unsafe { _mm512_loadu_si512(std::ptr::from_ref(labels).cast()) };
    }
    let rows = interleaved(interleaved(interleaved(interleaved(rows))));
    let mut by_tree = ByTree([0; ROWS * CHUNK]);
    for (row, bytes) in rows.into_iter().zip(by_tree.0.as_chunks_mut::<CHUNK>().0) {
        // SAFETY: 64 bytes are there, aligned to 64 as part of a `ByTree`.
        unsafe { _mm512_store_si512(std::ptr::from_mut(bytes).cast(), row) }
    }
    by_tree
}

/// Brings together what the upper bit of a row's number separated. Written out, because a loop keeps its registers in
/// memory.
#[inline(always)]
fn interleaved(rows: [__m512i; ROWS]) -> [__m512i; ROWS] {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = rows;
    // SAFETY: called by what is compiled for AVX-512 BW only.
    unsafe {
        [
            _mm512_unpacklo_epi8(a, i),
            _mm512_unpackhi_epi8(a, i),
            _mm512_unpacklo_epi8(b, j),
            _mm512_unpackhi_epi8(b, j),
            _mm512_unpacklo_epi8(c, k),
            _mm512_unpackhi_epi8(c, k),
            _mm512_unpacklo_epi8(d, l),
            _mm512_unpackhi_epi8(d, l),
            _mm512_unpacklo_epi8(e, m),
            _mm512_unpackhi_epi8(e, m),
            _mm512_unpacklo_epi8(f, n),
            _mm512_unpackhi_epi8(f, n),
            _mm512_unpacklo_epi8(g, o),
            _mm512_unpackhi_epi8(g, o),
            _mm512_unpacklo_epi8(h, p),
            _mm512_unpackhi_epi8(h, p),
        ]
    }
}

impl ByTree {
    /// The labels of sixteen rows for a tree.
    #[inline]
    fn of(&self, tree: usize) -> &[u8; ROWS] {
        &self.0.as_chunks().0[tree % ROWS * (CHUNK / ROWS) + tree / ROWS]
    }
}

/// Sums of sixteen rows with `PAIRS` pairs of registers for a tree's leaves.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,popcnt")]
fn sum_f32<const PAIRS: usize>(
    leaves: &[f32],
    stride: usize,
    labels: &ByTree,
    trees: Range<usize>,
    sums: &mut [f32; ROWS],
) {
    // SAFETY: sixteen f32 are there.
    let mut sum = unsafe { _mm512_loadu_ps(sums.as_ptr()) };
    for (tree, leaves) in trees.zip(leaves.chunks_exact(stride)) {
        // SAFETY: a tree's labels are 16 bytes and aligned to 16 in a `ByTree`.
        let at = unsafe { _mm_load_si128(labels.of(tree).as_ptr().cast()) };
        let at = _mm512_cvtepu8_epi32(at);
        let load = |register: usize| {
            // SAFETY: the mask lets only those leaves be read that the tree has.
            unsafe { _mm512_maskz_loadu_ps(mask16(stride, register), leaves.as_ptr().wrapping_add(16 * register)) }
        };
        let mut found = _mm512_permutex2var_ps(load(0), at, load(1));
        if PAIRS == 2 {
            let others = _mm512_permutex2var_ps(load(2), at, load(3));
            found = _mm512_mask_mov_ps(found, _mm512_test_epi32_mask(at, _mm512_set1_epi32(32)), others);
        }
        sum = _mm512_add_ps(sum, found);
    }
    // SAFETY: sixteen f32 are there.
    unsafe { _mm512_storeu_ps(sums.as_mut_ptr(), sum) }
}

/// The same for doubles, eight rows after eight.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,popcnt")]
fn sum_f64<const PAIRS: usize>(
    leaves: &[f64],
    stride: usize,
    labels: &ByTree,
    trees: Range<usize>,
    sums: &mut [f64; ROWS],
) {
    let (low, high) = sums.split_at_mut(8);
    // SAFETY: eight f64 are there, twice.
    let mut sum = unsafe { [_mm512_loadu_pd(low.as_ptr()), _mm512_loadu_pd(high.as_ptr())] };
    for (tree, leaves) in trees.zip(leaves.chunks_exact(stride)) {
        let load = |register: usize| {
            // SAFETY: the mask lets only those leaves be read that the tree has.
            unsafe { _mm512_maskz_loadu_pd(mask8(stride, register), leaves.as_ptr().wrapping_add(8 * register)) }
        };
        let tables = [
            [load(0), load(1)],
            [load(2), load(3)],
            [load(4), load(5)],
            [load(6), load(7)],
        ];
        for (sum, eight) in sum.iter_mut().zip(labels.of(tree).as_chunks::<8>().0) {
            // SAFETY: eight bytes are there.
            let at: __m512i = _mm512_cvtepu8_epi64(unsafe { _mm_loadl_epi64(eight.as_ptr().cast()) });
            let look_up = |pair: usize| _mm512_permutex2var_pd(tables[pair][0], at, tables[pair][1]);
            let has = |bit: i64| _mm512_test_epi64_mask(at, _mm512_set1_epi64(bit));
            let mut found = look_up(0);
            if PAIRS >= 2 {
                found = _mm512_mask_mov_pd(found, has(16), look_up(1));
            }
            if PAIRS == 4 {
                let others = _mm512_mask_mov_pd(look_up(2), has(16), look_up(3));
                found = _mm512_mask_mov_pd(found, has(32), others);
            }
            *sum = _mm512_add_pd(*sum, found);
        }
    }
    // SAFETY: eight f64 are there, twice.
    unsafe {
        _mm512_storeu_pd(low.as_mut_ptr(), sum[0]);
        _mm512_storeu_pd(high.as_mut_ptr(), sum[1]);
    }
}

/// Which of a register's 16 leaves a tree has.
#[inline]
fn mask16(stride: usize, register: usize) -> u16 {
    match stride.saturating_sub(16 * register) {
        0 => 0,
        there if there >= 16 => u16::MAX,
        there => (1 << there) - 1,
    }
}

/// Which of a register's 8 leaves a tree has.
#[inline]
fn mask8(stride: usize, register: usize) -> u8 {
    match stride.saturating_sub(8 * register) {
        0 => 0,
        there if there >= 8 => u8::MAX,
        there => (1 << there) - 1,
    }
}
