//! What the names and values of rows in JSON mean.

use quintile_model::Cell;
use quintile_scoring::loaded::LoadedModel;

use super::json::{Cursor, JsonError, Scalar, Span};
use super::rows::Rows;
use super::rows_error::RowsError;
use super::tensor_rows::LEAD_ID;

/// What a protocol takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Manner {
    /// Keys under which rows may be, at the top.
    pub keys: &'static [&'static str],
    /// What is said where none of them is there.
    pub wanted: &'static str,
    /// Whether a list at the top is rows.
    pub takes_lists: bool,
    /// Whether names that are no feature are ignored, as MLflow ignores them.
    pub ignores_unknown: bool,
    /// Whether every feature has to be there.
    pub needs_all: bool,
}

/// What a name means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    Feature(usize),
    LeadId,
    Ignored,
}

/// What a name means.
pub(super) fn meaning(
    manner: Manner,
    loaded: &LoadedModel,
    name: Span,
    (body, place): (&[u8], usize),
) -> Result<Name, RowsError> {
    let name = name.text(body).ok_or(RowsError::Unknown { what: "key", place })?;
    if let Some(column) = loaded.columns.column_near(&name, place) {
        return Ok(Name::Feature(column));
    }
    match &*name {
        LEAD_ID => Ok(Name::LeadId),
        _ if manner.ignores_unknown => Ok(Name::Ignored),
        _ => Err(RowsError::Unknown { what: "key", place }),
    }
}

/// A value, alone or as the only one of a list.
pub(super) fn one(cursor: &mut Cursor<'_>) -> Result<Scalar, JsonError> {
    if cursor.peek() != Some(b'[') {
        return cursor.scalar();
    }
    cursor.step();
    let value = cursor.scalar()?;
    cursor.take(b']', "the end of a list of one value")?;
    Ok(value)
}

pub(super) fn put(
    loaded: &LoadedModel,
    rows: &mut Rows,
    (row, name): (usize, Name),
    (value, body): (Scalar, &[u8]),
) -> Result<(), RowsError> {
    let text = |span: Span| span.text(body).unwrap_or(std::borrow::Cow::Borrowed("\u{FFFD}"));
    match (name, value) {
        (Name::Feature(column), Scalar::Text(span)) => rows.put_at(loaded, (row, column), Cell::Text(&text(span))),
        (Name::Feature(column), value) => {
            let cell = match value {
                Scalar::Boolean(flag) => Cell::Boolean(flag),
                Scalar::Number(number) if !number.is_nan() => Cell::Float(number),
                _ => Cell::Null,
            };
            rows.put_at(loaded, (row, column), cell)
        }
        (Name::LeadId, Scalar::Text(span)) => rows.name(&text(span)),
        (Name::LeadId, Scalar::Number(number)) => rows.name(&format!("{number}")),
        (Name::LeadId, _) => Err(RowsError::LeadId { row }),
        (Name::Ignored, _) => Ok(()),
    }
}
