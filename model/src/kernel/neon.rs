//! The instructions of NEON for `vector.rs`: a register is a quarter of a line, 16 trees.
//!
//! ```text
//! search   value ─broadcast─▶ four comparisons of 4 f32 (eight of 2 f64), each -1 where it holds ─ added up ─▶ how many
//! look-up  indices ─tbl over 64 lanes─▶ bytes; tbx over the next 64 with the index less 64, and so on
//! ```
//!
//! 1. `tbl` looks up 64 bytes from four registers and gives 0 for an index beyond; `tbx` leaves there what was before.
//!    An index less 64 wraps around to beyond where it was below, so each further 64 lanes cost a subtraction and a
//!    `tbx`, and no blend. The bit of an index that names the half must be cleared, where other instructions ignore it.
//! 2. There is no mask of bits: comparisons give bytes, 255 where a tree's row goes right, which is -1. The labels of
//!    full trees subtract it; thresholds are counted by adding four or eight comparisons up and across.
//! 3. Four chunks of listed trees would be sixteen registers of labels; with the row's lanes in four or eight and a
//!    step's in four they fit the 32 there are, by this count; what the compiler makes of it on a real one is not
//!    known.

#![expect(
    unsafe_code,
    reason = "vector loads and stores take pointers, and code compiled for a CPU feature may be called only with proof of it"
)]

use std::arch::aarch64::{
    uint8x16_t, uint8x16x4_t, vaddq_u8, vaddq_u32, vaddq_u64, vaddv_u8, vaddvq_u32, vaddvq_u64, vandq_u8, vbslq_u8,
    vceqq_u8, vcgtq_u8, vcleq_f32, vcleq_f64, vcltq_f32, vcltq_f64, vdupq_n_f32, vdupq_n_f64, vdupq_n_u8, vdupq_n_u32,
    vdupq_n_u64, vget_high_u8, vget_low_u8, vld1q_f32, vld1q_f64, vld1q_u8, vqtbl4q_u8, vqtbx4q_u8, vst1q_u8, vsubq_u8,
};

use super::block::LaneBlock;
use super::entry_points::entry_points;
use super::isa::{Isa, Numbers, Stages};
use super::lanes::LaneScratch;
use super::real::Real;
use super::sums::Pending;
use super::vector;
use crate::plan::lanes::{BLOCK, CHUNK, GROUP, LanePlan, Line, Pack};

/// Bytes of a register: trees of a step.
const WIDTH: usize = CHUNK / 4;

/// Proof that the CPU has the instructions.
#[derive(Debug, Clone, Copy)]
pub struct Neon(());

impl Neon {
    /// The kernel, on a CPU that has what it needs.
    #[must_use]
    pub fn new() -> Option<Self> {
        std::arch::is_aarch64_feature_detected!("neon").then_some(Self(()))
    }
}

entry_points!(Neon, 4, 2, "neon");

impl Numbers for Neon {
    #[inline(always)]
    fn count_f32<const OR_EQUAL: bool>(self, block: &[f32; BLOCK], value: f32) -> usize {
        // SAFETY: 4 f32 are there for each load, which needs no alignment, and `self` proves NEON.
        let below = unsafe {
            let value = vdupq_n_f32(value);
            let mut below = vdupq_n_u32(0);
            for four in block.as_chunks::<4>().0 {
                let thresholds = vld1q_f32(four.as_ptr());
                let mask = if OR_EQUAL {
                    vcltq_f32(thresholds, value)
                } else {
                    vcleq_f32(thresholds, value)
                };
                below = vaddq_u32(below, mask);
            }
            vaddvq_u32(below)
        };
        below.wrapping_neg() as usize
    }

    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "there are 16 thresholds")]
    fn count_f64<const OR_EQUAL: bool>(self, block: &[f64; BLOCK], value: f64) -> usize {
        // SAFETY: 2 f64 are there for each load, which needs no alignment, and `self` proves NEON.
        let below = unsafe {
            let value = vdupq_n_f64(value);
            let mut below = vdupq_n_u64(0);
            for two in block.as_chunks::<2>().0 {
                let thresholds = vld1q_f64(two.as_ptr());
                let mask = if OR_EQUAL {
                    vcltq_f64(thresholds, value)
                } else {
                    vcleq_f64(thresholds, value)
                };
                below = vaddq_u64(below, mask);
            }
            vaddvq_u64(below)
        };
        below.wrapping_neg() as usize
    }
}

impl Isa<4> for Neon {
    type Bytes = uint8x16_t;
    type Mask = uint8x16_t;
    type Tables<'a> = &'a [u8];

    #[inline(always)]
    fn tables<const LANES: usize>(self, lanes: &[u8]) -> &[u8] {
        lanes
    }

    #[inline(always)]
    fn look_up<const LANES: usize>(self, lanes: &&[u8], indices: uint8x16_t, groups: uint8x16_t) -> uint8x16_t {
        match LANES {
            // SAFETY: `self` proves NEON.
            64 => self.of_64(lanes, 0, unsafe { vandq_u8(indices, vdupq_n_u8(0x3f)) }),
            // SAFETY: as above.
            128 => self.of_128(lanes, 0, unsafe { vandq_u8(indices, vdupq_n_u8(0x7f)) }),
            256 => {
                let low = self.of_128(lanes, 0, indices);
                let low = self.or_of_64(lanes, 2, indices, low);
                self.or_of_64(lanes, 3, indices, low)
            }
            _ => {
                let mut bytes = self.splat(0);
                let mut group = self.splat(0);
                for lanes in lanes.chunks_exact(GROUP) {
                    let found = self.of_128(lanes, 0, indices);
                    // SAFETY: `self` proves NEON.
                    bytes = unsafe { vbslq_u8(vceqq_u8(groups, group), found, bytes) };
                    group = self.add(group, self.splat(1));
                }
                bytes
            }
        }
    }

