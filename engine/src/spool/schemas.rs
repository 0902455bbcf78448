//! The descriptions of models by number, kept beside the records, so that a process with another model reads old
//! records correctly.
//!
//! `models/N.toml` begins with a line that has the checksum of the rest, and `models/N.copy` is a copy. Damage in one
//! of them is detected, logged, and repaired from the other. Earlier builds had neither; their files are read and
//! written again. A number is never given to another model while a file may refer to it.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::folder::read_whole;
use crate::record::Schema;

const FOLDER: &str = "models";

/// Endings of both copies of a description.
const ENDINGS: [&str; 2] = ["toml", "copy"];

/// Before the checksum, in hexadecimal digits.
const CHECKSUM: &str = "# crc32 ";

/// Shared: a model that is swapped in is registered before it is served.
#[derive(Debug, Clone)]
pub struct Schemas {
    folder: PathBuf,
    known: Arc<RwLock<Vec<Arc<Schema>>>>,
    /// The highest number that any record or file was seen to have. Held while a description is written, so that
    /// `known` is never held while a thread waits for a disk.
    last: Arc<Mutex<u32>>,
    /// Descriptions that no copy of could be read.
    damaged: Arc<AtomicU32>,
}

impl Schemas {
    /// Reads what is there, and mends what one copy can mend.
    pub(super) fn open(spool: &Path) -> io::Result<Self> {
        fs::create_dir_all(spool.join(FOLDER))?;
        let schemas = Self::look(spool)?;
        if let Err(error) = schemas.restore() {
            tracing::warn!(path = %schemas.folder.display(), %error, "cannot write a model's description anew");
        }
        Ok(schemas)
    }

    /// Reads without changing anything. A description that cannot be read costs the records that name it, and those
    /// only.
    pub(super) fn look(spool: &Path) -> io::Result<Self> {
        let folder = spool.join(FOLDER);
        let numbers = numbers(&folder)?;
        let mut known = Vec::new();
        let mut damaged = 0;
        for &number in &numbers {
            match read(&folder, number) {
                Ok(schema) => known.push(Arc::new(schema)),
                Err(error) => {
                    damaged += 1;
                    let path = path(&folder, number, ENDINGS[0]);
                    tracing::error!(path = %path.display(), error, "cannot read what a model's records mean");
                }
            }
        }
        Ok(Self {
            folder,
            known: Arc::new(RwLock::new(known)),
            last: Arc::new(Mutex::new(numbers.into_iter().max().unwrap_or(0))),
            damaged: Arc::new(AtomicU32::new(damaged)),
        })
    }

    /// The number that a model's records are to carry. Kept on the disk when this returns.
    ///
    /// # Errors
    /// What the file system refused.
    pub fn register(&self, mut schema: Schema) -> io::Result<u32> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let same = self.all().into_iter().find(|other| {
            schema.model_number = other.model_number;
            **other == schema
        });
        if let Some(same) = same {
            return Ok(same.model_number);
        }
        let there = numbers(&self.folder)?.into_iter().max().unwrap_or(0);
        let number = (*last).max(there) + 1;
        schema.model_number = number;
        write(&self.folder, &schema)?;
        *last = number;
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.push(Arc::new(schema));
        Ok(number)
    }

    /// Says that a record has this number, so that no other model gets it.
    pub(super) fn reserve(&self, number: u32) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        *last = number.max(*last);
    }

    /// Writes descriptions that are missing in the folder, or differ there from what is known.
    pub(super) fn restore(&self) -> io::Result<()> {
        let _one = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        for schema in self.all() {
            let is_there = |ending| {
                let there = read_whole(&path(&self.folder, schema.model_number, ending)).ok();
                there
                    .and_then(|bytes| checked(&bytes, schema.model_number).ok())
                    .as_ref()
                    == Some(&*schema)
            };
            if !ENDINGS.into_iter().all(is_there) {
                fs::create_dir_all(&self.folder)?;
                write(&self.folder, &schema)?;
            }
        }
        Ok(())
    }

    /// Whether every description is in the folder, without reading it.
    pub(super) fn are_there(&self) -> bool {
        let all = self.all();
        let mut paths = all
            .iter()
            .flat_map(|schema| ENDINGS.map(|ending| path(&self.folder, schema.model_number, ending)));
        paths.all(|path| path.exists())
    }

    /// Forgets models that no record names any more, unless a description could not be read: it may be of any number's.
    pub(super) fn keep_only(&self, numbers: &HashSet<u32>) {
        if self.damaged.load(Ordering::Relaxed) > 0 {
            return;
        }
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let (kept, gone) = self
            .all()
            .into_iter()
            .partition(|schema| numbers.contains(&schema.model_number));
        let gone: Vec<Arc<Schema>> = gone;
        for schema in gone {
            for ending in ENDINGS {
                let _ = fs::remove_file(path(&self.folder, schema.model_number, ending));
            }
        }
        *last = kept
            .iter()
            .map(|schema: &Arc<Schema>| schema.model_number)
            .max()
            .unwrap_or(0);
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = kept;
    }

    /// What is in the files of all descriptions but the first so many, by number. Once models are served, more come and
    /// none goes.
    pub(super) fn texts_from(&self, first: usize) -> io::Result<Vec<(u32, String)>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let new: Vec<_> = known.iter().skip(first).map(Arc::clone).collect();
        drop(known);
        new.iter()
            .map(|schema| Ok((schema.model_number, text_of(schema)?)))
            .collect()
    }

    fn all(&self) -> Vec<Arc<Schema>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What a number means.
    #[must_use]
    pub fn find(&self, number: u32) -> Option<Arc<Schema>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known
            .iter()
            .find(|schema| schema.model_number == number)
            .map(Arc::clone)
    }
}

