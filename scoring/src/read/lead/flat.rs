//! A line of a file → a row: `{"f1":1,"f2":null}`, or a request as the server takes it.
//!
//! The rule for unknown keys is that of CSV headers: they are ignored if all of the model's features are there. If a
//! feature is absent too, one is probably a misspelling of the other, which must not give missing values.

use quintile_model::Cell;
use simd_json::{Node, StaticNode};

use super::{Echo, Fault, FaultKind, FaultPlace, Lead, LoadedModel, entries};
use crate::missing_texts::MissingTexts;
use crate::read::parser::Document;

impl Lead {
    /// Reads a line. `key` names what comes back as the row's id: none where it is null.
    pub(in crate::read) fn take_line(
        &mut self,
        loaded: &LoadedModel,
        document: &Document<'_>,
        key: Option<&str>,
    ) -> Option<String> {
        let (nodes, mut id) = (document.nodes, None);
        self.is_row = true;
        let Some(&Node::Object { count, .. }) = nodes.first() else {
            self.reset();
            self.wrong_type(FaultPlace::Body, document, 0);
            return id;
        };
        let is_object = |value| matches!(nodes.get(value), Some(Node::Object { .. }));
        if entries(nodes, 1, count).any(|(name, value)| name == "features" && is_object(value))
            && loaded.columns.column("features").is_none()
        {
            self.take(loaded, document);
        } else {
            self.reset();
            self.take_flat(loaded, document, count, key);
        }
        if let Some(key) = key {
            let mut values = entries(nodes, 1, count).filter(|(name, _)| *name == key);
            let place = FaultPlace::UnknownField(Echo::new(key));
            match (values.next(), values.next()) {
                (Some((_, value)), None) => match text(document, value) {
                    Ok(text) => id = text,
                    Err(()) => self.wrong_type(place, document, value),
                },
                (Some(_), Some(_)) => self.fault(place, FaultKind::Duplicate),
                (None, _) => self.fault(place, FaultKind::Missing),
            }
        }
        id
    }

    /// Another line begins, in which these texts are missing values.
    pub(in crate::read) fn begin_line(&mut self, missing: &MissingTexts) {
        self.refused_text = None;
        if self.missing != *missing {
            self.missing = missing.clone();
        }
    }

    /// The text that is the first fault of the line.
    pub(in crate::read) fn refused_text(&self) -> Option<&str> {
        self.refused_text.as_deref()
    }

    /// Takes a text: one that is missing, or a category's name.
    pub(super) fn row_text(
        &mut self,
        loaded: &LoadedModel,
        document: &Document<'_>,
        value: usize,
        column: usize,
        text: &str,
    ) {
        if self.missing.contains(text.as_bytes()) {
            return match loaded.model.schema().categories(column) {
                Some(_) => self.named(loaded, column, Cell::Null),
                None => self.number(loaded, column, f64::NAN),
            };
        }
        let before = self.faults.total();
        if self.category(loaded, column, text).is_none() {
            self.wrong_type(FaultPlace::Feature(column), document, value);
        }
        if before == 0 && self.faults.total() > 0 {
            self.refused_text = Some(text.to_owned());
        }
    }

    fn take_flat(&mut self, loaded: &LoadedModel, document: &Document<'_>, count: usize, key: Option<&str>) {
        let (mut guess, mut is_foreign, mut named) = (0, false, 0);
        for (name, value) in entries(document.nodes, 1, count) {
            let Some(column) = loaded.columns.column_near(name, guess) else {
                is_foreign |= Some(name) != key;
                continue;
            };
            guess = column + 1;
            if self.see(column) {
                named += 1;
            } else {
                self.fault(FaultPlace::Feature(column), FaultKind::Duplicate);
            }
            self.take_value(loaded, document, value, column);
        }
        if is_foreign && named < self.row.len() {
            self.refuse_foreign(loaded, document, count, key);
        }
        self.require(loaded);
    }

    #[cold]
    fn refuse_foreign(&mut self, loaded: &LoadedModel, document: &Document<'_>, count: usize, key: Option<&str>) {
        for (name, _) in entries(document.nodes, 1, count) {
            if loaded.columns.column(name).is_none() && Some(name) != key {
                self.faults.push(|| Fault {
                    place: FaultPlace::UnknownFeature(Echo::new(name)),
                    kind: FaultKind::Unknown,
                });
            }
        }
    }
}

/// An id in words, none for null.
fn text(document: &Document<'_>, value: usize) -> Result<Option<String>, ()> {
    Ok(match document.nodes.get(value) {
        Some(Node::String(text)) if !document.is_huge_number(text) => Some((*text).to_owned()),
        Some(Node::Static(StaticNode::Null)) => None,
        Some(Node::Static(StaticNode::Bool(value))) => Some(value.to_string()),
        Some(Node::Static(StaticNode::U64(value))) => Some(value.to_string()),
        Some(Node::Static(StaticNode::I64(value))) => Some(value.to_string()),
        Some(Node::Static(StaticNode::F64(value))) => Some(zmij::Buffer::new().format(*value).to_owned()),
        _ => return Err(()),
    })
}
