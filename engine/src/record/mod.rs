//! Records of answered scores as bytes.
//!
//! ```text
//!  shard: Entry ──encode──▶ framed bytes ──▶ spool ──▶ side: parse ──▶ sinks
//! ```
//! A shard writes a record before it answers, so nothing here that a shard calls allocates, locks or enters the kernel.
//! The framed bytes are self-contained but for the names of their model's features, which a [`Schema`] has.

mod frame;
mod id;
mod schema;
mod source;

pub use frame::{Entry, Floats, Frame, FrameError, decode, frame_bytes_max};
pub(crate) use frame::{FRAME_BYTES_MIN, check, may_begin, parse};
pub use id::IdSource;
pub use schema::Schema;
pub use source::Source;
