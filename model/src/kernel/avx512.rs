//! The instructions of AVX-512 for `vector.rs`: a register is a line, 64 trees. Two kernels, which differ in how they
//! look bytes up: [`Avx512`] permutes bytes, where the CPU has VBMI; [`Avx512Bw`] does without (`avx512/shuffles.rs`).
//!
//! ```text
//! search   value ─broadcast─▶ one comparison of 16 f32 (two of 8 f64) ─▶ 16 bits ─popcount─▶ how many
//! look-up  indices ─vpermb over the lanes─▶ bytes ─ > ranks ─▶ a mask of 64 bits
//! step     ─ and label = the step's, compared under that mask ─▶ a masked move
//! ```
//!
//! 1. One permute looks up the lanes of 64 nodes: 64 lanes are a register, `vpermi2b` reads 128 from two, and bit 7 of
//!    the index chooses between two of those. Beyond 256 lanes a second byte names the 128 whose byte counts.
//! 2. `vpermb` ignores the index bit that names the half, so a row in which nothing is missing needs no other indices.
//! 3. Labels are compared under the mask of those trees whose row goes right, so that only one comparison and one move
//!    are on the way from label to label.
//! 4. Of sixteen rows at once, leaves are permuted by labels: see `avx512/leaves.rs`.
//!
//! What byte permutes are worth is the distance between the two kernels on a CPU that has both: 994 ns a row for 1,486
//! (500 trees of 31 leaves), 1,165 for 1,305 (500 of depth 6, which look up less and wait for the second-level cache
//! more).

#![expect(
    unsafe_code,
    reason = "vector loads and stores take pointers, and code compiled for a CPU feature may be called only with proof of it"
)]

use std::ops::Range;

use std::arch::x86_64::{
    __cpuid, __m512i, _CMP_LE_OQ, _CMP_LT_OQ, _CMP_UNORD_Q, _MM_HINT_T0, _mm_movm_epi8, _mm_prefetch, _mm_storeu_si128,
    _mm512_add_epi8, _mm512_cmp_pd_mask, _mm512_cmp_ps_mask, _mm512_cmpeq_epi8_mask, _mm512_cmpgt_epu8_mask,
    _mm512_load_pd, _mm512_load_ps, _mm512_load_si512, _mm512_loadu_si512, _mm512_mask_add_epi8,
    _mm512_mask_cmpeq_epi8_mask, _mm512_mask_mov_epi8, _mm512_maskz_loadu_pd, _mm512_maskz_loadu_ps,
    _mm512_movepi8_mask, _mm512_permutex2var_epi8, _mm512_permutexvar_epi8, _mm512_set1_epi8, _mm512_set1_pd,
    _mm512_set1_ps, _mm512_setzero_si512, _mm512_storeu_si512,
};

mod leaves;
mod shuffles;

use super::block::LaneBlock;
use super::entry_points::entry_points;
use super::isa::{Isa, Numbers, Stages};
use super::lanes::LaneScratch;
use super::real::Real;
use super::sums::Pending;
use super::vector;
use crate::plan::lanes::{BLOCK, CHUNK, GROUP, LanePlan, Line, Pack};
pub(super) use shuffles::Avx512Bw;

/// Proof that the CPU has the instructions, byte permutes among them.
#[derive(Debug, Clone, Copy)]
pub struct Avx512 {
    asks_ahead: bool,
}

impl Avx512 {
    /// The kernel, on a CPU that has what it needs.
    #[must_use]
    pub fn new() -> Option<Self> {
        let asks_ahead = is_by(b"AuthenticAMD");
        (Avx512Bw::new().is_some() && is_x86_feature_detected!("avx512vbmi")).then_some(Self { asks_ahead })
    }
}

entry_points!(Avx512, 1, 8, "avx512f,avx512bw,avx512vl,avx512vbmi,popcnt");

