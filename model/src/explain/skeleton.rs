//! What explanations know of a tree: its splits, parents first, each with the share of training data that went left and
//! with what stands above it on the same feature.

use std::collections::HashMap;

use crate::ensemble::{Node, Tree};

/// The share of training data that went to the left one of two children. Normalised by both together, so that the two
/// shares add to 1; halves where no data came by.
pub(super) fn share(tree: &Tree, children: [u32; 2]) -> f64 {
    let [left, right] = children.map(|child| tree.covers.get(child as usize).copied().unwrap_or(0.0));
    match left + right {
        0.0 => 0.5,
        // Covers are finite, and their sum may still be infinite.
        sum if sum.is_infinite() => left / 2.0 / (left / 2.0 + right / 2.0),
        sum => left / sum,
    }
}

/// What a split leads to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Below {
    /// The split of this number.
    Split(usize),
    /// The leaf at this node.
    Leaf(u32),
}

/// A split that stands above another one of the same feature.
#[derive(Debug, Clone, Copy)]
pub(super) struct Above {
    /// The nearest one.
    pub(super) split: usize,
    /// Whether the way down goes left at it.
    pub(super) is_left: bool,
    /// The product of the shares on the way down, over all of that feature's splits above.
    pub(super) weight: f64,
}

/// A split.
#[derive(Debug, Clone, Copy)]
pub(super) struct Split {
    /// Its node.
    pub(super) node: u32,
    pub(super) feature: u32,
    pub(super) share: f64,
    pub(super) below: [Below; 2],
    pub(super) above: Option<Above>,
}

/// The splits of a tree in preorder: a left child that is a split follows its parent.
#[derive(Debug, Clone, Default)]
pub(super) struct Skeleton {
    pub(super) splits: Vec<Split>,
    /// Splits on the longest path.
    pub(super) depth: usize,
    /// Distinct features on the path that has most.
    pub(super) features: usize,
}

/// A subtree that is still to be looked at: its node, the parent whose child it is, and how deep it lies.
#[derive(Debug, Clone, Copy)]
struct Open {
    node: u32,
    parent: Option<(usize, usize)>,
    depth: usize,
}

impl Skeleton {
    pub(super) fn of(tree: &Tree) -> Self {
        let mut skeleton = Self::default();
        let mut open = vec![Open {
            node: 0,
            parent: None,
            depth: 0,
        }];
        // The path to the subtree at hand: its splits, and which side of each was taken.
        let mut path: Vec<(usize, bool)> = Vec::new();
        // By feature, the splits of the path.
        let mut met: HashMap<u32, Vec<usize>> = HashMap::new();
        while let Some(Open { node, parent, depth }) = open.pop() {
            while path.len() > depth {
                skeleton.leave(&mut path, &mut met);
            }
            if let (Some((_, side)), Some(last)) = (parent, path.last_mut()) {
                last.1 = side == 0;
            }
            let Some(children) = tree.nodes[node as usize].children() else {
                skeleton.features = skeleton.features.max(met.len());
                continue;
            };
            let number = skeleton.splits.len();
            skeleton.push(tree, node, children, &path, &mut met);
            if let Some((parent, side)) = parent {
                skeleton.splits[parent].below[side] = Below::Split(number);
            }
            path.push((number, true));
            skeleton.depth = skeleton.depth.max(depth + 1);
            let below = |side: usize| Open {
                node: children[side],
                parent: Some((number, side)),
                depth: depth + 1,
            };
            open.extend([below(1), below(0)]);
        }
        skeleton
    }

    fn leave(&self, path: &mut Vec<(usize, bool)>, met: &mut HashMap<u32, Vec<usize>>) {
        let Some((split, _)) = path.pop() else { return };
        let feature = self.splits[split].feature;
        if let Some(splits) = met.get_mut(&feature) {
            splits.pop();
            if splits.is_empty() {
                met.remove(&feature);
            }
        }
    }

    fn push(
        &mut self,
        tree: &Tree,
        node: u32,
        children: [u32; 2],
        path: &[(usize, bool)],
        met: &mut HashMap<u32, Vec<usize>>,
    ) {
        let feature = match tree.nodes[node as usize] {
            Node::Number { feature, .. } | Node::Category { feature, .. } => feature,
            Node::Leaf { .. } | Node::Vector { .. } | Node::Linear { .. } | Node::Removed => 0,
        };
        let same = met.entry(feature).or_default();
        let above = same.last().map(|&split| {
            // The path's splits are numbered upwards, so the one that is looked for is found by its number.
            let place = path.binary_search_by_key(&split, |&(split, _)| split).unwrap_or(0);
            let is_left = path[place].1;
            let above = &self.splits[split];
            let own = if is_left { above.share } else { 1.0 - above.share };
            Above {
                split,
                is_left,
                weight: own * above.above.map_or(1.0, |above| above.weight),
            }
        });
        same.push(self.splits.len());
        self.splits.push(Split {
            node,
            feature,
            share: share(tree, children),
            below: children.map(Below::Leaf),
            above,
        });
    }
}
