//! The destinations of records. Several sinks run at once, each with a cursor of its own over the records: a sink that
//! fails falls behind, and the others are not affected.
//!
//! ```text
//!                ┌─ cursor ─▶ EncodingSink  on the worker: CPU-bound, may wait for a disk    parquet, s3
//!  spool records ┤
//!                └─ cursor ─▶ NetworkSink   a task on side: waits for a network              firehose, stdout
//! ```
//!
//! # What holds for both
//! - A cursor counts records from 0. A sink reads ahead, keeps what it has read, and *acknowledges* a number when every
//!   record below it is delivered. With several batches in flight that is the lowest number that is not delivered.
//! - What is acknowledged is never read again; what was read and not acknowledged is read again after a restart. So
//!   delivery is at least once; duplicates come only from a crash, and have the same record id.
//! - A record that can never be delivered must not delay the others: it goes to a dead-letter file
//!   (`counts().dead_lettered`) and counts as delivered. If the cause is a bug in Quintile, it is given up and counted.
//! - Nothing that waits is skipped at the end: a sink ends when `lane.is_finished()` and all is acknowledged, or when
//!   `lane.is_late()`, and what is left then stays in the spool.
//!
//! # How to add one
//! 1. A variant of [`SinkKind`] (`config`): its name is used in `records.sinks` and in the metrics' label `sink`.
//! 2. A file here, and an arm in [`open`], which checks everything that can be checked before the server starts.
//! 3. Either [`EncodingSink`]: `take` one record at a time, `deliver` when `due`, report what is `delivered`. The
//!    worker does the rest: pauses, retries, acknowledging, counts, log lines. A sink that encodes here and sends from
//!    a task answers `wants() == false` while it may hold no more, and counts records as delivered only after the task
//!    has seen the confirmation.
//! 4. Or [`NetworkSink`]: a future that owns its [`SinkReader`]. Its loop: `peek`, copy what is needed into a batch,
//!    `advance`; send; on success `succeeded` and `acknowledge`, on failure `failed`, wait, again (`counts().retried`).
//!    When `peek` has nothing: `tokio::time::sleep(sink_reader::TICK)`. `stdout` and `firehose` are of this kind.
//! 5. `tests.rs` runs what holds for every sink over the ones that compute; add it to `each` there.

mod dead_letters;
mod firehose;
mod ndjson;
mod parquet;
pub(super) mod s3;
mod stdout;

#[cfg(test)]
mod tests;

use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Instant;

pub(crate) use self::ndjson::Lines;

use super::DeliveryError;
use super::aws::AwsError;
use super::sink_reader::SinkReader;
use crate::config::{Aws, Records, SinkKind};
use crate::spool::Item;

/// A sink that computes, called by the worker only.
///
/// A record that was taken is kept until it is delivered, over any number of errors. Every call may be repeated after
/// an error; none has a part of its effect twice.
pub(super) trait EncodingSink: Send {
    /// Whether it can take a record now. One that waits for a remote service says no while it holds as much as it may.
    fn wants(&self) -> bool {
        true
    }

    /// Takes one record over.
    ///
    /// # Errors
    /// Then nothing was taken. [`SinkError::Unfit`] is for ever; anything else may pass.
    fn take(&mut self, item: &Item<'_>, now: Instant) -> Result<(), SinkError>;

    /// When [`EncodingSink::deliver`] has something to do, if it will.
    fn due(&self) -> Option<Instant>;

    /// Delivers what is due.
    fn deliver(&mut self, now: Instant) -> Result<(), SinkError>;

    /// Delivers everything that was taken, or sees to it that it will be.
    fn flush(&mut self) -> Result<(), SinkError>;

    /// What has reached its place so far.
    fn delivered(&self) -> Delivery;
}

/// A sink that waits for a network: it becomes a task on side's thread, and so must never block or compute for long.
pub(super) trait NetworkSink: Send {
    /// Delivers until everything is, or the deadline has passed ([`DeliveryError::new`] then).
    fn run(self: Box<Self>, lane: SinkReader) -> Pin<Box<dyn Future<Output = Result<(), DeliveryError>>>>;
}

/// A sink of either kind.
pub(super) enum Opened {
    EncodingSink(Box<dyn EncodingSink>),
    NetworkSink(Box<dyn NetworkSink>),
}

/// What has reached its place.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Delivery {
    /// Every record with a number below this.
    pub(super) end: u64,
    /// Files that are complete.
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
    /// A file cannot be moved from one folder to the other in one step, because they are on different file systems.
    #[error("{0} and its folder tmp are on different file systems")]
    Split(PathBuf),
    /// AWS cannot be used.
    #[error(transparent)]
    Aws(#[from] AwsError),
    /// A file that was not uploaded.
    #[error("upload {key}: {reason}")]
    Upload {
        /// Its name in the bucket.
        key: String,
        /// The service's words, or ours.
        reason: String,
    },
    /// No thread.
    #[error("start the thread {name}: {source}")]
    Thread {
        /// Its name.
        name: &'static str,
        /// The operating system's reason.
        source: io::Error,
    },
    /// Something that must be set and is not.
    #[error("{0}")]
    Setting(&'static str),
    /// Dead letters take all the room that they may.
    #[error(
        "the dead letters in {folder} are at their limit of {bytes_max} bytes (records.dead_letter_bytes): take files away, \
         and the sink goes on"
    )]
    DeadLetters {
        /// Where they lie.
        folder: PathBuf,
        /// Bytes that they may take.
        bytes_max: u64,
    },
    /// A record that can never be delivered, because of a bug in Quintile.
    #[error("a record does not fit: {0}")]
    Unfit(&'static str),
}

/// Opens a sink, and makes sure that it can do what it will have to.
///
/// # Errors
/// What is in the way.
pub(super) fn open(kind: SinkKind, records: &Records, aws: &Aws) -> Result<Opened, SinkError> {
    Ok(match kind {
        SinkKind::Parquet => Opened::EncodingSink(Box::new(parquet::Parquet::open(records)?)),
        SinkKind::S3 => Opened::EncodingSink(Box::new(parquet::Parquet::to_bucket(records, aws)?)),
        SinkKind::Firehose => Opened::NetworkSink(firehose::open(records, aws)?),
        SinkKind::Stdout => Opened::NetworkSink(Box::new(stdout::Stdout::open()?)),
    })
}
