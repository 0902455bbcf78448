//! What an operator can set, from a TOML file, `QUINTILE_SECTION__KEY` variables and flags (each overrides the one
//! before).
//!
//! ```text
//! keys: one table ─┬─ file        --config FILE or QUINTILE_CONFIG
//!                  ├─ environment QUINTILE_SERVER__LISTEN=…
//!                  └─ flags       --listen …
//! ```
//! The only module that reads the environment. All faults are collected and reported together, with place, range and
//! the nearest known name. The rest of the engine sees one complete [`Settings`].

mod auth;
mod auth_checks;
pub(crate) mod change;
mod container;
mod cross_checks;
mod environment;
mod fault;
mod file;
pub(crate) mod habits;
pub(crate) mod keys;
mod load;
pub mod models;
pub(crate) mod origins;
mod secret;
#[cfg(test)]
mod tests;
mod tls;
pub(crate) mod units;
mod validators;
pub(crate) mod value;

use std::path::PathBuf;
use std::time::Duration;

use quintile_model::{KernelChoice, Options};

pub use auth::Auth;
pub use fault::{ConfigError, Fault, SettingSource};
pub use load::Flags;
pub(crate) use load::{ReadSettings, wants_colours};
pub use secret::{AwsSecret, AwsSecretService, SecretSource};
pub use tls::Tls;

use crate::limits::Limits;
use crate::network::Network;
use crate::protocol::Protocols;
use crate::runtime;
use crate::topology::CpuSettings;
use quintile_scoring::render::row_body::{Content, Template};

/// Where operators ask, unless something else is configured.
pub const ADMIN: &str = "127.0.0.1:9901";

/// All settings of the server.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// `HOST:PORT`; port 0 takes a free one.
    pub listen: String,
    /// The model file; the embedded demo when none is given.
    pub model: Option<PathBuf>,
    /// A store of models in place of one file.
    pub models: models::ModelsSettings,
    /// Which trees and which kernel.
    pub options: Options,
    /// Which runtime backend.
    pub runtime: runtime::Choice,
    /// How many shards; found out from the machine when none is given.
    pub shards: Option<usize>,
    /// CPUs that this process may use, if the operator overrides what the machine reports.
    pub cpus: Option<f64>,
    /// Whether the pages for people, `/` and `/docs`, are served.
    pub pages: bool,
    /// Whether the status has the ids of the last scores; where nobody says, [`Settings::shows_recent`] decides.
    pub recent: Option<bool>,
    /// Origins whose pages may call this server; `*` alone is any.
    pub cors_origins: Vec<String>,
    /// Networks of proxies whose word is taken on whose a request is.
    pub trusted_proxies: Vec<Network>,
    /// Whether connections begin with the PROXY protocol.
    pub proxy_protocol: bool,
    /// Whether the kernel may write the memory of a process that crashes to a file.
    pub core_dumps: bool,
    /// Which protocols of other servers are answered.
    pub protocols: Protocols,
    /// How long a shard without work keeps looking before it sleeps.
    pub spin: Duration,
    /// `HOST:PORT` of the operators' listener. If [`ADMIN`] is taken, the server runs without it; if any other address
    /// is taken, it does not start.
    pub admin: Option<String>,
    /// Records.
    pub records: Records,
    /// Who scores.
    pub scoring: Scoring,
    /// The settings for AWS's services.
    pub aws: Aws,
    /// Certificates.
    pub tls: Tls,
    /// Who may do what.
    pub auth: Auth,
    /// Limits.
    pub limits: Limits,
    /// Bytes that clients can make the process hold; without it a part of the memory limit.
    pub memory_bytes: Option<usize>,
    /// How log lines look.
    pub log: LogFormat,
    /// A `tracing` filter, as `info` or `quintile=debug`.
    pub log_level: String,
    /// Whether text log lines are coloured.
    pub log_colour: bool,
    /// Where ECS describes the task of this process (`ECS_CONTAINER_METADATA_URI_V4`).
    pub metadata_uri: Option<String>,
}

/// Where records go and how they are kept until then.
#[derive(Debug, Clone, PartialEq)]
pub struct Records {
    /// Where they go: to each of these. Without any, records are counted and dropped.
    pub sinks: Vec<SinkKind>,
    /// The folder of the `parquet` sink; files appear under `scores/` in it.
    pub data_dir: PathBuf,
    /// The folder of the spool; without it `spool` in the data folder.
    pub spool_dir: Option<PathBuf>,
    /// Bytes of the spool's files. What sinks have not delivered waits there.
    pub spool_bytes: usize,
    /// What becomes of a lead whose record has no room.
    pub when_full: WhenFull,
    /// Bytes of a sink's dead-letter files. A sink that is at this limit waits.
    pub dead_letter_bytes: usize,
    /// A file is finished when it holds this many records.
    pub roll_rows: usize,
    /// A file is finished when its oldest record waits this long.
    pub roll_after: Duration,
    /// The delivery stream of the `firehose` sink.
    pub firehose_stream: Option<String>,
    /// `s3://BUCKET/PREFIX` of the `s3` sink.
    pub s3_url: Option<String>,
    /// Sinks that are gone: records that still wait for them may go.
    pub forget: Vec<SinkKind>,
}

