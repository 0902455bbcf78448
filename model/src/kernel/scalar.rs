//! Walks a [`Plan`]: eight shallow numeric trees in step, deep trees and those with categories one by one.
//!
//! 1. A step has no branch: the child is `left + goes_right`, and NaN is folded into the comparison. `!(x < t)` is true
//!    for NaN, which is right; a flag turns it to the left.
//! 2. Eight trees stepped together give the processor eight independent chains of loads: 500 trees of depth 6 take
//!    8,037 ns a row, and 19,024 one after the other (see `vector.rs` for the machine).
//! 3. A leaf is its own child, so the trees of a batch take the same number of steps, without a check for the end.
//! 4. Leaves are added tree by tree after the batch: the sum keeps the library's order, and so its last bit.
//! 5. `<` or `<=` is chosen once a row, outside the loops.

use super::Unsupported;
use super::real::Real;
use crate::ensemble::{Comparison, Ensemble};
use crate::plan::{BATCH_TREES, Batch, CATEGORY, COLUMN, LeafKind, MISSING_LEFT, Plan, PlanNode, PlanTree, SPECIAL};

/// Whether this kernel can evaluate the model.
///
/// # Errors
/// None: it evaluates every ensemble.
pub fn supports(_: &Ensemble) -> Result<(), Unsupported> {
    Ok(())
}

/// Sums a plan's trees for one row into `margins`, which it first sets to the base margins.
///
/// `row` has at least one value and one for each column, as [`crate::ensemble::Input`] leaves it, NaN for missing.
pub fn margins<T: Real>(plan: &Plan<T>, row: &[T], margins: &mut [T]) {
    for (margin, &base) in margins.iter_mut().zip(&plan.base_margins) {
        *margin = base;
    }
    if let Some((linear, columns)) = &plan.linear {
        return super::linear::margins(linear, row, *columns, margins);
    }
    match plan.comparison {
        Comparison::Less => trees::<T, false>(plan, row, margins),
        Comparison::LessOrEqual => trees::<T, true>(plan, row, margins),
    }
}

fn trees<T: Real, const OR_EQUAL: bool>(plan: &Plan<T>, row: &[T], margins: &mut [T]) {
    for batch in &plan.batches {
        if batch.steps > 0 {
            in_step::<T, OR_EQUAL>(plan, batch, row, margins)
        } else {
            one_by_one::<T, OR_EQUAL>(plan, batch, row, margins)
        }
    }
}

fn in_step<T: Real, const OR_EQUAL: bool>(plan: &Plan<T>, batch: &Batch, row: &[T], margins: &mut [T]) {
    let trees = &plan.trees[batch.first..batch.first + batch.count];
    // Places without a tree stay on node 0, the sentinel leaf.
    let mut at = [0u32; BATCH_TREES];
    for (place, tree) in at.iter_mut().zip(trees) {
        *place = tree.root;
    }
    for _ in 0..batch.steps {
        for place in &mut at {
            *place = step::<T, OR_EQUAL>(&plan.nodes[*place as usize], row);
        }
    }
    for (&place, tree) in at.iter().zip(trees) {
        margins[tree.output as usize] += plan.nodes[place as usize].value;
    }
}

#[inline]
fn step<T: Real, const OR_EQUAL: bool>(node: &PlanNode<T>, row: &[T]) -> u32 {
    let value = row[(node.feature & COLUMN) as usize];
    let missing_goes_left = value.is_nan() & (node.feature & MISSING_LEFT != 0);
    let holds = if OR_EQUAL {
        value <= node.threshold
    } else {
        value < node.threshold
    };
    node.left.wrapping_add(u32::from(!(holds | missing_goes_left)))
}

fn one_by_one<T: Real, const OR_EQUAL: bool>(plan: &Plan<T>, batch: &Batch, row: &[T], margins: &mut [T]) {
    for tree in &plan.trees[batch.first..batch.first + batch.count] {
        walk::<T, OR_EQUAL>(plan, tree, tree.root, row, margins);
    }
}

