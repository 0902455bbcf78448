//! An array of NumPy's format, as SageMaker's `NumpySerializer` writes it.

use quintile_scoring::loaded::LoadedModel;

use super::ReadLimits;
use super::rows::Rows;
use super::rows_error::RowsError;
use super::tensor::{Datatype, Tensor, Values};
use super::tensor_rows::TensorRows;

const WRONG: &str = "the body is no npy array of [rows, features] in C order with little-endian numbers";

/// What the head of an array says.
struct Head<'a> {
    datatype: Datatype,
    shape: Vec<usize>,
    values: &'a [u8],
}

/// The text behind a key of the head's dictionary.
fn behind<'a>(head: &'a str, key: &str) -> Option<&'a str> {
    let at = head.find(key)? + key.len();
    Some(head[at..].trim_start_matches(['\'', ':', ' ']))
}

fn head(body: &[u8]) -> Option<Head<'_>> {
    let rest = body.strip_prefix(b"\x93NUMPY")?;
    let (length, rest) = match rest {
        [1, _, low, high, rest @ ..] => (usize::from(u16::from_le_bytes([*low, *high])), rest),
        [2 | 3, _, a, b, c, d, rest @ ..] => (u32::from_le_bytes([*a, *b, *c, *d]) as usize, rest),
        _ => return None,
    };
    let (head, values) = rest.split_at_checked(length)?;
    let head = std::str::from_utf8(head).ok()?;
    let datatype = match behind(head, "'descr'")?.split('\'').next()? {
        "<f4" => Datatype::Fp32,
        "<f8" => Datatype::Fp64,
        "<f2" => Datatype::Fp16,
        "<i8" => Datatype::Int64,
        "<i4" => Datatype::Int32,
        "<i2" => Datatype::Int16,
        "|i1" => Datatype::Int8,
        "<u8" => Datatype::Uint64,
        "<u4" => Datatype::Uint32,
        "<u2" => Datatype::Uint16,
        "|u1" => Datatype::Uint8,
        "|b1" => Datatype::Bool,
        _ => return None,
    };
    let shape = behind(head, "'shape'")?.strip_prefix('(')?.split(')').next()?;
    let shape: Option<Vec<usize>> = shape
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(|part| part.parse().ok())
        .collect();
    let is_rowwise = behind(head, "'fortran_order'")?.starts_with("False");
    let shape = shape.filter(|shape| is_rowwise || shape.len() < 2)?;
    Some(Head {
        datatype,
        shape,
        values,
    })
}

/// Reads an array, some rows at a time.
pub(super) fn read(
    loaded: &LoadedModel,
    body: &[u8],
    rows: &mut Rows,
    limits: ReadLimits,
) -> Option<Result<(), RowsError>> {
    let Some(head) = head(body) else {
        return Some(Err(RowsError::Request(WRONG)));
    };
    let (count, columns) = match head.shape[..] {
        // One row alone.
        [columns] => (1, columns),
        [rows, columns] => (rows, columns),
        _ => return Some(Err(RowsError::Request(WRONG))),
    };
    let tensor = [Tensor {
        input: 0,
        name: "",
        datatype: head.datatype,
        rows: count,
        columns,
        dimensions: 2,
        values: Values::Raw(head.values),
    }];
    let filled = TensorRows::new(loaded, &tensor, limits.rows)
        .map(|filling| filling.behind(rows.count()))
        .and_then(|mut filling| filling.fill(loaded, &tensor, rows, (limits.bytes / rows.width()).max(1)));
    match filled {
        Ok(true) => Some(Ok(())),
        Ok(false) => None,
        Err(error) => Some(Err(error)),
    }
}
