//! Paired trees (see `plan/lanes/pairs.rs`): a step of 32 trees reads two tables of sixteen lanes.
//!
//! ```text
//! look-up  indices ─pshufb over one table─▶ 0 where bit 7 is set       ─┐
//!          bit 7 turned over ─pshufb over the other─▶ 0 where it was not ┴ or ─▶ bytes
//! step      > ranks, and label = the step's ─▶ label := the right child's
//! ```
//!
//! Eight instructions a step, where a look-up of 128 lanes alone takes nineteen. Tables are broadcast from memory, which
//! takes a load and no port that computes.

use std::arch::x86_64::{
    __m256i, _mm_loadu_si128, _mm256_and_si256, _mm256_blendv_epi8, _mm256_broadcastsi128_si256, _mm256_cmpeq_epi8,
    _mm256_cmpgt_epi8, _mm256_load_si256, _mm256_or_si256, _mm256_set1_epi8, _mm256_setzero_si256, _mm256_shuffle_epi8,
    _mm256_xor_si256,
};
use std::ops::Range;

use super::{Avx2, WIDTH};
use crate::kernel::isa::Isa;
use crate::kernel::real::Real;
use crate::kernel::sums::Pending;
use crate::plan::lanes::CHUNK;
use crate::plan::lanes::pairs::{Bytes, PAIRED, Paired, SECOND, TABLE, kinds};

const _: () = assert!(WIDTH == PAIRED);

/// Rows that share a step's loads: their labels stay in registers.
const ROWS: usize = 8;

/// Steps that are applied to all rows before others are, so that they stay in the first-level cache.
const STEPS_AT_ONCE: usize = 64;

impl Avx2 {
    /// Decides a pack of paired trees for a row, and adds leaves that are pending.
    pub(super) fn label_paired<T: Real>(
        self,
        paired: Paired<'_>,
        tables: &[[u8; TABLE]],
        labels: &mut [u8],
        pending: &mut Pending<'_, T>,
    ) {
        assert!(paired.reads_within(tables.len()));
        // SAFETY: `self` proves the features that the functions are compiled for, and the tables are there.
        unsafe {
            match (paired.registers, paired.has_next()) {
                (1, false) => label::<T, 1, false>(self, paired, tables, labels, pending),
                (2, false) => label::<T, 2, false>(self, paired, tables, labels, pending),
                (3, false) => label::<T, 3, false>(self, paired, tables, labels, pending),
                (_, false) => label::<T, 4, false>(self, paired, tables, labels, pending),
                (1, true) => label::<T, 1, true>(self, paired, tables, labels, pending),
                (2, true) => label::<T, 2, true>(self, paired, tables, labels, pending),
                (3, true) => label::<T, 3, true>(self, paired, tables, labels, pending),
                (_, true) => label::<T, 4, true>(self, paired, tables, labels, pending),
            }
        }
    }

    /// Decides a chunk of a pack of paired trees for rows, whose tables and labels lie one after the other.
    pub(super) fn label_paired_rows(
        self,
        paired: Paired<'_>,
        chunk: usize,
        (tables, table_count): (&[[u8; TABLE]], usize),
        labels: &mut [u8],
    ) {
        assert!(paired.reads_within(table_count) && tables.len() == labels.len() / CHUNK * table_count);
        labels.fill(0);
        let first = chunk * (CHUNK / PAIRED);
        for register in first..(first + CHUNK / PAIRED).min(paired.registers) {
            for first_step in (0..paired.steps).step_by(STEPS_AT_ONCE) {
                let steps = first_step..(first_step + STEPS_AT_ONCE).min(paired.steps);
                // SAFETY: as above.
                unsafe {
                    match paired.has_next() {
                        false => rows::<false>(self, paired, (register, steps), (tables, table_count), labels),
                        true => rows::<true>(self, paired, (register, steps), (tables, table_count), labels),
                    }
                }
            }
        }
    }
}

/// A step's lines.
struct Loaded {
    index: __m256i,
    other: __m256i,
    rank: __m256i,
    label: __m256i,
}

#[inline]
#[target_feature(enable = "avx2,popcnt")]
fn load(lines: &[Bytes]) -> Loaded {
    let line = |kind: usize| {
        // SAFETY: a line is 32 bytes, aligned to 32.
        unsafe { _mm256_load_si256(std::ptr::from_ref(&lines[kind]).cast()) }
    };
    let index = line(0);
    Loaded {
        index,
        other: _mm256_xor_si256(index, _mm256_set1_epi8(SECOND.cast_signed())),
        rank: line(1),
        label: line(2),
    }
}

/// Where the rows of 32 trees go at a step.
///
/// # Safety
/// `pair` is of two tables that are there.
#[inline]
#[target_feature(enable = "avx2,popcnt")]
unsafe fn step(at: __m256i, next: __m256i, step: &Loaded, tables: &[[u8; TABLE]], pair: [u16; 2]) -> __m256i {
    let [first, second] = pair.map(|table| {
        debug_assert!(usize::from(table) < tables.len());
        // SAFETY: the caller says so; a table is 16 bytes, and the load needs no alignment.
        unsafe { _mm256_broadcastsi128_si256(_mm_loadu_si128(tables.as_ptr().add(usize::from(table)).cast())) }
    });
    let bytes = _mm256_or_si256(
        _mm256_shuffle_epi8(first, step.index),
        _mm256_shuffle_epi8(second, step.other),
    );
    let moves = _mm256_and_si256(_mm256_cmpgt_epi8(bytes, step.rank), _mm256_cmpeq_epi8(at, step.label));
    _mm256_blendv_epi8(at, next, moves)
}

