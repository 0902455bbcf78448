//! `[profile]`: what the rows held that a manifest was made with, feature by feature. Later rows are compared with it.
//!
//! ```toml
//! [profile]
//! rows = 5000
//! prediction = { edges = [0.1, 0.4], counts = [2000, 2000, 1000] }
//!
//! [profile.features]
//! visits = { edges = [1.0, 3.0], counts = [1200, 2000, 1788], missing = 12 }
//! Source = { categories = ["ad", "organic"], counts = [3000, 1990], missing = 10 }
//! ```
//! A value's bin is the number of edges that are at or below it.

use toml::Spanned;
use toml::de::DeValue;

use super::reader::Reader;
use crate::limits::FEATURES_MAX;

const KEYS: [&str; 3] = ["rows", "prediction", "features"];
const COLUMN_KEYS: [&str; 4] = ["edges", "categories", "counts", "missing"];

/// Edges of one feature.
pub const PROFILE_EDGES_MAX: usize = 32;

/// What the reference rows held. Nothing of it changes a score.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ReferenceProfile {
    /// How many rows there were.
    pub rows: u64,
    /// Each feature's values, by its name.
    pub features: Vec<(String, ColumnProfile)>,
    /// The model's own predictions for the rows; none where nothing is banded.
    pub prediction: Option<ColumnProfile>,
}

impl ReferenceProfile {
    /// What it says of a feature.
    #[must_use]
    pub fn feature(&self, name: &str) -> Option<&ColumnProfile> {
        let mut features = self.features.iter();
        features.find(|(own, _)| own == name).map(|(_, column)| column)
    }
}

/// The values of one column.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnProfile {
    /// What the values were counted by.
    pub bins: ProfileBins,
    /// Rows of each bin: one more than edges, or one for each category.
    pub counts: Vec<u64>,
    /// Rows without a value.
    pub missing: u64,
}

/// What values are counted by.
#[derive(Debug, Clone, PartialEq)]
pub enum ProfileBins {
    /// Strictly increasing, at most [`PROFILE_EDGES_MAX`].
    Edges(Vec<f64>),
    /// Names of categories; where the model has no names, their codes.
    Categories(Vec<String>),
}

impl Reader<'_> {
    pub(super) fn profile(&mut self, value: &Spanned<DeValue<'_>>) -> Option<ReferenceProfile> {
        let DeValue::Table(table) = value.get_ref() else {
            let message = "profile is a table: [profile], as `manifest init` writes it";
            self.fault(value.span(), message.to_owned());
            return None;
        };
        let mut profile = ReferenceProfile::default();
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "rows" => profile.rows = self.count("rows", value),
                "prediction" => profile.prediction = self.column_profile(value),
                "features" => {
                    let DeValue::Table(columns) = value.get_ref() else {
                        self.fault(
                            value.span(),
                            "features of a profile are a table: [profile.features]".to_owned(),
                        );
                        continue;
                    };
                    for (name, column) in columns.iter().take(FEATURES_MAX) {
                        if let Some(column) = self.column_profile(column) {
                            profile.features.push((name.get_ref().clone().into_owned(), column));
                        }
                    }
                }
                _ => self.unknown(key, &KEYS),
            }
        }
        Some(profile)
    }

    fn column_profile(&mut self, value: &Spanned<DeValue<'_>>) -> Option<ColumnProfile> {
        let DeValue::Table(table) = value.get_ref() else {
            let message = "a feature's profile is a table of edges or categories, counts and missing";
            self.fault(value.span(), message.to_owned());
            return None;
        };
        let (mut bins, mut counts, mut missing) = (None, Vec::new(), 0);
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "edges" => bins = self.numbers("edges", value).map(ProfileBins::Edges),
                "categories" => bins = self.texts("categories", value).map(ProfileBins::Categories),
                "counts" => counts = self.counts(value),
                "missing" => missing = self.count("missing", value),
                _ => self.unknown(key, &COLUMN_KEYS),
            }
        }
        let (wanted, is_right) = match &bins {
            Some(ProfileBins::Edges(edges)) => {
                let is_increasing = edges.windows(2).all(|pair| pair[0] < pair[1]);
                (edges.len() + 1, edges.len() <= PROFILE_EDGES_MAX && is_increasing)
            }
            Some(ProfileBins::Categories(names)) => (names.len(), true),
            None => (0, false),
        };
        if !is_right {
            let message =
                format!("a feature's profile has categories, or at most {PROFILE_EDGES_MAX} edges that increase");
            self.fault(value.span(), message);
            return None;
        }
        if counts.len() != wanted {
            let message = format!(
                "a feature's profile has {} counts; these bins take {wanted}",
                counts.len()
            );
            self.fault(value.span(), message);
            return None;
        }
        Some(ColumnProfile {
            bins: bins?,
            counts,
            missing,
        })
    }

    fn counts(&mut self, value: &Spanned<DeValue<'_>>) -> Vec<u64> {
        let DeValue::Array(array) = value.get_ref() else {
            self.fault(value.span(), "counts are an array of whole numbers".to_owned());
            return Vec::new();
        };
        array.iter().map(|value| self.count("counts", value)).collect()
    }

    /// A whole number of rows; 0 after a fault.
    fn count(&mut self, what: &str, value: &Spanned<DeValue<'_>>) -> u64 {
        let count = match value.get_ref() {
            DeValue::Integer(integer) => u64::from_str_radix(integer.as_str(), integer.radix()).ok(),
            _ => None,
        };
        if count.is_none() {
            self.fault(value.span(), format!("{what} are whole numbers from 0"));
        }
        count.unwrap_or(0)
    }

    fn texts(&mut self, what: &str, value: &Spanned<DeValue<'_>>) -> Option<Vec<String>> {
        let DeValue::Array(array) = value.get_ref() else {
            self.fault(value.span(), format!("{what} are an array of texts"));
            return None;
        };
        let texts: Vec<_> = array.iter().map(|text| self.text(what, text)).collect();
        texts.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::manifest::Manifest;

    #[test]
    fn a_profile_is_read_and_its_faults_have_places() {
        let text = "[profile]\nrows = 3\nprediction = { edges = [0.5], counts = [1, 2] }\n[profile.features]\n\
                    \"a b\" = { edges = [], counts = [3], missing = 0 }\nc = { categories = [\"x\"], counts = [1], missing = 2 }\n";
        let profile = Manifest::parse(text).unwrap().profile.unwrap();
        assert_eq!(profile.rows, 3);
        assert_eq!(profile.feature("c").unwrap().missing, 2);
        assert_eq!(profile.feature("a b").unwrap().counts, [3]);
        assert!(profile.feature("b").is_none());
        for (bad, place) in [
            ("[profile]\nrows = -1\n", "2:8"),
            (
                "[profile]\nprediction = { edges = [1, 1], counts = [1, 1, 1] }\n",
                "2:14",
            ),
            ("[profile]\nprediction = { edges = [1], counts = [1] }\n", "2:14"),
            ("[profile]\nprediction = { counts = [1] }\n", "2:14"),
            ("[profile.features]\na = { edges = [1], count = [1] }\n", "2:20"),
            ("profile = 1\n", "1:11"),
        ] {
            let error = Manifest::parse(bad).unwrap_err().to_string();
            assert!(error.contains(place), "{bad}: {error}");
        }
    }
}
