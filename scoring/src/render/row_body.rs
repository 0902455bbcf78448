//! A row as the body of a remote call: CSV as SageMaker's built-in XGBoost container reads it, or JSON from a template.

use crate::render;
use bytes::{BufMut, Bytes, BytesMut};

/// Bytes of a number and what separates it from the next, roughly.
const NUMBER_BYTES: usize = 20;

/// What stands for the row in a template: a list of its values, or an object of them by name.
const LIST: &str = "$features";
const RECORD: &str = "$record";

/// How a row is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// One line of values in column order; an empty cell is a missing value.
    Csv,
    /// A JSON text with the row in it; `null` is a missing value.
    Json(Template),
}

/// A JSON text with a place for the row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    before: String,
    after: String,
    by_name: bool,
}

/// Why a text is no template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// There is no place for the row, or there are several.
    #[error("holds {0} places for the row, where one is needed: $features (a list) or $record (an object)")]
    Places(usize),
    /// It is not JSON with the row in its place.
    #[error("is no JSON text with the row in its place")]
    NotJson,
}

impl Template {
    /// What TensorFlow Serving, MLflow's `instances` and most containers of one's own take.
    pub const INSTANCES: &str = r#"{"instances":[$features]}"#;

    /// Reads a template.
    ///
    /// # Errors
    /// A text without a place for the row, or that is no JSON.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let places = text.matches(LIST).count() + text.matches(RECORD).count();
        if places != 1 {
            return Err(TemplateError::Places(places));
        }
        let by_name = text.contains(RECORD);
        let (mark, row) = if by_name { (RECORD, "{}") } else { (LIST, "[]") };
        let mut tried = text.replace(mark, row).into_bytes();
        // A place inside a string is JSON too, but not what was meant: quotes in the row tell.
        let mut quoted = text.replace(mark, "[\"\"]").into_bytes();
        if simd_json::to_tape(&mut tried).is_err() || simd_json::to_tape(&mut quoted).is_err() {
            return Err(TemplateError::NotJson);
        }
        let (before, after) = text.split_once(mark).ok_or(TemplateError::Places(0))?;
        Ok(Self {
            before: before.into(),
            after: after.into(),
            by_name,
        })
    }
}

impl Content {
    /// The content type, which is also what is accepted.
    #[must_use]
    pub fn media_type(&self) -> &'static str {
        match self {
            Self::Csv => "text/csv",
            Self::Json(_) => "application/json",
        }
    }

    /// Renders a row. `names` are those of its columns.
    pub fn render<'a>(&self, row: &[f64], names: impl Iterator<Item = &'a str>) -> Bytes {
        let mut out = BytesMut::with_capacity(64 + row.len() * NUMBER_BYTES);
        match self {
            Self::Csv => {
                for (column, &value) in row.iter().enumerate() {
                    if column > 0 {
                        out.put_u8(b',');
                    }
                    if !value.is_nan() {
                        render::number(&mut out, value);
                    }
                }
            }
            Self::Json(template) => {
                out.put_slice(template.before.as_bytes());
                out.put_u8(if template.by_name { b'{' } else { b'[' });
                for (column, (&value, name)) in row.iter().zip(names).enumerate() {
                    if column > 0 {
                        out.put_u8(b',');
                    }
                    if template.by_name {
                        render::string(&mut out, name);
                        out.put_u8(b':');
                    }
                    render::number(&mut out, value);
                }
                out.put_u8(if template.by_name { b'}' } else { b']' });
                out.put_slice(template.after.as_bytes());
            }
        }
        out.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: [f64; 4] = [1.0, f64::NAN, -0.5, 1e-9];
    const NAMES: [&str; 4] = ["a", "b", "c\"", "d"];

    fn rendered(content: &Content) -> String {
        String::from_utf8(content.render(&ROW, NAMES.into_iter()).to_vec()).unwrap()
    }

    #[test]
    fn missing_values_are_empty_in_csv_and_null_in_json() {
        assert_eq!(rendered(&Content::Csv), "1.0,,-0.5,1e-9");
        let json = |text| rendered(&Content::Json(Template::parse(text).unwrap()));
        assert_eq!(json(Template::INSTANCES), r#"{"instances":[[1.0,null,-0.5,1e-9]]}"#);
        assert_eq!(
            json(r#"{"rows": [{"features": $record}], "k": 1}"#),
            r#"{"rows": [{"features": {"a":1.0,"b":null,"c\"":-0.5,"d":1e-9}}], "k": 1}"#
        );
    }

    #[test]
    fn a_template_is_json_with_one_place() {
        for (text, error) in [
            ("{}", TemplateError::Places(0)),
            ("[$features, $record]", TemplateError::Places(2)),
            ("[$features", TemplateError::NotJson),
            ("[\"$features\"]", TemplateError::NotJson),
        ] {
            assert_eq!(Template::parse(text), Err(error), "{text}");
        }
    }
}
