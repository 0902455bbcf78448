//! What is in the store, what of it should be loaded, and loading it.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{LOADS_MAX, LoadEnd, LoadOrder, Manager, Model, Version, loader};
use crate::config::models::{ModelsSettings, VersionPolicy};
use crate::models::InferenceCounts;
use crate::models::decisions::Decisions;
use crate::models::registry::ModelVersion;
use crate::models::store::{FoundVersion, StoreError};

impl Manager {
    /// The look before anything is served: a folder that is being written is looked at until it stands still.
    pub(super) fn look_first(&mut self) -> Result<(), StoreError> {
        /// Between two looks, and looks at most: the start does not wait for a copy that takes longer.
        const PAUSE: std::time::Duration = std::time::Duration::from_millis(250);
        const LOOKS_MAX: usize = 20;
        for look in 0..LOOKS_MAX {
            let found = self.store.scan()?;
            let is_still = found.iter().all(|version| version.is_still);
            if is_still || look + 1 == LOOKS_MAX {
                self.note_found(found);
                break;
            }
            std::thread::sleep(PAUSE);
        }
        self.read_decisions();
        Ok(())
    }

    /// Looks at the store, and puts into force what has changed.
    pub(super) fn look(&mut self) {
        match self.store.scan() {
            Ok(found) => {
                if std::mem::take(&mut self.look_failed) {
                    tracing::info!("the store of models can be read again");
                }
                self.note_found(found);
                self.read_decisions();
                self.settle();
            }
            Err(error) => {
                if !std::mem::replace(&mut self.look_failed, true) {
                    tracing::error!(%error, "the store of models cannot be read: what is loaded stays as it is");
                }
            }
        }
    }

    fn note_found(&mut self, found: Vec<FoundVersion>) {
        for version in self.models.values_mut().flat_map(|model| model.versions.values_mut()) {
            version.stamp = None;
        }
        for found in found {
            let model = self.models.entry(found.name).or_default();
            let version = model.versions.entry(found.version).or_default();
            (version.stamp, version.is_still) = (Some(found.stamp), found.is_still);
        }
        for model in self.models.values_mut() {
            model
                .versions
                .retain(|_, version| version.stamp.is_some() || version.ready.is_some() || version.is_loading);
        }
        let default = self.default.clone();
        self.models
            .retain(|name, model| !model.versions.is_empty() || *name == default);
    }

    /// Takes what was decided elsewhere since the last look.
    fn read_decisions(&mut self) {
        let names: Vec<String> = self.models.keys().cloned().collect();
        for name in names {
            self.read_decisions_of(&name);
        }
    }

    pub(super) fn read_decisions_of(&mut self, name: &str) {
        let read = self.store.read_state(name);
        let Some(model) = self.models.get_mut(name) else { return };
        let (revision, bytes) = match read {
            Ok(read) => read,
            Err(error) => {
                tracing::error!(model = name, %error, "what was decided about a model cannot be read");
                return;
            }
        };
        let Some(bytes) = bytes.filter(|_| revision > model.revision) else {
            return;
        };
        match Decisions::parse(&bytes) {
            Ok(decisions) => {
                model.revision = revision;
                model.decisions = decisions;
            }
            Err(error) => tracing::error!(
                model = name,
                revision,
                error,
                "what was decided about a model is no JSON of ours"
            ),
        }
    }

    /// Orders what is missing, lets go of what is too much, and puts everything into force.
    pub(super) fn settle(&mut self) {
        self.plan_loads();
        let mut has_promoted = Vec::new();
        for (name, model) in &mut self.models {
            let champion = super::champion_of(model, &self.settings);
            if champion != model.champion {
                has_promoted.push((name.clone(), model.champion, champion));
                model.champion = champion;
            }
        }
        for (name, was, now) in has_promoted {
            self.note_promotion(&name, was, now);
        }
        self.unload_unwanted();
        self.publish_all();
        self.answer_waiting();
    }

    /// Queues every version that should be loaded and is not, unless its files are those that failed.
    pub(super) fn plan_loads(&mut self) {
        for (name, model) in &self.models {
            for version in wanted(model, &self.settings) {
                let Some(known) = model.versions.get(&version) else {
                    continue;
                };
                let is_tried = (known.ready.is_some() || known.failed.is_some()) && Some(known.tried) == known.stamp;
                let key = (name.clone(), version);
                let is_under_way = known.is_loading || self.to_load.contains(&key);
                if known.stamp.is_some() && known.is_still && !is_tried && !is_under_way {
                    self.to_load.push_back(key);
                }
            }
        }
    }

    /// What the loading of a version takes.
    pub(super) fn order(&mut self, name: &str, version: u64) -> Option<LoadOrder> {
        let stamp = self.models.get(name)?.versions.get(&version)?.stamp?;
        let path = match self.store.fetch(name, version) {
            Ok(path) => path,
            Err(error) => {
                let known = self.models.get_mut(name)?.versions.get_mut(&version)?;
                (known.failed, known.tried) = (Some(error.to_string()), stamp);
                tracing::error!(model = name, version, %error, "a version of a model cannot be had");
                return None;
            }
        };
        Some(LoadOrder {
            name: name.to_owned(),
            version,
            stamp,
            path,
            options: self.options,
            bytes_max: self.settings.memory_bytes_max.saturating_sub(self.bytes()),
            is_explained: self.settings.is_explained,
        })
    }

