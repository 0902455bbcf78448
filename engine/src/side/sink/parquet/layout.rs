//! The columns of a file, and rows on their way into them.
//!
//! Fixed columns first, then one for each feature by its name. A feature that is named as another column gets the prefix
//! `feature.`, as often as it takes. A missing value is null. Margins and predictions are numbers where the model has
//! one output, and lists otherwise.

use std::collections::HashSet;
use std::sync::Arc;

use ::parquet::basic::{Compression, ZstdLevel};
use ::parquet::file::metadata::KeyValue;
use ::parquet::file::properties::{EnabledStatistics, WriterProperties};
use ::parquet::schema::types::ColumnPath;
use arrow_array::builder::{Float64Builder, ListBuilder, StringBuilder};
use arrow_array::{
    ArrayRef, Float64Array, Int8Array, RecordBatch, StringArray, TimestampMicrosecondArray, UInt16Array,
};
use arrow_schema::{DataType, Field, SchemaRef, TimeUnit};

use crate::record::{Floats, Frame, Schema, Source};

const FEATURE_PREFIX: &str = "feature.";

/// Which meaning the fixed columns have: told in every file, and described in `docs/records.md`.
const SCHEMA_KEY: &str = "quintile.schema_version";
const SCHEMA_VERSION: &str = "2";

/// Rows of a row group: with 50 features about 30 MiB before compression, and what a reader takes at once.
const ROW_GROUP_ROWS: usize = 65_536;

/// Bytes of a row group, for models of many features. It is held in memory until it is on the disk.
const ROW_GROUP_BYTES: usize = 64 << 20;

/// Rows and bytes that are gathered before they are encoded. A page has as many rows: with parquet's own 20,000, so many would be
/// compressed together in each of the columns, tens of milliseconds in which a small quota of CPU time runs out.
const CHUNK_ROWS: usize = 4_096;
const CHUNK_BYTES: usize = 8 << 20;

/// zstd's own default: higher levels cost twice the time for a few percent of random-looking doubles.
const ZSTD_LEVEL: i32 = 3;

/// Columns whose values repeat, where a dictionary helps. Scores of people do not.
const REPEATING: [&str; 6] = ["model", "model_version", "score", "shard", "source", "source_reason"];

/// The columns that every model's records have.
const FIXED: [&str; 13] = [
    "record_id",
    "time",
    "lead_id",
    "request_id",
    "model",
    "model_version",
    "margin",
    "prediction",
    "score",
    "latency_us",
    "shard",
    "source",
    "source_reason",
];

/// What is beside the columns of a file: in its path, or at the beginning of a line of JSON.
const BESIDE: [&str; 3] = ["date", "hour", "schema_version"];

/// The columns of one model's records.
pub(super) struct Layout {
    records: Arc<Schema>,
    schema: SchemaRef,
    properties: WriterProperties,
    chunk_rows: usize,
}

impl Layout {
    pub(super) fn new(records: &Arc<Schema>) -> Self {
        let schema = schema(records);
        let row_bytes = 8 * schema.fields().len();
        Self {
            records: Arc::clone(records),
            schema,
            properties: properties(),
            chunk_rows: (CHUNK_BYTES / row_bytes).clamp(1, CHUNK_ROWS),
        }
    }

    pub(super) fn number(&self) -> u32 {
        self.records.number
    }

    pub(super) fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    pub(super) fn properties(&self) -> WriterProperties {
        self.properties.clone()
    }
}

