//! Counts and log events of the shards: values that go from a shard to side. This module does not know who sends or
//! reads them.

mod counters;
mod denial;
mod event;
mod model_counts;

pub use counters::{Admission, BatchCounts, Counter, Gauges, Phase, Route, STATUSES, SecurityGauges, ShardStats};
pub use denial::DenialReason;
pub use event::{Event, EventKind, PRINCIPAL_BYTES_MAX, Trace};
pub use model_counts::{BUCKETS_NS, ModelCounts, RoleCounts, ScoredBy};