    /// Begins loads that wait, as many as may run at once.
    pub(super) fn begin_loads(&mut self) {
        while self.loading.len() < LOADS_MAX {
            let Some((name, version)) = self.to_load.pop_front() else {
                return;
            };
            let Some(order) = self.order(&name, version) else {
                self.answer_waiting();
                continue;
            };
            tracing::info!(model = name, version, path = %order.path.display(), "loading a version of a model");
            let started = loader::start(
                order,
                Arc::clone(&self.enter),
                self.yield_to_shards,
                self.loads.0.clone(),
            );
            match started {
                Ok(()) => {
                    if let Some(known) = self.version_mut(&name, version) {
                        known.is_loading = true;
                    }
                    self.loading.insert((name, version));
                    self.tell_overview();
                }
                Err(error) => {
                    tracing::error!(model = name, version, %error, "no thread to load a model");
                    return;
                }
            }
        }
    }

    pub(super) fn version_mut(&mut self, name: &str, version: u64) -> Option<&mut Version> {
        self.models.get_mut(name)?.versions.get_mut(&version)
    }

    /// Takes what came of a load. What was loaded before under this version is let go.
    pub(super) fn take_load(&mut self, end: LoadEnd) {
        let LoadEnd {
            name,
            version,
            stamp,
            result,
        } = end;
        let is_ok = result.is_ok();
        let counted = (name.clone(), if is_ok { "ready" } else { "failed" });
        *self.load_counts.entry(counted).or_default() += 1;
        let loaded = result.map(|loaded| {
            let (slot, number) = self.slots.take();
            Arc::new(ModelVersion {
                slot,
                number,
                version: version.to_string(),
                loaded,
                counts: InferenceCounts::default(),
            })
        });
        let Some(known) = self.version_mut(&name, version) else {
            return;
        };
        (known.is_loading, known.tried) = (false, stamp);
        match loaded {
            Ok(ready) => {
                tracing::info!(
                    model = name,
                    version,
                    bytes = ready.loaded.bytes(),
                    sha256 = ready.loaded.model_sha256,
                    "a version of a model is loaded"
                );
                known.failed = None;
                let old = known.ready.replace(Arc::clone(&ready));
                self.retired.extend(old);
                self.fresh.push(ready);
            }
            Err(refusal) => {
                tracing::error!(
                    model = name,
                    version,
                    reason = refusal.reason,
                    "a version of a model is not loaded; everything else is as it was"
                );
                known.failed = Some(refusal.reason.clone());
                self.refuse_waiting(&name, version, &refusal);
            }
        }
    }

    fn unload_unwanted(&mut self) {
        for (name, model) in &mut self.models {
            let wanted = wanted(model, &self.settings);
            for (number, version) in &mut model.versions {
                if !wanted.contains(number)
                    && let Some(old) = version.ready.take()
                {
                    tracing::info!(model = name, version = number, "a version of a model is unloaded");
                    self.retired.push(old);
                }
            }
        }
    }

    /// Bytes of all plans.
    pub(super) fn bytes(&self) -> usize {
        let versions = self.models.values().flat_map(|model| model.versions.values());
        let ready = versions.filter_map(|version| version.ready.as_ref());
        let bytes = |version: &Arc<ModelVersion>| version.loaded.bytes();
        ready.map(bytes).sum::<usize>() + self.retired.iter().map(bytes).sum::<usize>()
    }
}

/// The versions that the configuration names, the lowest first.
pub(super) fn named_by(model: &Model, settings: &ModelsSettings) -> Vec<u64> {
    let there = model.versions.iter().filter(|(_, version)| version.stamp.is_some());
    let there: Vec<u64> = there.map(|(&number, _)| number).collect();
    match &settings.versions {
        VersionPolicy::All => there,
        VersionPolicy::Latest(count) => there[there.len().saturating_sub(*count)..].to_vec(),
        VersionPolicy::These(numbers) => there.into_iter().filter(|number| numbers.contains(number)).collect(),
    }
}

/// The versions that are to be loaded.
pub(super) fn wanted(model: &Model, settings: &ModelsSettings) -> BTreeSet<u64> {
    let decisions = &model.decisions;
    let mut wanted: BTreeSet<u64> = named_by(model, settings).into_iter().collect();
    wanted.extend(&decisions.loaded);
    wanted.retain(|version| !decisions.unloaded.contains(version));
    // What is in use is loaded whatever else was said.
    wanted.extend(decisions.aliases.values());
    wanted.extend(decisions.shadow.iter().map(|shadow| shadow.version));
    wanted.extend(model.champion);
    wanted.extend(
        model
            .watch
            .iter()
            .filter_map(|watch| watch.old.version.parse::<u64>().ok()),
    );
    wanted
}
