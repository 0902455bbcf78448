//! A spool as an operator sees it from outside, with or without a running process.
//!
//! Nothing is changed, and files are opened for reading only. The files of a running process lack the records of the
//! last milliseconds. If a process has died, this waits for its keeper process.

use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::folder::{read_whole, wait_for_keeper};
use super::layout::name_of;
use super::recover::{OpenError, Read, names, read_bytes};
use super::{Schemas, SpoolError, at};
use crate::record::{Frame, Schema, parse};

/// A segment as an operator sees it.
#[derive(Debug, Clone, Default)]
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
    file: &'a SegmentFile,
}

/// A file that was read whole.
#[derive(Debug)]
struct SegmentFile {
    path: PathBuf,
    bytes: Vec<u8>,
    read: Read,
}

impl SegmentFile {
    /// The records at their places.
    fn frames(&self) -> impl Iterator<Item = (usize, Frame<'_>)> {
        let at = |&place: &usize| {
            let length = self
                .bytes
                .get(place..)?
                .first_chunk()
                .map(|&word| u32::from_le_bytes(word))?;
            let frame = self.bytes.get(place..place + length as usize)?;
            Some((place, parse(frame).ok()?))
        };
        self.read.places.iter().filter_map(at)
    }
}

impl Seen<'_> {
    /// Whether a sink has not acknowledged it. One that the segment does not know has acknowledged nothing.
    #[must_use]
    pub fn waits_for(&self, sink: &str) -> bool {
        let name = name_of(sink);
        let read = &self.file.read;
        let of = read.checkpoints().find(|(_, other, _)| *other == name);
        of.is_none_or(|of| read.waits(of, self.place))
    }
}

/// Looks at a spool that may be in use. `each` is called with every record that is there and its model, if that is
/// known, oldest segment first, until it has seen enough.
///
/// # Errors
/// A folder that cannot be listed.
pub fn inspect(
    folder: &Path,
    mut each: impl FnMut(&Seen<'_>, Option<&Arc<Schema>>) -> ControlFlow<()>,
) -> Result<Vec<Inspected>, SpoolError> {
    wait_for_keeper(folder);
    let mut models = Models::look(folder)?;
    let mut all = Vec::new();
    for name in names(folder)?.0 {
        let path = folder.join(name);
        match open(&path) {
            Ok(None) => {}
            Ok(Some(read)) => all.push((path, Ok(read.found.layout.serial))),
            Err(error) => all.push((path, Err(error.to_string()))),
        }
    }
    all.sort_by_key(|(_, read)| read.clone().unwrap_or(0));
    let mut segments = Vec::new();
    let mut flow = ControlFlow::Continue(());
    for (path, read) in all {
        if let Err(error) = read {
            let error = Some(error);
            segments.push(Inspected {
                path,
                error,
                ..Inspected::default()
            });
            continue;
        }
        // Read again, so that one file is in memory at a time. Its process may have delivered it in the meantime.
        let Ok(bytes) = read_whole(&path) else { continue };
        let Ok(Some(read)) = read_bytes(&bytes) else { continue };
        let file = SegmentFile { path, bytes, read };
        if flow.is_continue() {
            flow = visit(&file, &mut models, &mut each)?;
        }
        segments.push(describe(&file));
    }
    Ok(segments)
}

/// None for a file that is not in use, or not any more.
fn open(path: &Path) -> Result<Option<Read>, OpenError> {
    match read_whole(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        bytes => Ok(read_bytes(&bytes?)?),
    }
}

fn describe(file: &SegmentFile) -> Inspected {
    let (layout, walk) = (&file.read.found.layout, &file.read.found.walk);
    Inspected {
        path: file.path.clone(),
        serial: layout.serial,
        shard: layout.shard,
        bytes: file.bytes.len(),
        records: walk.frames,
        damaged_bytes: walk.damaged_bytes,
        is_torn: walk.is_torn,
        left: file.read.left(),
        error: None,
    }
}

fn visit(
    file: &SegmentFile,
    models: &mut Models<'_>,
    each: &mut impl FnMut(&Seen<'_>, Option<&Arc<Schema>>) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, SpoolError> {
    for (place, record) in file.frames() {
        let schema = models.find(record.model_number)?;
        let record = &record;
        let seen = Seen { record, place, file };
        if each(&seen, schema.as_ref()).is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}

/// The models of a spool, read again when a record names one that came later.
struct Models<'a> {
    folder: &'a Path,
    schemas: Schemas,
    unknown: Option<u32>,
}

impl<'a> Models<'a> {
    fn look(folder: &'a Path) -> Result<Self, SpoolError> {
        let schemas = Schemas::look(folder).map_err(at("read the models of the spool", folder))?;
        Ok(Self {
            folder,
            schemas,
            unknown: None,
        })
    }

    fn find(&mut self, number: u32) -> Result<Option<Arc<Schema>>, SpoolError> {
        let found = self.schemas.find(number);
        if found.is_some() || self.unknown == Some(number) {
            return Ok(found);
        }
        self.schemas = Self::look(self.folder)?.schemas;
        let found = self.schemas.find(number);
        self.unknown = found.is_none().then_some(number);
        Ok(found)
    }
}