/// What the two kernels differ in. A value proves AVX-512 F, BW and VL, and POPCNT.
pub(super) trait Permute: Copy {
    /// A row's lanes as look-ups want them.
    type Tables<'a>: Copy;

    /// As [`Isa::tables`].
    fn tables<const LANES: usize>(self, lanes: &[u8]) -> Self::Tables<'_>;

    /// The bytes of up to 256 lanes that indices name.
    fn look_up_few<const LANES: usize>(self, tables: &Self::Tables<'_>, indices: __m512i) -> __m512i;

    /// As [`Isa::asks_ahead`].
    fn asks_ahead(self) -> bool;

    /// All lanes.
    fn lanes<'t>(self, tables: &'t Self::Tables<'_>) -> &'t [u8];
}

impl Permute for Avx512 {
    type Tables<'a> = Registers<'a>;

    #[inline(always)]
    fn tables<const LANES: usize>(self, lanes: &[u8]) -> Registers<'_> {
        // SAFETY: `self` proves AVX-512.
        let mut registers = [unsafe { _mm512_setzero_si512() }; 4];
        let (chunks, _) = lanes.as_chunks::<CHUNK>();
        // As many turns as the compiler knows of: else it keeps registers in memory.
        for number in 0..LANES / CHUNK {
            registers[number] = load_bytes(self, &chunks[number]);
        }
        Registers { registers, lanes }
    }

    #[inline(always)]
    fn look_up_few<const LANES: usize>(self, tables: &Registers<'_>, indices: __m512i) -> __m512i {
        let [a, b, c, d] = tables.registers;
        // SAFETY: `self` proves AVX-512 with VBMI.
        unsafe {
            match LANES {
                64 => _mm512_permutexvar_epi8(indices, a),
                128 => _mm512_permutex2var_epi8(a, indices, b),
                _ => {
                    let low = _mm512_permutex2var_epi8(a, indices, b);
                    let high = _mm512_permutex2var_epi8(c, indices, d);
                    _mm512_mask_mov_epi8(low, _mm512_movepi8_mask(indices), high)
                }
            }
        }
    }

    #[inline(always)]
    fn asks_ahead(self) -> bool {
        self.asks_ahead
    }

    #[inline(always)]
    fn lanes<'t>(self, tables: &'t Registers<'_>) -> &'t [u8] {
        tables.lanes
    }
}

/// A row's lanes: in registers when an index byte can name them.
#[derive(Clone, Copy)]
pub(super) struct Registers<'a> {
    registers: [__m512i; 4],
    lanes: &'a [u8],
}

impl<P: Permute> Numbers for P {
    #[inline(always)]
    fn count_f32<const OR_EQUAL: bool>(self, block: &[f32; BLOCK], value: f32) -> usize {
        // SAFETY: the block is 16 f32, 64 bytes, and aligned so as part of a `Block`; `self` proves AVX-512.
        let below = unsafe {
            let (thresholds, value) = (_mm512_load_ps(block.as_ptr()), _mm512_set1_ps(value));
            if OR_EQUAL {
                _mm512_cmp_ps_mask::<_CMP_LT_OQ>(thresholds, value)
            } else {
                _mm512_cmp_ps_mask::<_CMP_LE_OQ>(thresholds, value)
            }
        };
        below.count_ones() as usize
    }

    #[inline(always)]
    fn count_f64<const OR_EQUAL: bool>(self, block: &[f64; BLOCK], value: f64) -> usize {
        let mut below = [0u8; 2];
        for (below, eight) in below.iter_mut().zip(block.as_chunks::<8>().0) {
            // SAFETY: the block is 16 f64, 128 bytes, and aligned to 64 as part of a `Block`; `self` proves AVX-512.
            *below = unsafe {
                let (thresholds, value) = (_mm512_load_pd(eight.as_ptr()), _mm512_set1_pd(value));
                if OR_EQUAL {
                    _mm512_cmp_pd_mask::<_CMP_LT_OQ>(thresholds, value)
                } else {
                    _mm512_cmp_pd_mask::<_CMP_LE_OQ>(thresholds, value)
                }
            };
        }
        u16::from_le_bytes(below).count_ones() as usize
    }

