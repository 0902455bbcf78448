//! The HTTP client for single calls: hyper, with the same TLS as the AWS clients. It follows no redirect, and keeps no
//! connection.

use std::io;

use http_body::Body;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

/// What calls say of who makes them.
pub(super) const USER_AGENT: &str = concat!("quintile/", env!("CARGO_PKG_VERSION"));

/// A client whose requests have bodies of this type.
pub(super) type HttpsClient<B> = Client<HttpsConnector<HttpConnector>, B>;

/// A client that trusts the system's certificates.
///
/// # Errors
/// When these cannot be read.
pub(super) fn client<B>() -> io::Result<HttpsClient<B>>
where
    B: Body + Send,
    B::Data: Send,
{
    let connector = HttpsConnectorBuilder::new().with_native_roots()?;
    let connector = connector.https_or_http().enable_http1().build();
    let mut client = Client::builder(TokioExecutor::new());
    Ok(client.pool_max_idle_per_host(0).build(connector))
}
