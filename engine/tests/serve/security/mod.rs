//! TLS, certificates of clients, keys and tokens, over real sockets.

pub(crate) mod client;
mod mutual;
mod tls;
