//! Watches the folder: whether its path still leads to it, and whether the written files are still there.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::Disk;
use crate::spool::folder::Folder;
use crate::spool::{SpoolError, at, recover};

impl Disk {
    pub(super) fn watch(&mut self) {
        let folder = self.shared.folder();
        let looked = folder.look();
        let is_lost = self.shared.is_lost.swap(looked.is_err(), Ordering::AcqRel);
        if let Err(error) = looked {
            self.shared.is_failing.store(true, Ordering::Relaxed);
            self.shared.count_error();
            let now = Instant::now();
            if self.log.may_log(now) || !is_lost {
                tracing::error!(path = %folder.path.display(), %error, "the spool's folder was removed or replaced; it is made anew");
            }
            match self.restore() {
                Ok(()) => {
                    self.shared.is_lost.store(false, Ordering::Release);
                    tracing::warn!(path = %folder.path.display(), "the spool has its folder again; what was in memory is written there, what was only in the lost one is lost");
                }
                Err(error) if self.log.may_log(now) => {
                    tracing::error!(path = %folder.path.display(), %error, "the spool's folder cannot be made anew; it is tried again");
                }
                Err(_) => {}
            }
            return;
        }
        let result = folder.is_writable().and_then(|()| self.mend(&folder));
        self.is_refused = result.is_err();
        if self.is_refused {
            self.note(result);
        }
    }

    /// Makes the folder again, and writes everything that is in memory into it.
    fn restore(&mut self) -> Result<(), SpoolError> {
        let path = self.shared.folder().path.clone();
        let folder = Arc::new(Folder::try_take(&path)?);
        let (_, last_file) = recover::set_aside_foreign(&folder, &self.shared)?;
        self.next_file = self.next_file.max(last_file);
        self.shared.set_folder(&folder);
        self.shared
            .schemas
            .restore()
            .map_err(at("write down the models of the spool", &path))?;
        for segment in self.shared.segments_after(None) {
            if segment.has_slot() {
                let home = self
                    .create(segment.layout.bytes)
                    .map_err(at("make a segment in", &path))?;
                segment.move_to(home);
            }
        }
        self.keepers.replace(&self.shared);
        self.retry_at = None;
        Ok(())
    }

    /// Writes single files again that were removed or truncated, as long as their contents are in memory.
    fn mend(&mut self, folder: &Arc<Folder>) -> io::Result<()> {
        if !self.shared.schemas.are_there() {
            tracing::error!(path = %folder.path.display(), "descriptions of models were removed from the spool; they are written again");
            self.shared.count_error();
            self.shared.schemas.restore()?;
        }
        for segment in self.shared.segments_after(None) {
            let Some(file) = segment.home().file.filter(|_| segment.has_slot()) else {
                continue;
            };
            let metadata = file.metadata()?;
            let is_cut = metadata.len() < segment.layout.bytes as u64;
            let is_removed = std::os::unix::fs::MetadataExt::nlink(&metadata) == 0;
            if is_cut || is_removed {
                let path = segment.path();
                tracing::error!(path = %path.display(), is_removed, "a segment's file was removed or cut short; it is written again under another name");
                self.shared.count_error();
                let home = self.create(segment.layout.bytes)?;
                let old = segment.home();
                segment.move_to(home);
                if !is_removed {
                    old.folder.remove(&old.name)?;
                }
            }
        }
        Ok(())
    }

    /// Tries again what could not be read at the start.
    pub(super) fn try_postponed(&mut self) {
        if self.postponed.is_empty() || self.shared.is_lost.load(Ordering::Relaxed) {
            return;
        }
        let (shared, folder) = (&self.shared, self.shared.folder());
        self.postponed.retain(|name| {
            let path = folder.path.join(name);
            let read = match recover::open(&folder, name) {
                Ok(Some(read)) => read,
                // Nothing but zeros: the next start removes it.
                Ok(None) => return false,
                // Whether it is damage is the next start's to say, which puts it aside.
                Err(_) => return true,
            };
            let is_known = read.models.iter().all(|&model| shared.schemas.find(model).is_some());
            if !is_known || read.found.walk.frames == 0 {
                tracing::error!(path = %path.display(), is_known, "a segment of the spool can be read now, and is damaged; the next start puts it aside");
                shared.count_error();
                return false;
            }
            let mut found = recover::Found::default();
            match recover::adopt_one(shared, name, read, &mut found) {
                Ok(()) => {
                    tracing::info!(path = %path.display(), records = found.any, "a segment of the spool can be read now");
                    false
                }
                Err(error) => {
                    tracing::error!(path = %path.display(), %error, "a segment of the spool cannot be taken into use now; it is tried again");
                    true
                }
            }
        });
    }
}
