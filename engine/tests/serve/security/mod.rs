//! TLS, certificates of clients, keys and tokens, over real sockets.

mod attacks;
pub(crate) mod client;
mod keys;
mod mutual;
mod proxies;
mod tls;
mod tokens;
