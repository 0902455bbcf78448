//! Reads a manifest's table: values of the right form, and every fault with its line and column.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Manifest, ManifestFault, ManifestPlace};
use crate::bands::Bands;
use crate::ensemble::Precision;
use crate::nearest::nearest;

/// Bytes of a sentence. A description is one or two.
const SENTENCE_BYTES_MAX: usize = 4_096;

/// Bytes of a name.
const LABEL_BYTES_MAX: usize = 128;

/// Bytes of a reason's sentence. Answers have a few, and records keep them in four kilobytes.
const REASON_BYTES_MAX: usize = 256;

/// Numbers that count as missing: each is compared with every value of a row.
const MARKERS_MAX: usize = 16;

const KEYS: [&str; 15] = [
    "name",
    "version",
    "description",
    "owner",
    "edges",
    "band_names",
    "missing",
    "input",
    "probability_output",
    "names",
    "features",
    "groups",
    "golden",
    "init",
    "profile",
];

/// Walks the table and gathers faults.
pub(super) struct Reader<'t> {
    text: &'t str,
    /// Where each line begins.
    lines: Vec<usize>,
    pub(super) faults: Vec<ManifestFault>,
}

impl<'t> Reader<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        let starts = text.match_indices('\n').map(|(newline, _)| newline + 1);
        Self {
            text,
            lines: std::iter::once(0).chain(starts).collect(),
            faults: Vec::new(),
        }
    }

    pub(super) fn fault(&mut self, span: Range<usize>, message: String) {
        let place = self.place(span.start);
        self.faults.push(ManifestFault { place, message });
    }

    pub(super) fn place(&self, offset: usize) -> ManifestPlace {
        let line = self.lines.partition_point(|&start| start <= offset);
        let start = self.lines.get(line.saturating_sub(1)).copied().unwrap_or(0);
        let before = self.text.get(start..offset).unwrap_or("");
        ManifestPlace {
            line,
            column: 1 + before.chars().count(),
        }
    }

    /// A key that means nothing, with the one that was probably meant.
    pub(super) fn unknown(&mut self, key: &Spanned<std::borrow::Cow<'_, str>>, accepted: &[&str]) {
        let name = key.get_ref().as_ref();
        let hint =
            nearest(name, accepted.iter().copied()).map_or_else(String::new, |near| format!("; did you mean {near}?"));
        let accepted = accepted.join(", ");
        self.fault(
            key.span(),
            format!("unknown key {name:?}: accepted are {accepted}{hint}"),
        );
    }

    pub(super) fn manifest(&mut self, table: &DeTable<'_>) -> Manifest {
        let mut manifest = Manifest::default();
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "name" => manifest.name = self.label("name", value),
                "version" => manifest.version = self.label("version", value),
                "description" => manifest.description = self.sentence("description", value),
                "owner" => manifest.owner = self.label("owner", value),
                "edges" => manifest.edges = self.edges(value),
                "band_names" => manifest.band_names = self.band_names(value),
                "missing" => manifest.missing = self.markers(value).unwrap_or_default(),
                "input" => manifest.input = self.input(value),
                "probability_output" => manifest.probability_output = self.output(value),
                "features" => manifest.features = self.features(value),
                "groups" => manifest.groups = self.groups(value),
                "names" => manifest.names = self.feature_names(value),
                "golden" => manifest.golden = self.golden(value),
                "init" => manifest.init = self.init(value),
                "profile" => manifest.profile = self.profile(value),
                _ => self.unknown(key, &KEYS),
            }
        }
        manifest
    }

    pub(super) fn text(&mut self, what: &str, value: &Spanned<DeValue<'_>>) -> Option<String> {
        if let DeValue::String(text) = value.get_ref() {
            return Some(text.clone().into_owned());
        }
        let (actual, hint) = (value.get_ref().type_str(), quotes(value.get_ref()));
        self.fault(value.span(), format!("{what} is a text, not {actual}{hint}"));
        None
    }

    /// A text that may have lines.
    pub(super) fn sentence(&mut self, what: &str, value: &Spanned<DeValue<'_>>) -> Option<String> {
        let text = self.text(what, value)?;
        if text.len() > SENTENCE_BYTES_MAX {
            let message = format!(
                "{what} has {} bytes; at most {SENTENCE_BYTES_MAX} are accepted",
                text.len()
            );
            self.fault(value.span(), message);
            return None;
        }
        Some(text)
    }

    /// A text on one line.
    pub(super) fn label(&mut self, what: &str, value: &Spanned<DeValue<'_>>) -> Option<String> {
        let text = self.text(what, value)?;
        let right = !text.is_empty() && text.len() <= LABEL_BYTES_MAX && !text.chars().any(char::is_control);
        if !right {
            self.fault(
                value.span(),
                format!("{what} has 1 to {LABEL_BYTES_MAX} bytes and no control characters"),
            );
        }
        right.then_some(text)
    }

    /// A sentence on one line, which answers and records carry.
    pub(super) fn reason_text(&mut self, what: &str, value: &Spanned<DeValue<'_>>) -> Option<String> {
        let text = self.text(what, value)?;
        let right = !text.is_empty() && text.len() <= REASON_BYTES_MAX && !text.chars().any(char::is_control);
        if !right {
            self.fault(
                value.span(),
                format!("{what} has 1 to {REASON_BYTES_MAX} bytes and no control characters"),
            );
        }
        right.then_some(text)
    }

    pub(super) fn number(&mut self, what: &str, value: &Spanned<DeValue<'_>>) -> Option<f64> {
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

    /// None when the value is no array, or one of its elements is no number.
    pub(super) fn numbers(&mut self, what: &str, value: &Spanned<DeValue<'_>>) -> Option<Vec<f64>> {
        if let DeValue::Array(array) = value.get_ref() {
            let numbers: Vec<_> = array.iter().map(|element| self.number(what, element)).collect();
            return numbers.into_iter().collect();
        }
        let actual = value.get_ref().type_str();
        self.fault(value.span(), format!("{what} are an array of numbers, not {actual}"));
        None
    }

    /// Numbers that count as missing: one, or an array of them.
    pub(super) fn markers(&mut self, value: &Spanned<DeValue<'_>>) -> Option<Vec<f64>> {
        let numbers = match value.get_ref() {
            DeValue::Array(_) => self.numbers("missing", value)?,
            DeValue::Float(_) | DeValue::Integer(_) => vec![self.number("missing", value)?],
            other => {
                let message = format!("missing is a number or an array of numbers, not {}", other.type_str());
                self.fault(value.span(), message);
                return None;
            }
        };
        if numbers.len() > MARKERS_MAX {
            let message = format!(
                "missing has {} numbers; at most {MARKERS_MAX} are accepted",
                numbers.len()
            );
            self.fault(value.span(), message);
            return None;
        }
        Some(numbers)
    }

    fn input(&mut self, value: &Spanned<DeValue<'_>>) -> Option<(Precision, ManifestPlace)> {
        let word = self.text("input", value)?;
        let precision = match word.as_str() {
            "float32" => Precision::F32,
            "float64" => Precision::F64,
            _ => {
                self.fault(
                    value.span(),
                    format!("input is {word:?}: accepted are float32 and float64"),
                );
                return None;
            }
        };
        Some((precision, self.place(value.span().start)))
    }

    fn edges(&mut self, value: &Spanned<DeValue<'_>>) -> Option<(Bands, ManifestPlace)> {
        let numbers = self.numbers("edges", value)?;
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

    fn band_names(&mut self, value: &Spanned<DeValue<'_>>) -> Option<([String; 5], ManifestPlace)> {
        let DeValue::Array(array) = value.get_ref() else {
            let actual = value.get_ref().type_str();
            self.fault(
                value.span(),
                format!("band_names are an array of five texts, not {actual}"),
            );
            return None;
        };
        let names: Vec<_> = array.iter().map(|name| self.label("a band's name", name)).collect();
        let names: Vec<String> = names.into_iter().collect::<Option<_>>()?;
        match <[String; 5]>::try_from(names) {
            Ok(names) => Some((names, self.place(value.span().start))),
            Err(names) => {
                self.fault(
                    value.span(),
                    format!("band_names are five texts, lowest band first, not {}", names.len()),
                );
                None
            }
        }
    }

    /// Names of all features. Whether they fit the model, it finds out.
    fn feature_names(&mut self, value: &Spanned<DeValue<'_>>) -> Option<(Vec<String>, ManifestPlace)> {
        let DeValue::Array(array) = value.get_ref() else {
            let actual = value.get_ref().type_str();
            self.fault(value.span(), format!("names are an array of texts, not {actual}"));
            return None;
        };
        let names: Vec<_> = array.iter().map(|name| self.text("a feature's name", name)).collect();
        let names = names.into_iter().collect::<Option<_>>()?;
        Some((names, self.place(value.span().start)))
    }

    fn output(&mut self, value: &Spanned<DeValue<'_>>) -> Option<(usize, ManifestPlace)> {
        let index = match value.get_ref() {
            DeValue::Integer(integer) => usize::from_str_radix(integer.as_str(), integer.radix()).ok(),
            _ => None,
        };
        if index.is_none() {
            let message = "probability_output is the number of one of the model's predictions, from 0";
            self.fault(value.span(), message.to_owned());
        }
        index.map(|index| (index, self.place(value.span().start)))
    }
}

/// What mends a value that was meant as a text.
fn quotes(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_) => "; write it in quotes",
        _ => "",
    }
}
