//! The folders of the Parquet sink: temporary files, and how they get their final names.
//!
//! A temporary file is locked as long as its process is alive. A file that can be locked belongs to a dead process and
//! is incomplete, so it is removed at start. Several processes may share a folder.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::SinkError;

const TEMP_SUFFIX: &str = ".tmp";

/// Attempts at a name that no file has; the second is taken only when another process has just removed the first.
const NAME_ATTEMPTS: u32 = 8;

/// Bytes copied at once into a file that takes another's place.
const COPY_BYTES: usize = 1 << 20;

pub(super) struct Folder {
    scores: PathBuf,
    tmp: PathBuf,
    /// What the names of this process's files begin with. Process numbers repeat across containers; times rarely do.
    prefix: String,
    serial: u64,
}

/// A temporary file, open and locked.
pub(super) struct Temp {
    path: PathBuf,
    file: File,
    bytes: u64,
    /// The kernel has failed to write what it had accepted: what is on the disk is not known.
    is_suspect: bool,
}

fn at<'a>(step: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> SinkError + use<'a> {
    move |source| SinkError::File {
        step,
        path: path.to_path_buf(),
        source,
    }
}

impl Folder {
    /// Creates what is missing, tries everything that writing a file takes, and removes what dead processes left.
    pub(super) fn open(data_dir: &Path) -> Result<Self, SinkError> {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut folder = Self {
            scores: data_dir.join("scores"),
            tmp: data_dir.join("tmp"),
            prefix: format!("{}-{:x}", std::process::id(), since_1970.as_nanos()),
            serial: 0,
        };
        for path in [&folder.scores, &folder.tmp] {
            fs::create_dir_all(path).map_err(at("create the folder", path))?;
        }
        folder.probe()?;
        folder.remove_stale()?;
        sync_folder(data_dir)?;
        Ok(folder)
    }

    /// A file is written and removed; a folder is moved, because readers of the scores would see a file.
    fn probe(&mut self) -> Result<(), SinkError> {
        let mut temp = self.create()?;
        temp.append(b"probe")?;
        temp.sync(self)?;
        fs::remove_file(&temp.path).map_err(at("remove the probe", &temp.path))?;
        let from = self.tmp.join(format!("{}-probe", self.prefix));
        let to = self.scores.join(format!(".{}-probe", self.prefix));
        fs::create_dir(&from).map_err(at("create the probe", &from))?;
        if let Err(error) = fs::rename(&from, &to) {
            let _ = fs::remove_dir(&from);
            return Err(match Errno::from_io_error(&error) {
                Some(Errno::XDEV) => SinkError::Split(self.scores.clone()),
                _ => at("move a probe into", &self.scores)(error),
            });
        }
        fs::remove_dir(&to).map_err(at("remove the probe", &to))
    }

    fn remove_stale(&self) -> Result<(), SinkError> {
        for entry in fs::read_dir(&self.tmp).map_err(at("list", &self.tmp))? {
            let path = entry.map_err(at("list", &self.tmp))?.path();
            let is_ours = path.to_str().is_some_and(|path| path.ends_with(TEMP_SUFFIX));
            if !is_ours || !path.is_file() {
                continue;
            }
            // If anything goes wrong here, it is ignored: a leftover of another process is no reason not to start.
            match remove_if_stale(&path) {
                Ok(Some(bytes)) => tracing::warn!(
                    path = %path.display(), bytes,
                    "removed an unfinished file of a process that has ended"
                ),
                Ok(None) => {}
                Err(error) => tracing::warn!(path = %path.display(), %error, "cannot remove an unfinished file"),
            }
        }
        Ok(())
    }

    /// A new temporary file, in a folder that may have been removed in the meantime.
    pub(super) fn create(&mut self) -> Result<Temp, SinkError> {
        fs::create_dir_all(&self.tmp).map_err(at("create the folder", &self.tmp))?;
        for _ in 0..NAME_ATTEMPTS {
            self.serial += 1;
            let path = self.tmp.join(format!("{}-{}{TEMP_SUFFIX}", self.prefix, self.serial));
            let mut options = File::options();
            let file = match options.read(true).write(true).create_new(true).open(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                file => file.map_err(at("create", &path))?,
            };
            // Between creation and lock, a process that starts may take the file for a dead one's and remove it. A file
            // system without locks refuses that process too.
            let is_taken = flock(&file, FlockOperation::NonBlockingLockExclusive) == Err(Errno::WOULDBLOCK);
            let temp = Temp {
                path,
                file,
                bytes: 0,
                is_suspect: false,
            };
            if !is_taken && !temp.is_gone() {
                return Ok(temp);
            }
        }
        Err(at("create a file in", &self.tmp)(io::ErrorKind::AlreadyExists.into()))
    }

