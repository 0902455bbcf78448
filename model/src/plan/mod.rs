//! Ensemble → Plan: the layout of the trees for the chosen kernel, and why it was chosen.
//!
//! ```text
//! nodes   [ sentinel leaf | tree 0: root, its children side by side, theirs … | tree 1 … ]     16 bytes a node, 24 in f64
//! trees   [ root, output, steps ]            in the order their leaves are added
//! batches [ up to 8 consecutive trees, one count of steps ]
//! sets    category codes as bits or as a sorted list, whichever is smaller
//! vectors, linear_leaves, terms      what leaves add that are more than a number
//! ```
//!
//! Breadth-first order puts the nodes every row visits into the same few cache lines, and siblings side by side need
//! one child number instead of two. A leaf points at itself, so that trees of different depth can be walked in step.

pub mod lanes;
mod layout;
mod sets;

use std::fmt::Write as _;

use crate::ensemble::{Codes, Comparison, Ensemble, Linear};
use crate::kernel::real::Real;
pub(crate) use sets::{CategorySets, CategorySetsBuilder};

/// Trees walked in step. Eight independent chains of loads hide the latency of each; the registers hold them.
pub(crate) const BATCH_TREES: usize = 8;

/// Steps up to which trees are walked in step. Deeper ones are unbalanced, and most of their rows end far above.
pub(crate) const BATCH_STEPS_MAX: u32 = 12;

/// A node: a leaf is its own right child and goes there for every value.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PlanNode<T> {
    /// Threshold; NaN for a leaf, which sends every value right; the set's number as bits for a category.
    pub(crate) threshold: T,
    /// Column in the low 24 bits, flags above.
    pub(crate) feature: u32,
    /// Number of the left child; the right one follows it.
    pub(crate) left: u32,
    /// What a leaf adds; the number of what it adds, as bits, when that is more than a number.
    pub(crate) value: T,
}

/// Flag of [`PlanNode::feature`]: NaN goes left.
pub(crate) const MISSING_LEFT: u32 = 1 << 31;
/// Flag of [`PlanNode::feature`]: the threshold is a set's number.
pub(crate) const CATEGORY: u32 = 1 << 30;
/// Flag of [`PlanNode::feature`]: zero is missing too.
pub(crate) const ZERO_MISSING: u32 = 1 << 29;
/// Flags of nodes that a plain step does not serve.
pub(crate) const SPECIAL: u32 = CATEGORY | ZERO_MISSING;
/// The column's bits of [`PlanNode::feature`].
pub(crate) const COLUMN: u32 = (1 << 24) - 1;

/// One tree of a plan.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PlanTree {
    pub(crate) root: u32,
    pub(crate) output: u32,
    pub(crate) steps: u32,
    pub(crate) leaves: LeafKind,
    /// Whether some node is a [`SPECIAL`] one.
    pub(crate) is_special: bool,
}

/// What the leaves of a tree add.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LeafKind {
    Number,
    Vector,
    Linear,
}

/// A leaf that is a linear function of the row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LinearLeaf<T> {
    /// What it adds when a column is missing.
    pub(crate) value: T,
    pub(crate) constant: T,
    pub(crate) first: u32,
    pub(crate) count: u32,
}

/// Consecutive trees that are walked together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Batch {
    pub(crate) first: usize,
    pub(crate) count: usize,
    /// Steps after which every one of them stands on a leaf; 0 when they are walked one by one.
    pub(crate) steps: u32,
}

/// An ensemble laid out for the scalar kernel, in its precision.
#[derive(Debug, Clone)]
pub struct Plan<T> {
    pub(crate) comparison: Comparison,
    pub(crate) codes: Codes,
    pub(crate) nodes: Vec<PlanNode<T>>,
    pub(crate) trees: Vec<PlanTree>,
    pub(crate) batches: Vec<Batch>,
    pub(crate) sets: CategorySets,
    pub(crate) vectors: Vec<T>,
    pub(crate) linear_leaves: Vec<LinearLeaf<T>>,
    pub(crate) terms: Vec<(u32, T)>,
    pub(crate) base_margins: Vec<T>,
    /// A linear model with its columns.
    pub(crate) linear: Option<(Linear, usize)>,
}

impl<T: Real> Plan<T> {
    /// Lays out the first `tree_limit` trees. `T` is the ensemble's precision.
    #[must_use]
    pub fn compile(ensemble: &Ensemble, tree_limit: usize) -> Self {
        layout::compile(ensemble, tree_limit)
    }

    /// What a row costs, roughly, when the model is small. From a sweep of 1 to 60 trees on Zen 5: a step of eight
    /// trees takes 6 ns, one of a single tree 1.6; a tree walked alone 12 ns, as most rows end far above its deepest
    /// leaf.
    #[must_use]
    pub fn cost_ns(&self) -> usize {
        let cost = |batch: &Batch| {
            let trees = &self.trees[batch.first..batch.first + batch.count];
            match batch.steps {
                0 => trees.iter().map(|tree| 2 * tree.steps.min(6) as usize).sum::<usize>(),
                steps => steps as usize * (8 + 5 * batch.count) / 8,
            }
        };
        self.batches.iter().map(cost).sum()
    }

    /// What was chosen and why, a line each.
    #[must_use]
    pub fn explain(&self) -> String {
        if self.linear.is_some() {
            return "layout: none, a linear model has no trees\nsum: 32-bit floats in column order from bias and base"
                .into();
        }
        let together = self.batches.iter().filter(|batch| batch.steps > 0);
        let trees_together: usize = together.map(|batch| batch.count).sum();
        let special = self.trees.iter().filter(|tree| tree.is_special).count();
        let is_rich = |tree: &&PlanTree| tree.leaves != LeafKind::Number;
        let rich = self.trees.iter().filter(is_rich).count();
        let deepest = self.trees.iter().map(|tree| tree.steps).max().unwrap_or(0);
        let mut text = String::new();
        let trees = self.trees.len();
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "layout: {} nodes of {} bytes, breadth-first, siblings side by side",
            self.nodes.len() - 1,
            size_of::<PlanNode<T>>()
        );
        let _ = writeln!(
            text,
            "walk: {trees_together} of {trees} trees in step, {BATCH_TREES} at a time; the others one by one, because \
             they split on categories or on zero as missing ({special} trees), have leaves that are more than a number \
             ({rich}) or are deeper than {BATCH_STEPS_MAX} (deepest: {deepest})"
        );
        let _ = writeln!(
            text,
            "categories: {} distinct sets, {} as bits, {} as sorted lists",
            self.sets.len(),
            self.sets.bit_sets(),
            self.sets.len() - self.sets.bit_sets()
        );
        let _ = write!(
            text,
            "sum: {}-bit floats in tree order from the base margin, as the library adds them",
            8 * size_of::<T>()
        );
        text
    }

    /// Bytes this plan holds.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of_val(self.nodes.as_slice())
            + size_of_val(self.trees.as_slice())
            + size_of_val(self.batches.as_slice())
            + size_of_val(self.vectors.as_slice())
            + size_of_val(self.linear_leaves.as_slice())
            + size_of_val(self.terms.as_slice())
            + size_of_val(self.base_margins.as_slice())
            + self
                .linear
                .as_ref()
                .map_or(0, |(linear, _)| size_of_val(linear.weights.as_slice()))
            + self.sets.bytes()
    }
}
