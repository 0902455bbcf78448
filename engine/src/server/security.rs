//! What of security is read from files: at the start, by a reload, and when the files change.
//!
//! ```text
//! files, secrets of AWS ─▶ Security::read ─▶ SecurityInForce ─▶ Mail::Tls ─▶ every shard: its next handshakes
//!                              │ every six hours another key of sessions
//!                              └ once a day a warning, when the certificate ends soon
//! ```
//! Nothing is half in force: a fault in one file keeps all as it was. Connections that are open stay.

use std::io::Read as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crossbeam_channel::Sender;
use rustls::ServerConfig;

use super::ServeError;
use super::publish::Publisher;
use super::secrets::{Lookup, SecretCache, SecretSeen, SecretWatcher, SecretsSeen};
use super::watch::{self, FileWatcher, Seen};
use crate::auth::{Access, ApiKeys, Class, RateLimiter, SharedAccess};
use crate::config::{Fault, SecretSource, Settings};
use crate::shard::mailbox::Mail;
use crate::telemetry::SecurityGauges;
use crate::tls::{ClientCertificates, Material, Tickets, TlsError, TlsFile, TlsPaths, Validity};

/// The keys that say what is read, and from where.
pub(super) const KEYS: [&str; 9] = [
    "tls.certificate",
    "tls.key",
    "tls.client_ca",
    "tls.client_crl",
    "tls.client",
    "auth.api_keys",
    "auth.issuer",
    "aws.region",
    "aws.endpoint",
];

/// How often it is said that the certificate ends soon, or has ended.
const EXPIRY_EVERY: Duration = Duration::from_secs(24 * 3600);

/// Bytes of a file of API keys. More are cut off, and then it is no JSON.
const KEYS_BYTES_MAX: u64 = 4 << 20;

/// What the files say.
#[derive(Debug)]
pub(crate) struct Security {
    /// What handshakes need; none where connections speak plainly.
    material: Option<Material>,
    /// Who may do what; none where nobody is asked.
    access: Option<Arc<Access>>,
    files: Seen,
    secrets: SecretsSeen,
    cache: Arc<SecretCache>,
}

/// What was read of one secret, and which text of it when AWS has it.
type Read<T> = (T, Option<SecretSeen>);

impl Security {
    /// Reads all files, at the start or for `check`.
    ///
    /// # Errors
    /// All faults, each with its key. A rule that names a key which is not there is one.
    pub(super) fn read_first(settings: &Settings) -> Result<Self, Vec<Fault>> {
        let security = Self::read(settings, &Arc::default(), Lookup::Fresh)?;
        let missing = security.missing_keys();
        let fault = |(class, name): &(Class, String)| {
            let key = format!("auth.{}", class.name());
            let message = format!("has a rule key:{name}, and auth.api_keys has no key of this name");
            Fault::of_key(&key, message).with_hint("add the key, or take the rule out")
        };
        match missing.is_empty() {
            true => Ok(security),
            false => Err(missing.iter().map(fault).collect()),
        }
    }

    /// Reads all files, and the secrets that AWS has.
    ///
    /// # Errors
    /// All faults, each with its key.
    pub(super) fn read(settings: &Settings, cache: &Arc<SecretCache>, lookup: Lookup) -> Result<Self, Vec<Fault>> {
        let files = watch::seen(files(settings));
        match (material(settings, cache, lookup), keys(settings, cache, lookup)) {
            (Ok((material, tls_key)), Ok((keys, api_keys))) => Ok(Self {
                material,
                access: settings.auth.access(keys, has_certificates(settings)).map(Arc::new),
                files,
                secrets: SecretsSeen { api_keys, tls_key },
                cache: Arc::clone(cache),
            }),
            (material, keys) => Err(material.err().into_iter().flatten().chain(keys.err()).collect()),
        }
    }

    fn missing_keys(&self) -> Vec<(Class, String)> {
        let access = self.access.as_ref();
        access.map(|access| access.missing_keys()).unwrap_or_default()
    }

    /// What `check` says of TLS.
    pub(crate) fn told(&self) -> String {
        match &self.material {
            Some(material) => format!("the certificate is valid until {}", day(material.validity().not_after)),
            None => "off".into(),
        }
    }

    /// What `check` says of rules.
    pub(crate) fn told_of_access(&self) -> String {
        let Some(access) = &self.access else {
            return "nobody is asked for a credential".into();
        };
        let open = Class::ALL.into_iter().filter(|&class| access.is_open(class));
        let open: Vec<_> = open.map(Class::name).collect();
        match open.is_empty() {
            true => "every route asks for a credential".into(),
            false => format!("open to anyone: {}", open.join(", ")),
        }
    }
}

fn has_certificates(settings: &Settings) -> bool {
    settings.tls.client() != ClientCertificates::None
}

/// Every file that is read.
fn files(settings: &Settings) -> Vec<PathBuf> {
    let paths = settings.tls.paths();
    let mut files = paths.as_ref().map(TlsPaths::files_beside_key).unwrap_or_default();
    let key = paths.and_then(|_| settings.tls.key_source());
    for source in [key, settings.auth.key_source()].into_iter().flatten() {
        if let SecretSource::File(path) = source {
            files.push(path);
        }
    }
    files
}

