//! The parallel arrays of `nodes_*` into trees.

use std::collections::{HashMap, HashSet};

use super::super::FormatError;
use super::super::document::shortened;
use super::Attributes;
use super::chains::{Chain, Chains};
use crate::ensemble::{Comparison, Node, Precision, Tree};
use crate::limits::{CATEGORY_END, TREES_MAX};

/// Values that leaves may be widened to in a file of so many bytes, beside those it holds: a weight takes seven bytes.
const fn widened_max(bytes: usize) -> usize {
    bytes / 2 + (1 << 20)
}

/// What leaves add: `class_*` or `target_*`.
pub(super) struct Weights {
    prefix: &'static str,
    trees: Vec<i64>,
    nodes: Vec<i64>,
    outputs: Vec<i64>,
    values: Vec<f64>,
}

impl Weights {
    pub(super) fn read(attributes: &Attributes<'_, '_>, prefix: &'static str) -> Result<Self, FormatError> {
        let name = |suffix| format!("{prefix}_{suffix}");
        let weights = Self {
            prefix,
            trees: attributes.ints(&name("treeids")).to_vec(),
            nodes: attributes.ints(&name("nodeids")).to_vec(),
            outputs: attributes.ints(&name("ids")).to_vec(),
            values: attributes.floats(&name("weights")).to_vec(),
        };
        let count = weights.values.len();
        match [weights.trees.len(), weights.nodes.len(), weights.outputs.len()] == [count; 3] {
            true => Ok(weights),
            false => Err(attributes.fault(&name("weights"), "the arrays of leaf weights differ in length")),
        }
    }

    pub(super) fn is_of_one_output(&self) -> bool {
        self.outputs.windows(2).all(|pair| pair[0] == pair[1])
    }

    pub(super) fn all_positive(&self) -> bool {
        self.values.iter().all(|&value| value >= 0.0)
    }
}

/// What was read.
pub(super) struct Forest {
    pub(super) trees: Vec<Tree>,
    pub(super) comparison: Comparison,
    /// One more than the largest feature.
    pub(super) features: usize,
}

/// Where a node of the file is: tree and node in our numbering.
type Places = HashMap<(i64, i64), (usize, u32)>;

/// The parallel arrays.
pub(super) struct Columns<'n> {
    pub(super) trees: &'n [i64],
    pub(super) nodes: &'n [i64],
    pub(super) features: &'n [i64],
    pub(super) trues: &'n [i64],
    pub(super) falses: &'n [i64],
    values: &'n [f64],
    missing_true: &'n [i64],
    pub(super) modes: Vec<&'n str>,
}

impl Columns<'_> {
    pub(super) fn is_equality(&self, index: usize) -> bool {
        self.modes[index] == "BRANCH_EQ"
    }

    /// Whether a missing value takes the branch of what holds.
    pub(super) fn tracks_missing(&self, index: usize) -> bool {
        self.missing_true.get(index).is_some_and(|&tracks| tracks != 0)
    }
}

/// Reads trees with a number of outputs from a file with a number of bytes.
pub(super) fn read(
    attributes: &Attributes<'_, '_>,
    weights: Weights,
    outputs: usize,
    is_binary: bool,
    (precision, bytes): (Precision, usize),
) -> Result<Forest, FormatError> {
    let columns = columns(attributes)?;
    let (places, sizes) = places(attributes, &columns)?;
    let mut trees = vec![Tree::default(); sizes.len()];
    // The root of a tree is the node that is no child; it becomes node 0.
    let order = order(attributes, &columns, places, &sizes)?;
    for (tree, &size) in trees.iter_mut().zip(&sizes) {
        tree.nodes = vec![Node::Removed; size as usize];
    }
    let comparison = comparison(&columns);
    let chains = Chains::find(&columns);
    let mut features = 0;
    for index in (0..columns.nodes.len()).filter(|&index| !chains.is_absorbed(index)) {
        let (tree, place) = place(&order, &columns, index);
        let node = match columns.modes[index] {
            "LEAF" => Node::Leaf { value: 0.0 },
            _ => {
                let splitter = Splitter {
                    attributes,
                    columns: &columns,
                    order: &order,
                    index,
                };
                let feature = splitter.feature()?;
                features = features.max(feature as usize + 1);
                match columns.modes[index] {
                    "BRANCH_EQ" | "BRANCH_NEQ" => splitter.equality(feature, chains.at(index), &mut trees[tree])?,
                    _ => splitter.number(feature, comparison, precision)?,
                }
            }
        };
        trees[tree].nodes[place as usize] = node;
    }
    let most = widened_max(bytes);
    add_weights(attributes, &weights, &order, (outputs, most), is_binary, &mut trees)?;
    Ok(Forest {
        trees,
        comparison,
        features,
    })
}

