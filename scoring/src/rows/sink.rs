//! Where results go: bytes unchanged, columns through the Parquet writer.

use std::io::{self, BufWriter, Write};
use std::sync::Arc;

use ::parquet::arrow::ArrowWriter;
use ::parquet::basic::{Compression, ZstdLevel};
use ::parquet::errors::ParquetError;
use ::parquet::file::properties::WriterProperties;
use arrow_array::{Array as _, ArrayRef, Float64Array, Int8Array, RecordBatch, StringArray};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};

use super::results::Results;
use super::style::Style;
use super::{Format, Output, ScoreError};

/// Bytes gathered before they are written.
const WRITE_BYTES: usize = 64 << 10;

/// Rows of a row group. It is held in memory until it is written.
const ROW_GROUP_ROWS: usize = 131_072;

/// An open file or stream.
pub(super) struct Sink<W: Write> {
    out: BufWriter<W>,
    columns: Option<Columns>,
}

/// Parquet under way: encoded into memory and taken from there, because streams are not `Send`.
struct Columns {
    writer: ArrowWriter<Vec<u8>>,
    schema: SchemaRef,
    /// Columns of reasons.
    reasons: usize,
}

impl<W: Write> Sink<W> {
    /// Opens the results, when it is known that they can hold the columns, and writes the header, where there is one.
    pub(super) fn open(style: &Style, results: impl FnOnce() -> io::Result<W>) -> Result<Self, ScoreError> {
        let columns = match style.to {
            Format::Csv | Format::Ndjson => None,
            Format::Parquet => Some(Columns::new(style).map_err(|error| ScoreError::Write(io::Error::other(error)))?),
        };
        let mut out = BufWriter::with_capacity(WRITE_BYTES, results().map_err(ScoreError::Write)?);
        if style.to == Format::Csv {
            out.write_all(&style.csv_header()).map_err(ScoreError::Write)?;
        }
        Ok(Self { out, columns })
    }

    pub(super) fn write(&mut self, results: Results) -> Result<(), ScoreError> {
        let encoded = match &mut self.columns {
            Some(columns) => &columns
                .encode(results)
                .map_err(|error| ScoreError::Write(io::Error::other(error)))?,
            None => &results.text,
        };
        self.out.write_all(encoded).map_err(ScoreError::Write)
    }

    pub(super) fn finish(mut self) -> io::Result<()> {
        if let Some(columns) = self.columns {
            self.out
                .write_all(&columns.writer.into_inner().map_err(io::Error::other)?)?;
        }
        self.out.flush()
    }
}

impl Columns {
    fn new(style: &Style) -> Result<Self, ParquetError> {
        let mut fields = style.fields.clone();
        fields.extend(style.id.iter().map(|name| Field::new(name, DataType::Utf8, true)));
        let is_rows = style.output == Output::Rows;
        fields.extend(style.names.iter().enumerate().map(|(index, name)| {
            let data_type = match style.output {
                Output::Score => DataType::Int8,
                Output::Rows if index == 0 => DataType::Int8,
                // The error is the last, and reasons stand before it.
                Output::Rows if index + 1 + style.reasons >= style.names.len() => DataType::Utf8,
                Output::Margin | Output::Prediction | Output::Contributions | Output::Rows => DataType::Float64,
            };
            Field::new(name, data_type, is_rows)
        }));
        let schema = Arc::new(Schema::new(fields));
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
            // Sums of trees hardly ever repeat.
            .set_dictionary_enabled(false)
            .build();
        let writer = ArrowWriter::try_new(Vec::new(), Arc::clone(&schema), Some(properties))?;
        let reasons = style.reasons;
        Ok(Self {
            writer,
            schema,
            reasons,
        })
    }

    /// The bytes that are ready: whole row groups.
    fn encode(&mut self, results: Results) -> Result<Vec<u8>, ParquetError> {
        if results.rows() == 0 {
            return Ok(Vec::new());
        }
        let batch = self.batch(results)?;
        self.writer.write(&batch)?;
        self.writer.sync()?;
        Ok(std::mem::take(self.writer.inner_mut()))
    }

    fn batch(&self, results: Results) -> Result<RecordBatch, ArrowError> {
        // A fault in the middle of a chunk ends it there.
        let rows = usize::try_from(results.rows()).unwrap_or(usize::MAX);
        let kept = results.kept.iter().map(|array| array.slice(0, rows.min(array.len())));
        let mut columns: Vec<ArrayRef> = kept.collect();
        if !results.ids.is_empty() {
            columns.push(Arc::new(StringArray::from(results.ids)));
        }
        let is_rows = !results.errors.is_empty();
        let count =
            self.schema.fields().len() - columns.len() - usize::from(!results.bands.is_empty()) - usize::from(is_rows);
        let count = count - self.reasons;
        if !results.bands.is_empty() {
            columns.push(Arc::new(Int8Array::from(results.bands)));
        }
        for column in 0..count {
            let values = results.numbers.iter().skip(column).step_by(count).copied();
            columns.push(match is_rows {
                // A row without a score has no prediction either.
                true => Arc::new(Float64Array::from_iter(
                    values.map(|value| (!value.is_nan()).then_some(value)),
                )),
                false => Arc::new(Float64Array::from_iter_values(values)),
            });
        }
        for column in 0..self.reasons {
            let words = results.reasons.iter().skip(column).step_by(self.reasons);
            columns.push(Arc::new(words.cloned().collect::<StringArray>()));
        }
        if is_rows {
            columns.push(Arc::new(StringArray::from(results.errors)));
        }
        RecordBatch::try_new(Arc::clone(&self.schema), columns)
    }
}