    #[inline(always)]
    fn missing_f32(self, row: &[f32], bytes: &mut [u8]) -> bool {
        let mut any = 0;
        for (values, bytes) in row.chunks(BLOCK).zip(bytes.as_chunks_mut::<BLOCK>().0) {
            let there = u16::MAX >> (BLOCK - values.len());
            // SAFETY: the mask lets only those be read that are there; `self` proves AVX-512.
            any |= unsafe {
                let values = _mm512_maskz_loadu_ps(there, values.as_ptr());
                store_missing(self, _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(values, values), bytes)
            };
        }
        any != 0
    }

    #[inline(always)]
    fn missing_f64(self, row: &[f64], bytes: &mut [u8]) -> bool {
        let mut any = 0;
        for (values, bytes) in row.chunks(BLOCK).zip(bytes.as_chunks_mut::<BLOCK>().0) {
            let [low, high] = (u16::MAX >> (BLOCK - values.len())).to_le_bytes();
            let (first, second) = values.split_at(values.len().min(8));
            // SAFETY: the masks let only those be read that are there; `self` proves AVX-512.
            let missing = unsafe {
                let first = _mm512_maskz_loadu_pd(low, first.as_ptr());
                let second = _mm512_maskz_loadu_pd(high, second.as_ptr());
                [
                    _mm512_cmp_pd_mask::<_CMP_UNORD_Q>(first, first),
                    _mm512_cmp_pd_mask::<_CMP_UNORD_Q>(second, second),
                ]
            };
            any |= store_missing(self, u16::from_le_bytes(missing), bytes);
        }
        any != 0
    }

    #[inline(always)]
    fn sum_f32(self, leaves: &[f32], stride: usize, labels: &[u8], trees: Range<usize>, sums: &mut [f32]) {
        // SAFETY: `self` proves what the function is compiled for.
        unsafe { leaves::sum_block(leaves, stride, labels, trees, sums) }
    }

    #[inline(always)]
    fn sum_f64(self, leaves: &[f64], stride: usize, labels: &[u8], trees: Range<usize>, sums: &mut [f64]) {
        // SAFETY: as above.
        unsafe { leaves::sum_block(leaves, stride, labels, trees, sums) }
    }
}

impl<P: Permute> Isa<1> for P {
    type Bytes = __m512i;
    type Mask = u64;
    type Tables<'a> = P::Tables<'a>;

