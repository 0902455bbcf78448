//! Why a spool cannot be used.

use std::io;
use std::path::PathBuf;

use super::layout::SLOTS_MAX;
use super::waiting::exports;

/// Why a spool cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// Another process has it.
    #[error(
        "the spool {0} is in use by another process; give each process its own with records.spool_dir, or stop the other"
    )]
    InUse(PathBuf),
    /// A server has died, and its keeper process cannot write what it has left.
    #[error(
        "the keeper process of a server that has died still writes records into the spool {0}: its disk is slow or fails; \
         try again when it has finished, or give this server another folder with records.spool_dir"
    )]
    StillWritten(PathBuf),
    /// No memory for records.
    #[error("get memory for the spool {path}: {source}")]
    Memory {
        /// The spool.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// Too little room for the shards.
    #[error(
        "a spool of {bytes_max} bytes is too small for {shards} shards whose records take up to {record_bytes} bytes; \
         records.spool_bytes must be at least {needed}"
    )]
    TooSmall {
        /// `records.spool_bytes`.
        bytes_max: usize,
        /// How many shards.
        shards: usize,
        /// Bytes of the largest record.
        record_bytes: usize,
        /// What would do.
        needed: usize,
    },
    /// More sinks than a segment has checkpoints for.
    #[error("{0} sinks are more than the {SLOTS_MAX} that a spool has room for")]
    Sinks(usize),
    /// Records wait for sinks that are not configured any more.
    #[error(
        "records wait in the spool {} for a sink that is not configured any more: {}",
        .path.display(),
        .sinks.iter().map(|(sink, records)| format!("{records} for {sink}")).collect::<Vec<_>>().join(", ")
    )]
    RemovedSinks {
        /// The spool.
        path: PathBuf,
        /// How many records wait for each.
        sinks: Vec<(String, u64)>,
    },
    /// Anything else.
    #[error("{step} {path}: {source}")]
    File {
        /// What was attempted.
        step: &'static str,
        /// On what.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
}

impl SpoolError {
    /// What to do next, where that is no part of the error.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let Self::RemovedSinks { path, sinks } = self else {
            return None;
        };
        let names: Vec<_> = sinks.iter().map(|(sink, _)| format!("{sink:?}")).collect();
        let (export, names) = (exports(path, sinks), names.join(", "));
        Some(format!(
            "write them out: {export}; then let them go with records.forget = [{names}], or put the sink back into records.sinks"
        ))
    }
}
