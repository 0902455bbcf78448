//! Bodies of many leads, cut into leads: where each begins and ends, without reading it.
//!
//! ```text
//! {"leads":[{…},{…}]} ──Envelope (as bytes arrive)──▶ Cut ─┐
//!                                                          ├─▶ one lead after the other, as a request of its own is read
//! {…}⏎{…}⏎            ──Lines (piece by piece)─────────────┘
//! ```
//! No lead of a JSON batch is read before its envelope is complete, so that a fault of the envelope has a status of its
//! own. Lines are read as they come. Neither sees HTTP, a socket or a clock.

mod envelope;
mod lines;

use super::{JsonFault, ReadError};

pub use envelope::{Cut, Envelope, EnvelopeError};
pub use lines::Lines;

/// Where a lead stands in its batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeadPlace {
    /// In a list: which element, from 0, and where in the body it begins.
    Element {
        /// Its number.
        index: usize,
        /// Bytes before it.
        offset: usize,
    },
    /// In a line, from 1.
    Line(u64),
}

impl LeadPlace {
    /// A fault of the lead's text as one of the text that the client sees: the body or the line.
    pub fn fault(self, fault: JsonFault) -> JsonFault {
        let before = match self {
            Self::Element { offset, .. } => offset,
            Self::Line(_) => 0,
        };
        JsonFault {
            offset: before + fault.offset,
            ..fault
        }
    }
}

/// One lead of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece<'a> {
    /// Where it stands.
    pub place: LeadPlace,
    /// Its text; none when it is longer than a lead may be.
    pub text: Option<&'a [u8]>,
}

/// Leads in their order.
pub trait Pieces {
    /// The next one; none when there is no more, or no more yet.
    fn next(&mut self) -> Option<Piece<'_>>;
}

/// Why one lead of a batch has no score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LeadError {
    /// It is no request for the model; faults are in the workspace.
    #[error("{0}")]
    Rejected(ReadError),
    /// It is too long.
    #[error("a lead has at most {limit} bytes")]
    TooLarge {
        /// Bytes accepted.
        limit: usize,
    },
    /// There is no room for its record.
    #[error("records cannot be written as fast as leads come, so this one was not scored; try again")]
    NotRecorded,
    /// It asks for reasons, and the model's scores cannot be explained.
    #[error("this model's scores cannot be explained")]
    NotExplainable,
    /// It asks for reasons, and what explains the model is not made yet.
    #[error("what explains this model is still being made; try again")]
    Preparing,
}

impl LeadError {
    /// The code that programs look at.
    pub fn code(self) -> &'static str {
        match self {
            Self::Rejected(ReadError::NotJson(_)) => "not_json",
            Self::Rejected(ReadError::Invalid) => "invalid_request",
            Self::TooLarge { .. } => "lead_too_large",
            Self::NotRecorded => "record_queue_full",
            Self::NotExplainable => "not_explainable",
            Self::Preparing => "preparing_reasons",
        }
    }
}
