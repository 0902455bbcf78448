//! The spool's folder: its owner, whether it is still there, and the files in it.
//!
//! Files are opened through the folder's descriptor, never by a path that may lead to another folder by now. `lock`
//! says who has the folder: the server, or the keeper process that writes what a dead one has left. The lock itself is
//! `flock`'s, which the server and its keeper process share, so it is free only when both are gone.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use quintile_scoring::regular_file;
use rustix::fs::{
    AtFlags, FallocateFlags, FlockOperation, Mode, OFlags, StatVfsMountFlags, fallocate, flock, fstat, fstatvfs,
    ftruncate, openat, renameat, stat, statat, unlinkat,
};
use rustix::io::Errno;

use super::{SpoolError, at};

/// How long the next process waits for a keeper process to finish.
const WAIT_FOR_KEEPER: Duration = Duration::from_secs(10);

/// How long it waits when nothing says so: a server that was killed a moment ago has a keeper process that is about to.
const WAIT: Duration = Duration::from_secs(1);

/// The name of the lock in the folder.
pub(super) const LOCK: &str = "lock";
const MODE: Mode = Mode::from_raw_mode(0o644);

/// An open folder that is this process's.
#[derive(Debug)]
pub(super) struct Folder {
    pub(super) path: PathBuf,
    dir: OwnedFd,
    pub(super) lock: File,
}

/// Who has a folder, as its lock says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holder {
    Nobody,
    Server(u32),
    Keeper(u32),
}

impl Holder {
    /// What the lock of a folder says.
    pub(super) fn of(folder: &Path) -> Self {
        let mut text = String::new();
        let read = regular_file::open(&folder.join(LOCK)).and_then(|file| file.take(64).read_to_string(&mut text));
        let mut words = text.split_ascii_whitespace();
        let (role, pid) = (words.next(), words.next().and_then(|pid| pid.parse().ok()));
        match (read, role, pid) {
            (Ok(_), Some("server"), Some(pid)) => Self::Server(pid),
            (Ok(_), Some("keeper"), Some(pid)) => Self::Keeper(pid),
            _ => Self::Nobody,
        }
    }

    /// Says it in a lock that this process has.
    pub(super) fn write(self, lock: &File) -> io::Result<()> {
        let text = match self {
            Self::Nobody => String::new(),
            Self::Server(pid) => format!("server {pid}\n"),
            Self::Keeper(pid) => format!("keeper {pid}\n"),
        };
        ftruncate(lock, 0)?;
        write_all_at(lock, text.as_bytes(), 0)
    }

    /// Whether a server has it that runs.
    pub(super) fn is_serving(self) -> bool {
        matches!(self, Self::Server(pid) if pid != std::process::id()) && self.is_running()
    }

    fn is_running(self) -> bool {
        let (Self::Server(pid) | Self::Keeper(pid)) = self else {
            return false;
        };
        let status = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let state = status.rsplit(") ").next().and_then(|rest| rest.chars().next());
        !matches!(state, None | Some('Z' | 'X'))
    }
}

