//! The input of a model: its features' names, columns and kinds.
//!
//! Built by the format readers, annotated by the manifest, read by the code that turns a request into a row.

mod categories;
mod cell;
mod markers;
mod names;
mod reasons;
mod rule;
mod seen;

use std::collections::HashSet;

use crate::limits::{CATEGORY_END, FEATURES_MAX, NAME_BYTES_MAX};
use crate::manifest::FeatureNote;
pub use categories::{Categories, CategoryName, UNKNOWN_CATEGORY, Unseen};
pub use cell::{Cell, CellError};
pub use markers::MissingMarkers;
pub use reasons::{Actionable, FeatureGroup, ReasonTexts};
pub use rule::{Form, Rule, Violation};
pub use seen::SeenRanges;

/// What a feature's values are, as far as the model file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeatureKind {
    /// Any number (XGBoost `float` or `q`, and features without a type).
    Number,
    /// A whole number (XGBoost `int`). Nothing enforces it: the trees compare it like any number.
    Integer,
    /// 0 or 1 (XGBoost `i`, an indicator).
    Boolean,
    /// A category's code (XGBoost `c`, LightGBM's categorical features). A row carries the codes that training had;
    /// when the file names the categories, [`Schema::category_code`] finds the code of a name.
    Category,
}

impl FeatureKind {
    /// Every kind with its name, as manifests and schemas write it.
    pub const NAMES: [(&'static str, Self); 4] = [
        ("number", Self::Number),
        ("integer", Self::Integer),
        ("boolean", Self::Boolean),
        ("category", Self::Category),
    ];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Number => "number",
            Self::Integer => "integer",
            Self::Boolean => "boolean",
            Self::Category => "category",
        }
    }
}

/// One feature.
#[derive(Debug, Clone, PartialEq)]
pub struct Feature {
    /// The name, as trained.
    pub name: String,
    /// What its values are.
    pub kind: FeatureKind,
    /// A sentence about it, from the manifest.
    pub description: Option<String>,
    /// A name for people, from the manifest.
    pub label: Option<String>,
    /// What its values are measured in, from the manifest.
    pub unit: Option<String>,
    /// What the manifest demands of its values.
    pub rule: Rule,
    /// The names of its categories, when the file has them.
    pub categories: Option<Categories>,
    /// Its sentences in reasons, from the manifest.
    texts: Option<Box<ReasonTexts>>,
    /// How people may change its value, from the manifest.
    actionable: Option<Actionable>,
}

/// The features of a model in column order. Names are unique and not empty.
#[derive(Debug, Clone, PartialEq)]
pub struct Schema {
    features: Vec<Feature>,
    /// The rules in column order, close together for the check of rows; empty when no feature has one.
    rules: Vec<Rule>,
    /// Columns that may not be missing, a bit each; empty when there is none.
    required: Vec<u64>,
    /// Whether numbers name categories of some feature.
    has_numeric_names: bool,
    /// Numbers that count as missing; none where the manifest states none.
    markers: Option<Box<MissingMarkers>>,
    /// Between which numbers training saw values; none where the manifest states none.
    seen: Option<Box<SeenRanges>>,
    /// Whether the names are made of column numbers, because the file has none.
    is_numbered: bool,
    groups: Vec<FeatureGroup>,
    /// Whether an underscore of a name may have been a space in training.
    has_lost_spaces: bool,
}

/// Why a list of features is no schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// More features than [`FEATURES_MAX`].
    #[error("{count} features are more than the {FEATURES_MAX} that are accepted")]
    TooMany {
        /// Features in the file.
        count: usize,
    },
    /// A name of no characters.
    #[error("feature {column} has an empty name")]
    Empty {
        /// Its column.
        column: usize,
    },
    /// A name beyond [`NAME_BYTES_MAX`].
    #[error("feature {column} has a name of {bytes} bytes; at most {NAME_BYTES_MAX} are accepted")]
    Long {
        /// Its column.
        column: usize,
        /// Its length in bytes.
        bytes: usize,
    },
    /// A name that an earlier feature has.
    #[error("feature {column} has the name of an earlier feature: {name:?}")]
    Twice {
        /// Its column.
        column: usize,
        /// The name.
        name: String,
    },
}

