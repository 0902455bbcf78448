//! Wire formats of one lead: how a body becomes a row, and how a score or a fault becomes an answer. A format is one
//! file.
//!
//! ```text
//! body ─▶ Protocol::read ─▶ row ─▶ score ─▶ record ─▶ Protocol::write ─▶ answer
//!                 └─ faults ─────────────────────────▶ Protocol::reject ─▶ answer
//! ```
//! The route decides the format, so all calls are dispatched statically. This module knows no socket, no HTTP and no
//! record.

mod native;

use bytes::BufMut;
use quintile_scoring::loaded::LoadedModel;
use quintile_scoring::read::{ReadError, Workspace};
use quintile_scoring::render::AnswerFields;

pub use native::Native;

/// A wire format.
pub trait Protocol {
    /// Reads a lead into the workspace's row.
    ///
    /// # Errors
    /// A body that is no lead of this model; the workspace has its faults.
    fn read(workspace: &mut Workspace, loaded: &LoadedModel, body: &[u8]) -> Result<(), ReadError>;

    /// Bytes of the longest answer, so that room is made once.
    fn answer_bytes_max(loaded: &LoadedModel) -> usize;

    /// Writes the answer to a scored lead.
    fn write<B: BufMut>(out: &mut B, loaded: &LoadedModel, answer: &AnswerFields<'_>);

    /// Writes the answer to a body that is no lead.
    fn reject<B: BufMut>(out: &mut B, loaded: &LoadedModel, workspace: &Workspace, rejection: &ReadError);
}
