//! The two threads that keep segments: one makes them ready before a shard needs them, the other syncs those that are
//! full. Both wait for a disk and hold nothing meanwhile that anybody else waits for.
//!
//! ```text
//!  keeper: reserve, map, populate, zero, publish ──ready──▶ shard       every 5 ms, two ahead
//!     ▲  finished by all sinks: used again                    │ sealed
//!     └──────────────── cursors ◀── readers                   ▼
//!                                             syncer: fdatasync, never of the active one
//! ```

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crossbeam_channel::{Receiver, Sender};
use rustix::fs::{FallocateFlags, fallocate};

use super::map::Map;
use super::segment::{Segment, Use};
use super::shared::Shared;

/// Segments that are ready for a shard beside the one it writes to. At the rate of the fastest shard each lasts about
/// a tenth of a second.
pub(super) const READY: usize = 2;

/// How often the keeper looks.
const TICK: Duration = Duration::from_millis(5);

/// Between two attempts at a disk that fails.
const PAUSE: Duration = Duration::from_millis(200);

/// Between two log lines about it.
const LOG_EVERY: Duration = Duration::from_secs(1);

/// Makes segments ready.
#[derive(Debug)]
pub(super) struct Keeper {
    shared: Arc<Shared>,
    /// One for each shard.
    ready: Vec<rtrb::Producer<Arc<Segment>>>,
    to_sync: Sender<Arc<Segment>>,
    next_file: u64,
    failures: u64,
    /// A shard has nothing ready, for the spool is at its limit.
    is_full: bool,
    retry_at: Option<Instant>,
    logged: Option<Instant>,
}

/// There is no more room by the spool's own limit.
#[derive(Debug)]
struct AtLimit;

impl Keeper {
    pub(super) fn new(
        shared: Arc<Shared>,
        ready: Vec<rtrb::Producer<Arc<Segment>>>,
        to_sync: Sender<Arc<Segment>>,
        next_file: u64,
    ) -> Self {
        Self {
            shared,
            ready,
            to_sync,
            next_file,
            failures: 0,
            is_full: false,
            retry_at: None,
            logged: None,
        }
    }

    /// Keeps until the spool closes.
    pub(super) fn run(mut self) {
        while !self.shared.is_closing.load(Ordering::Acquire) {
            self.sync_sealed();
            if self.retry_at.is_none_or(|at| at <= Instant::now()) {
                let result = self.fill();
                self.note(result);
            }
            self.trim();
            std::thread::sleep(TICK);
        }
    }

    fn note(&mut self, result: io::Result<()>) {
        let now = Instant::now();
        match result {
            Ok(()) => {
                if self.is_full && self.may_log(now) {
                    let (path, bytes) = (self.shared.folder.display(), self.shared.bytes_max);
                    tracing::warn!(%path, bytes, "the spool is full: sinks have to deliver before more is recorded");
                }
                if std::mem::take(&mut self.failures) > 0 {
                    tracing::info!(path = %self.shared.folder.display(), "the spool can be extended again");
                }
                self.retry_at = None;
            }
            Err(error) => {
                self.failures += 1;
                self.shared.errors.fetch_add(1, Ordering::Relaxed);
                self.retry_at = Some(now + PAUSE);
                if self.may_log(now) {
                    tracing::error!(path = %self.shared.folder.display(), %error, "the spool cannot be extended");
                }
            }
        }
    }

    fn may_log(&mut self, now: Instant) -> bool {
        let may = self.logged.is_none_or(|last| now.duration_since(last) >= LOG_EVERY);
        if may {
            self.logged = Some(now);
        }
        may
    }

    /// Gives every shard what it may have ready, one at a time.
    ///
    /// # Errors
    /// What the file system refused. The limit of bytes is no error: shards answer 503 until sinks have delivered.
    pub(super) fn fill(&mut self) -> io::Result<()> {
        for _ in 0..READY {
            for shard in 0..self.ready.len() {
                if self.ready[shard].slots() == 0 {
                    continue;
                }
                match self.next(shard)? {
                    Ok(segment) => {
                        self.shared.publish(&segment);
                        let _ = self.ready[shard].push(segment);
                    }
                    Err(AtLimit) => {
                        self.is_full = self.ready[shard].slots() == READY;
                        return Ok(());
                    }
                }
            }
        }
        self.is_full = false;
        let waiting = self.ready.iter().map(|ring| READY - ring.slots()).sum();
        self.shared.ready.store(waiting, Ordering::Relaxed);
        Ok(())
    }

