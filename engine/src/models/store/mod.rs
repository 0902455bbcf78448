//! Where models come from, and where what operators have decided is kept: a folder, or what behaves like one.
//!
//! All of it may wait for a disk or a network, so it is called off the shards only.

mod folder;

use std::fmt;
use std::io;
use std::path::PathBuf;

pub use folder::FolderStore;
pub(super) use folder::number;
pub use folder::{model_in, number as version_number};

/// A version that a store has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundVersion {
    /// The model's name.
    pub name: String,
    /// Its number.
    pub version: u64,
    /// What tells this content from any other without reading it: of names, sizes and times, or of ETags.
    pub stamp: u64,
    /// Whether nobody seems to be writing it.
    pub is_still: bool,
}

/// Why a store did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It cannot be reached or read.
    #[error("{path}: {source}")]
    Read {
        /// Which part of it.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// What operators decided cannot be kept.
    #[error("keep what was decided in {path}: {source}")]
    Write {
        /// Where.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// Another process has decided something meanwhile.
    #[error("another process has changed this model since this one looked; look again")]
    Conflict,
}

/// A place for models.
pub trait ModelStore: fmt::Debug + Send {
    /// Every version that is there.
    ///
    /// # Errors
    /// When it cannot be reached.
    fn scan(&mut self) -> Result<Vec<FoundVersion>, StoreError>;

    /// A local path from which a version can be loaded: a model file, or a folder of another server.
    ///
    /// # Errors
    /// When it cannot be had.
    fn fetch(&mut self, name: &str, version: u64) -> Result<PathBuf, StoreError>;

    /// The latest of what operators have decided about a model, with its revision; revision 0 when there is nothing.
    ///
    /// # Errors
    /// When it cannot be read.
    fn read_state(&mut self, name: &str) -> Result<(u64, Option<Vec<u8>>), StoreError>;

    /// Keeps what operators have decided as the revision that follows `after`.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when that revision is there already.
    fn write_state(&mut self, name: &str, after: u64, bytes: &[u8]) -> Result<(), StoreError>;
}
