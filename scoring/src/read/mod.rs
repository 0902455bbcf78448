//! Body bytes → row → score → answer bytes: plain functions over reused memory.
//!
//! ```text
//! body ──plain (one pass)───────────────────────────────────┬▶ row, lead id ──Model──▶ margins, predictions, score
//!   │ it is not plain, or not right                         │                                       │
//!   ▼                                                       │                                       ▼
//! Parser (copy, simd-json tape)──▶ Document ──Lead──────────┘                                render::answer
//!            │ it fails                 │ faults
//!            ▼                          ▼
//!   scan: offset and reason ──▶ render::{not_json, invalid}
//! ```
//!
//! Called by the HTTP layer, tests and benches. Never sees HTTP, a socket or a clock: times are arguments. Reading a
//! valid body allocates nothing after warm-up. Faults are collected without allocating; only rendering them may
//! allocate.

pub mod batch;
pub mod categories;
pub mod cells;
pub mod faults;
mod lead;
mod parser;
mod plain;
pub mod scan;
mod sliced;

use quintile_model::Scratch;

use crate::loaded::LoadedModel;
use crate::missing_texts::MissingTexts;
use crate::reasons::ReasonsWish;
pub use faults::Faults;
use faults::JsonType;
use lead::Lead;
pub use lead::range_end;
use parser::Parser;
pub use plain::number;
pub use scan::{JsonFault, JsonReason};
pub use sliced::SlicedRead;

/// One shard's memory for reading and scoring, and what its last request was. It fits one model at a time: for another
/// one, [`Workspace::exchange`] what belongs to the model.
#[derive(Debug)]
pub struct Workspace {
    parser: Parser,
    memory: RowMemory,
}

/// The part of a [`Workspace`] that belongs to one model: a row of its features, and what its kernel works in.
#[derive(Debug)]
pub struct RowMemory {
    lead: Lead,
    scratch: Scratch,
}

impl RowMemory {
    /// Memory for rows of this model.
    #[must_use]
    pub fn new(loaded: &LoadedModel) -> Self {
        Self {
            lead: Lead::new(loaded),
            scratch: loaded.model.scratch(),
        }
    }
}

/// Why a body is no request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// It is not JSON.
    #[error("read the body: {0}")]
    NotJson(JsonFault),
    /// It is JSON, but not a request for this model: [`Workspace::faults`] says why.
    #[error("the request does not fit the model")]
    Invalid,
}

/// What a request took, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Timings {
    /// From body bytes to a row.
    pub parse_ns: u64,
    /// From a row to its score.
    pub score_ns: u64,
    /// From the last byte of the body to the answer.
    pub total_ns: u64,
    /// From side's sending a remote prediction to the shard's noticing it; zero for a score of our own.
    pub wake_ns: u64,
}

impl Workspace {
    /// Memory for bodies of up to `body_bytes_max` bytes (a longer one is read too, but allocates).
    #[must_use]
    pub fn new(loaded: &LoadedModel, body_bytes_max: usize) -> Self {
        let mut parser = Parser::new(body_bytes_max);
        parser.warm(loaded.model.schema().len());
        Self {
            parser,
            memory: RowMemory::new(loaded),
        }
    }

    /// Makes it fit another model. Allocates: to be called after a swap, not on every request.
    pub fn fit(&mut self, loaded: &LoadedModel) {
        self.parser.warm(loaded.model.schema().len());
        self.memory = RowMemory::new(loaded);
    }

    /// Makes room for bodies of another model beside those that it has room for. Allocates.
    pub fn make_room(&mut self, loaded: &LoadedModel) {
        self.parser.make_room(loaded.model.schema().len());
    }

    /// Works for the model of `memory` from now on, and hands back what it worked with. Allocates nothing.
    pub fn exchange(&mut self, memory: RowMemory) -> RowMemory {
        std::mem::replace(&mut self.memory, memory)
    }

    /// Reads `{"lead_id": "…", "features": {…}}`; a category's name becomes its code. Nothing borrows `body`
    /// afterwards.
    ///
    /// # Errors
    /// A body that is not JSON, or no request for this model; then row and lead id are those of no request.
    pub fn read(&mut self, loaded: &LoadedModel, body: &[u8]) -> Result<(), ReadError> {
        if !self.memory.lead.fits(loaded) {
            self.fit(loaded);
        }
        if plain::read(&mut self.memory.lead, loaded, body) {
            return Ok(());
        }
        self.read_any(loaded, body)
    }

