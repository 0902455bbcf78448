//! Whether an ensemble's outputs are shares of classes that sum to one: the averaged votes of a forest. No format says
//! so; the leaves do.

use super::{EnsembleParts, Finish, Node, Tree};
use crate::objective::Transform;

/// How far a sum of shares may be from one: converters round the leaves of a tree to 32 bits.
const TOLERANCE: f64 = 1e-5;

/// Whether every row's outputs are at least zero and sum to one.
pub(super) fn are_shares(parts: &EnsembleParts) -> bool {
    let outputs = parts.base_margins.len();
    let is_plain = parts.objective.transform() == Transform::Identity
        && parts.linear.is_none()
        && parts.base_margins.iter().all(|&base| is_zero(base));
    if outputs < 2 || !is_plain || parts.trees.is_empty() {
        return false;
    }
    let Some(divisor) = divisor(&parts.finish) else {
        return false;
    };
    let mut sums = (0.0, 0.0);
    for tree in &parts.trees {
        let Some((least, greatest)) = leaf_sums(tree, outputs) else {
            return false;
        };
        sums = (sums.0 + least / divisor, sums.1 + greatest / divisor);
    }
    (sums.0 - 1.0).abs() < TOLERANCE && (sums.1 - 1.0).abs() < TOLERANCE
}

/// What all sums are divided by; none where they differ or something is added.
fn divisor(finish: &Finish) -> Option<f64> {
    match finish {
        Finish::Nothing => Some(1.0),
        Finish::Average { divisors, offsets } => {
            let first = *divisors.first()?;
            let is_same = divisors.iter().all(|divisor| divisor.to_bits() == first.to_bits());
            (is_same && offsets.iter().all(|&offset| is_zero(offset))).then_some(first)
        }
        Finish::Scale { .. } => None,
    }
}

/// The least and the greatest sum of what a leaf adds; none where a leaf adds less than zero, or is no vector of
/// numbers.
fn leaf_sums(tree: &Tree, outputs: usize) -> Option<(f64, f64)> {
    let (mut least, mut greatest) = (f64::INFINITY, f64::NEG_INFINITY);
    for node in &tree.nodes {
        let sum = match *node {
            Node::Vector { first } => {
                let values = tree.vector(first, outputs);
                if values.iter().any(|&value| value < 0.0) {
                    return None;
                }
                values.iter().sum()
            }
            Node::Leaf { .. } | Node::Linear { .. } => return None,
            Node::Number { .. } | Node::Category { .. } | Node::Removed => continue,
        };
        (least, greatest) = (least.min(sum), greatest.max(sum));
    }
    (least <= greatest).then_some((least, greatest))
}

fn is_zero(value: f64) -> bool {
    value.abs() <= 0.0
}
