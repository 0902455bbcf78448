//! Secrets that AWS keeps: one signed call to Secrets Manager (`GetSecretValue`) or to the Parameter Store
//! (`GetParameter`, decrypted).
//!
//! It waits, so it is called where waiting is allowed: at the start, on `reload-look` and on `secret-watch`. Calls go
//! through our own HTTP client, and are signed by the crate that signs those of S3, with the SDK's chain of
//! credentials. Errors repeat what the service says of the failure, and nothing of an answer that has a secret.

use std::error::Error;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_firehose::config::ProvideCredentials as _;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use object_store::aws::{AwsAuthorizer, AwsCredential};
use object_store::client::{HttpRequest, HttpRequestBody};
use quintile_scoring::text::truncate;
use serde_json::{Value, json};

use super::aws::{self, AwsError};
use super::https;
use crate::config::{Aws, AwsSecret, AwsSecretService};

/// Bytes of an answer. A secret has at most 65,536 bytes, and JSON may write each as six.
const BYTES_MAX: usize = 512 << 10;

/// How long one call may take.
const CALL: Duration = Duration::from_secs(5);

/// Pauses before a call that a service could not answer is repeated.
const PAUSES: [Duration; 2] = [Duration::from_millis(300), Duration::from_secs(1)];

/// Bytes of a service's words that are kept.
const REASON_BYTES_MAX: usize = 512;

/// Why there is no secret.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SecretError {
    /// AWS cannot be used.
    #[error("{0}")]
    Aws(#[from] AwsError),
    /// No runtime for the call.
    #[error("start a runtime: {0}")]
    Runtime(std::io::Error),
    /// The chain has none.
    #[error("no AWS credentials: {0}")]
    Credentials(String),
    /// No call could be made of it.
    #[error("make the call: {0}")]
    Request(String),
    /// Nobody answered.
    #[error("no answer: {0}")]
    NoAnswer(String),
    /// The service refused.
    #[error("{code}: {message}")]
    Refused {
        /// The service's word.
        code: String,
        /// What it says beside.
        message: String,
        /// Of the answer.
        status: StatusCode,
    },
    /// The answer is none of this service.
    #[error("the answer has no {0}: the secret must be a text")]
    NoText(&'static str),
}

impl SecretError {
    /// Whether another call may go better.
    fn may_pass(&self) -> bool {
        match self {
            Self::NoAnswer(_) => true,
            Self::Refused { code, status, .. } => {
                status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS || code.contains("Throttl")
            }
            _ => false,
        }
    }
}

/// Fetches a secret.
///
/// # Errors
/// What the last of a few calls failed with.
pub(crate) fn fetch(secret: &AwsSecret, settings: &Aws) -> Result<Vec<u8>, SecretError> {
    let config = aws::load(settings, CALL)?;
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build().map_err(SecretError::Runtime)?;
    runtime.block_on(async {
        for pause in PAUSES {
            match call(&config, secret).await {
                Err(error) if error.may_pass() => tokio::time::sleep(pause).await,
                ended => return ended,
            }
        }
        call(&config, secret).await
    })
}

/// How a service is asked.
struct Protocol {
    /// Its name in signatures and addresses.
    name: &'static str,
    target: &'static str,
    body: Value,
    /// Where the text is in the answer.
    text: (&'static str, &'static str),
}

impl Protocol {
    fn of(secret: &AwsSecret) -> Self {
        match secret.service {
            AwsSecretService::SecretsManager => Self {
                name: "secretsmanager",
                target: "secretsmanager.GetSecretValue",
                body: json!({"SecretId": secret.id}),
                text: ("/SecretString", "SecretString"),
            },
            AwsSecretService::ParameterStore => Self {
                name: "ssm",
                target: "AmazonSSM.GetParameter",
                body: json!({"Name": secret.id, "WithDecryption": true}),
                text: ("/Parameter/Value", "Parameter.Value"),
            },
        }
    }
}

async fn call(config: &SdkConfig, secret: &AwsSecret) -> Result<Vec<u8>, SecretError> {
    let protocol = Protocol::of(secret);
    let request = signed(config, secret, &protocol).await?;
    let client = https::client().map_err(|error| SecretError::NoAnswer(told(&error)))?;
    let answered = async {
        let answer = client.request(request).await.map_err(|error| told(&error))?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), BYTES_MAX).collect().await;
        let body = body.map_err(|_| format!("more than {BYTES_MAX} bytes, or not whole"))?;
        Ok((status, body.to_bytes()))
    };
    let answered: Result<(StatusCode, Bytes), String> = tokio::time::timeout(CALL, answered)
        .await
        .unwrap_or_else(|_| Err(format!("none within {} s", CALL.as_secs())));
    let (status, body) = answered.map_err(SecretError::NoAnswer)?;
    read(&protocol, status, &body)
}

