//! The effective value of each key, and its source.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::OnceLock;

use super::fault::SettingSource;
use super::keys::{KEYS, Key};
use super::units::Unit;

/// What stands for the value of a secret.
const HIDDEN: &str = "(hidden)";

/// A value that a file, a variable or a flag gave.
#[derive(Debug, Clone)]
pub(crate) struct SettingOrigin {
    /// `section.name`.
    path: String,
    value: String,
    digest: u64,
    source: SettingSource,
}

/// A key as it is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EffectiveSetting {
    /// `section.name`.
    pub(crate) path: String,
    /// Its value as a text; none when it is not set.
    pub(crate) value: Option<String>,
    /// What its number counts.
    pub(crate) unit: Option<Unit>,
    /// What it is called when it is not set.
    pub(crate) unset: &'static str,
    /// Where it came from; none for a default.
    pub(crate) source: Option<SettingSource>,
    /// Of the value itself, also where that is hidden.
    digest: u64,
}

impl EffectiveSetting {
    /// Whether both have the same value, from any source. Compares secrets without keeping them.
    pub(crate) fn has_value_of(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

/// All values that were set, in order: a later one overrides an earlier one.
#[derive(Debug, Clone, Default)]
pub(crate) struct SettingOrigins(Vec<SettingOrigin>);

impl SettingOrigins {
    pub(crate) fn add(&mut self, key: &Key, value: &str, source: SettingSource) {
        // What was written with a unit is the same value as the number that it means.
        let value = &*key.kind.plain(value);
        let digest = digest(Some(value));
        let value = if key.is_secret() { HIDDEN } else { value };
        self.0.push(SettingOrigin {
            path: key.path(),
            value: value.to_owned(),
            digest,
            source,
        });
    }

    /// Whether neither file, variable nor flag gave a key a value.
    pub(crate) fn is_unset(&self, path: &str) -> bool {
        !self.0.iter().any(|told| told.path == path)
    }

    /// Who gave a key its value in the end.
    pub(crate) fn source(&self, path: &str) -> Option<&SettingSource> {
        self.0
            .iter()
            .rev()
            .find(|told| told.path == path)
            .map(|told| &told.source)
    }

    /// Every key with its value, in the order of the documentation.
    pub(crate) fn effective(&self) -> Vec<EffectiveSetting> {
        KEYS.iter().map(|key| self.of(key)).collect()
    }

    /// One key with its value.
    pub(super) fn of(&self, key: &Key) -> EffectiveSetting {
        let path = key.path();
        let (unit, unset) = (key.kind.unit(), key.unset());
        match self.0.iter().rev().find(|told| told.path == path) {
            Some(told) => EffectiveSetting {
                path,
                unit,
                unset,
                value: Some(told.value.clone()),
                source: Some(told.source.clone()),
                digest: told.digest,
            },
            None => EffectiveSetting {
                path,
                unit,
                unset,
                value: key.default.map(str::to_owned),
                source: None,
                digest: digest(key.default),
            },
        }
    }
}

/// A hash whose key is random for each process, so it has no meaning outside of the process.
fn digest(value: Option<&str>) -> u64 {
    static KEYS: OnceLock<RandomState> = OnceLock::new();
    KEYS.get_or_init(RandomState::new).hash_one(value)
}
