//! The settings that all our AWS clients share: region, endpoint, credentials from the SDK's default chain, TLS, and
//! the text of errors.
//!
//! The chain is the SDK's own: environment, profile, web identity, ECS task role, EC2 instance role. Credentials live
//! in the SDK; nothing here sees, keeps or prints them. Clients do not retry calls by themselves: the caller knows what
//! a failure means.

use std::error::Error as _;
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{AppName, BehaviorVersion, Region, SdkConfig};
use aws_sdk_firehose::config::http::HttpResponse;
use aws_sdk_firehose::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_http_client::tls;

use crate::config;

/// To connect to a service in the same region, its TLS included.
const CONNECT: Duration = Duration::from_secs(3);

/// Why AWS cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AwsError {
    /// No runtime to ask for the region with.
    #[error("start a runtime: {0}")]
    Runtime(std::io::Error),
    /// No source names a region.
    #[error("find the AWS region: set aws.region, or AWS_REGION, or a region in the AWS profile")]
    Region,
    /// Nobody answers where a service should be.
    #[error("reach {service} at {address}: {source}")]
    Unreachable {
        /// What is there.
        service: &'static str,
        /// HOST:PORT.
        address: String,
        /// The operating system's reason.
        source: std::io::Error,
    },
}

/// Reads what the SDK's environment, profile and metadata services say, beneath what the settings say. `call` bounds
/// one call from its first byte to its answer.
///
/// # Errors
/// When the region is not known.
pub(crate) fn load(settings: &config::Aws, call: Duration) -> Result<SdkConfig, AwsError> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build().map_err(AwsError::Runtime)?;
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT)
        .operation_timeout(call)
        .build();
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring))
        .build_https();
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http)
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts)
        .app_name(AppName::new("quintile").expect("the name has only letters"));
    if let Some(region) = &settings.region {
        loader = loader.region(Region::new(region.clone()));
    }
    if let Some(endpoint) = &settings.endpoint {
        loader = loader.endpoint_url(endpoint);
    }
    let loaded = runtime.block_on(loader.load());
    if loaded.region().is_none() {
        return Err(AwsError::Region);
    }
    Ok(loaded)
}

/// Looks whether AWS's services can be asked: region, and a connection to each that a sink or the scoring needs.
///
/// # Errors
/// For each that cannot, what it is for and why.
pub(crate) fn examine(
    records: &config::Records,
    scoring: &config::Scoring,
    aws: &config::Aws,
) -> Vec<(&'static str, AwsError)> {
    let goes_to = |kind| records.sinks.contains(&kind);
    let services = [
        ("records.s3_url", goes_to(config::SinkKind::S3), "s3"),
        (
            "records.firehose_stream",
            goes_to(config::SinkKind::Firehose),
            "firehose",
        ),
        ("scoring.endpoint", scoring.asks_sagemaker(), "runtime.sagemaker"),
    ];
    let needed = services.into_iter().filter(|(_, is_needed, _)| *is_needed);
    needed
        .filter_map(|(key, _, service)| Some((key, reach(aws, service).err()?)))
        .collect()
}

/// Whether a connection to a service can be made: no call, and no permission is needed.
fn reach(settings: &config::Aws, service: &'static str) -> Result<(), AwsError> {
    let loaded = load(settings, CONNECT)?;
    let region = loaded.region().map(ToString::to_string).unwrap_or_default();
    let uri: Option<http::Uri> = loaded.endpoint_url().and_then(|url| url.parse().ok());
    let address = match uri.as_ref().and_then(|uri| Some((uri, uri.host()?))) {
        Some((uri, host)) => {
            let port = if uri.scheme_str() == Some("http") { 80 } else { 443 };
            format!("{host}:{}", uri.port_u16().unwrap_or(port))
        }
        None => format!("{service}.{region}.amazonaws.com:443"),
    };
    let connected = address.to_socket_addrs().and_then(|mut addresses| {
        let first = addresses
            .next()
            .ok_or_else(|| std::io::Error::other("the name has no address"))?;
        TcpStream::connect_timeout(&first, CONNECT)
    });
    connected.map(drop).map_err(|source| AwsError::Unreachable {
        service,
        address,
        source,
    })
}

/// What a failed call says: a code for deciding, empty when the service did not answer, and words for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reason {
    pub(crate) code: String,
    pub(crate) status: u16,
    pub(crate) text: String,
}

/// Why a call failed. Only messages: what errors hold besides may be requests.
pub(crate) fn reason<E>(error: &SdkError<E, HttpResponse>) -> Reason
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let status = error.raw_response().map_or(0, |response| response.status().as_u16());
    if let SdkError::ServiceError(answer) = error {
        let code = answer.err().code().unwrap_or("unknown");
        let message = answer.err().message().unwrap_or("without a message");
        return Reason {
            code: code.to_owned(),
            status,
            text: format!("{code}: {message}"),
        };
    }
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    Reason {
        code: String::new(),
        status,
        text,
    }
}
