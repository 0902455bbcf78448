//! A value of a Parquet column as the text of a CSV cell, or as a value of JSON.
//!
//! Types without a text form are refused before anything is written ([`is_writable`]). A value that has no text (a time
//! after the calendar's end, bytes that are no text) is an error, never an empty cell.

use std::io::Write as _;
use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::timezone::Tz;
use arrow_array::types::{
    ArrowPrimitiveType, ArrowTemporalType, ArrowTimestampType, Date32Type, Date64Type, Decimal32Type, Decimal64Type,
    Decimal128Type, Decimal256Type, DecimalType, DurationMicrosecondType, DurationMillisecondType,
    DurationNanosecondType, DurationSecondType, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, Time32MillisecondType, Time32SecondType, Time64MicrosecondType, Time64NanosecondType,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, UInt8Type,
    UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, StringArray};
use arrow_schema::{DataType, TimeUnit};

use crate::render;

/// Why a value has no text.
pub(crate) type NoText = &'static str;

const NOT_IN_CALENDAR: NoText = "holds a time that no calendar has";
const NOT_UTF8: NoText = "holds bytes that are no UTF-8 text";

/// Whether values of a type have a text.
pub(super) fn is_writable(data_type: &DataType) -> bool {
    use DataType::{
        Binary, BinaryView, Boolean, Date32, Date64, Decimal32, Decimal64, Decimal128, Decimal256, Duration,
        FixedSizeBinary, FixedSizeList, LargeBinary, LargeList, LargeUtf8, List, Map, Null, Struct, Time32, Time64,
        Timestamp, Utf8, Utf8View,
    };
    match data_type {
        Null | Boolean | Date32 | Date64 | Time32(_) | Time64(_) | Timestamp(..) | Duration(_) => true,
        Utf8 | LargeUtf8 | Utf8View | Binary | LargeBinary | BinaryView | FixedSizeBinary(_) => true,
        Decimal32(..) | Decimal64(..) | Decimal128(..) | Decimal256(..) => true,
        List(item) | LargeList(item) | FixedSizeList(item, _) => is_writable(item.data_type()),
        Struct(fields) => fields.iter().all(|field| is_writable(field.data_type())),
        // An object's keys are text.
        Map(entries, _) => match entries.data_type() {
            Struct(fields) => match fields.as_ref() {
                [key, value] => matches!(key.data_type(), Utf8 | LargeUtf8) && is_writable(value.data_type()),
                _ => false,
            },
            _ => false,
        },
        other => other.is_integer() || other.is_floating(),
    }
}

/// Adds the text of a value; nothing for null. Lists and structs are their JSON.
pub(crate) fn text(out: &mut Vec<u8>, array: &ArrayRef, row: usize) -> Result<(), NoText> {
    if array.is_null(row) || *array.data_type() == DataType::Null {
        return Ok(());
    }
    if let Some(bytes) = bytes(array, row) {
        std::str::from_utf8(bytes).map_err(|_| NOT_UTF8)?;
        out.extend_from_slice(bytes);
        return Ok(());
    }
    match array.data_type() {
        data_type if data_type.is_nested() => json(out, array, row),
        _ => plain(out, array, row),
    }
}

/// Adds a value as JSON. A number that is not finite is null.
pub(super) fn json(out: &mut Vec<u8>, array: &ArrayRef, row: usize) -> Result<(), NoText> {
    use DataType::{
        Date32, Date64, Duration, FixedSizeList, Float16, Float32, Float64, LargeList, List, Map, Null, Struct, Time32,
        Time64, Timestamp,
    };
    if array.is_null(row) || *array.data_type() == Null {
        out.extend_from_slice(b"null");
        return Ok(());
    }
    if let Some(bytes) = bytes(array, row) {
        render::string(out, std::str::from_utf8(bytes).map_err(|_| NOT_UTF8)?);
        return Ok(());
    }
    match array.data_type() {
        Float16 | Float32 | Float64 => {
            let start = out.len();
            plain(out, array, row)?;
            if matches!(&out[start..], b"nan" | b"inf" | b"-inf") {
                out.truncate(start);
                out.extend_from_slice(b"null");
            }
            Ok(())
        }
        Date32 | Date64 | Time32(_) | Time64(_) | Timestamp(..) | Duration(_) => {
            out.push(b'"');
            plain(out, array, row)?;
            out.push(b'"');
            Ok(())
        }
        List(_) => items(out, &array.as_list::<i32>().value(row)),
        LargeList(_) => items(out, &array.as_list::<i64>().value(row)),
        FixedSizeList(..) => items(out, &array.as_fixed_size_list().value(row)),
        Struct(fields) => {
            let columns = array.as_struct().columns();
            let members = fields.iter().map(|field| field.name().as_str()).zip(columns);
            object(out, members.map(|(name, column)| (name, column, row)))
        }
        Map(..) => {
            let entries = array.as_map().value(row);
            let [keys, values] = entries.columns() else {
                return Err("holds a map without keys and values");
            };
            let names = (0..entries.len()).map(|entry| bytes(keys, entry).map(std::str::from_utf8));
            let names: Vec<&str> = names.map(|name| name?.ok()).collect::<Option<_>>().ok_or(NOT_UTF8)?;
            object(
                out,
                names.into_iter().enumerate().map(|(entry, name)| (name, values, entry)),
            )
        }
        _ => plain(out, array, row),
    }
}