/// The text of an answer, or what the service says instead.
fn read(protocol: &Protocol, status: StatusCode, body: &[u8]) -> Result<Vec<u8>, SecretError> {
    let answer: Option<Value> = serde_json::from_slice(body).ok();
    let text_at = |pointer: &str| answer.as_ref()?.pointer(pointer)?.as_str();
    if status != StatusCode::OK {
        let code = text_at("/__type")
            .unwrap_or("an error")
            .rsplit('#')
            .next()
            .unwrap_or_default();
        let message = text_at("/message")
            .or_else(|| text_at("/Message"))
            .unwrap_or("without a message");
        let plain = |text: &str| {
            text.chars()
                .filter(|character| !character.is_control())
                .collect::<String>()
        };
        return Err(SecretError::Refused {
            code: truncate(&plain(code), REASON_BYTES_MAX).to_owned(),
            message: truncate(&plain(message), REASON_BYTES_MAX).to_owned(),
            status,
        });
    }
    let (pointer, name) = protocol.text;
    let text = text_at(pointer).ok_or(SecretError::NoText(name))?;
    Ok(text.as_bytes().to_vec())
}

/// The request, signed.
async fn signed(config: &SdkConfig, secret: &AwsSecret, protocol: &Protocol) -> Result<HttpRequest, SecretError> {
    let failed = |error: &dyn Error| SecretError::Request(told(error));
    let configured = config.region().map(AsRef::as_ref);
    let region = secret.region().or(configured).unwrap_or_default();
    let url = match config.endpoint_url() {
        Some(endpoint) => format!("{}/", endpoint.trim_end_matches('/')),
        None => {
            let suffix = if region.starts_with("cn-") { ".cn" } else { "" };
            format!("https://{}.{region}.amazonaws.com{suffix}/", protocol.name)
        }
    };
    let mut request = Request::post(url)
        .header(CONTENT_TYPE, "application/x-amz-json-1.1")
        .header("x-amz-target", protocol.target)
        .header(http::header::USER_AGENT, https::USER_AGENT)
        .body(HttpRequestBody::from(protocol.body.to_string()))
        .map_err(|error| failed(&error))?;
    let credential = credential(config).await?;
    let authorizer = AwsAuthorizer::new(&credential, protocol.name, region);
    authorizer
        .try_authorize(&mut request, None)
        .map_err(|error| failed(&error))?;
    Ok(request)
}

/// What the SDK's chain finds.
async fn credential(config: &SdkConfig) -> Result<AwsCredential, SecretError> {
    let failed = SecretError::Credentials;
    let chain = config
        .credentials_provider()
        .ok_or_else(|| failed("the SDK has no chain".into()))?;
    let found = chain
        .provide_credentials()
        .await
        .map_err(|error| failed(told(&error)))?;
    // The signer takes both for granted.
    let token = found.session_token().map(String::from);
    if token
        .as_ref()
        .is_some_and(|token| HeaderValue::from_str(token).is_err())
    {
        return Err(failed(
            "the session's token has characters that no header can have".into(),
        ));
    }
    Ok(AwsCredential {
        key_id: found.access_key_id().into(),
        secret_key: found.secret_access_key().into(),
        token,
    })
}

/// An error and its causes.
fn told(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    truncate(&text, REASON_BYTES_MAX).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn protocol(service: AwsSecretService) -> Protocol {
        Protocol::of(&AwsSecret {
            service,
            id: "keys".into(),
        })
    }

    #[test]
    fn a_text_is_taken_from_its_place_alone() {
        let manager = protocol(AwsSecretService::SecretsManager);
        let store = protocol(AwsSecretService::ParameterStore);
        let read = |protocol, body: &str| read(protocol, StatusCode::OK, body.as_bytes());
        assert_eq!(read(&manager, r#"{"SecretString":"{}","Name":"x"}"#).unwrap(), b"{}");
        assert_eq!(read(&store, r#"{"Parameter":{"Value":"{}"}}"#).unwrap(), b"{}");
        for body in [
            "",
            "[]",
            r#"{"SecretBinary":"aHVudGVyMg=="}"#,
            r#"{"SecretString":["hunter2"]}"#,
        ] {
            let error = read(&manager, body).unwrap_err().to_string();
            assert!(error.contains("SecretString") && !error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_refusal_has_the_words_of_the_service_and_no_more() {
        let manager = protocol(AwsSecretService::SecretsManager);
        let body =
            r#"{"__type":"com.amazonaws#AccessDeniedException","Message":"User: a\nis not","SecretString":"hunter2"}"#;
        let error = read(&manager, StatusCode::BAD_REQUEST, body.as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), "AccessDeniedException: User: ais not");
        assert!(!error.may_pass());
        let busy = read(
            &manager,
            StatusCode::BAD_REQUEST,
            br#"{"__type":"ThrottlingException"}"#,
        )
        .unwrap_err();
        let down = read(&manager, StatusCode::SERVICE_UNAVAILABLE, b"<html>").unwrap_err();
        assert!(busy.may_pass() && down.may_pass());
    }
}
