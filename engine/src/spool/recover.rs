//! Finds, at the start of a process, what an earlier process has left in the spool.
//!
//! It removes no file with records: a file is removed when every sink has all of it, or when it contains only zeros. A
//! file that is damaged, or belongs to an unknown model, is put aside under a new name. A file that cannot be opened or
//! read *now* stays where it is and is retried while the server runs.

mod aside;

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use uuid::Uuid;

pub(super) use self::aside::set_aside_foreign;
use self::aside::{has_aside, is_known, put_aside, report, tell_of_spools_aside, warn_of_others};
use super::folder::Folder;
use super::frames::{self, Walk, holds_anything};
use super::layout::{
    ALL, BODY, END_AT, HEAD_BYTES, HeadError, Layout, NAME_BYTES, Name, SLOTS_MAX, checkpoint_at, slot_at, text_of,
};
use super::schemas::Schemas;
use super::segment::{self, Home, Segment};
use super::shared::Shared;
use super::{SpoolError, at};
use crate::record::parse;

const ENDING: &str = "segment";

/// What is said of a file whose heads are both lost.
const BOTH_HEADS: &str = "both copies of its head, so that nobody knows how many records it had";

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
    /// Files that could not be opened or read, and are tried again.
    pub postponed: usize,
    /// The latest id of all records.
    pub latest: Option<Uuid>,
    /// The highest number that a file's name has.
    pub(super) last_file: u64,
}

/// A file that was read.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) found: segment::Found,
    /// Where its frames begin.
    pub(super) places: Vec<usize>,
    /// Models that they are of.
    pub(super) models: HashSet<u32>,
    pub(super) latest: Option<Uuid>,
    /// What was wrong with its head, checkpoints or marks, for the log.
    pub(super) faults: Vec<String>,
}

/// Everything that was read of a folder before there is memory for it.
#[derive(Debug, Default)]
pub(super) struct RecoveredFolder {
    files: Vec<(PathBuf, Read)>,
    pub(super) postponed: Vec<PathBuf>,
    found: Found,
}

impl RecoveredFolder {
    /// Bytes that the controls of these files take at most.
    pub(super) fn control_bytes(&self) -> usize {
        let bytes = self.files.iter().map(|(_, read)| read.found.layout.control_bytes());
        bytes.max().unwrap_or(BODY)
    }

    /// For which sinks records of each file wait.
    pub(super) fn left(&self) -> impl Iterator<Item = Vec<(String, u64)>> {
        self.files.iter().map(|(_, read)| read.left())
    }

    pub(super) fn len(&self) -> usize {
        self.files.len() + self.postponed.len()
    }
}

/// Reads what is there. The folder is locked.
pub(super) fn gather(folder: &Folder, schemas: &Schemas) -> Result<RecoveredFolder, SpoolError> {
    let mut all = RecoveredFolder::default();
    tell_of_spools_aside(&folder.path)?;
    let (names, last_file) = names(&folder.path)?;
    all.found.last_file = last_file;
    let mut models = HashSet::new();
    for name in names {
        match open(folder, &name) {
            Ok(Some(read)) if read.found.walk.frames == 0 && read.found.walk.damaged_bytes > 0 => {
                put_aside(folder, &name, &"no record in it is whole", &mut all.found)?;
                all.found.damaged_bytes += read.found.walk.damaged_bytes;
            }
            Ok(Some(read)) => {
                models.extend(&read.models);
                all.found.latest = all.found.latest.max(read.latest);
                if is_known(folder, &name, &read, schemas, &mut all.found)? {
                    all.files.push((name, read));
                }
            }
            Ok(None) => {
                let path = folder.path.join(&name);
                folder.remove(&name).map_err(at("remove an unused segment", &path))?;
            }
            Err(OpenError::Head(error)) => put_aside(folder, &name, &error, &mut all.found)?,
            Err(OpenError::File(error)) => {
                let path = folder.path.join(&name);
                tracing::error!(path = %path.display(), %error, "a segment of the spool cannot be read now; it stays and is tried again");
                all.found.postponed += 1;
                all.postponed.push(name);
            }
        }
    }
    all.files.sort_by_key(|(_, read)| read.found.layout.serial);
    // What cannot be read may be of any model.
    if all.postponed.is_empty() && !has_aside(&folder.path)? {
        schemas.keep_only(&models);
    }
    schemas.reserve(models.into_iter().max().unwrap_or(0));
    Ok(all)
}

