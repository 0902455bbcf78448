//! Parquet: batches are decoded on the calling thread, a row group at a time and only the columns that are taken; the
//! workers turn them into rows.
//!
//! A file's own types count, not those of a library that wrote it: pandas' categories are the text that they stand for.

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::Arc;

use ::parquet::arrow::ProjectionMask;
use ::parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use arrow_array::cast::AsArray as _;
use arrow_array::types::{
    Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType, RecordBatch, RecordBatchReader as _};
use arrow_schema::{ArrowError, DataType, FieldRef};
use quintile_model::Schema;

use super::header::Cells;
use super::source::{CHUNK_BYTES, CHUNK_ROWS, Outcome};
use super::{Job, Output, ScoreError};
use crate::read::categories::Accepted;
use crate::render;
use crate::text::excerpt;

/// A Parquet file.
pub(super) struct Batches {
    reader: ParquetRecordBatchReader,
    cells: Arc<Cells>,
    /// Which cell of a row each column of a batch is.
    taken: Arc<[usize]>,
    rows: u64,
}

/// Rows, a column at a time.
pub(super) struct Chunk {
    batch: RecordBatch,
    cells: Arc<Cells>,
    taken: Arc<[usize]>,
    /// Rows before it.
    before: u64,
}

impl Batches {
    pub(super) fn open(file: File, job: &Job<'_>) -> Result<Self, ScoreError> {
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(file, options)
            .map_err(|error| ScoreError::Parquet(excerpt(&error.to_string())))?;
        let fields = builder.schema().fields().clone();
        let names = fields.iter().map(|field| field.name().clone()).collect();
        let schema = job.served.model.schema();
        let cells = Cells::new(names, schema, job.id)?;
        for (cell, field) in fields.iter().enumerate() {
            let column = cells.places.get(cell).copied().flatten();
            let is_right = match column {
                Some(column) => is_value(field.data_type(), schema.categories(column).is_some()),
                None => true,
            };
            if !is_right || (cells.id == Some(cell) && !is_id(field.data_type())) {
                return Err(ScoreError::Column {
                    name: excerpt(field.name()),
                    holds: excerpt(&field.data_type().to_string()),
                });
            }
        }
        let is_taken =
            |&cell: &usize| job.output == Output::Rows || cells.places[cell].is_some() || cells.id == Some(cell);
        let taken: Arc<[usize]> = (0..cells.names.len()).filter(is_taken).collect();
        let mask = ProjectionMask::roots(builder.parquet_schema(), taken.iter().copied());
        let reader = builder
            .with_projection(mask)
            .with_batch_size((CHUNK_BYTES / 8 / taken.len().max(1)).clamp(1, CHUNK_ROWS))
            .build()
            .map_err(|error| ScoreError::Parquet(excerpt(&error.to_string())))?;
        Ok(Self {
            reader,
            cells: Arc::new(cells),
            taken,
            rows: 0,
        })
    }

    pub(super) fn cells(&self) -> &Cells {
        &self.cells
    }

    /// The types of the columns that are read, with the number of each in the file.
    pub(super) fn fields(&self) -> impl Iterator<Item = (usize, FieldRef)> {
        self.taken
            .iter()
            .copied()
            .zip(self.reader.schema().fields().iter().cloned().collect::<Vec<_>>())
    }

    pub(super) fn next(&mut self) -> Result<Option<Chunk>, ScoreError> {
        let Some(batch) = self.reader.next() else {
            return Ok(None);
        };
        let batch = batch.map_err(|error: ArrowError| ScoreError::Parquet(excerpt(&error.to_string())))?;
        let before = self.rows;
        self.rows += batch.num_rows() as u64;
        Ok(Some(Chunk {
            batch,
            cells: Arc::clone(&self.cells),
            taken: Arc::clone(&self.taken),
            before,
        }))
    }
}

impl Chunk {
    pub(super) fn bytes(&self) -> usize {
        self.batch.get_array_memory_size()
    }

    /// The columns that were read, with the number of each in the file.
    pub(super) fn columns(&self) -> impl Iterator<Item = (usize, &ArrayRef)> {
        self.taken.iter().copied().zip(self.batch.columns())
    }

