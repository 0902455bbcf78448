//! The reasons of a score: the features that move its margin most, with what each adds.
//!
//! A model's [`Explainer`] is made when it is first needed, by a thread that may take its time
//! ([`Explaining::prepare`]); until then nobody waits for it. Explaining a row and writing its reasons allocates
//! nothing once a thread's [`ReasonsWorkspace`] is there.

mod request;
#[cfg(test)]
mod tests;
mod units;
mod workspace;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use quintile_model::{Explainer, ExplainerError, KernelChoice, Model};

pub(crate) use request::count;
pub use request::{Direction, ReasonsRequest, ReasonsRequestError, ReasonsWish};
pub use units::{ReasonUnits, Unit, UnitColumns, category};
pub use workspace::ReasonsWorkspace;

/// What explains a model, once it is there.
#[derive(Debug, Default)]
pub struct Explaining {
    kernel: KernelChoice,
    is_claimed: AtomicBool,
    explainer: OnceLock<Result<Explainer, ExplainerError>>,
}

impl Explaining {
    /// Nothing yet.
    pub(crate) fn new(kernel: KernelChoice) -> Self {
        Self {
            kernel,
            ..Self::default()
        }
    }

    /// What explains the model, or why nothing does; none while it is not made.
    pub fn get(&self) -> Option<&Result<Explainer, ExplainerError>> {
        self.explainer.get()
    }

    /// Why nothing explains the model, for people.
    #[must_use]
    pub fn why_not(&self) -> String {
        match self.get() {
            Some(Err(error)) => error.to_string(),
            _ => "this model's scores cannot be explained".to_owned(),
        }
    }

    /// Whether the caller is the first to ask, and so the one that has [`Self::prepare`] called.
    pub fn claim(&self) -> bool {
        !self.is_claimed.swap(true, Ordering::Relaxed)
    }

    /// Takes [`Self::claim`] back: it could not be made.
    pub fn disclaim(&self) {
        self.is_claimed.store(false, Ordering::Relaxed);
    }

    /// Makes it, which takes as long as loading a model.
    pub fn prepare(&self, model: &Model) -> &Result<Explainer, ExplainerError> {
        self.explainer.get_or_init(|| match model.explainer(self.kernel) {
            // A kernel that was asked for and does not explain on this CPU is no reason not to explain.
            Err(ExplainerError::Kernel(_)) => model.explainer(KernelChoice::Auto),
            made => made,
        })
    }
}
