//! Why parts make no valid ensemble: one error for each kind of mistake, with the tree, the node and the numbers that
//! matter.

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
    /// Category codes that are out of range or unordered.
    #[error("its categories are not increasing codes from 0 to {last}")]
    Categories {
        /// The largest accepted.
        last: u32,
    },
    /// A vector leaf without a value for each output.
    #[error("its leaf vector does not hold a value for each of {outputs} outputs")]
    Vector {
        /// Outputs of the model.
        outputs: usize,
    },
    /// A linear leaf whose terms are not there.
    #[error("the terms of its linear leaf are not all there")]
    Terms,
    /// A leaf unlike the others.
    #[error("it is a leaf of another kind than the tree's first")]
    Kind,
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
    /// What follows the sum would spoil it.
    #[error("sums are divided, scaled or shifted by {value}: such numbers are finite")]
    Finish {
        /// The number.
        value: f64,
    },
    /// A weight of a linear model that would spoil every sum.
    #[error("weight {index} of the linear model is {value}: weights are finite")]
    Weight {
        /// Which weight, from 0.
        index: usize,
        /// Its value.
        value: f32,
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