fn schema(records: &Schema) -> SchemaRef {
    let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let fixed = [
        Field::new("record_id", DataType::Utf8, false),
        Field::new("time", time, false),
        Field::new("lead_id", DataType::Utf8, false),
        Field::new("request_id", DataType::Utf8, false),
        Field::new("model", DataType::Utf8, false),
        Field::new("model_version", DataType::Utf8, false),
        Field::new("margin", numbers(records.margins), false),
        Field::new("prediction", numbers(records.predictions), false),
        Field::new("score", DataType::Int8, true),
        Field::new("latency_us", DataType::Float64, false),
        Field::new("shard", DataType::UInt16, false),
        Field::new("source", DataType::Utf8, true),
        Field::new("source_reason", DataType::Utf8, true),
    ];
    debug_assert!(
        fixed.iter().map(Field::name).eq(FIXED),
        "they are listed in the same order"
    );
    let features = feature_columns(records)
        .into_iter()
        .map(|name| Field::new(name, DataType::Float64, true));
    Arc::new(arrow_schema::Schema::new(
        fixed.into_iter().chain(features).collect::<Vec<_>>(),
    ))
}

fn numbers(len: usize) -> DataType {
    match len {
        1 => DataType::Float64,
        _ => DataType::List(Arc::new(Field::new_list_field(DataType::Float64, true))),
    }
}

/// The columns of a model's features, none named as one of [`FIXED`] or [`BESIDE`].
pub(in crate::side::sink) fn feature_columns(records: &Schema) -> Vec<String> {
    let fixed: Vec<&str> = FIXED.into_iter().chain(BESIDE).collect();
    free_names(&fixed, records.features.iter().map(String::as_str))
}

/// Names that no other column has. Features are unique among themselves, so only those that move may meet another.
fn free_names<'a>(fixed: &[&str], features: impl Iterator<Item = &'a str>) -> Vec<String> {
    let features: Vec<&str> = features.collect();
    let mut taken: HashSet<String> = fixed
        .iter()
        .copied()
        .chain(features.iter().copied())
        .map(String::from)
        .collect();
    let column = |&feature: &&str| {
        if !fixed.contains(&feature) {
            return feature.into();
        }
        let mut name = format!("{FEATURE_PREFIX}{feature}");
        while !taken.insert(name.clone()) {
            name.insert_str(0, FEATURE_PREFIX);
        }
        name
    };
    features.iter().map(column).collect()
}

fn properties() -> WriterProperties {
    let level = ZstdLevel::try_new(ZSTD_LEVEL).expect("the level is one of zstd's");
    let mut properties = WriterProperties::builder()
        .set_created_by(concat!("quintile ", env!("CARGO_PKG_VERSION")).into())
        .set_key_value_metadata(Some(vec![KeyValue::new(SCHEMA_KEY.into(), SCHEMA_VERSION.to_owned())]))
        .set_compression(Compression::ZSTD(level))
        .set_data_page_row_count_limit(CHUNK_ROWS)
        .set_dictionary_enabled(false)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_max_row_group_bytes(Some(ROW_GROUP_BYTES));
    for name in REPEATING {
        properties = properties.set_column_dictionary_enabled(ColumnPath::from(name), true);
    }
    properties.build()
}

/// Records by column, not encoded yet.
pub(super) struct Rows {
    record_id: StringBuilder,
    time: Vec<i64>,
    lead_id: StringBuilder,
    request_id: StringBuilder,
    margin: Numbers,
    prediction: Numbers,
    score: Vec<Option<i8>>,
    latency_us: Vec<f64>,
    shard: Vec<u16>,
    source: StringBuilder,
    source_reason: StringBuilder,
    features: Vec<Vec<f64>>,
    /// Which values of a column are there, while it becomes one.
    valid: Vec<bool>,
}

/// A column whose missing values are null: two passes without a branch for each value.
fn nullable(values: &[f64], valid: &mut Vec<bool>) -> Float64Array {
    valid.clear();
    valid.extend(values.iter().map(|value| !value.is_nan()));
    let mut column = Float64Builder::with_capacity(values.len());
    column.append_values(values, valid);
    column.finish()
}

/// A number a row, or a list of them.
enum Numbers {
    One(Vec<f64>),
    Many(ListBuilder<Float64Builder>),
}

