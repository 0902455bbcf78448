//! `[init]`: what `manifest init` has written, so that a later run can tell it from what a person wrote.

use toml::Spanned;
use toml::de::DeValue;

use super::reader::Reader;

const KEYS: [&str; 3] = ["model_sha256", "rows", "edges"];

/// What `manifest init` says of its own work. Nothing of it changes a score.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct InitNote {
    /// SHA-256 of the model file that the manifest was written for, in hexadecimal digits.
    pub model_sha256: Option<String>,
    /// The name of the file whose rows it was written from.
    pub rows: Option<String>,
    /// The edges it wrote. Where `edges` is something else, a person wrote that.
    pub edges: Option<[f64; 4]>,
}

impl Reader<'_> {
    pub(super) fn init(&mut self, value: &Spanned<DeValue<'_>>) -> InitNote {
        let mut note = InitNote::default();
        let DeValue::Table(table) = value.get_ref() else {
            self.fault(
                value.span(),
                "init is a table: [init], as `manifest init` writes it".to_owned(),
            );
            return note;
        };
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "model_sha256" => note.model_sha256 = self.label("model_sha256", value),
                "rows" => note.rows = self.text("rows", value),
                "edges" => {
                    let numbers = self.numbers("edges", value).unwrap_or_default();
                    note.edges = <[f64; 4]>::try_from(numbers).ok();
                }
                _ => self.unknown(key, &KEYS),
            }
        }
        note
    }
}
