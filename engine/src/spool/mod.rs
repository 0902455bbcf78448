//! Between the shards and the sinks: every record that was answered, until each sink has it, in files that survive the
//! death of the process at any instant.
//!
//! ```text
//!              ready, two ahead                     ┌─▶ Cursor of parquet    reads, delivers, acknowledges
//!  keeper ───────────────────▶ shard: Writer ──▶ segment (a mapped file of 8 MiB)
//!     ▲                                             └─▶ Cursor of firehose   at its own pace
//!     └── used again when every sink has acknowledged all of it
//! ```
//! [`writer`] has what a shard calls: copy, one Release store, no system call. [`segment`] is a file's layout, with every
//! sink's checkpoint in its head; [`protocol`] is the lock-free part; [`recover`] finds what another process has left.
//!
//! What is promised: a record that was appended is read by every cursor, now or after a restart, unless the folder is
//! lost or the machine goes down before the kernel has written the pages (a full segment is synced, the one that is
//! being written is not). It may be read twice across a crash. A record that was not appended to its end is never read.
//!
//! This module knows no sink.

mod cursor;
mod inspect;
mod keeper;
mod map;
mod protocol;
mod recover;
mod schemas;
mod segment;
mod shared;
mod writer;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

pub use self::cursor::{Cursor, Item};
pub use self::inspect::{Inspected, Seen, inspect};
pub use self::recover::Found;
pub use self::schemas::Schemas;
pub use self::writer::{Full, Writer};

use self::keeper::{Keeper, READY};
use self::segment::{BODY, SLOTS_MAX, mark_bytes};
use self::shared::Shared;

/// Bytes of a segment, unless the limit of the spool asks for smaller ones. The fastest shard fills one in a tenth of a
/// second; larger ones take longer to make ready and pin more memory.
const SEGMENT_BYTES: usize = 8 << 20;

/// Below this a segment is mostly head.
const SEGMENT_BYTES_MIN: usize = 64 << 10;

/// The least that a shard needs: the one it writes to, those that are ready, and one that waits to be delivered.
const SEGMENTS_PER_SHARD: usize = 2 + READY;

/// Segments given to be synced at once. Beyond it they wait a tick.
const TO_SYNC: usize = 16;

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
    /// Bytes of the largest record.
    pub record_bytes_max: usize,
}

/// Why a spool cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// Another process has it.
    #[error(
        "the spool {0} is in use by another process; give each process its own with records.spool_dir, or stop the other"
    )]
    InUse(PathBuf),
    /// A file system that cannot promise room.
    #[error(
        "the file system of the spool {path} cannot reserve room for a file (fallocate: {source}); \
         put it on ext4, xfs or tmpfs with records.spool_dir"
    )]
    CannotReserve {
        /// The spool.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// Too little room for the shards.
    #[error(
        "a spool of {bytes_max} bytes is too small for {shards} shards whose records take up to {record_bytes} bytes; \
         records.spool_bytes must be at least {needed}"
    )]
    TooSmall {
        /// `records.spool_bytes`.
        bytes_max: usize,
        /// How many shards.
        shards: usize,
        /// Bytes of the largest record.
        record_bytes: usize,
        /// What would do.
        needed: usize,
    },
    /// More sinks than a segment has checkpoints for.
    #[error("{0} sinks are more than the {SLOTS_MAX} that a spool has room for")]
    Sinks(usize),
    /// Anything else.
    #[error("{step} {path}: {source}")]
    File {
        /// What was attempted.
        step: &'static str,
        /// On what.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
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
    found: Found,
    /// Released when it is closed.
    _lock: File,
}

/// What is left in a spool that was closed: records that a sink has not acknowledged, by sink.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Remains {
    /// For each sink that has some.
    pub records: HashMap<&'static str, u64>,
    /// Segments that were kept for them.
    pub segments: usize,
}

impl Spool {
    /// Opens a folder, finds what another process has left in it, and makes the first segments ready.
    ///
    /// # Errors
    /// Whatever would keep records from being kept, found before anything is served.
    pub fn open(options: Options) -> Result<(Self, Vec<Writer>), SpoolError> {
        let folder = &options.folder;
        if options.sinks.len() > SLOTS_MAX {
            return Err(SpoolError::Sinks(options.sinks.len()));
        }
        let segment_bytes = segment_bytes(&options)?;
        fs::create_dir_all(folder).map_err(at("create the spool's folder", folder))?;
        let lock = lock(folder)?;
        let schemas = Schemas::open(folder).map_err(at("read the models of the spool", folder))?;
        let shared = Arc::new(Shared {
            folder: folder.clone(),
            sinks: options.sinks,
            schemas,
            segment_bytes,
            bytes_max: options.bytes_max,
            writers: Default::default(),
            has_ended: Default::default(),
            version: Default::default(),
            state: Default::default(),
            is_closing: Default::default(),
            errors: Default::default(),
            ready: Default::default(),
        });
        let found = recover::recover(&shared)?;
        let (mut inlets, mut writers) = (Vec::new(), Vec::new());
        for _ in 0..options.shards {
            let (inlet, outlet) = rtrb::RingBuffer::new(READY);
            inlets.push(inlet);
            writers.push(Writer::new(Arc::clone(&shared), outlet));
        }
        let (to_sync, sealed) = crossbeam_channel::bounded(TO_SYNC);
        let mut keeper = Keeper::new(Arc::clone(&shared), inlets, to_sync, found.last_file);
        keeper.fill().map_err(|source| refused(&shared.folder, source))?;
        let for_sync = Arc::clone(&shared);
        let threads = vec![
            spawn("spool", folder, move || keeper.run())?,
            spawn("spool-sync", folder, move || keeper::sync(&for_sync, &sealed))?,
        ];
        let spool = Self {
            shared,
            threads,
            found,
            _lock: lock,
        };
        Ok((spool, writers))
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.shared.folder
    }

