//! A folder of models: `NAME/VERSION/model.ubj` with its manifest beside it, or a folder of another server in place of
//! the file. Looked at again and again, for network file systems tell nobody of changes.
//!
//! A version is taken when its files have stood still: for two looks, or for [`STILL`]. Names that begin with a dot are
//! not models, so links that Kubernetes swaps are followed and its own folders are not read. What operators decide is
//! in `NAME/.quintile/state.N.json`, a new file for each change, which only one process can make: so two processes that
//! have the folder agree. Where the folder cannot be written, this process keeps it in a folder of its own.

use std::collections::HashMap;
use std::fs::{self, DirEntry, File, Metadata};
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use xxhash_rust::xxh64::Xxh64;

use super::{FoundVersion, ModelStore, StoreError};
use crate::models::is_name;

/// Files that have not changed for so long are whole.
const STILL: Duration = Duration::from_secs(2);

/// Folders within a version's folder, and files in all of them: beyond it nobody means a model.
const DEPTH_MAX: usize = 4;
const FILES_MAX: usize = 1_000;

/// Models and versions that are looked at.
const VERSIONS_MAX: usize = 10_000;

/// Where decisions are, within a model's folder.
const STATE_FOLDER: &str = ".quintile";

/// Revisions that are kept: enough that no process is behind all of them.
const REVISIONS_KEPT: u64 = 64;

/// A store that is a folder.
#[derive(Debug)]
pub struct FolderStore {
    root: PathBuf,
    /// For decisions, where the folder cannot be written.
    own: PathBuf,
    /// The stamp of each version at the last look.
    seen: HashMap<(String, u64), u64>,
}

impl FolderStore {
    /// A store in `root`; `own` is a folder of this process.
    #[must_use]
    pub fn new(root: PathBuf, own: PathBuf) -> Self {
        Self {
            root,
            own,
            seen: HashMap::new(),
        }
    }

    /// Folders with decisions about a model: the store's, and this process's own.
    fn state_folders(&self, name: &str) -> [PathBuf; 2] {
        [self.root.join(name).join(STATE_FOLDER), self.own.join(name)]
    }
}

impl ModelStore for FolderStore {
    fn scan(&mut self) -> Result<Vec<FoundVersion>, StoreError> {
        let mut found = Vec::new();
        let mut seen = HashMap::new();
        for (name, folder) in folders(&self.root)? {
            if name.starts_with('.') || !is_name(&name) {
                continue;
            }
            // A model that goes away while it is looked at is not there.
            for (version, folder) in folders(&folder).unwrap_or_default() {
                let Some(version) = number(&version) else { continue };
                if found.len() == VERSIONS_MAX {
                    break;
                }
                let Some((stamp, changed)) = look(&folder) else {
                    continue;
                };
                let key = (name.clone(), version);
                let is_still = self.seen.get(&key) == Some(&stamp) || is_old(changed);
                seen.insert(key, stamp);
                found.push(FoundVersion {
                    name: name.clone(),
                    version,
                    stamp,
                    is_still,
                });
            }
        }
        self.seen = seen;
        Ok(found)
    }

    fn fetch(&mut self, name: &str, version: u64) -> Result<PathBuf, StoreError> {
        let folder = self.root.join(name).join(version.to_string());
        Ok(model_in(&folder).unwrap_or(folder))
    }

    fn read_state(&mut self, name: &str) -> Result<(u64, Option<Vec<u8>>), StoreError> {
        let latest = |folder: &PathBuf| Some((latest(folder)?, folder.clone()));
        let folders = self.state_folders(name);
        let Some((revision, folder)) = folders.iter().filter_map(latest).max() else {
            return Ok((0, None));
        };
        let path = file_of(&folder, revision);
        match fs::read(&path) {
            Ok(bytes) => Ok((revision, Some(bytes))),
            Err(source) => Err(StoreError::Read { path, source }),
        }
    }

    fn write_state(&mut self, name: &str, after: u64, bytes: &[u8]) -> Result<(), StoreError> {
        let folders = self.state_folders(name);
        if folders.iter().filter_map(|folder| latest(folder)).max().unwrap_or(0) != after {
            return Err(StoreError::Conflict);
        }
        let failed = |folder: &Path, source: io::Error| match source.kind() {
            io::ErrorKind::AlreadyExists => StoreError::Conflict,
            _ => StoreError::Write {
                path: folder.to_path_buf(),
                source,
            },
        };
        match write(&folders[0], after + 1, bytes) {
            Err(error) if is_read_only(&error) => {
                tracing::warn!(path = %folders[0].display(), %error, own = %folders[1].display(),
                    "the store cannot be written: what is decided is kept by this process alone");
                write(&folders[1], after + 1, bytes).map_err(|error| failed(&folders[1], error))
            }
            written => written.map_err(|error| failed(&folders[0], error)),
        }
    }
}

