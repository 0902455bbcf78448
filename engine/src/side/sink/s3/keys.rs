//! Credentials for the store, from the same chain as those of the other AWS clients.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_firehose::config::{ProvideCredentials as _, SharedCredentialsProvider};
use object_store::CredentialProvider;
use object_store::aws::AwsCredential;
use tokio::sync::Mutex;

/// Renewed this long before they expire.
const BEFORE: Duration = Duration::from_secs(300);

/// Keeps what the chain gave until it ends. The chain itself asks the task's or instance's metadata service each time.
#[derive(Debug)]
pub(super) struct Keys {
    chain: SharedCredentialsProvider,
    kept: Mutex<Option<CachedKeys>>,
}

#[derive(Debug, Clone)]
struct CachedKeys {
    keys: Arc<AwsCredential>,
    until: Option<SystemTime>,
}

impl Keys {
    pub(super) fn of(config: &SdkConfig) -> Option<Self> {
        Some(Self {
            chain: config.credentials_provider()?,
            kept: Mutex::default(),
        })
    }
}

#[async_trait]
impl CredentialProvider for Keys {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        let mut kept = self.kept.lock().await;
        let lasts = |kept: &&CachedKeys| kept.until.is_none_or(|until| SystemTime::now() + BEFORE < until);
        if let Some(kept) = kept.as_ref().filter(lasts) {
            return Ok(Arc::clone(&kept.keys));
        }
        let found = self.chain.provide_credentials().await;
        let found = found.map_err(|error| object_store::Error::Generic {
            store: "S3",
            source: Box::new(error),
        })?;
        let keys = Arc::new(AwsCredential {
            key_id: found.access_key_id().into(),
            secret_key: found.secret_access_key().into(),
            token: found.session_token().map(String::from),
        });
        *kept = Some(CachedKeys {
            keys: Arc::clone(&keys),
            until: found.expiry(),
        });
        Ok(keys)
    }
}
