//! The checks of [`super::Ensemble::try_new`]: every tree is a tree, and every number is in its valid range.

use super::{EnsembleError, EnsembleParts, Finish, Linear, Node, NodeFault, Precision, Term, Tree};
use crate::limits::{LEAF_VALUES_MAX, NODES_MAX, OUTPUTS_MAX, TREE_NODES_MAX, TREES_MAX};

/// Checks everything a kernel relies on. Returns how many nodes there are.
pub(super) fn node_count(parts: &EnsembleParts) -> Result<usize, EnsembleError> {
    count("trees", parts.trees.len(), 0, TREES_MAX)?;
    count("outputs", parts.base_margins.len(), 1, OUTPUTS_MAX)?;
    for (output, &value) in parts.base_margins.iter().enumerate() {
        if !value.is_finite() || !fits(parts.precision, value) {
            return Err(EnsembleError::BaseMargin { output, value });
        }
    }
    let node_count = parts.trees.iter().map(|tree| tree.nodes.len()).sum();
    count("nodes", node_count, 0, NODES_MAX)?;
    let leaf_values = |tree: &Tree| tree.vectors.len() + tree.terms.len();
    count(
        "leaf values",
        parts.trees.iter().map(leaf_values).sum(),
        0,
        LEAF_VALUES_MAX,
    )?;
    let mut reached = Vec::new();
    for (number, tree) in parts.trees.iter().enumerate() {
        check_tree(parts, number, tree, &mut reached)?;
    }
    check_iterations(&parts.iteration_ends, parts.trees.len())?;
    check_finish(&parts.finish, parts.base_margins.len())?;
    if let Some(linear) = &parts.linear {
        check_linear(parts, linear)?;
    }
    Ok(node_count)
}

fn count(what: &'static str, count: usize, least: usize, most: usize) -> Result<(), EnsembleError> {
    if (least..=most).contains(&count) {
        Ok(())
    } else {
        Err(EnsembleError::Count {
            what,
            count,
            least,
            most,
        })
    }
}

/// Whether a number survives the way to the precision and back. NaN is judged elsewhere.
#[expect(clippy::cast_possible_truncation, reason = "the cast is what is tested")]
fn fits(precision: Precision, value: f64) -> bool {
    precision == Precision::F64 || value.is_nan() || f64::from(value as f32).to_bits() == value.to_bits()
}

fn check_tree(parts: &EnsembleParts, number: usize, tree: &Tree, reached: &mut Vec<bool>) -> Result<(), EnsembleError> {
    let at = |node: usize, fault| EnsembleError::Node {
        tree: number,
        node,
        fault,
    };
    if tree.nodes.is_empty() {
        return Err(EnsembleError::EmptyTree { tree: number });
    }
    count("nodes of one tree", tree.nodes.len(), 1, TREE_NODES_MAX)?;
    let outputs = parts.base_margins.len();
    if tree.output as usize >= outputs {
        return Err(EnsembleError::Output {
            tree: number,
            output: tree.output,
            outputs,
        });
    }
    reached.clear();
    reached.resize(tree.nodes.len(), false);
    reached[0] = true;
    for (index, node) in tree.nodes.iter().enumerate() {
        check_node(parts, tree, node).map_err(|fault| at(index, fault))?;
        let Some(children) = node.children() else { continue };
        for (side, child) in [("left", children[0]), ("right", children[1])] {
            let Some(slot) = reached.get_mut(child as usize) else {
                return Err(at(
                    index,
                    NodeFault::Child {
                        side,
                        child,
                        last: tree.nodes.len() - 1,
                    },
                ));
            };
            if std::mem::replace(slot, true) {
                return Err(at(child as usize, NodeFault::Parent));
            }
        }
    }
    check_reach(tree, reached)
        .and_then(|()| check_kinds(tree))
        .map_err(|(node, fault)| at(node, fault))
}

/// Every node has at most one parent here; what is left is that all hang together. A cycle apart from the root has one
/// parent for each node too, so the count of a walk from the root decides.
fn check_reach(tree: &Tree, reached: &mut [bool]) -> Result<(), (usize, NodeFault)> {
    reached.fill(false);
    let mut open = vec![0u32];
    while let Some(index) = open.pop() {
        reached[index as usize] = true;
        match &tree.nodes[index as usize] {
            Node::Removed => return Err((index as usize, NodeFault::Removed)),
            node => open.extend(node.children().into_iter().flatten()),
        }
    }
    let strays = tree
        .nodes
        .iter()
        .zip(reached.iter())
        .position(|(node, &seen)| !seen && *node != Node::Removed);
    strays.map_or(Ok(()), |node| Err((node, NodeFault::Unreachable)))
}

