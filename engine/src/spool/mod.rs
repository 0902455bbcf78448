//! The spool stands between the shards and the sinks. It keeps every answered record until each sink has it: in memory
//! that survives the death of the process at any instant, and in files.
//!
//! ```text
//!              ready, two ahead
//!  spool ───────────────────▶ shard: Writer ──▶ slot: memory that the keeper process shares ──▶ Cursor of each sink
//!    │                                            │ a millisecond or so behind                     ▲
//!    └── everything that waits for a disk ────────┴──▶ file of the segment ── once memory is given ─┘
//!                                                                             back
//! ```
//! [`writer`] has what a shard calls: copy, one Release store, no system call. [`arena`] is the memory, [`disk`] the
//! thread that copies it to the files, [`keeper`] the process that does so when this one has died. [`layout`] describes
//! a file, [`segment`] is a file in use, [`protocol`] the lock-free part; [`recover`] finds the records that another
//! process has left.
//!
//! `docs/records.md` states the guarantee, with a row and a test for each event; `docs/architecture.md` explains the
//! layout. This module knows no sink.

mod arena;
mod close;
mod cursor;
mod disk;
mod error;
mod folder;
mod folder_watch;
mod frames;
mod gauges;
mod inspect;
mod keeper;
mod layout;
mod observer;
mod protocol;
mod recover;
mod schemas;
mod segment;
mod shared;
mod standing;
mod waiting;
mod writer;

#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use rustix::io::Errno;

pub use self::close::LeftoverRecords;
pub use self::cursor::{Cursor, Item};
pub use self::error::SpoolError;
pub use self::gauges::Gauges;
pub use self::inspect::{Inspected, Seen, inspect};
pub use self::keeper::keep_if_asked;
pub use self::observer::Observer;
pub use self::recover::Found;
pub use self::schemas::Schemas;
pub use self::writer::{SpoolFullError, Writer};

use self::arena::{Arena, Plan};
use self::disk::{Disk, READY};
use self::folder::Folder;
use self::layout::{BODY, SLOTS_MAX, room};
use self::shared::Shared;

/// Bytes of a segment, unless the limit of the spool or of memory asks for smaller ones. The fastest shard fills one in
/// a tenth of a second; larger ones take longer to make ready and more memory.
const SEGMENT_BYTES: usize = 8 << 20;

/// Below this a segment is mostly head.
const SEGMENT_BYTES_MIN: usize = 64 << 10;

/// The least that a shard needs: the one it writes to, those that are ready, and one that waits to be delivered.
const SEGMENTS_PER_SHARD: usize = 2 + READY;

/// Segments of a shard that are in memory at once: the one it writes to, those that are ready, and two that are full
/// and not yet in their files.
const SLOTS_PER_SHARD: usize = 3 + READY;

/// The part of the process's memory that slots may take: one byte in this many.
const MEMORY_PART: usize = 8;

/// Segments beyond those that the limit of bytes allows that may be known at once: what is being removed.
const ENTRIES_SPARE: usize = 64;

/// What a spool is opened with.
#[derive(Debug, Clone)]
pub struct Options {
    /// Its folder: one process, one folder.
    pub folder: PathBuf,
    /// Bytes of all its files.
    pub bytes_max: usize,
    /// How many writers.
    pub shards: usize,
    /// Names of the sinks, in the order of the cursors.
    pub sinks: Vec<&'static str>,
    /// Sinks that are gone: what still waits for them may be lost.
    pub forget: Vec<&'static str>,
    /// Bytes of the largest record.
    pub record_bytes_max: usize,
    /// Bytes of memory that the process may have; [`usize::MAX`] when nothing limits it.
    pub memory_bytes: usize,
}

fn at<'a>(step: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> SpoolError + use<'a> {
    move |source| SpoolError::File {
        step,
        path: path.to_path_buf(),
        source,
    }
}

/// An open spool: the lock on its folder, its threads, and what its users share.
#[derive(Debug)]
pub struct Spool {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    keepers: keeper::Keepers,
    found: Found,
}

/// Tells the keeper process of models before they are served: when the folder goes and this process dies, the keeper
/// makes the descriptions anew.
#[derive(Debug, Clone)]
pub struct KeeperLink {
    keepers: keeper::Keepers,
    shared: Arc<Shared>,
}

impl KeeperLink {
    /// Tells it of all models that it does not know yet.
    pub fn describe_models(&self) {
        self.keepers.check(&self.shared);
    }
}