fn columns<'n>(attributes: &Attributes<'n, '_>) -> Result<Columns<'n>, FormatError> {
    let modes = attributes
        .get("nodes_modes")
        .map_or(&[][..], |modes| modes.texts.as_slice());
    let columns = Columns {
        trees: attributes.ints("nodes_treeids"),
        nodes: attributes.ints("nodes_nodeids"),
        features: attributes.ints("nodes_featureids"),
        trues: attributes.ints("nodes_truenodeids"),
        falses: attributes.ints("nodes_falsenodeids"),
        values: attributes.floats("nodes_values"),
        missing_true: attributes.ints("nodes_missing_value_tracks_true"),
        modes: modes.iter().map(|mode| mode.text()).collect::<Result<_, _>>()?,
    };
    let count = columns.nodes.len();
    let lengths = [
        columns.trees.len(),
        columns.features.len(),
        columns.trues.len(),
        columns.falses.len(),
        columns.values.len(),
        columns.modes.len(),
    ];
    let missing = columns.missing_true.len();
    if lengths != [count; 6] || (missing != count && missing != 0) {
        return Err(attributes.fault("nodes_nodeids", "the arrays of nodes differ in length"));
    }
    match count {
        0 => Err(attributes.fault("nodes_nodeids", "the model holds no trees")),
        _ => Ok(columns),
    }
}

/// Trees in the order their ids first appear, nodes in the order of the file; and how many nodes each tree has.
fn places(attributes: &Attributes<'_, '_>, columns: &Columns<'_>) -> Result<(Places, Vec<u32>), FormatError> {
    let mut numbers: HashMap<i64, usize> = HashMap::new();
    let mut sizes: Vec<u32> = Vec::new();
    let mut places = Places::with_capacity(columns.nodes.len());
    for (&tree, &node) in columns.trees.iter().zip(columns.nodes) {
        let next = sizes.len();
        let number = *numbers.entry(tree).or_insert(next);
        if number == next {
            sizes.push(0);
        }
        if sizes.len() > TREES_MAX {
            return Err(attributes.fault("nodes_treeids", format!("more trees than the {TREES_MAX} accepted")));
        }
        let place = (number, sizes[number]);
        sizes[number] += 1;
        if places.insert((tree, node), place).is_some() {
            return Err(attributes.fault("nodes_nodeids", format!("tree {tree} has node {node} twice")));
        }
    }
    Ok((places, sizes))
}

/// Moves each tree's root to its first place, by swapping the two.
fn order(
    attributes: &Attributes<'_, '_>,
    columns: &Columns<'_>,
    mut places: Places,
    sizes: &[u32],
) -> Result<Places, FormatError> {
    let mut is_child: Vec<Vec<bool>> = sizes.iter().map(|&size| vec![false; size as usize]).collect();
    for index in 0..columns.nodes.len() {
        if columns.modes[index] == "LEAF" {
            continue;
        }
        for child in [columns.trues[index], columns.falses[index]] {
            let Some(&(tree, node)) = places.get(&(columns.trees[index], child)) else {
                let message = format!("tree {} has no node {child}", columns.trees[index]);
                return Err(attributes.fault(&format!("nodes_truenodeids[{index}]"), message));
            };
            is_child[tree][node as usize] = true;
        }
    }
    let mut roots = Vec::with_capacity(sizes.len());
    for (tree, is_child) in is_child.iter().enumerate() {
        let Some(root) = is_child.iter().position(|&is_child| !is_child) else {
            return Err(attributes.fault(
                "nodes_truenodeids",
                format!("tree {tree} has no root: its nodes form a circle"),
            ));
        };
        roots.push(u32::try_from(root).unwrap_or(u32::MAX));
    }
    for (tree, node) in places.values_mut() {
        let root = roots[*tree];
        match *node {
            0 => *node = root,
            other if other == root => *node = 0,
            _ => {}
        }
    }
    Ok(places)
}

