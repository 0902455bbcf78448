//! As what a model scores a lead: what records and counts say of it.

use crate::models::{ModelChoice, ModelVersion, Registry};
use crate::record::{Extras, ProtocolName, Role};
use crate::telemetry::ScoredBy;

/// As what a model scores a lead.
#[derive(Debug, Clone, Copy)]
pub(in crate::shard) struct Part {
    pub(super) role: Role,
    /// The split that gave it the lead.
    pub(super) split: Option<u64>,
    /// Whether roles are told.
    is_told: bool,
}

impl Part {
    /// That of the model which reads a lead first.
    #[inline]
    pub(super) fn of(registry: &Registry, choice: &ModelChoice) -> Self {
        let role = match choice {
            ModelChoice::Version(_, role) => *role,
            _ => Role::Champion,
        };
        Self {
            role,
            split: None,
            is_told: registry.is_of_store(),
        }
    }

    /// What a record says of it.
    pub(super) fn extras(&self) -> Extras<'static> {
        self.extras_of(ProtocolName::Native)
    }

    /// The same of a lead that came in this protocol.
    pub(super) fn extras_of(&self, protocol: ProtocolName) -> Extras<'static> {
        let extras = Extras::of(protocol);
        if self.is_told {
            extras.with_role(self.role)
        } else {
            extras
        }
    }

    /// What is counted of it.
    pub(super) fn scored_by(&self, version: &ModelVersion) -> Option<ScoredBy> {
        self.is_told.then_some(ScoredBy {
            slot: version.slot,
            number: version.number,
            is_challenger: self.role == Role::Challenger,
            split: self.split,
        })
    }
}
