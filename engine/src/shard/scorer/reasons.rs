//! Why a lead has its score: a shard's memory for reasons, and what it says where there are none.

use std::sync::Arc;

use quintile_model::Explainer;
use quintile_scoring::loaded::LoadedModel;
use quintile_scoring::reasons::{ReasonsRequest, ReasonsWorkspace};

use super::Scorer;
use crate::models::{ModelChoice, ModelVersion, Split};

impl Scorer {
    /// Finds the reasons of the lead that was read last.
    pub(super) fn explain(&mut self, request: ReasonsRequest) -> Result<(), UnexplainedError> {
        let loaded = &self.models.current().loaded;
        let explainer = explainer(loaded)?;
        let workspace = fitting(&mut self.reasons, loaded, explainer);
        workspace.explain(explainer, self.models.workspace.row(), request);
        Ok(())
    }

    /// All models that may score a lead.
    fn candidates<'a>(&'a self, choice: &'a ModelChoice) -> impl Iterator<Item = &'a Arc<ModelVersion>> {
        let model = match choice {
            ModelChoice::Default => Some(self.registry.default_model()),
            ModelChoice::Named(model) => Some(model),
            ModelChoice::Version(..) => None,
        };
        let arms = model
            .and_then(|model| model.split.as_ref())
            .map_or(&[][..], Split::arms);
        let first = choice.reads_first(&self.registry);
        std::iter::once(first).chain(arms.iter().map(|arm| &arm.version))
    }

    /// A model that may score a lead and for which what explains it is still to be made.
    pub(crate) fn unprepared(&self, choice: &ModelChoice) -> Option<Arc<ModelVersion>> {
        let is_unprepared = |version: &&Arc<ModelVersion>| version.loaded.explaining.get().is_none();
        self.candidates(choice).find(is_unprepared).map(Arc::clone)
    }

    /// Whether reasons can be given now, whichever of the models scores. One that cannot be explained is the current
    /// model then, for [`Self::why_not_explained`].
    pub(crate) fn explains(&mut self, choice: &ModelChoice) -> Result<(), UnexplainedError> {
        let unexplained = |version: &Arc<ModelVersion>| Some((Arc::clone(version), explainer(&version.loaded).err()?));
        let Some((version, error)) = self.candidates(choice).find_map(unexplained) else {
            return Ok(());
        };
        self.models.enter(&version);
        Err(error)
    }

    /// Why the scores of the model cannot be explained, for people.
    pub(crate) fn why_not_explained(&self) -> String {
        match self.current().loaded.explaining.get() {
            Some(Err(error)) => error.to_string(),
            _ => "this model's scores cannot be explained".to_owned(),
        }
    }
}

/// Why there are no reasons.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UnexplainedError {
    /// What explains the model is not made yet.
    NotPrepared,
    /// Nothing explains the model.
    NotExplainable,
}

/// What explains a model.
pub(super) fn explainer(loaded: &LoadedModel) -> Result<&Explainer, UnexplainedError> {
    match loaded.explaining.get() {
        None => Err(UnexplainedError::NotPrepared),
        Some(Err(_)) => Err(UnexplainedError::NotExplainable),
        Some(Ok(explainer)) => Ok(explainer),
    }
}

/// A shard's memory for reasons: made when a model is first explained here.
pub(super) fn fitting<'r>(
    reasons: &'r mut Option<Box<ReasonsWorkspace>>,
    loaded: &LoadedModel,
    explainer: &Explainer,
) -> &'r mut ReasonsWorkspace {
    if reasons.as_ref().is_some_and(|reasons| !reasons.fits(loaded)) {
        *reasons = None;
    }
    reasons.get_or_insert_with(|| Box::new(ReasonsWorkspace::new(loaded, explainer)))
}
