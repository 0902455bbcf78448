//! A shard's memory for models: one workspace, which fits the model of what was read last, and for each other model the
//! part that belongs to it. Going from one model to another moves memory and allocates nothing.

use std::sync::Arc;

use quintile_scoring::read::{ReadError, RowMemory, Workspace};

use crate::models::{ModelVersion, Registry};
use crate::shard::mailbox::RegistryChange;

/// The workspace of the current model, and the memory of all others by slot.
#[derive(Debug)]
pub(super) struct ModelSlots {
    /// The model that `workspace` fits.
    current: Arc<ModelVersion>,
    pub(super) workspace: Workspace,
    /// Memory of the models that are not the current one, by slot, and the number of the version that it fits.
    slots: Vec<Option<(u64, RowMemory)>>,
}

impl ModelSlots {
    /// Memory for all models of a registry.
    pub(super) fn new(registry: &Registry, body_bytes_max: usize) -> Self {
        let current = Arc::clone(registry.champion());
        let mut own = Self {
            workspace: Workspace::new(&current.loaded, body_bytes_max),
            current,
            slots: Vec::new(),
        };
        for version in registry.versions() {
            own.workspace.make_room(&version.loaded);
            if version.number != own.current.number {
                own.put(version.slot, Some((version.number, RowMemory::new(&version.loaded))));
            }
        }
        own
    }

    /// The model of what was read last.
    #[inline]
    pub(super) fn current(&self) -> &Arc<ModelVersion> {
        &self.current
    }

    /// The model and the workspace that fits it.
    #[inline]
    pub(super) fn parts(&mut self) -> (&Arc<ModelVersion>, &mut Workspace) {
        (&self.current, &mut self.workspace)
    }

    /// Runs the current model over the row that was read last.
    #[inline]
    pub(super) fn score(&mut self) -> Option<u8> {
        self.workspace.score(&self.current.loaded)
    }

    /// Reads a lead for the current model.
    #[inline]
    pub(super) fn read(&mut self, body: &[u8]) -> Result<(), ReadError> {
        self.workspace.read(&self.current.loaded, body)
    }

    /// Reads a plain lead for the current model.
    pub(super) fn read_plain(&mut self, body: &[u8]) -> bool {
        self.workspace.read_plain(&self.current.loaded, body)
    }

    /// Makes the workspace fit a model.
    #[inline]
    pub(super) fn enter(&mut self, version: &Arc<ModelVersion>) {
        if !Arc::ptr_eq(&self.current, version) {
            self.exchange(version);
        }
    }

    fn exchange(&mut self, version: &Arc<ModelVersion>) {
        let kept = self.slots.get_mut(version.slot).and_then(Option::take);
        let memory = match kept {
            Some((number, memory)) if number == version.number => memory,
            // A batch has kept a model that was unloaded, and its slot is empty or another model's.
            other => {
                self.put(version.slot, other);
                RowMemory::new(&version.loaded)
            }
        };
        let memory = self.workspace.exchange(memory);
        let old = std::mem::replace(&mut self.current, Arc::clone(version));
        let has_slot = self.slots.get(old.slot).is_none_or(Option::is_none);
        if has_slot {
            self.put(old.slot, Some((old.number, memory)));
        }
    }

    /// Puts memory into a slot, and hands back what was there.
    fn put(&mut self, slot: usize, memory: Option<(u64, RowMemory)>) -> Option<(u64, RowMemory)> {
        if self.slots.len() <= slot {
            self.slots.resize_with(slot + 1, || None);
        }
        std::mem::replace(&mut self.slots[slot], memory)
    }

    /// Takes memory for new models, and leaves in the change what it replaces.
    pub(super) fn take(&mut self, change: &mut RegistryChange) {
        let champion = Arc::clone(change.registry.champion());
        for (version, memory) in &mut change.memory {
            self.workspace.make_room(&version.loaded);
            *memory = self.put(version.slot, memory.take());
        }
        self.enter(&champion);
        for slot in change.emptied.drain(..) {
            if let Some(memory) = self.slots.get_mut(slot).and_then(Option::take) {
                change.freed.push(memory);
            }
        }
    }
}
