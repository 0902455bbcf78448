//! A tree of the one structure into which every format is read.

use std::ops::Range;

/// One node of a tree. Children are node numbers of the same tree.
///
/// Formats disagree about which side a listed category takes and what the opposite comparison is called; readers swap
/// children until the two sentences below hold, so that kernels know one rule.
#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    /// Where a row ends.
    Leaf {
        /// What it adds to its tree's output: finite, and an `f32` when the precision is.
        value: f64,
    },
    /// Where a row ends in a tree that adds to every output.
    Vector {
        /// First of its values in [`Tree::vectors`]; there is one for each output.
        first: u32,
    },
    /// Where a row ends in a tree whose leaves are linear functions of the row (LightGBM's `linear_tree`).
    Linear {
        /// What it adds when one of its columns is missing.
        value: f64,
        /// What it adds else, before its terms.
        constant: f64,
        /// First of its terms in [`Tree::terms`].
        first: u32,
        /// How many terms.
        count: u32,
    },
    /// A comparison with a threshold: left when it holds.
    Number {
        /// Column.
        feature: u32,
        /// Not NaN; infinities are accepted, as the libraries compare with them like with any number.
        threshold: f64,
        /// Where NaN goes.
        missing_left: bool,
        /// Whether zero counts as missing too (LightGBM's `zero_as_missing`).
        zero_is_missing: bool,
        /// Child when the comparison holds.
        left: u32,
        /// Child when it does not.
        right: u32,
    },
    /// A look-up of a category's code: listed codes go right, all others left, values that are no code included.
    Category {
        /// Column.
        feature: u32,
        /// First of its codes in [`Tree::categories`].
        first: u32,
        /// How many codes; strictly increasing.
        count: u32,
        /// Where NaN goes.
        missing_left: bool,
        /// Child of codes that are not listed.
        left: u32,
        /// Child of codes that are.
        right: u32,
    },
    /// A number that XGBoost's pruner left unused. Nothing points at it.
    Removed,
}

impl Node {
    /// Left and right child; none of a leaf.
    #[must_use]
    pub fn children(&self) -> Option<[u32; 2]> {
        match *self {
            Self::Number { left, right, .. } | Self::Category { left, right, .. } => Some([left, right]),
            Self::Leaf { .. } | Self::Vector { .. } | Self::Linear { .. } | Self::Removed => None,
        }
    }
}

/// A column and what its value is multiplied by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Term {
    /// Column.
    pub feature: u32,
    /// Finite.
    pub coefficient: f64,
}

/// One tree. Node 0 is the root. All of its leaves are of one kind.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Tree {
    /// Nodes by the file's number.
    pub nodes: Vec<Node>,
    /// Category codes of all its nodes.
    pub categories: Vec<u32>,
    /// Values of its vector leaves.
    pub vectors: Vec<f64>,
    /// Terms of its linear leaves.
    pub terms: Vec<Term>,
    /// What each node's split gained in training, by its number, as far as the file says. Any numbers: they are shown,
    /// and decide nothing.
    pub gains: Vec<f32>,
    /// How much training data reached each node, by its number; empty when the file does not say. Only explanations
    /// look at them: see [`super::ExplainError`].
    pub covers: Vec<f64>,
    /// Which margin its leaves add to; that of vector leaves is 0.
    pub output: u32,
}

impl Tree {
    /// The codes of a category node. Empty for a range that is out of bounds.
    #[must_use]
    pub fn codes(&self, first: u32, count: u32) -> &[u32] {
        self.categories.get(range(first, count as usize)).unwrap_or_default()
    }

    /// The values of a vector leaf. Empty for a range that is out of bounds.
    #[must_use]
    pub fn vector(&self, first: u32, outputs: usize) -> &[f64] {
        self.vectors.get(range(first, outputs)).unwrap_or_default()
    }

    /// The terms of a linear leaf. Empty for a range that is out of bounds.
    #[must_use]
    pub fn linear(&self, first: u32, count: u32) -> &[Term] {
        self.terms.get(range(first, count as usize)).unwrap_or_default()
    }
}

fn range(first: u32, count: usize) -> Range<usize> {
    first as usize..(first as usize).saturating_add(count)
}
