//! Records of answered scores as bytes, and as the columns in which they are read.
//!
//! ```text
//!  shard: Entry ──encode──▶ framed bytes ──▶ spool ──▶ side: parse ──▶ columns ──▶ sinks
//! ```
//! A shard writes a record before it answers, so no function here that a shard calls allocates, locks or enters the
//! kernel. The framed bytes are complete except for what all records of a model share, which is in a [`Schema`].

mod columns;
mod extras;
mod frame;
mod id;
mod schema;
mod source;

pub use columns::{Cell, Column, Columns, Content};
pub use extras::{Extras, ProtocolName, Role};
pub use frame::{Entry, Floats, Frame, FrameError, decode, frame_bytes_max};
pub(crate) use frame::{FRAME_BYTES_MIN, check, may_begin, parse};
pub use id::IdSource;
pub use quintile_scoring::record_columns::{
    BESIDE, CategoryLabels, CategoryValue, ColumnType, FIXED, Field, SCHEMA_VERSION, renamed_features,
};
pub use schema::{CategoryNames, Schema};
pub use source::RecordSource;
