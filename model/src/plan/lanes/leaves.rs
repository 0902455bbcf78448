//! What the labels of trees mean: numbers to add, or places from which a walk goes on.

use super::super::{LeafKind, Plan};
use super::LanePlan;
use crate::ensemble::{Ensemble, Node, Tree};
use crate::kernel::real::Real;

/// What a label means.
#[derive(Debug, Clone)]
pub(crate) enum Leaves<T> {
    /// A number to add. `outputs` is empty when there is one output.
    Numbers { values: Vec<T>, outputs: Vec<u32> },
    /// A place of the scalar plan from where its walk goes on: leaves that are more than a number, and trees of which
    /// only the top fits into labels.
    Places { plan: Box<Plan<T>>, places: Vec<u32> },
}

impl<T: Real> Leaves<T> {
    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Numbers { values, outputs } => size_of_val(values.as_slice()) + size_of_val(outputs.as_slice()),
            Self::Places { plan, places } => plan.bytes() + size_of_val(places.as_slice()),
        }
    }
}

impl<T: Real> LanePlan<T> {
    /// Writes the leaves of trees that are laid out, whose labels end on `exits`.
    pub(super) fn push_leaves(&mut self, ensemble: &Ensemble, trees: &[Tree], exits: &[Vec<Option<u32>>]) {
        let is_number = |tree: &Tree, exit: &Option<u32>| {
            exit.is_none_or(|node| matches!(tree.nodes[node as usize], Node::Leaf { .. }))
        };
        let all_numbers = trees
            .iter()
            .zip(exits)
            .all(|(tree, exits)| exits.iter().all(|exit| is_number(tree, exit)));
        let strides = self
            .packs
            .iter()
            .flat_map(|pack| std::iter::repeat_n(pack.stride, pack.trees));
        let placed = trees.iter().zip(exits).zip(strides);
        if all_numbers {
            let mut values = Vec::new();
            for ((tree, exits), stride) in placed {
                let value = |exit: &Option<u32>| match exit.map(|node| &tree.nodes[node as usize]) {
                    Some(&Node::Leaf { value }) => T::narrow(value),
                    _ => T::ZERO,
                };
                let end = values.len() + stride;
                values.extend(exits.iter().map(value));
                values.resize(end, T::ZERO);
            }
            let outputs = match self.base_margins.len() {
                1 => Vec::new(),
                _ => trees.iter().map(|tree| tree.output).collect(),
            };
            self.leaves = Leaves::Numbers { values, outputs };
        } else {
            let plan = Plan::compile(ensemble, trees.len());
            let mut places = Vec::new();
            for (number, ((tree, exits), stride)) in placed.enumerate() {
                let root = plan.trees[number].root;
                let numbers = super::super::layout::places(tree, root);
                let end = places.len() + stride;
                places.extend(
                    exits
                        .iter()
                        .map(|exit| exit.map_or(root, |node| numbers[node as usize])),
                );
                places.resize(end, root);
            }
            self.leaves = Leaves::Places {
                plan: Box::new(plan),
                places,
            };
        }
    }

    pub(super) fn explain_leaves(&self) -> String {
        match &self.leaves {
            Leaves::Numbers { .. } => "numbers, found by tree and label".into(),
            Leaves::Places { plan, .. } => format!(
                "found by a walk from where the labels end, because {} trees have more than 256 leaves and {} have leaves \
                 that are more than a number",
                self.cut_trees,
                plan.trees.iter().filter(|tree| tree.leaves != LeafKind::Number).count()
            ),
        }
    }
}
