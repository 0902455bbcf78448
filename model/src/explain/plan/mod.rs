//! Ensemble → what the kernels that explain work on: made when a model is first explained, and never for one that is
//! not.

pub(super) mod full;
pub(super) mod listed;
pub(super) mod outcomes;

use std::collections::HashMap;

use super::kernel::DoublesKernel;
use super::skeleton::{Below, Skeleton};
use crate::ensemble::{Ensemble, Node, Tree};
use crate::kernel::Vectors;
use crate::kernel::real::Real;
use crate::plan::lanes::CHUNK;
use full::FullPlan;
use listed::ListedGroup;
use outcomes::{LaneOutcomes, NodeOf, TestOutcomes};

/// A tree of one output that is to be laid out.
pub(super) struct Planned<'e> {
    pub(super) tree: &'e Tree,
    pub(super) skeleton: &'e Skeleton,
    pub(super) output: u32,
    /// Of a vector leaf, which value.
    pub(super) member: usize,
}

impl<'e> Planned<'e> {
    /// The node of a split, if there are so many.
    fn node(&self, split: usize) -> Option<NodeOf<'e>> {
        let split = self.skeleton.splits.get(split)?;
        Some((self.tree, split.node))
    }

    /// What a leaf adds to the output.
    pub(super) fn value(&self, node: u32) -> f64 {
        match self.tree.nodes[node as usize] {
            Node::Leaf { value } => value,
            Node::Vector { first } => self
                .tree
                .vectors
                .get(first as usize + self.member)
                .copied()
                .unwrap_or_default(),
            Node::Linear { .. } | Node::Number { .. } | Node::Category { .. } | Node::Removed => 0.0,
        }
    }

    /// What the tree adds on average.
    fn mean(&self) -> f64 {
        let mut means = vec![0.0; self.skeleton.splits.len()];
        if means.is_empty() {
            return self.value(0);
        }
        for (number, split) in self.skeleton.splits.iter().enumerate().rev() {
            let [left, right] = split.below.map(|below| match below {
                Below::Split(split) => means[split],
                Below::Leaf(node) => self.value(node),
            });
            means[number] = right + split.share * (left - right);
        }
        means[0]
    }
}

/// Where contributions are summed: a place for each feature that an output's trees use.
#[derive(Debug, Default)]
pub(super) struct Places {
    numbers: HashMap<(u32, u32), u32>,
    pairs: Vec<(u32, u32)>,
}

impl Places {
    pub(super) fn of(&mut self, output: u32, feature: u32) -> u32 {
        let next = u32::try_from(self.pairs.len()).expect("there are fewer than splits, which u32 numbers");
        *self.numbers.entry((output, feature)).or_insert_with(|| {
            self.pairs.push((output, feature));
            next
        })
    }

    pub(super) fn len(&self) -> usize {
        self.pairs.len()
    }
}

/// Who decides splits.
#[derive(Debug)]
pub(super) enum Outcomes<T> {
    Lanes {
        outcomes: Box<LaneOutcomes<T>>,
        /// By group of listed trees and its blocks of 64, the first word.
        first_words: Vec<Vec<usize>>,
    },
    Tests(TestOutcomes<T>),
}

/// An ensemble laid out for explanations, in its precision.
#[derive(Debug)]
pub(super) struct QuadraturePlan<T> {
    pub(super) kernel: DoublesKernel,
    pub(super) outcomes: Outcomes<T>,
    pub(super) full: FullPlan,
    pub(super) listed: Vec<ListedGroup>,
    /// Output and feature of each place.
    pub(super) places: Vec<(u32, u32)>,
    /// By output, the mean of the trees.
    pub(super) means: Vec<f64>,
    /// Trees that are laid out as full ones.
    pub(super) full_trees: usize,
}

