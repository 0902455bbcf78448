//! The keeper process, which writes the spool's memory to its files when the server has died for any reason.
//!
//! ```text
//!  server ── memfd: frames, checkpoints ── keeper process: sleeps in read(2) of a socket whose other end the server has
//!    └─ dies: the kernel closes its end ──▶ writes every segment to its file, syncs, lets go of the lock
//! ```
//! It is this program again with a hidden command, in a process group of its own, and ignores the signals that end
//! servers. Standard input is the socket, standard output the memfd, standard error the lock of the folder, so they
//! need no other way into the new process, and the server's own streams are not kept open. It uses hardly any memory of
//! its own. It writes the same bytes as the server to the same places, so it may write them again.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::FileExt as _;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use quintile_scoring::regular_file;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};

use super::arena::{Arena, Entry, Field, State, UNNAMED};
use super::folder::{Holder, write_all_at};
use super::layout::{BODY, END_AT, HEAD_BYTES, Layout};
use super::protocol::SEAL_BYTES;
use super::segment::{committed, frames_end, name_of_file, write_control};
use super::shared::Shared;

/// The hidden command.
const COMMAND: &str = "spool-keeper";

/// How long a disk may refuse what is left in memory before the keeper process gives up.
const TRY_FOR: Duration = Duration::from_secs(3600);

/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(200);

/// Between two attempts at starting one.
const START_EVERY: Duration = Duration::from_secs(2);

/// How long the end waits for it.
const END: Duration = Duration::from_secs(2);

/// Whether this process's executable knows the hidden command.
static IS_KNOWN: AtomicBool = AtomicBool::new(false);

/// The first thing of a program that may open spools: does what the hidden command asks for, if that is what was
/// called. Otherwise spools that are opened later have keeper processes; in a program that has not called this they
/// have none.
#[must_use]
pub fn keep_if_asked(mut words: impl Iterator<Item = OsString>) -> Option<ExitCode> {
    IS_KNOWN.store(true, Ordering::Relaxed);
    let is_asked = words.nth(1).is_some_and(|word| word == COMMAND);
    let folder = words.next().filter(|_| is_asked)?;
    Some(keep(Path::new(&folder)))
}

/// The keeper process of a spool, and the next one when it dies.
#[derive(Debug, Clone, Default)]
pub(super) struct Keepers(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    keeper: Option<Keeper>,
    started: Option<Instant>,
}

#[derive(Debug)]
struct Keeper {
    child: Child,
    socket: UnixStream,
}

impl Keepers {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sees to it that there is one.
    pub(super) fn check(&self, shared: &Shared) {
        if !IS_KNOWN.load(Ordering::Relaxed) {
            return;
        }
        let mut inner = self.inner();
        if let Some(keeper) = &mut inner.keeper {
            match keeper.child.try_wait() {
                Ok(None) => return,
                Ok(Some(status)) => {
                    tracing::error!(pid = keeper.child.id(), %status, "the spool's keeper process has died; another one is started");
                }
                Err(error) => tracing::error!(%error, "cannot look after the spool's keeper process"),
            }
            inner.keeper = None;
            shared.has_keeper.store(false, Ordering::Relaxed);
        }
        if inner.started.is_some_and(|at| at.elapsed() < START_EVERY) {
            return;
        }
        inner.started = Some(Instant::now());
        match start(shared) {
            Ok(keeper) => {
                inner.keeper = Some(keeper);
                shared.has_keeper.store(true, Ordering::Relaxed);
            }
            Err(error) => {
                shared.count_error();
                tracing::warn!(%error, "no keeper process for the spool: what was answered in the last milliseconds before a crash may be lost");
            }
        }
    }

    /// Another one, for another folder.
    pub(super) fn replace(&self, shared: &Shared) {
        let old = {
            let mut inner = self.inner();
            inner.started = None;
            inner.keeper.take()
        };
        self.check(shared);
        if let Some(old) = old {
            end(old);
        }
    }

    /// Tells it that everything is in its file.
    pub(super) fn end(&self) {
        if let Some(keeper) = self.inner().keeper.take() {
            end(keeper);
        }
    }

    /// Leaves to it what is not. It goes on when this process is gone.
    pub(super) fn leave(&self) -> Option<u32> {
        let mut inner = self.inner();
        let keeper = inner.keeper.take()?;
        let pid = keeper.child.id();
        std::mem::forget(keeper);
        Some(pid)
    }
}

fn start(shared: &Shared) -> io::Result<Keeper> {
    let folder = shared.folder();
    let (socket, theirs) = UnixStream::pair()?;
    let child = Command::new("/proc/self/exe")
        .arg0("quintile")
        .arg(COMMAND)
        .arg(std::path::absolute(&folder.path)?)
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::from(shared.arena.file().try_clone_to_owned()?))
        .stderr(Stdio::from(folder.lock.try_clone()?))
        .current_dir("/")
        .process_group(0)
        .spawn()?;
    Ok(Keeper { child, socket })
}

