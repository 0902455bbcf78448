//! Where two rows take different branches, to explain why two scores differ.

use super::{Ensemble, Input, Node, Precision, Tree};
use crate::kernel::real::Real;
use crate::kernel::reference::child;

/// The first node at which one row goes left and another right.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Parting {
    /// Which tree, from 0.
    pub tree: usize,
    /// Which of its nodes, by the file's number.
    pub node: usize,
    /// The column that is looked at.
    pub feature: usize,
    /// What is compared with; none at a node that looks up a category.
    pub threshold: Option<f64>,
}

impl Ensemble {
    /// The first node, in the order of trees, at which two rows part. Values are narrowed as the model narrows them.
    /// None when they reach the same leaves, and for a model without trees.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the model narrows its values in the same way"
    )]
    pub fn parting(&self, one: &[f64], other: &[f64]) -> Option<Parting> {
        let narrow = |row: &[f64]| row.iter().map(|&value| value as f32).collect::<Vec<f32>>();
        let widen = |row: Vec<f32>| row.into_iter().map(f64::from).collect::<Vec<f64>>();
        match (self.precision(), self.input()) {
            (Precision::F32, _) => self.first_parting(&narrow(one), &narrow(other)),
            (Precision::F64, Input::Narrowed) => self.first_parting(&widen(narrow(one)), &widen(narrow(other))),
            (Precision::F64, _) => self.first_parting(one, other),
        }
    }

    fn first_parting<T: Real>(&self, one: &[T], other: &[T]) -> Option<Parting> {
        let trees = self.trees().iter().enumerate();
        trees
            .filter_map(|(tree, nodes)| Some((tree, self.parting_in(nodes, one, other)?)))
            .map(|(tree, parting)| Parting { tree, ..parting })
            .next()
    }

    fn parting_in<T: Real>(&self, tree: &Tree, one: &[T], other: &[T]) -> Option<Parting> {
        let mut index = 0u32;
        loop {
            let next = child(self, tree, index, one)?;
            if child(self, tree, index, other) == Some(next) {
                index = next;
                continue;
            }
            let (feature, threshold) = match tree.nodes[index as usize] {
                Node::Number { feature, threshold, .. } => (feature, Some(threshold)),
                Node::Category { feature, .. } => (feature, None),
                Node::Leaf { .. } | Node::Vector { .. } | Node::Linear { .. } | Node::Removed => return None,
            };
            return Some(Parting {
                tree: 0,
                node: index as usize,
                feature: feature as usize,
                threshold,
            });
        }
    }
}
