//! A tree as a sequence of steps over labels: see the head of [`super`].

use std::collections::VecDeque;

use super::{LanePlan, Line, rank::Test};
use crate::ensemble::{Node, Tree};
use crate::kernel::real::Real;

/// Steps of a tree: labels are bytes, and a step makes one.
pub(super) const STEPS_MAX: usize = 255;

/// Depth of the largest full tree that labels can name.
const FULL_DEPTH_MAX: u32 = 8;

/// How the trees of a pack are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// As full trees of this depth: steps that no node stands behind do nothing, and labels need not be stored.
    Full { depth: u32 },
    /// Node by node, each with its label.
    Listed,
}

impl Shape {
    /// The shape that reads fewer lines: those of the largest model's plan come from the second-level cache, whose
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

    pub(super) fn is_balanced(self) -> bool {
        matches!(self, Self::Full { .. })
    }
}

/// A node as a step.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    pub(super) lane: u32,
    pub(super) rank: u8,
    pub(super) label: u8,
}

/// A tree's steps, and the node that each label ends on; none for labels that no row ends on.
pub(super) struct Scheduled {
    pub(super) steps: Vec<Step>,
    pub(super) exits: Vec<Option<u32>>,
    /// Whether some label ends on a node that is no leaf.
    pub(super) is_cut: bool,
}

pub(super) fn schedule<T: Real>(tree: &Tree, shape: Shape, plan: &LanePlan<T>) -> Scheduled {
    match shape {
        Shape::Full { depth } => full(tree, depth, plan),
        Shape::Listed => listed(tree, plan),
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
                scheduled.steps.push(step(tree, node, label, plan));
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

fn full<T: Real>(tree: &Tree, depth: u32, plan: &LanePlan<T>) -> Scheduled {
    let labels = full_labels();
    let steps = (1usize << depth) - 1;
    // No byte exceeds the highest rank: such a step moves nothing.
    let idle = |step: usize| Step {
        lane: 0,
        rank: u8::MAX,
        label: labels[step],
    };
    let mut scheduled = Scheduled {
        steps: (0..steps).map(idle).collect(),
        exits: vec![None; steps + 1],
        is_cut: false,
    };
    let mut open = vec![(0u32, 0usize, 0u8)];
    while let Some((number, place, label)) = open.pop() {
        let node = &tree.nodes[number as usize];
        if let Some([left, right]) = node.children() {
            scheduled.steps[place] = step(tree, node, label, plan);
            let new = u8::try_from(place + 1).expect("a full tree of depth 8 has 255 steps");
            open.extend([(left, 2 * place + 1, label), (right, 2 * place + 2, new)]);
        } else {
            scheduled.exits[usize::from(label)] = Some(number);
        }
    }
    scheduled
}

/// The label of each step of a full tree, breadth first; it does not depend on the depth.
fn full_labels() -> [u8; STEPS_MAX] {
    let mut labels = [0u8; STEPS_MAX];
    for place in 0..STEPS_MAX / 2 {
        labels[2 * place + 1] = labels[place];
        labels[2 * place + 2] = u8::try_from(place + 1).expect("half of 255 places");
    }
    labels
}

/// The labels of full trees, a line a step.
pub(super) fn balanced_labels() -> Vec<Line> {
    full_labels().iter().map(|&label| Line([label; 64])).collect()
}

fn step<T: Real>(tree: &Tree, node: &Node, label: u8, plan: &LanePlan<T>) -> Step {
    let (Test { lane, rank }, missing_left) = match *node {
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
    let half = u32::try_from(plan.half).expect("LANES_MAX fits u32");
    Step {
        lane: lane + if missing_left { 0 } else { half },
        rank,
        label,
    }
}

fn depth(tree: &Tree) -> u32 {
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
