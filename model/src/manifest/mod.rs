//! `<model>.toml`: what the model file does not contain.
//!
//! ```toml
//! name = "leads"                      # defaults come from the file's name
//! version = "2026-11-24"
//! description = "Will this lead convert within 30 days?"
//! owner = "lead-scoring@example.com"
//! edges = [0.1, 0.25, 0.5, 0.75]      # prediction → 1..=5, strictly increasing
//! band_names = ["cold", "cool", "fair", "warm", "hot"]
//! missing = [0.0, -999.0]             # numbers that count as missing, or one number
//! input = "float32"                   # values are rounded to 32 bits before they are compared; or "float64"
//! probability_output = 1              # of a model of several predictions: the one that is banded, from 0
//! names = ["visits", "minutes"]       # of the features in column order, where the model file has none
//!
//! [features."Total Time Spent"]       # a feature of the model
//! description = "Time on the site before the form"
//! label = "Time on site"
//! unit = "seconds"
//! type = "number"                     # number, integer, boolean or category
//! range = [0, 86400]                  # both included; inf is no limit
//! seen = [0, 7200]                    # between which values training lay; what is far outside is counted, not refused
//! required = true                     # may not be missing
//! missing = -1                        # in the place of the model's list
//! actionable = "decrease"             # how people may change it: true, false, "increase" or "decrease"
//! reasons = { raises = "Long on the site", lowers = "Short on the site", missing = "Time on site is not known" }
//!
//! [features.Source]
//! type = "category"
//! categories = ["ad", "organic"]      # their codes are 0, 1, …; only where the model file has no names
//!
//! [groups.engagement]                 # features that are one reason together
//! features = ["visits", "minutes"]
//! label = "Engagement"
//! reasons = { raises = "Much engagement" }
//!
//! [[golden]]                          # checked at load and before a swap, to the last bit
//! features = [0.5, nan, 3]            # in column order, nan is missing
//! margin = [-1.2345678]
//! source = "quintile"                 # where the numbers come from: "library", which is the default, or this program
//!
//! [init]                              # what `manifest init` wrote, so that it can be renewed
//! model_sha256 = "9f86d081…"
//!
//! [profile]                           # what the rows held, for `quintile drift`
//! rows = 5000
//! ```
//!
//! Keys that are none of these are faults, and all faults are reported at once with line and column.

mod features;
mod golden;
mod groups;
mod init;
mod profile;
mod reader;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::fmt;

use toml::de::DeTable;

use crate::bands::Bands;
use crate::ensemble::{Ensemble, Precision};
use crate::limits::{MANIFEST_BYTES_MAX, MANIFEST_FAULTS_MAX};
use crate::schema::{Actionable, FeatureKind, ReasonTexts};
pub use golden::{GoldenRow, GoldenSource};
pub use groups::GroupNote;
pub use init::InitNote;
pub use profile::{ColumnProfile, PROFILE_EDGES_MAX, ProfileBins, ReferenceProfile};
use reader::Reader;

/// A place in a manifest: both count from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct ManifestPlace {
    /// Line.
    pub line: usize,
    /// Column.
    pub column: usize,
}

/// One fault of a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestFault {
    /// Where.
    pub place: ManifestPlace,
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

/// What a manifest says of one feature. A manifest that is made from another description of the model has no places in
/// it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FeatureNote {
    /// The feature, as trained.
    pub name: String,
    /// A sentence about it.
    pub description: Option<String>,
    /// A name for people.
    pub label: Option<String>,
    /// What its values are measured in.
    pub unit: Option<String>,
    /// What its values must be.
    pub kind: Option<FeatureKind>,
    /// The least and the greatest value; infinite where there is no limit.
    pub range: Option<(f64, f64)>,
    /// Whether it may not be missing.
    pub required: Option<bool>,
    /// The names of its categories in the order of their codes.
    pub categories: Option<Vec<String>>,
    /// The numbers that count as missing, in the place of the model's.
    pub missing: Option<Vec<f64>>,
    /// The least and the greatest value that training saw.
    pub seen: Option<(f64, f64)>,
    /// How people may change its value.
    pub actionable: Option<Actionable>,
    /// Its sentences in reasons.
    pub texts: ReasonTexts,
    /// Where its name stands.
    pub place: ManifestPlace,
    /// Where its names of categories stand.
    pub categories_place: ManifestPlace,
}

