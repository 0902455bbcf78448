//! The TOML file: every value stored, and every fault gathered with its line and column.

use std::ops::Range;
use std::path::Path;

use quintile_model::nearest::nearest;
use quintile_scoring::text::excerpt;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Settings;
use super::fault::{Fault, SettingSource};
use super::habits;
use super::keys::{KEYS, sections};
use super::origins::SettingOrigins;

/// Bytes of a configuration file. All keys with comments take ten thousand.
pub(crate) const FILE_BYTES_MAX: usize = 1 << 20;

/// Stores what a file says and returns its faults, in the order of its lines.
pub(crate) fn apply(settings: &mut Settings, told: &mut SettingOrigins, path: &Path, bytes: &[u8]) -> Vec<Fault> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            // What is valid gives the place.
            let valid = String::from_utf8_lossy(&bytes[..error.valid_up_to()]).into_owned();
            let mut reader = Reader::new(settings, told, path, &valid);
            let hint = "a configuration is a text; a model is given as serve FILE, or with --model".to_owned();
            reader.fault(
                valid.len()..valid.len(),
                "is not UTF-8 from here on".into(),
                Some(hint),
                None,
            );
            return reader.finish();
        }
    };
    let mut reader = Reader::new(settings, told, path, text);
    if bytes.len() > FILE_BYTES_MAX {
        reader.fault(
            0..0,
            format!("the file has more than the {FILE_BYTES_MAX} bytes accepted"),
            None,
            None,
        );
        return reader.finish();
    }
    let (table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty()
        && let Some((message, hint)) = habits::other_language(text)
    {
        reader.fault(0..0, message, Some(hint), None);
        return reader.finish();
    }
    for error in errors {
        let span = error.span().unwrap_or(0..0);
        let hint = syntax_hint(text, &span, error.message());
        reader.fault(span, error.message().to_owned(), hint, None);
    }
    if reader.faults.is_empty()
        && let Some(hint) = habits::of_manifest(table.get_ref().keys().map(|key| key.get_ref().as_ref()))
    {
        let message = "this is the manifest of a model; accepted: a configuration".into();
        reader.fault(0..0, message, Some(hint), None);
        return reader.finish();
    }
    // A text that is no TOML recovers into values that its author did not write: their faults would mislead.
    if reader.faults.is_empty() {
        reader.sections(table.get_ref());
    }
    reader.finish()
}

struct Reader<'s, 't> {
    settings: &'s mut Settings,
    told: &'s mut SettingOrigins,
    path: &'t Path,
    text: &'t str,
    faults: Vec<(usize, Fault)>,
}

impl<'s, 't> Reader<'s, 't> {
    fn new(settings: &'s mut Settings, told: &'s mut SettingOrigins, path: &'t Path, text: &'t str) -> Self {
        Self {
            settings,
            told,
            path,
            text,
            faults: Vec::new(),
        }
    }

    fn finish(mut self) -> Vec<Fault> {
        self.faults.sort_by_key(|(offset, _)| *offset);
        self.faults.into_iter().map(|(_, fault)| fault).collect()
    }

    fn fault(&mut self, span: Range<usize>, message: String, hint: Option<String>, key: Option<String>) {
        let source = self.place(span.start);
        let fault = Fault {
            source,
            message,
            hint,
            key,
        };
        self.faults.push((span.start, fault));
    }

    fn place(&self, offset: usize) -> SettingSource {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        SettingSource::File {
            path: self.path.to_path_buf(),
            line: 1 + before.matches('\n').count(),
            column: 1 + before[line_start..].chars().count(),
        }
    }

    fn sections(&mut self, table: &DeTable<'_>) {
        for (name, value) in table {
            let section = name.get_ref().as_ref();
            if !sections().contains(&section) {
                let (message, hint, open) = unknown_section(section);
                self.fault(name.span(), message, hint, Some(open));
                continue;
            }
            match value.get_ref() {
                DeValue::Table(keys) => self.keys(section, keys),
                other => self.fault(
                    value.span(),
                    format!(
                        "{section} is of type {}; accepted: a section, [{section}]",
                        other.type_str()
                    ),
                    Some(format!("write [{section}] on a line of its own, and its keys below")),
                    Some(section.into()),
                ),
            }
        }
    }

    fn keys(&mut self, section: &str, keys: &DeTable<'_>) {
        for (name, value) in keys {
            let inner = format!("{section}.{}", name.get_ref());
            match value.get_ref() {
                DeValue::Table(keys) if sections().contains(&inner.as_str()) => self.keys(&inner, keys),
                _ => self.key(section, name.get_ref(), name.span(), value),
            }
        }
    }

