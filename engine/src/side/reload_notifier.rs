//! Messages about reloads to side, for the metrics.

use std::sync::Arc;

use crossbeam_channel::Sender;

use super::counts::{Counts, SinkCounts};
use crate::models::Registry;

/// The result of a reload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Reload {
    /// Another model is served.
    Swapped,
    /// The model is as it was; settings may have changed.
    Unchanged,
    /// Something was wrong, and nothing has changed.
    Refused,
}

impl Reload {
    /// What metrics call them, by number.
    pub(super) const NAMES: [&'static str; 3] = ["swapped", "unchanged", "refused"];
}

/// Tells side.
#[derive(Debug, Clone)]
pub struct ReloadNotifier {
    pub(super) models: Sender<Arc<Registry>>,
    pub(super) shadows: Option<Sender<Arc<Registry>>>,
    pub(super) counts: Arc<Counts>,
}

impl ReloadNotifier {
    /// A notifier without a receiver.
    #[cfg(test)]
    pub(crate) fn nowhere() -> Self {
        Self {
            models: crossbeam_channel::bounded(1).0,
            shadows: None,
            counts: Arc::new(Counts::new(&[], None)),
        }
    }

    /// How many reloads came to what, as [`Reload::NAMES`].
    #[cfg(test)]
    pub(crate) fn reloads(&self) -> [u64; 3] {
        self.counts.reloads.each_ref().map(super::counts::Count::get)
    }

    /// The models that are served from now on.
    pub fn serves(&self, registry: Arc<Registry>) {
        if let Some(shadows) = &self.shadows {
            let _ = shadows.send(Arc::clone(&registry));
        }
        // When side has ended there are no metrics any more.
        let _ = self.models.send(registry);
    }

    /// How many records each sink has not delivered.
    #[must_use]
    pub fn pending(&self) -> Vec<(&'static str, u64)> {
        let of = |sink: &Arc<SinkCounts>| (sink.name, self.counts.pending(sink));
        self.counts.sinks.iter().map(of).collect()
    }

    /// A reload has ended.
    pub fn reloaded(&self, outcome: Reload) {
        self.counts.reloads[outcome as usize].add(1);
    }
}
