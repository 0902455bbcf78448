//! Evaluates a [`LanePlan`] in plain Rust. The vector kernels on lanes are compared with it: it does step by step what
//! they do with 64 trees at once. `auto` never chooses it: without vectors a walk is faster.
//!
//! The vector kernels share what is here: the working memory, the lanes of columns that are not plain, and the leaves.

use std::ops::Range;

use super::real::Real;
use super::scalar;
use crate::ensemble::Comparison;
use crate::plan::BATCH_TREES;
use crate::plan::lanes::pairs::{PAIRED, Paired, Pairs, SECOND, TABLE, kinds};
use crate::plan::lanes::{BLOCK, CHUNK, GROUP, Item, LanePlan, Leaves, Line, Pack, Ranks, Shape, WINDOW, full_place};

/// A thread's working memory for one plan.
#[derive(Debug, Clone, Default)]
pub struct LaneScratch {
    /// The half in which what is missing goes left, then the other one.
    pub(super) lanes: Vec<u8>,
    /// 255 for each column that is missing.
    pub(super) missing: Vec<u8>,
    /// Where each tree's row stands.
    pub(super) labels: Vec<u8>,
    /// The lanes once more, as paired trees read them.
    pub(super) tables: Vec<[u8; TABLE]>,
    /// Where the row goes at category nodes, if those are bits.
    pub(super) words: Vec<u64>,
}

impl LaneScratch {
    /// Working memory for a plan.
    #[must_use]
    pub fn new<T: Real>(plan: &LanePlan<T>) -> Self {
        let [lanes, missing, labels, tables, words] = Self::lengths(plan);
        Self {
            lanes: vec![0; lanes],
            missing: vec![0; missing],
            labels: vec![0; labels],
            tables: vec![[0; TABLE]; tables],
            words: vec![0; words],
        }
    }

    /// Whether it is as large as one for this plan.
    #[must_use]
    pub fn fits<T: Real>(&self, plan: &LanePlan<T>) -> bool {
        let own = [
            self.lanes.len(),
            self.missing.len(),
            self.labels.len(),
            self.tables.len(),
            self.words.len(),
        ];
        own == Self::lengths(plan)
    }

    fn lengths<T: Real>(plan: &LanePlan<T>) -> [usize; 5] {
        let columns = plan.ranks.columns.next_multiple_of(BLOCK);
        let labels = plan.tree_count.next_multiple_of(CHUNK);
        [
            plan.half * 2,
            columns,
            labels,
            plan.pairs.table_count(),
            plan.bits.words,
        ]
    }
}

/// Sums a plan's trees for one row into `margins`, which it first sets to the base margins.
///
/// `row` is as for [`scalar::margins`]; `scratch` was made for the plan.
pub fn margins<T: Real>(plan: &LanePlan<T>, row: &[T], scratch: &mut LaneScratch, margins: &mut [T]) {
    let LaneScratch {
        lanes,
        labels,
        tables,
        words,
        ..
    } = scratch;
    plan.bits.unite(row, plan.codes, words);
    let (left, right) = lanes.split_at_mut(plan.half);
    for (number, item) in plan.ranks.items.iter().enumerate() {
        let value = value(item, row);
        set_lanes(
            item,
            number,
            rank(&plan.ranks, plan.comparison, item, value),
            value.is_nan(),
            left,
            right,
        );
    }
    look_up_sets(plan, row, left, right);
    fill_tables(&plan.pairs, lanes, tables);
    label(plan, (lanes, tables, words), labels);
    add_leaves(plan, row, labels, margins);
}

/// Copies lanes to the places of a row's tables, bit 7 turned over: they are compared as signed bytes.
#[inline(always)]
pub(super) fn fill_tables(pairs: &Pairs, lanes: &[u8], tables: &mut [[u8; TABLE]]) {
    for (table, places) in tables.iter_mut().zip(pairs.places.as_chunks::<TABLE>().0) {
        for (byte, &lane) in table.iter_mut().zip(places) {
            *byte = lanes[usize::from(lane)] ^ 0x80;
        }
    }
}

/// What an item's column holds: NaN for a zero that counts as missing.
#[inline]
pub(super) fn value<T: Real>(item: &Item, row: &[T]) -> T {
    let value = row[item.column as usize];
    if item.zero_is_missing && value == T::ZERO {
        T::NAN
    } else {
        value
    }
}

