//! A store of models in S3, or in whatever speaks its protocol: `PREFIX/NAME/VERSION/model.ubj`, its manifest beside it.
//!
//! ```text
//!  scan:  ListObjectsV2 ─▶ versions, each with a stamp of its ETags
//!  fetch: GetObject, if its ETag is the listed one ─▶ DATA_DIR/models/s3/NAME/VERSION/STAMP/… ─▶ loaded from there
//! ```
//! A version is there when its model object is, so the manifest is put first. What was fetched stays on the disk: a process that
//! starts while S3 cannot be reached serves those copies and looks again later. Decisions are objects
//! `NAME/.quintile/state.N.json`, each written with `If-None-Match: *`, so that of two processes one is told.
//! Called on the thread `models` alone, which may wait.

mod listing;

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use object_store::aws::AmazonS3;
use object_store::list::{PaginatedListOptions, PaginatedListStore as _};
use object_store::path::Path as Key;
use object_store::{GetOptions, ObjectMeta, ObjectStore as _, ObjectStoreExt as _, PutMode, PutOptions, PutPayload};
use tokio::runtime::Runtime;

use self::listing::{Listing, VersionObject, stamp};
use super::sink::s3;
use crate::config::Aws;
use crate::models::{FolderStore, FoundVersion, ModelStore, StoreError, model_in, version_number};

/// Objects that a store may have: 1,000 come with each call.
const OBJECTS_MAX: usize = 100_000;

/// Objects of a version, and bytes of one: that of the largest model that is loaded.
const VERSION_OBJECTS_MAX: usize = 1_000;
const OBJECT_BYTES_MAX: u64 = quintile_model::limits::MODEL_BYTES_MAX as u64;

/// A listing that is no older says what the store has.
const FRESH: Duration = Duration::from_secs(1);

/// Where decisions are, within a model's prefix.
const STATE: &str = ".quintile";

/// Revisions of decisions that are kept, as in a folder.
const REVISIONS_KEPT: u64 = 64;

/// A store that is a bucket, with the last good copies on disk.
#[derive(Debug)]
pub struct S3ModelStore {
    client: AmazonS3,
    runtime: Runtime,
    /// `s3://BUCKET/PREFIX`, for messages.
    url: String,
    /// Empty, or with a `/` at its end.
    prefix: String,
    copies: PathBuf,
    listing: Listing,
    listed: Option<Instant>,
    has_warned: bool,
    /// The stamp of each version at the last look.
    seen: HashMap<(String, u64), u64>,
}

impl S3ModelStore {
    /// A store at `s3://BUCKET/PREFIX`, with copies in a folder of this process. No call is made.
    ///
    /// # Errors
    /// No region, or what is no bucket.
    pub fn open(url: &str, aws: &Aws, copies: PathBuf) -> Result<Self, StoreError> {
        let failed = |source| StoreError::Read {
            path: url.into(),
            source,
        };
        let place = url.strip_prefix("s3://").unwrap_or(url);
        let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
        let client = s3::store(bucket, aws).map_err(|error| failed(io::Error::other(error.to_string())))?;
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let prefix = prefix.trim_matches('/');
        Ok(Self {
            client,
            runtime: runtime.enable_all().build().map_err(failed)?,
            url: url.trim_end_matches('/').to_owned(),
            prefix: if prefix.is_empty() {
                String::new()
            } else {
                format!("{prefix}/")
            },
            copies,
            listing: Listing::default(),
            listed: None,
            has_warned: false,
            seen: HashMap::new(),
        })
    }

    fn failed(&self, what: &str, error: object_store::Error) -> StoreError {
        StoreError::Read {
            path: self.place(what),
            source: io::Error::other(s3::reason(error)),
        }
    }

    fn place(&self, what: &str) -> PathBuf {
        if what.is_empty() {
            self.url.clone()
        } else {
            format!("{}/{what}", self.url)
        }
        .into()
    }

    fn key(&self, what: &str) -> Result<Key, StoreError> {
        Key::parse(format!("{}{what}", self.prefix)).map_err(|error| StoreError::Read {
            path: self.place(what),
            source: io::Error::other(error),
        })
    }

    /// Everything under the prefix and `what`.
    fn list(&self, what: &str) -> Result<Vec<ObjectMeta>, StoreError> {
        let prefix = format!("{}{what}", self.prefix);
        let listed = self.runtime.block_on(async {
            let (mut all, mut page_token) = (Vec::new(), None);
            loop {
                let options = PaginatedListOptions {
                    page_token,
                    ..PaginatedListOptions::default()
                };
                let page = self.client.list_paginated(Some(&prefix), options).await?;
                all.extend(page.result.objects);
                page_token = page.page_token;
                if page_token.is_none() || all.len() > OBJECTS_MAX {
                    return Ok(all);
                }
            }
        });
        let objects = listed.map_err(|error| self.failed(what, error))?;
        match objects.len() > OBJECTS_MAX {
            false => Ok(objects),
            true => Err(StoreError::Read {
                path: self.place(what),
                source: io::Error::other(format!(
                    "more than {OBJECTS_MAX} objects: models.store names a prefix of models alone"
                )),
            }),
        }
    }

