//! `[[golden]]`: rows with the numbers that a model must give for them.

use toml::Spanned;
use toml::de::DeValue;

use super::ManifestPlace;
use super::reader::Reader;
use crate::ensemble::Trees;
use crate::nearest::nearest;

const KEYS: [&str; 5] = ["features", "margin", "prediction", "source", "trees"];

/// Which trees a row's numbers are those of, by name.
const TREES: [(&str, Trees); 2] = [("all", Trees::All), ("best", Trees::Best)];

/// Where the numbers of a golden row come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum GoldenSource {
    /// The training library: the row is a proof.
    #[default]
    Library,
    /// This program: the row only shows that nothing has changed since.
    Quintile,
}

impl GoldenSource {
    /// All of them by name.
    pub const NAMES: [(&'static str, Self); 2] = [("library", Self::Library), ("quintile", Self::Quintile)];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Library => "library",
            Self::Quintile => "quintile",
        }
    }
}

/// A row and what a model gives for it: margins, predictions, or both.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct GoldenRow {
    /// Where it stands.
    pub place: ManifestPlace,
    /// Values in column order; NaN is missing.
    pub features: Vec<f64>,
    /// The raw sums, compared to the last bit; empty where they are not stated.
    pub margin: Vec<f64>,
    /// After the objective's transform; empty where they are not stated.
    pub prediction: Vec<f64>,
    /// Who gave the numbers.
    pub source: GoldenSource,
    /// Which trees gave them.
    pub trees: Trees,
}

impl Reader<'_> {
    pub(super) fn golden(&mut self, value: &Spanned<DeValue<'_>>) -> Vec<GoldenRow> {
        let DeValue::Array(array) = value.get_ref() else {
            self.fault(value.span(), "golden is an array of tables: [[golden]]".to_owned());
            return Vec::new();
        };
        array.iter().filter_map(|value| self.golden_row(value)).collect()
    }

    fn golden_row(&mut self, value: &Spanned<DeValue<'_>>) -> Option<GoldenRow> {
        let DeValue::Table(table) = value.get_ref() else {
            self.fault(
                value.span(),
                "a golden row is a table with features and margin".to_owned(),
            );
            return None;
        };
        let faults_before = self.faults.len();
        let (mut features, mut margin, mut prediction) = (None, None, None);
        let (mut source, mut trees) = (GoldenSource::default(), Trees::All);
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "features" => features = self.numbers("features", value),
                "margin" => margin = self.numbers("margin", value),
                "prediction" => prediction = self.numbers("prediction", value),
                "source" => source = self.word("source", value, &GoldenSource::NAMES),
                "trees" => trees = self.word("trees", value, &TREES),
                _ => self.unknown(key, &KEYS),
            }
        }
        if self.faults.len() > faults_before {
            return None;
        }
        let (Some(features), true) = (features, margin.is_some() || prediction.is_some()) else {
            let message = "a golden row has features, and margin, prediction or both".to_owned();
            self.fault(value.span(), message);
            return None;
        };
        Some(GoldenRow {
            place: self.place(value.span().start),
            features,
            margin: margin.unwrap_or_default(),
            prediction: prediction.unwrap_or_default(),
            source,
            trees,
        })
    }

    /// What one of some words means; the default after a fault.
    fn word<T: Copy + Default>(&mut self, key: &str, value: &Spanned<DeValue<'_>>, known: &[(&str, T)]) -> T {
        let Some(word) = self.text(key, value) else {
            return T::default();
        };
        let found = known.iter().find(|(name, _)| *name == word);
        if found.is_none() {
            let names = || known.iter().map(|(name, _)| *name);
            let hint = nearest(&word, names()).map_or_else(String::new, |near| format!("; did you mean {near:?}?"));
            let accepted = names().collect::<Vec<_>>().join(" and ");
            self.fault(
                value.span(),
                format!("{key} is {word:?}: accepted are {accepted}{hint}"),
            );
        }
        found.map_or_else(T::default, |&(_, value)| value)
    }
}
