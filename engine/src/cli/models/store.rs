//! Models of a store: a folder, or a prefix of S3. Servers that have the store take what is changed here at their next look.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use quintile_model::Options;
use quintile_scoring::loaded::{LoadedModel, manifest_path};

use super::{ListedModel, ListedVersion, changed};
use crate::config::{Flags, Settings};
use crate::models::{Decisions, FolderStore, ModelStore, StoreError};
use crate::side::S3ModelStore;

/// Files of a model folder that are copied.
const FILES_MAX: usize = 1_000;

/// When servers know it.
const NEXT_LOOK: &str = "servers that have this store take it at their next look (models.poll_seconds)\n";

/// A store that can be written.
struct WritableStore {
    place: WritablePlace,
    /// Copies of what is in S3, for as long as this command runs.
    copies: PathBuf,
}

enum WritablePlace {
    Folder(PathBuf, FolderStore),
    Bucket(Box<S3ModelStore>),
}

impl WritableStore {
    fn open(place: &str) -> Result<Self, String> {
        let copies = std::env::temp_dir().join(format!("quintile-models-{}", std::process::id()));
        let place = if place.starts_with("s3://") {
            let settings = Settings::of_process(&Flags::default()).map_err(|error| error.to_string())?;
            let store = S3ModelStore::open(place, &settings.aws, copies.clone()).map_err(|error| error.to_string())?;
            WritablePlace::Bucket(Box::new(store))
        } else {
            let root = PathBuf::from(place);
            // A store that cannot be written is no place to decide in.
            WritablePlace::Folder(root.clone(), FolderStore::new(root.clone(), root))
        };
        Ok(Self { place, copies })
    }

    fn store(&mut self) -> &mut dyn ModelStore {
        match &mut self.place {
            WritablePlace::Folder(_, store) => store,
            WritablePlace::Bucket(store) => store.as_mut(),
        }
    }

    fn push(&mut self, name: &str, version: Option<u64>, files: &[(String, Vec<u8>)]) -> Result<u64, StoreError> {
        match &mut self.place {
            WritablePlace::Folder(root, store) => push_to_folder(root, store, (name, version), files),
            WritablePlace::Bucket(store) => store.push(name, version, files),
        }
    }
}

impl Drop for WritableStore {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.copies);
    }
}

fn say(error: &StoreError) -> String {
    error.to_string()
}

pub(super) fn list(place: &str) -> Result<Vec<ListedModel>, String> {
    let mut store = WritableStore::open(place)?;
    let store = store.store();
    let mut models: Vec<ListedModel> = Vec::new();
    for found in store.scan().map_err(|error| say(&error))? {
        if models.last().is_none_or(|model| model.name != found.name) {
            let (_, decisions) = decisions(store, &found.name)?;
            let aliases = decisions.aliases.into_iter();
            models.push(ListedModel {
                name: found.name,
                aliases: aliases.map(|(alias, version)| (alias, version.to_string())).collect(),
                ..ListedModel::default()
            });
        }
        if let Some(model) = models.last_mut() {
            model.versions.push(ListedVersion {
                version: found.version.to_string(),
                state: if found.is_still { "stored" } else { "changing" }.into(),
                reason: None,
            });
        }
    }
    for model in &mut models {
        model
            .versions
            .sort_by_key(|version| version.version.parse::<u64>().unwrap_or(0));
    }
    Ok(models)
}

pub(super) fn push(place: &str, name: &str, model: &Path, version: Option<u64>) -> Result<String, String> {
    let loaded = LoadedModel::load(Some(model), Options::default(), 0).map_err(|error| error.to_string())?;
    let files = files(model).map_err(|error| format!("{}: {error}", model.display()))?;
    let mut store = WritableStore::open(place)?;
    let pushed = store.push(name, version, &files).map_err(|error| match error {
        StoreError::Conflict => {
            let version = version.map_or_else(|| "that version".into(), |version| format!("version {version}"));
            format!("{place} has {version} of {name} already: a version keeps its content, so push another one")
        }
        other => say(&other),
    })?;
    let golden = match loaded.golden_rows {
        0 => "it has no golden rows".into(),
        rows => format!("it meets its {rows} golden rows"),
    };
    Ok(format!("{name}: version {pushed} is in {place}; {golden}\n"))
}

pub(super) fn promote(place: &str, name: &str, version: u64) -> Result<String, String> {
    let mut store = WritableStore::open(place)?;
    let store = store.store();
    let versions = versions(store, name)?;
    if !versions.contains(&version) {
        let listed: Vec<String> = versions.iter().map(ToString::to_string).collect();
        return Err(format!(
            "{place} has no version {version} of {name}; it has {}",
            listed.join(", ")
        ));
    }
    let path = store.fetch(name, version).map_err(|error| say(&error))?;
    LoadedModel::load(Some(&path), Options::default(), 0)
        .map_err(|error| format!("version {version} of {name} is not promoted: {error}"))?;
    let (revision, mut decisions) = decisions(store, name)?;
    // Without a decision it is the highest, unless the configuration of a server says otherwise.
    let was = decisions.aliases.get("champion").copied();
    decisions.promote(version, was.or_else(|| versions.last().copied()));
    decisions.unloaded.remove(&version);
    keep(store, name, revision, &decisions)?;
    Ok(changed(name, was.map(|was| was.to_string()).as_deref(), &version.to_string()) + NEXT_LOOK)
}