impl Rows {
    pub(super) fn new(layout: &Layout) -> Self {
        let records = &layout.records;
        Self {
            record_id: StringBuilder::new(),
            time: Vec::new(),
            lead_id: StringBuilder::new(),
            request_id: StringBuilder::new(),
            margin: Numbers::new(records.margins),
            prediction: Numbers::new(records.predictions),
            score: Vec::new(),
            latency_us: Vec::new(),
            shard: Vec::new(),
            source: StringBuilder::new(),
            source_reason: StringBuilder::new(),
            features: vec![Vec::new(); records.features.len()],
            valid: Vec::new(),
        }
    }

    /// The record must fit the layout's schema.
    pub(super) fn push(&mut self, record: &Frame<'_>) {
        let mut text = uuid::Uuid::encode_buffer();
        self.record_id
            .append_value(record.record_id.hyphenated().encode_lower(&mut text));
        self.time.push(record.time_us);
        self.lead_id.append_value(record.lead_id);
        self.request_id.append_value(record.request_id);
        self.margin.push(record.margins);
        self.prediction.push(record.predictions);
        self.score.push(record.score.and_then(|score| i8::try_from(score).ok()));
        self.latency_us.push(microseconds(record.latency_ns));
        self.shard.push(record.shard);
        self.source.append_option(record.source.map(Source::name));
        self.source_reason.append_option(record.source.and_then(Source::reason));
        for (column, value) in self.features.iter_mut().zip(record.row.iter()) {
            column.push(value);
        }
    }

    pub(super) fn is_full(&self, layout: &Layout) -> bool {
        self.time.len() >= layout.chunk_rows
    }

    /// Everything so far, in the layout's columns. Rows are empty then.
    pub(super) fn take(&mut self, layout: &Layout) -> RecordBatch {
        let rows = self.time.len();
        let repeated = |text: &str| StringArray::from_iter_values(std::iter::repeat_n(text, rows));
        let time = TimestampMicrosecondArray::from(std::mem::take(&mut self.time)).with_timezone("UTC");
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(self.record_id.finish()),
            Arc::new(time),
            Arc::new(self.lead_id.finish()),
            Arc::new(self.request_id.finish()),
            Arc::new(repeated(&layout.records.model)),
            Arc::new(repeated(&layout.records.version)),
            self.margin.take(),
            self.prediction.take(),
            Arc::new(Int8Array::from(std::mem::take(&mut self.score))),
            Arc::new(Float64Array::from(std::mem::take(&mut self.latency_us))),
            Arc::new(UInt16Array::from(std::mem::take(&mut self.shard))),
            Arc::new(self.source.finish()),
            Arc::new(self.source_reason.finish()),
        ];
        let valid = &mut self.valid;
        columns.extend(self.features.iter_mut().map(|values| {
            let column = nullable(values, valid);
            values.clear();
            Arc::new(column) as ArrayRef
        }));
        RecordBatch::try_new(layout.schema(), columns).expect("the columns are those of the schema")
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a request takes less than the 104 days that are exact"
)]
fn microseconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e3
}

impl Numbers {
    fn new(len: usize) -> Self {
        match len {
            1 => Self::One(Vec::new()),
            _ => Self::Many(ListBuilder::new(Float64Builder::new())),
        }
    }

    fn push(&mut self, values: Floats<'_>) {
        match self {
            Self::One(column) => column.extend(values.iter()),
            Self::Many(column) => column.append_value(values.iter().map(Some)),
        }
    }

    fn take(&mut self) -> ArrayRef {
        match self {
            Self::One(column) => Arc::new(Float64Array::from(std::mem::take(column))),
            Self::Many(column) => Arc::new(column.finish()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_never_take_the_name_of_another_column() {
        let columns = |features: &[&str]| free_names(&["time", "score"], features.iter().copied());
        assert_eq!(columns(&["f1", "Time", "feature.x"]), ["f1", "Time", "feature.x"]);
        assert_eq!(columns(&["time", "f1"]), ["feature.time", "f1"]);
        assert_eq!(
            columns(&["time", "feature.time", "score", "feature.feature.time"]),
            [
                "feature.feature.feature.time",
                "feature.time",
                "feature.score",
                "feature.feature.time"
            ]
        );
    }
}
