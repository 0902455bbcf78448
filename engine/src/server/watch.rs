//! Looks whether files have changed, as cert-manager, a sidecar or an operator replaces them.
//!
//! It reads no file, only what the file system says of it, once a second. A change counts when nothing more has changed
//! for a second, so that a certificate and its key, which are replaced one after the other, are read together.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crossbeam_channel::Sender;

use super::spawn;
use crate::topology;

/// How often it is looked.
const LOOK: Duration = Duration::from_secs(1);

/// What tells one content of a file from another: device, inode, size, and time of the last change of content and of inode.
pub(super) type Print = Option<(u64, u64, u64, i64, i64, i64, i64)>;

/// Files, and what each was when it was read.
pub(super) type Seen = Vec<(PathBuf, Print)>;

/// What files are now. To be asked before they are read, so that no change is missed.
pub(super) fn seen(files: Vec<PathBuf>) -> Seen {
    let print = |file: PathBuf| {
        let now = print(&file);
        (file, now)
    };
    files.into_iter().map(print).collect()
}

/// A list of files and, once it is started, the thread that looks at them.
#[derive(Debug)]
pub(super) struct FileWatcher {
    read: Arc<Mutex<Seen>>,
    changed: Option<Sender<()>>,
    runs: bool,
}

impl FileWatcher {
    /// Looks at nothing yet.
    pub(super) fn new(read: Seen) -> Self {
        Self {
            read: Arc::new(Mutex::new(read)),
            changed: None,
            runs: false,
        }
    }

    /// From now on `changed` gets a message when a file has changed.
    pub(super) fn start(&mut self, changed: Sender<()>) {
        self.changed = Some(changed);
        self.run();
    }

    /// These were read since.
    pub(super) fn set(&mut self, read: Seen) {
        *lock(&self.read) = read;
        self.run();
    }

    /// Starts the thread, when there is something to look at.
    fn run(&mut self) {
        let Some(changed) = self.changed.clone().filter(|_| !self.runs) else {
            return;
        };
        if lock(&self.read).is_empty() {
            return;
        }
        let read = Arc::clone(&self.read);
        // It ends with the process: it holds nothing.
        match spawn("file-watch", move || look(&read, &changed)) {
            Ok(_) => self.runs = true,
            Err(error) => tracing::error!(%error, "files are read again by SIGHUP only"),
        }
    }
}

fn lock(read: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    read.lock().unwrap_or_else(PoisonError::into_inner)
}

fn look(read: &Mutex<Seen>, changed: &Sender<()>) {
    topology::yield_to_shards();
    let (mut last, mut told) = (Seen::new(), Seen::new());
    loop {
        let known = lock(read).clone();
        let now = seen(known.iter().map(|(file, _)| file.clone()).collect());
        // What was told and could not be taken (a certificate without its key) is told again only when it changes.
        if now == last && now != known && now != told && changed.try_send(()).is_ok() {
            told.clone_from(&now);
        }
        last = now;
        std::thread::sleep(LOOK);
    }
}

/// None for a file that is not there, as between the two steps of replacing it.
fn print(file: &Path) -> Print {
    let found = fs::metadata(file).ok()?;
    Some((
        found.dev(),
        found.ino(),
        found.size(),
        found.mtime(),
        found.mtime_nsec(),
        found.ctime(),
        found.ctime_nsec(),
    ))
}
