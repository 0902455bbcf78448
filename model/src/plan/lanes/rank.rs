//! Each feature's distinct thresholds, laid out for a search of two levels, and each distinct category set.
//!
//! ```text
//! blocks of an item:  [ last threshold of each block | NaN ]   pivots: how many blocks lie below the value
//!                     [ 16 thresholds ] [ 16 ] … [ 7, NaN … ]  then how many of one block
//! ```
//!
//! Every comparison with NaN is false, so padding is never counted, and the last pivot is NaN so that the search cannot
//! run past the last block.

use std::collections::{BTreeMap, HashMap};

use super::super::sets::{CategorySets, CategorySetsBuilder};
use crate::ensemble::{Node, Tree};
use crate::kernel::real::Real;

/// Thresholds of a block: what one comparison (two in f64) serves.
pub(crate) const BLOCK: usize = 16;

/// Thresholds that one byte lane can distinguish.
pub(crate) const WINDOW: usize = 255;

/// Thresholds side by side.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct Block<T>(pub(crate) [T; BLOCK]);

/// A column to be ranked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Item {
    pub(crate) column: u32,
    /// Whether zero counts as missing.
    pub(crate) zero_is_missing: bool,
    /// Its first pivots in [`Ranks::blocks`], and how many blocks of them; its thresholds follow.
    pub(crate) first_block: u32,
    pub(crate) pivot_blocks: u32,
    /// Lane of its second window; the first one's is the item's own number.
    pub(crate) second_lane: u32,
    pub(crate) windows: u32,
}

/// A lane that says whether a column's code is in a set.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SetLane {
    pub(crate) column: u32,
    pub(crate) set: u32,
    pub(crate) lane: u32,
}

/// From a row to its lanes.
#[derive(Debug, Clone)]
pub(crate) struct Ranks<T> {
    /// Plain ones first.
    pub(crate) items: Vec<Item>,
    /// How many of the items have one block of pivots, one window, and no zero that counts as missing.
    pub(crate) plain: usize,
    /// Whether the plain items are the first columns, in order.
    pub(crate) is_in_order: bool,
    /// A row has at least this many values.
    pub(crate) columns: usize,
    pub(crate) blocks: Vec<Block<T>>,
    pub(crate) set_lanes: Vec<SetLane>,
    pub(crate) sets: CategorySets,
    lanes: usize,
    thresholds: HashMap<(u32, bool), (usize, Vec<T>)>,
    set_lane: HashMap<(u32, Vec<u32>), u32>,
}

/// Where a node's outcome is read: right if the lane's byte exceeds the rank.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Test {
    pub(super) lane: u32,
    pub(super) rank: u8,
}

impl<T: Real> Ranks<T> {
    /// Ranks of the columns that trees compare; with a lane for each category set, if sets have lanes.
    pub(super) fn compile(trees: &[Tree], have_lanes: bool) -> Self {
        let mut columns: BTreeMap<(u32, bool), Vec<T>> = BTreeMap::new();
        for node in trees.iter().flat_map(|tree| &tree.nodes) {
            if let Node::Number {
                feature,
                threshold,
                zero_is_missing,
                ..
            } = *node
            {
                let column = columns.entry((feature, zero_is_missing)).or_default();
                column.push(T::narrow(threshold));
            }
        }
        for thresholds in columns.values_mut() {
            thresholds.sort_by(|a, b| a.partial_cmp(b).expect("an ensemble's thresholds are not NaN"));
            // Zeros of both signs are equal to every comparison, and here too.
            thresholds.dedup_by(|a, b| a == b);
        }
        let mut columns: Vec<_> = columns.into_iter().collect();
        let is_plain = |(key, thresholds): &((u32, bool), Vec<T>)| !key.1 && thresholds.len() <= WINDOW;
        columns.sort_by_key(|column| !is_plain(column));
        let plain = columns.iter().filter(|column| is_plain(column)).count();
        let mut ranks = Self {
            items: Vec::with_capacity(columns.len()),
            plain,
            is_in_order: (0..).zip(&columns[..plain]).all(|(number, (key, _))| key.0 == number),
            columns: 0,
            blocks: Vec::new(),
            set_lanes: Vec::new(),
            sets: CategorySets::default(),
            lanes: columns.len(),
            thresholds: HashMap::new(),
            set_lane: HashMap::new(),
        };
        for (key, thresholds) in columns {
            ranks.push_item(key, &thresholds);
            ranks.thresholds.insert(key, (ranks.items.len() - 1, thresholds));
        }
        if have_lanes {
            ranks.push_sets(trees);
        }
        let numbers = ranks.items.iter().map(|item| item.column);
        let used = numbers.chain(ranks.set_lanes.iter().map(|lane| lane.column));
        ranks.columns = used.map(|column| column as usize + 1).max().unwrap_or(0);
        ranks
    }

