//! What records' models are called by number, kept beside the records: a file a model, so that a process with another
//! model reads old records as they were meant.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use crate::record::Schema;

const FOLDER: &str = "models";

/// Shared: a model that is swapped in is registered before it is served.
#[derive(Debug, Clone)]
pub struct Schemas {
    folder: PathBuf,
    known: Arc<RwLock<Vec<Arc<Schema>>>>,
}

impl Schemas {
    /// Reads what is there. A file that cannot be read costs the records that name it, and those only.
    pub(super) fn open(spool: &Path) -> io::Result<Self> {
        fs::create_dir_all(spool.join(FOLDER))?;
        Self::look(spool)
    }

    /// The same without making anything.
    pub(super) fn look(spool: &Path) -> io::Result<Self> {
        let folder = spool.join(FOLDER);
        let mut known = Vec::new();
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            entries => Some(entries?),
        };
        for entry in entries.into_iter().flatten() {
            let path = entry?.path();
            if path.extension().is_none_or(|ending| ending != "toml") {
                continue;
            }
            let text = fs::read_to_string(&path)?;
            match toml::from_str::<Schema>(&text) {
                Ok(schema) => known.push(Arc::new(schema)),
                Err(error) => {
                    tracing::error!(path = %path.display(), %error, "cannot read what a model's records mean")
                }
            }
        }
        let known = Arc::new(RwLock::new(known));
        Ok(Self { folder, known })
    }

    /// The number that a model's records are to carry. Kept on the disk when this returns.
    ///
    /// # Errors
    /// What the file system refused.
    pub fn register(&self, mut schema: Schema) -> io::Result<u32> {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let same = known.iter().find(|other| {
            schema.number = other.number;
            ***other == schema
        });
        if let Some(same) = same {
            return Ok(same.number);
        }
        schema.number = self
            .last_number()?
            .max(known.iter().map(|schema| schema.number).max().unwrap_or(0))
            + 1;
        let text = toml::to_string(&schema).map_err(io::Error::other)?;
        let (path, temporary) = (self.path(schema.number), self.folder.join("new"));
        let mut file = File::create(&temporary)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, &path)?;
        File::open(&self.folder)?.sync_all()?;
        let number = schema.number;
        known.push(Arc::new(schema));
        Ok(number)
    }

    /// The highest number in use, also by files that could not be read.
    fn last_number(&self) -> io::Result<u32> {
        let mut last = 0;
        for entry in fs::read_dir(&self.folder)? {
            let number = entry?.path().file_stem().and_then(|stem| stem.to_str()?.parse().ok());
            last = last.max(number.unwrap_or(0));
        }
        Ok(last)
    }

    /// Forgets models that no record names any more.
    pub(super) fn keep_only(&self, numbers: &HashSet<u32>) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.retain(|schema| {
            let is_used = numbers.contains(&schema.number);
            if !is_used {
                let _ = fs::remove_file(self.path(schema.number));
            }
            is_used
        });
    }

    /// What a number means.
    #[must_use]
    pub fn find(&self, number: u32) -> Option<Arc<Schema>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.iter().find(|schema| schema.number == number).map(Arc::clone)
    }

    fn path(&self, number: u32) -> PathBuf {
        self.folder.join(format!("{number}.toml"))
    }
}