    #[inline(always)]
    fn splat(self, byte: u8) -> uint8x16_t {
        // SAFETY: `self` proves NEON.
        unsafe { vdupq_n_u8(byte) }
    }

    #[inline(always)]
    fn load(self, line: &Line, part: usize) -> uint8x16_t {
        self.load_labels(&line.0, part)
    }

    #[inline(always)]
    fn load_labels(self, labels: &[u8], part: usize) -> uint8x16_t {
        let bytes = &labels.as_chunks::<WIDTH>().0[part];
        // SAFETY: 16 bytes are there, the load needs no alignment, and `self` proves NEON.
        unsafe { vld1q_u8(bytes.as_ptr()) }
    }

    #[inline(always)]
    fn store_labels(self, labels: &mut [u8], part: usize, at: uint8x16_t) {
        let bytes = &mut labels.as_chunks_mut::<WIDTH>().0[part];
        // SAFETY: 16 bytes are there, the store needs no alignment, and `self` proves NEON.
        unsafe { vst1q_u8(bytes.as_mut_ptr(), at) }
    }

    #[inline(always)]
    fn add(self, a: uint8x16_t, b: uint8x16_t) -> uint8x16_t {
        // SAFETY: `self` proves NEON.
        unsafe { vaddq_u8(a, b) }
    }

    #[inline(always)]
    fn never(self) -> uint8x16_t {
        self.splat(0)
    }

    #[inline(always)]
    fn exceeds(self, bytes: uint8x16_t, ranks: uint8x16_t) -> uint8x16_t {
        // SAFETY: `self` proves NEON.
        unsafe { vcgtq_u8(bytes, ranks) }
    }

    #[inline(always)]
    fn or_bits(self, mask: uint8x16_t, word: u64, part: usize) -> uint8x16_t {
        const BIT: [u8; 16] = [1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128];
        let [low, high, ..] = (word >> (16 * part)).to_le_bytes();
        let spread = [
            low, low, low, low, low, low, low, low, high, high, high, high, high, high, high, high,
        ];
        // SAFETY: 16 bytes are there, twice, and `self` proves NEON. The last operation keeps what the mask has and takes
        // the other's bits elsewhere.
        unsafe {
            let bits = vandq_u8(vld1q_u8(spread.as_ptr()), vld1q_u8(BIT.as_ptr()));
            vbslq_u8(mask, mask, vcgtq_u8(bits, vdupq_n_u8(0)))
        }
    }

    #[inline(always)]
    fn bits(self, mask: uint8x16_t) -> u64 {
        const BITS: [u8; WIDTH] = [1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128];
        // SAFETY: 16 bytes are there, the load needs no alignment, and `self` proves NEON.
        unsafe {
            let own = vandq_u8(mask, vld1q_u8(BITS.as_ptr()));
            let (low, high) = (vaddv_u8(vget_low_u8(own)), vaddv_u8(vget_high_u8(own)));
            u64::from(low) | u64::from(high) << 8
        }
    }

    #[inline(always)]
    fn choose(self, mask: uint8x16_t, no: uint8x16_t, yes: uint8x16_t) -> uint8x16_t {
        // SAFETY: `self` proves NEON.
        unsafe { vbslq_u8(mask, yes, no) }
    }

    #[inline(always)]
    fn turn(self, at: uint8x16_t, right: uint8x16_t) -> uint8x16_t {
        // SAFETY: `self` proves NEON.
        unsafe { vsubq_u8(vaddq_u8(at, at), right) }
    }

    #[inline(always)]
    fn step(self, at: uint8x16_t, label: uint8x16_t, right: uint8x16_t, next: uint8x16_t) -> uint8x16_t {
        // SAFETY: `self` proves NEON.
        unsafe { vbslq_u8(vandq_u8(right, vceqq_u8(at, label)), next, at) }
    }
}

impl Neon {
    #[inline(always)]
    fn of_128(self, lanes: &[u8], first: usize, indices: uint8x16_t) -> uint8x16_t {
        let low = self.of_64(lanes, first, indices);
        self.or_of_64(lanes, first + 1, indices, low)
    }

    /// The bytes of the lanes of one 64, and 0 for indices beyond it.
    #[inline(always)]
    fn of_64(self, lanes: &[u8], number: usize, indices: uint8x16_t) -> uint8x16_t {
        // SAFETY: `self` proves NEON.
        unsafe { vqtbl4q_u8(self.table(lanes, number), indices) }
    }

    /// The bytes of the lanes of a further 64, and what was found before for indices outside of it.
    #[inline(always)]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "an index names one of at most four times 64 lanes"
    )]
    fn or_of_64(self, lanes: &[u8], number: usize, indices: uint8x16_t, before: uint8x16_t) -> uint8x16_t {
        // SAFETY: `self` proves NEON.
        unsafe {
            let within = vsubq_u8(indices, vdupq_n_u8((number * CHUNK) as u8));
            vqtbx4q_u8(before, self.table(lanes, number), within)
        }
    }

    #[inline(always)]
    fn table(self, lanes: &[u8], number: usize) -> uint8x16x4_t {
        let bytes = &lanes.as_chunks::<CHUNK>().0[number];
        uint8x16x4_t(
            self.load_labels(bytes, 0),
            self.load_labels(bytes, 1),
            self.load_labels(bytes, 2),
            self.load_labels(bytes, 3),
        )
    }
}