fn place(order: &Places, columns: &Columns<'_>, index: usize) -> (usize, u32) {
    let id = (columns.trees[index], columns.nodes[index]);
    order.get(&id).copied().unwrap_or_default()
}

fn comparison(columns: &Columns<'_>) -> Comparison {
    match columns
        .modes
        .iter()
        .any(|mode| matches!(*mode, "BRANCH_LT" | "BRANCH_GTE"))
    {
        true => Comparison::Less,
        false => Comparison::LessOrEqual,
    }
}

/// A branch of the file, to become a node.
struct Splitter<'s, 'n, 'b> {
    attributes: &'s Attributes<'n, 'b>,
    columns: &'s Columns<'n>,
    order: &'s Places,
    index: usize,
}

impl Splitter<'_, '_, '_> {
    fn fault(&self, name: &str, message: String) -> FormatError {
        self.attributes.fault(&format!("{name}[{}]", self.index), message)
    }

    fn feature(&self) -> Result<u32, FormatError> {
        let feature = self.columns.features[self.index];
        u32::try_from(feature).map_err(|_| self.fault("nodes_featureids", format!("{feature} is no feature")))
    }

    /// The number of a child, which [`order`] has seen.
    fn child(&self, id: i64) -> u32 {
        let place = self.order.get(&(self.columns.trees[self.index], id));
        place.map(|&(_, node)| node).unwrap_or_default()
    }

    fn number(&self, feature: u32, comparison: Comparison, precision: Precision) -> Result<Node, FormatError> {
        let (columns, index) = (self.columns, self.index);
        let (value, mode) = (columns.values[index], columns.modes[index]);
        let (threshold, is_swapped) = match (mode, comparison) {
            ("BRANCH_LT", _) | ("BRANCH_LEQ", Comparison::LessOrEqual) => (value, false),
            ("BRANCH_GTE", _) | ("BRANCH_GT", Comparison::LessOrEqual) => (value, true),
            ("BRANCH_LEQ" | "BRANCH_GT", Comparison::Less) if value < f64::INFINITY => {
                (super::super::next_up(value, precision), mode == "BRANCH_GT")
            }
            _ => {
                let mode = shortened(mode);
                return Err(self.fault("nodes_modes", format!("{mode:?} with {value} is not accepted")));
            }
        };
        let (when_true, when_false) = (self.child(columns.trues[index]), self.child(columns.falses[index]));
        Ok(Node::Number {
            feature,
            threshold,
            missing_left: columns.tracks_missing(index) != is_swapped,
            zero_is_missing: false,
            left: if is_swapped { when_false } else { when_true },
            right: if is_swapped { when_true } else { when_false },
        })
    }

    /// Equal goes right. NaN is not equal to anything, so `BRANCH_NEQ` holds for it with any value that it tracks.
    fn equality(&self, feature: u32, chain: Option<&Chain>, tree: &mut Tree) -> Result<Node, FormatError> {
        let (columns, index) = (self.columns, self.index);
        let links = chain.map_or(std::slice::from_ref(&index), |chain| chain.links.as_slice());
        let mut codes = Vec::with_capacity(links.len());
        for &link in links {
            let value = columns.values[link];
            let code = code(value).ok_or_else(|| {
                let mode = columns.modes[link];
                let message = format!("{mode} is accepted for whole numbers from 0 to 2^24 - 1, not {value}");
                self.fault("nodes_values", message)
            })?;
            codes.push(code);
        }
        codes.sort_unstable();
        codes.dedup();
        let narrow = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let (first, count) = (narrow(tree.categories.len()), narrow(codes.len()));
        tree.categories.extend(codes);
        let is_equal = columns.is_equality(index);
        let when_true = self.child(columns.trues[index]);
        let when_false = self.child(chain.map_or(columns.falses[index], |chain| chain.when_false));
        Ok(Node::Category {
            feature,
            first,
            count,
            missing_left: !is_equal || !columns.tracks_missing(index),
            left: if is_equal { when_false } else { when_true },
            right: if is_equal { when_true } else { when_false },
        })
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the range is checked first"
)]
fn code(value: f64) -> Option<u32> {
    let is_code = (0.0..f64::from(CATEGORY_END)).contains(&value) && value.fract() == 0.0;
    is_code.then_some(value as u32)
}