    /// As [`Self::read`], without the short way that plain bodies have: it must come to the same.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn read_any(&mut self, loaded: &LoadedModel, body: &[u8]) -> Result<(), ReadError> {
        if !self.memory.lead.fits(loaded) {
            self.fit(loaded);
        }
        let lead = &mut self.memory.lead;
        self.parser
            .parse(body, |document| lead.take(loaded, document))
            .map_err(ReadError::NotJson)?;
        if self.memory.lead.faults().total() == 0 {
            Ok(())
        } else {
            Err(ReadError::Invalid)
        }
    }

    /// As [`Self::read`] of a plain body: false for one that has to be read in another way.
    pub fn read_plain(&mut self, loaded: &LoadedModel, body: &[u8]) -> bool {
        if !self.memory.lead.fits(loaded) {
            self.fit(loaded);
        }
        plain::read(&mut self.memory.lead, loaded, body)
    }

    /// As [`Self::read`] of a long body, a slice at a time: none while there is more to read. At the end row, id and
    /// faults are those of the body.
    pub fn read_slice(
        &mut self,
        loaded: &LoadedModel,
        read: &mut SlicedRead,
        body: &[u8],
        bytes: usize,
    ) -> Option<Result<(), ReadError>> {
        if !self.memory.lead.fits(loaded) {
            self.fit(loaded);
        }
        let result = read.step(&mut self.parser, loaded, body, bytes)?;
        read.swap(&mut self.memory.lead);
        Some(result)
    }

    /// Reads a line of a file, see `Lead::take_line`; answers the id under `key`.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn read_line(
        &mut self,
        loaded: &LoadedModel,
        line: &[u8],
        key: Option<&str>,
        missing: &MissingTexts,
    ) -> Result<Option<String>, ReadError> {
        let lead = &mut self.memory.lead;
        lead.begin_line(missing);
        let id = self
            .parser
            .parse(line, |document| lead.take_line(loaded, document, key))
            .map_err(ReadError::NotJson)?;
        if self.memory.lead.faults().total() == 0 {
            Ok(id)
        } else {
            Err(ReadError::Invalid)
        }
    }

    /// The text of the last line that is the first of its faults.
    #[must_use]
    pub fn refused_text(&self) -> Option<&str> {
        self.memory.lead.refused_text()
    }

    /// Reads what is left of a batch when its leads are cut out: `{"leads": []}`, and what it says of reasons
    /// ([`Self::wish`]).
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn read_skeleton(&mut self, skeleton: &[u8]) -> Result<(), ReadError> {
        let lead = &mut self.memory.lead;
        self.parser
            .parse(skeleton, |document| lead.take_batch(document))
            .map_err(ReadError::NotJson)?;
        if self.memory.lead.faults().total() == 0 {
            Ok(())
        } else {
            Err(ReadError::Invalid)
        }
    }

    /// A body that is no batch because it is JSON of this type.
    pub fn refuse_type(&mut self, found: JsonType) -> ReadError {
        self.memory.lead.refuse_type(found);
        ReadError::Invalid
    }

    /// Runs the model over the row: the score, or none for a model without bands.
    pub fn score(&mut self, loaded: &LoadedModel) -> Option<u8> {
        loaded.model.score_row(self.memory.lead.row(), &mut self.memory.scratch)
    }

    /// Runs the model over a row that was read before.
    pub fn score_row(&mut self, loaded: &LoadedModel, row: &[f64]) -> Option<u8> {
        loaded.model.score_row(row, &mut self.memory.scratch)
    }

    /// Runs the model over rows that were read before, through the kernel that takes several at once, and hands on each
    /// one's number and score with its margins and predictions.
    pub fn score_rows(&mut self, loaded: &LoadedModel, rows: &[f64], each: impl FnMut(usize, Option<u8>, &Scratch)) {
        loaded.model.score_rows(rows, &mut self.memory.scratch, each);
    }

    /// The lead's id.
    #[must_use]
    pub fn lead_id(&self) -> &str {
        self.memory.lead.id()
    }

    /// What the last body says of the reasons that it wants.
    #[must_use]
    pub fn wish(&self) -> ReasonsWish {
        self.memory.lead.wish()
    }

    /// The features in column order; NaN is missing.
    #[must_use]
    pub fn row(&self) -> &[f64] {
        self.memory.lead.row()
    }

    /// The margins of the last score.
    #[must_use]
    pub fn margins(&self) -> &[f64] {
        self.memory.scratch.margins()
    }

    /// The predictions of the last score.
    #[must_use]
    pub fn predictions(&self) -> &[f64] {
        self.memory.scratch.predictions()
    }

    /// What is wrong with the last body, when it was [`ReadError::Invalid`].
    #[must_use]
    pub fn faults(&self) -> &Faults {
        self.memory.lead.faults()
    }
}

#[cfg(test)]
mod tests;