    /// The latest revision of decisions about a model; the last listing may say it if it is no older than so.
    fn revision(&self, name: &str, age: Duration) -> Result<u64, StoreError> {
        if self.listed.is_some_and(|listed| listed.elapsed() < age) {
            return Ok(self.listing.revisions.get(name).copied().unwrap_or(0));
        }
        let objects = self.list(&format!("{name}/{STATE}/"))?;
        let listing = Listing::of(objects, &self.prefix);
        Ok(listing.revisions.get(name).copied().unwrap_or(0))
    }

    /// Versions whose copies are on the disk, where the store was not reached since the start.
    fn copied(&self) -> Vec<FoundVersion> {
        let mut found = Vec::new();
        for (name, folder) in folders(&self.copies) {
            for (version, folder) in folders(&folder) {
                let stamps = folders(&folder).into_iter();
                let stamps = stamps.filter_map(|(stamp, folder)| {
                    let changed = fs::metadata(folder).and_then(|metadata| metadata.modified()).ok()?;
                    Some((changed, u64::from_str_radix(&stamp, 16).ok()?))
                });
                if let (Some(version), Some((_, stamp))) = (version_number(&version), stamps.max()) {
                    found.push(FoundVersion {
                        name: name.clone(),
                        version,
                        stamp,
                        is_still: true,
                    });
                }
            }
        }
        found
    }

    fn copy_of(&self, name: &str, version: u64, stamp: u64) -> PathBuf {
        self.copies
            .join(name)
            .join(version.to_string())
            .join(format!("{stamp:016x}"))
    }

    /// Downloads a version into a folder of its own, which gets its name when all is there.
    fn download(&self, objects: &[VersionObject], folder: &Path) -> Result<(), StoreError> {
        let write = |source| StoreError::Write {
            path: folder.to_path_buf(),
            source,
        };
        let large = objects.iter().find(|object| object.bytes > OBJECT_BYTES_MAX);
        if large.is_some() || objects.len() > VERSION_OBJECTS_MAX {
            let what = large.map_or("it", |object| object.name.as_str());
            let says =
                format!("{what} is too large: {OBJECT_BYTES_MAX} bytes and {VERSION_OBJECTS_MAX} objects at most");
            return Err(write(io::Error::other(says)));
        }
        let parent = folder.parent().unwrap_or(&self.copies);
        let temporary = parent.join(format!(".new.{}", std::process::id()));
        let _ = fs::remove_dir_all(&temporary);
        for object in objects {
            let path = temporary.join(&object.name);
            fs::create_dir_all(path.parent().unwrap_or(&temporary)).map_err(write)?;
            // What was listed is what is loaded, or nothing.
            let options = GetOptions {
                if_match: object.etag.clone(),
                ..GetOptions::default()
            };
            let got = self.runtime.block_on(async {
                let answer = self.client.get_opts(&object.key, options).await?;
                answer.bytes().await
            });
            let bytes = got.map_err(|error| StoreError::Read {
                path: format!("s3:{}", object.key).into(),
                source: io::Error::other(s3::reason(error)),
            })?;
            fs::write(path, bytes).map_err(write)?;
        }
        fs::rename(&temporary, folder).map_err(write)?;
        // The copies of other contents have served their time.
        for (_, other) in folders(parent) {
            if other != folder {
                let _ = fs::remove_dir_all(other);
            }
        }
        Ok(())
    }

    /// Puts a version's files into the bucket, the model last, as the number after the highest unless one is given.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the version is there already.
    pub fn push(&mut self, name: &str, version: Option<u64>, files: &[(String, Vec<u8>)]) -> Result<u64, StoreError> {
        let found = self.scan()?;
        let own = found
            .iter()
            .filter(|found| found.name == name)
            .map(|found| found.version);
        let version = version.unwrap_or_else(|| own.max().unwrap_or(0) + 1);
        if found.iter().any(|found| found.name == name && found.version == version) {
            return Err(StoreError::Conflict);
        }
        let mut ordered: Vec<&(String, Vec<u8>)> = files.iter().collect();
        ordered.sort_by_key(|(file, _)| !file.ends_with(".toml"));
        for (file, bytes) in ordered {
            let what = format!("{name}/{version}/{file}");
            let key = self.key(&what)?;
            let put = self.client.put(&key, PutPayload::from(bytes.clone()));
            self.runtime.block_on(put).map_err(|error| StoreError::Write {
                path: self.place(&what),
                source: io::Error::other(s3::reason(error)),
            })?;
        }
        Ok(version)
    }
}

