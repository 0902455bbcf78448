//! The configuration described: as JSON Schema for editors, and as Markdown for people.

use std::fmt::Write as _;

use crate::cli::json::{Object, array, quoted};
use crate::config::keys::{KEYS, Key, sections};
use crate::config::value::ValueKind;

/// JSON Schema (draft 2020-12) of the file: what it accepts, the file accepts, but for texts that must have a form.
pub(super) fn json() -> String {
    let mut properties = Object::default();
    for section in sections().into_iter().filter(|section| !section.contains('.')) {
        let mut keys = keys_of(section);
        let inner = sections()
            .into_iter()
            .filter_map(|inner| Some((inner, inner.strip_prefix(section)?.strip_prefix('.')?)));
        for (inner, name) in inner {
            keys.raw(name, &table(&keys_of(inner).finish()));
        }
        properties.raw(section, &table(&keys.finish()));
    }
    let mut schema = Object::default();
    schema.text("$schema", Some("https://json-schema.org/draft/2020-12/schema"));
    schema.text("title", Some("Quintile's configuration"));
    schema.text("type", Some("object"));
    schema.raw("additionalProperties", "false");
    schema.raw("properties", &properties.finish());
    schema.finish()
}

/// The keys of a section.
fn keys_of(section: &str) -> Object {
    let mut keys = Object::default();
    for key in KEYS.iter().filter(|key| key.section == section) {
        keys.raw(key.name, &property(key));
    }
    keys
}

/// A section with these keys.
fn table(keys: &str) -> String {
    let mut object = Object::default();
    object.text("type", Some("object"));
    object.raw("additionalProperties", "false");
    object.raw("properties", keys);
    object.finish()
}

fn property(key: &Key) -> String {
    let mut property = Object::default();
    property.text("description", Some(key.help));
    let is_number = match &key.kind {
        ValueKind::Text { .. } | ValueKind::Path { .. } => {
            property.text("type", Some("string"));
            property.raw("minLength", "1");
            false
        }
        ValueKind::Word { words, .. } => {
            property.raw("enum", &array(words().into_iter().map(quoted)));
            false
        }
        ValueKind::Words { words, .. } => {
            let mut items = Object::default();
            items.raw("enum", &array(words().into_iter().chain(["none"]).map(quoted)));
            property.text("type", Some("array"));
            property.raw("items", &items.finish());
            property.raw("uniqueItems", "true");
            false
        }
        ValueKind::Texts { .. } => {
            let mut items = Object::default();
            items.text("type", Some("string"));
            items.raw("minLength", "1");
            property.text("type", Some("array"));
            property.raw("items", &items.finish());
            property.raw("uniqueItems", "true");
            false
        }
        kind if kind.unit().is_some() => {
            property.raw("type", &array(["number", "string"].into_iter().map(quoted)));
            property.text("pattern", Some("^[0-9]"));
            if let ValueKind::Count { range, .. } | ValueKind::Millis { range, .. } = kind {
                property.raw("minimum", &range.start().to_string());
                property.raw("maximum", &range.end().to_string());
            }
            if let ValueKind::Seconds { range, .. } = kind {
                property.raw("minimum", &range.start().to_string());
                property.raw("maximum", &range.end().to_string());
            }
            true
        }
        ValueKind::Count { range, .. } | ValueKind::Millis { range, .. } => {
            property.text("type", Some("integer"));
            property.raw("minimum", &range.start().to_string());
            property.raw("maximum", &range.end().to_string());
            true
        }
        ValueKind::Number { range, .. } | ValueKind::Seconds { range, .. } => {
            property.text("type", Some("number"));
            property.raw("minimum", &range.start().to_string());
            property.raw("maximum", &range.end().to_string());
            true
        }
    };
    match key.default {
        Some(default) if is_number => property.raw("default", default),
        Some(default) if matches!(key.kind, ValueKind::Words { .. } | ValueKind::Texts { .. }) => {
            property.raw("default", &array(default.split(',').map(|word| quoted(word.trim()))));
        }
        Some(default) => property.text("default", Some(default)),
        None => {}
    }
    property.finish()
}

