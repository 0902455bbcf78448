//! Covers: how much training data reached each node. A model scores without them, so what is wrong with them refuses
//! explanations, not the model: rounding in training leaves sums of Hessians a little below zero, and files are
//! stripped of them.

use super::{EnsembleParts, Node, Tree};

/// Why a model's predictions cannot be explained.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ExplainError {
    /// The file does not say how much data reached each node.
    #[error(
        "the file does not say how much training data reached the nodes of tree {tree} ({accepted}), and contributions are means \
         over that data"
    )]
    NoCovers {
        /// The first tree without, from 0.
        tree: usize,
        /// What would say it.
        accepted: &'static str,
    },
    /// Covers that are not one for each node.
    #[error("tree {tree} has {covers} covers for {nodes} nodes")]
    Count {
        /// Which tree, from 0.
        tree: usize,
        /// How many there are.
        covers: usize,
        /// How many there should be.
        nodes: usize,
    },
    /// A cover that is no amount of data.
    #[error("tree {tree}, node {node}: its cover is {cover}, and covers are finite and not negative")]
    Cover {
        /// Which tree, from 0.
        tree: usize,
        /// Which node, as the file numbers it.
        node: usize,
        /// The number.
        cover: f64,
    },
    /// Leaves that are functions of the row.
    #[error(
        "the leaves of tree {tree} are linear functions of the row, for which contributions by leaf are not defined"
    )]
    LinearLeaves {
        /// The first such tree, from 0.
        tree: usize,
    },
    /// The model is evaluated elsewhere.
    #[error("the model is evaluated elsewhere, and only its outline is known here")]
    Outline,
}

/// Whether every tree has what an explanation needs. A tree of one leaf needs no covers.
pub(super) fn check(parts: &EnsembleParts) -> Result<(), ExplainError> {
    if parts.trees.is_empty() && parts.linear.is_none() {
        return Err(ExplainError::Outline);
    }
    let mut trees = parts.trees.iter().enumerate();
    trees.try_for_each(|(number, tree)| check_tree(parts, number, tree))
}

fn check_tree(parts: &EnsembleParts, number: usize, tree: &Tree) -> Result<(), ExplainError> {
    if tree.nodes.iter().any(|node| matches!(node, Node::Linear { .. })) {
        return Err(ExplainError::LinearLeaves { tree: number });
    }
    if tree.nodes.iter().all(|node| node.children().is_none()) {
        return Ok(());
    }
    if tree.covers.is_empty() {
        let accepted = match parts.format.split(' ').next() {
            Some("XGBoost") => "sum_hessian",
            Some("LightGBM") => "internal_count and leaf_count",
            Some("CatBoost") => "leaf_weights",
            Some("Treelite") => "data_count or sum_hess",
            _ => "the format has no place for it",
        };
        return Err(ExplainError::NoCovers { tree: number, accepted });
    }
    if tree.covers.len() != tree.nodes.len() {
        return Err(ExplainError::Count {
            tree: number,
            covers: tree.covers.len(),
            nodes: tree.nodes.len(),
        });
    }
    let is_used = |node: usize| tree.nodes[node] != Node::Removed;
    let is_amount = |cover: f64| cover.is_finite() && cover >= 0.0;
    match (0..tree.covers.len()).find(|&node| is_used(node) && !is_amount(tree.covers[node])) {
        Some(node) => Err(ExplainError::Cover {
            tree: number,
            node,
            cover: tree.covers[node],
        }),
        None => Ok(()),
    }
}
