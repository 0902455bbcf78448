//! The instructions of AVX2 for `vector.rs`: a register is half a line, 32 trees.
//!
//! ```text
//! search   value ─broadcast─▶ two comparisons of 8 f32 (four of 4 f64) ─movemask─▶ 16 bits ─popcount─▶ how many
//! look-up  indices ─pshufb over 16 lanes, for each 16─▶ blends by bits 4, 5 … of the index ─▶ bytes
//! ```
//!
//! 1. `pshufb` reaches 16 bytes. 64 lanes are four of them and three blends, 128 are eight and seven, 256 twice that. A
//!    blend looks at bit 7 of a byte, to which a shift of 16-bit words brings any bit of the index. With 128 lanes, 500
//!    trees of depth 6 take 2,020 ns a row where a walk takes 8,037. Listed trees do with two of the tables a step: see
//!    `avx2/pairs.rs`.
//! 2. Beyond 256 lanes the bytes are fetched from memory one by one, which takes 2.5 times as long at once (Zen 5), and
//!    is still faster than a walk.
//! 3. Bytes are compared as signed ones: the lanes are kept with bit 7 turned over, and a node's rank is turned when
//!    used. Ranks turned in the plan would save an instruction in some thirty, and need a plan of another kind.
//! 4. Masks are bytes, 255 where a tree's row goes right: -1, which the labels of full trees subtract.

#![expect(
    unsafe_code,
    reason = "vector loads and stores take pointers, and code compiled for a CPU feature may be called only with proof of it"
)]

use std::arch::x86_64::{
    __m256i, _CMP_LE_OQ, _CMP_LT_OQ, _mm_loadu_si128, _mm256_add_epi8, _mm256_and_si256, _mm256_blendv_epi8,
    _mm256_broadcastsi128_si256, _mm256_cmp_pd, _mm256_cmp_ps, _mm256_cmpeq_epi8, _mm256_cmpgt_epi8, _mm256_load_si256,
    _mm256_loadu_pd, _mm256_loadu_ps, _mm256_loadu_si256, _mm256_movemask_epi8, _mm256_movemask_pd, _mm256_movemask_ps,
    _mm256_or_si256, _mm256_set1_epi8, _mm256_set1_epi32, _mm256_set1_epi64x, _mm256_set1_pd, _mm256_set1_ps,
    _mm256_setzero_si256, _mm256_shuffle_epi8, _mm256_slli_epi16, _mm256_storeu_si256, _mm256_sub_epi8,
    _mm256_xor_si256,
};

mod pairs;

use super::block::LaneBlock;
use super::entry_points::entry_points;
use super::isa::{Isa, Numbers, Stages};
use super::lanes::LaneScratch;
use super::real::Real;
use super::sums::Pending;
use super::vector;
use crate::plan::lanes::pairs::{Paired, TABLE};
use crate::plan::lanes::{BLOCK, CHUNK, GROUP, LANES_BYTE, LanePlan, Line, Pack};

/// Bytes of a register: trees of a step.
const WIDTH: usize = CHUNK / 2;

/// Lanes that one `pshufb` reaches.
const REACH: usize = 16;

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
}

entry_points!(Avx2, 2, 1, "avx2,popcnt");

impl Numbers for Avx2 {
    #[inline(always)]
    fn count_f32<const OR_EQUAL: bool>(self, block: &[f32; BLOCK], value: f32) -> usize {
        // SAFETY: `self` proves AVX2.
        let value = unsafe { _mm256_set1_ps(value) };
        let mut below = 0;
        for eight in block.as_chunks::<8>().0.iter().rev() {
            // SAFETY: 8 f32 are there, the load needs no alignment, and `self` proves AVX2.
            below = unsafe {
                let thresholds = _mm256_loadu_ps(eight.as_ptr());
                let mask = if OR_EQUAL {
                    _mm256_cmp_ps::<_CMP_LT_OQ>(thresholds, value)
                } else {
                    _mm256_cmp_ps::<_CMP_LE_OQ>(thresholds, value)
                };
                below << 8 | _mm256_movemask_ps(mask)
            };
        }
        below.count_ones() as usize
    }

    #[inline(always)]
    fn count_f64<const OR_EQUAL: bool>(self, block: &[f64; BLOCK], value: f64) -> usize {
        // SAFETY: `self` proves AVX2.
        let value = unsafe { _mm256_set1_pd(value) };
        let mut below = 0;
        for four in block.as_chunks::<4>().0.iter().rev() {
            // SAFETY: 4 f64 are there, the load needs no alignment, and `self` proves AVX2.
            below = unsafe {
                let thresholds = _mm256_loadu_pd(four.as_ptr());
                let mask = if OR_EQUAL {
                    _mm256_cmp_pd::<_CMP_LT_OQ>(thresholds, value)
                } else {
                    _mm256_cmp_pd::<_CMP_LE_OQ>(thresholds, value)
                };
                below << 4 | _mm256_movemask_pd(mask)
            };
        }
        below.count_ones() as usize
    }
}

