//! Gives other models to the shards, and knows when each has taken them.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{RecvTimeoutError, bounded};

use super::signals::Lifecycle;
use crate::accept::ShardEntry;
use crate::models::{ModelVersion, Registry};
use crate::shard::mailbox::{Mail, RegistryChange};
use crate::side::ReloadNotifier;

/// A shard takes a change within a turn of its loop; one that has ended never does.
const TAKEN: Duration = Duration::from_secs(5);

/// How often it is looked whether the process drains.
const LOOK: Duration = Duration::from_millis(10);

/// The way to every shard for other models and limits.
#[derive(Debug, Clone)]
pub(super) struct Publisher {
    pub(super) shards: Vec<ShardEntry>,
    pub(super) side: ReloadNotifier,
    pub(super) life: Arc<Lifecycle>,
}

impl Publisher {
    /// Gives every shard a registry, with memory for the versions that are new in it, and waits until each has taken
    /// it: the next request gets the new models. False when one has not in [`TAKEN`], or when the process drains
    /// meanwhile.
    ///
    /// What shards had and need no more is freed here.
    pub(super) fn publish(&self, registry: &Arc<Registry>, new: &[Arc<ModelVersion>], emptied: &[usize]) -> bool {
        let (taken, back) = bounded(self.shards.len());
        let change = || Box::new(RegistryChange::new(registry, new, emptied, taken.clone()));
        // Made before any is sent, so that shards take them at nearly one time.
        let mut changes: Vec<_> = self.shards.iter().map(|_| change()).collect();
        self.tell_shards(|| changes.pop().map(Mail::Registry));
        self.side.serves(Arc::clone(registry));
        let until = Instant::now() + TAKEN;
        let mut waiting = self.shards.len();
        while waiting > 0 {
            match back.recv_timeout(LOOK) {
                Ok(_) => waiting -= 1,
                Err(RecvTimeoutError::Disconnected) => return false,
                Err(RecvTimeoutError::Timeout) if !self.is_serving() || Instant::now() >= until => return false,
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
        true
    }

    /// A letter to each shard. A full mailbox empties within a moment; one that does not belongs to a shard that has
    /// ended, and then the process drains.
    pub(super) fn tell_shards(&self, mut letter: impl FnMut() -> Option<Mail>) {
        for shard in &self.shards {
            let Some(mut mail) = letter() else { return };
            while let Err(back) = shard.address.send(mail) {
                if !self.is_serving() {
                    break;
                }
                mail = back;
                thread::sleep(Duration::from_millis(1));
            }
        }
    }

    fn is_serving(&self) -> bool {
        self.life.ready.load(Ordering::Relaxed)
    }
}
