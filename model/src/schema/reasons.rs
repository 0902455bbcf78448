//! What a manifest says of features for the reasons of a score: sentences, groups, and what people may change.

use super::Schema;
use crate::manifest::GroupNote;

/// What people read where a feature, or a group of them, is a reason of a score.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReasonTexts {
    /// Where it raises the margin.
    pub raises: Option<String>,
    /// Where it lowers the margin.
    pub lowers: Option<String>,
    /// Where its value is missing.
    pub missing: Option<String>,
}

impl ReasonTexts {
    /// That of a reason.
    #[must_use]
    pub fn text(&self, is_missing: bool, raises: bool) -> Option<&str> {
        match (is_missing, raises) {
            (true, _) => self.missing.as_deref(),
            (false, true) => self.raises.as_deref(),
            (false, false) => self.lowers.as_deref(),
        }
    }

    /// Bytes of the longest.
    #[must_use]
    pub fn bytes_max(&self) -> usize {
        let all = [&self.raises, &self.lowers, &self.missing].into_iter().flatten();
        all.map(String::len).max().unwrap_or(0)
    }
}

/// How people may change a feature's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actionable {
    /// To any value that its type and range allow.
    Any,
    /// To a greater one.
    Increase,
    /// To a smaller one.
    Decrease,
}

impl Actionable {
    /// The word that a manifest and `/v1/schema` have.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::Increase => "increase",
            Self::Decrease => "decrease",
        }
    }
}

/// Features that are one reason together: their contributions are added up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeatureGroup {
    /// Its name.
    pub name: String,
    /// Its name for people.
    pub label: Option<String>,
    /// Its sentences.
    pub texts: ReasonTexts,
    /// Its features, in the order of columns. At least one, and none of another group.
    pub columns: Vec<usize>,
}

static NO_TEXTS: ReasonTexts = ReasonTexts {
    raises: None,
    lowers: None,
    missing: None,
};

impl Schema {
    /// A column's sentences.
    #[must_use]
    pub fn texts(&self, column: usize) -> &ReasonTexts {
        let texts = self.features.get(column).and_then(|feature| feature.texts.as_deref());
        texts.unwrap_or(&NO_TEXTS)
    }

    /// How people may change a column's value; none where they may not.
    #[must_use]
    pub fn actionable(&self, column: usize) -> Option<Actionable> {
        self.features.get(column)?.actionable
    }

    /// Features that are one reason together, in the order of the manifest.
    #[must_use]
    pub fn groups(&self) -> &[FeatureGroup] {
        &self.groups
    }

    /// Takes over a manifest's groups, which have been compared with the features.
    pub(crate) fn set_groups(&mut self, notes: Vec<GroupNote>) {
        let group = |note: GroupNote| {
            let names = note.features.iter().map(|(name, _)| name.as_str());
            let mut columns: Vec<usize> = names.filter_map(|name| self.column(name)).collect();
            columns.sort_unstable();
            FeatureGroup {
                name: note.name,
                label: note.label,
                texts: note.texts,
                columns,
            }
        };
        self.groups = notes.into_iter().map(group).collect();
    }
}