fn is_read_only(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied
    )
}

/// Folders in a folder, by name; links are followed.
fn folders(path: &Path) -> Result<Vec<(String, PathBuf)>, StoreError> {
    let failed = |source| StoreError::Read {
        path: path.to_path_buf(),
        source,
    };
    let mut found = Vec::new();
    for entry in fs::read_dir(path).map_err(failed)?.take(VERSIONS_MAX) {
        let entry = entry.map_err(failed)?;
        let is_folder = fs::metadata(entry.path()).is_ok_and(|metadata| metadata.is_dir());
        if let (true, Some(name)) = (is_folder, entry.file_name().to_str()) {
            found.push((name.to_owned(), entry.path()));
        }
    }
    found.sort();
    Ok(found)
}

/// A version's number, as it is written without zeros in front.
#[must_use]
pub fn number(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

/// What a version's files look like, and when the last of them changed. None when there is no file.
fn look(folder: &Path) -> Option<(u64, SystemTime)> {
    let mut files: Vec<(PathBuf, Metadata)> = Vec::new();
    let mut changed = UNIX_EPOCH;
    gather(folder, 0, &mut files, &mut changed).ok()?;
    if files.is_empty() {
        return None;
    }
    files.sort_by(|one, other| one.0.cmp(&other.0));
    let mut hash = Xxh64::new(0);
    for (path, metadata) in files {
        hash.update(path.as_os_str().as_encoded_bytes());
        for number in [metadata.len(), metadata.ino(), metadata.dev()] {
            hash.update(&number.to_le_bytes());
        }
        for number in [metadata.mtime(), metadata.mtime_nsec()] {
            hash.update(&number.to_le_bytes());
        }
    }
    Some((hash.digest(), changed))
}

fn gather(
    folder: &Path,
    depth: usize,
    files: &mut Vec<(PathBuf, Metadata)>,
    changed: &mut SystemTime,
) -> io::Result<()> {
    if depth > DEPTH_MAX {
        return Ok(());
    }
    let mut note = |metadata: &Metadata| {
        // The time of the change itself: copying sets the other one as it was.
        let seconds = u64::try_from(metadata.ctime()).unwrap_or(0);
        *changed = (*changed).max(UNIX_EPOCH + Duration::from_secs(seconds));
    };
    if depth > 0 {
        note(&fs::metadata(folder)?);
    }
    let mut entries: Vec<DirEntry> = fs::read_dir(folder)?.collect::<io::Result<_>>()?;
    entries.sort_by_key(DirEntry::file_name);
    for entry in entries {
        if files.len() >= FILES_MAX || entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        let metadata = fs::metadata(entry.path())?;
        if metadata.is_dir() {
            gather(&entry.path(), depth + 1, files, changed)?;
        } else if metadata.is_file() {
            let seconds = u64::try_from(metadata.ctime()).unwrap_or(0);
            *changed = (*changed).max(UNIX_EPOCH + Duration::from_secs(seconds));
            files.push((entry.path(), metadata));
        }
    }
    Ok(())
}

fn is_old(changed: SystemTime) -> bool {
    // The time has no fractions here, and so says too little by up to a second.
    let age = SystemTime::now().duration_since(changed).unwrap_or_default();
    age > STILL + Duration::from_secs(1)
}

/// The model file of a version: `model.` with any ending but the manifest's, or else the only file. None for a folder
/// of another server, which is loaded as a whole.
#[must_use]
pub fn model_in(folder: &Path) -> Option<PathBuf> {
    if !matches!(quintile_scoring::loaded::bundle::open(folder), Ok(None)) {
        return None;
    }
    let entries = fs::read_dir(folder).ok()?.take(FILES_MAX).filter_map(Result::ok);
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| path.is_file())
        .collect();
    let is_hidden = |path: &Path| {
        path.file_name()
            .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
    };
    files.retain(|path| !is_hidden(path) && path.extension().is_none_or(|ending| ending != "toml"));
    files.sort();
    let is_model = |path: &&PathBuf| path.file_stem().is_some_and(|stem| stem == "model");
    let named = files.iter().find(is_model);
    let only = files.first().filter(|_| files.len() == 1);
    named.or(only).cloned()
}

