//! What a process that has ended left in the spool: found at the start of the next one, or looked at by an operator.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use uuid::Uuid;

use super::map::Map;
use super::protocol::{Look, look};
use super::segment::{BODY, HeaderError, Segment, Walk};
use super::shared::{Live, Shared};
use super::{SpoolError, at};
use crate::record::{Frame, Schema, parse};

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

fn files(folder: &Path) -> Result<Vec<PathBuf>, SpoolError> {
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
enum OpenError {
    #[error(transparent)]
    Header(#[from] HeaderError),
    #[error(transparent)]
    File(#[from] std::io::Error),
}

fn open(path: &Path) -> Result<Option<(Segment, Walk)>, OpenError> {
    let file = File::options().read(true).write(true).open(path)?;
    let len = usize::try_from(file.metadata()?.len()).unwrap_or(0);
    if len == 0 {
        // Its process died before there was room for it.
        return Ok(None);
    }
    if len <= BODY || len % 8 != 0 {
        return Err(HeaderError::Short.into());
    }
    let map = Map::new(&file, len)?;
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
    let count = |from: usize| {
        let mut records = 0;
        for extent in extents {
            let mut place = extent.start;
            while place < extent.end {
                let Look::Frame(length) = look(&segment.map, place) else {
                    break;
                };
                records += u64::from(place >= from);
                place += length;
            }
        }
        records
    };
    let of = |&sink: &&'s str| {
        let from = segment.slot(sink).map_or(BODY, |slot| match segment.old() {
            Some(_) => segment.resume(slot),
            None => usize::try_from(segment.acknowledged(slot)).unwrap_or(usize::MAX),
        });
        (sink, count(from))
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

/// A segment as an operator sees it.
#[derive(Debug, Clone)]
pub struct Inspected {
    /// The file.
    pub path: PathBuf,
    /// Which use of the file this is.
    pub serial: u64,
    /// Which shard wrote it.
    pub shard: u16,
    /// Bytes of the file.
    pub bytes: usize,
    /// Whole records in it.
    pub records: u64,
    /// Bytes that are something else than a record.
    pub damaged_bytes: usize,
    /// Whether its last record was not written to its end.
    pub is_torn: bool,
    /// For each sink it has a checkpoint of, how many records that has not acknowledged.
    pub left: Vec<(String, u64)>,
    /// Why it cannot be read, if it cannot.
    pub error: Option<String>,
}

/// A record as an operator meets it.
#[derive(Debug)]
pub struct Seen<'a> {
    /// The record.
    pub record: &'a Frame<'a>,
    place: usize,
    sinks: &'a [(String, usize)],
}

impl Seen<'_> {
    /// Whether a sink has not acknowledged it. One that the segment does not know has acknowledged nothing.
    #[must_use]
    pub fn waits_for(&self, sink: &str) -> bool {
        let of = self.sinks.iter().find(|(name, _)| name == sink);
        of.is_none_or(|(_, from)| self.place >= *from)
    }
}

/// Looks at a spool that may be in use, and changes nothing. `each` is called with every record that is there and its
/// model, if that is known, oldest segment first.
///
/// # Errors
/// A folder that cannot be listed.
pub fn inspect(
    folder: &Path,
    mut each: impl FnMut(&Seen<'_>, Option<&Arc<Schema>>),
) -> Result<Vec<Inspected>, SpoolError> {
    let schemas = super::Schemas::look(folder).map_err(at("read the models of the spool", folder))?;
    let mut all = Vec::new();
    for path in files(folder)? {
        let mut seen = Inspected {
            path: path.clone(),
            serial: 0,
            shard: 0,
            bytes: 0,
            records: 0,
            damaged_bytes: 0,
            is_torn: false,
            left: Vec::new(),
            error: None,
        };
        match open(&path) {
            Ok(None) => continue,
            Err(error) => seen.error = Some(error.to_string()),
            Ok(Some((segment, walk))) => {
                (seen.serial, seen.shard) = (segment.serial, segment.shard());
                (seen.bytes, seen.records) = (segment.map.len(), walk.frames);
                (seen.damaged_bytes, seen.is_torn) = (walk.damaged_bytes, walk.is_torn);
                let names: Vec<String> = segment.sinks().into_iter().map(|(name, _)| name).collect();
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                seen.left = left(&segment, &names)
                    .into_iter()
                    .map(|(name, records)| (name.to_owned(), records))
                    .collect();
                all.push((seen, Some((segment, walk))));
                continue;
            }
        }
        all.push((seen, None));
    }
    all.sort_by_key(|(seen, _)| seen.serial);
    let mut segments = Vec::new();
    for (seen, read) in all {
        if let Some((segment, walk)) = read {
            let from = |(name, _): (String, u64)| {
                let place = segment.slot(&name).map_or(BODY, |slot| segment.resume(slot));
                (name, place)
            };
            let sinks: Vec<(String, usize)> = segment.sinks().into_iter().map(from).collect();
            for extent in walk.extents {
                let mut place = extent.start;
                while place < extent.end {
                    let Ok(frame) = segment.frame(place) else { break };
                    if let Ok(record) = parse(frame) {
                        let (record, sinks) = (&record, &sinks[..]);
                        let seen = Seen { record, place, sinks };
                        each(&seen, schemas.find(record.model).as_ref());
                    }
                    place += frame.len();
                }
            }
        }
        segments.push(seen);
    }
    Ok(segments)
}
