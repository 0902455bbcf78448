//! Evaluates a [`LanePlan`] in plain Rust: the twin that the vector kernels on lanes are compared with, step by step what
//! they do with 64 trees at once. It is not chosen: without vectors a walk is faster.
//!
//! The vector kernels share what is here: the working memory, the lanes of columns that are not plain, and the leaves.

use super::real::Real;
use super::scalar;
use crate::ensemble::Comparison;
use crate::plan::lanes::{BLOCK, CHUNK, GROUP, Item, LanePlan, Leaves, PACK_CHUNKS, Ranks, WINDOW};

/// A thread's working memory for one plan.
#[derive(Debug, Clone, Default)]
pub struct LaneScratch {
    /// The half in which what is missing goes left, then the other one.
    pub(super) lanes: Vec<u8>,
    /// Where each tree's row stands.
    pub(super) labels: Vec<u8>,
}

impl LaneScratch {
    /// Working memory for a plan.
    #[must_use]
    pub fn new<T: Real>(plan: &LanePlan<T>) -> Self {
        let [lanes, labels] = Self::lengths(plan);
        Self {
            lanes: vec![0; lanes],
            labels: vec![0; labels],
        }
    }

    /// Whether it is as large as one for this plan.
    #[must_use]
    pub fn fits<T: Real>(&self, plan: &LanePlan<T>) -> bool {
        [self.lanes.len(), self.labels.len()] == Self::lengths(plan)
    }

    fn lengths<T: Real>(plan: &LanePlan<T>) -> [usize; 2] {
        [plan.half * 2, plan.tree_count.next_multiple_of(PACK_CHUNKS * CHUNK)]
    }
}

/// Sums a plan's trees for one row into `margins`, which it first sets to the base margins.
///
/// `row` is as for [`scalar::margins`]; `scratch` was made for the plan.
pub fn margins<T: Real>(plan: &LanePlan<T>, row: &[T], scratch: &mut LaneScratch, margins: &mut [T]) {
    let LaneScratch { lanes, labels } = scratch;
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
    label(plan, lanes, labels);
    add_leaves(plan, row, labels, margins);
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

fn label<T: Real>(plan: &LanePlan<T>, lanes: &[u8], labels: &mut [u8]) {
    let groups = plan.lanes().div_ceil(GROUP);
    let packs = plan.packs.iter().zip(labels.chunks_mut(PACK_CHUNKS * CHUNK));
    for (pack, labels) in packs {
        labels.fill(0);
        let mut lines = plan.lines[pack.first_line..].iter();
        let mut line = || &lines.next().expect("a plan has the lines of each step").0;
        let mut masks = plan.masks[pack.first_mask..].chunks(groups);
        for step in 0..pack.steps {
            for chunk in labels.chunks_mut(CHUNK).take(pack.chunks) {
                let (indices, ranks) = (line(), line());
                let own = if pack.is_balanced {
                    &plan.balanced[step].0
                } else {
                    line()
                };
                let group = if plan.is_grouped() { masks.next() } else { None };
                for (tree, label) in chunk.iter_mut().enumerate() {
                    let in_group = |group: &[u64]| group.iter().position(|mask| mask >> tree & 1 == 1).unwrap_or(0);
                    let lane = usize::from(indices[tree]) + GROUP * group.map_or(0, in_group);
                    if lanes[lane] > ranks[tree] && *label == own[tree] {
                        *label = u8::try_from(step + 1).expect("a pack has at most 255 steps");
                    }
                }
            }
        }
    }
}

/// Adds each tree's leaf, in tree order, to margins that it first sets to the base margins.
#[inline]
pub(super) fn add_leaves<T: Real>(plan: &LanePlan<T>, row: &[T], labels: &[u8], margins: &mut [T]) {
    margins.copy_from_slice(&plan.base_margins);
    match &plan.leaves {
        Leaves::Numbers { values, outputs } if outputs.is_empty() => {
            let mut sum = plan.base_margins[0];
            for (pack, labels) in plan.packs.iter().zip(labels.chunks(PACK_CHUNKS * CHUNK)) {
                let leaves = values[pack.first_leaf..].chunks_exact(pack.stride);
                for (leaves, &label) in leaves.zip(labels) {
                    sum += leaves[usize::from(label)];
                }
            }
            margins[0] = sum;
        }
        Leaves::Numbers { values, outputs } => {
            let outputs = outputs.chunks(PACK_CHUNKS * CHUNK);
            for ((pack, labels), outputs) in plan.packs.iter().zip(labels.chunks(PACK_CHUNKS * CHUNK)).zip(outputs) {
                let leaves = values[pack.first_leaf..].chunks_exact(pack.stride);
                for ((leaves, &label), &output) in leaves.zip(labels).zip(outputs) {
                    margins[output as usize] += leaves[usize::from(label)];
                }
            }
        }
        Leaves::Places { plan: walk, places } => {
            let mut trees = walk.trees.iter();
            for (pack, labels) in plan.packs.iter().zip(labels.chunks(PACK_CHUNKS * CHUNK)) {
                let places = places[pack.first_leaf..].chunks_exact(pack.stride);
                for ((places, &label), tree) in places.zip(labels).zip(trees.by_ref()) {
                    scalar::resume(walk, tree, places[usize::from(label)], row, margins);
                }
            }
        }
    }
}
