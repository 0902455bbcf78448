//! Files that are put aside for an operator, and the report of what was found.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Found, Read, names};
use crate::spool::folder::Folder;
use crate::spool::layout::ALL;
use crate::spool::schemas::Schemas;
use crate::spool::segment::Segment;
use crate::spool::shared::Shared;
use crate::spool::{SpoolError, at};

/// What a file becomes that cannot be delivered.
const ASIDE: &str = "damaged";

/// How the name of a folder ends that is another spool.
const SPOOL_ASIDE: &str = "aside";

/// Moves the files of another process's spool out of a folder that has taken the place of this process's own, into a
/// folder below it that is a spool by itself. Says the names that are left and the highest number of all.
pub(in crate::spool) fn set_aside_foreign(folder: &Folder, shared: &Shared) -> Result<(Vec<PathBuf>, u64), SpoolError> {
    let own: Vec<PathBuf> = shared
        .segments_after(None)
        .iter()
        .map(|segment| segment.home())
        .filter(|home| home.folder.is_same(folder))
        .map(|home| home.name)
        .collect();
    let (names, last) = names(&folder.path)?;
    let foreign: Vec<PathBuf> = names.into_iter().filter(|name| !own.contains(name)).collect();
    let models = Path::new("models");
    let has_models = fs::read_dir(folder.path.join(models)).is_ok_and(|mut entries| entries.next().is_some());
    if own.is_empty() && (!foreign.is_empty() || has_models) {
        let aside = folder.unused(Path::new("found"), SPOOL_ASIDE);
        let path = folder.path.join(&aside);
        fs::create_dir(&path).map_err(at("make a folder for what was found in", &folder.path))?;
        for name in foreign.iter().map(PathBuf::as_path).chain(has_models.then_some(models)) {
            let from = folder.path.join(name);
            folder
                .rename(name, &aside.join(name))
                .map_err(at("put aside what was found in the spool's new folder", &from))?;
        }
        tracing::error!(path = %path.display(), segments = foreign.len(), "the spool's new folder held another spool; it was put aside, `quintile spool export` reads it");
    }
    Ok((own, last))
}

/// At every start, until somebody has taken them away: nobody delivers them.
pub(super) fn tell_of_spools_aside(folder: &Path) -> Result<(), SpoolError> {
    let entries = fs::read_dir(folder).map_err(at("list the spool", folder))?;
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.extension().is_some_and(|ending| ending == SPOOL_ASIDE) && path.is_dir() {
            tracing::warn!(path = %path.display(), "another spool was put aside here, and its records are not delivered: `quintile spool export` reads it");
        }
    }
    Ok(())
}

pub(super) fn has_aside(folder: &Path) -> Result<bool, SpoolError> {
    let entries = fs::read_dir(folder).map_err(at("list the spool", folder))?;
    Ok(entries.flatten().any(|entry| {
        Path::new(&entry.file_name())
            .extension()
            .is_some_and(|ending| ending == ASIDE)
    }))
}

/// Puts a file aside whose records have no description, and says whether there is something else to deliver in it.
pub(super) fn is_known(
    folder: &Folder,
    name: &Path,
    read: &Read,
    schemas: &Schemas,
    found: &mut Found,
) -> Result<bool, SpoolError> {
    let unknown: Vec<u32> = read
        .models
        .iter()
        .copied()
        .filter(|&model| schemas.find(model).is_none())
        .collect();
    if unknown.is_empty() {
        return Ok(true);
    }
    let error = format!("what its records of model {unknown:?} mean cannot be read from the folder models");
    let path = folder.path.join(name);
    if unknown.len() == read.models.len() {
        put_aside(folder, name, &error, found)?;
        return Ok(false);
    }
    // Some can be delivered: the others are kept in a copy.
    let aside = folder.unused(stem(name), ASIDE);
    fs::copy(&path, folder.path.join(&aside)).map_err(at("copy a segment with records of an unknown model", &path))?;
    found.put_aside += 1;
    tracing::error!(path = %folder.path.join(&aside).display(), error, "a segment of the spool holds records that cannot be delivered; a copy was put aside, the others are delivered");
    Ok(true)
}

pub(super) fn stem(name: &Path) -> &Path {
    name.file_stem().map_or(name, Path::new)
}

/// Unreadable data are not thrown away: an operator may be able to read them.
pub(super) fn put_aside(
    folder: &Folder,
    name: &Path,
    error: &dyn std::fmt::Display,
    found: &mut Found,
) -> Result<(), SpoolError> {
    let path = folder.path.join(name);
    let aside = folder.unused(stem(name), ASIDE);
    folder
        .rename(name, &aside)
        .map_err(at("put aside the damaged segment", &path))?;
    found.put_aside += 1;
    tracing::error!(path = %folder.path.join(aside).display(), %error, "a segment of the spool cannot be read; it was put aside, its records are not delivered");
    Ok(())
}

pub(super) fn report(path: &Path, read: &Read, found: &mut Found) {
    let (walk, path) = (&read.found.walk, path.display());
    found.damaged_bytes += walk.damaged_bytes;
    found.torn += usize::from(walk.is_torn);
    if walk.damaged_bytes > 0 {
        let (bytes, records) = (walk.damaged_bytes, walk.frames);
        tracing::error!(%path, bytes, records, "part of a segment of the spool is damaged and skipped; the rest is delivered");
    }
    if !read.faults.is_empty() {
        let damaged = read.faults.join(", ");
        tracing::warn!(%path, damaged, "a segment of the spool is damaged outside of its records; at worst some are delivered again");
    }
    if walk.is_torn {
        tracing::info!(
            %path,
            "the last record was being written when its process died; it was not answered and is not delivered"
        );
    }
}

/// A sink that is not configured any more may have been owed something.
pub(super) fn warn_of_others(segment: &Segment, places: &[usize], sinks: &[&str]) {
    for (sink, end) in segment.sinks() {
        if sinks.contains(&sink.as_str()) || end == ALL {
            continue;
        }
        let records = segment.left(segment.slot(&sink), places);
        if records > 0 {
            tracing::warn!(
                path = %segment.path().display(),
                sink,
                records,
                "records wait for a sink that is not configured any more; records.forget names it, so they are removed when the others \
                 have them"
            );
        }
    }
}