/// Thresholds that lie below a value, or are equal to it when that goes right too.
fn rank<T: Real>(ranks: &Ranks<T>, comparison: Comparison, item: &Item, value: T) -> usize {
    let count = |block: &[T; BLOCK]| {
        let below = |threshold: &&T| match comparison {
            Comparison::Less => **threshold <= value,
            Comparison::LessOrEqual => **threshold < value,
        };
        block.iter().filter(below).count()
    };
    let first = item.first_block as usize;
    let blocks = first + item.pivot_blocks as usize;
    let pivots = ranks.blocks[first..blocks].iter();
    let full: usize = pivots.map(|block| count(&block.0)).sum();
    full * BLOCK + count(&ranks.blocks[blocks + full].0)
}

/// Writes an item's rank into its lanes, cut to the window of each.
#[inline]
pub(super) fn set_lanes(item: &Item, number: usize, rank: usize, is_missing: bool, left: &mut [u8], right: &mut [u8]) {
    let missing = if is_missing { u8::MAX } else { 0 };
    let second = item.second_lane as usize;
    let others = second..second + item.windows as usize - 1;
    for (window, lane) in std::iter::once(number).chain(others).enumerate() {
        let cut = rank.saturating_sub(window * WINDOW).min(WINDOW);
        let byte = u8::try_from(cut).expect("a window is 255 wide");
        (left[lane], right[lane]) = (byte, byte | missing);
    }
}

/// Writes the lanes of category sets. Returns whether one of their columns is missing.
pub(super) fn look_up_sets<T: Real>(plan: &LanePlan<T>, row: &[T], left: &mut [u8], right: &mut [u8]) -> bool {
    let mut any_missing = false;
    for set_lane in &plan.ranks.set_lanes {
        let value = row[set_lane.column as usize];
        let code = value.code(plan.codes);
        let is_listed = !value.is_nan() && code.is_some_and(|code| plan.ranks.sets.contains(set_lane.set, code));
        let lane = set_lane.lane as usize;
        left[lane] = u8::from(is_listed);
        right[lane] = if value.is_nan() { u8::MAX } else { u8::from(is_listed) };
        any_missing |= value.is_nan();
    }
    any_missing
}

fn label<T: Real>(plan: &LanePlan<T>, (lanes, tables, words): (&[u8], &[[u8; TABLE]], &[u64]), labels: &mut [u8]) {
    for pack in &plan.packs {
        let labels = &mut labels[pack.first_tree..][..CHUNK * pack.chunks];
        let kinds = plan.step_lines();
        match pack.shape {
            Shape::Full { depth } => label_full(kinds, depth, &plan.lines[pack.first_line..], lanes, labels),
            Shape::Listed => label_listed(plan, pack, lanes, words, labels),
            Shape::Paired => label_paired(plan.pairs.of(pack), 0, tables, labels),
        }
    }
}

/// Decides paired trees whose labels these are, from a register of the pack on.
pub(super) fn label_paired(paired: Paired<'_>, first: usize, tables: &[[u8; TABLE]], labels: &mut [u8]) {
    labels.fill(0);
    let kinds = kinds(paired.steps);
    for (register, labels) in (first..paired.registers).zip(labels.chunks_mut(PAIRED)) {
        for step in 0..paired.steps {
            let place = step * paired.registers + register;
            let lines = &paired.bytes[place * kinds..][..kinds];
            for (tree, label) in labels.iter_mut().enumerate() {
                let index = lines[0].0[tree];
                let table = paired.tables[place][usize::from(index & SECOND != 0)];
                let byte = tables[usize::from(table)][usize::from(index & !SECOND)];
                if *label == lines[2].0[tree] && byte.cast_signed() > lines[1].0[tree].cast_signed() {
                    *label = match paired.has_next() {
                        true => lines[3].0[tree],
                        false => u8::try_from(step + 1).expect("more steps have labels of their own"),
                    };
                }
            }
        }
    }
}

/// Whether a tree's row goes right at a node: lines are indices, ranks and groups, `apart` from each other.
fn goes_right(lines: &[Line], apart: usize, kinds: usize, tree: usize, lanes: &[u8]) -> bool {
    let group = if kinds > 2 {
        usize::from(lines[2 * apart].0[tree])
    } else {
        0
    };
    lanes[usize::from(lines[0].0[tree]) + GROUP * group] > lines[apart].0[tree]
}