/// Whether a version is one that a model has when nobody gave it one: the first digits of its file's SHA-256.
#[must_use]
pub fn is_derived_version(version: &str) -> bool {
    let digits = version.strip_prefix("sha256-");
    digits.is_some_and(|digits| digits.len() == 12 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// A manifest whose own form is right. Whether it fits the model, [`crate::Model::build`] finds out.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Manifest {
    /// What the model is called.
    pub name: Option<String>,
    /// Which one of that name.
    pub version: Option<String>,
    /// A sentence about it.
    pub description: Option<String>,
    /// Who answers for it.
    pub owner: Option<String>,
    /// What is said of features, not of all of them.
    pub features: Vec<FeatureNote>,
    /// Features that are one reason together.
    pub groups: Vec<GroupNote>,
    pub(crate) edges: Option<(Bands, ManifestPlace)>,
    pub(crate) band_names: Option<([String; 5], ManifestPlace)>,
    pub(crate) probability_output: Option<(usize, ManifestPlace)>,
    /// Numbers that count as missing.
    pub(crate) missing: Vec<f64>,
    /// The precision that values are rounded to before they are compared.
    pub(crate) input: Option<(Precision, ManifestPlace)>,
    /// Names of the features in column order, for a model file that has none.
    pub(crate) names: Option<(Vec<String>, ManifestPlace)>,
    pub(crate) golden: Vec<GoldenRow>,
    /// What `manifest init` has written.
    pub init: InitNote,
    /// What the rows held that it was made with.
    pub profile: Option<ReferenceProfile>,
}

impl Manifest {
    /// The manifest of a model that has none.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// This manifest, and what another says where this one is silent. Edges, outputs and golden rows have places in a
    /// text and are this one's alone.
    #[must_use]
    pub fn over(mut self, other: Self) -> Self {
        self.name = self.name.or(other.name);
        self.version = self.version.or(other.version);
        self.description = self.description.or(other.description);
        self.owner = self.owner.or(other.owner);
        for theirs in other.features {
            match self.features.iter_mut().find(|note| note.name == theirs.name) {
                Some(ours) => {
                    // Where a range is stated, so is what has one.
                    if ours.range.is_none() || !matches!(theirs.kind, Some(FeatureKind::Boolean)) {
                        ours.kind = ours.kind.or(theirs.kind);
                    }
                    ours.description = ours.description.take().or(theirs.description);
                }
                None => self.features.push(theirs),
            }
        }
        self
    }

    /// What is left of it for a model whose manifest is to be written anew: all that people say and no model can
    /// contradict. Demands on values, golden rows and edges are gone, and so is what is said of features that the model
    /// does not have.
    pub fn keep_descriptions(&mut self, ensemble: &Ensemble) {
        let schema = ensemble.schema();
        let is_same = |(own, stated): (&str, &String)| own == stated || own == stated.replace(' ', "_");
        let fits = |names: &[String]| {
            names.len() == schema.len() && (schema.is_numbered() || schema.names().zip(names).all(is_same))
        };
        self.names = self.names.take().filter(|(names, _)| fits(names));
        let names: HashSet<&str> = match &self.names {
            Some((names, _)) => names.iter().map(String::as_str).collect(),
            None => schema.names().collect(),
        };
        self.features.retain(|note| names.contains(note.name.as_str()));
        for group in &mut self.groups {
            group.features.retain(|(name, _)| names.contains(name.as_str()));
        }
        self.groups.retain(|group| !group.features.is_empty());
        for note in &mut self.features {
            note.kind = note.kind.filter(|&kind| kind == FeatureKind::Category);
            (note.range, note.required) = (None, None);
            let column = schema.column(&note.name);
            if column.is_some_and(|column| schema.categories(column).is_some()) {
                note.categories = None;
            }
        }
        self.golden.clear();
        self.edges = None;
        if self.version.as_deref().is_some_and(is_derived_version) {
            self.version = None;
        }
    }

    /// Names for the features of a model file that has none.
    pub fn set_names(&mut self, names: Vec<String>) {
        self.names = Some((names, ManifestPlace::default()));
    }

    /// Says that values are rounded to this precision before they are compared.
    pub fn set_input(&mut self, precision: Precision) {
        self.input = Some((precision, ManifestPlace::default()));
    }

    /// The names of features that it states, in column order.
    #[must_use]
    pub fn names(&self) -> Option<&[String]> {
        self.names.as_ref().map(|(names, _)| names.as_slice())
    }

    /// The edges that it states.
    #[must_use]
    pub fn edges(&self) -> Option<[f64; 4]> {
        self.edges.map(|(bands, _)| bands.edges())
    }

    /// The golden rows that it states.
    #[must_use]
    pub fn golden(&self) -> &[GoldenRow] {
        &self.golden
    }

    /// Reads a manifest.
    ///
    /// # Errors
    /// Every fault, with its line and column.
    pub fn parse(text: &str) -> Result<Self, ManifestError> {
        Self::parse_and(text, |_| Vec::new())
    }

    /// The same; `judge` adds faults that only the model shows to those of the text. Without a fault of the text it is not
    /// asked, because the model is then built, and finds them itself.
    pub(crate) fn parse_and(
        text: &str,
        judge: impl FnOnce(&Self) -> Vec<ManifestFault>,
    ) -> Result<Self, ManifestError> {
        let mut reader = Reader::new(text);
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
        if reader.faults.is_empty() {
            let manifest = reader.manifest(table.get_ref());
            if reader.faults.is_empty() {
                return Ok(manifest);
            }
            // Under other names nothing else of it can be judged.
            if manifest.names.is_none() {
                reader.faults.extend(judge(&manifest));
            }
        }
        reader.faults.sort_by_key(|fault| fault.place);
        reader.faults.truncate(MANIFEST_FAULTS_MAX);
        Err(ManifestError { faults: reader.faults })
    }
}