    fn push_item(&mut self, (column, zero_is_missing): (u32, bool), thresholds: &[T]) {
        let windows = thresholds.len().div_ceil(WINDOW).max(1);
        // One more than full, so that the last block ends in NaN.
        let blocks = thresholds.len() / BLOCK + 1;
        self.items.push(Item {
            column,
            zero_is_missing,
            first_block: number(self.blocks.len()),
            pivot_blocks: number(blocks.div_ceil(BLOCK)),
            second_lane: number(self.lanes),
            windows: number(windows),
        });
        self.lanes += windows - 1;
        let at = |index: usize| thresholds.get(index).copied().unwrap_or(T::NAN);
        let pivots = (0..blocks.next_multiple_of(BLOCK)).map(|block| at(block * BLOCK + BLOCK - 1));
        let pivots: Vec<_> = pivots.collect();
        let thresholds: Vec<_> = (0..blocks * BLOCK).map(at).collect();
        for sixteen in pivots.chunks_exact(BLOCK).chain(thresholds.chunks_exact(BLOCK)) {
            let mut block = [T::NAN; BLOCK];
            block.copy_from_slice(sixteen);
            self.blocks.push(Block(block));
        }
    }

    fn push_sets(&mut self, trees: &[Tree]) {
        let mut builder = CategorySetsBuilder::default();
        for tree in trees {
            for node in &tree.nodes {
                let Node::Category {
                    feature, first, count, ..
                } = *node
                else {
                    continue;
                };
                if self.lanes > super::LANES_MAX {
                    // No plan comes of it, and the sets of a hostile file would all be copied.
                    return;
                }
                let codes = tree.codes(first, count);
                let key = (feature, codes.to_vec());
                if self.set_lane.contains_key(&key) {
                    continue;
                }
                let lane = number(self.lanes);
                self.lanes += 1;
                self.set_lane.insert(key, lane);
                self.set_lanes.push(SetLane {
                    column: feature,
                    set: builder.number(codes),
                    lane,
                });
            }
        }
        self.sets = builder.finish();
    }

    /// Lanes of one half.
    pub(super) fn lanes(&self) -> usize {
        self.lanes
    }

    /// Where a number's comparison is read.
    pub(super) fn number_test(&self, feature: u32, zero_is_missing: bool, threshold: f64) -> Test {
        let (item, thresholds) = &self.thresholds[&(feature, zero_is_missing)];
        let threshold = T::narrow(threshold);
        let index = thresholds.partition_point(|&other| other < threshold);
        let (window, rank) = (index / WINDOW, index % WINDOW);
        let lane = match window {
            0 => number(*item),
            _ => self.items[*item].second_lane + number(window - 1),
        };
        let rank = u8::try_from(rank).expect("a rank within a window is below 255");
        Test { lane, rank }
    }

    /// Where a set's look-up is read.
    pub(super) fn set_test(&self, feature: u32, codes: &[u32]) -> Test {
        let lane = self.set_lane[&(feature, codes.to_vec())];
        Test { lane, rank: 0 }
    }

    /// What only the layout needs.
    pub(super) fn forget(&mut self) {
        (self.thresholds, self.set_lane) = (HashMap::new(), HashMap::new());
    }

    pub(super) fn explain(&self) -> String {
        let wide = self.items.len() - self.plain;
        format!(
            "{} columns by search of two levels, {wide} of them with more than 255 thresholds; {} category sets",
            self.items.len(),
            self.set_lanes.len()
        )
    }

    pub(super) fn bytes(&self) -> usize {
        size_of_val(self.items.as_slice())
            + size_of_val(self.blocks.as_slice())
            + size_of_val(self.set_lanes.as_slice())
            + self.sets.bytes()
    }
}

fn number(count: usize) -> u32 {
    u32::try_from(count).expect("NODES_MAX keeps counts of thresholds and sets within u32")
}