fn check_node(parts: &EnsembleParts, tree: &Tree, node: &Node) -> Result<(), NodeFault> {
    let features = parts.schema.len();
    let column = |feature: u32| match (feature as usize) < features {
        true => Ok(()),
        false => Err(NodeFault::Feature { feature, features }),
    };
    let number = |value: f64| match fits(parts.precision, value) {
        true => Ok(()),
        false => Err(NodeFault::Wide { value }),
    };
    let leaf = |value: f64| match value.is_finite() {
        true => number(value),
        false => Err(NodeFault::Leaf { value }),
    };
    match *node {
        Node::Leaf { value } => leaf(value),
        Node::Vector { first } => {
            let outputs = parts.base_margins.len();
            let values = tree.vector(first, outputs);
            if values.len() != outputs || tree.output != 0 {
                return Err(NodeFault::Vector { outputs });
            }
            values.iter().try_for_each(|&value| leaf(value))
        }
        Node::Linear {
            value,
            constant,
            first,
            count,
        } => {
            leaf(value).and(leaf(constant))?;
            let terms = tree.linear(first, count);
            if terms.len() != count as usize {
                return Err(NodeFault::Terms);
            }
            let term = |term: &Term| column(term.feature).and(leaf(term.coefficient));
            terms.iter().try_for_each(term)
        }
        Node::Number { threshold, .. } if threshold.is_nan() => Err(NodeFault::Threshold),
        Node::Number { feature, threshold, .. } => column(feature).and(number(threshold)),
        Node::Category {
            feature, first, count, ..
        } => {
            column(feature)?;
            let codes = tree.codes(first, count);
            let increasing = codes.windows(2).all(|pair| pair[0] < pair[1]);
            let last = parts.codes.last();
            let in_range = codes.last().is_none_or(|&code| code <= last);
            if increasing && in_range && codes.len() == count as usize {
                Ok(())
            } else {
                Err(NodeFault::Categories { last })
            }
        }
        Node::Removed => Ok(()),
    }
}

/// Kernels ask once a tree what its leaves are, not once a leaf.
fn check_kinds(tree: &Tree) -> Result<(), (usize, NodeFault)> {
    let kind = |node: &Node| match node {
        Node::Leaf { .. } => Some(0),
        Node::Vector { .. } => Some(1),
        Node::Linear { .. } => Some(2),
        Node::Number { .. } | Node::Category { .. } | Node::Removed => None,
    };
    let mut kinds = tree.nodes.iter().map(kind).enumerate();
    let Some((_, Some(first))) = kinds.find(|(_, kind)| kind.is_some()) else {
        return Ok(());
    };
    let other = kinds.find(|(_, kind)| kind.is_some_and(|kind| kind != first));
    other.map_or(Ok(()), |(node, _)| Err((node, NodeFault::Kind)))
}

fn check_finish(finish: &Finish, outputs: usize) -> Result<(), EnsembleError> {
    let (factors, offsets) = match finish {
        Finish::Nothing => return Ok(()),
        Finish::Average { divisors, offsets } => {
            count("divisors of averages", divisors.len(), outputs, outputs)?;
            (divisors.as_slice(), offsets)
        }
        Finish::Scale { scale, offsets } => (std::slice::from_ref(scale), offsets),
    };
    count("offsets", offsets.len(), outputs, outputs)?;
    match factors.iter().chain(offsets).find(|value| !value.is_finite()) {
        Some(&value) => Err(EnsembleError::Finish { value }),
        None => Ok(()),
    }
}

fn check_linear(parts: &EnsembleParts, linear: &Linear) -> Result<(), EnsembleError> {
    count("trees beside a linear model", parts.trees.len(), 0, 0)?;
    let weights = (parts.schema.len() + 1) * parts.base_margins.len();
    count("weights", linear.weights.len(), weights, weights)?;
    match linear.weights.iter().position(|weight| !weight.is_finite()) {
        Some(index) => Err(EnsembleError::Weight {
            index,
            value: linear.weights[index],
        }),
        None => Ok(()),
    }
}

fn check_iterations(ends: &[u32], trees: usize) -> Result<(), EnsembleError> {
    let mut before = 0;
    for (iteration, &end) in ends.iter().enumerate() {
        let last = iteration + 1 == ends.len();
        if end < before || end as usize > trees || (last && end as usize != trees) {
            return Err(EnsembleError::Iterations { iteration, end, trees });
        }
        before = end;
    }
    if ends.is_empty() && trees > 0 {
        return Err(EnsembleError::Iterations {
            iteration: 0,
            end: 0,
            trees,
        });
    }
    Ok(())
}