    fn key(&mut self, section: &str, name: &str, span: Range<usize>, value: &Spanned<DeValue<'_>>) {
        let Some(key) = KEYS.iter().find(|key| key.section == section && key.name == name) else {
            let (message, hint, open) = unknown_key(section, name);
            self.fault(span, message, Some(hint), Some(open));
            return;
        };
        match key.store_toml(self.settings, value.get_ref()) {
            Ok(()) => {
                let source = self.place(value.span().start);
                let shown = match value.get_ref() {
                    DeValue::String(text) => text.clone().into_owned(),
                    _ => self.text.get(value.span()).unwrap_or_default().to_owned(),
                };
                self.told.add(key, &shown, source);
            }
            Err(wrong) => {
                let message = format!("{} {}", key.path(), wrong.message);
                self.fault(value.span(), message, wrong.hint, Some(key.path()));
            }
        }
    }
}

/// A key outside of its section is the usual reason for a section that does not exist.
fn unknown_section(section: &str) -> (String, Option<String>, String) {
    let message = format!(
        "there is no section {}; accepted: {}",
        excerpt(section),
        sections().join(", ")
    );
    let owner = KEYS.iter().find(|key| key.name == section);
    let habit = habits::key_of(section);
    let (hint, open) = match (habits::section_of(section), owner, habit) {
        (Some(near), ..) => (Some(format!("did you mean [{near}]?")), near.to_owned()),
        (None, Some(key), _) => (Some(format!("{section} is a key of [{}]", key.section)), key.path()),
        (None, None, Some(key)) => (
            Some(format!("did you mean {} under [{}]?", key.name, key.section)),
            key.path(),
        ),
        (None, None, None) => (
            Some("take it out: quintile config show lists every key".into()),
            section.to_owned(),
        ),
    };
    (message, hint, open)
}

/// What is wrong, what was probably meant, and the key that this leaves unknown: the one that was meant, else only itself.
fn unknown_key(section: &str, name: &str) -> (String, String, String) {
    let own = || KEYS.iter().filter(|key| key.section == section);
    let message = format!(
        "[{section}] has no key {}; accepted: {}",
        excerpt(name),
        own().map(|key| key.name).collect::<Vec<_>>().join(", ")
    );
    let near = nearest(name, own().map(|key| key.name)).and_then(|near| own().find(|key| key.name == near));
    let owner = KEYS.iter().find(|key| key.name == name);
    let elsewhere = || {
        let near = nearest(name, KEYS.iter().map(|key| key.name));
        near.and_then(|near| KEYS.iter().find(|key| key.name == near))
    };
    let habit = habits::key_of(name);
    let (hint, meant) = match (owner, near, habit.or_else(elsewhere)) {
        (Some(key), ..) => (format!("{name} is a key of [{}]", key.section), key),
        (None, Some(key), _) if habit.is_none() => (format!("did you mean {}?", key.name), key),
        (None, _, Some(key)) if key.section == section => {
            let hint = format!("did you mean {}? It takes {}", key.name, key.kind.accepts());
            (hint, key)
        }
        (None, _, Some(key)) => (format!("did you mean {} of [{}]?", key.name, key.section), key),
        (None, ..) => {
            let hint = "take it out, or choose one of these".to_owned();
            return (message, hint, format!("{section}.{name}"));
        }
    };
    (message, hint, meant.path())
}

/// What to write instead of a text that is no TOML, where a look at its line tells.
fn syntax_hint(text: &str, span: &Range<usize>, message: &str) -> Option<String> {
    let begin = text.get(..span.start)?.rfind('\n').map_or(0, |newline| newline + 1);
    let line = text.get(begin..)?.lines().next()?.trim();
    if message.contains("duplicate") {
        return Some("leave one of the two out".into());
    }
    if line.starts_with('[') {
        return Some("a section is [name] on a line of its own".into());
    }
    let (name, value) = line.split_once('=').or_else(|| line.split_once(':'))?;
    let (name, value) = (name.trim(), value.trim());
    match (line.contains('='), value.is_empty()) {
        (_, true) => Some(format!("write a value behind {name} =, or leave the line out")),
        (false, _) => Some(format!("write {name} = {value:?}")),
        (true, _) => Some(format!(
            "texts stand in quotes: {name} = {:?}",
            value.trim_matches(['"', '\''])
        )),
    }
}
