//! Every key of the configuration, declared once: its section and name, its flag, what it accepts, what it is for and
//! where it is stored. The file, the variables, the flags and their help all come from this table.

use std::ffi::OsStr;
use std::time::Duration;

use quintile_model::{KernelChoice, Trees};
use toml::de::DeValue;

use super::forms::{check_level, check_listen, check_name, check_region, check_s3, check_template, check_url};
use super::value::{Kind, Wrong};
use super::{ADMIN, BodyKind, LogFormat, Scorer, Settings, SinkKind, WhenFull};
use crate::limits::{SHARDS_MAX, SPIN_US_MAX};
use crate::runtime;
use quintile_scoring::render::row_body::Template;

/// One key.
pub(crate) struct Key {
    /// `[section]` of the file.
    pub(crate) section: &'static str,
    /// Its name there.
    pub(crate) name: &'static str,
    /// Its flag, without dashes.
    pub(crate) flag: Option<&'static str>,
    /// What it accepts and where it is stored.
    pub(crate) kind: Kind,
    /// The value it has when nobody sets it, as a text; none when it then is found out.
    pub(crate) default: Option<&'static str>,
    /// What it is for.
    pub(crate) help: &'static str,
}

impl Key {
    /// `section.name`.
    pub(crate) fn path(&self) -> String {
        format!("{}.{}", self.section, self.name)
    }

    /// Whether nobody may see its value: not in a fault, not in `config show`.
    pub(crate) fn is_secret(&self) -> bool {
        ["secret", "token", "password", "private_key"]
            .iter()
            .any(|word| self.name.ends_with(word))
    }

    /// Whether a reload puts it into force. Everything else takes a restart: threads, files and memory are laid out for it.
    pub(crate) fn is_reloaded(&self) -> bool {
        match self.section {
            "model" => true,
            "limits" => !matches!(self.name, "body_bytes_max" | "connections_max"),
            "log" => self.name == "level",
            _ => false,
        }
    }

    /// Stores a text.
    pub(crate) fn store_text(&self, settings: &mut Settings, text: &OsStr) -> Result<(), Wrong> {
        self.kind.store_text(settings, text).map_err(|wrong| self.hidden(wrong))
    }

    /// Stores a TOML value.
    pub(crate) fn store_toml(&self, settings: &mut Settings, value: &DeValue<'_>) -> Result<(), Wrong> {
        self.kind
            .store_toml(settings, value)
            .map_err(|wrong| self.hidden(wrong))
    }

    /// What is wrong, without the value of a secret.
    fn hidden(&self, wrong: Wrong) -> Wrong {
        if !self.is_secret() {
            return wrong;
        }
        Wrong {
            message: format!("is not accepted; accepted: {}", self.kind.accepts()),
            hint: None,
        }
    }

    /// `QUINTILE_SECTION__NAME`.
    pub(crate) fn variable(&self) -> String {
        format!("QUINTILE_{}__{}", self.section, self.name).to_ascii_uppercase()
    }
}

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
const HOUR_MS: usize = 3_600_000;
/// One tick of a shard's timer wheel: nothing shorter can be told from it.
const TICK_MS: usize = crate::limits::TICK.as_millis() as usize;

/// Shortens the table: a key of `[limits]`.
const fn limit(name: &'static str, kind: Kind, default: &'static str, help: &'static str) -> Key {
    Key {
        section: "limits",
        name,
        flag: None,
        kind,
        default: Some(default),
        help,
    }
}

/// Shortens the table: a key without a flag.
const fn plain(
    section: &'static str,
    name: &'static str,
    kind: Kind,
    default: Option<&'static str>,
    help: &'static str,
) -> Key {
    Key {
        section,
        name,
        flag: None,
        kind,
        default,
        help,
    }
}

