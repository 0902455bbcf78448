//! Trees into one node array, breadth-first, siblings side by side.

use super::sets::CategorySetsBuilder;
use super::{
    BATCH_STEPS_MAX, BATCH_TREES, Batch, CATEGORY, LeafKind, LinearLeaf, MISSING_LEFT, Plan, PlanNode, PlanTree,
    SPECIAL, ZERO_MISSING,
};
use crate::ensemble::{Ensemble, Node, Tree};
use crate::kernel::real::Real;

/// See [`Plan::compile`].
pub(super) fn compile<T: Real>(ensemble: &Ensemble, tree_limit: usize) -> Plan<T> {
    let taken = &ensemble.trees()[..tree_limit.min(ensemble.trees().len())];
    let mut layout = Layout {
        nodes: Vec::with_capacity(1 + taken.iter().map(|tree| tree.nodes.len()).sum::<usize>()),
        sets: CategorySetsBuilder::default(),
        vectors: Vec::new(),
        linear_leaves: Vec::new(),
        terms: Vec::new(),
    };
    layout.nodes.push(leaf(0, T::ZERO));
    let trees: Vec<_> = taken.iter().map(|tree| layout.tree(tree)).collect();
    let linear = ensemble.linear().cloned();
    Plan {
        comparison: ensemble.comparison(),
        codes: ensemble.codes(),
        nodes: layout.nodes,
        batches: batches(&trees),
        trees,
        sets: layout.sets.finish(),
        vectors: layout.vectors,
        linear_leaves: layout.linear_leaves,
        terms: layout.terms,
        base_margins: ensemble.base_margins().iter().map(|&base| T::narrow(base)).collect(),
        linear: linear.map(|linear| (linear, ensemble.schema().len())),
    }
}

/// A node that sends every value, NaN included, to its right child, which is itself.
fn leaf<T: Real>(index: u32, value: T) -> PlanNode<T> {
    PlanNode {
        threshold: T::NAN,
        feature: 0,
        left: index.wrapping_sub(1),
        value,
    }
}

/// What grows tree by tree.
struct Layout<'a, T> {
    nodes: Vec<PlanNode<T>>,
    sets: CategorySetsBuilder<'a>,
    vectors: Vec<T>,
    linear_leaves: Vec<LinearLeaf<T>>,
    terms: Vec<(u32, T)>,
}

/// Where a tree's own numbers begin in the plan's.
#[derive(Clone, Copy)]
struct Starts {
    vectors: u32,
    terms: u32,
}

impl<'a, T: Real> Layout<'a, T> {
    fn tree(&mut self, tree: &'a Tree) -> PlanTree {
        let starts = Starts {
            vectors: index_of(self.vectors.len()),
            terms: index_of(self.terms.len()),
        };
        self.vectors.extend(tree.vectors.iter().map(|&value| T::narrow(value)));
        let term = |term: &crate::ensemble::Term| (term.feature, T::narrow(term.coefficient));
        self.terms.extend(tree.terms.iter().map(term));
        let root = index_of(self.nodes.len());
        let mut leaves = LeafKind::Number;
        let (mut is_special, mut steps) = (false, 0);
        let mut level = vec![0u32];
        self.nodes.push(leaf(root, T::ZERO));
        let mut level_start = root;
        while !level.is_empty() {
            let mut below = Vec::new();
            let below_start = index_of(self.nodes.len());
            for (place, &number) in (level_start..).zip(&level) {
                let next = index_of(self.nodes.len());
                let source = &tree.nodes[number as usize];
                let node = self.convert(tree, source, place, next, starts);
                is_special |= node.feature & SPECIAL != 0;
                self.nodes[place as usize] = node;
                if let Some(children) = source.children() {
                    below.extend(children);
                    self.nodes.extend([leaf(next, T::ZERO), leaf(next + 1, T::ZERO)]);
                } else {
                    leaves = kind(source);
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
            leaves,
            is_special,
        }
    }

    /// The node that stands at `place`; its children, if it has any, will stand at `next` and the place after it.
    fn convert(&mut self, tree: &'a Tree, node: &Node, place: u32, next: u32, starts: Starts) -> PlanNode<T> {
        let flag = |flag, set: bool| if set { flag } else { 0 };
        match *node {
            Node::Leaf { value } => leaf(place, T::narrow(value)),
            Node::Vector { first } => leaf(place, T::from_index(starts.vectors + first)),
            Node::Linear {
                value,
                constant,
                first,
                count,
            } => {
                let number = index_of(self.linear_leaves.len());
                self.linear_leaves.push(LinearLeaf {
                    value: T::narrow(value),
                    constant: T::narrow(constant),
                    first: starts.terms + first,
                    count,
                });
                leaf(place, T::from_index(number))
            }
            Node::Number {
                feature,
                threshold,
                missing_left,
                zero_is_missing,
                ..
            } => PlanNode {
                threshold: T::narrow(threshold),
                feature: feature | flag(MISSING_LEFT, missing_left) | flag(ZERO_MISSING, zero_is_missing),
                left: next,
                value: T::ZERO,
            },
            Node::Category {
                feature,
                first,
                count,
                missing_left,
                ..
            } => PlanNode {
                threshold: T::from_index(self.sets.number(tree.codes(first, count))),
                feature: feature | flag(MISSING_LEFT, missing_left) | CATEGORY,
                left: next,
                value: T::ZERO,
            },
            Node::Removed => unreachable!("an ensemble's paths lead to no removed node"),
        }
    }
}

/// Where each node of a tree that begins at `root` stands, by the file's number; `root` for removed ones.
pub(super) fn places(tree: &Tree, root: u32) -> Vec<u32> {
    let mut places = vec![root; tree.nodes.len()];
    let (mut order, mut done) = (vec![0u32], 0);
    while let Some(&number) = order.get(done) {
        places[number as usize] = root + index_of(done);
        order.extend(tree.nodes[number as usize].children().into_iter().flatten());
        done += 1;
    }
    places
}

fn kind(leaf: &Node) -> LeafKind {
    match leaf {
        Node::Vector { .. } => LeafKind::Vector,
        Node::Linear { .. } => LeafKind::Linear,
        _ => LeafKind::Number,
    }
}

fn batches(trees: &[PlanTree]) -> Vec<Batch> {
    let in_step =
        |tree: &PlanTree| !tree.is_special && tree.leaves == LeafKind::Number && tree.steps <= BATCH_STEPS_MAX;
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
    u32::try_from(len).expect("NODES_MAX and LEAF_VALUES_MAX keep numbers within u32")
}
