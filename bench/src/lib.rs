//! Loads an HTTP server at a given rate and measures how long the answers took, without coordinated omission.
//!
//! ```text
//!  payload ─▶ requests made before the run ─┐
//!                                           ▼
//!  main thread (progress)        worker thread, one or more
//!                                 schedule ─▶ dispatch ─▶ slot ─▶ link (h1, pipelined, h2, TLS) ─▶ server
//!                                                ▲ pacer    │ check ─▶ record
//!                                                           ▼
//!  report (table, JSON, .hgrm, SVG) ◀── histograms added up at the end
//! ```
//! A latency counts from when its request was *due*, so a server that stalls cannot hide the requests it kept from
//! being sent. Workers share nothing mutable while a run lasts but one counter for the progress bar.

#![expect(
    clippy::print_stdout,
    reason = "tables on standard output are what this program is for"
)]

pub mod check;
pub mod cli;
pub mod dispatch;
pub mod h1;
pub mod link;
pub mod payload;
pub mod pipeline;
pub mod plot;
pub mod record;
pub mod report;
pub mod responder;
pub mod run;
pub mod schedule;
pub mod search;
pub mod shard;
pub mod stalls;
pub mod target;
pub mod units;
pub mod worker;
