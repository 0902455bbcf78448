//! `<model>.toml`: what a model file does not say about itself.
//!
//! ```toml
//! name = "leads"                      # defaults come from the file's name
//! version = "2026-11-24"
//! description = "Will this lead convert within 30 days?"
//! edges = [0.1, 0.25, 0.5, 0.75]      # prediction → 1..=5, strictly increasing
//!
//! [features."Total Time Spent"]       # a feature of the model
//! description = "seconds on the site before the form"
//! label = "Time on site"
//!
//! [[golden]]                          # checked at load and before a swap, to the last bit
//! features = [0.5, nan, 3]            # in column order, nan is missing
//! margin = [-1.2345678]
//! ```
//!
//! Keys that are none of these are faults, and all faults are reported at once with line and column.

use std::fmt;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::bands::Bands;
use crate::limits::{MANIFEST_BYTES_MAX, MANIFEST_FAULTS_MAX};

/// A place in a manifest: both count from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Line.
    pub line: usize,
    /// Column.
    pub column: usize,
}

/// One fault of a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestFault {
    /// Where.
    pub place: Place,
    /// What is wrong and what is accepted.
    pub message: String,
}

impl fmt::Display for ManifestFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}: {}", self.place.line, self.place.column, self.message)
    }
}

/// All faults of a manifest, in the order of its lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestError {
    /// At least one, at most [`MANIFEST_FAULTS_MAX`].
    pub faults: Vec<ManifestFault>,
}

impl fmt::Display for ManifestError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.faults.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(formatter, "{separator}{fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ManifestError {}

/// What a manifest says of one feature.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FeatureNote {
    pub(crate) name: String,
    pub(crate) place: Place,
    pub(crate) description: Option<String>,
    pub(crate) label: Option<String>,
}

/// A row with the margins the training library gave for it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Golden {
    pub(crate) place: Place,
    pub(crate) features: Vec<f64>,
    pub(crate) margin: Vec<f64>,
}

/// A manifest whose own form is right. Whether it fits the model, [`crate::Model::build`] finds out.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Manifest {
    pub(crate) name: Option<String>,
    pub(crate) version: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) edges: Option<(Bands, Place)>,
    pub(crate) features: Vec<FeatureNote>,
    pub(crate) golden: Vec<Golden>,
}

impl Manifest {
    /// The manifest of a model that has none.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// Reads a manifest.
    ///
    /// # Errors
    /// Every fault, with its line and column.
    pub fn parse(text: &str) -> Result<Self, ManifestError> {
        let mut reader = Reader {
            text,
            faults: Vec::new(),
        };
        if text.len() > MANIFEST_BYTES_MAX {
            reader.fault(
                0..0,
                format!("{} bytes are more than the {MANIFEST_BYTES_MAX} accepted", text.len()),
            );
            return Err(ManifestError { faults: reader.faults });
        }
        let (table, errors) = DeTable::parse_recoverable(text);
        for error in errors {
            reader.fault(error.span().unwrap_or(0..0), error.message().to_owned());
        }
        // A text that is no TOML recovers into values the author did not write: their faults would mislead.
        let manifest = if reader.faults.is_empty() {
            reader.manifest(table.get_ref())
        } else {
            Self::default()
        };
        if reader.faults.is_empty() {
            return Ok(manifest);
        }
        reader.faults.sort_by_key(|fault| fault.place);
        reader.faults.truncate(MANIFEST_FAULTS_MAX);
        Err(ManifestError { faults: reader.faults })
    }
}

/// Walks the table and gathers faults.
struct Reader<'t> {
    text: &'t str,
    faults: Vec<ManifestFault>,
}