/// Who scores.
#[derive(Debug, Clone, PartialEq)]
pub struct Scoring {
    /// Who is asked first.
    pub primary: ScorerKind,
    /// Who is asked when that one does not answer.
    pub fallback: Option<ScorerKind>,
    /// The name of the SageMaker endpoint.
    pub endpoint: Option<String>,
    /// How a row is sent to it.
    pub body: BodyKind,
    /// The text around the row, where it is JSON.
    pub template: Template,
    /// How long it may take, from the complete body of a request to its answer.
    pub deadline: Duration,
    /// Calls under way at once.
    pub calls_max: usize,
    /// How many reasons an answer gives where its request says nothing.
    pub explain: u16,
}

/// A scorer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScorerKind {
    /// This process.
    Local,
    /// A SageMaker endpoint.
    SageMaker,
}

/// A form of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyKind {
    /// Values with commas between them.
    Csv,
    /// A JSON text.
    Json,
}

/// The settings for AWS's services, in addition to those that the SDK finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aws {
    /// The region; the SDK's own when none is given.
    pub region: Option<String>,
    /// Where every service is reached, as in tests; AWS when none is given.
    pub endpoint: Option<String>,
    /// How often secrets are fetched again.
    pub secrets_refresh: Duration,
}

impl Default for Aws {
    fn default() -> Self {
        Self {
            region: None,
            endpoint: None,
            secrets_refresh: Duration::from_secs(300),
        }
    }
}

impl Scoring {
    /// Whether SageMaker may be asked.
    #[must_use]
    pub fn asks_sagemaker(&self) -> bool {
        self.primary == ScorerKind::SageMaker || self.fallback == Some(ScorerKind::SageMaker)
    }

    /// How a row is sent.
    #[must_use]
    pub fn content(&self) -> Content {
        match self.body {
            BodyKind::Csv => Content::Csv,
            BodyKind::Json => Content::Json(self.template.clone()),
        }
    }
}

impl Records {
    /// Where the spool is.
    #[must_use]
    pub fn spool_dir(&self) -> PathBuf {
        self.spool_dir.clone().unwrap_or_else(|| self.data_dir.join("spool"))
    }
}

/// What becomes of a lead whose record has no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenFull {
    /// It is answered 503.
    Shed,
    /// It is answered, and its record is lost and counted.
    Drop,
}

/// A sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SinkKind {
    /// Parquet files on disk.
    Parquet,
    /// Parquet files in S3 or what speaks like it.
    S3,
    /// An Amazon Data Firehose delivery stream.
    Firehose,
    /// Lines of JSON on standard output.
    Stdout,
}

impl SinkKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Parquet, Self::S3, Self::Firehose, Self::Stdout];

    /// What settings and metrics call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Parquet => "parquet",
            Self::S3 => "s3",
            Self::Firehose => "firehose",
            Self::Stdout => "stdout",
        }
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8080".into(),
            model: None,
            models: models::ModelsSettings::default(),
            options: Options {
                kernel: KernelChoice::Auto,
                ..Options::default()
            },
            runtime: runtime::Choice::Auto,
            shards: None,
            cpus: None,
            pages: true,
            recent: None,
            cors_origins: Vec::new(),
            trusted_proxies: Vec::new(),
            proxy_protocol: false,
            core_dumps: false,
            protocols: Protocols::ALL,
            spin: Duration::ZERO,
            admin: Some(ADMIN.into()),
            records: Records::default(),
            scoring: Scoring::default(),
            aws: Aws::default(),
            tls: Tls::default(),
            auth: Auth::default(),
            limits: Limits::default(),
            memory_bytes: None,
            log: LogFormat::Text,
            log_level: "info".into(),
            log_colour: false,
            metadata_uri: None,
        }
    }
}

impl Default for Records {
    fn default() -> Self {
        Self {
            sinks: vec![SinkKind::Parquet],
            data_dir: "data".into(),
            spool_dir: None,
            spool_bytes: 1 << 30,
            when_full: WhenFull::Shed,
            dead_letter_bytes: 256 << 20,
            roll_rows: 250_000,
            roll_after: Duration::from_secs(60),
            firehose_stream: None,
            s3_url: None,
            forget: Vec::new(),
        }
    }
}

impl Default for Scoring {
    fn default() -> Self {
        Self {
            primary: ScorerKind::Local,
            fallback: None,
            endpoint: None,
            body: BodyKind::Csv,
            template: Template::parse(Template::INSTANCES).expect("it is a template"),
            deadline: Duration::from_secs(1),
            calls_max: 64,
            explain: 0,
        }
    }
}

impl Settings {
    /// Whether the status has the ids of the last scores: where nobody says, only if nobody else can ask for it.
    #[must_use]
    pub fn shows_recent(&self) -> bool {
        let host = self.listen.rsplit_once(':').map_or("", |(host, _)| host);
        let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
        let is_local = host == "localhost" || address.is_ok_and(|address| address.is_loopback());
        self.recent.unwrap_or(is_local)
    }

    /// What they say of CPUs.
    #[must_use]
    pub fn cpu_settings(&self) -> CpuSettings<'_> {
        CpuSettings {
            cpus: self.cpus,
            shards: self.shards,
            metadata_uri: self.metadata_uri.as_deref(),
        }
    }
}