impl Schema {
    /// Checks names and count. Names come first to last in column order.
    ///
    /// # Errors
    /// Too many features, or a name that is empty, overlong or not unique.
    pub fn try_new(features: Vec<(String, FeatureKind)>) -> Result<Self, SchemaError> {
        if features.len() > FEATURES_MAX {
            return Err(SchemaError::TooMany { count: features.len() });
        }
        let mut seen = HashSet::with_capacity(features.len());
        for (column, (name, _)) in features.iter().enumerate() {
            if name.is_empty() {
                return Err(SchemaError::Empty { column });
            }
            if name.len() > NAME_BYTES_MAX {
                return Err(SchemaError::Long {
                    column,
                    bytes: name.len(),
                });
            }
            if !seen.insert(name.as_str()) {
                return Err(SchemaError::Twice {
                    column,
                    name: name.clone(),
                });
            }
        }
        let feature = |(name, kind)| Feature {
            name,
            kind,
            description: None,
            label: None,
            unit: None,
            rule: Rule::NONE,
            categories: None,
            texts: None,
            actionable: None,
        };
        Ok(Self {
            features: features.into_iter().map(feature).collect(),
            rules: Vec::new(),
            required: Vec::new(),
            has_numeric_names: false,
            markers: None,
            seen: None,
            is_numbered: false,
            groups: Vec::new(),
            has_lost_spaces: false,
        })
    }

    /// How many features, which is the length of a row.
    #[must_use]
    pub fn len(&self) -> usize {
        self.features.len()
    }

