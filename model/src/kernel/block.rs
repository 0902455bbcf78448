//! Several rows at once: what the plan says is read once for all of them.
//!
//! ```text
//! rows     [ row 0: a value for each column | row 1 … ]        up to 64, as many as leave room in the first-level cache
//! lanes    [ row 0: missing goes left, missing goes right | row 1 … ]
//! labels   [ row 0: a byte for each of a chunk's 64 trees | row 1 … ]      of one chunk after the other
//! ```
//!
//! 1. Rows are ranked column by column (see `rank.rs`).
//! 2. A chunk of 64 trees is decided for all rows before the next one: its lines come from the second-level cache once.
//! 3. So do its leaves, which are added for as many trees at a time as fit the first-level cache. A row's leaves would
//!    otherwise come from beyond it one by one: 500 cache lines for 500 trees.
//!
//! Together with what `vector/listed.rs` and `avx512/leaves.rs` add, 1,024 rows a call went from 523 to 317 ns a row
//! (500 trees of depth 6), 507 to 299 (500 of 31 leaves), 1,553 to 1,271 (255 leaves), 207 to 155 (100 of depth 6) and
//! 2,057 to 1,958 or less (1,000 of depth 8), against sixteen rows that were ranked one by one and decided 256 trees at
//! a time.
//!
//! On the machine that `vector.rs` names, blocks of 16 rows instead of 64 take 601 ns a row for 571 (500 trees of depth
//! 6), 841 for 809 (500 of 31 leaves) and no more for larger trees. There the leaves of a whole chunk at a time are no
//! slower than 16 KiB of them, because the first-level cache has 48.
//!
//! Inlined wherever it is called, so that it is compiled for the caller's CPU features.

use super::isa::Stages;
use super::lanes::{add_trees, fill_tables};
use super::real::Real;
use super::vector::label_chunk;
use crate::plan::lanes::pairs::TABLE;
use crate::plan::lanes::{BLOCK, CHUNK, LanePlan, Leaves, Pack};

/// Rows of a block at most.
const ROWS_MAX: usize = 64;

/// Bytes that the values of a block's rows should not exceed, unless eight rows do.
const VALUES_BYTES: usize = 32 << 10;

/// Rows that are evaluated in step; a block is a multiple of them.
pub(super) const ROWS_IN_STEP: usize = 16;

/// Bytes of leaves that are read for all rows before others are.
const LEAVES_BYTES: usize = 16 << 10;

/// A thread's working memory for several rows of one plan.
#[derive(Debug, Clone, Default)]
pub struct LaneBlock {
    lanes: Vec<u8>,
    missing: Vec<u8>,
    labels: Vec<u8>,
    /// The lanes once more, as paired trees read them.
    tables: Vec<[u8; TABLE]>,
    /// Where rows go at category nodes, if those are bits.
    words: Vec<u64>,
}

/// What one plan and its rows are, for [`LaneBlock`].
impl LaneBlock {
    /// Working memory for as many rows of a plan.
    #[must_use]
    pub fn new<T: Real>(plan: &LanePlan<T>, rows: usize) -> Self {
        Self {
            lanes: vec![0; rows * 2 * plan.half],
            missing: vec![0; plan.ranks.columns.next_multiple_of(BLOCK)],
            labels: vec![0; rows * CHUNK],
            tables: vec![[0; TABLE]; rows * plan.pairs.table_count()],
            words: vec![0; rows * plan.bits.words],
        }
    }

    /// How many rows with this many columns are best evaluated together.
    #[must_use]
    pub fn rows<T: Real>(columns: usize) -> usize {
        let fitting = VALUES_BYTES / (columns.max(1) * size_of::<T>());
        (fitting / ROWS_IN_STEP * ROWS_IN_STEP).clamp(ROWS_IN_STEP, ROWS_MAX)
    }

    /// The lanes of as many rows, and what ranking them needs.
    pub(super) fn lanes_and_missing<T: Real>(&mut self, plan: &LanePlan<T>, rows: usize) -> (&mut [u8], &mut [u8]) {
        (&mut self.lanes[..rows * 2 * plan.half], &mut self.missing)
    }

    /// Sums the trees of a plan for rows, `width` values each, whose lanes are there.
    #[inline(always)]
    pub(super) fn sum<K: Stages<PARTS>, T: Real, const PARTS: usize, const LANES: usize>(
        &mut self,
        kernel: K,
        plan: &LanePlan<T>,
        (rows, width): (&[T], usize),
        margins: &mut [T],
    ) {
        let outputs = plan.base_margins.len();
        for margins in margins.chunks_exact_mut(outputs) {
            margins.copy_from_slice(&plan.base_margins);
        }
        let count = rows.len() / width;
        let lanes = &self.lanes[..count * 2 * plan.half];
        let labels = &mut self.labels[..count * CHUNK];
        let table_count = plan.pairs.table_count();
        let tables = &mut self.tables[..count * table_count];
        if plan.has_pairs() {
            let rows = lanes
                .chunks_exact(2 * plan.half)
                .zip(tables.chunks_exact_mut(table_count));
            rows.for_each(|(lanes, tables)| fill_tables(&plan.pairs, lanes, tables));
        }
        let words = &mut self.words[..count * plan.bits.words];
        if plan.bits.are_used() {
            let rows = rows.chunks_exact(width).zip(words.chunks_exact_mut(plan.bits.words));
            rows.for_each(|(row, words)| plan.bits.unite(row, plan.codes, words));
        }
        for pack in &plan.packs {
            for chunk in 0..pack.chunks {
                label_chunk::<K, T, PARTS, LANES>(kernel, plan, (pack, chunk), (lanes, tables, words), labels);
                add_chunk(kernel, plan, (pack, chunk), (rows, width), labels, margins);
            }
        }
    }
}

/// Adds the leaves of a chunk's trees to the margins of rows: numbers of one output for as many trees at a time as the
/// first-level cache holds leaves of.
#[inline(always)]
fn add_chunk<K: Stages<PARTS>, T: Real, const PARTS: usize>(
    kernel: K,
    plan: &LanePlan<T>,
    (pack, chunk): (&Pack, usize),
    (rows, width): (&[T], usize),
    labels: &[u8],
    margins: &mut [T],
) {
    let trees = pack.trees_of(chunk);
    match &plan.leaves {
        Leaves::Numbers { values, outputs } if outputs.is_empty() => {
            let at_once = (LEAVES_BYTES / (pack.stride * size_of::<T>())).max(1);
            let mut first = 0;
            while first < trees.len() {
                let some = first..(first + at_once).min(trees.len());
                let leaves = &values[pack.first_leaf + (chunk * CHUNK + first) * pack.stride..];
                first = some.end;
                T::sum(kernel, leaves, pack.stride, labels, some, margins);
            }
        }
        Leaves::Numbers { .. } | Leaves::Places { .. } => {
            let rows = rows
                .chunks_exact(width)
                .zip(margins.chunks_exact_mut(plan.base_margins.len()));
            for ((row, margins), labels) in rows.zip(labels.chunks_exact(CHUNK)) {
                add_trees(plan, pack, trees.clone(), row, labels, margins);
            }
        }
    }
}