/// For a caller that only looks into a folder: waits until a keeper process that is at work, or about to be, has
/// finished.
pub(super) fn wait_for_keeper(folder: &Path) {
    let start = Instant::now();
    loop {
        let holder = Holder::of(folder);
        let until = match holder {
            Holder::Nobody => return,
            Holder::Server(_) if holder.is_running() => return,
            Holder::Keeper(_) if holder.is_running() => WAIT_FOR_KEEPER,
            Holder::Server(_) | Holder::Keeper(_) => WAIT,
        };
        if start.elapsed() >= until {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

impl Folder {
    /// Makes a folder this process's own. Waits for a keeper process that still writes into it.
    ///
    /// # Errors
    /// [`SpoolError::InUse`] when it is another process's, and what the file system refused.
    pub(super) fn take(path: &Path) -> Result<Self, SpoolError> {
        let start = Instant::now();
        // A keeper process that is done says so a moment before it lets go, so the short wait begins when it was last
        // seen.
        let mut keeper_seen = None;
        loop {
            match Self::try_take(path) {
                Err(SpoolError::InUse(_)) => {}
                done => return done,
            }
            let now = Instant::now();
            if matches!(Holder::of(path), Holder::Keeper(_)) {
                if keeper_seen.is_none() {
                    tracing::info!(path = %path.display(), "waiting for the keeper process of a server that has died to write its records");
                }
                keeper_seen = Some(now);
                if now - start >= WAIT_FOR_KEEPER {
                    return Err(SpoolError::StillWritten(path.to_path_buf()));
                }
            } else if now - keeper_seen.unwrap_or(start) >= WAIT {
                return Err(SpoolError::InUse(path.to_path_buf()));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The same at once or not at all.
    pub(super) fn try_take(path: &Path) -> Result<Self, SpoolError> {
        fs::create_dir_all(path).map_err(at("create the spool's folder", path))?;
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        let dir = rustix::fs::open(path, flags, Mode::empty());
        let dir = dir.map_err(|error| at("open the spool's folder", path)(error.into()))?;
        let place = path.join(LOCK);
        let lock = openat(&dir, LOCK, OFlags::CREATE | OFlags::RDWR | OFlags::CLOEXEC, MODE);
        let lock = lock.map_err(|error| at("open the lock of the spool", &place)(error.into()))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Err(SpoolError::InUse(path.to_path_buf())),
            Err(error) => return Err(at("lock the spool", &place)(error.into())),
        }
        let lock = File::from(lock);
        let holder = Holder::Server(std::process::id());
        holder.write(&lock).map_err(at("write the lock of the spool", &place))?;
        Ok(Self {
            path: path.to_path_buf(),
            dir,
            lock,
        })
    }

    /// Whether its path still leads to it, its lock is still the one that is held, and it may be written to.
    pub(super) fn look(&self) -> io::Result<()> {
        let other = |what: &str| io::Error::other(format!("{what} is not the one that was opened"));
        let (here, there) = (fstat(&self.dir)?, stat(&self.path)?);
        if (here.st_dev, here.st_ino) != (there.st_dev, there.st_ino) {
            return Err(other("the folder"));
        }
        let (here, there) = (fstat(&self.lock)?, statat(&self.dir, LOCK, AtFlags::empty())?);
        if (here.st_dev, here.st_ino) != (there.st_dev, there.st_ino) {
            return Err(other("its lock"));
        }
        Ok(())
    }

    /// Whether it is the same folder as another.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let of = |folder: &Self| fstat(&folder.dir).map(|stat| (stat.st_dev, stat.st_ino)).ok();
        of(self).is_some() && of(self) == of(other)
    }

    /// Lets others have it.
    pub(super) fn unlock(&self) {
        // What it says is for people and for waiting; the lock itself is what counts.
        let _ = Holder::Nobody.write(&self.lock);
        let _ = flock(&self.lock, FlockOperation::Unlock);
    }

    /// Whether its file system may be written to.
    pub(super) fn is_writable(&self) -> io::Result<()> {
        let is_read_only = fstatvfs(&self.dir)?.f_flag.contains(StatVfsMountFlags::RDONLY);
        if is_read_only { Err(Errno::ROFS.into()) } else { Ok(()) }
    }

    /// Makes a file of this many bytes, and reserves space for them if the file system can.
    pub(super) fn create(&self, name: &Path, bytes: usize) -> io::Result<File> {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC;
        let file = openat(&self.dir, name, flags, MODE)?;
        let reserved = match fallocate(&file, FallocateFlags::empty(), 0, bytes as u64) {
            // A file system that makes no promises, such as NFS: what is missing is found when it is written.
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => ftruncate(&file, bytes as u64),
            result => result,
        };
        if let Err(error) = reserved {
            let _ = self.remove(name);
            return Err(error.into());
        }
        Ok(file.into())
    }

    pub(super) fn open(&self, name: &Path) -> io::Result<File> {
        self.open_as(name, OFlags::RDONLY)
    }

    pub(super) fn open_to_write(&self, name: &Path) -> io::Result<File> {
        self.open_as(name, OFlags::RDWR)
    }

    /// Never waits for the other end of a pipe that has a segment's name.
    fn open_as(&self, name: &Path, access: OFlags) -> io::Result<File> {
        let flags = access | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(openat(&self.dir, name, flags, Mode::empty())?);
        if file.metadata()?.is_file() {
            Ok(file)
        } else {
            Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"))
        }
    }

    /// Takes a file away; one that is not there is no fault.
    pub(super) fn remove(&self, name: &Path) -> io::Result<()> {
        match unlinkat(&self.dir, name, AtFlags::empty()) {
            Err(Errno::NOENT) => Ok(()),
            result => Ok(result?),
        }
    }

    fn has(&self, name: &Path) -> bool {
        statat(&self.dir, name, AtFlags::SYMLINK_NOFOLLOW).is_ok()
    }

    /// A name that no file has: `stem.ending`, or `stem-2.ending` and so on.
    pub(super) fn unused(&self, stem: &Path, ending: &str) -> PathBuf {
        let named = |suffix: &str| {
            let mut name = stem.as_os_str().to_owned();
            name.push(suffix);
            name.push(".");
            name.push(ending);
            PathBuf::from(name)
        };
        let mut names = std::iter::once(named("")).chain((2_u64..).map(|number| named(&format!("-{number}"))));
        names.find(|name| !self.has(name)).expect("there are names without end")
    }

    /// Gives a file another name, which no file has. The folder is this process's alone.
    pub(super) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        Ok(renameat(&self.dir, from, &self.dir, to)?)
    }
}

/// Writes all of some bytes at a place of a file.
pub(super) fn write_all_at(file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, at)
}

/// All bytes of a regular file; anything else is refused and not waited for.
pub(super) fn read_whole(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    regular_file::open(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::side::testing::TestDir;

    /// Says in a folder's lock who has it, for the time that a function takes, and then lets go in a keeper process's
    /// two steps.
    fn hold(folder: &Path, holder: Holder, pause: Duration) {
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(folder.join(LOCK))
            .unwrap();
        flock(&lock, FlockOperation::LockExclusive).unwrap();
        holder.write(&lock).unwrap();
        thread::sleep(pause);
        Holder::Nobody.write(&lock).unwrap();
        thread::sleep(Duration::from_millis(50));
    }

    #[test]
    fn the_next_process_waits_until_a_keeper_process_lets_go() {
        let folder = TestDir::new("keeper-lets-go");
        let keeper = Holder::Keeper(std::process::id());
        thread::scope(|scope| {
            scope.spawn(|| hold(folder.path(), keeper, WAIT + Duration::from_millis(100)));
            while Holder::of(folder.path()) != keeper {
                thread::yield_now();
            }
            let taken = Folder::take(folder.path());
            assert!(taken.is_ok(), "{taken:?}");
        });
    }
}
