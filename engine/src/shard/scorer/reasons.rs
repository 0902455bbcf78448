//! Why a lead has its score: a shard's memory for reasons, and what it says where there are none.

use std::sync::Arc;
use std::thread;

use quintile_model::Explainer;
use quintile_scoring::loaded::LoadedModel;
use quintile_scoring::reasons::{ReasonsRequest, ReasonsWish, ReasonsWorkspace};

use super::Scorer;
use crate::limits::REASONS_BYTES_MAX;
use crate::models::{ModelChoice, ModelVersion, Split};
use crate::record::Extras;

impl Scorer {
    /// The reasons that an answer gives: as its lead says, or else its query or batch, or else the configuration.
    #[inline]
    pub(super) fn wanted(&self, of_lead: ReasonsWish, of_request: ReasonsWish) -> ReasonsRequest {
        of_lead.over(of_request).request(self.reasons_usual)
    }

    /// Whether a request demands reasons.
    pub(crate) fn must_explain(&self, of_request: ReasonsWish) -> bool {
        let wanted = self.wanted(of_request, ReasonsWish::default());
        wanted.asks() && wanted.is_demanded
    }

    /// Whether the lead that was read last, or its request, asks for reasons.
    pub(crate) fn is_asked_why(&self, of_request: ReasonsWish) -> bool {
        let wanted = self.wanted(self.workspace().wish(), of_request);
        (wanted.asks() && wanted.is_demanded) || of_request.target.is_some()
    }

    /// Scores rows that nobody sent, and records none of them: score and banded prediction of each.
    pub(crate) fn try_rows(&mut self, version: &Arc<ModelVersion>, rows: &[f64]) -> &[(Option<u8>, f64)] {
        self.models.enter(version);
        let model = &version.loaded.model;
        let tried = &mut self.tried;
        tried.clear();
        self.models
            .workspace
            .score_rows(&version.loaded, rows, |_, score, scratch| {
                tried.push((score, model.banded(scratch.predictions())));
            });
        tried
    }

    /// Finds the reasons of the lead that was read last; false where there are none and nobody has asked for any.
    pub(super) fn explain(&mut self, request: ReasonsRequest) -> Result<bool, UnexplainedError> {
        let loaded = &self.models.current().loaded;
        let Some(explainer) = explainer(loaded, request)? else {
            return Ok(false);
        };
        let workspace = fitting(&mut self.reasons, loaded, explainer);
        workspace.explain(loaded, explainer, self.models.workspace.row(), request);
        Ok(true)
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
        let request = ReasonsRequest {
            is_demanded: true,
            ..ReasonsRequest::default()
        };
        let unexplained =
            |version: &Arc<ModelVersion>| Some((Arc::clone(version), explainer(&version.loaded, request).err()?));
        let Some((version, error)) = self.candidates(choice).find_map(unexplained) else {
            return Ok(());
        };
        self.models.enter(&version);
        Err(error)
    }

    /// Why the scores of the model cannot be explained, for people.
    pub(crate) fn why_not_explained(&self) -> String {
        self.current().loaded.explaining.why_not()
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

/// Starts the thread that makes what explains a model, unless it was started before.
pub(crate) fn begin_preparing(version: &Arc<ModelVersion>) {
    if !version.loaded.explaining.claim() {
        return;
    }
    let for_thread = Arc::clone(version);
    let begun = thread::Builder::new().name("explain".into()).spawn(move || {
        for_thread.loaded.explaining.prepare(&for_thread.loaded.model);
    });
    if begun.is_err() {
        // No thread could be started: the next request that asks tries again.
        version.loaded.explaining.disclaim();
    }
}

/// What explains a model; none where nothing does and nobody has asked.
pub(super) fn explainer(loaded: &LoadedModel, request: ReasonsRequest) -> Result<Option<&Explainer>, UnexplainedError> {
    match loaded.explaining.get() {
        None => Err(UnexplainedError::NotPrepared),
        Some(Err(_)) if request.is_demanded => Err(UnexplainedError::NotExplainable),
        Some(Err(_)) => Ok(None),
        Some(Ok(explainer)) => Ok(Some(explainer)),
    }
}

/// What a record says besides, with the reasons that its answer gives: as many as it has room for.
pub(super) fn with_reasons<'r>(extras: Extras<'r>, reasons: Option<&'r mut ReasonsWorkspace>) -> Extras<'r> {
    let Some(reasons) = reasons else { return extras };
    extras
        .with_reasons(reasons.recorded(REASONS_BYTES_MAX))
        .unwrap_or(extras)
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