/// Gives leaves their values. Leaves without any add nothing.
fn add_weights(
    attributes: &Attributes<'_, '_>,
    weights: &Weights,
    order: &Places,
    (outputs, widened_max): (usize, usize),
    is_binary: bool,
    trees: &mut [Tree],
) -> Result<(), FormatError> {
    let fault = |index: usize, message: String| attributes.fault(&format!("{}_ids[{index}]", weights.prefix), message);
    let mut is_set = HashSet::new();
    if outputs > 1 && !is_binary {
        widen(attributes, &several(weights, order, trees), outputs, widened_max, trees)?;
    }
    for (index, &value) in weights.values.iter().enumerate() {
        let output = if is_binary { 0 } else { weights.outputs[index] };
        let output = usize::try_from(output).ok().filter(|&output| output < outputs);
        let output = output.ok_or_else(|| fault(index, format!("an output from 0 to {} is accepted", outputs - 1)))?;
        let id = (weights.trees[index], weights.nodes[index]);
        let Some(&(tree, node)) = order.get(&id) else {
            return Err(fault(index, format!("tree {} has no node {}", id.0, id.1)));
        };
        if !is_set.insert((tree, node, output)) {
            return Err(fault(index, format!("node {} has two weights for one output", id.1)));
        }
        let tree = &mut trees[tree];
        match tree.nodes.get_mut(node as usize) {
            Some(Node::Leaf { value: slot }) => {
                *slot = value;
                tree.output = u32::try_from(output).unwrap_or(u32::MAX);
            }
            Some(Node::Vector { first }) => tree.vectors[*first as usize + output] = value,
            _ => return Err(fault(index, format!("node {} is no leaf", id.1))),
        }
    }
    Ok(())
}

/// Whether each tree adds to several outputs. One that adds to a single output stays as it is: onnxruntime's sums are
/// the same either way.
fn several(weights: &Weights, order: &Places, trees: &[Tree]) -> Vec<bool> {
    let mut first: Vec<Option<i64>> = vec![None; trees.len()];
    let mut several = vec![false; trees.len()];
    for (index, &output) in weights.outputs.iter().enumerate() {
        if let Some(&(tree, _)) = order.get(&(weights.trees[index], weights.nodes[index])) {
            several[tree] |= *first[tree].get_or_insert(output) != output;
        }
    }
    several
}

/// Makes every leaf of these trees a vector of zeros.
fn widen(
    attributes: &Attributes<'_, '_>,
    several: &[bool],
    outputs: usize,
    widened_max: usize,
    trees: &mut [Tree],
) -> Result<(), FormatError> {
    let mut total = 0usize;
    for (tree, _) in trees.iter_mut().zip(several).filter(|(_, several)| **several) {
        for node in &mut tree.nodes {
            if !matches!(node, Node::Leaf { .. }) {
                continue;
            }
            total += outputs;
            if total > widened_max {
                return Err(attributes.fault("nodes_modes", format!("leaves hold more than {widened_max} values")));
            }
            let first = u32::try_from(tree.vectors.len()).unwrap_or(u32::MAX);
            tree.vectors.resize(tree.vectors.len() + outputs, 0.0);
            *node = Node::Vector { first };
        }
    }
    Ok(())
}
