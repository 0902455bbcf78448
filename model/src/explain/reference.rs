//! Contributions as their definition reads, leaf by leaf: the oracle that the fast way is compared with.
//!
//! For each leaf and each feature on its path: `o` is 1 if the row passes all of the feature's nodes there, else 0; `w`
//! is the product of the shares of training data that did. The game that a leaf plays is its value times `o` of the
//! features that are known and `w` of the others; a feature's contribution is its Shapley value, summed over leaves:
//!
//! ```text
//! phi_i = sum over leaves of  v (o_i - w_i)  sum over S of  |S|! (d - |S| - 1)! / d!  product of o in S, of w outside S
//! ```

use super::skeleton::share;
use crate::ensemble::{Ensemble, Node, Tree};
use crate::kernel::real::Real;
use crate::kernel::reference::child;

/// A feature on the path to a leaf.
#[derive(Debug, Clone, Copy)]
struct OnPath {
    feature: u32,
    weight: f64,
    passes: bool,
}

/// Adds the contributions of a row's trees to `sums`, which has for each output a place for each column and a last one
/// for the bias: the trees' means.
pub(super) fn add<T: Real>(ensemble: &Ensemble, tree_limit: usize, row: &[T], sums: &mut [f64]) {
    for tree in ensemble.trees().iter().take(tree_limit) {
        let mut open = vec![(0u32, Vec::new())];
        while let Some((number, path)) = open.pop() {
            let node = &tree.nodes[number as usize];
            let Some(children) = node.children() else {
                add_leaf(ensemble, tree, node, &path, sums);
                continue;
            };
            let taken = child(ensemble, tree, number, row);
            let left_share = share(tree, children);
            for (child, share) in children.into_iter().zip([left_share, 1.0 - left_share]) {
                open.push((child, extended(&path, feature(node), share, taken == Some(child))));
            }
        }
    }
}

/// The path with one node more: a feature that is met again stays one feature.
fn extended(path: &[OnPath], feature: u32, share: f64, passes: bool) -> Vec<OnPath> {
    let mut path = path.to_vec();
    match path.iter_mut().find(|on_path| on_path.feature == feature) {
        Some(on_path) => {
            on_path.weight *= share;
            on_path.passes &= passes;
        }
        None => path.push(OnPath {
            feature,
            weight: share,
            passes,
        }),
    }
    path
}

fn add_leaf(ensemble: &Ensemble, tree: &Tree, leaf: &Node, path: &[OnPath], sums: &mut [f64]) {
    let outputs = ensemble.base_margins().len();
    let width = sums.len() / outputs;
    let values = match *leaf {
        Node::Leaf { ref value } => std::slice::from_ref(value),
        Node::Vector { first } => tree.vector(first, outputs),
        Node::Linear { .. } | Node::Number { .. } | Node::Category { .. } | Node::Removed => &[],
    };
    let reach: f64 = path.iter().map(|on_path| on_path.weight).product();
    for (output, value) in (tree.output as usize..).zip(values) {
        let sums = &mut sums[output * width..][..width];
        for (number, on_path) in path.iter().enumerate() {
            let gain = f64::from(u8::from(on_path.passes)) - on_path.weight;
            sums[on_path.feature as usize] += value * gain * mean_over_orders(path, number);
        }
        sums[width - 1] += value * reach;
    }
}

/// The sum over coalitions of all features but one, by their size: the coefficient of `x` to the size in the product of
/// `o x + w`, over the number of orders in which that one comes next.
fn mean_over_orders(path: &[OnPath], without: usize) -> f64 {
    let mut by_size = vec![1.0];
    for (_, on_path) in path.iter().enumerate().filter(|&(number, _)| number != without) {
        let mut grown: Vec<f64> = by_size.iter().map(|sum| sum * on_path.weight).collect();
        grown.push(0.0);
        if on_path.passes {
            for (grown, sum) in grown[1..].iter_mut().zip(&by_size) {
                *grown += sum;
            }
        }
        by_size = grown;
    }
    let features = path.len() as f64;
    // |S|! (d - |S| - 1)! / d!, from |S| = 0 on.
    let mut chance = 1.0 / features;
    let mut mean = 0.0;
    for (size, sum) in by_size.iter().enumerate() {
        mean += chance * sum;
        chance *= (size + 1) as f64 / (features - 1.0 - size as f64);
    }
    mean
}

fn feature(node: &Node) -> u32 {
    match *node {
        Node::Number { feature, .. } | Node::Category { feature, .. } => feature,
        Node::Leaf { .. } | Node::Vector { .. } | Node::Linear { .. } | Node::Removed => 0,
    }
}
