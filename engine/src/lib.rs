//! Serves gradient-boosted tree models over REST.
//!
//! ```text
//!         acceptor: one thread, one listener, hands each socket to the least-loaded shard
//!      ┌──────────┬──────────┬──────────┐
//!      │ shard 0  │ shard 1  │ shard N-1│  one thread a core; shares nothing mutable
//!      │   parse → score → record → answer  │  no lock, no allocation of ours, no blocking call
//!      └────┬─────┴────┬─────┴────┬─────┘
//!           │  per shard, bounded, lock-free: records (spool) and counts out; sockets, models and metrics in
//!      ┌────▼──────────▼──────────▼─────┐
//!      │ side: one tokio thread, I/O only: sinks that wait · metrics · log events      │
//!      │   └─ worker: one low-priority thread for what burns CPU: Parquet encoding     │
//!      │ spool, spool-sync, spool-watch: records from memory to files, a moment behind  │
//!      └────────────────────────────────┘
//! ```
//! `docs/architecture.md` has the code map and who may not know whom.

pub mod accept;
mod allocator;
pub mod budget;
pub mod cli;
mod clock;
pub mod config;
pub mod http;
pub mod limits;
mod log_writer;
mod media_type;
mod profile;
pub mod protocol;
mod raw_write;
pub mod record;
pub mod remote;
pub mod runtime;
pub mod server;
pub mod shard;
pub mod side;
pub mod spool;
pub mod telemetry;
pub mod topology;
