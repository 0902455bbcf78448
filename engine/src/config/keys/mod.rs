//! Every key of the configuration, declared once: its section and name, its flag, what it accepts, what it is for and
//! where it is stored. The file, the variables, the flags and their help all come from this table.

mod auth;
mod aws;
mod limits;
mod log;
mod model;
mod models;
mod records;
mod scoring;
mod server;
mod tls;

use std::ffi::OsStr;

use quintile_model::Trees;
use toml::de::DeValue;

use super::Settings;
use super::value::{ValueError, ValueKind};

/// One key.
pub(crate) struct Key {
    /// `[section]` of the file.
    pub(crate) section: &'static str,
    /// Its name there.
    pub(crate) name: &'static str,
    /// Its flag, without dashes.
    pub(crate) flag: Option<&'static str>,
    /// What it accepts and where it is stored.
    pub(crate) kind: ValueKind,
    /// The default value, as a text; none if it is then determined at start.
    pub(crate) default: Option<&'static str>,
    /// What it is for.
    pub(crate) help: &'static str,
}

impl Key {
    /// `section.name`.
    pub(crate) fn path(&self) -> String {
        format!("{}.{}", self.section, self.name)
    }

    /// Whether its value is a secret: it is shown neither in a fault nor in `config show`.
    pub(crate) fn is_secret(&self) -> bool {
        ["secret", "token", "password", "private_key"]
            .iter()
            .any(|word| self.name.ends_with(word))
    }

    /// Whether a reload puts it into force. Everything else takes a restart: threads, files and memory are laid out for
    /// it.
    pub(crate) fn is_reloaded(&self) -> bool {
        match self.section {
            "model" => true,
            "limits" => !matches!(self.name, "body_bytes_max" | "connections_max" | "memory_bytes"),
            "tls" => self.name != "client",
            "auth" => self.name == "api_keys",
            "log" => self.name == "level",
            _ => false,
        }
    }

    /// Stores a text.
    pub(crate) fn store_text(&self, settings: &mut Settings, text: &OsStr) -> Result<(), ValueError> {
        self.kind.store_text(settings, text).map_err(|wrong| self.hidden(wrong))
    }

    /// Stores a TOML value.
    pub(crate) fn store_toml(&self, settings: &mut Settings, value: &DeValue<'_>) -> Result<(), ValueError> {
        self.kind
            .store_toml(settings, value)
            .map_err(|wrong| self.hidden(wrong))
    }

    /// Whether it names a secret, so that somebody may put the secret there by mistake.
    fn names_secret(&self) -> bool {
        self.section == "auth" && self.name == "api_keys"
    }

    /// What is wrong, without the value of a secret.
    fn hidden(&self, wrong: ValueError) -> ValueError {
        if !self.is_secret() && !self.names_secret() {
            return wrong;
        }
        ValueError {
            message: format!("is not accepted; accepted: {}", self.kind.accepts()),
            hint: None,
        }
    }

    /// What it is when nobody sets it and it has no default: found out at the start, or just not there.
    pub(crate) fn unset(&self) -> &'static str {
        let is_detected = matches!(
            (self.section, self.name),
            ("server", "shards" | "cpus" | "recent")
                | ("records", "spool_dir")
                | ("tls", "client")
                | ("limits", "memory_bytes" | "drain_delay_ms")
                | ("log", "format")
        );
        if is_detected { "detected" } else { "unset" }
    }

    /// `QUINTILE_SECTION__NAME`, with two more underscores for a section within one.
    pub(crate) fn variable(&self) -> String {
        let path = self.path().replace('.', "__");
        format!("QUINTILE_{path}").to_ascii_uppercase()
    }
}

