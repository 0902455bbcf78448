//! A cell of another protocol's table or tensor → a value of the row: what it means, whether the model's input type
//! holds it, and what the manifest demands of it. Allocates nothing.

use quintile_model::{Cell, CellError, Violation};

use super::lead::range_end;
use crate::loaded::LoadedModel;

/// Why a cell is no value of its column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CellFault {
    /// It is no number, and the feature takes numbers.
    NoNumber,
    /// It is no category of the feature.
    UnknownCategory,
    /// The model's input type cannot hold it.
    OutOfRange,
    /// The manifest does not allow it.
    Violation(Violation),
}

/// The value that a row has for a cell of a column; NaN is missing.
///
/// # Errors
/// The cell is no value of this column.
#[inline]
pub fn cell_value(loaded: &LoadedModel, column: usize, cell: Cell<'_>) -> Result<f64, CellFault> {
    let schema = loaded.model.schema();
    let value = schema.value(column, cell).map_err(|error| match error {
        CellError::NoNumber => CellFault::NoNumber,
        CellError::UnknownCategory => CellFault::UnknownCategory,
    })?;
    if value.abs() >= range_end(loaded.model.input_precision()) {
        return Err(CellFault::OutOfRange);
    }
    if schema.is_checked() {
        if schema.has_numeric_names(column) && value.is_nan() && cell != Cell::Null && schema.rule(column).required {
            return Err(CellFault::UnknownCategory);
        }
        schema.check(column, value).map_err(CellFault::Violation)?;
    }
    Ok(value)
}

/// Whether every number of a column but those beyond the input type's range is its value: no names, no rules.
#[must_use]
pub fn is_plain_column(loaded: &LoadedModel, column: usize) -> bool {
    let schema = loaded.model.schema();
    schema.categories(column).is_none() && !schema.is_checked()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_held_to_range_and_rules() {
        let manifest = include_str!("../../../engine/demo/demo.toml");
        let loaded = LoadedModel::demo_with(manifest);
        assert_eq!(cell_value(&loaded, 0, Cell::Float(0.25)), Ok(0.25));
        assert_eq!(cell_value(&loaded, 0, Cell::Integer(1)), Ok(1.0));
        assert_eq!(
            cell_value(&loaded, 0, Cell::Float(f64::INFINITY)),
            Err(CellFault::OutOfRange)
        );
        assert_eq!(cell_value(&loaded, 0, Cell::Float(3.5e38)), Err(CellFault::OutOfRange));
        assert_eq!(cell_value(&loaded, 0, Cell::Text("x")), Err(CellFault::NoNumber));
        assert!(cell_value(&loaded, 0, Cell::Null).is_ok_and(f64::is_nan));
    }
}
