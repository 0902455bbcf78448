//! Columns of Parquet as numbers of the model's rows: every type that is a number, read directly.

use arrow_array::cast::AsArray as _;
use arrow_array::types::{
    Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type, DecimalType, Float16Type, Float32Type, Float64Type,
    Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType};
use arrow_schema::DataType;
use quintile_model::Cell;

use super::values;

/// Whether a feature's values may be of this type.
pub(crate) fn is_value(data_type: &DataType, has_names: bool) -> bool {
    use DataType::{
        Binary, BinaryView, Boolean, Decimal32, Decimal64, Decimal128, Decimal256, FixedSizeBinary, LargeBinary,
        LargeUtf8, Null, Utf8, Utf8View,
    };
    match data_type {
        Boolean | Null | Decimal32(..) | Decimal64(..) | Decimal128(..) | Decimal256(..) => true,
        Utf8 | LargeUtf8 | Utf8View | Binary | LargeBinary | BinaryView | FixedSizeBinary(_) => has_names,
        other => other.is_integer() || other.is_floating(),
    }
}

/// Gives a value to `take` as the schema takes it. Text may be anything where the column is one of a path's.
pub(crate) fn with_cell<R>(
    array: &ArrayRef,
    index: usize,
    is_untyped: bool,
    take: impl FnOnce(Cell<'_>) -> Option<R>,
) -> Option<R> {
    fn of<T: ArrowPrimitiveType>(array: &ArrayRef, index: usize) -> T::Native {
        array.as_primitive::<T>().value(index)
    }
    fn decimal<T: DecimalType>(array: &ArrayRef, index: usize) -> String {
        array.as_primitive::<T>().value_as_string(index)
    }
    if array.is_null(index) {
        return take(Cell::Null);
    }
    if let Some(bytes) = values::bytes(array, index) {
        if is_untyped {
            return take(Cell::Untyped(bytes));
        }
        return take(Cell::Text(std::str::from_utf8(bytes).ok()?));
    }
    let text = match array.data_type() {
        DataType::Decimal32(..) => decimal::<Decimal32Type>(array, index),
        DataType::Decimal64(..) => decimal::<Decimal64Type>(array, index),
        DataType::Decimal128(..) => decimal::<Decimal128Type>(array, index),
        DataType::Decimal256(..) => decimal::<Decimal256Type>(array, index),
        _ => String::new(),
    };
    take(match array.data_type() {
        DataType::Boolean => Cell::Boolean(array.as_boolean().value(index)),
        DataType::Float64 => Cell::Float(of::<Float64Type>(array, index)),
        DataType::Float32 => Cell::Float(of::<Float32Type>(array, index).into()),
        DataType::Float16 => Cell::Float(of::<Float16Type>(array, index).to_f64()),
        DataType::Int8 => Cell::Integer(of::<Int8Type>(array, index).into()),
        DataType::Int16 => Cell::Integer(of::<Int16Type>(array, index).into()),
        DataType::Int32 => Cell::Integer(of::<Int32Type>(array, index).into()),
        DataType::Int64 => Cell::Integer(of::<Int64Type>(array, index)),
        DataType::UInt8 => Cell::Unsigned(of::<UInt8Type>(array, index).into()),
        DataType::UInt16 => Cell::Unsigned(of::<UInt16Type>(array, index).into()),
        DataType::UInt32 => Cell::Unsigned(of::<UInt32Type>(array, index).into()),
        DataType::UInt64 => Cell::Unsigned(of::<UInt64Type>(array, index)),
        _ if !text.is_empty() => Cell::Untyped(text.as_bytes()),
        _ => Cell::Null,
    })
}

/// An id in words, none for null.
pub(crate) fn id_text(array: &ArrayRef, row: usize) -> Option<String> {
    let mut text = Vec::new();
    if array.is_null(row) || values::text(&mut text, array, row).is_err() {
        return None;
    }
    String::from_utf8(text).ok()
}

/// Numbers of any kind; a null stays what it was.
#[expect(
    clippy::cast_precision_loss,
    reason = "an integer becomes the nearest double, ties to even, as its text would"
)]
pub(crate) fn fill<'v>(values: impl Iterator<Item = &'v mut f64>, array: &ArrayRef) {
    match array.data_type() {
        DataType::Float64 => put::<Float64Type>(values, array, |value| value),
        DataType::Float32 => put::<Float32Type>(values, array, f64::from),
        DataType::Float16 => put::<Float16Type>(values, array, |value| value.to_f64()),
        DataType::Int8 => put::<Int8Type>(values, array, f64::from),
        DataType::Int16 => put::<Int16Type>(values, array, f64::from),
        DataType::Int32 => put::<Int32Type>(values, array, f64::from),
        DataType::Int64 => put::<Int64Type>(values, array, |value| value as f64),
        DataType::UInt8 => put::<UInt8Type>(values, array, f64::from),
        DataType::UInt16 => put::<UInt16Type>(values, array, f64::from),
        DataType::UInt32 => put::<UInt32Type>(values, array, f64::from),
        DataType::UInt64 => put::<UInt64Type>(values, array, |value| value as f64),
        DataType::Decimal32(..) => decimals::<Decimal32Type>(values, array),
        DataType::Decimal64(..) => decimals::<Decimal64Type>(values, array),
        DataType::Decimal128(..) => decimals::<Decimal128Type>(values, array),
        DataType::Decimal256(..) => decimals::<Decimal256Type>(values, array),
        DataType::Boolean => {
            for (value, cell) in values.zip(array.as_boolean().iter()) {
                *value = cell.map_or(*value, f64::from);
            }
        }
        _ => {}
    }
}

fn put<'v, T: ArrowPrimitiveType>(
    values: impl Iterator<Item = &'v mut f64>,
    array: &ArrayRef,
    number: impl Fn(T::Native) -> f64,
) {
    let Some(array) = array.as_primitive_opt::<T>() else {
        return;
    };
    for (value, cell) in values.zip(array.iter()) {
        *value = cell.map_or(*value, &number);
    }
}

/// The double nearest to each decimal: that of its text, because a quotient of doubles may be its neighbour.
fn decimals<'v, T: DecimalType>(values: impl Iterator<Item = &'v mut f64>, array: &ArrayRef) {
    let array = array.as_primitive::<T>();
    for (index, value) in values
        .take(array.len())
        .enumerate()
        .filter(|(index, _)| array.is_valid(*index))
    {
        *value = array.value_as_string(index).parse().unwrap_or(f64::NAN);
    }
}