fn file_of(folder: &Path, revision: u64) -> PathBuf {
    folder.join(format!("state.{revision}.json"))
}

/// The latest revision in a folder.
fn latest(folder: &Path) -> Option<u64> {
    let entries = fs::read_dir(folder).ok()?.filter_map(Result::ok);
    let revision = |entry: DirEntry| {
        let name = entry.file_name();
        number(name.to_str()?.strip_prefix("state.")?.strip_suffix(".json")?)
    };
    entries.filter_map(revision).max()
}

/// Makes a revision whole under its name, or says that there is one.
fn write(folder: &Path, revision: u64, bytes: &[u8]) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let temporary = folder.join(format!("new.{}", std::process::id()));
    let written = (|| {
        let mut file = File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::hard_link(&temporary, file_of(folder, revision))
    })();
    let _ = fs::remove_file(&temporary);
    written?;
    if let Some(old) = revision.checked_sub(REVISIONS_KEPT) {
        let _ = fs::remove_file(file_of(folder, old));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::side::testing::TestDir;

    fn store(dir: &TestDir) -> FolderStore {
        FolderStore::new(dir.path().join("store"), dir.path().join("own"))
    }

    fn put(dir: &TestDir, path: &str, text: &str) {
        let path = dir.path().join("store").join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("a file");
    }

    #[test]
    fn versions_are_whole_numbers_and_stand_still_after_two_looks() {
        let dir = TestDir::new("folder-store");
        for path in [
            "leads/1/model.ubj",
            "leads/10/model.ubj",
            "leads/010/model.ubj",
            "leads/v2/model.ubj",
        ] {
            put(&dir, path, "x");
        }
        put(&dir, ".hidden/1/model.ubj", "x");
        put(&dir, "leads/.quintile/state.1.json", "{}");
        put(&dir, "a b/1/model.ubj", "x");
        fs::create_dir_all(dir.path().join("store/leads/3")).expect("a folder");
        let mut store = store(&dir);
        let looked: Vec<_> = store
            .scan()
            .expect("a look")
            .into_iter()
            .map(|found| (found.version, found.is_still))
            .collect();
        assert_eq!(looked, [(1, false), (10, false)]);
        put(&dir, "leads/10/model.toml", "more");
        let looked: Vec<_> = store
            .scan()
            .expect("a look")
            .into_iter()
            .map(|found| found.is_still)
            .collect();
        assert_eq!(looked, [true, false]);
        assert!(store.scan().expect("a look").iter().all(|found| found.is_still));
    }

    #[test]
    fn a_link_that_is_swapped_is_another_content() {
        let dir = TestDir::new("folder-links");
        put(&dir, "leads/..one/model.ubj", "one");
        put(&dir, "leads/..two/model.ubj", "two");
        let link = dir.path().join("store/leads/1");
        let point = |to: &str| {
            let _ = fs::remove_file(&link);
            std::os::unix::fs::symlink(to, &link).expect("a link");
        };
        let mut store = store(&dir);
        point("..one");
        let one = store.scan().expect("a look");
        point("..two");
        let two = store.scan().expect("a look");
        assert_eq!((one.len(), two.len()), (1, 1));
        assert_ne!(one[0].stamp, two[0].stamp);
        assert_eq!(store.fetch("leads", 1).expect("a path"), link.join("model.ubj"));
    }

    #[test]
    fn of_two_who_decide_at_once_one_is_told() {
        let dir = TestDir::new("folder-state");
        let (mut one, mut other) = (store(&dir), store(&dir));
        put(&dir, "leads/1/model.ubj", "x");
        assert_eq!(one.read_state("leads").expect("nothing"), (0, None));
        one.write_state("leads", 0, b"1").expect("the first");
        assert!(matches!(other.write_state("leads", 0, b"2"), Err(StoreError::Conflict)));
        assert_eq!(other.read_state("leads").expect("a state"), (1, Some(b"1".to_vec())));
        for revision in 1..100 {
            other.write_state("leads", revision, b"more").expect("the next");
        }
        assert!(matches!(one.write_state("leads", 1, b"2"), Err(StoreError::Conflict)));
        let kept = fs::read_dir(dir.path().join("store/leads/.quintile"))
            .expect("a folder")
            .count();
        assert_eq!(kept, 64);
    }
}
