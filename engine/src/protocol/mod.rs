//! Wire formats: how a body becomes rows, and how scores or a fault become an answer. A format is one file or folder.
//!
//! ```text
//! body ─▶ Protocol::read ─▶ row ─▶ score ─▶ record ─▶ Protocol::write ─▶ answer
//!                 └─ faults ─────────────────────────▶ Protocol::reject ─▶ answer
//! ```
//! [`Protocol`] is a format of one lead, [`RowsProtocol`] one of tables or tensors, whose rows are scored together. The
//! route decides the format, so all calls are dispatched statically. This module knows no socket, no HTTP and no record.

pub mod datatype;
pub mod delimited;
pub mod grpc;
pub mod invocations;
pub mod json;
pub mod libsvm;
mod native;
mod npy;
pub mod output;
pub mod record_io;
pub mod rows;
pub mod rows_error;
pub mod table;
pub mod table_cells;
pub mod tensor;
pub mod tensor_rows;
pub mod v1;
pub mod v2;

use bytes::BufMut;
use quintile_scoring::loaded::LoadedModel;
use quintile_scoring::read::{ReadError, Workspace};
use quintile_scoring::render::AnswerFields;

use rows::{Asked, Rows, Scored};
use rows_error::RowsError;

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

/// How much of a request is read before a shard looks at its other requests, and how many rows it may have.
#[derive(Debug, Clone, Copy)]
pub struct ReadLimits {
    /// About so many bytes of text at once.
    pub bytes: usize,
    /// Rows in all.
    pub rows: usize,
}

/// Rows that are scored, and what the model is called.
#[derive(Debug, Clone, Copy)]
pub struct AnswerRows<'a> {
    /// The model.
    pub loaded: &'a LoadedModel,
    /// Its name.
    pub name: &'a str,
    /// Its version.
    pub version: &'a str,
    /// The rows.
    pub rows: &'a Rows,
    /// What they came to.
    pub scored: &'a Scored,
}

/// A wire format of requests with many rows. Its value is the memory of one request, and is used again for others.
pub trait RowsProtocol: Default {
    /// Forgets the request.
    fn reset(&mut self);

    /// Reads on, for a slice; none while there is more.
    ///
    /// # Errors
    /// A body that is no request for this model.
    fn read(
        &mut self,
        loaded: &LoadedModel,
        body: &[u8],
        rows: &mut Rows,
        limits: ReadLimits,
    ) -> Option<Result<(), RowsError>>;

    /// What the request wants of its rows beside predictions.
    fn asked(&self) -> Asked;

    /// Writes on, for a slice; true at the end.
    fn write(&mut self, answer: &AnswerRows<'_>, body: &[u8], out: &mut Vec<u8>) -> bool;

    /// Bytes that are held beside body, rows and answer.
    fn held_bytes(&self) -> usize;
}

/// Which protocols of other servers are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is turned on and off for itself")]
pub struct Protocols {
    /// The Open Inference Protocol over HTTP.
    pub v2: bool,
    /// The same over gRPC.
    pub grpc: bool,
    /// KServe's first protocol.
    pub v1: bool,
    /// SageMaker's `/invocations`.
    pub sagemaker: bool,
    /// MLflow's `/invocations`.
    pub mlflow: bool,
}

impl Protocols {
    /// All of them.
    pub const ALL: Self = Self {
        v2: true,
        grpc: true,
        v1: true,
        sagemaker: true,
        mlflow: true,
    };

    /// What a configuration may name.
    pub const WORDS: [&'static str; 6] = ["all", "v2", "grpc", "v1", "sagemaker", "mlflow"];

    /// Those that are named.
    #[must_use]
    pub fn of(words: &[&str]) -> Self {
        let has = |word| words.contains(&word) || words.contains(&"all");
        Self {
            v2: has("v2"),
            grpc: has("grpc"),
            v1: has("v1"),
            sagemaker: has("sagemaker"),
            mlflow: has("mlflow"),
        }
    }
}
