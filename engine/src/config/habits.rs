//! What people write out of habit from other programs, and what it is called here: for hints only, nothing is accepted by
//! another name.

use quintile_model::nearest::nearest;

use super::keys::{KEYS, Key, sections};

/// Words that other servers use, and the key here.
const WORDS: [(&str, &str); 47] = [
    ("port", "server.listen"),
    ("host", "server.listen"),
    ("bind", "server.listen"),
    ("address", "server.listen"),
    ("addr", "server.listen"),
    ("http_port", "server.listen"),
    ("workers", "server.shards"),
    ("worker", "server.shards"),
    ("threads", "server.shards"),
    ("processes", "server.shards"),
    ("cores", "server.cpus"),
    ("cpu", "server.cpus"),
    ("ui", "server.pages"),
    ("docs", "server.pages"),
    ("cors", "server.cors_origins"),
    ("allowed_origins", "server.cors_origins"),
    ("admin_port", "server.admin"),
    ("management_port", "server.admin"),
    ("model_file", "model.path"),
    ("model_uri", "model.path"),
    ("model_dir", "model.path"),
    ("model_name", "model.path"),
    ("model_repository", "model.path"),
    ("data", "records.data_dir"),
    ("output_dir", "records.data_dir"),
    ("bucket", "records.s3_url"),
    ("s3_bucket", "records.s3_url"),
    ("stream", "records.firehose_stream"),
    ("delivery_stream", "records.firehose_stream"),
    ("output", "records.sinks"),
    ("flush_seconds", "records.roll_seconds"),
    ("endpoint_name", "scoring.endpoint"),
    ("aws_region", "aws.region"),
    ("max_body_size", "limits.body_bytes_max"),
    ("client_max_body_size", "limits.body_bytes_max"),
    ("max_batch_size", "limits.batch_leads_max"),
    ("batch_size", "limits.batch_leads_max"),
    ("max_connections", "limits.connections_max"),
    ("keepalive_timeout", "limits.idle_ms"),
    ("keep_alive", "limits.idle_ms"),
    ("idle_timeout", "limits.idle_ms"),
    ("timeout", "limits.body_ms"),
    ("request_timeout", "limits.body_ms"),
    ("grace_period", "limits.drain_ms"),
    ("graceful_timeout", "limits.drain_ms"),
    ("shutdown_timeout", "limits.drain_ms"),
    ("loglevel", "log.level"),
];

/// Sections that other programs have.
const SECTIONS: [(&str, &str); 10] = [
    ("logging", "log"),
    ("logs", "log"),
    ("http", "server"),
    ("api", "server"),
    ("sinks", "records"),
    ("firehose", "records"),
    ("s3", "records"),
    ("parquet", "records"),
    ("sagemaker", "scoring"),
    ("timeouts", "limits"),
];

/// The key that a word is, under whatever name: as `section.name` with anything between the two, as its flag, as its name
/// alone, or as other programs call it.
pub(crate) fn key_of(word: &str) -> Option<&'static Key> {
    let word = word.to_lowercase().replace(['-', '.', ' '], "_").replace("__", "_");
    let is_whole = |key: &&Key| format!("{}_{}", key.section.replace('.', "_"), key.name) == word;
    let is_flag = |key: &&Key| key.flag.is_some_and(|flag| flag.replace('-', "_") == word);
    let has_name = |key: &&Key| key.name == word;
    let known = |path: &str| KEYS.iter().find(|key| key.path() == path);
    KEYS.iter()
        .find(is_whole)
        .or_else(|| KEYS.iter().find(is_flag))
        .or_else(|| {
            WORDS
                .iter()
                .find(|(habit, _)| *habit == word)
                .and_then(|(_, path)| known(path))
        })
        .or_else(|| KEYS.iter().find(has_name))
        .or_else(|| {
            // `idle` for `idle_ms`, `body_max` for nothing: the unit at the end is what people leave out.
            let without_unit = |key: &&Key| {
                ["_ms", "_bytes", "_seconds", "_us"]
                    .iter()
                    .any(|unit| key.name.strip_suffix(unit) == Some(&word))
            };
            KEYS.iter().find(without_unit)
        })
}

