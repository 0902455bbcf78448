//! The spool's own thread: everything that waits for the disk, so that no other thread does.
//!
//! ```text
//!  every 1 to 5 ms   fill   a file for each segment that a shard may need next, and its memory     ──ready──▶ shard
//!                    write  frames and checkpoints that their files have not got; full segments    ──────────▶ spool-sync
//!                    clear  files that every sink has finished
//!  every 0.5 s       watch  is the folder still the one that its path leads to?
//! ```
//! A failure is counted, logged at most once a second, and the step is retried. In the meantime the records are in
//! memory, which the keeper process shares. When the memory of all slots is used up, shards have no free segment, and
//! `when_full` decides.

mod mend;

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};

use super::keeper;
use super::layout::{BODY, Layout};
use super::protocol::SEAL_BYTES;
use super::segment::{Home, Segment, name_of_file};
use super::shared::Shared;
use super::writer::Ready;
use crate::clock::unix_us;
use crate::log_limiter::LogLimiter;

/// Segments that are ready for a shard beside the one it writes to. At the rate of the fastest shard each lasts about
/// a tenth of a second.
pub(super) const READY: usize = 2;

/// Between two looks: the first while there is something to write, the second while there is not.
const TICK: Duration = Duration::from_millis(1);
const TICK_IDLE: Duration = Duration::from_millis(5);

/// Between two looks at the folder.
const WATCH: Duration = Duration::from_millis(500);

/// Between two attempts at a disk that fails.
const PAUSE: Duration = Duration::from_millis(200);

/// How long the end waits for a disk that refuses what is left.
const LAST: Duration = Duration::from_secs(2);

/// Full segments that are given to be synced at once. Beyond it they wait a tick.
pub(super) const TO_SYNC: usize = 16;

/// A file to be synced, and where it is.
pub(super) type ToSync = (Arc<File>, PathBuf);

/// The thread `spool`: writes records to files, frees files, and makes room.
#[derive(Debug)]
pub(super) struct Disk {
    shared: Arc<Shared>,
    /// One for each shard.
    ready: Vec<rtrb::Producer<Ready>>,
    to_sync: Sender<ToSync>,
    keepers: keeper::Keepers,
    next_file: u64,
    segments: Vec<Arc<Segment>>,
    seen_version: Option<u64>,
    /// Files that could not be read at the start.
    postponed: Vec<PathBuf>,
    /// At the last look, the folder could not be written to. With nothing to write, nothing else says so.
    is_refused: bool,
    /// A shard has nothing ready, because the spool is at its limit.
    is_full: bool,
    watch_at: Instant,
    retry_at: Option<Instant>,
    failures: u64,
    log: LogLimiter,
}

/// Why there is no further segment, without anything having failed.
#[derive(Debug, PartialEq)]
enum NoMore {
    /// The spool's own limit.
    Bytes,
    /// All slots are used: the disk is behind.
    Memory,
}

impl Disk {
    pub(super) fn new(
        shared: Arc<Shared>,
        ready: Vec<rtrb::Producer<Ready>>,
        to_sync: Sender<ToSync>,
        keepers: keeper::Keepers,
        last_file: u64,
        postponed: Vec<PathBuf>,
    ) -> Self {
        Self {
            shared,
            ready,
            to_sync,
            keepers,
            next_file: last_file,
            segments: Vec::new(),
            seen_version: None,
            postponed,
            is_refused: false,
            is_full: false,
            watch_at: Instant::now() + WATCH,
            retry_at: None,
            failures: 0,
            log: LogLimiter::default(),
        }
    }

    /// Works until the spool closes, and then until everything is in its file or the disk refuses it.
    pub(super) fn run(mut self) {
        self.shared.disk_thread.is_here();
        while !self.shared.is_closing.load(Ordering::Acquire) {
            let has_written = self.step();
            std::thread::sleep(if has_written { TICK } else { TICK_IDLE });
        }
        let until = Instant::now() + LAST;
        let (mut is_first, mut is_lost) = (true, false);
        loop {
            self.shared.steps.fetch_add(1, Ordering::Release);
            // The folder may have gone since the last look: what is written to it then is nowhere.
            if is_first || is_lost {
                self.watch();
            }
            is_first = false;
            is_lost = self.shared.is_lost.load(Ordering::Relaxed);
            let written = self.write().and_then(|written| self.clear().map(|()| written));
            self.shared.steps.fetch_add(1, Ordering::Release);
            match written {
                Ok(_) if is_lost && Instant::now() < until => std::thread::sleep(PAUSE),
                Ok(false) => break,
                Ok(true) => {}
                Err(_) if Instant::now() < until => std::thread::sleep(TICK_IDLE),
                Err(error) => {
                    self.note(Err(error));
                    break;
                }
            }
        }
    }

