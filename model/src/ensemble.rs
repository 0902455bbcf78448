//! The one shape every format is read into, and the proof that it is sound.
//!
//! [`Ensemble::try_new`] is the only door, so a value is a valid one: every tree is a tree (each node reached from the
//! root once), every feature has a column, every number that must be finite is. Kernels rely on that and check nothing.
//!
//! Node numbers are the file's, so that an error here and a leaf index later mean the same node as in the library.

use std::ops::Range;

use crate::limits::{CATEGORY_END, NODES_MAX, OUTPUTS_MAX, TREE_NODES_MAX, TREES_MAX};
use crate::objective::Objective;
use crate::schema::Schema;

/// The arithmetic of margins and predictions, which is the training library's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// `f32` rows, thresholds, leaves and sums: XGBoost.
    F32,
    /// `f64` throughout: LightGBM, CatBoost.
    F64,
}

/// When a number goes left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `value < threshold`: XGBoost.
    Less,
    /// `value <= threshold`: LightGBM.
    LessOrEqual,
}

/// Which trees make the prediction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Trees {
    /// Every tree, as XGBoost's `Booster.predict` does.
    #[default]
    All,
    /// Those of iterations 0 to `best_iteration`, as XGBoost's scikit-learn wrapper does after early stopping.
    Best,
}

/// One node of a tree. Children are node numbers of the same tree.
#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    /// Where a row ends.
    Leaf {
        /// What it adds to its tree's output: finite, and an `f32` when the precision is.
        value: f64,
    },
    /// A comparison with a threshold.
    Number {
        /// Column.
        feature: u32,
        /// Not NaN; infinities are accepted, as XGBoost compares with them like with any number.
        threshold: f64,
        /// Where NaN goes.
        missing_left: bool,
        /// Child when the comparison holds.
        left: u32,
        /// Child when it does not.
        right: u32,
    },
    /// A look-up of a category's code: listed codes go right, all others left, codes that are none included.
    Category {
        /// Column.
        feature: u32,
        /// First of its codes in [`Tree::categories`].
        first: u32,
        /// How many codes, at least one; strictly increasing and below [`CATEGORY_END`].
        count: u32,
        /// Where NaN goes.
        missing_left: bool,
        /// Child of codes that are not listed.
        left: u32,
        /// Child of codes that are.
        right: u32,
    },
    /// A number that XGBoost's pruner left unused. Nothing points at it.
    Removed,
}

/// One tree. Node 0 is the root.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Tree {
    /// Nodes by the file's number.
    pub nodes: Vec<Node>,
    /// Category codes of all its nodes.
    pub categories: Vec<u32>,
    /// Which margin its leaves add to.
    pub output: u32,
}

impl Tree {
    /// The codes of a category node. Empty for a range that is out of bounds.
    #[must_use]
    pub fn codes(&self, first: u32, count: u32) -> &[u32] {
        let range: Range<usize> = first as usize..(first as usize).saturating_add(count as usize);
        self.categories.get(range).unwrap_or_default()
    }
}

/// What a reader gathers. Public fields: it proves nothing until [`Ensemble::try_new`] has seen it.
#[derive(Debug, Clone, PartialEq)]
pub struct Parts {
    /// What the file was, for people: `XGBoost JSON`.
    pub format: &'static str,
    /// Arithmetic.
    pub precision: Precision,
    /// When a number goes left.
    pub comparison: Comparison,
    /// Features.
    pub schema: Schema,
    /// Margin to prediction.
    pub objective: Objective,
    /// What each margin starts at: its length is the number of outputs.
    pub base_margins: Vec<f64>,
    /// All trees, in the order their leaves are added.
    pub trees: Vec<Tree>,
    /// For each boosting iteration, how many trees there are up to its end.
    pub iteration_ends: Vec<u32>,
    /// The iteration early stopping chose, as the file has it: it may name one the file does not hold.
    pub best_iteration: Option<u64>,
    /// What a reader wants said at load.
    pub notes: Vec<String>,
}

/// A model that can be evaluated: see the head of this file.
#[derive(Debug, Clone, PartialEq)]
pub struct Ensemble {
    parts: Parts,
    node_count: usize,
}