/// What handshakes need.
fn material(settings: &Settings, cache: &SecretCache, lookup: Lookup) -> Result<Read<Option<Material>>, Vec<Fault>> {
    let (Some(paths), Some(source)) = (settings.tls.paths(), settings.tls.key_source()) else {
        return Ok((None, None));
    };
    let (key, seen) = match source.of_aws() {
        None => (None, None),
        Some(secret) => {
            let fetched = cache.tls_key((secret, &settings.aws), lookup);
            let (key, seen) = fetched.map_err(|message| vec![of_aws("tls.key", message)])?;
            (Some(key), Some(seen))
        }
    };
    let fault = |error: &TlsError| {
        let fault = Fault::of_key(key_of(error.file), error);
        match error.hint {
            Some(hint) => fault.with_hint(hint),
            None => fault,
        }
    };
    match Material::read(&paths, key.as_deref()) {
        Ok(material) => Ok((Some(material), seen)),
        Err(errors) => Err(errors.iter().map(fault).collect()),
    }
}

/// What is wrong with a secret of AWS.
fn of_aws(key: &str, message: String) -> Fault {
    Fault::of_key(key, message).with_hint(
        "the role of this process needs secretsmanager:GetSecretValue or ssm:GetParameter, and kms:Decrypt for a key of yours",
    )
}

/// The API keys, where some are configured.
fn keys(settings: &Settings, cache: &SecretCache, lookup: Lookup) -> Result<Read<Option<ApiKeys>>, Fault> {
    let fault = |message: String| Fault::of_key("auth.api_keys", message);
    let path = match settings.auth.key_source() {
        None => return Ok((None, None)),
        Some(SecretSource::Aws(secret)) => {
            let fetched = cache.api_keys((&secret, &settings.aws), lookup);
            let (keys, seen) = fetched.map_err(|message| of_aws("auth.api_keys", message))?;
            return Ok((Some(keys), Some(seen)));
        }
        Some(SecretSource::File(path)) => path,
    };
    let mut bytes = Vec::new();
    let shown = path.display();
    let opened = quintile_scoring::regular_file::open(&path);
    let read = opened.and_then(|file| file.take(KEYS_BYTES_MAX).read_to_end(&mut bytes));
    read.map_err(|error| fault(format!("{shown}: cannot be read: {error}")))?;
    let keys = ApiKeys::parse(&bytes).map_err(|error| fault(format!("{shown}: {error}")))?;
    Ok((Some(keys), None))
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
    access: Option<Arc<Access>>,
    /// The same for the admin listener.
    shared: Arc<SharedAccess>,
    rates: Arc<RateLimiter>,
    watcher: FileWatcher,
    secrets: SecretWatcher,
}

impl SecurityInForce {
    /// What was read at the start.
    ///
    /// # Errors
    /// When the kernel gives no random bytes.
    pub(super) fn new(security: Security, settings: &Settings) -> Result<Self, ServeError> {
        let no_random = |_| ServeError::Several(vec![Fault::of_key("tls", "the kernel gives no random bytes")]);
        let mut made = Self {
            material: security.material,
            tickets: Arc::new(Tickets::new().map_err(no_random)?),
            turned: Instant::now(),
            warned: None,
            gauges: Arc::default(),
            access: None,
            shared: Arc::new(SharedAccess::new(settings.auth.guards_admin())),
            rates: Arc::default(),
            watcher: FileWatcher::new(security.files),
            secrets: SecretWatcher::new(security.cache, settings.aws.clone(), security.secrets),
        };
        made.look_at_expiry();
        made.set_access(security.access);
        Ok(made)
    }

    fn set_access(&mut self, access: Option<Arc<Access>>) {
        self.gauges.is_guarded.store(access.is_some(), Ordering::Relaxed);
        self.shared.set_access(access.clone());
        self.access = access;
    }

    /// Who may do what.
    pub(super) fn access(&self) -> Option<Arc<Access>> {
        self.access.clone()
    }

    /// The same for threads that are no shards.
    pub(super) fn shared(&self) -> Arc<SharedAccess> {
        Arc::clone(&self.shared)
    }

    /// The rates of principals.
    pub(super) fn rates(&self) -> Arc<RateLimiter> {
        Arc::clone(&self.rates)
    }

    pub(super) fn gauges(&self) -> Arc<SecurityGauges> {
        Arc::clone(&self.gauges)
    }

    /// What handshakes are made with.
    pub(super) fn config(&self) -> Option<Arc<ServerConfig>> {
        let material = self.material.as_ref();
        material.map(|material| material.config(Arc::clone(&self.tickets)))
    }

    /// Secrets that were fetched.
    pub(super) fn secrets(&self) -> Arc<SecretCache> {
        self.secrets.cache()
    }

    /// From now on `changed` gets a message when a file or a secret has changed.
    pub(super) fn watch(&mut self, changed: &Sender<()>) {
        self.watcher.start(changed.clone());
        self.secrets.start(changed.clone());
    }

    /// Puts what was read into force.
    pub(super) fn replace(&mut self, security: Security, publisher: &Publisher) {
        for (class, key) in security.missing_keys() {
            let class = class.name();
            tracing::warn!(class, key, "a rule names an API key that is not there any more");
        }
        let trusts_others = match (&self.material, &security.material) {
            (Some(old), Some(new)) => !old.trusts_as(new),
            _ => true,
        };
        // A session holds its client's certificate, which is not verified again when it is resumed.
        if trusts_others && let Ok(tickets) = Tickets::new() {
            (self.tickets, self.turned) = (Arc::new(tickets), Instant::now());
        }
        self.material = security.material;
        self.set_access(security.access);
        self.watcher.set(security.files);
        self.secrets.set(security.secrets);
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
        publisher.tell_shards(|| Some(Mail::Access(self.access.clone())));
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
