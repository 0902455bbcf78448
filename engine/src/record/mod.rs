//! Records of answered scores on their way from a shard to side.
//!
//! ```text
//!  shard: Entry ──encode──▶ framed bytes ──Producer──▶ ring of bytes ──Consumer──▶ side: decode ──▶ sink
//! ```
//! A shard writes a record before it answers, so nothing here that a shard calls allocates, locks or enters the kernel.
//! The framed bytes are self-contained: memory that outlives the process may hold the same frames later.

mod frame;
mod id;
mod queue;

pub use frame::{Entry, Floats, Frame, FrameError, decode, frame_bytes_max};
pub use id::IdSource;
pub use queue::{Consumer, Full, Producer, queue};