    fn step(&mut self) -> bool {
        self.shared.steps.fetch_add(1, Ordering::Release);
        let now = Instant::now();
        if self.watch_at <= now {
            self.watch_at = now + WATCH;
            self.watch();
            self.try_postponed();
        }
        let mut has_written = false;
        if !self.shared.is_lost.load(Ordering::Relaxed) && self.retry_at.is_none_or(|at| at <= now) {
            // What was recorded comes before room for more.
            let written = self.write();
            has_written = written.as_ref().is_ok_and(|&has_written| has_written);
            let result = written.and_then(|_| self.clear()).and_then(|()| self.fill());
            self.note(result);
        }
        self.shared.steps.fetch_add(1, Ordering::Release);
        has_written
    }

    fn note(&mut self, result: io::Result<()>) {
        let now = Instant::now();
        let path = self.shared.folder().path.display().to_string();
        match result {
            Ok(()) => {
                if self.is_full && self.log.may_log(now) {
                    let bytes = self.shared.bytes_max;
                    tracing::warn!(%path, bytes, "the spool is full: sinks have to deliver before more is recorded");
                }
                self.retry_at = None;
                if self.is_refused {
                    return;
                }
                if std::mem::take(&mut self.failures) > 0 {
                    tracing::info!(%path, "the spool can be written again");
                }
                self.shared.is_failing.store(false, Ordering::Relaxed);
            }
            Err(error) => {
                self.failures += 1;
                self.shared.count_error();
                self.shared.is_failing.store(true, Ordering::Relaxed);
                self.retry_at = Some(now + PAUSE);
                if self.log.may_log(now) {
                    tracing::error!(%path, %error, "the spool cannot be written; records are kept in memory and tried again");
                }
                // It may be another folder by now.
                self.watch_at = self.watch_at.min(now + PAUSE);
            }
        }
    }

    // Room for more.

    /// Gives every shard what it may have ready, one at a time.
    ///
    /// # Errors
    /// What the file system refused. The limit of bytes is no error: shards answer 503 until sinks have delivered.
    pub(super) fn fill(&mut self) -> io::Result<()> {
        self.is_full = false;
        for _ in 0..READY {
            for shard in 0..self.ready.len() {
                if self.ready[shard].slots() == 0 {
                    continue;
                }
                match self.next(shard)? {
                    Ok(ready) => {
                        self.shared.publish(&ready.segment);
                        let _ = self.ready[shard].push(ready);
                    }
                    Err(why) => {
                        self.is_full = why == NoMore::Bytes && self.ready[shard].slots() == READY;
                        self.count_ready();
                        return Ok(());
                    }
                }
            }
        }
        self.count_ready();
        Ok(())
    }

    fn count_ready(&self) {
        let waiting = self.ready.iter().map(|ring| READY - ring.slots()).sum();
        self.shared.ready.store(waiting, Ordering::Relaxed);
    }

