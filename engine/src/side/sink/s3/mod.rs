//! Uploads finished Parquet files to S3, or to any store that speaks its protocol. [`super::parquet`] makes the files.
//!
//! ```text
//!  worker: file, encoded, on the disk ──▶ thread "s3": multipart upload, 8 MiB a part ──▶ bucket
//!             └── looks now and then ◀── done, or why not: then it is uploaded again from the disk
//! ```
//! An object appears when its upload is complete, and not before. A thread of its own, because an upload may take
//! minutes and the worker must go on encoding.

mod http;
mod keys;

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::{BackoffConfig, ObjectStoreExt as _, PutPayload, RetryConfig};
use quintile_scoring::text::truncate;
use tokio::sync::mpsc;

use self::http::Connector;
use self::keys::Keys;
use super::SinkError;
use super::parquet::Shared;
use crate::config::{Aws, Records};
use crate::side::aws;

/// One call, its body of up to 8 MiB included.
const CALL: Duration = Duration::from_secs(30);

/// Bytes of a part. S3 takes 5 MiB or more; a file of 1 GiB has 128 parts of the 10,000 it may have.
const PART_BYTES: usize = 8 << 20;

/// Calls that fail are repeated a few times here, and the whole file after that.
const CALL_RETRIES: usize = 2;

/// Bytes of a store's words that are kept.
const REASON_BYTES_MAX: usize = 512;

/// The way to a bucket.
#[derive(Debug)]
pub(super) struct Uploads {
    jobs: mpsc::UnboundedSender<Job>,
    prefix: String,
}

/// One file that is on its way.
#[derive(Debug)]
pub(super) struct Upload {
    key: String,
    done: std::sync::mpsc::Receiver<Result<(), String>>,
}

#[derive(Debug)]
struct Job {
    key: String,
    file: Shared,
    done: std::sync::mpsc::SyncSender<Result<(), String>>,
}

impl Uploads {
    /// Finds out what AWS's clients must know and starts the thread; no call is made.
    pub(super) fn open(records: &Records, settings: &Aws) -> Result<Self, SinkError> {
        let Some(place) = records.s3_url.as_deref().and_then(|url| url.strip_prefix("s3://")) else {
            return Err(SinkError::Setting("records.s3_url names no bucket"));
        };
        let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
        let store = store(bucket, settings)?;
        let (jobs, inbox) = mpsc::unbounded_channel();
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let failed = |source| SinkError::Thread { name: "s3", source };
        let runtime = runtime.enable_all().build().map_err(failed)?;
        let thread = thread::Builder::new().name("s3".into());
        thread
            .spawn(move || runtime.block_on(work(store, inbox)))
            .map_err(failed)?;
        Ok(Self {
            jobs,
            prefix: prefix.trim_matches('/').into(),
        })
    }

    /// Starts an upload.
    pub(super) fn start(&mut self, name: String, file: Shared) -> Upload {
        let key = if self.prefix.is_empty() {
            name
        } else {
            format!("{}/{name}", self.prefix)
        };
        let (sender, done) = std::sync::mpsc::sync_channel(1);
        let job = Job {
            key: key.clone(),
            file,
            done: sender,
        };
        // A thread that is gone drops the job, and with it the way back: the upload fails.
        let _ = self.jobs.send(job);
        Upload { key, done }
    }
}

impl Upload {
    /// Its result, once it has ended.
    pub(super) fn look(&self) -> Option<Result<(), SinkError>> {
        let failed = |reason| SinkError::Upload {
            key: self.key.clone(),
            reason,
        };
        match self.done.try_recv() {
            Ok(result) => Some(result.map_err(failed)),
            Err(std::sync::mpsc::TryRecvError::Empty) => None,
            Err(std::sync::mpsc::TryRecvError::Disconnected) => Some(Err(failed("the thread s3 has ended".into()))),
        }
    }
}

/// A client of a bucket; no call is made.
///
/// # Errors
/// No region.
pub(in crate::side) fn store(bucket: &str, settings: &Aws) -> Result<AmazonS3, SinkError> {
    let config = aws::load(settings, CALL)?;
    let region = config.region().map(ToString::to_string).unwrap_or_default();
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(bucket)
        .with_region(region)
        .with_http_connector(Connector { call: CALL })
        .with_retry(RetryConfig {
            backoff: BackoffConfig::default(),
            max_retries: CALL_RETRIES,
            retry_timeout: CALL,
        });
    if let Some(keys) = Keys::of(&config) {
        builder = builder.with_credentials(Arc::new(keys));
    }
    if let Some(endpoint) = config.endpoint_url() {
        builder = builder
            .with_endpoint(endpoint)
            .with_allow_http(endpoint.starts_with("http://"));
    }
    builder.build().map_err(|error| SinkError::Upload {
        key: bucket.into(),
        reason: error.to_string(),
    })
}

async fn work(store: AmazonS3, mut jobs: mpsc::UnboundedReceiver<Job>) {
    let store = Arc::new(store);
    let mut uploads = tokio::task::JoinSet::new();
    while let Some(job) = jobs.recv().await {
        let store = Arc::clone(&store);
        uploads.spawn(async move {
            let result = upload(&store, &job.key, &job.file).await;
            let _ = job.done.send(result);
        });
        while uploads.try_join_next().is_some() {}
    }
    while uploads.join_next().await.is_some() {}
}

async fn upload(store: &AmazonS3, key: &str, file: &Shared) -> Result<(), String> {
    let path = Path::parse(key).map_err(|error| error.to_string())?;
    let part = |offset: u64| {
        let rest = usize::try_from(file.bytes() - offset).unwrap_or(PART_BYTES);
        file.read(offset, rest.min(PART_BYTES))
            .map_err(|error| error.to_string())
    };
    if file.bytes() <= PART_BYTES as u64 {
        let whole = PutPayload::from(part(0)?);
        return store.put(&path, whole).await.map(drop).map_err(reason);
    }
    let mut parts = store.put_multipart(&path).await.map_err(reason)?;
    let mut offset = 0;
    let result = async {
        while offset < file.bytes() {
            let bytes = part(offset)?;
            offset += bytes.len() as u64;
            parts.put_part(bytes.into()).await.map_err(reason)?;
        }
        parts.complete().await.map(drop).map_err(reason)
    }
    .await;
    if result.is_err() {
        // Parts that are left are paid for. A bucket's lifecycle rule removes those of a process that died.
        let _ = parts.abort().await;
    }
    result
}

/// What a store says, with its causes.
pub(in crate::side) fn reason(error: object_store::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    truncate(&text, REASON_BYTES_MAX).to_owned()
}
