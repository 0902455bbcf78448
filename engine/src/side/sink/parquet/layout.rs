//! The columns of a file, and how rows are put into them. [`crate::record::Columns`] lists the columns.
//!
//! Categories with names are dictionaries of them, so that a value is a code while rows are gathered, as it is in a
//! record.

use std::collections::HashMap;
use std::sync::Arc;

use ::parquet::basic::{Compression, ZstdLevel};
use ::parquet::file::metadata::KeyValue;
use ::parquet::file::properties::{EnabledStatistics, WriterProperties};
use ::parquet::schema::types::ColumnPath;
use arrow_array::builder::{Float64Builder, ListBuilder, StringBuilder};
use arrow_array::types::Int32Type;
use arrow_array::{
    ArrayRef, DictionaryArray, Float64Array, Int8Array, Int32Array, RecordBatch, StringArray,
    TimestampMicrosecondArray, UInt16Array,
};
use arrow_schema::{DataType, Field, SchemaRef, TimeUnit};

use crate::record::{
    CategoryLabels, CategoryValue, Cell, Column, ColumnType, Columns, Content, Floats, Frame, SCHEMA_VERSION, Schema,
};

/// The meaning of the fixed columns: stated in every file, and described in `docs/records.md`.
const SCHEMA_KEY: &str = "quintile.schema_version";

/// Rows of a row group: with 50 features about 30 MiB before compression, and what a reader takes at once.
const ROW_GROUP_ROWS: usize = 65_536;

/// Bytes of a row group, for models of many features. It is held in memory until it is on the disk.
const ROW_GROUP_BYTES: usize = 64 << 20;

/// Rows and bytes that are gathered before they are encoded. A page has as many rows: with parquet's own 20,000, so
/// many would be compressed together in each of the columns, tens of milliseconds in which a small quota of CPU time
/// runs out.
const CHUNK_ROWS: usize = 4_096;
const CHUNK_BYTES: usize = 8 << 20;

/// zstd's own default: higher levels cost twice the time for a few percent of random-looking doubles.
const ZSTD_LEVEL: i32 = 3;

/// The columns of one model's records.
pub(super) struct Layout {
    records: Arc<Schema>,
    columns: Columns,
    schema: SchemaRef,
    properties: WriterProperties,
    chunk_rows: usize,
}

impl Layout {
    pub(super) fn new(records: &Arc<Schema>) -> Self {
        let columns = Columns::of(records);
        let fields: Vec<Field> = columns.iter().map(field).collect();
        Self {
            records: Arc::clone(records),
            schema: Arc::new(arrow_schema::Schema::new(fields)),
            properties: properties(&columns),
            chunk_rows: (CHUNK_BYTES / (8 * columns.len())).clamp(1, CHUNK_ROWS),
            columns,
        }
    }

    pub(super) fn number(&self) -> u32 {
        self.records.model_number
    }

    pub(super) fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    pub(super) fn properties(&self) -> WriterProperties {
        self.properties.clone()
    }
}

fn field(column: &Column) -> Field {
    let data_type = match (column.column_type, &column.content) {
        (_, Content::Category(..)) => DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)),
        (ColumnType::Text, _) => DataType::Utf8,
        (ColumnType::Timestamp, _) => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        (ColumnType::Double, _) => DataType::Float64,
        (ColumnType::DoubleList, _) => DataType::List(Arc::new(Field::new_list_field(DataType::Float64, true))),
        (ColumnType::Int8, _) => DataType::Int8,
        (ColumnType::UInt16, _) => DataType::UInt16,
    };
    Field::new(&column.name, data_type, column.is_nullable)
}

