//! Statistics about the trees of a model: counted once when it is built, and shown by `inspect`.

use crate::ensemble::{Node, Tree};

/// Depth, leaves, and what each feature is used for.
#[derive(Debug, Clone, PartialEq)]
pub struct Statistics {
    /// Splits on the longest way to a leaf.
    pub depth: usize,
    /// Leaves of all trees.
    pub leaves: usize,
    /// By column.
    pub features: Vec<FeatureUse>,
    /// What all splits gained in training; none when the file does not say.
    pub gain: Option<f64>,
}

/// What a feature is used for.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct FeatureUse {
    /// Nodes that split on it.
    pub splits: u64,
    /// What they gained in training, all together: 0 when the file does not say.
    pub gain: f64,
}

impl Statistics {
    pub(super) fn of(trees: &[Tree], columns: usize) -> Self {
        let mut statistics = Self {
            depth: 0,
            leaves: 0,
            features: vec![FeatureUse::default(); columns],
            gain: None,
        };
        let (mut some_gain, mut all_gain) = (false, true);
        for tree in trees {
            statistics.depth = statistics.depth.max(depth(tree));
            for (number, node) in tree.nodes.iter().enumerate() {
                let feature = match *node {
                    Node::Number { feature, .. } | Node::Category { feature, .. } => feature,
                    Node::Leaf { .. } | Node::Vector { .. } | Node::Linear { .. } => {
                        statistics.leaves += 1;
                        continue;
                    }
                    Node::Removed => continue,
                };
                let gain = tree.gains.get(number).copied().filter(|gain| gain.is_finite());
                all_gain &= gain.is_some();
                some_gain |= gain.is_some();
                if let Some(used) = statistics.features.get_mut(feature as usize) {
                    used.splits += 1;
                    used.gain += gain.map_or(0.0, f64::from);
                }
            }
        }
        if some_gain && all_gain {
            statistics.gain = Some(statistics.features.iter().map(|used| used.gain).sum());
        }
        statistics
    }

    /// A feature's share of all gain, 0 to 1; none when the file does not say, or nothing was gained.
    #[must_use]
    pub fn gain_share(&self, column: usize) -> Option<f64> {
        let total = self.gain.filter(|&total| total > 0.0)?;
        Some(self.features.get(column)?.gain / total)
    }
}

fn depth(tree: &Tree) -> usize {
    let (mut depth, mut level) = (0, vec![0u32]);
    loop {
        let below: Vec<u32> = level
            .iter()
            .filter_map(|&node| tree.nodes.get(node as usize)?.children())
            .flatten()
            .collect();
        if below.is_empty() {
            return depth;
        }
        depth += 1;
        level = below;
    }
}
