//! The one structure into which every format is read, and the checks that it is valid.
//!
//! [`Ensemble::try_new`] is the only constructor, so every value is valid: every tree is a tree (each node reached from
//! the root once), every feature has a column, every number that must be finite is. Kernels rely on that and check
//! nothing.
//!
//! Node numbers are the file's, so that an error here and a leaf index later mean the same node as in the library.

mod check;
mod covers;
mod fault;
mod packed;
mod parting;
mod rules;
mod shares;
mod tree;

pub use covers::ExplainError;
pub use fault::{BestError, EnsembleError, NodeFault};
pub(crate) use packed::PackedEnsemble;
pub use parting::Parting;
pub use rules::{Codes, Comparison, FLUSHED_TO_ZERO, Finish, Input, Linear, Precision};
pub use tree::{Node, Term, Tree};

use crate::objective::Objective;
use crate::schema::{Schema, SchemaError};

/// Which trees make the prediction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Trees {
    /// Every tree, as XGBoost's `Booster.predict` does.
    #[default]
    All,
    /// Those of iterations 0 to `best_iteration`, as XGBoost's scikit-learn wrapper does after early stopping.
    Best,
}

/// What a reader gathers. Public fields: it proves nothing until [`Ensemble::try_new`] has seen it.
#[derive(Debug, Clone, PartialEq)]
pub struct EnsembleParts {
    /// What the file was, for people: `XGBoost JSON`.
    pub format: &'static str,
    /// What wrote it, for people, as far as the file says: `XGBoost 3.2.0`.
    pub written_by: Option<String>,
    /// Arithmetic.
    pub precision: Precision,
    /// When a number goes left.
    pub comparison: Comparison,
    /// How a row's values are read.
    pub input: Input,
    /// Which values are category codes.
    pub codes: Codes,
    /// Features.
    pub schema: Schema,
    /// Margin to prediction.
    pub objective: Objective,
    /// What each margin starts at: its length is the number of outputs.
    pub base_margins: Vec<f64>,
    /// All trees, in the order their leaves are added.
    pub trees: Vec<Tree>,
    /// What happens to the sums.
    pub finish: Finish,
    /// A linear model, which has no trees.
    pub linear: Option<Linear>,
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
    parts: EnsembleParts,
    node_count: usize,
    explainable: Result<(), ExplainError>,
}

impl Ensemble {
    /// Checks everything a kernel relies on.
    ///
    /// # Errors
    /// The first fault, with its tree and node.
    pub fn try_new(mut parts: EnsembleParts) -> Result<Self, EnsembleError> {
        let node_count = check::node_count(&parts)?;
        if shares::are_shares(&parts) {
            parts.objective = parts.objective.of_shares();
        }
        let explainable = covers::check(&parts);
        Ok(Self {
            parts,
            node_count,
            explainable,
        })
    }

    /// What the file was, for people.
    #[must_use]
    pub fn format(&self) -> &'static str {
        self.parts.format
    }

    /// What wrote the file, for people, as far as it says.
    #[must_use]
    pub fn written_by(&self) -> Option<&str> {
        self.parts.written_by.as_deref()
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

    /// How a row's values are read.
    #[must_use]
    pub fn input(&self) -> Input {
        self.parts.input
    }

    /// Which values are category codes.
    #[must_use]
    pub fn codes(&self) -> Codes {
        self.parts.codes
    }

    /// What happens to the sums.
    #[must_use]
    pub fn finish(&self) -> &Finish {
        &self.parts.finish
    }

    /// The linear model, if it is one.
    #[must_use]
    pub fn linear(&self) -> Option<&Linear> {
        self.parts.linear.as_ref()
    }

    /// Features.
    #[must_use]
    pub fn schema(&self) -> &Schema {
        &self.parts.schema
    }

    /// Gives the features names, as many as there are.
    ///
    /// # Errors
    /// Names that no schema takes.
    pub(crate) fn rename_features(&mut self, names: &[String]) -> Result<(), SchemaError> {
        self.parts.schema.rename(names)
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

    /// Whether predictions can be explained, which asks for more than scoring does.
    ///
    /// # Errors
    /// Why not.
    pub fn explainable(&self) -> Result<(), ExplainError> {
        self.explainable.clone()
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
        // XGBoost's wrapper has no iterations to choose from in a linear booster and uses all of it.
        if trees == Trees::All || self.parts.linear.is_some() {
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
        let tree = |tree: &Tree| {
            size_of_val(tree.nodes.as_slice())
                + size_of_val(tree.categories.as_slice())
                + size_of_val(tree.vectors.as_slice())
                + size_of_val(tree.terms.as_slice())
                + size_of_val(tree.gains.as_slice())
                + size_of_val(tree.covers.as_slice())
        };
        let linear = self.parts.linear.as_ref();
        size_of_val(self.parts.trees.as_slice())
            + self.parts.trees.iter().map(tree).sum::<usize>()
            + linear.map_or(0, |linear| size_of_val(linear.weights.as_slice()))
    }
}
