//! Category splits of models that have many sets: a bit for each node, and a row of bits for each code of a column.
//!
//! ```text
//! words    one for each step of 64 trees, the bit of each tree whose node sends the code right
//! rows     [ column 7: missing | code 0 | code 3 … | column 9: missing | … ]      as many words each
//! ```
//!
//! A lane for each distinct set costs a look-up a row, and a model of partitions (XGBoost's and LightGBM's) has about as
//! many sets as nodes: 150 trees of depth 6 over 20 categorical columns have 8,463. What a code does at *all* nodes of its
//! column is known when the model is loaded, though. So a row of values takes one row of bits for each of its categorical
//! columns, and the union of these says where it goes at every category node of the model.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::ensemble::{Codes, Node, Tree};
use crate::kernel::real::Real;

/// Sets from which on bits are used: fewer cost less as lanes.
const SETS_MIN: usize = 64;

/// Bytes of rows at most. A row reads one for each categorical column, in order, so that the caches' size matters less.
const BYTES_MAX: usize = 32 << 20;

/// Codes below this are found by index, where a column's codes are not too sparse.
const DIRECT_MAX: usize = 1 << 16;

/// No row: what is in none of a column's sets goes left everywhere.
const NONE: u32 = u32::MAX;

/// All rows of bits of a plan; none when sets have lanes.
#[derive(Debug, Clone, Default)]
pub(crate) struct CategoryBits {
    columns: Vec<BitColumn>,
    /// Words of a row.
    pub(crate) words: usize,
    rows: Vec<u64>,
}

/// A categorical column.
#[derive(Debug, Clone)]
struct BitColumn {
    column: u32,
    /// The row of what is missing; those of codes follow, in their order.
    first_row: u32,
    /// The codes that some set has, increasing.
    codes: Vec<u32>,
    /// By code, its row. Empty when codes are searched for.
    direct: Vec<u32>,
}

impl CategoryBits {
    /// Rows for the codes of trees, all bits 0: for as many steps of 64 trees. None if they would take too much memory.
    pub(super) fn new(trees: &[Tree], words: usize) -> Option<Self> {
        let mut found: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
        for tree in trees {
            for node in &tree.nodes {
                if let Node::Category {
                    feature, first, count, ..
                } = *node
                {
                    found.entry(feature).or_default().extend(tree.codes(first, count));
                }
            }
        }
        let rows: usize = found.values().map(|codes| codes.len() + 1).sum();
        let bytes = rows.checked_mul(words)?.checked_mul(size_of::<u64>())?;
        if bytes > BYTES_MAX {
            return None;
        }
        let mut first_row = 0;
        let columns = found.into_iter().map(|(column, codes)| {
            let codes: Vec<u32> = codes.into_iter().collect();
            let own = first_row;
            first_row += u32::try_from(codes.len() + 1).expect("BYTES_MAX keeps rows within u32");
            BitColumn {
                column,
                first_row: own,
                direct: direct(own, &codes),
                codes,
            }
        });
        Some(Self {
            columns: columns.collect(),
            words,
            rows: vec![0; rows * words],
        })
    }

    /// Whether sets are bits.
    pub(crate) fn are_used(&self) -> bool {
        !self.columns.is_empty()
    }

    /// One more than the highest column.
    pub(super) fn column_count(&self) -> usize {
        self.columns.last().map_or(0, |column| column.column as usize + 1)
    }

    /// Enters a category node: the codes that go right there, and whether what is missing does.
    pub(super) fn enter(&mut self, (word, tree): (usize, usize), tree_codes: (u32, &[u32]), missing_right: bool) {
        let (feature, codes) = tree_codes;
        let found = self.columns.binary_search_by_key(&feature, |column| column.column);
        let column = &self.columns[found.expect("every category node's column was found")];
        let missing = missing_right.then_some(column.first_row);
        for row in codes.iter().filter_map(|&code| column.row_of(code)).chain(missing) {
            self.rows[row as usize * self.words + word] |= 1 << tree;
        }
    }

    /// Unites the rows of bits that a row of values takes: where it goes right, for each step of 64 trees.
    #[inline(always)]
    pub(crate) fn unite<T: Real>(&self, row: &[T], codes: Codes, words: &mut [u64]) {
        words.fill(0);
        for column in &self.columns {
            let value = row[column.column as usize];
            let found = if value.is_nan() {
                Some(column.first_row)
            } else {
                value.code(codes).and_then(|code| column.row_of(code))
            };
            let Some(found) = found else { continue };
            let bits = &self.rows[found as usize * self.words..][..self.words];
            for (word, bits) in words.iter_mut().zip(bits) {
                *word |= bits;
            }
        }
    }

    /// What uniting costs a row, roughly: a word takes a fifth of a nanosecond.
    pub(super) fn cost_ns(&self) -> usize {
        self.columns.len() * (5 + self.words / 5)
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        let columns = self.columns.iter();
        let codes: usize = columns.map(|column| column.codes.len() + column.direct.len()).sum();
        codes * size_of::<u32>() + size_of_val(self.columns.as_slice()) + size_of_val(self.rows.as_slice())
    }

    /// What it is, for people; empty when there is none.
    pub(super) fn explain(&self) -> String {
        if !self.are_used() {
            return String::new();
        }
        let codes: usize = self.columns.iter().map(|column| column.codes.len()).sum();
        format!(
            "; a bit for each category node, {} columns with {codes} codes, {} KiB",
            self.columns.len(),
            self.bytes() >> 10
        )
    }
}

/// Whether trees have so many distinct sets that bits are worth it.
pub(super) fn has_many_sets(trees: &[Tree]) -> bool {
    let mut sets = HashSet::new();
    for tree in trees {
        for node in &tree.nodes {
            if let Node::Category {
                feature, first, count, ..
            } = *node
                && sets.insert((feature, tree.codes(first, count)))
                && sets.len() > SETS_MIN
            {
                return true;
            }
        }
    }
    false
}

impl BitColumn {
    #[inline(always)]
    fn row_of(&self, code: u32) -> Option<u32> {
        if self.direct.is_empty() {
            let place = self.codes.binary_search(&code).ok()?;
            return u32::try_from(place).ok().map(|place| self.first_row + 1 + place);
        }
        self.direct.get(code as usize).copied().filter(|&row| row != NONE)
    }
}

fn direct(first_row: u32, codes: &[u32]) -> Vec<u32> {
    let len = codes.last().map_or(0, |&last| last as usize + 1);
    if len > DIRECT_MAX || len > 64 * codes.len() + 1_024 {
        return Vec::new();
    }
    let mut rows = vec![NONE; len];
    for (row, &code) in (first_row + 1..).zip(codes) {
        rows[code as usize] = row;
    }
    rows
}