/// What is wrong with one node.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum NodeFault {
    /// A child number beyond the tree's nodes.
    #[error("its {side} child is {child}, but the tree's nodes are 0 to {last}")]
    Child {
        /// `left` or `right`.
        side: &'static str,
        /// The number.
        child: u32,
        /// The largest accepted.
        last: usize,
    },
    /// Reached twice from the root: a cycle, or a node with two parents.
    #[error("it is the child of two nodes, or its own ancestor: each node but the root has one parent")]
    Parent,
    /// Never reached from the root.
    #[error("no path from the root leads to it, and it is not marked as removed")]
    Unreachable,
    /// A path leads to a node that is marked as removed.
    #[error("it is marked as removed, but it is the child of a node")]
    Removed,
    /// A column beyond the schema.
    #[error("it splits on feature {feature}, but the model has {features} features")]
    Feature {
        /// The column.
        feature: u32,
        /// Columns of the model.
        features: usize,
    },
    /// A threshold that no value is below.
    #[error("its threshold (split condition) is NaN")]
    Threshold,
    /// A leaf that would spoil every sum.
    #[error("its leaf value is {value}: leaves are finite")]
    Leaf {
        /// The value.
        value: f64,
    },
    /// A number that the precision does not have.
    #[error("{value} is not a 32-bit float")]
    Wide {
        /// The number.
        value: f64,
    },
    /// Category codes that are out of range, unordered or none.
    #[error("its categories are not increasing codes from 0 to {}", CATEGORY_END - 1)]
    Categories,
}

/// Why parts make no ensemble.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum EnsembleError {
    /// A node.
    #[error("tree {tree}, node {node}: {fault}")]
    Node {
        /// Which tree, from 0.
        tree: usize,
        /// Which node, as the file numbers it.
        node: usize,
        /// What is wrong.
        fault: NodeFault,
    },
    /// A tree without nodes.
    #[error("tree {tree} has no nodes")]
    EmptyTree {
        /// Which tree, from 0.
        tree: usize,
    },
    /// A tree that adds to a margin the model does not have.
    #[error("tree {tree} adds to output {output}, but the model has {outputs} outputs (classes, targets)")]
    Output {
        /// Which tree, from 0.
        tree: usize,
        /// Its output.
        output: u32,
        /// Outputs of the model.
        outputs: usize,
    },
    /// A margin that would spoil every sum.
    #[error("the margin of output {output} starts at {value}, which is no finite number of the model's precision")]
    BaseMargin {
        /// Which output, from 0.
        output: usize,
        /// Its start.
        value: f64,
    },
    /// A count beyond its limit.
    #[error("{count} {what} are outside the accepted {least} to {most}")]
    Count {
        /// What is counted.
        what: &'static str,
        /// How many the file has.
        count: usize,
        /// The least accepted.
        least: usize,
        /// The most accepted.
        most: usize,
    },
    /// Iterations that do not divide the trees.
    #[error("iteration {iteration} ends at tree {end}: ends never fall, and the last is the number of trees ({trees})")]
    Iterations {
        /// Which iteration, from 0.
        iteration: usize,
        /// Where it ends.
        end: u32,
        /// Trees of the model.
        trees: usize,
    },
}

/// Why the best trees cannot be chosen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BestError {
    /// The model was not stopped early, or the attribute was not saved.
    #[error("the model file has no best_iteration: choose all trees, or train with early stopping")]
    Absent,
    /// The attribute names an iteration the file does not hold.
    #[error("the model file's best_iteration is {best}, but it holds {iterations} iterations")]
    Beyond {
        /// The attribute.
        best: u64,
        /// Iterations in the file.
        iterations: usize,
    },
}

impl Ensemble {
    /// Checks everything a kernel relies on.
    ///
    /// # Errors
    /// The first fault, with its tree and node.
    pub fn try_new(parts: Parts) -> Result<Self, EnsembleError> {
        count("trees", parts.trees.len(), 0, TREES_MAX)?;
        count("outputs", parts.base_margins.len(), 1, OUTPUTS_MAX)?;
        for (output, &value) in parts.base_margins.iter().enumerate() {
            if !value.is_finite() || !fits(parts.precision, value) {
                return Err(EnsembleError::BaseMargin { output, value });
            }
        }
        let node_count = parts.trees.iter().map(|tree| tree.nodes.len()).sum();
        count("nodes", node_count, 0, NODES_MAX)?;
        let mut reached = Vec::new();
        for (number, tree) in parts.trees.iter().enumerate() {
            check_tree(&parts, number, tree, &mut reached)?;
        }
        check_iterations(&parts.iteration_ends, parts.trees.len())?;
        Ok(Self { parts, node_count })
    }