    fn next(&mut self, shard: usize) -> io::Result<Result<Arc<Segment>, AtLimit>> {
        let serial = {
            let mut state = self.shared.state();
            state.serial += 1;
            state.serial
        };
        let (map, file, path) = match self.used() {
            Some(segment) => (segment.map, segment.file, segment.path),
            None => match self.create()? {
                Ok(parts) => parts,
                Err(limit) => return Ok(Err(limit)),
            },
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let wanted = Use {
            serial,
            tag: tag(serial),
            shard: u16::try_from(shard).unwrap_or(u16::MAX),
            now_us: i64::try_from(now.as_micros()).unwrap_or(i64::MAX),
            sinks: &self.shared.sinks,
        };
        Ok(Ok(Arc::new(Segment::prepare(map, file, path, &wanted))))
    }

    /// A segment that nobody has any more: not the shard that wrote it, not a cursor.
    fn used(&self) -> Option<Segment> {
        let mut state = self.shared.state();
        let wanted =
            |segment: &Arc<Segment>| Arc::strong_count(segment) == 1 && segment.map.len() == self.shared.segment_bytes;
        let place = state.finished.iter().position(wanted)?;
        Arc::into_inner(state.finished.swap_remove(place))
    }

    fn create(&mut self) -> io::Result<Result<(Map, File, PathBuf), AtLimit>> {
        let len = self.shared.segment_bytes;
        {
            let mut state = self.shared.state();
            if state.bytes + len > self.shared.bytes_max {
                return Ok(Err(AtLimit));
            }
            state.bytes += len;
        }
        self.next_file += 1;
        let path = self.shared.folder.join(format!("{:08}.segment", self.next_file));
        let result = create(&path, len);
        if result.is_err() {
            self.shared.state().bytes -= len;
            let _ = fs::remove_file(&path);
        }
        let (file, map) = result?;
        Ok(Ok((map, file, path)))
    }

    /// Hands over what shards have filled.
    fn sync_sealed(&self) {
        let mut state = self.shared.state();
        for live in state.live.values_mut().filter(|live| !live.is_synced) {
            if live.segment.is_sealed() {
                live.is_synced = self.to_sync.try_send(Arc::clone(&live.segment)).is_ok();
            }
        }
    }

    /// Removes files that are of no use: of another size, or more than the shards take at once.
    fn trim(&self) {
        let spare_max = self.ready.len();
        let mut removed = Vec::new();
        {
            let mut state = self.shared.state();
            let mut place = 0;
            let mut spare = 0;
            while place < state.finished.len() {
                let segment = &state.finished[place];
                let is_free = Arc::strong_count(segment) == 1;
                let is_spare = segment.map.len() == self.shared.segment_bytes && spare < spare_max;
                if !is_free || is_spare {
                    spare += usize::from(is_spare);
                    place += 1;
                    continue;
                }
                state.bytes -= segment.map.len();
                removed.push(state.finished.swap_remove(place));
            }
        }
        for segment in removed {
            remove(&segment);
        }
    }
}

/// Takes a file away. What fails here only leaves a file whose records are delivered; a sink's checkpoint says so.
pub(super) fn remove(segment: &Segment) {
    if let Err(error) = fs::remove_file(&segment.path) {
        tracing::warn!(path = %segment.path.display(), %error, "cannot remove a segment that is delivered");
    }
}

/// Syncs full segments until the keeper is gone.
pub(super) fn sync(shared: &Shared, sealed: &Receiver<Arc<Segment>>) {
    for segment in sealed {
        if let Err(error) = segment.file.sync_data() {
            shared.errors.fetch_add(1, Ordering::Relaxed);
            tracing::error!(path = %segment.path.display(), %error, "cannot sync a segment; it is kept in memory and delivered");
        }
    }
}

fn create(path: &std::path::Path, len: usize) -> io::Result<(File, Map)> {
    let file = File::options().read(true).write(true).create_new(true).open(path)?;
    fallocate(&file, FallocateFlags::empty(), 0, len as u64)?;
    let map = Map::new(&file, len)?;
    map.populate()?;
    Ok((file, map))
}

/// What sets the frames of a generation apart from those before it in the same file.
fn tag(serial: u64) -> u32 {
    // The finaliser of MurmurHash3: every serial has another tag, and neighbours have nothing in common.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "serials below 2^32 stay apart, later ones by the upper half"
    )]
    let mut tag = (serial ^ serial >> 32) as u32;
    tag ^= tag >> 16;
    tag = tag.wrapping_mul(0x85EB_CA6B);
    tag ^= tag >> 13;
    tag = tag.wrapping_mul(0xC2B2_AE35);
    tag ^ tag >> 16
}