/// Shortens the table: a key without a flag.
const fn plain(
    section: &'static str,
    name: &'static str,
    kind: ValueKind,
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

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
const HOUR_MS: usize = 3_600_000;
/// One tick of a shard's timer wheel, which is the shortest time that it can measure.
const TICK_MS: usize = crate::limits::TICK.as_millis() as usize;

/// All of them, in the order of the documentation.
pub(crate) static KEYS: KeyTable = KeyTable([
    server::KEYS,
    model::KEYS,
    models::KEYS,
    records::KEYS,
    scoring::KEYS,
    aws::KEYS,
    tls::KEYS,
    auth::KEYS,
    limits::KEYS,
    log::KEYS,
]);

/// The keys of all sections.
pub(crate) struct KeyTable([&'static [Key]; 10]);

impl KeyTable {
    /// Each key, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &'static Key> + Clone + use<> {
        self.0.into_iter().flatten()
    }
}

/// Every choice of trees with its name.
pub(crate) const TREES: [(&str, Trees); 2] = [("all", Trees::All), ("best", Trees::Best)];

/// The sections, each once, in order.
pub(crate) fn sections() -> Vec<&'static str> {
    let mut sections: Vec<_> = KEYS.iter().map(|key| key.section).collect();
    sections.dedup();
    sections
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::config::LogFormat;

    /// A value that is not the default.
    pub(in crate::config) fn another_value(key: &Key) -> String {
        match &key.kind {
            ValueKind::Text { .. } if key.name == "level" => "debug".to_owned(),
            ValueKind::Text { .. } if key.path() == "models.versions" => "all".to_owned(),
            ValueKind::Text { .. } if key.name == "s3_url" => "s3://lake/x".to_owned(),
            ValueKind::Text { .. } if key.name == "template" => "[$record]".to_owned(),
            ValueKind::Text { .. } if key.path() == "auth.api_keys" => "file:keys.json".to_owned(),
            ValueKind::Text { .. } if key.section == "auth" => "https://issuer.example".to_owned(),
            ValueKind::Texts { .. } if key.path() == "auth.algorithms" => "ES256".to_owned(),
            ValueKind::Texts { .. } if key.path() == "auth.clients" => "7a8b".to_owned(),
            ValueKind::Texts { .. } if key.path() == "auth.token_use" => "id".to_owned(),
            ValueKind::Texts { .. } if key.section == "auth" => "key:crm".to_owned(),
            ValueKind::Text { .. } if key.path() == "aws.endpoint" => "http://x".to_owned(),
            ValueKind::Text { .. } if !matches!(key.name, "listen" | "admin") => "name-1".to_owned(),
            ValueKind::Text { .. } => "[::1]:9".to_owned(),
            ValueKind::Path { .. } => "elsewhere".to_owned(),
            ValueKind::Word { words, .. } => words().pop().unwrap_or_default().to_owned(),
            ValueKind::Words { .. } if key.name == "forget" => "firehose".to_owned(),
            ValueKind::Words { .. } => "none".to_owned(),
            ValueKind::Texts { .. } if key.path() == "server.trusted_proxies" => "10.0.0.0/8".to_owned(),
            ValueKind::Texts { .. } => "https://crm.example".to_owned(),
            ValueKind::Count { range, .. } | ValueKind::Millis { range, .. } => (range.end() - 7).to_string(),
            ValueKind::Number { range, .. } | ValueKind::Seconds { range, .. } => (range.end() - 7.0).to_string(),
        }
    }

    /// A key whose value is a secret.
    pub(in crate::config) fn secret() -> Key {
        Key {
            section: "x",
            name: "client_secret",
            flag: None,
            kind: ValueKind::Text {
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
        for key in KEYS.iter() {
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
        assert_eq!(paths.len(), KEYS.iter().count());
        assert_eq!(
            sections(),
            [
                "server",
                "model",
                "models",
                "models.rollback",
                "records",
                "scoring",
                "aws",
                "tls",
                "auth",
                "limits",
                "log"
            ]
        );
    }

    #[test]
    fn secrets_are_never_shown() {
        let key = secret();
        let wrong = key
            .store_text(&mut Settings::default(), OsStr::new("hunter2"))
            .unwrap_err();
        assert_eq!(wrong.message, "is not accepted; accepted: sixteen letters");
        let mut told = crate::config::origins::SettingOrigins::default();
        told.add(&key, "hunter2", crate::config::SettingSource::Flag("--x".into()));
        assert!(!format!("{told:?}").contains("hunter2"));
    }

    #[test]
    fn a_secret_in_place_of_its_name_is_not_repeated() {
        let key = KEYS.iter().find(|key| key.path() == "auth.api_keys").unwrap();
        let text = OsStr::new("{\"crm\": \"hunter2hunter2hunter2hunter2\"}");
        let wrong = key.store_text(&mut Settings::default(), text).unwrap_err();
        assert!(!format!("{wrong:?}").contains("hunter2") && wrong.message.contains("aws-ssm:NAME"));
    }

    #[test]
    fn words_are_all_known_to_their_setter() {
        for key in KEYS.iter() {
            if let ValueKind::Word { words, set } = &key.kind {
                for word in words() {
                    assert!(set(&mut Settings::default(), word), "{} {word}", key.path());
                }
                assert!(!set(&mut Settings::default(), "AUTO "), "{}", key.path());
            }
            if let ValueKind::Words { words, set } = &key.kind {
                let mut settings = Settings::default();
                if key.name == "protocols" {
                    set(&mut settings, &[]);
                    let none = settings.protocols;
                    for word in words() {
                        set(&mut settings, &[word]);
                        assert_ne!(settings.protocols, none, "{word}");
                    }
                    continue;
                }
                set(&mut settings, &words());
                let stored = if key.name == "forget" {
                    &settings.records.forget
                } else {
                    &settings.records.sinks
                };
                assert_eq!(stored.len(), words().len());
            }
        }
    }

    #[test]
    fn every_key_stores_into_a_place_of_its_own() {
        for key in KEYS.iter() {
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