    /// What was found at the start.
    #[must_use]
    pub fn found(&self) -> &Found {
        &self.found
    }

    /// What records' models are called by number.
    #[must_use]
    pub fn schemas(&self) -> &Schemas {
        &self.shared.schemas
    }

    /// Bytes of the largest record that fits into a file.
    #[must_use]
    pub fn record_bytes_max(&self) -> usize {
        self.shared.segment_bytes - BODY - protocol::SEAL_BYTES
    }

    /// A cursor for each sink, in their order. To be taken once.
    #[must_use]
    pub fn cursors(&self) -> Vec<Cursor> {
        let cursor = |sink| Cursor::new(Arc::clone(&self.shared), sink);
        (0..self.shared.sinks.len()).map(cursor).collect()
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

    /// Ends the threads, removes what is delivered, and syncs what is not. Writers and cursors must have ended.
    pub fn close(mut self) -> Remains {
        self.end_threads();
        let mut remains = Remains::default();
        let state = std::mem::take(&mut *self.shared.state());
        for segment in &state.finished {
            keeper::remove(segment);
        }
        for live in state.live.values() {
            let segment = &live.segment;
            let left = recover::left(segment, &self.shared.sinks);
            if left.iter().all(|&(_, records)| records == 0) {
                keeper::remove(segment);
                continue;
            }
            remains.segments += 1;
            for (sink, records) in left.into_iter().filter(|(_, records)| *records > 0) {
                *remains.records.entry(sink).or_default() += records;
            }
            if let Err(error) = segment.file.sync_data() {
                tracing::error!(path = %segment.path.display(), %error, "cannot sync a segment");
            }
        }
        remains
    }

    fn end_threads(&mut self) {
        self.shared.is_closing.store(true, Ordering::Release);
        for thread in std::mem::take(&mut self.threads) {
            if thread.join().is_err() {
                tracing::error!("a thread of the spool panicked");
            }
        }
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        // Before the lock goes: another process may come at once.
        self.end_threads();
    }
}

/// Looks at a spool from outside, for metrics and counts.
#[derive(Debug, Clone)]
pub struct Gauges(Arc<Shared>);

impl Gauges {
    /// Records appended since the start.
    #[must_use]
    pub fn appended(&self) -> u64 {
        self.0.appended()
    }

    /// Bytes of all files.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.state().bytes
    }

    /// Bytes that all files may have.
    #[must_use]
    pub fn bytes_max(&self) -> usize {
        self.0.bytes_max
    }

    /// Segments that hold something for a sink, or are about to.
    #[must_use]
    pub fn segments(&self) -> usize {
        self.0.state().live.len()
    }

    /// Segments that wait for a shard to need them.
    #[must_use]
    pub fn ready(&self) -> usize {
        self.0.ready.load(Ordering::Relaxed)
    }

    /// Attempts at the disk that failed.
    #[must_use]
    pub fn errors(&self) -> u64 {
        self.0.errors.load(Ordering::Relaxed)
    }
}

fn lock(folder: &Path) -> Result<File, SpoolError> {
    let path = folder.join("lock");
    let mut options = File::options();
    let file = options.create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(at("open the lock of the spool", &path))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(Errno::WOULDBLOCK) => Err(SpoolError::InUse(folder.to_path_buf())),
        Err(error) => Err(at("lock the spool", &path)(error.into())),
    }
}

fn refused(folder: &Path, source: io::Error) -> SpoolError {
    match Errno::from_io_error(&source) {
        Some(Errno::OPNOTSUPP | Errno::NOSYS) => SpoolError::CannotReserve {
            path: folder.to_path_buf(),
            source,
        },
        _ => at("reserve room in the spool", folder)(source),
    }
}

/// The largest power of two of which every shard may have enough.
fn segment_bytes(options: &Options) -> Result<usize, SpoolError> {
    let shards = options.shards.max(1);
    let record_bytes = options.record_bytes_max;
    let each = options.bytes_max / (shards * SEGMENTS_PER_SHARD);
    let power = 1 << each.checked_ilog2().unwrap_or(0);
    let bytes = SEGMENT_BYTES.min(power);
    let frames = record_bytes + BODY + 4096;
    // Of a segment of up to twice that.
    let marks = options.sinks.len() * mark_bytes(2 * frames);
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
