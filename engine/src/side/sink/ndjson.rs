//! A record as one line of JSON: what `stdout` and `firehose` send and `quintile spool export` prints, with the names of the Parquet columns.

use std::sync::Arc;

use quintile_scoring::render;

use super::parquet::feature_columns;
use crate::record::{Floats, Frame, Schema, Source};
use crate::side::calendar::civil;

/// Every line begins with the version of its columns, which is that of the Parquet files.
const SCHEMA: &[u8] = b"{\"schema_version\":2";

/// Writes records of one model after the other. What lines of a model have in common is rendered once.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    schema: Option<Arc<Schema>>,
    /// `,"model":"…","model_version":"…","margin":`
    model: Vec<u8>,
    /// `,"name":` of each feature.
    keys: Vec<Vec<u8>>,
}

impl Lines {
    /// Appends a record and a newline.
    pub(crate) fn write(&mut self, record: &Frame<'_>, schema: &Arc<Schema>, out: &mut Vec<u8>) {
        if self.schema.as_ref().is_none_or(|known| !Arc::ptr_eq(known, schema)) {
            self.fit(schema);
        }
        self.line(record, out);
    }

    fn fit(&mut self, schema: &Arc<Schema>) {
        self.model.clear();
        self.model.extend_from_slice(b",\"model\":");
        render::string(&mut self.model, &schema.model);
        self.model.extend_from_slice(b",\"model_version\":");
        render::string(&mut self.model, &schema.version);
        let key = |name: String| {
            let mut key = vec![b','];
            render::string(&mut key, &name);
            key.push(b':');
            key
        };
        self.keys = feature_columns(schema).into_iter().map(key).collect();
        self.schema = Some(Arc::clone(schema));
    }

    fn line(&self, record: &Frame<'_>, out: &mut Vec<u8>) {
        let mut id = uuid::Uuid::encode_buffer();
        out.extend_from_slice(SCHEMA);
        out.extend_from_slice(b",\"record_id\":\"");
        out.extend_from_slice(record.record_id.hyphenated().encode_lower(&mut id).as_bytes());
        out.extend_from_slice(b"\",\"time\":\"");
        civil(record.time_us).write_rfc3339(out);
        out.extend_from_slice(b"\",\"lead_id\":");
        render::string(out, record.lead_id);
        out.extend_from_slice(b",\"request_id\":");
        render::string(out, record.request_id);
        out.extend_from_slice(&self.model);
        out.extend_from_slice(b",\"margin\":");
        numbers(out, record.margins);
        out.extend_from_slice(b",\"prediction\":");
        numbers(out, record.predictions);
        out.extend_from_slice(b",\"score\":");
        match record.score {
            Some(score) => integer(out, u64::from(score)),
            None => out.extend_from_slice(b"null"),
        }
        out.extend_from_slice(b",\"latency_us\":");
        render::number(out, microseconds(record.latency_ns));
        out.extend_from_slice(b",\"shard\":");
        integer(out, u64::from(record.shard));
        out.extend_from_slice(b",\"source\":");
        text_or_null(out, record.source.map(Source::name));
        out.extend_from_slice(b",\"source_reason\":");
        text_or_null(out, record.source.and_then(Source::reason));
        for (key, value) in self.keys.iter().zip(record.row.iter()) {
            out.extend_from_slice(key);
            render::number(out, value);
        }
        out.extend_from_slice(b"}\n");
    }
}

fn text_or_null(out: &mut Vec<u8>, text: Option<&str>) {
    match text {
        Some(text) => render::string(out, text),
        None => out.extend_from_slice(b"null"),
    }
}

fn integer(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// A number of a model with one output, a list of one with several.
fn numbers(out: &mut Vec<u8>, values: Floats<'_>) {
    if values.len() == 1 {
        return values.iter().for_each(|value| render::number(out, value));
    }
    for (index, value) in values.iter().enumerate() {
        out.push(if index == 0 { b'[' } else { b',' });
        render::number(out, value);
    }
    out.extend_from_slice(if values.is_empty() { b"[]" } else { b"]" });
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a request takes less than the 104 days that are exact"
)]
fn microseconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e3
}