impl Reader<'_> {
    fn fault(&mut self, span: Range<usize>, message: String) {
        let place = self.place(span.start);
        self.faults.push(ManifestFault { place, message });
    }

    fn place(&self, offset: usize) -> Place {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Place {
            line: 1 + before.matches('\n').count(),
            column: 1 + before[line_start..].chars().count(),
        }
    }

    fn manifest(&mut self, table: &DeTable<'_>) -> Manifest {
        let mut manifest = Manifest::default();
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "name" => manifest.name = self.label("name", value),
                "version" => manifest.version = self.label("version", value),
                "description" => manifest.description = self.text("description", value),
                "edges" => manifest.edges = self.edges(value),
                "features" => manifest.features = self.features(value),
                "golden" => manifest.golden = self.golden(value),
                other => self.fault(
                    key.span(),
                    format!("unknown key {other:?}: accepted are name, version, description, edges, features, golden"),
                ),
            }
        }
        manifest
    }

    fn text(&mut self, what: &str, value: &Spanned<DeValue<'_>>) -> Option<String> {
        if let DeValue::String(text) = value.get_ref() {
            return Some(text.clone().into_owned());
        }
        let actual = value.get_ref().type_str();
        self.fault(value.span(), format!("{what} is a text, not {actual}"));
        None
    }

    fn label(&mut self, what: &str, value: &Spanned<DeValue<'_>>) -> Option<String> {
        let text = self.text(what, value)?;
        let right = !text.is_empty() && text.len() <= 128 && !text.chars().any(char::is_control);
        if !right {
            self.fault(
                value.span(),
                format!("{what} has 1 to 128 bytes and no control characters"),
            );
        }
        right.then_some(text)
    }

    fn number(&mut self, what: &str, value: &Spanned<DeValue<'_>>) -> Option<f64> {
        let number = match value.get_ref() {
            DeValue::Float(float) => float.as_str().parse().ok(),
            DeValue::Integer(integer) => i128::from_str_radix(integer.as_str(), integer.radix())
                .ok()
                .map(|integer| integer as f64),
            _ => None,
        };
        if number.is_none() {
            self.fault(
                value.span(),
                format!("{what} are numbers, not {}", value.get_ref().type_str()),
            );
        }
        number
    }

    /// None when the value is no array; an element that is no number is a fault and left out.
    fn numbers(&mut self, what: &str, value: &Spanned<DeValue<'_>>) -> Option<Vec<f64>> {
        if let DeValue::Array(array) = value.get_ref() {
            return Some(array.iter().filter_map(|element| self.number(what, element)).collect());
        }
        let actual = value.get_ref().type_str();
        self.fault(value.span(), format!("{what} are an array of numbers, not {actual}"));
        None
    }

    fn edges(&mut self, value: &Spanned<DeValue<'_>>) -> Option<(Bands, Place)> {
        let faults_before = self.faults.len();
        let numbers = self.numbers("edges", value)?;
        if self.faults.len() > faults_before {
            return None;
        }
        let Ok(edges) = <[f64; 4]>::try_from(numbers.as_slice()) else {
            self.fault(value.span(), format!("edges are four numbers, not {}", numbers.len()));
            return None;
        };
        match Bands::try_new(edges) {
            Ok(bands) => Some((bands, self.place(value.span().start))),
            Err(error) => {
                self.fault(value.span(), error.to_string());
                None
            }
        }
    }

    fn features(&mut self, value: &Spanned<DeValue<'_>>) -> Vec<FeatureNote> {
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

    fn feature(
        &mut self,
        name: &Spanned<std::borrow::Cow<'_, str>>,
        value: &Spanned<DeValue<'_>>,
    ) -> Option<FeatureNote> {
        let place = self.place(name.span().start);
        let name = name.get_ref().clone().into_owned();
        let DeValue::Table(table) = value.get_ref() else {
            self.fault(
                value.span(),
                format!("features.{name} is a table with description and label"),
            );
            return None;
        };
        let mut note = FeatureNote {
            name,
            place,
            description: None,
            label: None,
        };
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "description" => note.description = self.text("description", value),
                "label" => note.label = self.label("label", value),
                other => self.fault(
                    key.span(),
                    format!("unknown key {other:?}: accepted are description, label"),
                ),
            }
        }
        Some(note)
    }

    fn golden(&mut self, value: &Spanned<DeValue<'_>>) -> Vec<Golden> {
        let DeValue::Array(array) = value.get_ref() else {
            self.fault(value.span(), "golden is an array of tables: [[golden]]".to_owned());
            return Vec::new();
        };
        array.iter().filter_map(|value| self.golden_row(value)).collect()
    }

    fn golden_row(&mut self, value: &Spanned<DeValue<'_>>) -> Option<Golden> {
        let DeValue::Table(table) = value.get_ref() else {
            self.fault(
                value.span(),
                "a golden row is a table with features and margin".to_owned(),
            );
            return None;
        };
        let (mut features, mut margin, mut wrong) = (None, None, false);
        for (key, value) in table {
            let faults_before = self.faults.len();
            match key.get_ref().as_ref() {
                "features" => features = self.numbers("features", value),
                "margin" => margin = self.numbers("margin", value),
                other => self.fault(
                    key.span(),
                    format!("unknown key {other:?}: accepted are features, margin"),
                ),
            }
            wrong |= self.faults.len() > faults_before;
        }
        let (Some(features), Some(margin), false) = (features, margin, wrong) else {
            if !wrong {
                self.fault(value.span(), "a golden row has both features and margin".to_owned());
            }
            return None;
        };
        Some(Golden {
            place: self.place(value.span().start),
            features,
            margin,
        })
    }
}
