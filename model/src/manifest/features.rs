//! `[features.NAME]`: the description of one feature.

use std::borrow::Cow;
use std::collections::HashSet;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::FeatureNote;
use super::reader::Reader;
use crate::nearest::nearest;
use crate::schema::FeatureKind;

const KEYS: [&str; 11] = [
    "description",
    "label",
    "unit",
    "type",
    "range",
    "seen",
    "required",
    "missing",
    "categories",
    "actionable",
    "reasons",
];

impl Reader<'_> {
    pub(super) fn features(&mut self, value: &Spanned<DeValue<'_>>) -> Vec<FeatureNote> {
        let DeValue::Table(table) = value.get_ref() else {
            self.fault(
                value.span(),
                "features is a table of tables: [features.NAME]".to_owned(),
            );
            return Vec::new();
        };
        table
            .iter()
            .filter_map(|(name, value)| self.feature(name, value))
            .collect()
    }

    fn feature(&mut self, name: &Spanned<Cow<'_, str>>, value: &Spanned<DeValue<'_>>) -> Option<FeatureNote> {
        let mut note = FeatureNote {
            name: name.get_ref().clone().into_owned(),
            place: self.place(name.span().start),
            ..FeatureNote::default()
        };
        let DeValue::Table(table) = value.get_ref() else {
            self.fault(
                value.span(),
                format!("features.{} is a table with {}", note.name, KEYS.join(", ")),
            );
            return None;
        };
        let mut limits = None;
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "description" => note.description = self.sentence("description", value),
                "label" => note.label = self.label("label", value),
                "unit" => note.unit = self.label("unit", value),
                "type" => note.kind = self.kind(value),
                "range" => {
                    note.range = self.range("range", value);
                    limits = Some(value.span());
                }
                "seen" => note.seen = self.range("seen", value),
                "required" => note.required = self.flag("required", value),
                "missing" => note.missing = self.markers(value),
                "categories" => {
                    note.categories = self.categories(value);
                    note.categories_place = self.place(value.span().start);
                }
                "actionable" => note.actionable = self.actionable(value),
                "reasons" => note.texts = self.reason_texts(value),
                _ => self.unknown(key, &KEYS),
            }
        }
        self.agree(&mut note, table, limits);
        Some(note)
    }

    /// What its own keys say of one another.
    fn agree(&mut self, note: &mut FeatureNote, table: &DeTable<'_>, limits: Option<std::ops::Range<usize>>) {
        let has_categories = table.keys().any(|key| key.get_ref() == "categories");
        if has_categories && note.kind.is_none() && !table.keys().any(|key| key.get_ref() == "type") {
            note.kind = Some(FeatureKind::Category);
        }
        let is_other = note.kind.is_some_and(|kind| kind != FeatureKind::Category);
        if has_categories && is_other {
            let span = table.iter().find(|(key, _)| key.get_ref() == "categories");
            let span = span.map_or(0..0, |(key, _)| key.span());
            self.fault(span, "only a feature of type = \"category\" has categories".to_owned());
        }
        if let (Some(span), Some(FeatureKind::Category | FeatureKind::Boolean)) = (limits, note.kind) {
            self.fault(span, "only a number or an integer has a range".to_owned());
        }
    }

    fn kind(&mut self, value: &Spanned<DeValue<'_>>) -> Option<FeatureKind> {
        let word = self.text("type", value)?;
        let kind = FeatureKind::NAMES.iter().find(|(name, _)| *name == word);
        if kind.is_none() {
            let names = FeatureKind::NAMES.map(|(name, _)| name);
            let hint = nearest(&word, names).map_or_else(String::new, |near| format!("; did you mean {near:?}?"));
            self.fault(
                value.span(),
                format!("type is {word:?}: accepted are {}{hint}", names.join(", ")),
            );
        }
        kind.map(|&(_, kind)| kind)
    }

    fn range(&mut self, what: &str, value: &Spanned<DeValue<'_>>) -> Option<(f64, f64)> {
        let numbers = self.numbers(what, value)?;
        let &[least, greatest] = numbers.as_slice() else {
            let message = format!(
                "{what} is two numbers, the least and the greatest, not {}",
                numbers.len()
            );
            self.fault(value.span(), message);
            return None;
        };
        if least <= greatest {
            return Some((least, greatest));
        }
        let message = format!("{what} begins at {least}, which is not below its end {greatest}");
        self.fault(value.span(), message);
        None
    }

    fn flag(&mut self, what: &str, value: &Spanned<DeValue<'_>>) -> Option<bool> {
        if let DeValue::Boolean(flag) = value.get_ref() {
            return Some(*flag);
        }
        let message = format!("{what} is true or false, not {}", value.get_ref().type_str());
        self.fault(value.span(), message);
        None
    }

    fn categories(&mut self, value: &Spanned<DeValue<'_>>) -> Option<Vec<String>> {
        let DeValue::Array(array) = value.get_ref() else {
            let message = format!("categories are an array of texts, not {}", value.get_ref().type_str());
            self.fault(value.span(), message);
            return None;
        };
        let mut seen = HashSet::new();
        let mut names = Vec::new();
        for element in array {
            let name = self.text("a category", element)?;
            if !seen.insert(name.clone()) {
                self.fault(element.span(), format!("the category {name:?} is there twice"));
            }
            names.push(name);
        }
        if names.is_empty() {
            self.fault(value.span(), "categories are at least one text".to_owned());
        }
        Some(names)
    }
}
