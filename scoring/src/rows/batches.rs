//! Parquet: batches are decoded on the calling thread, a row group at a time and only the columns that are needed; the
//! workers turn them into rows. A folder of parts is one table: its columns are those of all parts, by name.

use std::collections::BTreeMap;
use std::sync::Arc;

use ::parquet::arrow::arrow_reader::ParquetRecordBatchReader;
use arrow_array::{Array, ArrayRef, StringArray, new_null_array};
use arrow_schema::{ArrowError, DataType, Field};
use quintile_model::Schema;

use super::header::Cells;
use super::parquet_parts::{OpenTable, Origin, Part, in_file};
use super::source::{CHUNK_BYTES, CHUNK_ROWS, Outcome, Row};
use super::{ScoreError, cells, numbers, values};
use crate::read::categories::Accepted;
use crate::render;
use crate::text::excerpt;

/// A file of Parquet, or a folder of them.
pub(super) struct Batches {
    parts: std::vec::IntoIter<Part>,
    reader: Option<(ParquetRecordBatchReader, Arc<[Origin]>)>,
    cells: Arc<Cells>,
    /// Which cell of a row each column of a chunk is.
    taken: Arc<[usize]>,
    /// The columns' types in results.
    fields: Vec<Field>,
    /// Rows of a batch at most.
    batch_rows: usize,
    rows: u64,
}

/// Rows, a column at a time.
pub(super) struct Chunk {
    columns: Vec<ArrayRef>,
    rows: usize,
    cells: Arc<Cells>,
    taken: Arc<[usize]>,
    origins: Arc<[Origin]>,
    /// Rows before it.
    before: u64,
}

impl Batches {
    pub(super) fn new(table: OpenTable) -> Self {
        Self {
            parts: table.parts.into_iter(),
            reader: None,
            batch_rows: (CHUNK_BYTES / 8 / table.taken.len().max(1)).clamp(1, CHUNK_ROWS),
            cells: Arc::new(table.cells),
            taken: table.taken,
            fields: table.fields,
            rows: 0,
        }
    }

    pub(super) fn cells(&self) -> &Cells {
        &self.cells
    }

    /// The types that the columns which are read have in results.
    pub(super) fn fields(&self) -> &[Field] {
        &self.fields
    }

    pub(super) fn next(&mut self) -> Result<Option<Chunk>, ScoreError> {
        loop {
            let Some((reader, origins)) = &mut self.reader else {
                let Some(Part { file, origins }) = self.parts.next() else {
                    return Ok(None);
                };
                let columns: Vec<usize> = in_file(&origins).collect();
                self.reader = Some((file.reader(&columns, self.batch_rows)?, origins));
                continue;
            };
            let Some(batch) = reader.next() else {
                self.reader = None;
                continue;
            };
            let batch = batch.map_err(|error: ArrowError| ScoreError::Parquet(excerpt(&error.to_string())))?;
            let rows = batch.num_rows();
            // A projection keeps the order of the file.
            let mut order: Vec<usize> = in_file(origins).collect();
            order.sort_unstable();
            let mut columns = Vec::with_capacity(self.fields.len());
            for (origin, field) in origins.iter().zip(&self.fields) {
                let array = match origin {
                    Origin::File(column) => order.binary_search(column).ok().map(|at| Arc::clone(batch.column(at))),
                    Origin::Uuid(column) => order
                        .binary_search(column)
                        .ok()
                        .map(|at| values::uuids(batch.column(at))),
                    Origin::Folder(Some(value)) => {
                        Some(Arc::new(StringArray::from_iter_values(std::iter::repeat_n(value, rows))) as ArrayRef)
                    }
                    Origin::Folder(None) | Origin::Nowhere => None,
                };
                let array = array.filter(|array| *array.data_type() != DataType::Null);
                columns.push(array.unwrap_or_else(|| new_null_array(field.data_type(), rows)));
            }
            let before = self.rows;
            self.rows += rows as u64;
            return Ok(Some(Chunk {
                columns,
                rows,
                cells: Arc::clone(&self.cells),
                taken: Arc::clone(&self.taken),
                origins: Arc::clone(origins),
                before,
            }));
        }
    }
}