/// All of them, in the order of the documentation.
pub(crate) static KEYS: &[Key] = &[
    Key {
        section: "server",
        name: "listen",
        flag: Some("listen"),
        kind: Kind::Text {
            form: "HOST:PORT, as 127.0.0.1:8080, 0.0.0.0:8080 or [::]:8080",
            check: check_listen,
            set: |settings, text| settings.listen = text,
        },
        default: Some("127.0.0.1:8080"),
        help: "Where to listen; port 0 takes a free one, and the ready log line says which",
    },
    Key {
        section: "server",
        name: "runtime",
        flag: Some("runtime"),
        kind: Kind::Word {
            words: || vec!["auto", "glommio", "epoll"],
            set: |settings, word| {
                word.parse::<runtime::Choice>()
                    .map(|choice| settings.runtime = choice)
                    .is_ok()
            },
        },
        default: Some("auto"),
        help: "What drives the sockets: io_uring (glommio) or epoll; auto takes the faster one that can run here",
    },
    Key {
        section: "server",
        name: "shards",
        flag: Some("shards"),
        kind: Kind::Count {
            range: 1..=SHARDS_MAX,
            unit: "",
            set: |settings, count| settings.shards = Some(count),
        },
        default: None,
        help: "Serving threads; without it one for each whole CPU that this process has",
    },
    Key {
        section: "server",
        name: "cpus",
        flag: Some("cpus"),
        kind: Kind::Number {
            range: 0.01..=1024.0,
            unit: "CPUs",
            set: |settings, cpus| settings.cpus = Some(cpus),
        },
        default: None,
        help: "CPUs to use at most, where less is wanted than affinity, cgroups and ECS allow",
    },
    plain(
        "server",
        "pages",
        Kind::Word {
            words: || vec!["on", "off"],
            set: |settings, word| {
                settings.pages = word == "on";
                matches!(word, "on" | "off")
            },
        },
        Some("on"),
        "Whether / and /docs are there for browsers; what programs read (/openapi.json, /v1/schema, /v1/status) always is",
    ),
    plain(
        "server",
        "spin_us",
        Kind::Count {
            range: 0..=SPIN_US_MAX,
            unit: "µs",
            set: |settings, micros| settings.spin = Duration::from_micros(micros as u64),
        },
        Some("0"),
        "How long a shard without work keeps looking at its sockets before it sleeps: takes the time to wake up out of latencies, \
         and costs the whole CPU meanwhile (docs/runtimes.md)",
    ),
    plain(
        "server",
        "admin",
        Kind::Text {
            form: "none or HOST:PORT, as 127.0.0.1:9901",
            check: |text| if text == "none" { Ok(()) } else { check_listen(text) },
            set: |settings, text| settings.admin = (text != "none").then_some(text),
        },
        Some(ADMIN),
        "Where operators ask what the process does (/debug/flamegraph); keep it off the network, for it asks nobody who they are. \
         When the default's port is taken, the server goes on without",
    ),
    Key {
        section: "model",
        name: "path",
        flag: Some("model"),
        kind: Kind::Path {
            set: |settings, path| settings.model = Some(path),
        },
        default: None,
        help: "The model file, with its manifest beside it (model.ubj, model.toml); without it the embedded demo",
    },
    Key {
        section: "model",
        name: "trees",
        flag: Some("trees"),
        kind: Kind::Word {
            words: || TREES.iter().map(|(name, _)| *name).collect(),
            set: |settings, word| trees(word).map(|trees| settings.options.trees = trees).is_some(),
        },
        default: Some("all"),
        help: "Which trees make the prediction: all, or those up to the file's best_iteration",
    },
    Key {
        section: "model",
        name: "kernel",
        flag: Some("kernel"),
        kind: Kind::Word {
            words: || KernelChoice::NAMES.iter().map(|(name, _)| *name).collect(),
            set: |settings, word| word.parse().map(|kernel| settings.options.kernel = kernel).is_ok(),
        },
        default: Some("auto"),
        help: "The code that evaluates the trees; auto takes the fastest that supports the model",
    },
    Key {
        section: "records",
        name: "sinks",
        flag: Some("sink"),
        kind: Kind::Words {
            words: || SinkKind::ALL.map(SinkKind::name).to_vec(),
            set: |settings, words| {
                let find = |word: &&str| SinkKind::ALL.into_iter().find(|kind| kind.name() == *word);
                settings.records.sinks = words.iter().filter_map(find).collect();
            },
        },
        default: Some("parquet"),
        help: "Where a record of every answered score goes, to one or several: parquet, files under the data folder; s3, \
               the same in a bucket; firehose, a delivery stream; stdout, lines of JSON",
    },
    Key {
        section: "records",
        name: "data_dir",
        flag: Some("data-dir"),
        kind: Kind::Path {
            set: |settings, path| settings.records.data_dir = path,
        },
        default: Some("data"),
        help: "The data folder; records appear under scores/ in it",
    },
    Key {
        section: "records",
        name: "spool_dir",
        flag: None,
        kind: Kind::Path {
            set: |settings, path| settings.records.spool_dir = Some(path),
        },
        default: None,
        help: "The folder in which records wait for the sinks, one for each process; without it spool/ in the data folder",
    },
    Key {
        section: "records",
        name: "spool_bytes",
        flag: None,
        kind: Kind::Count {
            // The least holds a few hundred records of 50 features.
            range: MIB..=1024 * 1024 * MIB,
            unit: "bytes",
            set: |settings, bytes| settings.records.spool_bytes = bytes,
        },
        default: Some("1073741824"),
        help: "Files of the spool; what is not delivered waits there",
    },
    Key {
        section: "records",
        name: "when_full",
        flag: None,
        kind: Kind::Word {
            words: || vec!["shed", "drop"],
            set: |settings, word| {
                let when_full = match word {
                    "shed" => WhenFull::Shed,
                    "drop" => WhenFull::Drop,
                    _ => return false,
                };
                settings.records.when_full = when_full;
                true
            },
        },
        default: Some("shed"),
        help: "When the spool is full or its disk fails: answer 503, or answer and lose the record, which is counted",
    },
    Key {
        section: "records",
        name: "dead_letter_bytes",
        flag: None,
        kind: Kind::Count {
            // The least holds eight of the largest records.
            range: 16 * MIB..=1024 * 1024 * MIB,
            unit: "bytes",
            set: |settings, bytes| settings.records.dead_letter_bytes = bytes,
        },
        default: Some("268435456"),
        help: "Files of records that a sink's service refuses for ever; a sink at this limit waits until some are taken away",
    },
    Key {
        section: "records",
        name: "roll_rows",
        flag: None,
        kind: Kind::Count {
            range: 1..=10_000_000,
            unit: "records",
            set: |settings, rows| settings.records.roll_rows = rows,
        },
        default: Some("250000"),
        help: "A file is finished when it holds this many records",
    },
    Key {
        section: "records",
        name: "roll_seconds",
        flag: None,
        kind: Kind::Seconds {
            range: 0.1..=86_400.0,
            set: |settings, after| settings.records.roll_after = after,
        },
        default: Some("60"),
        help: "A file is finished when its oldest record waits this long",
    },
    plain(
        "records",
        "firehose_stream",
        Kind::Text {
            form: "the name of a delivery stream: 1 to 64 of letters, digits, _ . -",
            check: check_name,
            set: |settings, text| settings.records.firehose_stream = Some(text),
        },
        None,
        "The delivery stream of the sink firehose",
    ),
    plain(
        "records",
        "s3_url",
        Kind::Text {
            form: "s3://BUCKET or s3://BUCKET/PREFIX",
            check: check_s3,
            set: |settings, text| settings.records.s3_url = Some(text),
        },
        None,
        "Where the sink s3 puts its files, under date=…/hour=…/",
    ),
    plain(
        "scoring",
        "backend",
        Kind::Word {
            words: || vec!["local", "sagemaker"],
            set: |settings, word| scorer(word).map(|scorer| settings.scoring.backend = scorer).is_some(),
        },
        Some("local"),
        "Who scores: this process, or a SageMaker endpoint",
    ),
    plain(
        "scoring",
        "fallback",
        Kind::Word {
            words: || vec!["none", "local", "sagemaker"],
            set: |settings, word| {
                settings.scoring.fallback = scorer(word);
                settings.scoring.fallback.is_some() || word == "none"
            },
        },
        Some("none"),
        "Who scores when the backend does not: sagemaker also serves a model that cannot be evaluated here",
    ),
    plain(
        "scoring",
        "endpoint",
        Kind::Text {
            form: "the name of an endpoint: 1 to 64 of letters, digits, _ . -",
            check: check_name,
            set: |settings, text| settings.scoring.endpoint = Some(text),
        },
        None,
        "The SageMaker endpoint",
    ),
    plain(
        "scoring",
        "body",
        Kind::Word {
            words: || vec!["csv", "json"],
            set: |settings, word| {
                let body = match word {
                    "csv" => BodyKind::Csv,
                    "json" => BodyKind::Json,
                    _ => return false,
                };
                settings.scoring.body = body;
                true
            },
        },
        Some("csv"),
        "How a row is sent to it: csv, as the built-in XGBoost container reads it, or json",
    ),
    plain(
        "scoring",
        "template",
        Kind::Text {
            form: "a JSON text with $features (a list of values) or $record (an object) in it",
            check: check_template,
            set: |settings, text| {
                if let Ok(template) = Template::parse(&text) {
                    settings.scoring.template = template;
                }
            },
        },
        Some(Template::INSTANCES),
        "The body around a row that is sent as json",
    ),
    plain(
        "scoring",
        "deadline_ms",
        Kind::Millis {
            range: 10..=60_000,
            set: |settings, time| settings.scoring.deadline = time,
        },
        Some("1000"),
        "How long SageMaker may take for a request, retries included",
    ),
    plain(
        "scoring",
        "calls_max",
        Kind::Count {
            range: 1..=4096,
            unit: "calls",
            set: |settings, calls| settings.scoring.calls_max = calls,
        },
        Some("64"),
        "Calls to SageMaker under way at once; twice as many may wait",
    ),
    plain(
        "aws",
        "region",
        Kind::Text {
            form: "a region, as eu-central-1",
            check: check_region,
            set: |settings, text| settings.aws.region = Some(text),
        },
        None,
        "The AWS region; without it the one that the SDK finds (AWS_REGION, profile, instance)",
    ),
    plain(
        "aws",
        "endpoint",
        Kind::Text {
            form: "a URL, as http://127.0.0.1:5000",
            check: check_url,
            set: |settings, text| settings.aws.endpoint = Some(text),
        },
        None,
        "Where every AWS service is reached, for stand-ins and S3-compatible stores",
    ),
    limit(
        "body_bytes_max",
        Kind::Count {
            range: KIB..=256 * MIB,
            unit: "bytes",
            set: |settings, bytes| settings.limits.body_bytes_max = bytes,
        },
        "1048576",
        "A request's body",
    ),
    limit(
        "batch_bytes_max",
        Kind::Count {
            range: KIB..=256 * MIB,
            unit: "bytes",
            set: |settings, bytes| settings.limits.batch_bytes_max = bytes,
        },
        "33554432",
        "A batch's body; each of its leads has body_bytes_max",
    ),
    limit(
        "batch_leads_max",
        Kind::Count {
            range: 1..=1_000_000,
            unit: "leads",
            set: |settings, count| settings.limits.batch_leads_max = count,
        },
        "10000",
        "Leads of a batch",
    ),
    limit(
        "batches_max",
        Kind::Count {
            range: 1..=1000,
            unit: "batches",
            set: |settings, count| settings.limits.batches_max = count,
        },
        "4",
        "Batches of one shard that are being read or answered at once; each may hold batch_bytes_max",
    ),
    limit(
        "head_bytes_max",
        // hyper refuses a buffer below 8 KiB.
        Kind::Count {
            range: 8 * KIB..=MIB,
            unit: "bytes",
            set: |settings, bytes| settings.limits.head_bytes_max = bytes,
        },
        "16384",
        "A request's head",
    ),
    limit(
        "headers_max",
        // hyper holds a hundred without allocating; with fewer than eight no browser gets through.
        Kind::Count {
            range: 8..=100,
            unit: "headers",
            set: |settings, count| settings.limits.headers_max = count,
        },
        "100",
        "Headers of a request",
    ),
    limit(
        "connections_max",
        Kind::Count {
            range: 1..=1_000_000,
            unit: "connections",
            set: |settings, count| settings.limits.connections_max = count,
        },
        "10000",
        "Open connections of the process",
    ),
    limit(
        "in_flight_max",
        Kind::Count {
            range: 1..=1_000_000,
            unit: "requests",
            set: |settings, count| settings.limits.in_flight_max = count,
        },
        "10000",
        "Requests of one shard that are being read or answered at once",
    ),
    limit(
        "first_byte_ms",
        Kind::Millis {
            range: TICK_MS..=HOUR_MS,
            set: |settings, time| settings.limits.first_byte = time,
        },
        "30000",
        "From a connection's start to its first byte",
    ),
    limit(
        "head_ms",
        Kind::Millis {
            range: TICK_MS..=HOUR_MS,
            set: |settings, time| settings.limits.head = time,
        },
        "10000",
        "From the first byte of a head to its last",
    ),
    limit(
        "body_ms",
        Kind::Millis {
            range: TICK_MS..=HOUR_MS,
            set: |settings, time| settings.limits.body = time,
        },
        "10000",
        "From the end of a head to the end of its body",
    ),
    limit(
        "batch_ms",
        Kind::Millis {
            range: TICK_MS..=HOUR_MS,
            set: |settings, time| settings.limits.batch = time,
        },
        "60000",
        "The same for a batch",
    ),
    limit(
        "idle_ms",
        Kind::Millis {
            range: TICK_MS..=24 * HOUR_MS,
            set: |settings, time| settings.limits.idle = time,
        },
        "75000",
        "Between two requests of a connection; longer than the load balancer's",
    ),
    limit(
        "write_ms",
        Kind::Millis {
            range: TICK_MS..=HOUR_MS,
            set: |settings, time| settings.limits.write = time,
        },
        "10000",
        "For the peer to read what is written to it",
    ),
    limit(
        "linger_ms",
        Kind::Millis {
            range: 0..=60_000,
            set: |settings, time| settings.limits.linger = time,
        },
        "2000",
        "How long a closing connection reads on, so that its last answer arrives",
    ),
    limit(
        "drain_idle_ms",
        Kind::Millis {
            range: 0..=HOUR_MS,
            set: |settings, time| settings.limits.drain_idle = time,
        },
        "500",
        "How long a quiet connection stays open after a drain began",
    ),
    limit(
        "drain_ms",
        Kind::Millis {
            range: TICK_MS..=HOUR_MS,
            set: |settings, time| settings.limits.drain = time,
        },
        "25000",
        "The whole drain; shorter than what follows SIGTERM with SIGKILL",
    ),
    Key {
        section: "log",
        name: "format",
        flag: Some("log"),
        kind: Kind::Word {
            words: || vec!["json", "text"],
            set: |settings, word| {
                let format = match word {
                    "json" => LogFormat::Json,
                    "text" => LogFormat::Text,
                    _ => return false,
                };
                settings.log = format;
                true
            },
        },
        default: None,
        help: "How log lines look; without it text on a terminal, else JSON",
    },
    Key {
        section: "log",
        name: "level",
        flag: None,
        kind: Kind::Text {
            form: "error, warn, info, debug, trace, off, or TARGET=LEVEL, separated by commas",
            check: check_level,
            set: |settings, text| settings.log_level = text,
        },
        default: Some("info"),
        help: "Which log lines are written",
    },
];

