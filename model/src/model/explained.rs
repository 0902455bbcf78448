//! Why a model's rows get their margins: the way from a [`Model`] to its [`Explainer`].

use std::sync::Arc;

use super::Model;
use crate::ensemble::{ExplainError, PackedEnsemble};
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
        let ensemble = Arc::new(self.explained.as_ref().map_err(Clone::clone)?.unpack()?);
        let rules = Rules {
            input: self.input,
            markers: self.schema.markers(),
            finish: &self.finish,
        };
        Explainer::new(&ensemble, ensemble.trees().len(), kernel, &rules)
    }

    /// Bytes that the model keeps so that it can be explained.
    #[must_use]
    pub fn explained_bytes(&self) -> usize {
        self.explained.as_ref().map_or(0, PackedEnsemble::bytes)
    }
}