fn items(out: &mut Vec<u8>, items: &ArrayRef) -> Result<(), NoText> {
    out.push(b'[');
    for item in 0..items.len() {
        if item > 0 {
            out.push(b',');
        }
        json(out, items, item)?;
    }
    out.push(b']');
    Ok(())
}

fn object<'a>(out: &mut Vec<u8>, members: impl Iterator<Item = (&'a str, &'a ArrayRef, usize)>) -> Result<(), NoText> {
    out.push(b'{');
    for (index, (name, array, row)) in members.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        render::string(out, name);
        out.push(b':');
        json(out, array, row)?;
    }
    out.push(b'}');
    Ok(())
}

/// The bytes of a value that is text, or may be: writers of Impala, Hive and old Sparks do not say which.
pub(crate) fn bytes(array: &ArrayRef, row: usize) -> Option<&[u8]> {
    Some(match array.data_type() {
        DataType::Utf8 => array.as_string::<i32>().value(row).as_bytes(),
        DataType::LargeUtf8 => array.as_string::<i64>().value(row).as_bytes(),
        DataType::Utf8View => array.as_string_view().value(row).as_bytes(),
        DataType::Binary => array.as_binary::<i32>().value(row),
        DataType::LargeBinary => array.as_binary::<i64>().value(row),
        DataType::BinaryView => array.as_binary_view().value(row),
        DataType::FixedSizeBinary(_) => array.as_fixed_size_binary().value(row),
        _ => return None,
    })
}

/// A column of UUIDs as text.
pub(super) fn uuids(array: &ArrayRef) -> ArrayRef {
    let bytes = (0..array.len()).map(|row| bytes(array, row).filter(|_| array.is_valid(row)));
    let uuids = bytes.map(|bytes| Some(uuid::Uuid::from_slice(bytes?).ok()?.hyphenated().to_string()));
    Arc::new(uuids.collect::<StringArray>())
}

/// Whether values of a column are bytes: see [`bytes`].
pub(crate) fn is_bytes(array: &ArrayRef) -> bool {
    use DataType::{Binary, BinaryView, FixedSizeBinary, LargeBinary, LargeUtf8, Utf8, Utf8View};
    matches!(
        array.data_type(),
        Utf8 | LargeUtf8 | Utf8View | Binary | LargeBinary | BinaryView | FixedSizeBinary(_)
    )
}

/// A value that is neither text nor nested.
fn plain(out: &mut Vec<u8>, array: &ArrayRef, row: usize) -> Result<(), NoText> {
    match array.data_type() {
        DataType::Boolean => show(out, array.as_boolean().value(row)),
        DataType::Int8 => show(out, value::<Int8Type>(array, row)),
        DataType::Int16 => show(out, value::<Int16Type>(array, row)),
        DataType::Int32 => show(out, value::<Int32Type>(array, row)),
        DataType::Int64 => show(out, value::<Int64Type>(array, row)),
        DataType::UInt8 => show(out, value::<UInt8Type>(array, row)),
        DataType::UInt16 => show(out, value::<UInt16Type>(array, row)),
        DataType::UInt32 => show(out, value::<UInt32Type>(array, row)),
        DataType::UInt64 => show(out, value::<UInt64Type>(array, row)),
        DataType::Float16 => float(out, value::<Float16Type>(array, row).to_f32()),
        DataType::Float32 => float(out, value::<Float32Type>(array, row)),
        DataType::Float64 => float(out, value::<Float64Type>(array, row)),
        DataType::Decimal32(..) => decimal::<Decimal32Type>(out, array, row),
        DataType::Decimal64(..) => decimal::<Decimal64Type>(out, array, row),
        DataType::Decimal128(..) => decimal::<Decimal128Type>(out, array, row),
        DataType::Decimal256(..) => decimal::<Decimal256Type>(out, array, row),
        _ => return time(out, array, row),
    }
    Ok(())
}

fn value<T: ArrowPrimitiveType>(array: &ArrayRef, row: usize) -> T::Native {
    array.as_primitive::<T>().value(row)
}

fn show(out: &mut Vec<u8>, value: impl std::fmt::Display) {
    // Writing into a Vec cannot fail.
    let _ = write!(out, "{value}");
}

