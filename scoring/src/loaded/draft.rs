//! A model under another manifest than the one beside it: for a folder that says more of it, and for who writes a
//! manifest.

use std::path::Path;

use quintile_model::{Ensemble, Manifest, Options};

use super::{LoadError, LoadedModel};

/// A change of a manifest that depends on the trees.
type ChangeFn<'c> = dyn Fn(&mut Manifest, &Ensemble) + 'c;

/// What is changed in a manifest before the model is built.
#[derive(Clone, Copy)]
pub(super) struct ManifestChange<'c> {
    /// What counts where the manifest is silent.
    says: Option<&'c Manifest>,
    change: Option<&'c ChangeFn<'c>>,
}

impl<'c> ManifestChange<'c> {
    /// The manifest as it is.
    pub(super) const NONE: Self = Self {
        says: None,
        change: None,
    };

    /// The same, with what a folder says where the manifest is silent.
    pub(super) fn with(self, says: &'c Manifest) -> Self {
        Self {
            says: Some(says),
            ..self
        }
    }

    pub(super) fn apply(self, manifest: Manifest, ensemble: &Ensemble) -> Manifest {
        let mut manifest = match self.says {
            Some(says) => manifest.over(says.clone()),
            None => manifest,
        };
        if let Some(change) = self.change {
            change(&mut manifest, ensemble);
        }
        manifest
    }
}

impl LoadedModel {
    /// Loads a model whose manifest is about to be written: `change` makes of the one beside it what is to count.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn load_changed(
        path: &Path,
        options: Options,
        change: &dyn Fn(&mut Manifest, &Ensemble),
    ) -> Result<Self, LoadError> {
        let change = ManifestChange {
            says: None,
            change: Some(change),
        };
        Self::of_path(path, change, options, 0)
    }
}
