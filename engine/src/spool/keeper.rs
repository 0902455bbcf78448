//! The keeper process, which writes the spool's memory to its files when the server has died for any reason.
//!
//! ```text
//!  server ── memfd: frames, checkpoints ── keeper process: sleeps in read(2) of a socket whose other end the server has
//!    │                                     reads from there what the models of its records are called
//!    └─ dies: the kernel closes its end ──▶ writes every segment to its file, syncs, lets go of the lock
//! ```
//! It is this program again with a hidden command, in a process group of its own, and ignores the signals that end
//! servers. Standard input is the socket, standard output the memfd, standard error the lock of the folder, so they
//! need no other way into the new process, and the server's own streams are not kept open. It uses hardly any memory of
//! its own. It writes the same bytes as the server to the same places, so it may write them again.

mod place;
mod process;

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::shared::Shared;

/// The hidden command.
const COMMAND: &str = "spool-keeper";

/// Between two attempts at starting one.
const START_EVERY: Duration = Duration::from_secs(2);

/// How long a keeper process may take to read a model's description. It does nothing else.
const READS: Duration = Duration::from_secs(1);

/// What the server says through the socket: everything is in its files; or a model's description, of a number, a length
/// and the text.
const END_WORD: u8 = b'e';
const MODEL_WORD: u8 = b'm';

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
    Some(process::keep(Path::new(&folder)))
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
    /// Models that it was told of.
    models: usize,
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
                Ok(None) => match keeper.describe(shared) {
                    Ok(()) => return,
                    Err(error) => {
                        tracing::error!(pid = keeper.child.id(), %error, "the spool's keeper process does not listen; another one is started");
                        let _ = keeper.child.kill();
                        let _ = keeper.child.wait();
                    }
                },
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
        let started = start(shared).and_then(|mut keeper| keeper.describe(shared).map(|()| keeper));
        match started {
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

impl Keeper {
    /// Tells it what the models are called that it does not know yet.
    fn describe(&mut self, shared: &Shared) -> io::Result<()> {
        for (number, text) in shared.schemas.texts_from(self.models)? {
            let len = u32::try_from(text.len()).map_err(io::Error::other)?;
            let mut message = vec![MODEL_WORD];
            message.extend_from_slice(&number.to_le_bytes());
            message.extend_from_slice(&len.to_le_bytes());
            message.extend_from_slice(text.as_bytes());
            self.socket.write_all(&message)?;
            self.models += 1;
        }
        Ok(())
    }
}

fn start(shared: &Shared) -> io::Result<Keeper> {
    let folder = shared.folder();
    let (socket, theirs) = UnixStream::pair()?;
    socket.set_write_timeout(Some(READS))?;
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
    Ok(Keeper {
        child,
        socket,
        models: 0,
    })
}

fn end(mut keeper: Keeper) {
    let _ = keeper.socket.write_all(&[END_WORD]);
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
