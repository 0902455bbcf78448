//! The operations that a kernel on lanes needs from a CPU: the interface between `vector.rs`, which is the algorithm,
//! and a file for each instruction set.
//!
//! A value that implements these is the proof that the CPU has the instructions, so the methods are safe to call. They
//! are inlined wherever they are called, as is `vector.rs`: everything is compiled for the CPU features of the function
//! that a kernel begins with.

use std::ops::Range;

use super::lanes;
use super::real::Real;
use super::sums::{self, Pending};
use crate::plan::lanes::pairs::{PAIRED, Paired, TABLE};
use crate::plan::lanes::{BLOCK, CHUNK, Line, Pack};

/// Thresholds and leaves: the two kinds of number.
pub trait Numbers: Copy {
    /// How many of a block's thresholds are below a value (`OR_EQUAL`: one equal to it is not), or else below or equal.
    fn count_f32<const OR_EQUAL: bool>(self, block: &[f32; BLOCK], value: f32) -> usize;

    /// The same for doubles.
    fn count_f64<const OR_EQUAL: bool>(self, block: &[f64; BLOCK], value: f64) -> usize;

    /// Writes 255 for each value that is NaN, else 0, to as many bytes as the row has values, rounded up to 16. Returns
    /// whether there is one.
    #[inline(always)]
    fn missing_f32(self, row: &[f32], bytes: &mut [u8]) -> bool {
        missing(row.iter().map(|value| value.is_nan()), bytes)
    }

    /// The same for doubles.
    #[inline(always)]
    fn missing_f64(self, row: &[f64], bytes: &mut [u8]) -> bool {
        missing(row.iter().map(|value| value.is_nan()), bytes)
    }

    /// Adds leaves to the sums of rows: see [`sums::sum_block`].
    #[inline(always)]
    fn sum_f32(self, leaves: &[f32], stride: usize, labels: &[u8], trees: Range<usize>, sums: &mut [f32]) {
        sums::sum_block(leaves, stride, labels, trees, sums);
    }

    /// The same for doubles.
    #[inline(always)]
    fn sum_f64(self, leaves: &[f64], stride: usize, labels: &[u8], trees: Range<usize>, sums: &mut [f64]) {
        sums::sum_block(leaves, stride, labels, trees, sums);
    }
}

#[inline(always)]
fn missing(are_nan: impl Iterator<Item = bool>, bytes: &mut [u8]) -> bool {
    let mut any = 0;
    for (missing, is_nan) in bytes.iter_mut().zip(are_nan) {
        *missing = if is_nan { u8::MAX } else { 0 };
        any |= *missing;
    }
    any != 0
}

/// Registers of bytes, of which `PARTS` make a line: a byte for each of 64 trees.
pub(super) trait Isa<const PARTS: usize>: Numbers {
    /// A register: one part of a line.
    type Bytes: Copy;
    /// A yes or no for each byte of a register.
    type Mask: Copy;
    /// A row's lanes as look-ups want them.
    type Tables<'a>: Copy;

    /// A row's lanes: as many as `LANES`, or any multiple of 128 for [`super::vector::GROUPED`].
    fn tables<const LANES: usize>(self, lanes: &[u8]) -> Self::Tables<'_>;

    /// The bytes of the lanes that indices name. Of 64 and 128 lanes an index may have the next bit set,
    /// which names the half and is ignored.
    fn look_up<const LANES: usize>(
        self,
        tables: &Self::Tables<'_>,
        indices: Self::Bytes,
        groups: Self::Bytes,
    ) -> Self::Bytes;

    /// A byte everywhere.
    fn splat(self, byte: u8) -> Self::Bytes;

    /// A part of a line.
    fn load(self, line: &Line, part: usize) -> Self::Bytes;

    /// A part of the labels of a chunk.
    fn load_labels(self, labels: &[u8], part: usize) -> Self::Bytes;

    /// Writes a part of the labels of a chunk.
    fn store_labels(self, labels: &mut [u8], part: usize, at: Self::Bytes);