impl Isa<2> for Avx2 {
    type Bytes = __m256i;
    type Mask = __m256i;
    type Tables<'a> = Tables<'a>;

    #[inline(always)]
    fn tables<const LANES: usize>(self, lanes: &[u8]) -> Tables<'_> {
        // SAFETY: `self` proves AVX2.
        let mut registers = [unsafe { _mm256_setzero_si256() }; LANES_BYTE / REACH];
        let (chunks, _) = lanes.as_chunks::<REACH>();
        // As many turns as the compiler knows of: else it keeps registers in memory.
        for number in 0..LANES / REACH {
            let bytes = &chunks[number];
            // SAFETY: 16 bytes are there, the load needs no alignment, and `self` proves AVX2.
            let sixteen = unsafe { _mm256_broadcastsi128_si256(_mm_loadu_si128(bytes.as_ptr().cast())) };
            registers[number] = self.turned(sixteen);
        }
        Tables { registers, lanes }
    }

    #[inline(always)]
    fn look_up<const LANES: usize>(self, tables: &Tables<'_>, indices: __m256i, groups: __m256i) -> __m256i {
        // Of 64 lanes an index has no bit 7, which `pshufb` would heed; a bit for the half it does not.
        let within = match LANES {
            64 => indices,
            // SAFETY: `self` proves AVX2.
            _ => unsafe { _mm256_and_si256(indices, _mm256_set1_epi8(0x0f)) },
        };
        match LANES {
            64 => self.of_64(tables, 0, indices, within),
            128 => self.of_128(tables, 0, indices, within),
            256 => {
                let low = self.of_128(tables, 0, indices, within);
                let high = self.of_128(tables, GROUP / REACH, indices, within);
                self.choose(indices, low, high)
            }
            _ => self.fetch(tables.lanes, indices, groups),
        }
    }

    #[inline(always)]
    fn splat(self, byte: u8) -> __m256i {
        // SAFETY: `self` proves AVX2.
        unsafe { _mm256_set1_epi8(byte.cast_signed()) }
    }

    #[inline(always)]
    fn load(self, line: &Line, part: usize) -> __m256i {
        let (halves, _) = line.0.as_chunks::<WIDTH>();
        // SAFETY: half a line is 32 bytes, aligned to 32 because the line is to 64, and `self` proves AVX2.
        unsafe { _mm256_load_si256(std::ptr::from_ref(&halves[part]).cast()) }
    }

    #[inline(always)]
    fn load_labels(self, labels: &[u8], part: usize) -> __m256i {
        self.load_bytes(&labels.as_chunks::<WIDTH>().0[part])
    }

    #[inline(always)]
    fn store_labels(self, labels: &mut [u8], part: usize, at: __m256i) {
        self.store_bytes(&mut labels.as_chunks_mut::<WIDTH>().0[part], at);
    }

    #[inline(always)]
    fn add(self, a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: `self` proves AVX2.
        unsafe { _mm256_add_epi8(a, b) }
    }

    #[inline(always)]
    fn never(self) -> __m256i {
        self.splat(0)
    }

    #[inline(always)]
    fn exceeds(self, bytes: __m256i, ranks: __m256i) -> __m256i {
        // SAFETY: `self` proves AVX2.
        unsafe { _mm256_cmpgt_epi8(bytes, self.turned(ranks)) }
    }

    #[inline(always)]
    fn or_bits(self, mask: __m256i, word: u64, part: usize) -> __m256i {
        #[rustfmt::skip]
        const SPREAD: [u8; WIDTH] = [
            0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3,
        ];
        let bits = (word >> (WIDTH * part) & 0xffff_ffff) as u32;
        // SAFETY: `self` proves AVX2.
        unsafe {
            // The byte that has a tree's bit, then that bit alone.
            let spread = _mm256_shuffle_epi8(_mm256_set1_epi32(bits.cast_signed()), self.load_bytes(&SPREAD));
            let bit = _mm256_set1_epi64x(i64::from_le_bytes([1, 2, 4, 8, 16, 32, 64, 128]));
            _mm256_or_si256(mask, _mm256_cmpeq_epi8(_mm256_and_si256(spread, bit), bit))
        }
    }

    #[inline(always)]
    fn bits(self, mask: __m256i) -> u64 {
        // SAFETY: `self` proves AVX2.
        let bits = unsafe { _mm256_movemask_epi8(mask) };
        u64::from(bits.cast_unsigned())
    }

    #[inline(always)]
    fn choose(self, mask: __m256i, no: __m256i, yes: __m256i) -> __m256i {
        // SAFETY: `self` proves AVX2.
        unsafe { _mm256_blendv_epi8(no, yes, mask) }
    }

    #[inline(always)]
    fn turn(self, at: __m256i, right: __m256i) -> __m256i {
        // SAFETY: `self` proves AVX2.
        unsafe { _mm256_sub_epi8(_mm256_add_epi8(at, at), right) }
    }

    #[inline(always)]
    fn step(self, at: __m256i, label: __m256i, right: __m256i, next: __m256i) -> __m256i {
        // SAFETY: `self` proves AVX2.
        unsafe { _mm256_blendv_epi8(at, next, _mm256_and_si256(right, _mm256_cmpeq_epi8(at, label))) }
    }

    #[inline(always)]
    fn paired<T: Real>(
        self,
        paired: Paired<'_>,
        tables: &[[u8; TABLE]],
        labels: &mut [u8],
        pending: &mut Pending<'_, T>,
    ) {
        self.label_paired(paired, tables, labels, pending);
    }

    #[inline(always)]
    fn paired_rows(
        self,
        paired: Paired<'_>,
        chunk: usize,
        tables_and_count: (&[[u8; TABLE]], usize),
        labels: &mut [u8],
    ) {
        self.label_paired_rows(paired, chunk, tables_and_count, labels);
    }
}

