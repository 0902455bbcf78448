//! Why a model's rows get their margins: the way from a [`Model`] to its [`Explainer`].

use super::Model;
use crate::ensemble::ExplainError;
use crate::explain::{Explainer, ExplainerError, Rules};
use crate::kernel::KernelChoice;

impl Model {
    /// Whether scores can be explained.
    ///
    /// # Errors
    /// Why not.
    pub fn explainable(&self) -> Result<(), ExplainError> {
        self.explained.as_ref().map(|_| ()).map_err(Clone::clone)
    }

    /// What explains the model's scores. Making it takes as long as loading the model, and memory of its own.
    ///
    /// # Errors
    /// The model cannot be explained, or the CPU lacks what the kernel needs.
    pub fn explainer(&self, kernel: KernelChoice) -> Result<Explainer, ExplainerError> {
        let (ensemble, tree_limit) = self.explained.as_ref().map_err(Clone::clone)?;
        let rules = Rules {
            input: self.input,
            markers: self.schema.markers(),
            finish: &self.finish,
        };
        Explainer::new(ensemble, *tree_limit, kernel, &rules)
    }
}