fn properties(columns: &Columns) -> WriterProperties {
    let level = ZstdLevel::try_new(ZSTD_LEVEL).expect("the level is one of zstd's");
    let version = KeyValue::new(SCHEMA_KEY.into(), SCHEMA_VERSION.to_string());
    let mut properties = WriterProperties::builder()
        .set_created_by(concat!("quintile ", env!("CARGO_PKG_VERSION")).into())
        .set_key_value_metadata(Some(vec![version]))
        .set_compression(Compression::ZSTD(level))
        .set_data_page_row_count_limit(CHUNK_ROWS)
        .set_dictionary_enabled(false)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_max_row_group_bytes(Some(ROW_GROUP_BYTES));
    for column in columns.iter().filter(|column| column.repeats) {
        // The name as one part: a dot in it is no path.
        let path = ColumnPath::new(vec![column.name.clone()]);
        properties = properties.set_column_dictionary_enabled(path, true);
    }
    properties.build()
}

/// Records by column, not encoded yet.
pub(super) struct Rows {
    columns: Vec<Values>,
    rows: usize,
    /// Which values of a column are there, while it becomes one.
    valid: Vec<bool>,
}

/// The values of one column.
enum Values {
    Text(StringBuilder),
    Time(Vec<i64>),
    Double(Vec<f64>),
    /// NaN is null.
    DoubleOrNull(Vec<f64>),
    DoubleList(ListBuilder<Float64Builder>),
    Int8(Vec<Option<i8>>),
    UInt16(Vec<u16>),
    Category(Codes),
}

/// The values of a feature with named categories.
struct Codes {
    values: Vec<f64>,
    /// The names, shared by all chunks of a file.
    names: Arc<StringArray>,
}

impl Rows {
    pub(super) fn new(layout: &Layout) -> Self {
        Self {
            columns: layout.columns.iter().map(Values::new).collect(),
            rows: 0,
            valid: Vec::new(),
        }
    }

    /// The record must fit the layout's schema.
    pub(super) fn push(&mut self, layout: &Layout, record: &Frame<'_>) {
        let mut row = record.row.iter();
        for (values, column) in self.columns.iter_mut().zip(layout.columns.iter()) {
            match column.content {
                Content::Field(field) => values.push(Cell::of(field, record, &layout.records)),
                // Features are the last columns, in the row's order.
                Content::Feature(_) | Content::Category(..) => values.push_feature(row.next().unwrap_or(f64::NAN)),
            }
        }
        self.rows += 1;
    }

    pub(super) fn is_full(&self, layout: &Layout) -> bool {
        self.rows >= layout.chunk_rows
    }

    /// Everything so far, in the layout's columns. Rows are empty then.
    pub(super) fn take(&mut self, layout: &Layout) -> RecordBatch {
        let valid = &mut self.valid;
        let columns = self.columns.iter_mut().zip(layout.columns.iter());
        let columns = columns.map(|(values, column)| values.take(column, valid)).collect();
        self.rows = 0;
        RecordBatch::try_new(layout.schema(), columns).expect("the columns are those of the schema")
    }
}

impl Values {
    fn new(column: &Column) -> Self {
        match (column.column_type, &column.content) {
            (_, Content::Category(_, labels)) => Self::Category(Codes {
                values: Vec::new(),
                names: Arc::new(StringArray::from_iter_values(labels.names())),
            }),
            (ColumnType::Text, _) => Self::Text(StringBuilder::new()),
            (ColumnType::Timestamp, _) => Self::Time(Vec::new()),
            (ColumnType::Double, _) if column.is_nullable => Self::DoubleOrNull(Vec::new()),
            (ColumnType::Double, _) => Self::Double(Vec::new()),
            (ColumnType::DoubleList, _) => Self::DoubleList(ListBuilder::new(Float64Builder::new())),
            (ColumnType::Int8, _) => Self::Int8(Vec::new()),
            (ColumnType::UInt16, _) => Self::UInt16(Vec::new()),
        }
    }

