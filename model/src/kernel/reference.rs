//! The literal walk over the [`Ensemble`]: the oracle that every other kernel is compared with.
//!
//! Written to be read beside XGBoost's `predict_fn.h` and `categorical.h`, not to be fast.

use super::{KernelChoice, Unsupported, supports_f32};
use crate::ensemble::{Ensemble, Node, Tree};
use crate::limits::CATEGORY_END;

/// Whether this kernel can evaluate the model.
///
/// # Errors
/// `f64` models, and comparisons other than `<`.
pub fn supports(ensemble: &Ensemble) -> Result<(), Unsupported> {
    supports_f32(KernelChoice::Reference, ensemble)
}

/// Sums the first `tree_limit` trees for one row into `margins`, which it first sets to the base margins.
///
/// `row` has one value for each column, NaN for missing; one that is too short counts as missing beyond its end.
#[expect(
    clippy::cast_possible_truncation,
    reason = "leaves and base margins of an f32 ensemble are f32 values"
)]
pub fn margins(ensemble: &Ensemble, tree_limit: usize, row: &[f32], margins: &mut [f32]) {
    for (margin, &base) in margins.iter_mut().zip(ensemble.base_margins()) {
        *margin = base as f32;
    }
    for tree in ensemble.trees().iter().take(tree_limit) {
        if let Some(margin) = margins.get_mut(tree.output as usize) {
            *margin += leaf(tree, row) as f32;
        }
    }
}

fn leaf(tree: &Tree, row: &[f32]) -> f64 {
    let mut index = 0u32;
    loop {
        let (feature, missing_left, left, right) = match tree.nodes[index as usize] {
            Node::Leaf { value } => return value,
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
        let value = row.get(feature as usize).copied().unwrap_or(f32::NAN);
        let goes_left = if value.is_nan() {
            missing_left
        } else {
            goes_left(tree, index, value)
        };
        index = if goes_left { left } else { right };
    }
}

fn goes_left(tree: &Tree, index: u32, value: f32) -> bool {
    match tree.nodes[index as usize] {
        Node::Number { threshold, .. } => f64::from(value) < threshold,
        Node::Category { first, count, .. } => !is_listed(tree.codes(first, count), value),
        Node::Leaf { .. } | Node::Removed => true,
    }
}

/// `common::Decision`: a code below 0 or from 2^24 on is none, and a fraction is cut off, so that 0.5 is category 0.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the range is checked first"
)]
pub(crate) fn is_listed(codes: &[u32], value: f32) -> bool {
    if value < 0.0 || value >= CATEGORY_END as f32 {
        return false;
    }
    codes.binary_search(&(value as u32)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_cut_off_and_bounded_as_the_library_does() {
        let codes = [0, 3, CATEGORY_END - 1];
        for (value, listed) in [
            (0.0, true),
            (-0.0, true),
            (0.5, true),
            (-0.5, false),
            (-1e-45, false),
            (3.999, true),
            (4.0, false),
            (16_777_215.0, true),
            (16_777_216.0, false),
            (f32::INFINITY, false),
            (f32::NEG_INFINITY, false),
        ] {
            assert_eq!(is_listed(&codes, value), listed, "{value}");
        }
    }
}
