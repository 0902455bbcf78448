//! What of security is read from files: at the start, by a reload, and when the files change.
//!
//! ```text
//! files ─▶ Security::read ─▶ SecurityInForce ─▶ Mail::Tls ─▶ every shard: its next handshakes
//!                              │ every six hours another key of sessions
//!                              └ once a day a warning, when the certificate ends soon
//! ```
//! Nothing is half in force: a fault in one file keeps all as it was. Connections that are open stay.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crossbeam_channel::Sender;
use rustls::ServerConfig;

use super::ServeError;
use super::publish::Publisher;
use super::watch::{self, FileWatcher, Seen};
use crate::config::{Fault, Settings};
use crate::shard::mailbox::Mail;
use crate::telemetry::SecurityGauges;
use crate::tls::{Material, Tickets, TlsError, TlsFile, Validity};

/// The keys that name files.
pub(super) const KEYS: [&str; 5] = [
    "tls.certificate",
    "tls.key",
    "tls.client_ca",
    "tls.client_crl",
    "tls.client",
];

/// How often it is said that the certificate ends soon, or has ended.
const EXPIRY_EVERY: Duration = Duration::from_secs(24 * 3600);

/// What the files say.
#[derive(Debug)]
pub(crate) struct Security {
    /// What handshakes need; none where connections speak plainly.
    material: Option<Material>,
    files: Seen,
}

impl Security {
    /// Reads all files.
    ///
    /// # Errors
    /// All faults, each with its key.
    pub(super) fn read(settings: &Settings) -> Result<Self, Vec<Fault>> {
        let Some(paths) = settings.tls.paths() else {
            return Ok(Self {
                material: None,
                files: Seen::new(),
            });
        };
        let files = watch::seen(paths.files());
        let fault = |error: &TlsError| {
            let fault = Fault::of_key(key_of(error.file), error);
            match error.hint {
                Some(hint) => fault.with_hint(hint),
                None => fault,
            }
        };
        let material = Material::read(&paths).map_err(|errors| errors.iter().map(fault).collect::<Vec<_>>())?;
        Ok(Self {
            material: Some(material),
            files,
        })
    }

    /// What `check` says of it.
    pub(crate) fn told(&self) -> String {
        match &self.material {
            Some(material) => format!("the certificate is valid until {}", day(material.validity().not_after)),
            None => "off".into(),
        }
    }
}

fn key_of(file: TlsFile) -> &'static str {
    match file {
        TlsFile::Certificate => "tls.certificate",
        TlsFile::Key => "tls.key",
        TlsFile::ClientCa => "tls.client_ca",
        TlsFile::ClientCrl => "tls.client_crl",
    }
}

/// What is in force, from one reload to the next.
#[derive(Debug)]
pub(super) struct SecurityInForce {
    material: Option<Material>,
    tickets: Arc<Tickets>,
    /// Since when the first key of sessions makes tickets.
    turned: Instant,
    /// When it was last said that the certificate ends.
    warned: Option<Instant>,
    gauges: Arc<SecurityGauges>,
    watcher: FileWatcher,
}

impl SecurityInForce {
    /// What was read at the start.
    ///
    /// # Errors
    /// When the kernel gives no random bytes.
    pub(super) fn new(security: Security) -> Result<Self, ServeError> {
        let no_random = |_| ServeError::Several(vec![Fault::of_key("tls", "the kernel gives no random bytes")]);
        let mut made = Self {
            material: security.material,
            tickets: Arc::new(Tickets::new().map_err(no_random)?),
            turned: Instant::now(),
            warned: None,
            gauges: Arc::default(),
            watcher: FileWatcher::new(security.files),
        };
        made.look_at_expiry();
        Ok(made)
    }

    pub(super) fn gauges(&self) -> Arc<SecurityGauges> {
        Arc::clone(&self.gauges)
    }

    /// What handshakes are made with.
    pub(super) fn config(&self) -> Option<Arc<ServerConfig>> {
        let material = self.material.as_ref();
        material.map(|material| material.config(Arc::clone(&self.tickets)))
    }

    /// From now on `changed` gets a message when a file has changed.
    pub(super) fn watch(&mut self, changed: Sender<()>) {
        self.watcher.start(changed);
    }

    /// Puts what was read into force.
    pub(super) fn replace(&mut self, security: Security, publisher: &Publisher) {
        let trusts_others = match (&self.material, &security.material) {
            (Some(old), Some(new)) => !old.trusts_as(new),
            _ => true,
        };
        // A session holds its client's certificate, which is not verified again when it is resumed.
        if trusts_others && let Ok(tickets) = Tickets::new() {
            (self.tickets, self.turned) = (Arc::new(tickets), Instant::now());
        }
        self.material = security.material;
        self.watcher.set(security.files);
        self.warned = None;
        self.look_at_expiry();
        self.tell(publisher);
    }

    /// What is due by the clock.
    pub(super) fn tick(&mut self, publisher: &Publisher) {
        if self.material.is_none() {
            return;
        }
        self.look_at_expiry();
        if self.turned.elapsed() >= Tickets::SPAN
            && let Ok(next) = self.tickets.next()
        {
            (self.tickets, self.turned) = (Arc::new(next), Instant::now());
            self.tell(publisher);
        }
    }

    fn tell(&self, publisher: &Publisher) {
        let config = self.config();
        publisher.tell_shards(|| Some(Mail::Tls(config.clone())));
    }

    fn look_at_expiry(&mut self) {
        let validity = self.material.as_ref().map(Material::validity);
        let not_after = validity.map_or(0, |validity| validity.not_after);
        self.gauges.certificate_not_after.store(not_after, Ordering::Relaxed);
        let Some(validity) = validity else { return };
        if self.warned.is_none_or(|warned| warned.elapsed() >= EXPIRY_EVERY) && warn(validity) {
            self.warned = Some(Instant::now());
        }
    }
}

/// Logs that a certificate has ended or ends soon; whether it does.
fn warn(validity: Validity) -> bool {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    let now = i64::try_from(now).unwrap_or(i64::MAX);
    let until = day(validity.not_after);
    if validity.is_over(now) {
        tracing::error!(
            until,
            "the certificate of tls.certificate has expired: clients refuse it"
        );
    } else if validity.not_before > now {
        let from = day(validity.not_before);
        tracing::error!(
            from,
            "the certificate of tls.certificate is not valid yet: clients refuse it"
        );
    } else if validity.ends_soon(now) {
        let days = (validity.not_after - now) / 86_400;
        tracing::warn!(until, days, "the certificate of tls.certificate ends soon: renew it");
    } else {
        return false;
    }
    true
}

/// A second since 1970 as `2026-12-01T00:00:00Z`.
fn day(seconds: i64) -> String {
    let since = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    humantime::format_rfc3339_seconds(UNIX_EPOCH + since).to_string()
}