impl Spool {
    /// Opens a folder, finds what another process has left in it, and makes the first segments ready.
    ///
    /// # Errors
    /// Any reason why records could not be kept, found before anything is served.
    pub fn open(options: Options) -> Result<(Self, Vec<Writer>), SpoolError> {
        let folder = &options.folder;
        if options.sinks.len() > SLOTS_MAX {
            return Err(SpoolError::Sinks(options.sinks.len()));
        }
        let segment_bytes = segment_bytes(&options)?;
        let taken = Folder::take(folder)?;
        let schemas = Schemas::open(folder).map_err(at("read the models of the spool", folder))?;
        let gathered = recover::gather(&taken, &schemas)?;
        options.refuse_removed_sinks(gathered.left())?;
        let arena = Arena::new(plan(&options, segment_bytes, &gathered)).map_err(|source| SpoolError::Memory {
            path: folder.clone(),
            source,
        })?;
        let shared = Arc::new(Shared::new(taken, arena, schemas, &options, segment_bytes));
        let postponed = gathered.postponed.clone();
        let found = recover::adopt(gathered, &shared)?;
        let (mut inlets, mut writers) = (Vec::new(), Vec::new());
        for _ in 0..options.shards {
            let (inlet, outlet) = rtrb::RingBuffer::new(READY);
            inlets.push(inlet);
            writers.push(Writer::new(Arc::clone(&shared), outlet));
        }
        let (to_sync, sealed) = crossbeam_channel::bounded(disk::TO_SYNC);
        let keepers = keeper::Keepers::default();
        let mut disk = Disk::new(
            Arc::clone(&shared),
            inlets,
            to_sync,
            keepers.clone(),
            found.last_file,
            postponed,
        );
        disk.fill().map_err(|source| refused(folder, source))?;
        keepers.check(&shared);
        let (for_sync, for_watch, watched) = (Arc::clone(&shared), Arc::clone(&shared), keepers.clone());
        let threads = vec![
            spawn("spool", folder, move || disk.run())?,
            spawn("spool-sync", folder, move || disk::sync(&for_sync, &sealed))?,
            spawn("spool-watch", folder, move || folder_watch::run(&for_watch, &watched))?,
        ];
        let spool = Self {
            shared,
            threads,
            keepers,
            found,
        };
        Ok((spool, writers))
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        self.shared.folder().path.clone()
    }

    /// What was found at the start.
    #[must_use]
    pub fn found(&self) -> &Found {
        &self.found
    }

    /// A way to tell the keeper process of models that are registered later.
    #[must_use]
    pub fn keeper_link(&self) -> KeeperLink {
        KeeperLink {
            keepers: self.keepers.clone(),
            shared: Arc::clone(&self.shared),
        }
    }

    /// What records' models are called by number.
    #[must_use]
    pub fn schemas(&self) -> &Schemas {
        &self.shared.schemas
    }

    /// Bytes of the largest record that fits into a file.
    #[must_use]
    pub fn record_bytes_max(&self) -> usize {
        room(self.shared.segment_bytes, self.shared.sinks.len())
    }

    /// A cursor for each sink, in their order. To be taken once.
    #[must_use]
    pub fn cursors(&self) -> Vec<Cursor> {
        let cursor = |sink| Cursor::new(Arc::clone(&self.shared), sink);
        (0..self.shared.sinks.len()).map(cursor).collect()
    }

    /// Reads every record that is made from now on, and holds none of them back.
    #[must_use]
    pub fn observer(&self) -> Observer {
        Observer::new(Arc::clone(&self.shared))
    }

    /// Numbers for the metrics.
    #[must_use]
    pub fn gauges(&self) -> Gauges {
        Gauges(Arc::clone(&self.shared))
    }

    /// Says that no writer will append any more, even if one should still exist.
    pub fn end_writers(&self) {
        self.shared.has_ended.store(true, Ordering::Release);
    }
}

fn refused(folder: &Path, source: io::Error) -> SpoolError {
    match Errno::from_io_error(&source) {
        Some(Errno::NOMEM) => SpoolError::Memory {
            path: folder.to_path_buf(),
            source,
        },
        _ => at("reserve room in the spool", folder)(source),
    }
}

/// What memory has to have room for: also what was found.
fn plan(options: &Options, segment_bytes: usize, gathered: &recover::RecoveredFolder) -> Plan {
    let control = BODY + options.sinks.len() * layout::mark_bytes(segment_bytes, true);
    let slots = options.shards.max(1) * SLOTS_PER_SHARD;
    Plan {
        entries: options.bytes_max / segment_bytes + gathered.len() + slots + ENTRIES_SPARE,
        control_bytes: control.max(gathered.control_bytes()).next_multiple_of(BODY),
        slots,
        slot_bytes: segment_bytes,
    }
}

/// The largest power of two of which every shard may have enough.
fn segment_bytes(options: &Options) -> Result<usize, SpoolError> {
    let shards = options.shards.max(1);
    let record_bytes = options.record_bytes_max;
    let each = options.bytes_max / (shards * SEGMENTS_PER_SHARD);
    let power = 1 << each.checked_ilog2().unwrap_or(0);
    let memory = options.memory_bytes / MEMORY_PART / (shards * SLOTS_PER_SHARD);
    let of_memory = 1 << memory.checked_ilog2().unwrap_or(0);
    let bytes = SEGMENT_BYTES.min(power).min(of_memory);
    let frames = record_bytes + 2 * BODY + 4096;
    // Of a segment of up to twice that.
    let marks = options.sinks.len() * layout::mark_bytes(2 * frames, true);
    let least = (frames + marks).next_power_of_two().max(SEGMENT_BYTES_MIN);
    if bytes >= least {
        return Ok(bytes);
    }
    if power >= least {
        return Ok(least);
    }
    Err(SpoolError::TooSmall {
        bytes_max: options.bytes_max,
        shards: options.shards,
        record_bytes,
        needed: least * shards * SEGMENTS_PER_SHARD,
    })
}

fn spawn(
    name: &'static str,
    folder: &Path,
    body: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>, SpoolError> {
    let thread = std::thread::Builder::new().name(name.into());
    thread.spawn(body).map_err(at("start a thread for the spool", folder))
}
