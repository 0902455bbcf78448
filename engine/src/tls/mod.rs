//! TLS of the server's listener: certificate, key, roots and revocation lists from files, and what rustls is configured
//! with.
//!
//! ```text
//! paths ─▶ Material::read ─┬─ every fault, with its file
//!                          └─▶ Material::config(tickets) ─▶ Arc<ServerConfig> ─▶ shards (mailbox): handshakes
//! Tickets: keys of sessions, the same for all shards and never changed; another set is another config
//! ```
//! `server` reads and hands out, `http/connection` makes the handshakes, `cli` makes a pair for development. Nothing here
//! knows a socket, a shard or a setting. No lock: rustls' own store of sessions and its ticketer have one, so neither is
//! used.

mod certificate;
mod client;
mod der;
mod files;
mod self_signed;
mod tickets;

pub use certificate::{CertificateNames, Validity, names, validity};
pub use client::client_config;
pub use files::{ClientCertificates, Material, TlsError, TlsFile, TlsPaths};
pub use self_signed::{Pair, SelfSignedError, self_signed};
pub use tickets::Tickets;
