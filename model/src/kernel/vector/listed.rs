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
pub(in crate::kernel) fn label<K: Isa<PARTS>, T: Real, const PARTS: usize, const LANES: usize, const CHUNKS: usize>(
    kernel: K,
    steps: usize,
    lines: &[Line],
    tables: &K::Tables<'_>,
    labels: &mut [u8],
    pending: &mut Pending<'_, T>,
) {
    let kinds = kinds(LANES);
    let mut sum = *pending;
    let mut next = kernel.splat(0);
    let mut at = [[kernel.splat(0); PARTS]; CHUNKS];
    for lines in lines.chunks_exact(CHUNKS * kinds).take(steps) {
        next = kernel.add(next, kernel.splat(1));
        for (chunk, at) in at.iter_mut().enumerate() {
            let lines = &lines[chunk * kinds..][..kinds];
            for (part, at) in at.iter_mut().enumerate() {
                let index = kernel.load(&lines[0], part);
                let bytes = kernel.look_up::<LANES>(tables, index, kernel.load(&lines[kinds - 2], part));
                let exceeds = kernel.exceeds(bytes, kernel.load(&lines[1], part));
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

/// Decides a chunk of a pack for all rows. Of each row's lanes, `stride` apart, so many are `used`.
#[inline(always)]
pub(in crate::kernel) fn label_rows<K: Isa<PARTS>, const PARTS: usize, const LANES: usize, const ROWS: usize>(
    kernel: K,
    (pack, chunk): (&Pack, usize),
    lines: &[Line],
    (lanes, stride, used): (&[u8], usize, usize),
    labels: &mut [u8],
) {
    labels.fill(0);
    for first_step in (0..pack.steps).step_by(STEPS_AT_ONCE) {
        let steps = first_step..(first_step + STEPS_AT_ONCE).min(pack.steps);
        let mut lanes = lanes;
        for labels in labels.chunks_mut(ROWS * CHUNK) {
            let (own, others) = lanes.split_at(labels.len() / CHUNK * stride);
            lanes = others;
            if labels.len() == ROWS * CHUNK {
                let own = (own, stride, used);
                some_rows::<K, PARTS, LANES, ROWS>(kernel, (pack, chunk), steps.clone(), lines, own, labels);
                continue;
            }
            for (own, labels) in own.chunks_exact(stride).zip(labels.chunks_exact_mut(CHUNK)) {
                let own = (own, stride, used);
                some_rows::<K, PARTS, LANES, 1>(kernel, (pack, chunk), steps.clone(), lines, own, labels);
            }
        }
    }
}

/// Applies some steps to the labels of `ROWS` rows.
#[inline(always)]
fn some_rows<K: Isa<PARTS>, const PARTS: usize, const LANES: usize, const ROWS: usize>(
    kernel: K,
    (pack, chunk): (&Pack, usize),
    steps: Range<usize>,
    lines: &[Line],
    (lanes, stride, used): (&[u8], usize, usize),
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
    for lines in lines.chunks_exact(step_lines) {
        next = kernel.add(next, kernel.splat(1));
        let lines = &lines[chunk * kinds..][..kinds];
        for part in 0..PARTS {
            let (index, rank) = (kernel.load(&lines[0], part), kernel.load(&lines[1], part));
            let (group, label) = (
                kernel.load(&lines[kinds - 2], part),
                kernel.load(&lines[kinds - 1], part),
            );
            for (at, tables) in at.iter_mut().zip(&tables) {
                let exceeds = kernel.exceeds(kernel.look_up::<LANES>(tables, index, group), rank);
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
