//! Trees into one node array, breadth-first, siblings side by side.

use super::sets::CategorySetsBuilder;
use super::{BATCH_STEPS_MAX, BATCH_TREES, Batch, CATEGORY, MISSING_LEFT, Plan, PlanNode, PlanTree};
use crate::ensemble::{Ensemble, Node, Tree};

/// See [`Plan::compile`].
#[expect(
    clippy::cast_possible_truncation,
    reason = "base margins of an f32 ensemble are f32 values"
)]
pub(super) fn compile(ensemble: &Ensemble, tree_limit: usize) -> Plan {
    let taken = &ensemble.trees()[..tree_limit.min(ensemble.trees().len())];
    let mut nodes = Vec::with_capacity(1 + taken.iter().map(|tree| tree.nodes.len()).sum::<usize>());
    let mut sets = CategorySetsBuilder::default();
    nodes.push(leaf(0, 0.0));
    let trees: Vec<_> = taken.iter().map(|tree| lay_out(tree, &mut nodes, &mut sets)).collect();
    let batches = batches(&trees);
    let base_margins = ensemble.base_margins().iter().map(|&base| base as f32).collect();
    Plan {
        nodes,
        trees,
        batches,
        sets: sets.finish(),
        base_margins,
    }
}

/// A node that sends every value, NaN included, to its right child, which is itself.
fn leaf(index: u32, value: f32) -> PlanNode {
    PlanNode {
        threshold: f32::NAN,
        feature: 0,
        left: index.wrapping_sub(1),
        value,
    }
}

fn lay_out<'a>(tree: &'a Tree, nodes: &mut Vec<PlanNode>, sets: &mut CategorySetsBuilder<'a>) -> PlanTree {
    let root = index_of(nodes.len());
    let mut has_category = false;
    let mut steps = 0;
    let mut level = vec![0u32];
    nodes.push(leaf(root, 0.0));
    let mut level_start = root;
    while !level.is_empty() {
        let mut below = Vec::new();
        let below_start = index_of(nodes.len());
        for (place, &number) in (level_start..).zip(&level) {
            let next = index_of(nodes.len());
            let (node, children) = convert(tree, number, place, next, sets);
            has_category |= node.feature & CATEGORY != 0;
            nodes[place as usize] = node;
            if let Some(children) = children {
                below.extend(children);
                nodes.extend([leaf(next, 0.0), leaf(next + 1, 0.0)]);
            }
        }
        steps += u32::from(!below.is_empty());
        level = below;
        level_start = below_start;
    }
    PlanTree {
        root,
        output: tree.output,
        steps,
        has_category,
    }
}

/// The node that stands at `place`, and the children it wants at `next` and the place after it.
#[expect(
    clippy::cast_possible_truncation,
    reason = "numbers of an f32 ensemble are f32 values"
)]
fn convert<'a>(
    tree: &'a Tree,
    number: u32,
    place: u32,
    next: u32,
    sets: &mut CategorySetsBuilder<'a>,
) -> (PlanNode, Option<[u32; 2]>) {
    let flag = |missing_left| if missing_left { MISSING_LEFT } else { 0 };
    match tree.nodes[number as usize] {
        Node::Leaf { value } => (leaf(place, value as f32), None),
        Node::Number {
            feature,
            threshold,
            missing_left,
            left,
            right,
        } => {
            let feature = feature | flag(missing_left);
            (
                PlanNode {
                    threshold: threshold as f32,
                    feature,
                    left: next,
                    value: 0.0,
                },
                Some([left, right]),
            )
        }
        Node::Category {
            feature,
            first,
            count,
            missing_left,
            left,
            right,
        } => {
            let set = sets.number(tree.codes(first, count));
            let feature = feature | flag(missing_left) | CATEGORY;
            (
                PlanNode {
                    threshold: f32::from_bits(set),
                    feature,
                    left: next,
                    value: 0.0,
                },
                Some([left, right]),
            )
        }
        Node::Removed => unreachable!("an ensemble's paths lead to no removed node"),
    }
}

fn batches(trees: &[PlanTree]) -> Vec<Batch> {
    let in_step = |tree: &PlanTree| !tree.has_category && tree.steps <= BATCH_STEPS_MAX;
    let mut batches: Vec<Batch> = Vec::new();
    for (index, tree) in trees.iter().enumerate() {
        match batches.last_mut() {
            Some(batch) if batch.count < BATCH_TREES && in_step(&trees[batch.first]) == in_step(tree) => {
                batch.count += 1;
                batch.steps = if in_step(tree) {
                    batch.steps.max(tree.steps.max(1))
                } else {
                    0
                };
            }
            _ => batches.push(Batch {
                first: index,
                count: 1,
                steps: if in_step(tree) { tree.steps.max(1) } else { 0 },
            }),
        }
    }
    batches
}

fn index_of(len: usize) -> u32 {
    u32::try_from(len).expect("NODES_MAX keeps node numbers within u32")
}