    #[inline(always)]
    fn tables<const LANES: usize>(self, lanes: &[u8]) -> P::Tables<'_> {
        Permute::tables::<LANES>(self, lanes)
    }

    #[inline(always)]
    fn look_up<const LANES: usize>(self, tables: &P::Tables<'_>, indices: __m512i, groups: __m512i) -> __m512i {
        if LANES != vector::GROUPED {
            return self.look_up_few::<LANES>(tables, indices);
        }
        let (mut bytes, mut group) = (self.splat(0), self.splat(0));
        for lanes in self.lanes(tables).chunks_exact(GROUP) {
            let tables = Permute::tables::<GROUP>(self, lanes);
            let found = self.look_up_few::<GROUP>(&tables, indices);
            // SAFETY: `self` proves AVX-512.
            bytes = self.choose(unsafe { _mm512_cmpeq_epi8_mask(groups, group) }, bytes, found);
            group = self.add(group, self.splat(1));
        }
        bytes
    }

    #[inline(always)]
    fn splat(self, byte: u8) -> __m512i {
        // SAFETY: `self` proves AVX-512.
        unsafe { _mm512_set1_epi8(byte.cast_signed()) }
    }

    #[inline(always)]
    fn load(self, line: &Line, _: usize) -> __m512i {
        // SAFETY: a line is 64 bytes and aligned to 64; `self` proves AVX-512.
        unsafe { _mm512_load_si512(std::ptr::from_ref(line).cast()) }
    }

    #[inline(always)]
    fn load_labels(self, labels: &[u8], part: usize) -> __m512i {
        load_bytes(self, &labels.as_chunks::<CHUNK>().0[part])
    }

    #[inline(always)]
    fn store_labels(self, labels: &mut [u8], part: usize, at: __m512i) {
        let labels = &mut labels.as_chunks_mut::<CHUNK>().0[part];
        // SAFETY: 64 bytes are there, the store needs no alignment, and `self` proves AVX-512.
        unsafe { _mm512_storeu_si512(std::ptr::from_mut(labels).cast(), at) }
    }

    #[inline(always)]
    fn add(self, a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: `self` proves AVX-512.
        unsafe { _mm512_add_epi8(a, b) }
    }

    #[inline(always)]
    fn never(self) -> u64 {
        0
    }

    #[inline(always)]
    fn exceeds(self, bytes: __m512i, ranks: __m512i) -> u64 {
        // SAFETY: `self` proves AVX-512.
        unsafe { _mm512_cmpgt_epu8_mask(bytes, ranks) }
    }

    #[inline(always)]
    fn or_bits(self, mask: u64, word: u64, _part: usize) -> u64 {
        mask | word
    }

    #[inline(always)]
    fn bits(self, mask: u64) -> u64 {
        mask
    }

    #[inline(always)]
    fn choose(self, mask: u64, no: __m512i, yes: __m512i) -> __m512i {
        // SAFETY: `self` proves AVX-512.
        unsafe { _mm512_mask_mov_epi8(no, mask, yes) }
    }

    #[inline(always)]
    fn turn(self, at: __m512i, right: u64) -> __m512i {
        let doubled = self.add(at, at);
        // SAFETY: `self` proves AVX-512.
        unsafe { _mm512_mask_add_epi8(doubled, right, doubled, self.splat(1)) }
    }

    #[inline(always)]
    fn step(self, at: __m512i, label: __m512i, right: u64, next: __m512i) -> __m512i {
        // SAFETY: `self` proves AVX-512.
        let moves = unsafe { _mm512_mask_cmpeq_epi8_mask(right, at, label) };
        self.choose(moves, at, next)
    }

    #[inline(always)]
    fn asks_ahead(self) -> bool {
        Permute::asks_ahead(self)
    }

    #[inline(always)]
    fn prefetch(self, line: *const Line) {
        // SAFETY: a prefetch may be given any address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.cast()) }
    }
}

/// Whether this is the vendor that the CPU names.
fn is_by(vendor: &[u8; 12]) -> bool {
    #[allow(unused_unsafe, reason = "compilers differ in whether the function is unsafe")]
    // SAFETY: x86-64 CPUs all have the instruction, and its leaf 0.
    let leaf = unsafe { __cpuid(0) };
    [leaf.ebx, leaf.edx, leaf.ecx].map(u32::to_le_bytes).as_flattened() == vendor
}

/// Writes the bytes of sixteen values that are missing or not.
#[inline(always)]
fn store_missing(_: impl Permute, missing: u16, bytes: &mut [u8; BLOCK]) -> u16 {
    // SAFETY: 16 bytes are there, the store needs no alignment, and the kernel proves AVX-512.
    unsafe { _mm_storeu_si128(std::ptr::from_mut(bytes).cast(), _mm_movm_epi8(missing)) }
    missing
}

#[inline(always)]
fn load_bytes(_: impl Permute, bytes: &[u8; CHUNK]) -> __m512i {
    // SAFETY: 64 bytes are there, the load needs no alignment, and the kernel proves AVX-512.
    unsafe { _mm512_loadu_si512(std::ptr::from_ref(bytes).cast()) }
}