/// Takes what was read into use.
pub(super) fn adopt(all: RecoveredFolder, shared: &Arc<Shared>) -> Result<Found, SpoolError> {
    let mut found = all.found;
    for (name, read) in all.files {
        adopt_one(shared, &name, read, &mut found)?;
    }
    if !all.postponed.is_empty() {
        // No new segment gets the serial of one that could not be read: at most as many were made as files.
        let mut state = shared.state();
        state.order = state.order.max(found.last_file);
    }
    Ok(found)
}

/// Takes one file into use; also later, when one could be read at last.
pub(super) fn adopt_one(shared: &Arc<Shared>, name: &Path, read: Read, found: &mut Found) -> Result<(), SpoolError> {
    let folder = shared.folder();
    let path = folder.path.join(name);
    report(&path, &read, found);
    let has_room = shared.arena.plan().control_bytes >= read.found.layout.control_bytes();
    let Some(entry) = has_room.then(|| shared.arena.take_entry()).flatten() else {
        // One that could not be read at the start: there was no memory set apart for it.
        tracing::warn!(path = %path.display(), "a segment stays where it is for the next start");
        return Ok(());
    };
    let home = Home {
        folder: Arc::clone(&folder),
        name: name.to_path_buf(),
        file: None,
    };
    let order = {
        let mut state = shared.state();
        // Another file may have the same serial, if somebody has copied it; and cursors look only for what is behind
        // the last that they have seen, so a file that comes late stands there.
        state.order = read.found.layout.serial.max(state.order + 1);
        state.order
    };
    let segment = Arc::new(Segment::found(read.found, order, entry, home));
    let places = &read.places;
    let slots = shared.sinks.iter().map(|&sink| (sink, segment.slot(sink)));
    let left: Vec<_> = slots.map(|(sink, slot)| (sink, segment.left(slot, places))).collect();
    warn_of_others(&segment, places, &shared.sinks);
    let most = left.iter().map(|(_, records)| *records).max().unwrap_or(0);
    if most == 0 {
        segment.set_finished();
        folder.remove(name).map_err(at("remove a delivered segment", &path))?;
        shared.arena.release(segment.entry());
        return Ok(());
    }
    found.any += most;
    found.segments += 1;
    for (sink, records) in left.into_iter().filter(|(_, records)| *records > 0) {
        *found.records.entry(sink).or_default() += records;
    }
    shared.state().bytes += segment.layout.bytes;
    shared.publish(&segment);
    Ok(())
}

