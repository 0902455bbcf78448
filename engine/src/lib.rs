//! Serves gradient-boosted tree models over REST.
//!
//! A thread for each core, a *shard*, answers requests from memory. It shares nothing mutable, takes no lock and never
//! blocks. The *acceptor* hands sockets to the shards. The threads *side* and *worker* deliver records and serve
//! metrics; the threads of the spool write records to files.
//!
//! `docs/architecture.md` has the picture of the threads, the code map, and which module may import which.

pub mod accept;
mod allocator;
pub mod auth;
pub mod budget;
pub mod cli;
mod clock;
pub mod config;
pub mod http;
pub mod limits;
mod log_limiter;
mod log_writer;
mod media_type;
pub mod models;
pub mod network;
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
pub mod tls;
pub mod topology;