fn path(folder: &Path, number: u32, ending: &str) -> PathBuf {
    folder.join(format!("{number}.{ending}"))
}

/// The numbers that files in the folder have, with any ending.
fn numbers(folder: &Path) -> io::Result<HashSet<u32>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(HashSet::new()),
        entries => entries?,
    };
    let mut numbers = HashSet::new();
    for entry in entries {
        let name = entry?.file_name();
        let stem: Option<u32> = name.to_str().and_then(|name| name.split('.').next()?.parse().ok());
        numbers.extend(stem);
    }
    Ok(numbers)
}

/// A model's description, from whichever copy is whole.
fn read(folder: &Path, number: u32) -> Result<Schema, String> {
    let [first, second] =
        ENDINGS.map(|ending| read_whole(&path(folder, number, ending)).map_err(|error| error.to_string()));
    let checked = |bytes: &Result<Vec<u8>, String>| checked(bytes.as_ref().map_err(String::clone)?, number);
    let error = match checked(&first) {
        Ok(schema) => return Ok(schema),
        Err(error) => error,
    };
    if let Ok(schema) = checked(&second) {
        let path = path(folder, number, ENDINGS[0]);
        tracing::warn!(path = %path.display(), error, "what a model's records mean is damaged; its copy is whole");
        return Ok(schema);
    }
    match (first, second) {
        // Of a build that wrote neither.
        (Ok(bytes), Err(_)) if !bytes.starts_with(CHECKSUM.as_bytes()) => parsed(&bytes, number),
        _ => Err(error),
    }
}

/// Reads a description whose first line is right.
fn checked(bytes: &[u8], number: u32) -> Result<Schema, String> {
    let (line, text) = bytes
        .iter()
        .position(|&byte| byte == b'\n')
        .map(|end| (&bytes[..end], &bytes[end + 1..]))
        .ok_or("it has no line with a checksum")?;
    if line != line_of(text).as_bytes() {
        return Err("its checksum is wrong".into());
    }
    parsed(text, number)
}

fn parsed(text: &[u8], number: u32) -> Result<Schema, String> {
    let text = std::str::from_utf8(text).map_err(|error| error.to_string())?;
    let schema: Schema = toml::from_str(text).map_err(|error| error.to_string())?;
    if schema.model_number == number {
        Ok(schema)
    } else {
        Err(format!("it says that it is of model {}", schema.model_number))
    }
}

fn line_of(text: &[u8]) -> String {
    format!("{CHECKSUM}{:08x}", crc32fast::hash(text))
}

fn text_of(schema: &Schema) -> io::Result<String> {
    let text = toml::to_string(schema).map_err(io::Error::other)?;
    Ok(format!("{}\n{text}", line_of(text.as_bytes())))
}

fn write(folder: &Path, schema: &Schema) -> io::Result<()> {
    write_text(folder, schema.model_number, text_of(schema)?.as_bytes())
}

fn write_text(folder: &Path, number: u32, text: &[u8]) -> io::Result<()> {
    for ending in ENDINGS {
        let temporary = folder.join("new");
        let mut file = File::create(&temporary)?;
        file.write_all(text)?;
        file.sync_all()?;
        fs::rename(&temporary, path(folder, number, ending))?;
    }
    File::open(folder)?.sync_all()
}

/// Writes a description, unless it is in the spool already.
pub(super) fn ensure(spool: &Path, number: u32, text: &[u8]) -> io::Result<()> {
    let folder = spool.join(FOLDER);
    let is_there = |ending| read_whole(&path(&folder, number, ending)).is_ok_and(|there| there == text);
    if ENDINGS.into_iter().all(is_there) {
        return Ok(());
    }
    fs::create_dir_all(&folder)?;
    write_text(&folder, number, text)
}

/// Whether a spool has no descriptions.
pub(super) fn are_none(spool: &Path) -> io::Result<bool> {
    Ok(numbers(&spool.join(FOLDER))?.is_empty())
}
