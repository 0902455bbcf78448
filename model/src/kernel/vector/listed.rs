//! Listed trees: node by node, each moves those rows that stand on its label and exceed its rank.
//!
//! 1. A step waits for the label that the one before left. Up to four chunks of 64 trees are stepped in turn, or
//!    several rows: chains that do not wait for each other. 500 trees of 31 leaves take 1,173 ns with one chunk, 1,082
//!    with two, 1,018 with three and 994 with four (`avx512`; 1,945 to 1,486 with `avx512bw`, 3,298 to 3,109 with
//!    `avx2`, whose chunk is two chains).
//! 2. The leaves of the pack before are added meanwhile, eight trees a step: a chain of additions that waits for
//!    itself, and so long that the processor cannot look beyond it. 1,041 to 994 ns with `avx512`, 1,592 to 1,486 with
//!    `avx512bw`, 3,195 to 3,109 with `avx2`. The last pack's additions remain, for nothing is left to be decided
//!    meanwhile.
//! 3. Some steps are applied to all rows before the next ones, so that their lines stay in the first-level cache: for
//!    trees of more than 65 leaves only.

use std::ops::Range;

use super::GROUPED;
use crate::kernel::isa::Isa;
use crate::kernel::real::Real;
use crate::kernel::sums::Pending;
use crate::plan::lanes::{CHUNK, Line, Pack};

/// Steps that are applied to all rows before others are: 12 KiB of lines.
const STEPS_AT_ONCE: usize = 64;

/// Lines of a step of a chunk: index, rank, group if there are many, label.
#[inline(always)]
const fn kinds(lanes: usize) -> usize {
    if lanes == GROUPED { 4 } else { 3 }
}

/// Decides a pack of listed trees for a row, and adds leaves that are pending.
#[inline(always)]
pub(in crate::kernel) fn label<
    K: Isa<PARTS>,
    T: Real,
    const PARTS: usize,
    const LANES: usize,
    const CHUNKS: usize,
    const BITS: bool,
>(
    kernel: K,
    (steps, words): (usize, &[u64]),
    lines: &[Line],
    tables: &K::Tables<'_>,
    labels: &mut [u8],
    pending: &mut Pending<'_, T>,
) {
    let kinds = kinds(LANES);
    let mut sum = *pending;
    let mut next = kernel.splat(0);
    let mut at = [[kernel.splat(0); PARTS]; CHUNKS];
    let mut words = words.as_chunks::<CHUNKS>().0.iter();
    for lines in lines.chunks_exact(CHUNKS * kinds).take(steps) {
        next = kernel.add(next, kernel.splat(1));
        let words = if BITS { words.next().copied() } else { None };
        let words = words.unwrap_or([0; CHUNKS]);
        for (chunk, at) in at.iter_mut().enumerate() {
            let lines = &lines[chunk * kinds..][..kinds];
            for (part, at) in at.iter_mut().enumerate() {
                let index = kernel.load(&lines[0], part);
                let bytes = kernel.look_up::<LANES>(tables, index, kernel.load(&lines[kinds - 2], part));
                let mut exceeds = kernel.exceeds(bytes, kernel.load(&lines[1], part));
                if BITS {
                    exceeds = kernel.or_bits(exceeds, words[chunk], part);
                }
                *at = kernel.step(*at, kernel.load(&lines[kinds - 1], part), exceeds, next);
            }
        }
        sum.add::<8>();
    }
    *pending = sum;
    for (at, labels) in at.into_iter().zip(labels.chunks_exact_mut(CHUNK)) {
        for (part, at) in at.into_iter().enumerate() {
            kernel.store_labels(labels, part, at);
        }
    }
}

