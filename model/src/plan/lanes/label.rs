//! A tree as a sequence of steps: see the head of [`super`].

use std::collections::VecDeque;

use super::{LanePlan, rank::Test};
use crate::ensemble::{Node, Tree};
use crate::kernel::real::Real;

/// Steps of a tree: labels are bytes, and a step makes one.
pub(super) const STEPS_MAX: usize = 255;

/// Depth of the largest full tree whose leaves a byte can name.
pub(crate) const FULL_DEPTH_MAX: usize = 8;

/// How the trees of a chunk are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// As full trees of this depth; a place that no node stands on sends every row left.
    Full { depth: usize },
    /// Node by node, each with its label.
    Listed,
    /// The same for 32 trees at once that read two tables of lanes: see [`super::pairs`].
    Paired,
}

impl Shape {
    /// The shape that reads fewer lines: those of a large model's plan come from the second-level cache, whose
    /// bandwidth is what bounds the kernel.
    pub(super) fn of(trees: &[Tree]) -> Self {
        let depth = trees.iter().map(depth).max().unwrap_or(0);
        let inner = |tree: &Tree| tree.nodes.iter().filter(|node| node.children().is_some()).count();
        let steps = trees.iter().map(inner).max().unwrap_or(0).min(STEPS_MAX);
        if depth <= FULL_DEPTH_MAX && 2 * ((1 << depth) - 1) <= 3 * steps {
            Self::Full { depth }
        } else {
            Self::Listed
        }
    }
}

/// A node as a step.
#[derive(Debug, Clone, Copy)]
pub(super) struct NodeStep {
    pub(super) node: u32,
    pub(super) lane: usize,
    pub(super) rank: u8,
    pub(super) label: u8,
}

/// A tree's steps, and the node that each label ends on; none for labels that no row ends on.
pub(super) struct Scheduled {
    pub(super) steps: Vec<NodeStep>,
    pub(super) exits: Vec<Option<u32>>,
    /// Whether some label ends on a node that is no leaf.
    pub(super) is_cut: bool,
}

impl Scheduled {
    /// One node alone, or none.
    pub(super) fn of_node<T: Real>(node: Option<(&Tree, u32)>, plan: &LanePlan<T>) -> Self {
        let step = node.map(|(tree, number)| step(tree, number, 0, plan));
        Self {
            steps: step.into_iter().collect(),
            exits: Vec::new(),
            is_cut: false,
        }
    }
}

pub(super) fn schedule<T: Real>(tree: &Tree, shape: Shape, plan: &LanePlan<T>) -> Scheduled {
    match shape {
        Shape::Full { depth } => full(tree, depth, plan),
        Shape::Listed | Shape::Paired => listed(tree, plan),
    }
}

/// Breadth first, so that what is cut off a tree that is too large is what the fewest rows reach.
fn listed<T: Real>(tree: &Tree, plan: &LanePlan<T>) -> Scheduled {
    let mut scheduled = Scheduled {
        steps: Vec::new(),
        exits: vec![None],
        is_cut: false,
    };
    let mut open = VecDeque::from([(0u32, 0u8)]);
    while let Some((number, label)) = open.pop_front() {
        let node = &tree.nodes[number as usize];
        match (node.children(), u8::try_from(scheduled.steps.len() + 1)) {
            (Some([left, right]), Ok(new)) => {
                scheduled.steps.push(step(tree, number, label, plan));
                scheduled.exits.push(None);
                open.extend([(left, label), (right, new)]);
            }
            (children, _) => {
                scheduled.is_cut |= children.is_some();
                scheduled.exits[usize::from(label)] = Some(number);
            }
        }
    }
    scheduled
}

/// Level by level. A label is the leaf's number from the left.
fn full<T: Real>(tree: &Tree, depth: usize, plan: &LanePlan<T>) -> Scheduled {
    // No byte exceeds the highest rank: such a step sends every row left.
    let idle = NodeStep {
        node: 0,
        lane: 0,
        rank: u8::MAX,
        label: 0,
    };
    let mut scheduled = Scheduled {
        steps: vec![idle; (1 << depth) - 1],
        exits: vec![None; 1 << depth],
        is_cut: false,
    };
    let mut open = vec![(0u32, 0usize, 0usize)];
    while let Some((number, level, place)) = open.pop() {
        let node = &tree.nodes[number as usize];
        if let Some([left, right]) = node.children() {
            scheduled.steps[full_place(level, place)] = step(tree, number, 0, plan);
            open.extend([(left, level + 1, 2 * place), (right, level + 1, 2 * place + 1)]);
        } else {
            scheduled.exits[place << (depth - level)] = Some(number);
        }
    }
    scheduled
}

/// Where the node at a place of a level stands among the steps: the turns that lead to it, last one first, so that two
/// nodes that the first turn separates are side by side.
pub(crate) fn full_place(level: usize, place: usize) -> usize {
    let turns = (0..level).map(|turn| (place >> turn & 1) << (level - 1 - turn));
    (1 << level) - 1 + turns.sum::<usize>()
}

pub(super) fn step<T: Real>(tree: &Tree, number: u32, label: u8, plan: &LanePlan<T>) -> NodeStep {
    let (Test { lane, rank }, missing_left) = match tree.nodes[number as usize] {
        Node::Number {
            feature,
            threshold,
            missing_left,
            zero_is_missing,
            ..
        } => (
            plan.ranks.number_test(feature, zero_is_missing, threshold),
            missing_left,
        ),
        // No byte exceeds the highest rank: its bit alone decides.
        Node::Category { .. } if plan.bits.are_used() => {
            let never = Test { lane: 0, rank: u8::MAX };
            (never, true)
        }
        Node::Category {
            feature,
            first,
            count,
            missing_left,
            ..
        } => (plan.ranks.set_test(feature, tree.codes(first, count)), missing_left),
        Node::Leaf { .. } | Node::Vector { .. } | Node::Linear { .. } | Node::Removed => {
            unreachable!("only nodes with children are steps")
        }
    };
    NodeStep {
        node: number,
        lane: lane as usize + if missing_left { 0 } else { plan.half },
        rank,
        label,
    }
}

fn depth(tree: &Tree) -> usize {
    let (mut depth, mut level) = (0, vec![0u32]);
    loop {
        let below = level.iter().filter_map(|&node| tree.nodes[node as usize].children());
        let below: Vec<_> = below.flatten().collect();
        if below.is_empty() {
            return depth;
        }
        depth += 1;
        level = below;
    }
}