impl ModelStore for S3ModelStore {
    fn scan(&mut self) -> Result<Vec<FoundVersion>, StoreError> {
        match self.list("") {
            Ok(objects) => {
                self.listing = Listing::of(objects, &self.prefix);
                self.listed = Some(Instant::now());
            }
            Err(error) => {
                let copied = if self.listed.is_none() {
                    self.copied()
                } else {
                    Vec::new()
                };
                if copied.is_empty() {
                    return Err(error);
                }
                if !std::mem::replace(&mut self.has_warned, true) {
                    tracing::warn!(%error, copies = %self.copies.display(), versions = copied.len(),
                        "the store of models cannot be reached: the copies of before are served");
                }
                return Ok(copied);
            }
        }
        let mut seen = HashMap::new();
        let mut found = Vec::new();
        for ((name, version), objects) in &self.listing.versions {
            let stamp = stamp(objects);
            let key = (name.clone(), *version);
            // The object of a model comes last; several come in an order that nobody knows.
            let is_whole = objects.iter().filter(|object| !object.is_manifest()).count() == 1;
            found.push(FoundVersion {
                name: name.clone(),
                version: *version,
                stamp,
                is_still: is_whole || self.seen.get(&key) == Some(&stamp),
            });
            seen.insert(key, stamp);
        }
        self.seen = seen;
        Ok(found)
    }

    fn fetch(&mut self, name: &str, version: u64) -> Result<PathBuf, StoreError> {
        let objects = self.listing.versions.get(&(name.to_owned(), version));
        let folder = match objects {
            Some(objects) => {
                let folder = self.copy_of(name, version, stamp(objects));
                if !folder.is_dir() {
                    self.download(objects, &folder)?;
                }
                folder
            }
            None => {
                let mut copied = self.copied().into_iter();
                let copy = copied.find(|found| found.name == name && found.version == version);
                let copy = copy.map(|found| self.copy_of(name, version, found.stamp));
                copy.ok_or_else(|| StoreError::Read {
                    path: self.place(&format!("{name}/{version}")),
                    source: io::ErrorKind::NotFound.into(),
                })?
            }
        };
        Ok(model_in(&folder).unwrap_or(folder))
    }

    fn read_state(&mut self, name: &str) -> Result<(u64, Option<Vec<u8>>), StoreError> {
        let copies = self.copies.join(name).join(STATE);
        let mut kept = FolderStore::new(self.copies.clone(), self.copies.join(STATE));
        if self.listed.is_none() {
            return kept.read_state(name);
        }
        let revision = self.revision(name, FRESH)?;
        if revision == 0 {
            return Ok((0, None));
        }
        if let Ok((own, bytes @ Some(_))) = kept.read_state(name)
            && own == revision
        {
            return Ok((revision, bytes));
        }
        let what = format!("{name}/{STATE}/state.{revision}.json");
        let key = self.key(&what)?;
        let got = self
            .runtime
            .block_on(async { self.client.get(&key).await?.bytes().await });
        let bytes = got.map_err(|error| self.failed(&what, error))?.to_vec();
        // For a start without the store; not to have it is no reason to stop.
        let _ = fs::remove_dir_all(&copies);
        let _ = fs::create_dir_all(&copies);
        let _ = fs::write(copies.join(format!("state.{revision}.json")), &bytes);
        Ok((revision, Some(bytes)))
    }

    fn write_state(&mut self, name: &str, after: u64, bytes: &[u8]) -> Result<(), StoreError> {
        if self.revision(name, Duration::ZERO)? != after {
            return Err(StoreError::Conflict);
        }
        let what = format!("{name}/{STATE}/state.{}.json", after + 1);
        let key = self.key(&what)?;
        let options = PutOptions {
            mode: PutMode::Create,
            ..PutOptions::default()
        };
        let put = self.client.put_opts(&key, PutPayload::from(bytes.to_vec()), options);
        match self.runtime.block_on(put) {
            Ok(_) => {}
            Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {
                return Err(StoreError::Conflict);
            }
            Err(error) => {
                return Err(StoreError::Write {
                    path: self.place(&what),
                    source: io::Error::other(s3::reason(error)),
                });
            }
        }
        if let Some(old) = (after + 1).checked_sub(REVISIONS_KEPT) {
            let key = self.key(&format!("{name}/{STATE}/state.{old}.json"))?;
            // Without the permission to delete they stay.
            let _ = self.runtime.block_on(self.client.delete(&key));
        }
        Ok(())
    }
}

/// Folders in a folder, but hidden ones; none where it cannot be read.
fn folders(path: &Path) -> Vec<(String, PathBuf)> {
    let entries = fs::read_dir(path).into_iter().flatten().filter_map(Result::ok);
    let folders = entries.filter(|entry| entry.path().is_dir());
    let named = folders.filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.path())));
    named.filter(|(name, _)| !name.starts_with('.')).collect()
}
