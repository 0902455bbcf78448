//! What shards say of themselves: counts and log events. Values that cross from a shard to side; who sends and who
//! reads them is not known here.

mod counters;
mod event;

pub use counters::{Admission, BatchCounts, Counter, Gauges, Phase, Route, STATUSES, ShardStats};
pub use event::{Event, EventKind, Trace};