impl Chunk {
    pub(super) fn bytes(&self) -> usize {
        self.columns.iter().map(|column| column.get_array_memory_size()).sum()
    }

    pub(super) fn place(&self, row: usize) -> Row {
        let row = self.before + row as u64 + 1;
        Row { row, line: row }
    }

    /// What the columns are.
    pub(super) fn header(&self) -> &Cells {
        &self.cells
    }

    /// The columns that were read, with the number of each in the table.
    pub(super) fn columns(&self) -> impl Iterator<Item = (usize, &ArrayRef)> {
        self.taken.iter().copied().zip(&self.columns)
    }

    /// The number that a folder's name states for a feature of numbers.
    pub(super) fn stated_number(&self, cell: usize, array: &ArrayRef, row: usize) -> Option<f64> {
        let at = self.taken.binary_search(&cell).ok()?;
        self.cells.places[cell].filter(|_| matches!(self.origins[at], Origin::Folder(_)))?;
        cells::value(values::bytes(array, row).filter(|_| array.is_valid(row))?)
    }

    /// Gives every row to `take`, with its id, until it answers false.
    pub(super) fn read(&self, schema: &Schema, mut take: impl FnMut(usize, Outcome<'_>) -> bool) {
        let width = schema.len();
        let mut rows = vec![f64::NAN; width * self.rows];
        // The first fault of each row.
        let mut faults = BTreeMap::new();
        let mut id = None;
        for ((cell, array), origin) in self.columns().zip(self.origins.iter()) {
            if self.cells.id == Some(cell) {
                id = Some(array);
            }
            if let Some(column) = self.cells.places[cell] {
                let is_untyped = matches!(origin, Origin::Folder(_));
                self.fill(
                    &mut rows[column..],
                    array,
                    schema,
                    (cell, column, is_untyped),
                    &mut faults,
                );
            }
        }
        for index in 0..self.rows {
            let id = id.map(|array| numbers::id_text(array, index)).unwrap_or_default();
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
        (cell, column, is_untyped): (usize, usize, bool),
        faults: &mut BTreeMap<usize, ScoreError>,
    ) {
        let row = |index: usize| self.before + index as u64 + 1;
        let name = || excerpt(&self.cells.names[cell]);
        let values = rows.iter_mut().step_by(schema.len());
        if is_untyped || values::is_bytes(array) || schema.categories(column).is_some() {
            for (index, value) in values.take(array.len()).enumerate() {
                let bytes = values::bytes(array, index).filter(|_| array.is_valid(index));
                let found = match bytes.is_some_and(|bytes| self.cells.missing.contains(bytes)) {
                    true => Some(f64::NAN),
                    false => numbers::with_cell(array, index, is_untyped, |cell| schema.value(column, cell).ok()),
                };
                match found {
                    Some(found) => *value = found,
                    None => {
                        let accepted = schema.categories(column);
                        let text = values::bytes(array, index).map(|bytes| String::from_utf8_lossy(bytes).into_owned());
                        let text = text.or_else(|| numbers::id_text(array, index)).unwrap_or_default();
                        faults.entry(index).or_insert_with(|| ScoreError::Name {
                            row: row(index),
                            name: name(),
                            text: excerpt(&text),
                            accepted: accepted.map_or_else(String::new, |categories| Accepted(categories).to_string()),
                        });
                    }
                }
            }
        } else {
            numbers::fill(values, array);
        }
        if !schema.has_rules() {
            return;
        }
        for (index, &value) in rows.iter().step_by(schema.len()).enumerate() {
            if let Err(violation) = schema.check(column, value) {
                faults.entry(index).or_insert_with(|| ScoreError::Rule {
                    row: row(index),
                    name: name(),
                    says: render::broken(schema, column, violation),
                });
            }
        }
    }
}