/// Walks one tree from a place of it, and adds the leaf.
pub(super) fn resume<T: Real>(plan: &Plan<T>, tree: &PlanTree, place: u32, row: &[T], margins: &mut [T]) {
    match plan.comparison {
        Comparison::Less => walk::<T, false>(plan, tree, place, row, margins),
        Comparison::LessOrEqual => walk::<T, true>(plan, tree, place, row, margins),
    }
}

/// Whether a tree may be walked in step with others: every node a plain comparison, every leaf a number.
pub(super) fn is_plain(tree: &PlanTree) -> bool {
    !tree.is_special && tree.leaves == LeafKind::Number
}

/// Walks eight plain trees in step, each from a place of it, and adds their leaves in order. How deep they go is not
/// known: the walk ends when none of them moves.
pub(super) fn resume_eight<T: Real>(
    plan: &Plan<T>,
    trees: &[PlanTree; BATCH_TREES],
    places: [u32; BATCH_TREES],
    row: &[T],
    margins: &mut [T],
) {
    let at = match plan.comparison {
        Comparison::Less => ends::<T, false>(plan, places, row),
        Comparison::LessOrEqual => ends::<T, true>(plan, places, row),
    };
    for (place, tree) in at.into_iter().zip(trees) {
        margins[tree.output as usize] += plan.nodes[place as usize].value;
    }
}

fn ends<T: Real, const OR_EQUAL: bool>(plan: &Plan<T>, mut at: [u32; BATCH_TREES], row: &[T]) -> [u32; BATCH_TREES] {
    loop {
        let before = at;
        for place in &mut at {
            *place = step::<T, OR_EQUAL>(&plan.nodes[*place as usize], row);
        }
        if at == before {
            return at;
        }
    }
}

fn walk<T: Real, const OR_EQUAL: bool>(plan: &Plan<T>, tree: &PlanTree, mut place: u32, row: &[T], margins: &mut [T]) {
    let value = loop {
        let node = &plan.nodes[place as usize];
        let next = if node.feature & SPECIAL == 0 {
            step::<T, OR_EQUAL>(node, row)
        } else {
            special_step::<T, OR_EQUAL>(plan, node, row)
        };
        if next == place {
            break node.value;
        }
        place = next;
    };
    add(plan, tree, value, row, margins);
}

/// A category's set, or a number that counts zero as missing.
fn special_step<T: Real, const OR_EQUAL: bool>(plan: &Plan<T>, node: &PlanNode<T>, row: &[T]) -> u32 {
    let value = row[(node.feature & COLUMN) as usize];
    let missing_left = node.feature & MISSING_LEFT != 0;
    if node.feature & CATEGORY == 0 {
        return if value == T::ZERO {
            node.left.wrapping_add(u32::from(!missing_left))
        } else {
            step::<T, OR_EQUAL>(node, row)
        };
    }
    let goes_left = if value.is_nan() {
        missing_left
    } else {
        let code = value.code(plan.codes);
        code.is_none_or(|code| !plan.sets.contains(node.threshold.index(), code))
    };
    node.left.wrapping_add(u32::from(!goes_left))
}

/// Adds a leaf, whose value is a number or the number of what it adds.
fn add<T: Real>(plan: &Plan<T>, tree: &PlanTree, value: T, row: &[T], margins: &mut [T]) {
    match tree.leaves {
        LeafKind::Number => margins[tree.output as usize] += value,
        LeafKind::Vector => {
            let values = &plan.vectors[value.index() as usize..];
            for (margin, &value) in margins.iter_mut().zip(values) {
                *margin += value;
            }
        }
        LeafKind::Linear => {
            let leaf = &plan.linear_leaves[value.index() as usize];
            let terms = &plan.terms[leaf.first as usize..(leaf.first + leaf.count) as usize];
            let mut sum = leaf.constant;
            for &(column, coefficient) in terms {
                let input = row[column as usize];
                if input.is_nan() {
                    sum = leaf.value;
                    break;
                }
                sum += coefficient * input;
            }
            margins[tree.output as usize] += sum;
        }
    }
}
