//! TLS, certificates of clients, keys and tokens, over real sockets.

pub(crate) mod client;
mod keys;
mod mutual;
mod tls;
mod tokens;
