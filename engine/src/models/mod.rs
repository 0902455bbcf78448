//! Which models this process serves, under which names: what a request may ask for, and who answers it.
//!
//! ```text
//! Registry (immutable, swapped whole) ─▶ NamedModel: aliases, split, shadow ─▶ ModelVersion: a loaded model and its slot
//! ```
//! A shard has the whole [`Registry`] behind one `Arc`, and for each slot memory of its own. Aliases, splits and models
//! change together, so that no request sees half of a change.

mod decisions;
mod inference_counts;
mod loader;
mod manager;
mod openapi;
mod registry;
mod slots;
mod split;
mod store;

pub use crate::config::models::RollbackSettings;
pub use decisions::{Decisions, RolledBack, ShadowDecision};
pub use inference_counts::InferenceCounts;
pub use loader::{EnterRecords, LoadRefusal};
pub use manager::{Command, Manager, ModelsHandle, PublishFn, Refusal, Reply, StoreStartError};
pub use registry::{ChoiceError, ModelChoice, ModelVersion, NamedModel, Registry, Selected, Shadow, is_name};
pub use slots::SlotNumbers;
pub use split::{Arm, Split, SplitShares, UNITS, place};
pub use store::{FolderStore, FoundVersion, ModelStore, StoreError, model_in, version_number};