fn label_full(kinds: usize, depth: usize, lines: &[Line], lanes: &[u8], labels: &mut [u8]) {
    for (tree, label) in labels.iter_mut().enumerate() {
        let mut place = 0;
        for level in 0..depth {
            let first = kinds * ((1 << level) - 1);
            let in_level = full_place(level, place) - full_place(level, 0);
            let is_right = goes_right(&lines[first + in_level..], 1 << level, kinds, tree, lanes);
            place = 2 * place + usize::from(is_right);
        }
        *label = u8::try_from(place).expect("a full tree has at most 256 leaves");
    }
}

fn label_listed<T: Real>(plan: &LanePlan<T>, pack: &Pack, lanes: &[u8], words: &[u64], labels: &mut [u8]) {
    labels.fill(0);
    let kinds = plan.step_lines();
    let mut lines = plan.lines[pack.first_line..].chunks_exact(kinds + 1);
    let mut words = words.get(plan.first_word(pack)..).unwrap_or_default().iter();
    for step in 0..pack.steps {
        for chunk in labels.chunks_mut(CHUNK) {
            let lines = lines.next().expect("a plan has the lines of each step");
            let word = words.next().copied().unwrap_or(0);
            for (tree, label) in chunk.iter_mut().enumerate() {
                let is_right = word >> tree & 1 == 1 || goes_right(lines, 1, kinds, tree, lanes);
                if *label == lines[kinds].0[tree] && is_right {
                    *label = u8::try_from(step + 1).expect("a pack has at most 255 steps");
                }
            }
        }
    }
}

/// Adds each tree's leaf, in tree order, to margins that it first sets to the base margins.
pub(super) fn add_leaves<T: Real>(plan: &LanePlan<T>, row: &[T], labels: &[u8], margins: &mut [T]) {
    margins.copy_from_slice(&plan.base_margins);
    for pack in &plan.packs {
        add_pack(plan, pack, row, labels, margins);
    }
}

/// Adds the leaves of a pack's trees, in tree order.
#[inline]
pub(super) fn add_pack<T: Real>(plan: &LanePlan<T>, pack: &Pack, row: &[T], labels: &[u8], margins: &mut [T]) {
    let trees = pack.first_tree..pack.first_tree + pack.trees;
    add_trees(plan, pack, trees.clone(), row, &labels[trees], margins);
}

/// Adds the leaves of some of a pack's trees, in tree order. `labels` are theirs.
#[inline]
pub(super) fn add_trees<T: Real>(
    plan: &LanePlan<T>,
    pack: &Pack,
    trees: Range<usize>,
    row: &[T],
    labels: &[u8],
    margins: &mut [T],
) {
    let first_leaf = pack.first_leaf + (trees.start - pack.first_tree) * pack.stride;
    let labels = &labels[..trees.len()];
    match &plan.leaves {
        Leaves::Numbers { values, outputs } if outputs.is_empty() => {
            let mut sum = margins[0];
            let leaves = values[first_leaf..].chunks_exact(pack.stride);
            for (leaves, &label) in leaves.zip(labels) {
                sum += leaves[usize::from(label)];
            }
            margins[0] = sum;
        }
        Leaves::Numbers { values, outputs } => {
            let leaves = values[first_leaf..].chunks_exact(pack.stride);
            for ((leaves, &label), &output) in leaves.zip(labels).zip(&outputs[trees]) {
                margins[output as usize] += leaves[usize::from(label)];
            }
        }
        Leaves::Places { plan: walk, places } => {
            let mut places = places[first_leaf..].chunks_exact(pack.stride).zip(labels);
            let mut place = || places.next().map_or(0, |(places, &label)| places[usize::from(label)]);
            let (eights, others) = walk.trees[trees].as_chunks::<BATCH_TREES>();
            for eight in eights {
                let places = [(); BATCH_TREES].map(|()| place());
                if eight.iter().all(scalar::is_plain) {
                    scalar::resume_eight(walk, eight, places, row, margins);
                } else {
                    for (tree, place) in eight.iter().zip(places) {
                        scalar::resume(walk, tree, place, row, margins);
                    }
                }
            }
            for tree in others {
                scalar::resume(walk, tree, place(), row, margins);
            }
        }
    }
}
