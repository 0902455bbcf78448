//! Secrets that AWS keeps for the configuration: fetched at the start and by SIGHUP, and again periodically.
//!
//! ```text
//!  start, SIGHUP ─▶ SecretCache ◀─ every aws.secrets_refresh_seconds ─ thread secret-watch
//!                      │                                                   └ another one: files are read again
//!                      └─▶ Security::read, which does not call AWS when only files have changed
//! ```
//! So a certificate can be replaced while AWS does not answer, and no fetch that fails changes anything. Of API keys
//! only hashes are kept.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;
use ring::digest::{SHA256, digest};

use super::spawn;
use crate::auth::ApiKeys;
use crate::config::{Aws, AwsSecret};
use crate::log_limiter::LogLimiter;
use crate::side;
use crate::topology;

/// Between two log lines about fetches that fail.
const LOG_EVERY: Duration = Duration::from_secs(60);

/// Whether a service is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lookup {
    /// In any case.
    Fresh,
    /// Only for what was not fetched before.
    Kept,
}

/// The SHA-256 of a secret's text.
type Print = [u8; 32];

/// A secret, and which text of it was read.
pub(super) type SecretSeen = (AwsSecret, Print);

/// What was fetched last.
struct Fetched<T> {
    secret: AwsSecret,
    print: Print,
    value: T,
}

/// One secret of the configuration.
struct Cached<T>(Mutex<Option<Fetched<T>>>);

impl<T> Default for Cached<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Clone> Cached<T> {
    fn lock(&self) -> MutexGuard<'_, Option<Fetched<T>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn kept(&self, secret: &AwsSecret) -> Option<(T, Print)> {
        let kept = self.lock();
        let kept = kept.as_ref().filter(|kept| kept.secret == *secret)?;
        Some((kept.value.clone(), kept.print))
    }

    fn get(
        &self,
        (secret, aws): (&AwsSecret, &Aws),
        lookup: Lookup,
        parse: impl FnOnce(&[u8]) -> Result<T, String>,
    ) -> Result<(T, Print), String> {
        if lookup == Lookup::Kept
            && let Some(kept) = self.kept(secret)
        {
            return Ok(kept);
        }
        let text = side::fetch_secret(secret, aws).map_err(|error| format!("{secret}: {error}"))?;
        let value = parse(&text).map_err(|error| format!("{secret}: {error}"))?;
        let mut print = [0; 32];
        print.copy_from_slice(digest(&SHA256, &text).as_ref());
        *self.lock() = Some(Fetched {
            secret: secret.clone(),
            print,
            value: value.clone(),
        });
        Ok((value, print))
    }
}

/// Every secret that was fetched.
#[derive(Default)]
pub(super) struct SecretCache {
    api_keys: Cached<ApiKeys>,
    tls_key: Cached<Vec<u8>>,
}

impl fmt::Debug for SecretCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretCache").finish_non_exhaustive()
    }
}

impl SecretCache {
    /// The API keys.
    ///
    /// # Errors
    /// Why they cannot be had, or what is wrong with them; never a key.
    pub(super) fn api_keys(&self, of: (&AwsSecret, &Aws), lookup: Lookup) -> Result<(ApiKeys, SecretSeen), String> {
        let parse = |text: &[u8]| ApiKeys::parse(text).map_err(|error| error.to_string());
        let (keys, print) = self.api_keys.get(of, lookup, parse)?;
        Ok((keys, (of.0.clone(), print)))
    }

    /// The private key of the server's certificate, as PEM.
    ///
    /// # Errors
    /// Why it cannot be had.
    pub(super) fn tls_key(&self, of: (&AwsSecret, &Aws), lookup: Lookup) -> Result<(Vec<u8>, SecretSeen), String> {
        let (pem, print) = self.tls_key.get(of, lookup, |text| Ok(text.to_vec()))?;
        Ok((pem, (of.0.clone(), print)))
    }
}

/// The secrets in force.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct SecretsSeen {
    pub(super) api_keys: Option<SecretSeen>,
    pub(super) tls_key: Option<SecretSeen>,
}

impl SecretsSeen {
    fn is_empty(&self) -> bool {
        self.api_keys.is_none() && self.tls_key.is_none()
    }

    /// Fetches them again. Whether one is another than that in force, and why one could not be had.
    fn renew(&self, cache: &SecretCache, aws: &Aws) -> (bool, Vec<String>) {
        let keys = self.api_keys.as_ref().map(|(secret, print)| {
            let fetched = cache.api_keys((secret, aws), Lookup::Fresh);
            fetched.map(|(_, seen)| seen.1 != *print)
        });
        let key = self.tls_key.as_ref().map(|(secret, print)| {
            let fetched = cache.tls_key((secret, aws), Lookup::Fresh);
            fetched.map(|(_, seen)| seen.1 != *print)
        });
        let mut faults = Vec::new();
        let mut is_another = false;
        for renewed in [keys, key].into_iter().flatten() {
            match renewed {
                Ok(another) => is_another |= another,
                Err(fault) => faults.push(fault),
            }
        }
        (is_another, faults)
    }
}

/// The secrets in force and, once one comes from AWS, the thread that fetches them again.
#[derive(Debug)]
pub(super) struct SecretWatcher {
    cache: Arc<SecretCache>,
    aws: Aws,
    in_force: Arc<Mutex<SecretsSeen>>,
    changed: Option<Sender<()>>,
    runs: bool,
}

impl SecretWatcher {
    /// Fetches nothing yet.
    pub(super) fn new(cache: Arc<SecretCache>, aws: Aws, in_force: SecretsSeen) -> Self {
        Self {
            cache,
            aws,
            in_force: Arc::new(Mutex::new(in_force)),
            changed: None,
            runs: false,
        }
    }

    pub(super) fn cache(&self) -> Arc<SecretCache> {
        Arc::clone(&self.cache)
    }

    /// From now on `changed` gets a message when a secret has changed.
    pub(super) fn start(&mut self, changed: Sender<()>) {
        self.changed = Some(changed);
        self.run();
    }

    /// These are in force from now on.
    pub(super) fn set(&mut self, in_force: SecretsSeen) {
        *lock(&self.in_force) = in_force;
        self.run();
    }

    fn run(&mut self) {
        let Some(changed) = self.changed.clone().filter(|_| !self.runs) else {
            return;
        };
        if lock(&self.in_force).is_empty() {
            return;
        }
        let (in_force, cache, aws) = (Arc::clone(&self.in_force), self.cache(), self.aws.clone());
        // It ends with the process: it holds nothing that others wait for.
        match spawn("secret-watch", move || watch(&in_force, &cache, &aws, &changed)) {
            Ok(_) => self.runs = true,
            Err(error) => tracing::error!(%error, "secrets are fetched again by SIGHUP only"),
        }
    }
}

fn lock(in_force: &Mutex<SecretsSeen>) -> MutexGuard<'_, SecretsSeen> {
    in_force.lock().unwrap_or_else(PoisonError::into_inner)
}

fn watch(in_force: &Mutex<SecretsSeen>, cache: &SecretCache, aws: &Aws, changed: &Sender<()>) {
    topology::yield_to_shards();
    let mut log = LogLimiter::every(LOG_EVERY);
    loop {
        std::thread::sleep(aws.secrets_refresh);
        let known = lock(in_force).clone();
        let (is_another, faults) = known.renew(cache, aws);
        if !faults.is_empty() && log.may_log(Instant::now()) {
            for error in faults {
                tracing::error!(error, "a secret cannot be fetched again: the last one stays");
            }
        }
        if is_another {
            // A full channel has a message that says the same.
            let _ = changed.try_send(());
        }
    }
}