    /// Gives every row to `take`, with its id, until it answers false.
    pub(super) fn read(&self, schema: &Schema, mut take: impl FnMut(usize, Outcome<'_>) -> bool) {
        let width = schema.len();
        let mut rows = vec![f64::NAN; width * self.batch.num_rows()];
        // The first fault of each row.
        let mut faults = BTreeMap::new();
        let mut id = None;
        for (cell, array) in self.columns() {
            if self.cells.id == Some(cell) {
                id = Some(array);
            }
            if let Some(column) = self.cells.places[cell] {
                self.fill(&mut rows[column..], array, schema, (cell, column), &mut faults);
            }
        }
        for index in 0..self.batch.num_rows() {
            let id = id.and_then(|array| id_text(array, index));
            let outcome = match faults.remove(&index) {
                Some(fault) => Err(fault),
                None => Ok((&rows[index * width..][..width], id.as_deref())),
            };
            if !take(index, outcome) {
                return;
            }
        }
    }

    /// A column of all rows, the first of which begins before `rows`.
    fn fill(
        &self,
        rows: &mut [f64],
        array: &ArrayRef,
        schema: &Schema,
        (cell, column): (usize, usize),
        faults: &mut BTreeMap<usize, ScoreError>,
    ) {
        let row = |index: usize| self.before + index as u64 + 1;
        let name = || excerpt(&self.cells.names[cell]);
        let values = rows.iter_mut().step_by(schema.len());
        match array.as_string_opt::<i32>() {
            None => numbers(values, array),
            Some(strings) => {
                for (index, (value, text)) in values.zip(strings.iter()).enumerate() {
                    let Some(text) = text else {
                        continue;
                    };
                    if let Some(code) = schema.category_code(column, text) {
                        *value = code;
                        continue;
                    }
                    let accepted = schema.categories(column);
                    faults.entry(index).or_insert_with(|| ScoreError::Name {
                        row: row(index),
                        name: name(),
                        text: excerpt(text),
                        accepted: accepted.map_or_else(String::new, |categories| Accepted(categories).to_string()),
                    });
                }
            }
        }
        if !schema.has_rules() {
            return;
        }
        for (index, &value) in rows.iter().step_by(schema.len()).enumerate() {
            if let Err(violation) = schema.rule(column).check(value) {
                faults.entry(index).or_insert_with(|| ScoreError::Rule {
                    row: row(index),
                    name: name(),
                    says: render::broken(schema, column, violation),
                });
            }
        }
    }
}

/// Whether a feature's values may be of this type.
fn is_value(data_type: &DataType, has_names: bool) -> bool {
    use DataType::{Boolean, Float32, Float64, Null, Utf8};
    match data_type {
        Float32 | Float64 | Boolean | Null => true,
        Utf8 => has_names,
        other => other.is_integer(),
    }
}

fn is_id(data_type: &DataType) -> bool {
    is_value(data_type, true)
}

/// Numbers of any kind; a null stays what it was.
#[expect(
    clippy::cast_precision_loss,
    reason = "an integer becomes the nearest double, ties to even, as its text would"
)]
fn numbers<'v>(values: impl Iterator<Item = &'v mut f64>, array: &ArrayRef) {
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
    match array.data_type() {
        DataType::Float64 => put::<Float64Type>(values, array, |value| value),
        DataType::Float32 => put::<Float32Type>(values, array, f64::from),
        DataType::Int8 => put::<Int8Type>(values, array, f64::from),
        DataType::Int16 => put::<Int16Type>(values, array, f64::from),
        DataType::Int32 => put::<Int32Type>(values, array, f64::from),
        DataType::Int64 => put::<Int64Type>(values, array, |value| value as f64),
        DataType::UInt8 => put::<UInt8Type>(values, array, f64::from),
        DataType::UInt16 => put::<UInt16Type>(values, array, f64::from),
        DataType::UInt32 => put::<UInt32Type>(values, array, f64::from),
        DataType::UInt64 => put::<UInt64Type>(values, array, |value| value as f64),
        DataType::Boolean => {
            for (value, cell) in values.zip(array.as_boolean().iter()) {
                *value = cell.map_or(*value, f64::from);
            }
        }
        _ => {}
    }
}

/// An id in words, none for null.
fn id_text(array: &ArrayRef, index: usize) -> Option<String> {
    fn primitive<T: ArrowPrimitiveType>(array: &ArrayRef, index: usize) -> Option<T::Native> {
        Some(array.as_primitive_opt::<T>()?.value(index))
    }
    if array.is_null(index) {
        return None;
    }
    match array.data_type() {
        DataType::Utf8 => Some(array.as_string::<i32>().value(index).to_owned()),
        DataType::Boolean => Some(array.as_boolean().value(index).to_string()),
        DataType::Float64 => {
            primitive::<Float64Type>(array, index).map(|value| zmij::Buffer::new().format(value).to_owned())
        }
        DataType::Float32 => {
            primitive::<Float32Type>(array, index).map(|value| zmij::Buffer::new().format(value).to_owned())
        }
        DataType::Int8 => primitive::<Int8Type>(array, index).map(|value| value.to_string()),
        DataType::Int16 => primitive::<Int16Type>(array, index).map(|value| value.to_string()),
        DataType::Int32 => primitive::<Int32Type>(array, index).map(|value| value.to_string()),
        DataType::Int64 => primitive::<Int64Type>(array, index).map(|value| value.to_string()),
        DataType::UInt8 => primitive::<UInt8Type>(array, index).map(|value| value.to_string()),
        DataType::UInt16 => primitive::<UInt16Type>(array, index).map(|value| value.to_string()),
        DataType::UInt32 => primitive::<UInt32Type>(array, index).map(|value| value.to_string()),
        DataType::UInt64 => primitive::<UInt64Type>(array, index).map(|value| value.to_string()),
        _ => None,
    }
}