/// # Safety
/// The pack's tables are there.
#[target_feature(enable = "avx2,popcnt")]
unsafe fn label<T: Real, const REGISTERS: usize, const NEXT: bool>(
    kernel: Avx2,
    paired: Paired<'_>,
    tables: &[[u8; TABLE]],
    labels: &mut [u8],
    pending: &mut Pending<'_, T>,
) {
    let kinds = if NEXT { 4 } else { 3 };
    let mut sum = *pending;
    // A chain of additions that is longer than the step beside it keeps the processor from looking ahead.
    let by_eight = sum.needs_eight(paired.steps);
    let mut number = _mm256_setzero_si256();
    let mut at = [_mm256_setzero_si256(); REGISTERS];
    let lines = paired.bytes.chunks_exact(REGISTERS * kinds);
    for (lines, pairs) in lines.zip(paired.tables.as_chunks::<REGISTERS>().0) {
        number = kernel.add(number, kernel.splat(1));
        for register in 0..REGISTERS {
            let lines = &lines[register * kinds..][..kinds];
            let loaded = load(lines);
            let next = if NEXT { next_of(lines) } else { number };
            // SAFETY: the caller says so.
            at[register] = unsafe { step(at[register], next, &loaded, tables, pairs[register]) };
        }
        if by_eight {
            sum.add::<8>();
        } else {
            sum.add::<4>();
        }
    }
    *pending = sum;
    for (at, labels) in at.into_iter().zip(labels.as_chunks_mut::<WIDTH>().0) {
        kernel.store_bytes(labels, at);
    }
}

#[inline]
#[target_feature(enable = "avx2,popcnt")]
fn next_of(lines: &[Bytes]) -> __m256i {
    // SAFETY: a line is 32 bytes, aligned to 32.
    unsafe { _mm256_load_si256(std::ptr::from_ref(&lines[3]).cast()) }
}

/// Applies some steps of a register to the labels of all rows.
///
/// # Safety
/// The pack's tables are there for each row.
#[target_feature(enable = "avx2,popcnt")]
unsafe fn rows<const NEXT: bool>(
    kernel: Avx2,
    paired: Paired<'_>,
    (register, steps): (usize, Range<usize>),
    (tables, table_count): (&[[u8; TABLE]], usize),
    labels: &mut [u8],
) {
    let mut tables = tables;
    let place = register % (CHUNK / PAIRED);
    for labels in labels.chunks_mut(ROWS * CHUNK) {
        let (own, others) = tables.split_at(labels.len() / CHUNK * table_count);
        tables = others;
        if labels.len() == ROWS * CHUNK {
            // SAFETY: as the caller says.
            unsafe {
                some_rows::<NEXT, ROWS>(
                    kernel,
                    paired,
                    (register, steps.clone()),
                    (own, table_count),
                    place,
                    labels,
                )
            }
            continue;
        }
        for (own, labels) in own.chunks_exact(table_count).zip(labels.chunks_exact_mut(CHUNK)) {
            // SAFETY: as the caller says.
            unsafe {
                some_rows::<NEXT, 1>(
                    kernel,
                    paired,
                    (register, steps.clone()),
                    (own, table_count),
                    place,
                    labels,
                )
            }
        }
    }
}

/// # Safety
/// As [`rows`].
#[inline]
#[target_feature(enable = "avx2,popcnt")]
unsafe fn some_rows<const NEXT: bool, const ROWS: usize>(
    kernel: Avx2,
    paired: Paired<'_>,
    (register, steps): (usize, Range<usize>),
    (tables, table_count): (&[[u8; TABLE]], usize),
    place: usize,
    labels: &mut [u8],
) {
    let kinds = kinds(paired.steps);
    let mut at = [_mm256_setzero_si256(); ROWS];
    for (row, at) in at.iter_mut().enumerate() {
        *at = kernel.load_bytes(&labels[row * CHUNK..].as_chunks::<WIDTH>().0[place]);
    }
    let mut number = kernel.splat(u8::try_from(steps.start % 256).expect("a remainder of 256 is a byte"));
    for step_number in steps {
        number = kernel.add(number, kernel.splat(1));
        let place = step_number * paired.registers + register;
        let lines = &paired.bytes[place * kinds..][..kinds];
        let loaded = load(lines);
        let next = if NEXT { next_of(lines) } else { number };
        let pair = paired.tables[place];
        for (row, at) in at.iter_mut().enumerate() {
            // SAFETY: the caller says so; each row has as many tables.
            *at = unsafe { step(*at, next, &loaded, tables.get_unchecked(row * table_count..), pair) };
        }
    }
    for (row, at) in at.into_iter().enumerate() {
        kernel.store_bytes(&mut labels[row * CHUNK..].as_chunks_mut::<WIDTH>().0[place], at);
    }
}
