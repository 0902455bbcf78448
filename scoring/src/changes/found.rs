//! What a search has found, as words and as JSON.

use bytes::BufMut;
use quintile_model::Schema;

use super::candidates::today;
use crate::loaded::LoadedModel;
use crate::reasons::category;
use crate::render;

/// Another value of one feature.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FeatureChange {
    /// The feature.
    pub column: usize,
    /// Its new value.
    pub value: f64,
    /// How large the change is, as a share of the feature's range; 1 for a category, and where nothing is known today.
    pub share: f64,
}

/// Changes that bring a lead to the target, confirmed by scoring it.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// One feature or two.
    pub features: Vec<FeatureChange>,
    /// The score with them.
    pub score: u8,
    /// The prediction with them.
    pub prediction: f64,
}

impl Change {
    /// How large it is: the sum of its features' shares.
    #[must_use]
    pub fn share(&self) -> f64 {
        self.features.iter().map(|feature| feature.share).sum()
    }

    pub(super) fn columns(&self) -> impl Iterator<Item = usize> + '_ {
        self.features.iter().map(|feature| feature.column)
    }

    /// `with Visits = 3 instead of 1: 4`
    #[must_use]
    pub fn text(&self, loaded: &LoadedModel, row: &[f64]) -> String {
        let of = |feature: &FeatureChange| words(loaded, feature, row);
        let features: Vec<String> = self.features.iter().map(of).collect();
        format!("with {}: {}", features.join(" and "), self.score)
    }
}

/// What was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The score that was asked for.
    pub target: u8,
    /// The score today.
    pub score: Option<u8>,
    /// The smallest change of each feature, or of each pair, that reaches it; the smallest first.
    pub changes: Vec<Change>,
    /// Whether all there is was tried.
    pub is_complete: bool,
    /// How many features people may change.
    pub may_change: usize,
    /// The lead's row.
    pub row: Vec<f64>,
}

impl Found {
    /// A sentence for people.
    #[must_use]
    pub fn text(&self, loaded: &LoadedModel) -> String {
        let target = self.target;
        match (self.score, self.changes.first()) {
            (Some(score), _) if score == target => format!("it is {target} already"),
            (_, Some(change)) => change.text(loaded, &self.row),
            (_, None) if self.may_change == 0 => {
                "the manifest names no feature that may be changed (actionable)".into()
            }
            (_, None) if self.is_complete => {
                format!("nothing that may be changed reaches {target}, not even two features together")
            }
            (_, None) => format!("no change of one feature reaches {target}, and none of two that was tried"),
        }
    }

    /// Bytes that [`Self::write`] writes.
    #[must_use]
    pub fn bytes(&self, loaded: &LoadedModel) -> usize {
        let mut out = Vec::new();
        self.write(&mut out, loaded);
        out.len()
    }

    /// Writes `,"target":{…}`, the member that an answer has beside all others.
    pub fn write<B: BufMut>(&self, out: &mut B, loaded: &LoadedModel) {
        out.put_slice(b",\"target\":{\"score\":");
        out.put_u8(b'0' + self.target);
        out.put_slice(b",\"changes\":[");
        for (number, change) in self.changes.iter().enumerate() {
            if number > 0 {
                out.put_u8(b',');
            }
            self.write_change(out, loaded, change);
        }
        out.put_slice(b"],\"is_complete\":");
        out.put_slice(if self.is_complete { b"true" } else { b"false" });
        out.put_slice(b",\"text\":");
        render::string(out, &self.text(loaded));
        out.put_u8(b'}');
    }

    fn write_change<B: BufMut>(&self, out: &mut B, loaded: &LoadedModel, change: &Change) {
        let schema = loaded.model.schema();
        out.put_slice(b"{\"features\":[");
        for (number, feature) in change.features.iter().enumerate() {
            if number > 0 {
                out.put_u8(b',');
            }
            out.put_slice(b"{\"feature\":");
            render::string(out, schema.name(feature.column));
            if let Some(label) = schema.label(feature.column) {
                out.put_slice(b",\"label\":");
                render::string(out, label);
            }
            out.put_slice(b",\"from\":");
            write_value(out, loaded, feature.column, today(schema, feature.column, &self.row));
            out.put_slice(b",\"to\":");
            write_value(out, loaded, feature.column, feature.value);
            out.put_slice(b",\"share\":");
            render::number(out, feature.share);
            out.put_u8(b'}');
        }
        out.put_slice(b"],\"score\":");
        out.put_u8(b'0' + change.score);
        out.put_slice(b",\"prediction\":");
        render::number(out, change.prediction);
        out.put_slice(b",\"share\":");
        render::number(out, change.share());
        out.put_slice(b",\"text\":");
        render::string(out, &change.text(loaded, &self.row));
        out.put_u8(b'}');
    }
}

fn write_value<B: BufMut>(out: &mut B, loaded: &LoadedModel, column: usize, value: f64) {
    match category(loaded, column, value) {
        Some(name) => render::string(out, name),
        None => render::number(out, value),
    }
}

fn words(loaded: &LoadedModel, feature: &FeatureChange, row: &[f64]) -> String {
    let schema: &Schema = loaded.model.schema();
    let column = feature.column;
    let name = schema.label(column).unwrap_or(schema.name(column));
    let unit = schema.unit(column).map_or_else(String::new, |unit| format!(" {unit}"));
    let value = |value: f64| match category(loaded, column, value) {
        Some(name) => name.to_owned(),
        None => value.to_string(),
    };
    let before = today(schema, column, row);
    if before.is_nan() {
        return format!("{name} = {}{unit}, which is not known now", value(feature.value));
    }
    format!("{name} = {}{unit} instead of {}", value(feature.value), value(before))
}