/// `docs/configuration.md`.
pub(super) fn markdown() -> String {
    let mut out = String::from(HEAD);
    for section in sections() {
        // Writing to a String cannot fail.
        let _ = write!(
            out,
            "\n## `[{section}]`\n\n| key | accepted | default | what it is for |\n|---|---|---|---|\n"
        );
        for key in KEYS.iter().filter(|key| key.section == section) {
            let flag = key.flag.map_or_else(String::new, |flag| format!(", `--{flag}`"));
            let reloaded = if key.is_reloaded() { " ↻" } else { "" };
            let _ = writeln!(
                out,
                "| `{}`{flag}{reloaded} | {} | {} | {} |",
                key.name,
                cell(&key.kind.accepts_plain()),
                key.default
                    .map_or_else(|| key.unset().to_owned(), |default| default_cell(key, default)),
                cell(key.help)
            );
        }
    }
    out + TAIL
}

/// A default, and how people say it where it has a unit.
fn default_cell(key: &Key, default: &str) -> String {
    let shown = key.kind.unit().zip(default.parse().ok());
    match shown.and_then(|(unit, number)| unit.shown(number)) {
        Some(shown) => format!("`{default}` ({shown})"),
        None => format!("`{}`", cell(default)),
    }
}

/// A text within a table of Markdown.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

const HEAD: &str = "\
<!-- Written by `quintile config docs`. Change engine/src/config/keys/, then: quintile config docs > docs/configuration.md -->
# Configuration

A TOML file (`--config FILE` or `QUINTILE_CONFIG`), environment variables and flags set the configuration. A variable overrides
the file, and a flag overrides both. Every key of the file is also a variable: `server.listen` is `QUINTILE_SERVER__LISTEN`.
Some keys are also a flag of `quintile serve`.

```toml
[server]
listen = \"0.0.0.0:8080\"

[model]
path = \"/models/leads.ubj\"
```

A relative path (of `--config`, a model, a folder) starts from the folder in which `quintile` was started, not from the
folder of the file that names it.

Sizes and durations take a unit, in quotes in the file: `spool_bytes = \"1GiB\"`, `idle_ms = \"75s\"`,
`QUINTILE_LIMITS__DRAIN_MS=20s`. A number alone has the unit of its key. `KiB`, `MiB`, `GiB` and `TiB` are powers of 1024, `kB`,
`MB`, `GB` and `TB` of 1000; durations are `us`, `ms`, `s`, `m` (or `min`), `h` and `d`, also together: `1h 30m`.

All faults are reported at once. Each fault has its file, line and column, or its variable or flag, the accepted values, and
the nearest known name. An unknown key is a fault, and so is an unknown `QUINTILE_…` variable.

```
quintile check                  # everything for which serve would not start; serves nothing (--json for scripts)
quintile config show            # every value in force, and where it comes from
quintile config schema          # JSON Schema: completion and checks in an editor
```

↻ marks the keys that SIGHUP reloads in a running server. All other keys take a restart ([operations.md](operations.md)).
";

const TAIL: &str = "";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_knows_every_key_and_agrees_with_the_defaults() {
        let schema: serde_json::Value = serde_json::from_str(&json()).unwrap();
        for key in KEYS.iter() {
            let sections = key.section.split('.');
            let section = sections.fold(&schema, |outer, name| &outer["properties"][name]);
            let property = &section["properties"][key.name];
            assert_eq!(property["description"], key.help, "{}", key.path());
            if let (Some(default), Some(least)) = (property["default"].as_f64(), property["minimum"].as_f64()) {
                assert!(
                    least <= default && default <= property["maximum"].as_f64().unwrap(),
                    "{}",
                    key.path()
                );
            }
        }
    }

    #[test]
    fn the_documentation_is_not_stale() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/configuration.md");
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            written == markdown(),
            "docs/configuration.md is stale: cargo run -- config docs > docs/configuration.md"
        );
    }
}