    fn next(&mut self, shard: usize) -> io::Result<Result<Ready, NoMore>> {
        let bytes = self.shared.segment_bytes;
        let (Some(slot), Some(entry)) = (self.shared.arena.take_slot(), self.shared.arena.take_entry()) else {
            return Ok(Err(NoMore::Memory));
        };
        if let Err(error) = slot.piece.populate(BODY, bytes) {
            self.shared.arena.release(&entry);
            return Err(error);
        }
        {
            let mut state = self.shared.state();
            if state.bytes + bytes > self.shared.bytes_max {
                self.shared.arena.release(&entry);
                return Ok(Err(NoMore::Bytes));
            }
            state.bytes += bytes;
        }
        let home = match self.create(bytes) {
            Ok(home) => home,
            Err(error) => {
                self.shared.state().bytes -= bytes;
                self.shared.arena.release(&entry);
                return Err(error);
            }
        };
        let order = self.shared.next_order();
        let layout = Layout::new(
            order,
            bytes,
            u16::try_from(shard).unwrap_or(u16::MAX),
            unix_us(),
            self.shared.sinks.len(),
        );
        #[expect(unsafe_code, reason = "see `Piece::zero`")]
        // SAFETY: a slot that was taken has no other owner.
        unsafe {
            slot.piece.zero(BODY, layout.end() + SEAL_BYTES);
        }
        let slot = Arc::new(slot);
        let segment = Segment::new(layout, order, entry, Arc::clone(&slot), home, &self.shared.sinks);
        let segment = Arc::new(segment);
        Ok(Ok(Ready { segment, slot }))
    }

    /// Makes a file under a name that no file has.
    fn create(&mut self, bytes: usize) -> io::Result<Home> {
        let folder = self.shared.folder();
        loop {
            self.next_file += 1;
            let name = name_of_file(self.next_file);
            match folder.create(&name, bytes) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                file => {
                    let file = Some(Arc::new(file?));
                    return Ok(Home { folder, name, file });
                }
            }
        }
    }

    // What was recorded.

    /// Writes what the files have not got, and says whether there was anything.
    fn write(&mut self) -> io::Result<bool> {
        let version = self.shared.version.load(Ordering::Acquire);
        if self.seen_version != Some(version) {
            self.seen_version = Some(version);
            self.segments = self.shared.segments_after(None);
        }
        let (mut has_written, mut error) = (false, None);
        for segment in &self.segments {
            match segment.write() {
                Ok(wrote) => has_written |= wrote,
                // The others may be in a better place.
                Err(new) => error = Some(new),
            }
        }
        if let Some(error) = error {
            return Err(error);
        }
        self.give_back()?;
        Ok(has_written)
    }

    /// Lets go of the memory of what is in its file, if the file is where the next process will look for it.
    fn give_back(&mut self) -> io::Result<()> {
        let mut folder = None;
        for segment in &self.segments {
            if !segment.is_sealed() || !segment.is_written() {
                continue;
            }
            let Some(file) = segment.home().file else { continue };
            let is_there = file
                .metadata()
                .is_ok_and(|metadata| std::os::unix::fs::MetadataExt::nlink(&metadata) > 0);
            let looked = folder.get_or_insert_with(|| self.shared.folder().look());
            if !is_there || looked.is_err() {
                self.watch_at = Instant::now();
                return Ok(());
            }
            if segment.has_slot() && !segment.give_back() {
                continue;
            }
            if self.to_sync.try_send((file, segment.path())).is_ok() {
                segment.close_file();
            }
        }
        Ok(())
    }

    /// Removes the files that every sink has finished.
    fn clear(&mut self) -> io::Result<()> {
        let finished = std::mem::take(&mut self.shared.state().finished);
        if finished.is_empty() {
            return Ok(());
        }
        let mut kept = Vec::new();
        let mut error = None;
        for segment in finished {
            if let Err(new) = remove(&segment) {
                error = Some(new);
                kept.push(segment);
                continue;
            }
            self.segments.retain(|other| other.order != segment.order);
            self.shared.state().bytes -= segment.layout.bytes;
            // A slot that a cursor still copies from comes back by itself.
            segment.drop_slot();
            self.shared.arena.release(segment.entry());
        }
        self.shared.state().finished.extend(kept);
        error.map_or(Ok(()), Err)
    }
}

/// Takes a file away.
pub(super) fn remove(segment: &Segment) -> io::Result<()> {
    let home = segment.home();
    home.folder.remove(&home.name)
}

/// Syncs full segments until the spool's thread is gone.
pub(super) fn sync(shared: &Shared, sealed: &Receiver<ToSync>) {
    for (file, path) in sealed {
        if let Err(error) = file.sync_data() {
            shared.count_error();
            tracing::error!(path = %path.display(), %error, "cannot sync a segment: until it is delivered, only the kernel's memory may have it");
        }
    }
}