/// The section that a word is.
pub(crate) fn section_of(word: &str) -> Option<&'static str> {
    let word = word.to_lowercase();
    let habit = SECTIONS
        .iter()
        .find(|(habit, _)| *habit == word)
        .map(|(_, section)| *section);
    habit.or_else(|| nearest(&word, sections()))
}

/// What to do about a flag that `serve`, `check` and `config show` do not have.
pub(crate) fn of_flag(flag: &str) -> Option<String> {
    let word = flag.trim_start_matches('-');
    let key = key_of(word)?;
    Some(match key.flag {
        Some(known) => format!("did you mean --{known}? It takes {}", key.kind.accepts()),
        None => format!(
            "{} has no flag: write {} = … under [{}] in the file of --config, or set {}. It takes {}",
            key.path(),
            key.name,
            key.section,
            key.variable(),
            key.kind.accepts()
        ),
    })
}

/// What to do with a file of these keys and sections, where it is the manifest of a model.
pub(super) fn of_manifest<'k>(keys: impl Iterator<Item = &'k str>) -> Option<String> {
    const OF_MANIFEST: [&str; 5] = ["features", "golden", "edges", "band_names", "init"];
    let (mut is_manifest, mut is_ours) = (false, false);
    for key in keys {
        is_manifest |= OF_MANIFEST.contains(&key);
        is_ours |= sections().contains(&key);
    }
    (is_manifest && !is_ours)
        .then(|| "it is read with the model that it stands beside: quintile serve MODEL; leave out --config".to_owned())
}

/// What a file is that is no TOML but something else that configures programs; and what to write instead.
pub(super) fn other_language(text: &str) -> Option<(String, String)> {
    let begin = text.trim_start_matches('\u{feff}').trim_start();
    let name = if begin.starts_with('{') {
        "JSON"
    } else if begin.starts_with("---") || is_yaml(text) {
        "YAML"
    } else {
        return None;
    };
    let hint =
        "write [server] and under it listen = \"127.0.0.1:8080\": docs/configuration.md has every key; a model is given as serve FILE, or with --model"
            .to_owned();
    Some((format!("the file is {name}; accepted: TOML"), hint))
}

/// Whether the first line that says something has a name, a colon, and no equal sign.
fn is_yaml(text: &str) -> bool {
    let mut lines = text.lines().map(str::trim);
    let first = lines.find(|line| !line.is_empty() && !line.starts_with('#'));
    first
        .and_then(|line| line.split_once(':'))
        .is_some_and(|(name, value)| {
            let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '"');
            name.chars().all(is_name) && !value.contains('=')
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_habit_leads_to_a_key_and_hides_none() {
        for (word, path) in WORDS {
            assert_eq!(key_of(word).map(Key::path).as_deref(), Some(path), "{word}");
        }
        for (_, section) in SECTIONS {
            assert!(sections().contains(&section), "{section}");
        }
        for key in KEYS.iter() {
            assert_eq!(key_of(&key.path()).map(Key::path), Some(key.path()));
            assert_eq!(
                key_of(key.variable().trim_start_matches("QUINTILE_")).map(Key::path),
                Some(key.path())
            );
        }
        assert_eq!(key_of("idle").map(Key::path).as_deref(), Some("limits.idle_ms"));
        assert!(key_of("zzz").is_none());
    }

    #[test]
    fn other_languages_are_told_by_their_first_line() {
        for (text, name) in [
            ("{\"server\": {}}", "JSON"),
            ("# x\nserver:\n  listen: a", "YAML"),
            ("---\nserver: {}", "YAML"),
        ] {
            assert!(other_language(text).expect(text).0.contains(name), "{text}");
        }
        for text in [
            "",
            "[server]\nlisten = \"a:1\"",
            "a = 1",
            "server.listen = \"a:1\"",
            "# a: b\n[x",
        ] {
            assert_eq!(other_language(text), None, "{text}");
        }
    }
}
