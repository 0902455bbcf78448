//! Which value each key has in the end, and who said so.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::OnceLock;

use super::fault::Source;
use super::keys::{KEYS, Key};

/// What stands for the value of a secret.
const HIDDEN: &str = "(hidden)";

/// A value that a file, a variable or a flag gave.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    /// `section.name`.
    path: String,
    value: String,
    digest: u64,
    source: Source,
}

/// A key as it is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Effective {
    /// `section.name`.
    pub(crate) path: String,
    /// Its value as a text; none when it is found out at start.
    pub(crate) value: Option<String>,
    /// Where it came from; none for a default.
    pub(crate) source: Option<Source>,
    /// Of the value itself, also where that is hidden.
    digest: u64,
}

impl Effective {
    /// Whether both have one value, whoever said so. Tells secrets apart without keeping them.
    pub(crate) fn has_value_of(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

/// Everything that was told, in order: what comes later stands over what came before.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tellings(Vec<Told>);

impl Tellings {
    pub(crate) fn add(&mut self, key: &Key, value: &str, source: Source) {
        let digest = digest(Some(value));
        let value = if key.is_secret() { HIDDEN } else { value };
        self.0.push(Told {
            path: key.path(),
            value: value.to_owned(),
            digest,
            source,
        });
    }

    /// Every key with its value, in the order of the documentation.
    pub(crate) fn effective(&self) -> Vec<Effective> {
        KEYS.iter().map(|key| self.of(key)).collect()
    }

    /// One key with its value.
    pub(super) fn of(&self, key: &Key) -> Effective {
        let path = key.path();
        match self.0.iter().rev().find(|told| told.path == path) {
            Some(told) => Effective {
                path,
                value: Some(told.value.clone()),
                source: Some(told.source.clone()),
                digest: told.digest,
            },
            None => Effective {
                path,
                value: key.default.map(str::to_owned),
                source: None,
                digest: digest(key.default),
            },
        }
    }
}

/// Keyed by chance, once for the process: it means nothing to anybody else.
fn digest(value: Option<&str>) -> u64 {
    static KEYS: OnceLock<RandomState> = OnceLock::new();
    KEYS.get_or_init(RandomState::new).hash_one(value)
}