    /// What the file was, for people.
    #[must_use]
    pub fn format(&self) -> &'static str {
        self.parts.format
    }

    /// Arithmetic of margins and predictions.
    #[must_use]
    pub fn precision(&self) -> Precision {
        self.parts.precision
    }

    /// When a number goes left.
    #[must_use]
    pub fn comparison(&self) -> Comparison {
        self.parts.comparison
    }

    /// Features.
    #[must_use]
    pub fn schema(&self) -> &Schema {
        &self.parts.schema
    }

    /// Margin to prediction.
    #[must_use]
    pub fn objective(&self) -> &Objective {
        &self.parts.objective
    }

    /// What each margin starts at; finite, one for each output.
    #[must_use]
    pub fn base_margins(&self) -> &[f64] {
        &self.parts.base_margins
    }

    /// All trees, in the order their leaves are added.
    #[must_use]
    pub fn trees(&self) -> &[Tree] {
        &self.parts.trees
    }

    /// Nodes of all trees, removed ones included.
    #[must_use]
    pub fn node_count(&self) -> usize {
        self.node_count
    }

    /// Boosting iterations.
    #[must_use]
    pub fn iterations(&self) -> usize {
        self.parts.iteration_ends.len()
    }

    /// The iteration early stopping chose, as the file has it.
    #[must_use]
    pub fn best_iteration(&self) -> Option<u64> {
        self.parts.best_iteration
    }

    /// What the reader wants said at load.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.parts.notes
    }

    /// How many trees, from the first, a choice means.
    ///
    /// # Errors
    /// `Best` of a file that has no `best_iteration`, or one that it does not hold.
    pub fn tree_limit(&self, trees: Trees) -> Result<usize, BestError> {
        if trees == Trees::All {
            return Ok(self.parts.trees.len());
        }
        let best = self.parts.best_iteration.ok_or(BestError::Absent)?;
        let end = usize::try_from(best)
            .ok()
            .and_then(|best| self.parts.iteration_ends.get(best));
        end.map(|&end| end as usize).ok_or(BestError::Beyond {
            best,
            iterations: self.iterations(),
        })
    }

    /// Bytes the trees hold.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let tree = |tree: &Tree| size_of_val(tree.nodes.as_slice()) + size_of_val(tree.categories.as_slice());
        size_of_val(self.parts.trees.as_slice()) + self.parts.trees.iter().map(tree).sum::<usize>()
    }

    pub(crate) fn into_schema(self) -> (Schema, Objective) {
        (self.parts.schema, self.parts.objective)
    }
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

fn check_tree(parts: &Parts, number: usize, tree: &Tree, reached: &mut Vec<bool>) -> Result<(), EnsembleError> {
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
        let Some(children) = children(node) else { continue };
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
    check_reach(tree, reached).map_err(|(node, fault)| at(node, fault))
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
            node => open.extend(children(node).into_iter().flatten()),
        }
    }
    let strays = tree
        .nodes
        .iter()
        .zip(reached.iter())
        .position(|(node, &seen)| !seen && *node != Node::Removed);
    strays.map_or(Ok(()), |node| Err((node, NodeFault::Unreachable)))
}

fn children(node: &Node) -> Option<[u32; 2]> {
    match *node {
        Node::Number { left, right, .. } | Node::Category { left, right, .. } => Some([left, right]),
        Node::Leaf { .. } | Node::Removed => None,
    }
}

fn check_node(parts: &Parts, tree: &Tree, node: &Node) -> Result<(), NodeFault> {
    let features = parts.schema.len();
    let column = |feature: u32| match (feature as usize) < features {
        true => Ok(()),
        false => Err(NodeFault::Feature { feature, features }),
    };
    let number = |value: f64| match fits(parts.precision, value) {
        true => Ok(()),
        false => Err(NodeFault::Wide { value }),
    };
    match *node {
        Node::Leaf { value } if !value.is_finite() => Err(NodeFault::Leaf { value }),
        Node::Leaf { value } => number(value),
        Node::Number { threshold, .. } if threshold.is_nan() => Err(NodeFault::Threshold),
        Node::Number { feature, threshold, .. } => column(feature).and(number(threshold)),
        Node::Category {
            feature, first, count, ..
        } => {
            column(feature)?;
            let codes = tree.codes(first, count);
            let increasing = codes.windows(2).all(|pair| pair[0] < pair[1]);
            let in_range = codes.last().is_some_and(|&last| last < CATEGORY_END);
            if increasing && in_range {
                Ok(())
            } else {
                Err(NodeFault::Categories)
            }
        }
        Node::Removed => Ok(()),
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
