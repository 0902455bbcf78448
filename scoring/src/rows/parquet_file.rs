//! One file of Parquet: its columns with the types as which they are read, and its compression.
//!
//! The file's own types count, not those of the library that wrote it: pandas' categories are read as their text. Two
//! facts from such a library are used for columns that are written back: that an integer is a duration, and the name of
//! a time zone.

use std::fs::File;
use std::sync::Arc;

use ::parquet::arrow::ProjectionMask;
use ::parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use ::parquet::basic::{Compression, LogicalType, Type};
use ::parquet::errors::ParquetError;
use arrow_schema::{DataType, Field, Fields, Schema, TimeUnit};

use super::ScoreError;
use crate::text::excerpt;

/// An open file whose end was read.
pub(super) struct ParquetFile {
    file: File,
    metadata: ArrowReaderMetadata,
}

impl ParquetFile {
    pub(super) fn open(file: File) -> Result<Self, ScoreError> {
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let metadata = ArrowReaderMetadata::load(&file, options).map_err(|error| fault(&error))?;
        Ok(Self { file, metadata })
    }

    pub(super) fn fields(&self) -> &Fields {
        self.metadata.schema().fields()
    }

    /// Whether the bytes of a column are UUIDs.
    pub(super) fn is_uuid(&self, column: usize) -> bool {
        let roots = self.metadata.parquet_schema().root_schema().get_fields();
        let root = roots.get(column).filter(|root| root.is_primitive());
        root.is_some_and(|root| root.get_basic_info().logical_type_ref() == Some(&LogicalType::Uuid))
    }

    /// Takes the types that columns which are not the model's come back with.
    pub(super) fn refine(&mut self, is_models: impl Fn(usize) -> bool) {
        let parquet = Arc::clone(self.metadata.metadata());
        let told = ArrowReaderMetadata::try_new(Arc::clone(&parquet), ArrowReaderOptions::new()).ok();
        let root = self.metadata.parquet_schema().root_schema();
        let refined = self.fields().iter().enumerate().map(|(column, field)| {
            if is_models(column) {
                return Arc::clone(field);
            }
            let told = told.as_ref().and_then(|told| told.schema().fields().get(column));
            let told = told.map(|field| field.data_type());
            let is_int96 = root
                .get_fields()
                .get(column)
                .is_some_and(|root| root.is_primitive() && root.get_physical_type() == Type::INT96);
            let data_type = match (field.data_type(), told) {
                // Nanoseconds since 1970 end in 2262, and 9999-12-31 is a usual date.
                (DataType::Timestamp(..), told) if is_int96 => {
                    let zone = match told {
                        Some(DataType::Timestamp(_, zone)) => zone.clone(),
                        _ => None,
                    };
                    DataType::Timestamp(TimeUnit::Microsecond, zone)
                }
                (DataType::Timestamp(unit, Some(_)), Some(told @ DataType::Timestamp(told_unit, Some(_))))
                    if unit == told_unit =>
                {
                    told.clone()
                }
                (DataType::Int64, Some(told @ DataType::Duration(_))) => told.clone(),
                _ => return Arc::clone(field),
            };
            Arc::new(Field::new(field.name(), data_type, field.is_nullable()))
        });
        let options = ArrowReaderOptions::new().with_schema(Arc::new(Schema::new(refined.collect::<Fields>())));
        // What a library has added to the file's own types may be wrong; the types are not.
        if let Ok(metadata) = ArrowReaderMetadata::try_new(parquet, options) {
            self.metadata = metadata;
        }
    }

    /// Reads these columns. What they are compressed with is looked at first.
    pub(super) fn reader(self, columns: &[usize], rows: usize) -> Result<ParquetRecordBatchReader, ScoreError> {
        let mask = ProjectionMask::roots(self.metadata.parquet_schema(), columns.iter().copied());
        ParquetRecordBatchReaderBuilder::new_with_metadata(self.file, self.metadata)
            .with_projection(mask)
            .with_batch_size(rows)
            .build()
            .map_err(|error| fault(&error))
    }

    /// Refuses a column that is compressed with a codec that is not read, before anything is written.
    pub(super) fn check_codecs(&self, columns: &[usize]) -> Result<(), ScoreError> {
        let schema = self.metadata.parquet_schema();
        let mask = ProjectionMask::roots(schema, columns.iter().copied());
        for group in self.metadata.metadata().row_groups() {
            let chunks = group.columns().iter().enumerate();
            for (_, chunk) in chunks.filter(|(leaf, _)| mask.leaf_included(*leaf)) {
                if let Compression::LZO = chunk.compression() {
                    return Err(ScoreError::Codec {
                        name: excerpt(&chunk.column_path().string()),
                        codec: "LZO",
                    });
                }
            }
        }
        Ok(())
    }
}

/// What a library says, cut to what a screen holds.
pub(super) fn fault(error: &ParquetError) -> ScoreError {
    ScoreError::Parquet(excerpt(&error.to_string()))
}