    /// The sum of bytes, wrapping.
    fn add(self, a: Self::Bytes, b: Self::Bytes) -> Self::Bytes;

    /// Nowhere yes.
    fn never(self) -> Self::Mask;

    /// Where looked-up bytes exceed ranks: those rows go right.
    fn exceeds(self, bytes: Self::Bytes, ranks: Self::Bytes) -> Self::Mask;

    /// Yes also where the bit of a tree is set in the word of a line, of which this is a part.
    fn or_bits(self, mask: Self::Mask, word: u64, part: usize) -> Self::Mask;

    /// A bit for each yes, the first byte's lowest.
    fn bits(self, mask: Self::Mask) -> u64;

    /// `yes` where the mask says so, else `no`.
    fn choose(self, mask: Self::Mask, no: Self::Bytes, yes: Self::Bytes) -> Self::Bytes;

    /// `2 at + 1` where the mask says so, else `2 at`.
    fn turn(self, at: Self::Bytes, right: Self::Mask) -> Self::Bytes;

    /// `next` where the label is the one at hand and the row goes right, else `at`.
    fn step(self, at: Self::Bytes, label: Self::Bytes, right: Self::Mask, next: Self::Bytes) -> Self::Bytes;

    /// Decides a pack of paired trees for a row, whose tables these are, and may add leaves that are pending.
    #[inline(always)]
    fn paired<T: Real>(
        self,
        paired: Paired<'_>,
        tables: &[[u8; TABLE]],
        labels: &mut [u8],
        _pending: &mut Pending<'_, T>,
    ) {
        lanes::label_paired(paired, 0, tables, labels);
    }

    /// Decides a chunk of such a pack for rows: of so many tables each.
    #[inline(always)]
    fn paired_rows(
        self,
        paired: Paired<'_>,
        chunk: usize,
        (tables, table_count): (&[[u8; TABLE]], usize),
        labels: &mut [u8],
    ) {
        for (tables, labels) in tables.chunks_exact(table_count).zip(labels.chunks_exact_mut(CHUNK)) {
            lanes::label_paired(paired, chunk * (CHUNK / PAIRED), tables, labels);
        }
    }

    /// Whether lines are asked for ahead of their use, where a plan makes it worth it.
    #[inline(always)]
    fn asks_ahead(self) -> bool {
        false
    }

    /// Asks the first-level cache for a line. Any address will do.
    #[inline(always)]
    fn prefetch(self, _: *const Line) {}
}

/// The stages on lines, as [`super::entry_points`] compiles them for a kernel.
pub(super) trait Stages<const PARTS: usize>: Isa<PARTS> {
    /// Decides a chunk of full trees of a depth for a row, adds leaves that are pending, and may ask for lines ahead.
    fn full<T: Real, const LANES: usize>(
        self,
        depth_and_asked: (usize, bool),
        lines: &[Line],
        tables: &Self::Tables<'_>,
        labels: &mut [u8],
        pending: &mut Pending<'_, T>,
    );

    /// Decides a pack of `CHUNKS` chunks of listed trees for a row, and adds leaves that are pending. `words` holds where
    /// it goes at category nodes, if these are bits.
    fn listed<T: Real, const LANES: usize, const CHUNKS: usize, const BITS: bool>(
        self,
        steps_and_words: (usize, &[u64]),
        lines: &[Line],
        tables: &Self::Tables<'_>,
        labels: &mut [u8],
        pending: &mut Pending<'_, T>,
    );

    /// Decides a chunk of a pack of listed trees for rows: of each one's lanes, a stride apart, so many are used, and of
    /// each one's words, if category nodes are bits.
    fn listed_rows<const LANES: usize, const BITS: bool>(
        self,
        pack_and_chunk: (&Pack, usize),
        lines: &[Line],
        lanes_stride_used: (&[u8], usize, usize),
        words_and_stride: (&[u64], usize),
        labels: &mut [u8],
    );
}
