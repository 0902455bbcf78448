//! Why side does not start, and which records it has not delivered at its end.

use super::sink_reader::SinkReader;
use super::{AwsError, SinkError};

/// Why side cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Records could not be delivered.
    #[error("open the {name} sink: {source}")]
    Sink {
        /// The sink.
        name: &'static str,
        /// What is in the way.
        source: SinkError,
    },
    /// SageMaker could not be asked.
    #[error("prepare to ask SageMaker: {0}")]
    SageMaker(AwsError),
    /// No runtime.
    #[error("start the side runtime: {0}")]
    Runtime(std::io::Error),
    /// No thread.
    #[error("start the {name} thread: {source}")]
    Thread {
        /// The thread.
        name: &'static str,
        /// The operating system's reason.
        source: std::io::Error,
    },
}

/// All records were delivered to every sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivered {
    /// How many, since the start.
    pub records: u64,
}

/// Side ended without having delivered everything, or not as it should.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(DeliveryError::to_string).collect::<Vec<_>>().join("; "))]
pub struct UndeliveredError(
    /// Where, and why; never empty.
    pub Vec<DeliveryError>,
);

/// What one sink has not delivered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("deliver {left} records to {sink} ({delivered} were): {reason}; they stay in the spool")]
pub struct DeliveryError {
    /// The sink.
    pub sink: &'static str,
    /// Records that reached their place.
    pub delivered: u64,
    /// Records that side knows of and that did not.
    pub left: u64,
    /// What went wrong.
    pub reason: Reason,
}

impl DeliveryError {
    /// A sink that had to stop at the deadline. How much is left, `finish` counts when nothing moves any more.
    pub(super) fn new(lane: &SinkReader) -> Self {
        let error = lane.last_error();
        Self {
            sink: lane.name(),
            delivered: 0,
            left: 0,
            reason: Reason::Sink(error.unwrap_or_else(|| "it was still busy".into())),
        }
    }
}

/// Why records are left.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// The sink refused until the deadline.
    #[error("the sink failed until the deadline: {0}")]
    Sink(String),
    /// A thread still had work to do at the deadline.
    #[error("the {0} thread did not end in time")]
    Deadline(&'static str),
    /// A bug in Quintile.
    #[error("the {thread} thread panicked: {message}")]
    Panicked {
        /// Which thread.
        thread: &'static str,
        /// What it said.
        message: String,
    },
    /// Records that no sink could take because they were incomplete or of an unknown model: a bug in Quintile.
    #[error("they could not be read")]
    Damaged,
}
