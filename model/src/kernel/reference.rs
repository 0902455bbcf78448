//! The literal walk over the [`Ensemble`], with which every other kernel is compared.
//!
//! Written to be read beside XGBoost's `predict_fn.h` and `categorical.h` and LightGBM's `tree.h`, not to be fast.

use super::Unsupported;
use super::real::Real;
use crate::ensemble::{Comparison, Ensemble, Node, Tree};

/// Whether this kernel can evaluate the model.
///
/// # Errors
/// None: it evaluates every ensemble.
pub fn supports(_: &Ensemble) -> Result<(), Unsupported> {
    Ok(())
}

/// Sums the first `tree_limit` trees for one row into `margins`, which it first sets to the base margins.
///
/// `row` has one value for each column, as [`crate::ensemble::Input`] leaves it, NaN for missing; one that is too short
/// counts as missing beyond its end. `T` is the ensemble's precision.
pub fn margins<T: Real>(ensemble: &Ensemble, tree_limit: usize, row: &[T], margins: &mut [T]) {
    for (margin, &base) in margins.iter_mut().zip(ensemble.base_margins()) {
        *margin = T::narrow(base);
    }
    if let Some(linear) = ensemble.linear() {
        return super::linear::margins(linear, row, ensemble.schema().len(), margins);
    }
    for tree in ensemble.trees().iter().take(tree_limit) {
        add(tree, leaf(ensemble, tree, row), row, margins);
    }
}

fn add<T: Real>(tree: &Tree, leaf: &Node, row: &[T], margins: &mut [T]) {
    match *leaf {
        Node::Vector { first } => {
            let values = tree.vector(first, margins.len());
            for (margin, &value) in margins.iter_mut().zip(values) {
                *margin += T::narrow(value);
            }
        }
        Node::Leaf { value } => margins[tree.output as usize] += T::narrow(value),
        Node::Linear {
            value,
            constant,
            first,
            count,
        } => {
            let mut sum = T::narrow(constant);
            for term in tree.linear(first, count) {
                let input = row.get(term.feature as usize).copied().unwrap_or(T::NAN);
                if input.is_nan() {
                    sum = T::narrow(value);
                    break;
                }
                sum += T::narrow(term.coefficient) * input;
            }
            margins[tree.output as usize] += sum;
        }
        Node::Number { .. } | Node::Category { .. } | Node::Removed => unreachable!("a walk ends on a leaf"),
    }
}

fn leaf<'t, T: Real>(ensemble: &Ensemble, tree: &'t Tree, row: &[T]) -> &'t Node {
    let mut index = 0u32;
    while let Some(next) = child(ensemble, tree, index, row) {
        index = next;
    }
    &tree.nodes[index as usize]
}

/// The child that a row goes to from a node; none from a leaf.
pub(crate) fn child<T: Real>(ensemble: &Ensemble, tree: &Tree, index: u32, row: &[T]) -> Option<u32> {
    let node = &tree.nodes[index as usize];
    let (feature, missing_left, left, right) = match *node {
        Node::Leaf { .. } | Node::Vector { .. } | Node::Linear { .. } => return None,
        Node::Number {
            feature,
            missing_left,
            left,
            right,
            ..
        }
        | Node::Category {
            feature,
            missing_left,
            left,
            right,
            ..
        } => (feature, missing_left, left, right),
        Node::Removed => unreachable!("an ensemble's paths lead to no removed node"),
    };
    let value = row.get(feature as usize).copied().unwrap_or(T::NAN);
    let goes_left = if value.is_nan() {
        missing_left
    } else {
        goes_left(ensemble, tree, node, value)
    };
    Some(if goes_left { left } else { right })
}

fn goes_left<T: Real>(ensemble: &Ensemble, tree: &Tree, node: &Node, value: T) -> bool {
    match *node {
        Node::Number {
            missing_left,
            zero_is_missing: true,
            ..
        } if value == T::ZERO => missing_left,
        Node::Number { threshold, .. } => match ensemble.comparison() {
            Comparison::Less => value.widen() < threshold,
            Comparison::LessOrEqual => value.widen() <= threshold,
        },
        Node::Category { first, count, .. } => {
            let code = value.code(ensemble.codes());
            code.is_none_or(|code| tree.codes(first, count).binary_search(&code).is_err())
        }
        Node::Leaf { .. } | Node::Vector { .. } | Node::Linear { .. } | Node::Removed => true,
    }
}
