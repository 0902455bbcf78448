//! What a process that has ended left in the spool: found at the start of the next one.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use uuid::Uuid;

use super::map::Map;
use super::protocol::{Look, look};
use super::segment::{BODY, HeaderError, Segment, Walk};
use super::shared::{Live, Shared};
use super::{SpoolError, at};
use crate::record::parse;

const ENDING: &str = "segment";

/// What was found at the start.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// Records that a sink has not acknowledged, by sink: they are delivered again.
    pub records: HashMap<&'static str, u64>,
    /// Records that at least one sink has not acknowledged.
    pub any: u64,
    /// Segments with such records.
    pub segments: usize,
    /// Bytes that were something else than a record, and were skipped.
    pub damaged_bytes: usize,
    /// Segments whose last record was not written to its end.
    pub torn: usize,
    /// Files that could not be read and were put aside.
    pub put_aside: usize,
    /// The latest id of all records.
    pub latest: Option<Uuid>,
    /// The highest number that a file's name has.
    pub(super) last_file: u64,
}

/// Finds what is there. The folder is locked.
pub(super) fn recover(shared: &Arc<Shared>) -> Result<Found, SpoolError> {
    let mut found = Found::default();
    let mut models = HashSet::new();
    let mut segments = Vec::new();
    for path in files(&shared.folder)? {
        let number = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
        found.last_file = found.last_file.max(number.unwrap_or(0));
        match open(&path) {
            Ok(Some(segment)) => segments.push(segment),
            Ok(None) => fs::remove_file(&path).map_err(at("remove an unused segment", &path))?,
            Err(error) => put_aside(&path, &error, &mut found)?,
        }
    }
    segments.sort_by_key(|(segment, _)| segment.serial);
    let mut state = shared.state();
    for (segment, walk) in segments {
        state.serial = state.serial.max(segment.serial);
        report(&segment, &walk, &mut found);
        read(&segment, &walk, &mut models, &mut found);
        let mut left = left(&segment, &shared.sinks);
        left.retain(|(_, records)| *records > 0);
        warn_of_others(&segment, &shared.sinks);
        let Some(most) = left.iter().map(|(_, records)| *records).max() else {
            fs::remove_file(&segment.path).map_err(at("remove a delivered segment", &segment.path))?;
            continue;
        };
        found.any += most;
        found.segments += 1;
        for (sink, records) in left {
            *found.records.entry(sink).or_default() += records;
        }
        state.bytes += segment.map.len();
        let segment = Arc::new(segment);
        state.live.insert(segment.serial, Live::new(segment));
    }
    drop(state);
    shared.schemas.keep_only(&models);
    Ok(found)
}

pub(super) fn files(folder: &Path) -> Result<Vec<PathBuf>, SpoolError> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(at("list the spool", folder))? {
        let path = entry.map_err(at("list the spool", folder))?.path();
        if path.extension().is_some_and(|ending| ending == ENDING) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpenError {
    #[error(transparent)]
    Header(#[from] HeaderError),
    #[error(transparent)]
    File(#[from] io::Error),
}

fn open(path: &Path) -> Result<Option<(Segment, Walk)>, OpenError> {
    let file = File::options().read(true).write(true).open(path)?;
    read_file(file, path, Map::new)
}

/// Reads a segment through a map of one kind or the other.
pub(super) fn read_file(
    file: File,
    path: &Path,
    map: impl FnOnce(&File, usize) -> io::Result<Map>,
) -> Result<Option<(Segment, Walk)>, OpenError> {
    let len = usize::try_from(file.metadata()?.len()).unwrap_or(0);
    if len == 0 {
        // Its process died before there was room for it.
        return Ok(None);
    }
    if len <= BODY || len % 8 != 0 {
        return Err(HeaderError::Short.into());
    }
    let map = map(&file, len)?;
    Ok(Segment::read(map, file, path.to_path_buf())?)
}

/// What cannot be read is nothing to throw away: somebody may be able to.
fn put_aside(path: &Path, error: &OpenError, found: &mut Found) -> Result<(), SpoolError> {
    let aside = path.with_extension("damaged");
    fs::rename(path, &aside).map_err(at("put aside the damaged segment", path))?;
    found.put_aside += 1;
    tracing::error!(path = %aside.display(), %error, "a segment of the spool cannot be read; it was put aside, its records are not delivered");
    Ok(())
}

fn report(segment: &Segment, walk: &Walk, found: &mut Found) {
    found.damaged_bytes += walk.damaged_bytes;
    found.torn += usize::from(walk.is_torn);
    if walk.damaged_bytes > 0 {
        tracing::error!(
            path = %segment.path.display(),
            bytes = walk.damaged_bytes,
            records = walk.frames,
            "part of a segment of the spool is damaged and skipped; the rest is delivered"
        );
    }
    if walk.is_torn {
        tracing::info!(
            path = %segment.path.display(),
            "the last record was being written when its process died; it was not answered and is not delivered"
        );
    }
}

fn read(segment: &Segment, walk: &Walk, models: &mut HashSet<u32>, found: &mut Found) {
    for extent in &walk.extents {
        let mut place = extent.start;
        while place < extent.end {
            let Ok(frame) = segment.frame(place) else { break };
            if let Ok(record) = parse(frame) {
                models.insert(record.model);
                found.latest = found.latest.max(Some(record.record_id));
            }
            place += frame.len();
        }
    }
}

/// How many records each sink has not acknowledged.
pub(super) fn left<'s>(segment: &Segment, sinks: &[&'s str]) -> Vec<(&'s str, u64)> {
    let walk;
    let extents = match segment.old() {
        Some(extents) => extents,
        None => {
            walk = segment.walk();
            &walk.extents
        }
    };
    let count = |slot: Option<usize>, from: usize| {
        let mut records = 0;
        for extent in extents {
            let mut place = extent.start;
            while place < extent.end {
                let Look::Frame(length) = look(&segment.map, place) else {
                    break;
                };
                let is_marked = slot.is_some_and(|slot| segment.is_marked(slot, place));
                records += u64::from(place >= from && !is_marked);
                place += length;
            }
        }
        records
    };
    let of = |&sink: &&'s str| {
        let slot = segment.slot(sink);
        let from = slot.map_or(BODY, |slot| match segment.old() {
            Some(_) => segment.resume(slot),
            None => usize::try_from(segment.acknowledged(slot)).unwrap_or(usize::MAX),
        });
        (sink, count(slot, from))
    };
    sinks.iter().map(of).collect()
}

/// A sink that is not configured any more may have been owed something.
fn warn_of_others(segment: &Segment, sinks: &[&str]) {
    let others: Vec<String> = segment
        .sinks()
        .into_iter()
        .filter(|(name, end)| !sinks.contains(&name.as_str()) && *end != super::segment::ALL)
        .map(|(name, _)| name)
        .collect();
    for (sink, records) in left(segment, &others.iter().map(String::as_str).collect::<Vec<_>>()) {
        if records > 0 {
            tracing::warn!(
                path = %segment.path.display(),
                sink,
                records,
                "records were not delivered to a sink that is not configured any more; they go when the others have them"
            );
        }
    }
}
