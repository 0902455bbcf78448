//! A spool as an operator sees it, from outside: of a process that has ended, or of one that runs.
//!
//! Nothing is changed, and files are opened for reading only. Beside a process that runs, a segment may be filled or used
//! again while it is read here: a record is copied before it is checked, so what is seen was written.

use std::fs::File;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::map::Map;
use super::recover::{OpenError, files, left, read_file};
use super::segment::{Segment, Walk};
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
    segment: &'a Segment,
    sinks: &'a [Checkpoint],
}

/// A sink's place in a segment.
#[derive(Debug)]
struct Checkpoint {
    sink: String,
    slot: usize,
    from: usize,
}

impl Seen<'_> {
    /// Whether a sink has not acknowledged it. One that the segment does not know has acknowledged nothing.
    #[must_use]
    pub fn waits_for(&self, sink: &str) -> bool {
        let of = self.sinks.iter().find(|checkpoint| checkpoint.sink == sink);
        of.is_none_or(|of| self.place >= of.from && !self.segment.is_marked(of.slot, self.place))
    }
}

/// Looks at a spool that may be in use. `each` is called with every record that is there and its model, if that is known,
/// oldest segment first, until it has seen enough.
///
/// # Errors
/// A folder that cannot be listed.
pub fn inspect(
    folder: &Path,
    mut each: impl FnMut(&Seen<'_>, Option<&Arc<Schema>>) -> ControlFlow<()>,
) -> Result<Vec<Inspected>, SpoolError> {
    let mut models = Models::look(folder)?;
    let mut all = Vec::new();
    for path in files(folder)? {
        match open(&path) {
            Ok(None) => {}
            Ok(Some((segment, walk))) => all.push((describe(&segment, &walk), Some((segment, walk)))),
            Err(error) => {
                let error = Some(error.to_string());
                let seen = Inspected {
                    path,
                    error,
                    ..Inspected::default()
                };
                all.push((seen, None));
            }
        }
    }
    all.sort_by_key(|(seen, _)| seen.serial);
    let mut segments = Vec::new();
    let mut flow = ControlFlow::Continue(());
    for (seen, read) in all {
        if let Some((segment, walk)) = read {
            if flow.is_continue() {
                flow = visit(&segment, &walk, &mut models, &mut each)?;
            }
            if !segment.is_in_use() {
                // Its process has delivered it meanwhile: what was found of it is no damage.
                continue;
            }
        }
        segments.push(seen);
    }
    Ok(segments)
}

/// None for a file that is not in use, or not any more.
fn open(path: &Path) -> Result<Option<(Segment, Walk)>, OpenError> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    read_file(file, path, Map::look)
}

fn describe(segment: &Segment, walk: &Walk) -> Inspected {
    let names: Vec<String> = segment.sinks().into_iter().map(|(name, _)| name).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let left = left(segment, &names);
    Inspected {
        path: segment.path.clone(),
        serial: segment.serial,
        shard: segment.shard(),
        bytes: segment.map.len(),
        records: walk.frames,
        damaged_bytes: walk.damaged_bytes,
        is_torn: walk.is_torn,
        left: left
            .into_iter()
            .map(|(name, records)| (name.to_owned(), records))
            .collect(),
        error: None,
    }
}

fn visit(
    segment: &Segment,
    walk: &Walk,
    models: &mut Models<'_>,
    each: &mut impl FnMut(&Seen<'_>, Option<&Arc<Schema>>) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, SpoolError> {
    let checkpoint = |(sink, _): (String, u64)| {
        let slot = segment.slot(&sink)?;
        let from = segment.resume(slot);
        Some(Checkpoint { sink, slot, from })
    };
    let sinks: Vec<Checkpoint> = segment.sinks().into_iter().filter_map(checkpoint).collect();
    let mut frame = Vec::new();
    for extent in &walk.extents {
        let mut place = extent.start;
        while place < extent.end && segment.copy_frame(place, &mut frame) {
            if let Ok(record) = parse(&frame) {
                let schema = models.find(record.model)?;
                let (record, sinks) = (&record, &sinks[..]);
                let seen = Seen {
                    record,
                    place,
                    segment,
                    sinks,
                };
                if each(&seen, schema.as_ref()).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
            place += frame.len();
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