    /// Whether the model takes no features at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.features.is_empty()
    }

    /// The name of a column; empty for one that is out of range.
    #[must_use]
    pub fn name(&self, column: usize) -> &str {
        self.features.get(column).map_or("", |feature| feature.name.as_str())
    }

    /// All names in column order.
    pub fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.features.iter().map(|feature| feature.name.as_str())
    }

    /// The column of a name, by a walk over all of them: a server builds its own index.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<usize> {
        self.features.iter().position(|feature| feature.name == name)
    }

    /// What a column's values are; [`FeatureKind::Number`] for one that is out of range.
    #[must_use]
    pub fn kind(&self, column: usize) -> FeatureKind {
        self.features
            .get(column)
            .map_or(FeatureKind::Number, |feature| feature.kind)
    }

    /// The manifest's sentence about a column.
    #[must_use]
    pub fn description(&self, column: usize) -> Option<&str> {
        self.features.get(column)?.description.as_deref()
    }

    /// The manifest's name for people of a column.
    #[must_use]
    pub fn label(&self, column: usize) -> Option<&str> {
        self.features.get(column)?.label.as_deref()
    }

    /// The names of a column's categories, when the file has them.
    #[must_use]
    pub fn categories(&self, column: usize) -> Option<&Categories> {
        self.features.get(column)?.categories.as_ref()
    }

    /// The value a row carries for a category's name, as text of a source that has numbers too; NaN, which is missing,
    /// for a name that the training library takes for a missing value. None for a name that the library refuses, and
    /// for a column without names.
    #[must_use]
    pub fn category_code(&self, column: usize, name: &str) -> Option<f64> {
        self.categories(column)?.code(name)
    }

    pub(crate) fn set_categories(&mut self, column: usize, categories: Categories) {
        if let Some(feature) = self.features.get_mut(column) {
            self.has_numeric_names |= !categories.takes_codes();
            feature.categories = Some(categories);
        }
    }

    /// What a column's values are measured in.
    #[must_use]
    pub fn unit(&self, column: usize) -> Option<&str> {
        self.features.get(column)?.unit.as_deref()
    }

    /// What the manifest demands of a column's values; nothing for one that is out of range.
    #[must_use]
    pub fn rule(&self, column: usize) -> &Rule {
        self.rules.get(column).unwrap_or(&Rule::NONE)
    }

    /// Holds a column's value, NaN for missing, to what the manifest demands. A number that counts as missing is
    /// missing.
    ///
    /// # Errors
    /// How it is not what is demanded.
    pub fn check(&self, column: usize, value: f64) -> Result<(), Violation> {
        let is_missing = self.markers().is_some_and(|markers| markers.is_missing(column, value));
        self.rule(column).check(if is_missing { f64::NAN } else { value })
    }

    /// The numbers that count as missing, where the manifest states any.
    #[must_use]
    pub fn markers(&self) -> Option<&MissingMarkers> {
        self.markers.as_deref()
    }

    /// Between which numbers training saw the values of each feature, where the manifest states that of any.
    #[must_use]
    pub fn seen(&self) -> Option<&SeenRanges> {
        self.seen.as_deref()
    }

    /// Whether a value, NaN for missing, lies far outside what training saw of a column. A number that counts as
    /// missing does not.
    #[must_use]
    pub fn is_unusual(&self, column: usize, value: f64) -> bool {
        let is_far = self.seen().is_some_and(|seen| seen.is_far(column, value));
        is_far && !self.markers().is_some_and(|markers| markers.is_missing(column, value))
    }

    pub(crate) fn set_markers(&mut self, markers: MissingMarkers) {
        self.markers = (!markers.is_empty()).then(|| Box::new(markers));
    }

    /// Whether a number of some feature is more than a value of the row: a category's name, or held to a rule. Where
    /// this is false, readers of rows need not check.
    #[must_use]
    pub fn is_checked(&self) -> bool {
        self.has_numeric_names || self.has_rules()
    }

    /// Whether a number is the name of a category of this column, and no code.
    #[must_use]
    pub fn has_numeric_names(&self, column: usize) -> bool {
        self.has_numeric_names
            && self
                .categories(column)
                .is_some_and(|categories| !categories.takes_codes())
    }

    /// Whether the manifest demands anything at all.
    #[must_use]
    pub fn has_rules(&self) -> bool {
        !self.rules.is_empty()
    }

    /// The columns that may not be missing, a bit each: column 0 is the lowest of the first word. Empty when there is
    /// none.
    #[must_use]
    pub fn required(&self) -> &[u64] {
        &self.required
    }

    /// Takes over what a manifest says of features.
    pub(crate) fn annotate_all(&mut self, notes: Vec<FeatureNote>) {
        for note in notes {
            if let Some(column) = self.column(&note.name) {
                self.annotate(column, note);
            }
        }
    }

    /// Takes rows as they are, to count what they hold: nothing is demanded of values any more, and a name that is no
    /// category is [`UNKNOWN_CATEGORY`].
    pub(crate) fn take_all_values(&mut self) {
        self.rules.clear();
        self.required.clear();
        for feature in &mut self.features {
            feature.rule = Rule::NONE;
            if let Some(categories) = &mut feature.categories {
                categories.count_unseen();
            }
        }
    }

    /// Takes over what a manifest says of a column. Its categories have been compared with the file's.
    fn annotate(&mut self, column: usize, note: FeatureNote) {
        let Some(feature) = self.features.get_mut(column) else {
            return;
        };
        if let (None, Some(names)) = (&feature.categories, note.categories) {
            feature.categories = Categories::new(names, Unseen::Refused);
        }
        if let Some(range) = note.seen.filter(|_| feature.kind != FeatureKind::Category) {
            let columns = self.features.len();
            self.seen
                .get_or_insert_with(|| Box::new(SeenRanges::none(columns)))
                .set(column, range);
        }
        let feature = &mut self.features[column];
        let named = feature.categories.as_ref();
        self.has_numeric_names |= named.is_some_and(|categories| !categories.takes_codes());
        feature.kind = note.kind.unwrap_or(feature.kind);
        let end = feature.categories.as_ref().map(|categories| categories.names().len());
        let (least, greatest) = note.range.unwrap_or((f64::NEG_INFINITY, f64::INFINITY));
        feature.rule = Rule {
            least,
            greatest,
            form: match note.kind {
                None | Some(FeatureKind::Number) => Form::Any,
                Some(FeatureKind::Integer) => Form::Whole,
                Some(FeatureKind::Boolean) => Form::Binary,
                Some(FeatureKind::Category) => Form::Code {
                    end: end.and_then(|end| u32::try_from(end).ok()).unwrap_or(CATEGORY_END),
                },
            },
            required: note.required.unwrap_or(false),
        };
        feature.description = note.description;
        feature.label = note.label;
        feature.unit = note.unit;
        feature.actionable = note.actionable;
        feature.texts = (note.texts != ReasonTexts::default()).then(|| Box::new(note.texts));
        self.index_rule(column);
    }

    fn index_rule(&mut self, column: usize) {
        let rule = self.features[column].rule;
        if rule != Rule::NONE {
            self.rules.resize(self.features.len(), Rule::NONE);
            self.rules[column] = rule;
        }
        if rule.required {
            self.required.resize(self.features.len().div_ceil(64), 0);
            self.required[column / 64] |= 1 << (column % 64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(names: &[&str]) -> Vec<(String, FeatureKind)> {
        names
            .iter()
            .map(|name| ((*name).to_owned(), FeatureKind::Number))
            .collect()
    }

    #[test]
    fn finds_columns_by_name() {
        let schema = Schema::try_new(numbers(&["a", "b c"])).unwrap();
        assert_eq!(
            (schema.len(), schema.column("b c"), schema.column("z")),
            (2, Some(1), None)
        );
        assert_eq!((schema.name(0), schema.name(7)), ("a", ""));
    }

    #[test]
    fn refuses_names_that_cannot_be_told_apart() {
        assert_eq!(
            Schema::try_new(numbers(&["a", ""])),
            Err(SchemaError::Empty { column: 1 })
        );
        assert_eq!(
            Schema::try_new(numbers(&["a", "a"])),
            Err(SchemaError::Twice {
                column: 1,
                name: "a".into()
            })
        );
    }
}