fn end(mut keeper: Keeper) {
    let _ = keeper.socket.write_all(b"e");
    let until = Instant::now() + END;
    while Instant::now() < until {
        if !matches!(keeper.child.try_wait(), Ok(None)) {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    // It has nothing to write, so nothing is lost.
    let _ = keeper.child.kill();
    let _ = keeper.child.wait();
}

/// All of the keeper process.
fn keep(folder: &Path) -> ExitCode {
    // Its standard error is the folder's lock.
    std::panic::set_hook(Box::new(|_| {}));
    for signal in [SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2] {
        let _ = signal_hook::flag::register(signal, Arc::default());
    }
    let streams = (
        io::stdin().as_fd().try_clone_to_owned(),
        io::stdout().as_fd().try_clone_to_owned(),
        io::stderr().as_fd().try_clone_to_owned(),
    );
    let (Ok(socket), Ok(memory), Ok(lock)) = streams else {
        return ExitCode::FAILURE;
    };
    let Ok(arena) = Arena::open(memory) else {
        return ExitCode::FAILURE;
    };
    let (mut socket, lock) = (UnixStream::from(socket), File::from(lock));
    let mut word = [0];
    loop {
        match socket.read(&mut word) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // The server has everything in its files.
            Ok(1) => return ExitCode::SUCCESS,
            // Its end was closed, so it is gone.
            _ => break,
        }
    }
    let _ = Holder::Keeper(std::process::id()).write(&lock);
    let until = Instant::now() + TRY_FOR;
    while let Err(error) = write_all(&arena, folder) {
        if Instant::now() >= until {
            let _ = write_all_at(&lock, format!("keeper 0 gave up: {error}\n").as_bytes(), 0);
            return ExitCode::FAILURE;
        }
        std::thread::sleep(PAUSE);
    }
    let _ = Holder::Nobody.write(&lock);
    ExitCode::SUCCESS
}

/// Writes everything to its file. What fails keeps nothing else from being written.
fn write_all(arena: &Arc<Arena>, folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let mut result = Ok(());
    for number in 0..arena.plan().entries {
        let entry = arena.entry(number);
        let name = entry.get(Field::File);
        if name == UNNAMED {
            continue;
        }
        let path = folder.join(name_of_file(name));
        let done = match entry.state() {
            State::Free => Ok(()),
            State::Finished => remove_own(&entry, &path),
            State::Used => write(arena, &entry, folder, path),
        };
        if done.is_err() {
            result = done;
        }
    }
    result
}

fn head(entry: &Entry) -> Option<Layout> {
    let mut head = [0; HEAD_BYTES];
    for (place, chunk) in head.as_chunks_mut::<8>().0.iter_mut().enumerate() {
        *chunk = entry.control.long(8 * place).load(Ordering::Acquire).to_le_bytes();
    }
    Layout::decode(&head).ok()
}

/// Whether a file is this segment's: it says so, or nothing lies in it yet.
fn is_own(file: &File, layout: &Layout) -> io::Result<bool> {
    let mut head = [0; HEAD_BYTES];
    for at in layout.heads() {
        match file.read_exact_at(&mut head, at as u64) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => continue,
            read => read?,
        }
        if Layout::decode(&head) == Ok(*layout) {
            return Ok(true);
        }
    }
    // Made, and not written: its first frame would lie here.
    let mut first = [0; 8];
    match file.read_exact_at(&mut first, BODY as u64) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(head == [0; HEAD_BYTES]),
        read => read.map(|()| head == [0; HEAD_BYTES] && first == [0; 8]),
    }
}

fn remove_own(entry: &Entry, path: &Path) -> io::Result<()> {
    let Some(layout) = head(entry) else { return Ok(()) };
    match regular_file::open(path) {
        Ok(file) if is_own(&file, &layout)? => std::fs::remove_file(path),
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn write(arena: &Arc<Arena>, entry: &Entry, folder: &Path, mut path: PathBuf) -> io::Result<()> {
    let Some(layout) = head(entry) else { return Ok(()) };
    let slot = usize::try_from(entry.get(Field::Slot))
        .ok()
        .and_then(|slot| slot.checked_sub(1));
    let open = |path: &Path| File::options().read(true).write(true).open(path);
    let mut file = match open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        file => {
            let file = file?;
            is_own(&file, &layout)?.then_some(file)
        }
    };
    let Some(slot) = slot else {
        // All its frames are in the file, wherever that is.
        return file.map_or(Ok(()), |file| write_control(&file, entry, &layout, u64::MAX));
    };
    while file.is_none() {
        // Gone, or another's: under a name that no file has. The next round finds the number.
        match File::options().read(true).write(true).create_new(true).open(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let number = entry.get(Field::File) + 1;
                entry.set(Field::File, number);
                path = folder.join(name_of_file(number));
            }
            made => file = Some(made?),
        }
    }
    let file = file.expect("the loop ends with one");
    if file.metadata()?.len() < layout.bytes as u64 {
        file.set_len(layout.bytes as u64)?;
    }
    // Dropping it gives back no slot: this arena has no list of them.
    let slot = arena.slot(slot);
    let (end, is_sealed) = frames_end(&slot, BODY, &layout);
    let bytes = end - BODY + if is_sealed { SEAL_BYTES } else { 0 };
    write_all_at(&file, committed(&slot, BODY, bytes), BODY as u64)?;
    entry
        .control
        .long(END_AT)
        .store(layout.end_word(end), Ordering::Relaxed);
    write_control(&file, entry, &layout, u64::MAX)?;
    file.sync_data()
}
