//! Turns chains of equalities back into sets: onnxmltools writes a categorical split of LightGBM's as one `BRANCH_EQ`
//! for each category, all of which lead to the same node when they hold.

use std::collections::HashMap;

use super::tree::Columns;

/// A set of values that lead the same way.
pub(super) struct Chain {
    /// Indices of the nodes, the first of which stands for all.
    pub(super) links: Vec<usize>,
    /// Where a row goes that equals none of them.
    pub(super) when_false: i64,
}

/// Chains by the index of their first node; and which nodes another one stands for.
pub(super) struct Chains {
    by_head: HashMap<usize, Chain>,
    is_absorbed: Vec<bool>,
}

impl Chains {
    pub(super) fn find(columns: &Columns<'_>) -> Self {
        let count = columns.nodes.len();
        if !(0..count).any(|index| columns.is_equality(index)) {
            return Self {
                by_head: HashMap::new(),
                is_absorbed: vec![false; count],
            };
        }
        let index_of: HashMap<(i64, i64), usize> = (0..columns.nodes.len())
            .map(|index| ((columns.trees[index], columns.nodes[index]), index))
            .collect();
        let mut parents = vec![0u32; columns.nodes.len()];
        for index in (0..columns.nodes.len()).filter(|&index| columns.modes[index] != "LEAF") {
            for child in [columns.trues[index], columns.falses[index]] {
                if let Some(&child) = index_of.get(&(columns.trees[index], child)) {
                    parents[child] = parents[child].saturating_add(1);
                }
            }
        }
        let next = |index: usize| {
            let next = *index_of.get(&(columns.trees[index], columns.falses[index]))?;
            let is_link = columns.is_equality(index)
                && columns.is_equality(next)
                && parents[next] == 1
                && next != index
                && columns.features[index] == columns.features[next]
                && columns.trues[index] == columns.trues[next]
                && columns.tracks_missing(index) == columns.tracks_missing(next);
            is_link.then_some(next)
        };
        let mut is_absorbed = vec![false; columns.nodes.len()];
        for index in 0..columns.nodes.len() {
            if let Some(next) = next(index) {
                is_absorbed[next] = true;
            }
        }
        let mut by_head = HashMap::new();
        for head in (0..columns.nodes.len()).filter(|&head| !is_absorbed[head]) {
            let mut links = vec![head];
            let mut last = head;
            // Each link has one parent, so that no node is in two chains and the links are no more than the nodes.
            while let Some(link) = next(last) {
                links.push(link);
                last = link;
            }
            if links.len() > 1 {
                let when_false = columns.falses[last];
                by_head.insert(head, Chain { links, when_false });
            }
        }
        Self { by_head, is_absorbed }
    }

    pub(super) fn at(&self, head: usize) -> Option<&Chain> {
        self.by_head.get(&head)
    }

    pub(super) fn is_absorbed(&self, index: usize) -> bool {
        self.is_absorbed[index]
    }
}