/// What rows have: their lanes, `stride` apart, of which so many are `used`; and their words and how many each has.
type Rows<'a> = ((&'a [u8], usize, usize), (&'a [u64], usize));

/// Decides a chunk of a pack for all rows. A row's words begin with the pack's.
#[inline(always)]
pub(in crate::kernel) fn label_rows<
    K: Isa<PARTS>,
    const PARTS: usize,
    const LANES: usize,
    const BITS: bool,
    const ROWS: usize,
>(
    kernel: K,
    (pack, chunk): (&Pack, usize),
    lines: &[Line],
    ((lanes, stride, used), (words, words_stride)): Rows<'_>,
    labels: &mut [u8],
) {
    labels.fill(0);
    for first_step in (0..pack.steps).step_by(STEPS_AT_ONCE) {
        let steps = first_step..(first_step + STEPS_AT_ONCE).min(pack.steps);
        let (mut lanes, mut words) = (lanes, words);
        for labels in labels.chunks_mut(ROWS * CHUNK) {
            let (own, others) = lanes.split_at(labels.len() / CHUNK * stride);
            lanes = others;
            let own_words = words;
            // The last row's words end with the plan's, not with a stride.
            words = words.get(labels.len() / CHUNK * words_stride..).unwrap_or_default();
            if labels.len() == ROWS * CHUNK {
                let own = ((own, stride, used), (own_words, words_stride));
                some_rows::<K, PARTS, LANES, BITS, ROWS>(kernel, (pack, chunk), steps.clone(), lines, own, labels);
                continue;
            }
            for (row, (own, labels)) in own.chunks_exact(stride).zip(labels.chunks_exact_mut(CHUNK)).enumerate() {
                let own_words = own_words.get(row * words_stride..).unwrap_or_default();
                let own = ((own, stride, used), (own_words, words_stride));
                some_rows::<K, PARTS, LANES, BITS, 1>(kernel, (pack, chunk), steps.clone(), lines, own, labels);
            }
        }
    }
}

/// Applies some steps to the labels of `ROWS` rows.
#[inline(always)]
fn some_rows<K: Isa<PARTS>, const PARTS: usize, const LANES: usize, const BITS: bool, const ROWS: usize>(
    kernel: K,
    (pack, chunk): (&Pack, usize),
    steps: Range<usize>,
    lines: &[Line],
    ((lanes, stride, used), (words, words_stride)): Rows<'_>,
    labels: &mut [u8],
) {
    let kinds = kinds(LANES);
    let mut tables = [kernel.tables::<LANES>(&lanes[..used]); ROWS];
    // As many turns as the compiler knows of: else it keeps them in memory.
    for row in 1..ROWS {
        tables[row] = kernel.tables::<LANES>(&lanes[row * stride..][..used]);
    }
    let (labels, _) = labels.as_chunks_mut::<CHUNK>();
    let mut at = [[kernel.splat(0); PARTS]; ROWS];
    for row in 0..ROWS {
        for (part, at) in at[row].iter_mut().enumerate() {
            *at = kernel.load_labels(&labels[row], part);
        }
    }
    let mut next = kernel.splat(u8::try_from(steps.start).expect("a pack has at most 255 steps"));
    let step_lines = pack.chunks * kinds;
    let lines = &lines[step_lines * steps.start..step_lines * steps.end];
    for (step, lines) in steps.zip(lines.chunks_exact(step_lines)) {
        next = kernel.add(next, kernel.splat(1));
        let lines = &lines[chunk * kinds..][..kinds];
        for part in 0..PARTS {
            let (index, rank) = (kernel.load(&lines[0], part), kernel.load(&lines[1], part));
            let (group, label) = (
                kernel.load(&lines[kinds - 2], part),
                kernel.load(&lines[kinds - 1], part),
            );
            for (row, (at, tables)) in at.iter_mut().zip(&tables).enumerate() {
                let mut exceeds = kernel.exceeds(kernel.look_up::<LANES>(tables, index, group), rank);
                if BITS {
                    let word = words[row * words_stride + step * pack.chunks + chunk];
                    exceeds = kernel.or_bits(exceeds, word, part);
                }
                at[part] = kernel.step(at[part], label, exceeds, next);
            }
        }
    }
    for row in 0..ROWS {
        for (part, &at) in at[row].iter().enumerate() {
            kernel.store_labels(&mut labels[row], part, at);
        }
    }
}