/// The shortest decimal that reads back as the same number.
fn float<F: zmij::Float + Copy + Into<f64>>(out: &mut Vec<u8>, number: F) {
    let wide: f64 = number.into();
    match wide {
        _ if wide.is_finite() => out.extend_from_slice(zmij::Buffer::new().format_finite(number).as_bytes()),
        _ if wide.is_nan() => out.extend_from_slice(b"nan"),
        _ if wide < 0.0 => out.extend_from_slice(b"-inf"),
        _ => out.extend_from_slice(b"inf"),
    }
}

fn decimal<T: DecimalType>(out: &mut Vec<u8>, array: &ArrayRef, row: usize) {
    out.extend_from_slice(array.as_primitive::<T>().value_as_string(row).as_bytes());
}

fn time(out: &mut Vec<u8>, array: &ArrayRef, row: usize) -> Result<(), NoText> {
    use TimeUnit::{Microsecond, Millisecond, Nanosecond, Second};
    match array.data_type() {
        DataType::Date32 => date::<Date32Type>(out, array, row),
        DataType::Date64 => date::<Date64Type>(out, array, row),
        DataType::Time32(Second) => time_of_day::<Time32SecondType>(out, array, row),
        DataType::Time32(_) => time_of_day::<Time32MillisecondType>(out, array, row),
        DataType::Time64(Microsecond) => time_of_day::<Time64MicrosecondType>(out, array, row),
        DataType::Time64(_) => time_of_day::<Time64NanosecondType>(out, array, row),
        DataType::Timestamp(Second, _) => moment::<TimestampSecondType>(out, array, row),
        DataType::Timestamp(Millisecond, _) => moment::<TimestampMillisecondType>(out, array, row),
        DataType::Timestamp(Microsecond, _) => moment::<TimestampMicrosecondType>(out, array, row),
        DataType::Timestamp(Nanosecond, _) => moment::<TimestampNanosecondType>(out, array, row),
        DataType::Duration(unit) => {
            let (value, digits) = match unit {
                Second => (value::<DurationSecondType>(array, row), 0),
                Millisecond => (value::<DurationMillisecondType>(array, row), 3),
                Microsecond => (value::<DurationMicrosecondType>(array, row), 6),
                Nanosecond => (value::<DurationNanosecondType>(array, row), 9),
            };
            duration(out, value, digits);
            Ok(())
        }
        _ => Err("is of a type that has no text"),
    }
}

/// `2026-03-01`.
fn date<T: ArrowTemporalType>(out: &mut Vec<u8>, array: &ArrayRef, row: usize) -> Result<(), NoText>
where
    i64: From<T::Native>,
{
    show(
        out,
        array.as_primitive::<T>().value_as_date(row).ok_or(NOT_IN_CALENDAR)?,
    );
    Ok(())
}

/// `12:30:05`, with as many digits of a second as it takes.
fn time_of_day<T: ArrowTemporalType>(out: &mut Vec<u8>, array: &ArrayRef, row: usize) -> Result<(), NoText>
where
    i64: From<T::Native>,
{
    let time = array
        .as_primitive::<T>()
        .value_as_time(row)
        .ok_or("holds a time that no day has")?;
    show(out, time);
    Ok(())
}

/// `2026-03-01T12:30:05`, and behind it `Z` or the offset of its zone. A zone with a name is written in UTC: the
/// instant is the same, and no file of the machine's has to be read.
fn moment<T: ArrowTimestampType>(out: &mut Vec<u8>, array: &ArrayRef, row: usize) -> Result<(), NoText> {
    let array = array.as_primitive::<T>();
    let DataType::Timestamp(_, zone) = array.data_type() else {
        return Err(NOT_IN_CALENDAR);
    };
    let zone = zone.as_deref().map(|zone| zone.parse::<Tz>());
    match zone {
        Some(Ok(zone)) => {
            let moment = array.value_as_datetime_with_tz(row, zone).ok_or(NOT_IN_CALENDAR)?;
            show(out, moment.format("%Y-%m-%dT%H:%M:%S%.f%:z"));
            if out.ends_with(b"+00:00") {
                out.truncate(out.len() - "+00:00".len());
                out.push(b'Z');
            }
        }
        Some(Err(_)) | None => {
            let moment = array.value_as_datetime(row).ok_or(NOT_IN_CALENDAR)?;
            show(out, moment.format("%Y-%m-%dT%H:%M:%S%.f"));
            if zone.is_some() {
                out.push(b'Z');
            }
        }
    }
    Ok(())
}

/// `PT93.5S`, as ISO 8601 has it: `digits` of the value are behind the point.
fn duration(out: &mut Vec<u8>, value: i64, digits: u32) {
    let unit = 10_u64.pow(digits);
    let (whole, part) = (value.unsigned_abs() / unit, value.unsigned_abs() % unit);
    let sign = if value < 0 { "-" } else { "" };
    show(out, format_args!("{sign}PT{whole}"));
    if part > 0 {
        let width = usize::try_from(digits).unwrap_or_default();
        let text = format!("{part:0width$}");
        show(out, format_args!(".{}", text.trim_end_matches('0')));
    }
    out.push(b'S');
}

#[cfg(test)]
mod tests;
