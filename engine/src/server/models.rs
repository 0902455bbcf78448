//! The models of a server: one from a file, or those of a store.

use std::sync::Arc;

use quintile_scoring::loaded::LoadedModel;

use super::parts::{self, ModelNumbers, SpoolSize};
use super::{ServeError, announce};
use crate::config::Settings;
use crate::limits::SHARDS_MAX;
use crate::models::{
    FolderStore, Manager, ModelStore, ModelVersion, ModelsHandle, Registry, SlotNumbers, StoreStartError,
};
use crate::record::frame_bytes_max;
use crate::side::{S3ModelStore, ShadowSetup};
use crate::spool::{Spool, Writer};
use crate::topology::{self, Topology};

/// Outputs and features that records of a store's models have room for, whatever comes later. One with more is refused,
/// and says so.
const OUTPUTS_READY: usize = 64;
const FEATURES_READY: usize = 4_096;

/// Where the models come from; nothing is served yet.
#[derive(Debug)]
pub(crate) enum ModelSource {
    /// One, from a file, or the embedded demo where none is named.
    Single {
        /// The model.
        loaded: Box<LoadedModel>,
        /// Whether a file is named.
        is_named: bool,
    },
    /// All of a store.
    Store(Box<Manager>),
}

impl ModelOwner {
    /// The way to the manager, if there is one.
    pub(super) fn handle(&self) -> Option<ModelsHandle> {
        match self {
            Self::Store(manager) => Some(manager.handle()),
            _ => None,
        }
    }

    /// What shadows are made of: a store, and records to read.
    pub(super) fn shadow(
        &self,
        settings: &Settings,
        (spool, writer): (Option<&Spool>, Option<Writer>),
        (number, nonce): (usize, u64),
    ) -> Option<ShadowSetup> {
        Some(ShadowSetup {
            models: self.handle()?,
            observer: spool?.observer(),
            writer: writer?,
            // Ids have room for so many writers; beyond them the nonce alone tells them apart.
            number: u16::try_from(number.min(SHARDS_MAX - 1)).ok()?,
            nonce,
            rollback: settings.models.rollback,
        })
    }
}

/// Whose the models are while the server runs.
#[derive(Debug)]
pub(super) enum ModelOwner {
    /// The one model that a reload replaces, and the slots that it may have.
    Single(Arc<ModelVersion>, SlotNumbers),
    /// A manager, until its thread has started.
    Store(Box<Manager>),
    /// A manager's thread.
    Thread,
}

impl ModelSource {
    /// Loads the model of `model.path`, or looks at the store.
    pub(super) fn open(settings: &Settings) -> Result<Self, ServeError> {
        let Some(store) = &settings.models.store else {
            let loaded = parts::load(settings)?;
            parts::make_ready(&loaded, settings);
            return Ok(Self::Single {
                loaded: Box::new(loaded),
                is_named: settings.model.is_some(),
            });
        };
        let models = settings.models.clone().with_poll(!settings.records.sinks.is_empty());
        let models = models.explained(settings.scoring.explain > 0);
        let own = settings.records.data_dir.join("models");
        let store: Box<dyn ModelStore> = if models.is_s3() {
            let opened = S3ModelStore::open(store, &settings.aws, own.join("s3"));
            Box::new(opened.map_err(StoreStartError::from)?)
        } else {
            Box::new(FolderStore::new(store.into(), own))
        };
        let manager = Manager::open(models, settings.options, store, topology::yield_to_shards)?;
        Ok(Self::Store(Box::new(manager)))
    }

    /// What the spool needs to know of the models: bytes of the largest record, and how many write records.
    pub(super) fn spool_size(&self, settings: &Settings, topology: &Topology) -> SpoolSize {
        SpoolSize {
            record_bytes_max: self.record_bytes_max(),
            // One more for what shadows score.
            writers: topology.shards + usize::from(settings.models.store.is_some()),
        }
    }

    /// Bytes of the largest record.
    fn record_bytes_max(&self) -> usize {
        match self {
            Self::Single { loaded, .. } => {
                let model = &loaded.model;
                frame_bytes_max(model.margin_len(), model.prediction_len(), model.schema().len())
            }
            Self::Store(_) => frame_bytes_max(OUTPUTS_READY, OUTPUTS_READY, FEATURES_READY),
        }
    }

    /// Loads what is to be served from the start, gives records their numbers, and makes the first registry.
    pub(super) fn begin(self, numbers: Option<&ModelNumbers>) -> Result<(Arc<Registry>, ModelOwner), ServeError> {
        match self {
            Self::Single { mut loaded, is_named } => {
                announce::model(&loaded, is_named);
                if let Some(numbers) = numbers {
                    numbers.enter(&mut loaded)?;
                }
                let mut slots = SlotNumbers::default();
                let (slot, number) = slots.take();
                let version = Arc::new(ModelVersion::alone(slot, number, *loaded));
                let registry = Arc::new(Registry::single(Arc::clone(&version)));
                Ok((registry, ModelOwner::Single(version, slots)))
            }
            Self::Store(mut manager) => {
                let numbers = numbers.cloned();
                let enter = move |loaded: &mut LoadedModel| match &numbers {
                    Some(numbers) => numbers.enter(loaded).map_err(|error| error.to_string()),
                    None => Ok(()),
                };
                let registry = manager.load_first(Arc::new(enter))?;
                for version in registry.versions() {
                    announce::model(&version.loaded, true);
                }
                Ok((registry, ModelOwner::Store(manager)))
            }
        }
    }
}