/// Names of the segments, in order, and the highest number that any name in the folder begins with.
pub(super) fn names(folder: &Path) -> Result<(Vec<PathBuf>, u64), SpoolError> {
    let (mut names, mut last) = (Vec::new(), 0);
    for entry in fs::read_dir(folder).map_err(at("list the spool", folder))? {
        let name = PathBuf::from(entry.map_err(at("list the spool", folder))?.file_name());
        let digits = |name: &str| name.find(|c: char| !c.is_ascii_digit()).unwrap_or(name.len());
        let number = name.to_str().and_then(|name| name[..digits(name)].parse().ok());
        last = last.max(number.unwrap_or(0));
        if name.extension().is_some_and(|ending| ending == ENDING) {
            names.push(name);
        }
    }
    names.sort();
    Ok((names, last))
}

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpenError {
    /// Not as it is.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// Not now.
    #[error(transparent)]
    File(#[from] io::Error),
}

/// Reads a file of the folder; none when nothing is in it.
pub(super) fn open(folder: &Folder, name: &Path) -> Result<Option<Read>, OpenError> {
    let file = folder.open(name)?;
    let len = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
    if u32::try_from(len).is_err() {
        return Err(HeadError::Damaged.into());
    }
    let mut bytes = Vec::new();
    bytes
        .try_reserve_exact(len)
        .map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
    bytes.resize(len, 0);
    let read = segment::read_at(&file, &mut bytes, 0)?;
    bytes.truncate(read);
    Ok(read_bytes(&bytes)?)
}

/// Reads all bytes of a file; none when there is nothing but zeros.
pub(super) fn read_bytes(bytes: &[u8]) -> Result<Option<Read>, HeadError> {
    if !holds_anything(bytes) {
        return Ok(None);
    }
    let mut faults = Vec::new();
    let (layout, mut walk) = choose(bytes, &mut faults)?;
    let control = control(bytes, &layout, &mut faults);
    let missing = layout
        .end_in(word_in(&control, END_AT))
        .unwrap_or(0)
        .saturating_sub(walk.end());
    if missing > 0 {
        // Nothing but zeros may lie where they were.
        walk.damaged_bytes = walk.damaged_bytes.max(missing);
        walk.is_torn = false;
    }
    let mut read = Read {
        found: segment::Found {
            layout,
            control,
            walk,
            is_mended: false,
        },
        places: Vec::new(),
        models: HashSet::new(),
        latest: None,
        faults,
    };
    read.records(bytes);
    read.check_checkpoints();
    read.found.is_mended = !read.faults.is_empty();
    Ok(Some(read))
}

/// The head that most frames agree with: one of its copies, or what the frames themselves say.
fn choose(bytes: &[u8], faults: &mut Vec<String>) -> Result<(Layout, Walk), HeadError> {
    let first = Layout::decode(bytes);
    let second = bytes.len().checked_sub(BODY).and_then(|at| bytes.get(at..));
    let second = second.map_or(Err(HeadError::Short), Layout::decode);
    // A copy at the end is of this file only if the file ends there.
    let second = second.and_then(|layout| {
        let is_here = layout.heads().nth(1) == Some(bytes.len() - BODY);
        if is_here { Ok(layout) } else { Err(HeadError::Damaged) }
    });
    let walked = |layout: Layout| (layout, frames::walk(bytes, &layout));
    let mut best = first.ok().filter(|layout| layout.bytes >= bytes.len()).map(walked);
    // Frames of another file in this one do not make it that file when both of its heads say otherwise.
    let is_certain = |layout: &Layout| layout.heads().count() > 1 && second.ok() == Some(*layout);
    let is_doubtful = best.as_ref().is_none_or(|(layout, walk)| {
        walk.frames == 0
            && !is_certain(layout)
            && holds_anything(&bytes[BODY.min(bytes.len())..layout.end().min(bytes.len())])
    });
    let has_lost_second = best
        .as_ref()
        .is_some_and(|(layout, _)| layout.heads().count() > 1 && !is_certain(layout));
    if has_lost_second && !is_doubtful {
        faults.push("the second copy of its head".into());
    }
    if is_doubtful {
        let before = best.as_ref().map(|(layout, _)| *layout);
        let others = [second.ok(), frames::layout_of(bytes)];
        for (layout, walk) in others.into_iter().flatten().map(walked) {
            if best.as_ref().is_none_or(|(_, other)| walk.frames > other.frames) {
                best = Some((layout, walk));
            }
        }
        if before.is_none() || best.as_ref().map(|(layout, _)| *layout) != before {
            let is_lost = best
                .as_ref()
                .is_some_and(|(layout, _)| first.ok() != Some(*layout) && second.ok() != Some(*layout));
            faults.push(if is_lost { BOTH_HEADS.into() } else { "its head".into() });
        }
    }
    match best {
        Some((layout, walk)) if walk.frames > 0 || first.is_ok() || second.is_ok() => Ok((layout, walk)),
        _ if bytes.len() <= BODY => Err(HeadError::Short),
        _ => Err(first.err().unwrap_or(HeadError::Damaged)),
    }
}

/// The control: of each sink's checkpoint the copy that is whole, and the marks.
fn control(bytes: &[u8], layout: &Layout, faults: &mut Vec<String>) -> Vec<u8> {
    let mut control = vec![0; layout.control_bytes()];
    control[..HEAD_BYTES].copy_from_slice(&layout.encode());
    let copies = layout
        .heads()
        .filter_map(|at| bytes.get(at..at + BODY))
        .collect::<Vec<_>>();
    for slot in 0..SLOTS_MAX {
        let (from, to) = (slot_at(slot), slot_at(slot) + NAME_BYTES + 8);
        let whole = copies
            .iter()
            .filter_map(|copy| Some((offset_in(copy, layout, slot)?, &copy[from..to])));
        if let Some((_, slot)) = whole.max_by_key(|(offset, _)| *offset) {
            control[from..to].copy_from_slice(slot);
        }
        if copies.iter().any(|copy| copy[from..to] != control[from..to]) {
            faults.push(format!("checkpoint {slot} in a copy of its head"));
        }
    }
    let ends = copies.iter().filter_map(|copy| layout.end_in(word_in(copy, END_AT)));
    if let Some(end) = ends.max() {
        control[END_AT..END_AT + 8].copy_from_slice(&layout.end_word(end).to_le_bytes());
    }
    let (from, to) = (layout.marks_at(), layout.marks_at() + layout.marks_bytes());
    let there = to.min(bytes.len());
    if from < there {
        control[BODY..BODY + there - from].copy_from_slice(&bytes[from..there]);
    }
    let word = |at: usize| word_in(&control, at);
    let damaged: usize = (0..layout.marked)
        .map(|slot| layout.damaged_marks(&name_in(&control, slot), slot, word))
        .sum();
    if damaged > 0 {
        faults.push(format!("{damaged} words of its marks"));
    }
    control
}

/// A word of a control, or of the first page of a file.
pub(super) fn word_in(control: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(*control[at..].first_chunk().expect("inside of the control"))
}

/// A sink's name in a first page.
pub(super) fn name_in(page: &[u8], slot: usize) -> Name {
    *page[slot_at(slot)..].first_chunk().expect("inside of the first page")
}

/// What a copy of the first page says of a sink, if it is what was written.
pub(super) fn offset_in(page: &[u8], layout: &Layout, slot: usize) -> Option<u64> {
    let name = name_in(page, slot);
    let value = u64::from_le_bytes(*page[checkpoint_at(slot)..].first_chunk()?);
    if name == [0; NAME_BYTES] {
        return None;
    }
    layout.acknowledged(&name, slot, value)
}

impl Read {
    fn records(&mut self, bytes: &[u8]) {
        for extent in &self.found.walk.extents {
            let mut place = extent.start;
            while place < extent.end {
                let Ok(length) = frames::frame(bytes, 0, place, &self.found.layout) else {
                    break;
                };
                self.places.push(place);
                if let Ok(record) = parse(&bytes[place..place + length]) {
                    self.models.insert(record.model_number);
                    self.latest = self.latest.max(Some(record.record_id));
                }
                place += length;
            }
        }
    }

    /// A checkpoint that is no place at which a record begins or ends says nothing: all comes again, for twice is
    /// better than never.
    fn check_checkpoints(&mut self) {
        let (layout, walk) = (self.found.layout, &self.found.walk);
        for slot in 0..SLOTS_MAX {
            let Some(offset) = offset_in(&self.found.control, &layout, slot) else {
                continue;
            };
            let place = usize::try_from(offset).unwrap_or(usize::MAX);
            let is_place = place <= BODY
                || self.places.binary_search(&place).is_ok()
                || walk.extents.iter().any(|extent| extent.end == place);
            if offset != ALL && !is_place {
                let name = name_in(&self.found.control, slot);
                let value = layout.checkpoint(&name, slot, BODY as u64);
                self.found.control[checkpoint_at(slot)..][..8].copy_from_slice(&value.to_le_bytes());
                self.faults.push(format!("the checkpoint of {}", text_of(&name)));
            }
        }
    }
}

#[cfg(test)]
#[path = "recover_tests.rs"]
mod tests;
