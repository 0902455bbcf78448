//! Why a service refuses records, and whether the record or the configuration is the cause.

use quintile_scoring::text::truncate;

/// Reasons are kept for the dead-letter file and log lines; a service's message may be long. Unit: bytes.
const REASON_BYTES_MAX: usize = 512;

/// The result of one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::side::sink::firehose) enum Outcome {
    /// It was answered: one verdict a record, in order; none for accepted ones.
    Answered(Vec<Option<Refused>>),
    /// The stream or the account is over its quota.
    Throttled(String),
    /// The service failed, was not reached, or does not let us.
    Failed(String),
    /// The service says that something in the call is wrong.
    Invalid(String),
}

/// Why the service did not take a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::side::sink::firehose) struct Refused {
    pub(in crate::side::sink::firehose) code: String,
    pub(in crate::side::sink::firehose) message: String,
}

/// What a refusal means for what is done next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Blame {
    /// Too much at once.
    Quota,
    /// The record.
    Record,
    /// Not known: the service, probably.
    Unclear,
}

impl Refused {
    pub(super) fn blame(&self) -> Blame {
        match self.code.as_str() {
            // The documented code of a record that was throttled.
            "ServiceUnavailableException" | "ThrottlingException" | "LimitExceededException" => Blame::Quota,
            "ValidationException" | "InvalidArgumentException" | "SerializationException" => Blame::Record,
            _ => Blame::Unclear,
        }
    }

    pub(super) fn text(&self) -> String {
        format!("{}: {}", self.code, self.message)
    }
}

/// A reason as long as it is kept.
pub(super) fn cut(text: String) -> String {
    truncate(&text, REASON_BYTES_MAX).to_owned()
}