/// A row's lanes, bit 7 turned over: sixteen of them in both halves of a register, as `pshufb` reads them.
#[derive(Clone, Copy)]
pub(super) struct Tables<'a> {
    registers: [__m256i; LANES_BYTE / REACH],
    lanes: &'a [u8],
}

impl Avx2 {
    #[inline(always)]
    fn of_128(self, tables: &Tables<'_>, first: usize, indices: __m256i, within: __m256i) -> __m256i {
        let low = self.of_64(tables, first, indices, within);
        let high = self.of_64(tables, first + CHUNK / REACH, indices, within);
        self.choose(self.bit::<1>(indices), low, high)
    }

    #[inline(always)]
    fn of_64(self, tables: &Tables<'_>, first: usize, indices: __m256i, within: __m256i) -> __m256i {
        let is_odd = self.bit::<3>(indices);
        let low = self.of_32(tables, first, is_odd, within);
        let high = self.of_32(tables, first + 2, is_odd, within);
        self.choose(self.bit::<2>(indices), low, high)
    }

    #[inline(always)]
    fn of_32(self, tables: &Tables<'_>, first: usize, is_odd: __m256i, within: __m256i) -> __m256i {
        // SAFETY: `self` proves AVX2.
        let [low, high] = unsafe {
            [
                _mm256_shuffle_epi8(tables.registers[first], within),
                _mm256_shuffle_epi8(tables.registers[first + 1], within),
            ]
        };
        self.choose(is_odd, low, high)
    }

    /// Brings a lower bit of each byte to bit 7; what it brings to the others does not count.
    #[inline(always)]
    fn bit<const LEFT: i32>(self, indices: __m256i) -> __m256i {
        // SAFETY: `self` proves AVX2.
        unsafe { _mm256_slli_epi16::<LEFT>(indices) }
    }

    #[inline(always)]
    fn fetch(self, lanes: &[u8], indices: __m256i, groups: __m256i) -> __m256i {
        let (mut within, mut of) = ([0; WIDTH], [0; WIDTH]);
        self.store_bytes(&mut within, indices);
        self.store_bytes(&mut of, groups);
        let mut bytes = [0; WIDTH];
        for ((byte, index), group) in bytes.iter_mut().zip(within).zip(of) {
            *byte = lanes[usize::from(index) + GROUP * usize::from(group)];
        }
        self.turned(self.load_bytes(&bytes))
    }

    #[inline(always)]
    fn turned(self, bytes: __m256i) -> __m256i {
        // SAFETY: `self` proves AVX2.
        unsafe { _mm256_xor_si256(bytes, _mm256_set1_epi8(i8::MIN)) }
    }

    #[inline(always)]
    fn load_bytes(self, bytes: &[u8; WIDTH]) -> __m256i {
        // SAFETY: 32 bytes are there, the load needs no alignment, and `self` proves AVX2.
        unsafe { _mm256_loadu_si256(std::ptr::from_ref(bytes).cast()) }
    }

    #[inline(always)]
    fn store_bytes(self, bytes: &mut [u8; WIDTH], register: __m256i) {
        // SAFETY: 32 bytes are there, the store needs no alignment, and `self` proves AVX2.
        unsafe { _mm256_storeu_si256(std::ptr::from_mut(bytes).cast(), register) }
    }
}
