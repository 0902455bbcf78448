//! How much memory a plan would take, before it is laid out. All trees of a pack have as many places as the largest of
//! them, so that a file of a few large trees among very many small ones could take fifty times its own size.

use super::label::STEPS_MAX;
use super::{CHUNK, Shape, next_pack};
use crate::ensemble::Tree;

/// Bytes for each node of the trees. Real models take 3 to 6; a node of the ensemble has 32.
const NODE_BYTES_MAX: usize = 24;

/// What a small model may take beside that.
const FIXED_BYTES_MAX: usize = 1 << 20;

/// Steps of 64 trees if all trees are listed.
pub(super) fn listed_steps(trees: &[Tree]) -> usize {
    let (mut steps, mut left) = (0, trees);
    while !left.is_empty() {
        let (_, chunks) = next_pack(left, true);
        let (taken, others) = left.split_at((chunks * CHUNK).min(left.len()));
        left = others;
        steps += chunks * taken.iter().map(inner).max().unwrap_or(0).min(STEPS_MAX);
    }
    steps
}

/// Whether lines and leaves take no more than they may. `is_grouped`: lanes are named by index and group. `are_listed`:
/// trees of every shape are.
pub(super) fn is_in_proportion<T>(trees: &[Tree], is_grouped: bool, are_listed: bool) -> bool {
    let nodes: usize = trees.iter().map(|tree| tree.nodes.len()).sum();
    let most = nodes.saturating_mul(NODE_BYTES_MAX).saturating_add(FIXED_BYTES_MAX);
    let (mut bytes, mut left) = (0usize, trees);
    while !left.is_empty() && bytes <= most {
        let (shape, chunks) = next_pack(left, are_listed);
        let (taken, others) = left.split_at((chunks * CHUNK).min(left.len()));
        left = others;
        let (steps, lines) = match shape {
            Shape::Full { depth } => ((1 << depth) - 1, 2),
            Shape::Listed | Shape::Paired => (taken.iter().map(inner).max().unwrap_or(0).min(STEPS_MAX), 3),
        };
        let lines = lines + usize::from(is_grouped);
        bytes += steps * chunks * lines * CHUNK + (steps + 1) * taken.len() * size_of::<T>();
    }
    bytes <= most
}

fn inner(tree: &Tree) -> usize {
    tree.nodes.iter().filter(|node| node.children().is_some()).count()
}
