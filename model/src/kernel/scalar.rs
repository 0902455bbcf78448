//! Walks a [`Plan`]: eight shallow numeric trees in step, deep trees and those with categories one by one.
//!
//! 1. A step has no branch: the child is `left + goes_right`, and NaN is folded into the comparison. `!(x < t)` is true
//!    for NaN, which is right; a flag turns it to the left.
//! 2. Eight trees stepped together give the processor eight independent chains of loads.
//! 3. A leaf is its own child, so the trees of a batch take the same number of steps and no one asks who has arrived.
//! 4. Leaves are added tree by tree after the batch: the sum keeps the library's order, and so its last bit.

use super::{KernelChoice, Unsupported, supports_f32};
use crate::ensemble::Ensemble;
use crate::plan::{BATCH_TREES, Batch, CATEGORY, COLUMN, MISSING_LEFT, Plan, PlanNode};

/// Whether this kernel can evaluate the model.
///
/// # Errors
/// `f64` models, and comparisons other than `<`.
pub fn supports(ensemble: &Ensemble) -> Result<(), Unsupported> {
    supports_f32(KernelChoice::Scalar, ensemble)
}

/// Sums a plan's trees for one row into `margins`, which it first sets to the base margins.
///
/// `row` has at least one value and one for each column, NaN for missing.
pub fn margins(plan: &Plan, row: &[f32], margins: &mut [f32]) {
    for (margin, &base) in margins.iter_mut().zip(&plan.base_margins) {
        *margin = base;
    }
    for batch in &plan.batches {
        if batch.steps > 0 {
            in_step(plan, batch, row, margins)
        } else {
            one_by_one(plan, batch, row, margins)
        }
    }
}

fn in_step(plan: &Plan, batch: &Batch, row: &[f32], margins: &mut [f32]) {
    let trees = &plan.trees[batch.first..batch.first + batch.count];
    // Places without a tree stay on node 0, the sentinel leaf.
    let mut at = [0u32; BATCH_TREES];
    for (place, tree) in at.iter_mut().zip(trees) {
        *place = tree.root;
    }
    for _ in 0..batch.steps {
        for place in &mut at {
            *place = step(&plan.nodes[*place as usize], row);
        }
    }
    for (&place, tree) in at.iter().zip(trees) {
        margins[tree.output as usize] += plan.nodes[place as usize].value;
    }
}

#[inline]
fn step(node: &PlanNode, row: &[f32]) -> u32 {
    let value = row[(node.feature & COLUMN) as usize];
    let missing_goes_left = value.is_nan() & (node.feature & MISSING_LEFT != 0);
    let goes_left = (value < node.threshold) | missing_goes_left;
    node.left.wrapping_add(u32::from(!goes_left))
}

fn one_by_one(plan: &Plan, batch: &Batch, row: &[f32], margins: &mut [f32]) {
    for tree in &plan.trees[batch.first..batch.first + batch.count] {
        let mut place = tree.root;
        let value = loop {
            let node = &plan.nodes[place as usize];
            let next = if node.feature & CATEGORY == 0 {
                step(node, row)
            } else {
                category_step(plan, node, row)
            };
            if next == place {
                break node.value;
            }
            place = next;
        };
        margins[tree.output as usize] += value;
    }
}

fn category_step(plan: &Plan, node: &PlanNode, row: &[f32]) -> u32 {
    let value = row[(node.feature & COLUMN) as usize];
    let goes_left = if value.is_nan() {
        node.feature & MISSING_LEFT != 0
    } else {
        !plan.sets.contains(node.threshold.to_bits(), value)
    };
    node.left.wrapping_add(u32::from(!goes_left))
}
