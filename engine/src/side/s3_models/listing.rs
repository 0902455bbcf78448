//! What a bucket has, out of the names of its objects.

use std::collections::BTreeMap;

use object_store::ObjectMeta;
use object_store::path::Path as Key;
use xxhash_rust::xxh64::Xxh64;

use super::STATE;
use crate::models::{is_name, version_number};

/// What the bucket has.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// The objects of each version, by name.
    pub(super) versions: BTreeMap<(String, u64), Vec<VersionObject>>,
    /// The latest revision of decisions about each model.
    pub(super) revisions: BTreeMap<String, u64>,
}

/// An object of a version.
#[derive(Debug, Clone)]
pub(super) struct VersionObject {
    pub(super) key: Key,
    /// Its name within the version's prefix.
    pub(super) name: String,
    pub(super) etag: Option<String>,
    pub(super) bytes: u64,
}

impl VersionObject {
    /// A manifest says something of a model; anything else is the model, or a part of it.
    pub(super) fn is_manifest(&self) -> bool {
        self.name.ends_with(".toml")
    }
}

impl Listing {
    pub(super) fn of(objects: Vec<ObjectMeta>, prefix: &str) -> Self {
        let mut listing = Self::default();
        for object in objects {
            let key = object.location.to_string();
            let Some((name, rest)) = key.strip_prefix(prefix).and_then(|rest| rest.split_once('/')) else {
                continue;
            };
            let Some((version, file)) = rest.split_once('/').filter(|_| is_name(name) && !name.starts_with('.')) else {
                continue;
            };
            if version == STATE {
                if let Some(revision) = revision_of(file) {
                    let latest = listing.revisions.entry(name.to_owned()).or_default();
                    *latest = (*latest).max(revision);
                }
                continue;
            }
            // A name that leads out of the folder, or is hidden, is no file of a model.
            let is_file = file.split('/').all(|part| !part.is_empty() && !part.starts_with('.'));
            if let (Some(version), true) = (version_number(version), is_file) {
                let own = listing.versions.entry((name.to_owned(), version)).or_default();
                own.push(VersionObject {
                    name: file.to_owned(),
                    etag: object.e_tag,
                    bytes: object.size,
                    key: object.location,
                });
            }
        }
        listing.versions.retain(|_, objects| {
            objects.sort_by(|one, other| one.name.cmp(&other.name));
            objects.iter().any(|object| !object.is_manifest())
        });
        listing
    }
}

/// What tells this content from any other: names, sizes and ETags.
pub(super) fn stamp(objects: &[VersionObject]) -> u64 {
    let mut hash = Xxh64::new(0);
    for object in objects {
        for part in [
            object.name.as_bytes(),
            object.etag.as_deref().unwrap_or_default().as_bytes(),
        ] {
            hash.update(&part.len().to_le_bytes());
            hash.update(part);
        }
        hash.update(&object.bytes.to_le_bytes());
    }
    hash.digest()
}

fn revision_of(file: &str) -> Option<u64> {
    version_number(file.strip_prefix("state.")?.strip_suffix(".json")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(key: &str, etag: &str) -> ObjectMeta {
        ObjectMeta {
            location: Key::parse(key).expect("a key"),
            last_modified: std::time::SystemTime::UNIX_EPOCH.into(),
            size: 7,
            e_tag: Some(etag.into()),
            version: None,
        }
    }

    #[test]
    fn a_version_is_there_when_its_model_is() {
        let keys = [
            "models/leads/1/model.toml",
            "models/leads/1/model.ubj",
            "models/leads/2/model.toml",
            "models/leads/03/model.ubj",
            "models/leads/.quintile/state.2.json",
            "models/leads/.quintile/state.10.json",
            "models/leads/4/.hidden/model.ubj",
            "models/calls/7/MLmodel",
            "models/calls/7/data/model.txt",
            "models/readme.txt",
            "modelsother/leads/9/model.ubj",
        ];
        let listing = Listing::of(keys.map(|key| object(key, "a")).to_vec(), "models/");
        let versions: Vec<_> = listing
            .versions
            .keys()
            .map(|(name, version)| format!("{name}/{version}"))
            .collect();
        assert_eq!(versions, ["calls/7", "leads/1"]);
        assert_eq!(listing.revisions, BTreeMap::from([("leads".to_owned(), 10)]));
        let names: Vec<_> = listing.versions[&("calls".to_owned(), 7)]
            .iter()
            .map(|object| object.name.as_str())
            .collect();
        assert_eq!(names, ["MLmodel", "data/model.txt"]);
    }

    #[test]
    fn other_bytes_are_another_stamp() {
        let of = |etag: &str| {
            let listing = Listing::of(vec![object("leads/1/model.ubj", etag)], "");
            stamp(&listing.versions[&("leads".to_owned(), 1)])
        };
        assert_eq!(of("a"), of("a"));
        assert_ne!(of("a"), of("b"));
    }
}