pub(super) fn roll_back(place: &str, name: &str) -> Result<String, String> {
    let mut store = WritableStore::open(place)?;
    let store = store.store();
    let versions = versions(store, name)?;
    let (revision, mut decisions) = decisions(store, name)?;
    let to = decisions
        .before
        .pop()
        .ok_or_else(|| format!("{name} has had no other champion"))?;
    if !versions.contains(&to) {
        return Err(format!(
            "version {to} of {name}, the champion of before, is no longer in {place}"
        ));
    }
    let was = decisions.aliases.insert("champion".into(), to);
    decisions.unloaded.remove(&to);
    keep(store, name, revision, &decisions)?;
    Ok(changed(name, was.map(|was| was.to_string()).as_deref(), &to.to_string()) + NEXT_LOOK)
}

/// A model's versions, lowest first.
fn versions(store: &mut dyn ModelStore, name: &str) -> Result<Vec<u64>, String> {
    let found = store.scan().map_err(|error| say(&error))?;
    let own = found.into_iter().filter(|found| found.name == name);
    let mut versions: Vec<u64> = own.map(|found| found.version).collect();
    versions.sort_unstable();
    match versions.is_empty() {
        true => Err(format!("the store has no model {name}")),
        false => Ok(versions),
    }
}

fn decisions(store: &mut dyn ModelStore, name: &str) -> Result<(u64, Decisions), String> {
    let (revision, bytes) = store.read_state(name).map_err(|error| say(&error))?;
    let decisions = bytes.map(|bytes| Decisions::parse(&bytes)).transpose();
    let decisions = decisions.map_err(|error| format!("what was decided about {name} is no JSON of ours: {error}"))?;
    Ok((revision, decisions.unwrap_or_default()))
}

fn keep(store: &mut dyn ModelStore, name: &str, revision: u64, decisions: &Decisions) -> Result<(), String> {
    let kept = store.write_state(name, revision, &decisions.render());
    kept.map_err(|error| say(&error))
}

/// The files of a version: a model as `model.ENDING` with its manifest as `model.toml`, or all of a folder.
fn files(model: &Path) -> io::Result<Vec<(String, Vec<u8>)>> {
    if model.is_dir() {
        let mut files = Vec::new();
        gather(model, "", &mut files)?;
        return Ok(files);
    }
    let ending = model.extension().and_then(|ending| ending.to_str());
    let name = ending.map_or_else(|| "model".into(), |ending| format!("model.{ending}"));
    let mut files = vec![(name, fs::read(model)?)];
    if let Some(manifest) = manifest_path(model).filter(|path| path.is_file()) {
        files.push(("model.toml".into(), fs::read(manifest)?));
    }
    Ok(files)
}

fn gather(folder: &Path, prefix: &str, files: &mut Vec<(String, Vec<u8>)>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') {
            continue;
        }
        if files.len() == FILES_MAX {
            return Err(io::Error::other(format!("more than {FILES_MAX} files")));
        }
        match fs::metadata(entry.path())?.is_dir() {
            true => gather(&entry.path(), &format!("{prefix}{name}/"), files)?,
            false => files.push((format!("{prefix}{name}"), fs::read(entry.path())?)),
        }
    }
    Ok(())
}

/// Makes the version's folder under a hidden name and renames it, so that nobody sees half of it.
fn push_to_folder(
    root: &Path,
    store: &mut FolderStore,
    (name, version): (&str, Option<u64>),
    files: &[(String, Vec<u8>)],
) -> Result<u64, StoreError> {
    let at = |path: &Path| {
        let path = path.to_path_buf();
        move |source: io::Error| match source.kind() {
            io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists => StoreError::Conflict,
            _ => StoreError::Write { path, source },
        }
    };
    fs::create_dir_all(root).map_err(at(root))?;
    let found = store.scan()?;
    let own = found
        .iter()
        .filter(|found| found.name == name)
        .map(|found| found.version);
    let version = version.unwrap_or_else(|| own.max().unwrap_or(0) + 1);
    let folder = root.join(name).join(version.to_string());
    if folder.exists() {
        return Err(StoreError::Conflict);
    }
    let hidden = root.join(name).join(format!(".push.{}", std::process::id()));
    for (file, bytes) in files {
        let path = hidden.join(file);
        fs::create_dir_all(path.parent().unwrap_or(&hidden)).map_err(at(&hidden))?;
        fs::write(&path, bytes).map_err(at(&path))?;
        fs::File::open(&path)
            .and_then(|file| file.sync_all())
            .map_err(at(&path))?;
    }
    let renamed = fs::rename(&hidden, &folder).map_err(at(&folder));
    if renamed.is_err() {
        let _ = fs::remove_dir_all(&hidden);
    }
    renamed.map(|()| version)
}