    fn push(&mut self, cell: Cell<'_>) {
        match (self, cell) {
            (Self::Text(column), Cell::Text(text)) => column.append_value(text),
            (Self::Text(column), Cell::Id(id)) => {
                let mut text = uuid::Uuid::encode_buffer();
                column.append_value(id.hyphenated().encode_lower(&mut text));
            }
            (Self::Text(column), _) => column.append_null(),
            (Self::Time(column), Cell::Time(time_us)) => column.push(time_us),
            (Self::Double(column) | Self::DoubleOrNull(column), Cell::Double(value)) => column.push(value),
            (Self::Double(column) | Self::DoubleOrNull(column), Cell::Doubles(values)) => column.extend(values.iter()),
            (Self::DoubleList(column), Cell::Doubles(values)) => column.append_value(present(values)),
            (Self::Int8(column), Cell::Whole(value)) => column.push(i8::try_from(value).ok()),
            (Self::Int8(column), _) => column.push(None),
            (Self::UInt16(column), Cell::Whole(value)) => column.push(value),
            // The list of columns gives each field the type of its cells; a test pushes every field.
            _ => debug_assert!(false, "a field's cells are of its column's type"),
        }
    }

    fn push_feature(&mut self, value: f64) {
        match self {
            Self::DoubleOrNull(values) => values.push(value),
            Self::Category(codes) => codes.values.push(value),
            _ => debug_assert!(false, "a feature is a number or a category"),
        }
    }

    fn take(&mut self, column: &Column, valid: &mut Vec<bool>) -> ArrayRef {
        match self {
            Self::Text(column) => Arc::new(column.finish()),
            Self::Time(column) => {
                Arc::new(TimestampMicrosecondArray::from(std::mem::take(column)).with_timezone("UTC"))
            }
            Self::Double(column) => Arc::new(Float64Array::from(std::mem::take(column))),
            Self::DoubleOrNull(values) => {
                let column = nullable(values, valid);
                values.clear();
                Arc::new(column)
            }
            Self::DoubleList(column) => Arc::new(column.finish()),
            Self::Int8(column) => Arc::new(Int8Array::from(std::mem::take(column))),
            Self::UInt16(column) => Arc::new(UInt16Array::from(std::mem::take(column))),
            Self::Category(codes) => match &column.content {
                Content::Category(_, labels) => codes.take(labels),
                _ => unreachable!("codes were made for a category"),
            },
        }
    }
}

impl Codes {
    /// Keys and names. Numbers without a name are added behind the names, each once.
    fn take(&mut self, labels: &CategoryLabels) -> ArrayRef {
        let mut unnamed: Vec<f64> = Vec::new();
        let mut places: HashMap<u64, usize> = HashMap::new();
        let mut key = |value: f64| {
            let place = match labels.value(value) {
                CategoryValue::Missing => return None,
                CategoryValue::Named(code) => code,
                CategoryValue::Unnamed(value) => *places.entry(value.to_bits()).or_insert_with(|| {
                    unnamed.push(value);
                    labels.names().len() + unnamed.len() - 1
                }),
            };
            // Beyond 2^31 there is no key; a model's file is smaller than this many names.
            i32::try_from(place).ok()
        };
        let keys: Int32Array = self.values.drain(..).map(&mut key).collect();
        let names = match unnamed.is_empty() {
            true => Arc::clone(&self.names),
            false => {
                let mut text = String::new();
                let mut all = StringBuilder::new();
                labels.names().iter().for_each(|name| all.append_value(name));
                for value in unnamed {
                    labels.unnamed(value, &mut text);
                    all.append_value(&text);
                }
                Arc::new(all.finish())
            }
        };
        let column = DictionaryArray::<Int32Type>::try_new(keys, names);
        Arc::new(column.expect("every key is the place of a name"))
    }
}

/// A column whose missing values are null: two passes without a branch for each value.
fn nullable(values: &[f64], valid: &mut Vec<bool>) -> Float64Array {
    valid.clear();
    valid.extend(values.iter().map(|value| !value.is_nan()));
    let mut column = Float64Builder::with_capacity(values.len());
    column.append_values(values, valid);
    column.finish()
}

fn present(values: Floats<'_>) -> impl Iterator<Item = Option<f64>> {
    values.iter().map(|value| Some(value).filter(|value| !value.is_nan()))
}
