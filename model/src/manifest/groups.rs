//! `[groups.NAME]`: features that are one reason together; and the sentences of features and groups.

use std::borrow::Cow;

use toml::Spanned;
use toml::de::DeValue;

use super::ManifestPlace;
use super::reader::Reader;
use crate::schema::{Actionable, ReasonTexts};

const KEYS: [&str; 3] = ["features", "label", "reasons"];

const TEXTS: [&str; 3] = ["raises", "lowers", "missing"];

/// What a manifest says of one group of features.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct GroupNote {
    /// Its name.
    pub name: String,
    /// Its features, as trained, and where their names stand.
    pub features: Vec<(String, ManifestPlace)>,
    /// A name for people.
    pub label: Option<String>,
    /// Its sentences.
    pub texts: ReasonTexts,
}

impl Reader<'_> {
    pub(super) fn groups(&mut self, value: &Spanned<DeValue<'_>>) -> Vec<GroupNote> {
        let DeValue::Table(table) = value.get_ref() else {
            self.fault(value.span(), "groups is a table of tables: [groups.NAME]".to_owned());
            return Vec::new();
        };
        table
            .iter()
            .filter_map(|(name, value)| self.group(name, value))
            .collect()
    }

    fn group(&mut self, name: &Spanned<Cow<'_, str>>, value: &Spanned<DeValue<'_>>) -> Option<GroupNote> {
        let mut note = GroupNote {
            name: name.get_ref().clone().into_owned(),
            ..GroupNote::default()
        };
        let DeValue::Table(table) = value.get_ref() else {
            self.fault(
                value.span(),
                format!("groups.{} is a table with {}", note.name, KEYS.join(", ")),
            );
            return None;
        };
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "features" => note.features = self.members(value),
                "label" => note.label = self.label("label", value),
                "reasons" => note.texts = self.reason_texts(value),
                _ => self.unknown(key, &KEYS),
            }
        }
        if !table.keys().any(|key| key.get_ref() == "features") {
            let message = format!("groups.{} has no features: features = [\"NAME\", \"NAME\"]", note.name);
            self.fault(name.span(), message);
        }
        Some(note)
    }

    fn members(&mut self, value: &Spanned<DeValue<'_>>) -> Vec<(String, ManifestPlace)> {
        let DeValue::Array(array) = value.get_ref() else {
            let actual = value.get_ref().type_str();
            self.fault(value.span(), format!("features are an array of texts, not {actual}"));
            return Vec::new();
        };
        if array.is_empty() {
            self.fault(value.span(), "features of a group are at least one name".to_owned());
        }
        let mut members = Vec::new();
        for element in array {
            if let Some(name) = self.text("a feature's name", element) {
                members.push((name, self.place(element.span().start)));
            }
        }
        members
    }

    /// The sentences of a feature or a group.
    pub(super) fn reason_texts(&mut self, value: &Spanned<DeValue<'_>>) -> ReasonTexts {
        let mut texts = ReasonTexts::default();
        let DeValue::Table(table) = value.get_ref() else {
            self.fault(
                value.span(),
                format!("reasons is a table of sentences with {}", TEXTS.join(", ")),
            );
            return texts;
        };
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "raises" => texts.raises = self.reason_text("raises", value),
                "lowers" => texts.lowers = self.reason_text("lowers", value),
                "missing" => texts.missing = self.reason_text("missing", value),
                _ => self.unknown(key, &TEXTS),
            }
        }
        texts
    }

    /// `true`, `"increase"` or `"decrease"`; none where people may not change the feature.
    pub(super) fn actionable(&mut self, value: &Spanned<DeValue<'_>>) -> Option<Actionable> {
        match value.get_ref() {
            DeValue::Boolean(true) => Some(Actionable::Any),
            DeValue::Boolean(false) => None,
            DeValue::String(word) if word == "increase" => Some(Actionable::Increase),
            DeValue::String(word) if word == "decrease" => Some(Actionable::Decrease),
            _ => {
                let message = "actionable says how people may change the value: accepted are true, false, \"increase\" and \
                               \"decrease\"";
                self.fault(value.span(), message.to_owned());
                None
            }
        }
    }
}
