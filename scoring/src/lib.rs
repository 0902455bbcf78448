//! Files and JSON to scores, without a server: what the server, the command line and other programs share.
//!
//! ```text
//! loaded/  a model and its manifest, checked and ready       read/    JSON of a lead → a row, or all of its faults
//! rows/    files of rows in and out                          render/  answers and faults as JSON
//! reasons.rs  why a row has its score
//! comparison/  two models' predictions of the same rows, and whether the second may be promoted
//! replay/  recorded rows scored again
//! quality/ how good recorded scores were, once outcomes are known
//! drift/   whether rows are still what they were in training
//! record_columns/  the columns that every model's records have, and which its features have
//! ```
//! Knows no socket, no HTTP, no runtime and no cloud. `docs/architecture.md` has the code map.

pub mod changes;
pub mod comparison;
pub mod drift;
pub mod limits;
pub mod loaded;
pub mod missing_texts;
pub mod quality;
pub mod read;
pub mod reasons;
pub mod record_columns;
pub mod regular_file;
pub mod render;
pub mod replay;
pub mod rows;
pub mod text;
pub mod verify;
