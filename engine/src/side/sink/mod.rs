//! Where records go. The seam: a sink is chosen once, at start, and the worker knows no more than [`Sink`].

mod none;
mod parquet;

#[cfg(test)]
mod tests;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use crate::config::{Records, SinkKind};
use crate::record::Frame;
use crate::served::Served;

/// A place for records. Called by the worker only, so it may compute and wait for a disk; what waits for a network
/// hands over to a task on side and reports through [`Sink::delivered`] what has been acknowledged.
///
/// A record that was taken is kept until it is delivered, over any number of errors. Every call may be repeated after an
/// error; none has a part of its effect twice. Delivery is at least once over the life of several processes: ids tell.
pub(super) trait Sink: Send {
    /// Takes one record over.
    ///
    /// # Errors
    /// Then nothing was taken. [`SinkError::Unfit`] is for ever; anything else may pass.
    fn take(&mut self, record: &Frame<'_>, model: &Arc<Served>, now: Instant) -> Result<(), SinkError>;

    /// When [`Sink::deliver`] has something to do, if it will.
    fn due(&self) -> Option<Instant>;

    /// Delivers what is due.
    fn deliver(&mut self, now: Instant) -> Result<(), SinkError>;

    /// Delivers everything that was taken.
    fn flush(&mut self) -> Result<(), SinkError>;

    /// What has reached its place so far.
    fn delivered(&self) -> Delivery;
}

/// What has reached its place.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Delivery {
    pub(super) records: u64,
    pub(super) files: u64,
}

/// Why a sink did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// An operation on a file or folder.
    #[error("{step} {path}: {source}")]
    File {
        /// What was attempted.
        step: &'static str,
        /// On what.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// A file cannot be moved from one folder to the other in one step, for they are on different file systems.
    #[error("{0} and its folder tmp are on different file systems")]
    Split(PathBuf),
    /// A record that can never be delivered; a fault of ours.
    #[error("a record does not fit: {0}")]
    Unfit(&'static str),
}

/// The sink's name, as options and metrics have it.
pub(super) fn name(kind: SinkKind) -> &'static str {
    match kind {
        SinkKind::Parquet => "parquet",
        SinkKind::None => "none",
    }
}

/// Opens a sink, and makes sure that it can do what it will have to.
///
/// # Errors
/// What is in the way.
pub(super) fn open(records: &Records) -> Result<Box<dyn Sink>, SinkError> {
    Ok(match records.sink {
        SinkKind::Parquet => Box::new(parquet::Parquet::open(records)?),
        SinkKind::None => Box::new(none::None::default()),
    })
}
