//! The keys of the issuer of tokens: fetched at the start, periodically, and when a token names a key that is not known.
//!
//! ```text
//!  GET jwks_url ──▶ KeySet ──▶ Mail::Keys ──▶ every shard
//!       ▲ every refresh; while none were had every second, up to the refresh
//!       └ a shard has seen an unknown kid: at most once in the cool-down, for the whole process
//! ```
//! No request waits for it. Whatever comes instead of a good set leaves the set in force as it is: another status than
//! 200 (redirects are not followed), too many bytes, something else than JSON, no usable key, or nothing in time.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Empty, Limited};

use super::counts::Stop;
use super::https::{self, HttpsClient};
use crate::auth::{JwksError, KeySet, SharedAccess};
use crate::log_limiter::LogLimiter;
use crate::shard::mailbox::{Address, Mail};
use crate::telemetry::SecurityGauges;

/// Bytes of a set at most. An ALB takes 150 KB.
const BYTES_MAX: usize = 256 << 10;

/// How long a fetch may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// How often it is looked whether a token asks for keys.
const LOOK: Duration = Duration::from_millis(50);

/// After a failure the next fetch comes after this time, and twice that after the next one, up to the refresh.
const RETRY: Duration = Duration::from_secs(1);

/// How keys are had.
#[derive(Debug, Clone)]
pub struct JwksSettings {
    /// Where they are.
    pub url: String,
    /// How often they are fetched.
    pub refresh: Duration,
    /// The shortest time between two fetches that tokens ask for.
    pub cooldown: Duration,
}

/// Why a fetch brought nothing.
#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error("the answer is {0}, not 200; redirects are not followed")]
    Status(StatusCode),
    #[error("no answer within {} s", TIMEOUT.as_secs())]
    Late,
    #[error("the answer {0}")]
    Jwks(#[from] JwksError),
    #[error("the answer has more than {BYTES_MAX} bytes, or did not come whole")]
    Body,
    #[error("{0}")]
    Connect(String),
}

/// Whose keys are fetched, and who gets them.
#[derive(Debug)]
pub(super) struct Issuer {
    pub(super) settings: JwksSettings,
    pub(super) shards: Vec<Address>,
    pub(super) shared: Arc<SharedAccess>,
    pub(super) gauges: Arc<SecurityGauges>,
}

/// Fetches keys until the end.
pub(super) async fn run(issuer: Issuer, stop: &Stop) {
    let Issuer {
        settings,
        shards,
        shared,
        gauges,
    } = issuer;
    let client = match https::client() {
        Ok(client) => client,
        Err(error) => {
            tracing::error!(%error, "no keys of the issuer can be had: the system's certificates cannot be read");
            return;
        }
    };
    let mut log = LogLimiter::every(Duration::from_secs(60));
    let (mut next, mut retry) = (Instant::now(), RETRY);
    let mut asked: Option<Instant> = None;
    while !stop.is_set() {
        let wishes = gauges.unknown_keys.load(Ordering::Relaxed);
        let is_cool = asked.is_none_or(|asked| asked.elapsed() >= settings.cooldown);
        let is_asked = wishes && is_cool;
        if !is_asked && Instant::now() < next {
            tokio::time::sleep(LOOK).await;
            continue;
        }
        if is_asked {
            asked = Some(Instant::now());
        }
        // What was asked for before the fetch is answered by it.
        gauges.unknown_keys.store(false, Ordering::Relaxed);
        let fetched = tokio::time::timeout(TIMEOUT, fetch(&client, &settings.url)).await;
        match fetched.unwrap_or(Err(FetchError::Late)).and_then(|text| {
            let clock_s = gauges.clock_s();
            KeySet::parse(&text, clock_s).map_err(FetchError::from)
        }) {
            Ok(keys) => {
                if gauges.jwks_fetched_s.load(Ordering::Relaxed) < 0 {
                    tracing::info!(keys = keys.len(), "the issuer's keys were fetched");
                }
                gauges
                    .jwks_fetched_s
                    .store(i64::try_from(keys.fetched_s()).unwrap_or(0), Ordering::Relaxed);
                let keys = Arc::new(keys);
                shared.set_keys(Arc::clone(&keys));
                tell(&shards, &keys).await;
                (next, retry) = (Instant::now() + settings.refresh, RETRY);
            }
            Err(error) => {
                if log.may_log(Instant::now()) {
                    tracing::error!(%error, "the issuer's keys (auth.jwks_url) cannot be fetched: the last ones stay");
                }
                next = Instant::now() + retry.min(settings.refresh);
                retry = (retry * 2).min(settings.refresh);
            }
        }
    }
}

/// A full mailbox empties within a moment; a shard that has ended needs no keys.
async fn tell(shards: &[Address], keys: &Arc<KeySet>) {
    for shard in shards {
        for _ in 0..100 {
            if shard.send(Mail::Keys(Arc::clone(keys))).is_ok() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

async fn fetch(client: &HttpsClient<Empty<Bytes>>, url: &str) -> Result<Bytes, FetchError> {
    let request = Request::get(url)
        .header(http::header::ACCEPT, "application/json")
        .header(http::header::USER_AGENT, https::USER_AGENT)
        .body(Empty::new())
        .map_err(|error| FetchError::Connect(error.to_string()))?;
    let answer = client.request(request).await;
    let answer = answer.map_err(|error| {
        let cause = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
        FetchError::Connect(cause)
    })?;
    if answer.status() != StatusCode::OK {
        return Err(FetchError::Status(answer.status()));
    }
    let body = Limited::new(answer.into_body(), BYTES_MAX).collect().await;
    Ok(body.map_err(|_| FetchError::Body)?.to_bytes())
}