    /// Gives a synced file its name.
    pub(super) fn publish(&self, temp: &Temp, folders: &[String; 2], name: &str) -> Result<(), SinkError> {
        let folder = self.scores.join(&folders[0]).join(&folders[1]);
        fs::create_dir_all(&folder).map_err(at("create the folder", &folder))?;
        let path = folder.join(name);
        fs::rename(&temp.path, &path).map_err(at("move a finished file to", &path))
    }

    /// Makes a name last, and the folders that may be new.
    pub(super) fn sync_place(&self, folders: &[String; 2]) -> Result<(), SinkError> {
        let date = self.scores.join(&folders[0]);
        for folder in [&date.join(&folders[1]), &date, &self.scores] {
            match sync_folder(folder) {
                // The file was in it, so another process has moved or removed both.
                Err(SinkError::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
                result => result?,
            }
        }
        Ok(())
    }
}

/// A file that others may read while its owner lives.
#[derive(Debug)]
pub(in crate::side::sink) struct Shared {
    file: File,
    bytes: u64,
}

impl Shared {
    /// How long it is.
    pub(in crate::side::sink) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Reads a part of it.
    pub(in crate::side::sink) fn read(&self, offset: u64, bytes: usize) -> io::Result<Vec<u8>> {
        let mut part = vec![0; bytes];
        self.file.read_exact_at(&mut part, offset)?;
        Ok(part)
    }
}

impl Temp {
    /// The same file, for another thread to read.
    pub(super) fn share(&self) -> Result<Shared, SinkError> {
        let file = self.file.try_clone().map_err(at("open again", &self.path))?;
        Ok(Shared {
            file,
            bytes: self.bytes,
        })
    }

    /// Removes it. What is in the way is in the way of nothing else: the next start removes it.
    pub(super) fn remove(self) {
        let _ = fs::remove_file(&self.path);
    }

    /// How long it is.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Writes all of it or, as far as anyone will know, nothing.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), SinkError> {
        self.file
            .write_all_at(bytes, self.bytes)
            .map_err(at("write", &self.path))?;
        self.bytes += bytes.len() as u64;
        // In pieces of a row group, so that the last sync does not hold up the records behind it. What fails here is
        // found by the last one.
        self.is_suspect |= self.file.sync_data().is_err();
        Ok(())
    }

    /// Makes the bytes last. After a failure the kernel counts lost pages as written, so a second attempt at the same
    /// file would lie: another file is written from what is still in memory.
    pub(super) fn sync(&mut self, folder: &mut Folder) -> Result<(), SinkError> {
        if self.is_suspect {
            return self.renew(folder);
        }
        self.is_suspect = true;
        self.file.sync_all().map_err(at("sync", &self.path))?;
        self.is_suspect = false;
        Ok(())
    }

    /// Whether its name is gone, for example after a clean-up of the folder.
    pub(super) fn is_gone(&self) -> bool {
        self.file.metadata().is_ok_and(|metadata| metadata.nlink() == 0)
    }

    /// Copies it, synced, to a new temporary file and becomes that one.
    pub(super) fn renew(&mut self, folder: &mut Folder) -> Result<(), SinkError> {
        let mut copy = folder.create()?;
        let result = self.copy_to(&mut copy);
        if result.is_err() {
            let _ = fs::remove_file(&copy.path);
            return result;
        }
        let _ = fs::remove_file(&self.path);
        *self = copy;
        Ok(())
    }

    fn copy_to(&self, copy: &mut Temp) -> Result<(), SinkError> {
        let mut buffer = vec![0; COPY_BYTES];
        while copy.bytes < self.bytes {
            let rest = usize::try_from(self.bytes - copy.bytes).unwrap_or(COPY_BYTES);
            let piece = &mut buffer[..rest.min(COPY_BYTES)];
            self.file
                .read_exact_at(piece, copy.bytes)
                .map_err(at("read", &self.path))?;
            copy.append(piece)?;
        }
        copy.file.sync_all().map_err(at("sync", &copy.path))
    }
}

/// Removes a file that no process holds locked, and returns its length.
fn remove_if_stale(path: &Path) -> io::Result<Option<u64>> {
    let file = File::open(path)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => return Ok(None),
        result => result?,
    }
    let bytes = file.metadata()?.len();
    fs::remove_file(path)?;
    Ok(Some(bytes))
}

fn sync_folder(path: &Path) -> Result<(), SinkError> {
    File::open(path)
        .and_then(|folder| folder.sync_all())
        .map_err(at("sync the folder", path))
}
