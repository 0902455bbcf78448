//! Look-ups without VBMI, for Skylake-SP and Cascade Lake: shuffles within 16 lanes, four or eight of them under masks.
//!
//! ```text
//! lanes    16 of them ─broadcast─▶ a table in each quarter of a register
//! look-up  indices ─vpshufb over lanes 0 to 15─▶ and over 16 to 31 where bit 4 says so  ─┐
//!                  ─vpshufb over lanes 32 to 47─▶ and over 48 to 63 where bit 4 says so ─┴▶ one of both by bit 5, and so on
//! ```
//!
//! Half as many instructions as AVX2 needs, whose blends by a register are two or three micro-operations each on these
//! CPUs: 1,486 ns a row for 3,109 (500 trees of 31 leaves), 1,305 for 2,020 (500 of depth 6), 5,854 for 12,700 (1,000
//! of depth 8).
//!
//! 1. A shuffle writes only where its mask says so: eight of them and three blends look 128 lanes up.
//! 2. A mask comes from bit 7 of each byte, to which a shift of 16-bit words brings any bit of the index. Shift and
//!    mask run on port 0 of these CPUs, the shuffles on port 5.
//! 3. A table is 16 bytes in memory and broadcast as it is loaded, which takes no port that computes.

use std::arch::x86_64::{
    __m512i, _mm_loadu_si128, _mm512_and_si512, _mm512_broadcast_i32x4, _mm512_mask_mov_epi8, _mm512_mask_shuffle_epi8,
    _mm512_movepi8_mask, _mm512_set1_epi8, _mm512_shuffle_epi8, _mm512_slli_epi16,
};

use super::Permute;
use crate::kernel::block::LaneBlock;
use crate::kernel::entry_points::entry_points;
use crate::kernel::isa::{Isa, Stages};
use crate::kernel::lanes::LaneScratch;
use crate::kernel::real::Real;
use crate::kernel::sums::Pending;
use crate::kernel::vector;
use crate::plan::lanes::{CHUNK, GROUP, LanePlan, Line, Pack};

/// Lanes that one shuffle reaches.
const REACH: usize = 16;

/// Proof that the CPU has the instructions; byte permutes are not among them.
#[derive(Debug, Clone, Copy)]
pub struct Avx512Bw(());

impl Avx512Bw {
    /// The kernel, on a CPU that has what it needs.
    #[must_use]
    pub fn new() -> Option<Self> {
        let has = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("popcnt");
        has.then_some(Self(()))
    }
}

entry_points!(Avx512Bw, 1, 4, "avx512f,avx512bw,avx512vl,popcnt");

impl Permute for Avx512Bw {
    type Tables<'a> = &'a [u8];

    #[inline(always)]
    fn tables<const LANES: usize>(self, lanes: &[u8]) -> &[u8] {
        lanes
    }

    #[inline(always)]
    fn look_up_few<const LANES: usize>(self, lanes: &&[u8], indices: __m512i) -> __m512i {
        // Of 64 lanes an index has no bit 7, which a shuffle would heed; a bit for the half it does not.
        let within = match LANES {
            64 => indices,
            // SAFETY: `self` proves AVX-512.
            _ => unsafe { _mm512_and_si512(indices, _mm512_set1_epi8(0x0f)) },
        };
        match LANES {
            64 => self.of_64(lanes, indices, within),
            128 => self.of_128(lanes, indices, within),
            _ => {
                let (low, high) = lanes.split_at(GROUP);
                let (low, high) = (self.of_128(low, indices, within), self.of_128(high, indices, within));
                self.blend(self.bit::<0>(indices), low, high)
            }
        }
    }

    #[inline(always)]
    fn asks_ahead(self) -> bool {
        false
    }

    #[inline(always)]
    fn lanes<'t>(self, lanes: &'t &[u8]) -> &'t [u8] {
        lanes
    }
}

impl Avx512Bw {
    #[inline(always)]
    fn of_128(self, lanes: &[u8], indices: __m512i, within: __m512i) -> __m512i {
        let (low, high) = lanes.split_at(CHUNK);
        let (low, high) = (self.of_64(low, indices, within), self.of_64(high, indices, within));
        self.blend(self.bit::<1>(indices), low, high)
    }

    #[inline(always)]
    fn of_64(self, lanes: &[u8], indices: __m512i, within: __m512i) -> __m512i {
        let is_odd = self.bit::<3>(indices);
        let (low, high) = lanes.split_at(2 * REACH);
        let (low, high) = (self.of_32(low, is_odd, within), self.of_32(high, is_odd, within));
        self.blend(self.bit::<2>(indices), low, high)
    }

    #[inline(always)]
    fn of_32(self, lanes: &[u8], is_odd: u64, within: __m512i) -> __m512i {
        let [even, odd] = [self.table(lanes, 0), self.table(lanes, 1)];
        // SAFETY: `self` proves AVX-512.
        unsafe { _mm512_mask_shuffle_epi8(_mm512_shuffle_epi8(even, within), is_odd, odd, within) }
    }

    #[inline(always)]
    fn table(self, lanes: &[u8], number: usize) -> __m512i {
        let bytes = &lanes.as_chunks::<REACH>().0[number];
        // SAFETY: 16 bytes are there, the load needs no alignment, and `self` proves AVX-512.
        unsafe { _mm512_broadcast_i32x4(_mm_loadu_si128(bytes.as_ptr().cast())) }
    }

    /// Where the bit is set that a shift by this number brings to bit 7 of each byte.
    #[inline(always)]
    fn bit<const LEFT: u32>(self, indices: __m512i) -> u64 {
        // SAFETY: `self` proves AVX-512.
        unsafe { _mm512_movepi8_mask(_mm512_slli_epi16::<LEFT>(indices)) }
    }

    #[inline(always)]
    fn blend(self, mask: u64, no: __m512i, yes: __m512i) -> __m512i {
        // SAFETY: `self` proves AVX-512.
        unsafe { _mm512_mask_mov_epi8(no, mask, yes) }
    }
}