impl<T: Real> QuadraturePlan<T> {
    /// Lays out the first trees of an ensemble that can be explained. Without vectors, or where they do not take the
    /// model, every split is a comparison of its own.
    pub(super) fn compile(
        ensemble: &Ensemble,
        tree_limit: usize,
        kernel: DoublesKernel,
        vectors: Option<Vectors>,
    ) -> Self {
        let trees = &ensemble.trees()[..tree_limit.min(ensemble.trees().len())];
        let skeletons: Vec<_> = trees.iter().map(Skeleton::of).collect();
        let outputs = ensemble.base_margins().len();
        let mut means = vec![0.0; outputs];
        let lanes = vectors.and_then(|vectors| LaneOutcomes::new(ensemble, tree_limit, vectors).ok());
        let (mut full_trees, mut listed_trees) = (Vec::new(), Vec::new());
        for planned in trees
            .iter()
            .zip(&skeletons)
            .flat_map(|tree| of_each_output(tree, outputs))
        {
            means[planned.output as usize] += planned.mean();
            match () {
                () if planned.skeleton.splits.is_empty() => {}
                () if lanes.is_some() && kernel.lanes() > 1 && full::takes(planned.skeleton) => {
                    full_trees.push(planned)
                }
                () => listed_trees.push(planned),
            }
        }
        let mut places = Places::default();
        let mut full = FullPlan::new(kernel.lanes());
        let groups = by_points(&mut listed_trees);
        let outcomes = match lanes {
            Some(mut outcomes) => {
                full.push(&full_trees, &mut outcomes, &mut places);
                let first_words = groups.iter().map(|&trees| push_listed(trees, &mut outcomes)).collect();
                outcomes.finish();
                Outcomes::Lanes {
                    outcomes: Box::new(outcomes),
                    first_words,
                }
            }
            None => {
                let splits = groups.iter().copied().flatten().flat_map(|planned| {
                    let split = |split: &super::skeleton::Split| (planned.tree, split.node);
                    planned.skeleton.splits.iter().map(split)
                });
                Outcomes::Tests(TestOutcomes::new(ensemble, splits))
            }
        };
        let listed = groups.iter().map(|trees| {
            let mut group = ListedGroup::new(listed::points(features(trees)));
            trees.iter().for_each(|planned| group.push(planned, &mut places));
            group
        });
        Self {
            kernel,
            outcomes,
            full,
            listed: listed.collect(),
            places: places.pairs,
            means,
            full_trees: full_trees.len(),
        }
    }

    /// Bytes this plan holds.
    pub(super) fn bytes(&self) -> usize {
        let outcomes = match &self.outcomes {
            Outcomes::Lanes { outcomes, .. } => outcomes.bytes(),
            Outcomes::Tests(tests) => tests.bytes(),
        };
        outcomes
            + self.full.bytes()
            + self.listed.iter().map(ListedGroup::bytes).sum::<usize>()
            + size_of_val(self.places.as_slice())
    }
}

/// A tree for each output that it adds to.
fn of_each_output<'e>((tree, skeleton): (&'e Tree, &'e Skeleton), outputs: usize) -> impl Iterator<Item = Planned<'e>> {
    let is_vector = tree.nodes.iter().any(|node| matches!(node, Node::Vector { .. }));
    let members = if is_vector { outputs } else { 1 };
    (0..members).map(move |member| Planned {
        tree,
        skeleton,
        output: tree.output + u32::try_from(member).expect("OUTPUTS_MAX is far below"),
        member,
    })
}

fn features(trees: &[Planned<'_>]) -> usize {
    trees.iter().map(|planned| planned.skeleton.features).max().unwrap_or(0)
}

/// Trees that take the same number of points, those of about one size together.
fn by_points<'p, 'e>(trees: &'p mut [Planned<'e>]) -> Vec<&'p [Planned<'e>]> {
    let points = |planned: &Planned<'_>| listed::points(planned.skeleton.features);
    trees.sort_by_cached_key(|planned| (points(planned), planned.skeleton.splits.len()));
    trees.chunk_by(|a, b| points(a) == points(b)).collect()
}

/// Steps of listed trees, 64 side by side. Returns the first word of each such block.
fn push_listed<T: Real>(trees: &[Planned<'_>], outcomes: &mut LaneOutcomes<T>) -> Vec<usize> {
    let mut first_words = Vec::new();
    for block in trees.chunks(CHUNK) {
        let steps = block
            .iter()
            .map(|planned| planned.skeleton.splits.len())
            .max()
            .unwrap_or(0);
        for step in 0..steps {
            let nodes: Vec<_> = block.iter().map(|planned| planned.node(step)).collect();
            let word = outcomes.push(&nodes);
            if step == 0 {
                first_words.push(word);
            }
        }
    }
    first_words
}