fn scorer(word: &str) -> Option<Scorer> {
    match word {
        "local" => Some(Scorer::Local),
        "sagemaker" => Some(Scorer::SageMaker),
        _ => None,
    }
}

/// Every choice of trees with its name.
pub(crate) const TREES: [(&str, Trees); 2] = [("all", Trees::All), ("best", Trees::Best)];

fn trees(word: &str) -> Option<Trees> {
    TREES.iter().find(|(name, _)| *name == word).map(|&(_, trees)| trees)
}

/// The sections, each once, in order.
pub(crate) fn sections() -> Vec<&'static str> {
    let mut sections: Vec<_> = KEYS.iter().map(|key| key.section).collect();
    sections.dedup();
    sections
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A value that is not the default.
    pub(in crate::config) fn another_value(key: &Key) -> String {
        match &key.kind {
            Kind::Text { .. } if key.name == "level" => "debug".to_owned(),
            Kind::Text { .. } if key.name == "s3_url" => "s3://lake/x".to_owned(),
            Kind::Text { .. } if key.name == "template" => "[$record]".to_owned(),
            Kind::Text { .. } if key.path() == "aws.endpoint" => "http://x".to_owned(),
            Kind::Text { .. } if !matches!(key.name, "listen" | "admin") => "name-1".to_owned(),
            Kind::Text { .. } => "[::1]:9".to_owned(),
            Kind::Path { .. } => "elsewhere".to_owned(),
            Kind::Word { words, .. } => words().pop().unwrap_or_default().to_owned(),
            Kind::Words { .. } => "none".to_owned(),
            Kind::Count { range, .. } | Kind::Millis { range, .. } => (range.end() - 7).to_string(),
            Kind::Number { range, .. } | Kind::Seconds { range, .. } => (range.end() - 7.0).to_string(),
        }
    }

    /// A key whose value nobody may see.
    pub(in crate::config) fn secret() -> Key {
        Key {
            section: "x",
            name: "client_secret",
            flag: None,
            kind: Kind::Text {
                form: "sixteen letters",
                check: |_| Err(String::new()),
                set: |_, _| {},
            },
            default: None,
            help: "",
        }
    }

    #[test]
    fn defaults_in_the_table_are_the_defaults_of_settings() {
        let mut settings = Settings::default();
        for key in KEYS {
            if let Some(default) = key.default {
                key.kind
                    .store_text(&mut settings, OsStr::new(default))
                    .unwrap_or_else(|wrong| panic!("{}: {wrong:?}", key.path()));
            }
        }
        assert_eq!(settings, Settings::default());
    }

    #[test]
    fn names_are_unique_and_sections_stand_together() {
        let mut paths: Vec<_> = KEYS.iter().map(Key::path).collect();
        paths.sort();
        paths.dedup();
        assert_eq!(paths.len(), KEYS.len());
        assert_eq!(
            sections(),
            ["server", "model", "records", "scoring", "aws", "limits", "log"]
        );
    }

    #[test]
    fn secrets_are_never_shown() {
        let key = secret();
        let wrong = key
            .store_text(&mut Settings::default(), OsStr::new("hunter2"))
            .unwrap_err();
        assert_eq!(wrong.message, "is not accepted; accepted: sixteen letters");
        let mut told = crate::config::told::Tellings::default();
        told.add(&key, "hunter2", crate::config::Source::Flag("--x".into()));
        assert!(!format!("{told:?}").contains("hunter2"));
    }

    #[test]
    fn words_are_all_known_to_their_setter() {
        for key in KEYS {
            if let Kind::Word { words, set } = &key.kind {
                for word in words() {
                    assert!(set(&mut Settings::default(), word), "{} {word}", key.path());
                }
                assert!(!set(&mut Settings::default(), "AUTO "), "{}", key.path());
            }
            if let Kind::Words { words, set } = &key.kind {
                let mut settings = Settings::default();
                set(&mut settings, &words());
                assert_eq!(settings.records.sinks.len(), words().len());
            }
        }
    }

    #[test]
    fn every_key_stores_into_a_place_of_its_own() {
        for key in KEYS {
            let other = another_value(key);
            let start = Settings {
                log: LogFormat::Json,
                ..Settings::default()
            };
            let mut settings = start.clone();
            key.kind
                .store_text(&mut settings, OsStr::new(&other))
                .expect("in range");
            assert_ne!(settings, start, "{}", key.path());
        }
    }
}
