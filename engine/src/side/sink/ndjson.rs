//! A record as one line of JSON: what `stdout` and `firehose` send and `quintile spool export` prints. The keys are the
//! names of the Parquet columns, from [`crate::record::Columns`].

use std::sync::Arc;

use quintile_scoring::render;

use crate::record::{
    CategoryLabels, CategoryValue, Cell, ColumnType, Columns, Content, Field, Floats, Frame, SCHEMA_VERSION, Schema,
};
use crate::side::calendar::write_rfc3339;

/// Writes records of one model after the other. What lines of a model have in common is rendered once.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    schema: Option<Arc<Schema>>,
    keys: Vec<Key>,
    /// A number that no category's name belongs to, as text.
    unnamed: String,
}

/// A key of every line, with what is the same in all of them.
#[derive(Debug)]
struct Key {
    /// `,"name":`, and the value behind it where that is the model's.
    text: Vec<u8>,
    value: Value,
}

/// What stands behind a key.
#[derive(Debug)]
enum Value {
    /// The same in every line.
    Constant,
    Field(Field),
    /// Margins or predictions of a model with several outputs.
    List(Field),
    Feature,
    Category(CategoryLabels),
}

impl Lines {
    /// Appends a record and a newline. One that is not of the model that it names has numbers in the place of names,
    /// for no value is left out, and none comes under a wrong name.
    pub(crate) fn write(&mut self, record: &Frame<'_>, schema: &Arc<Schema>, out: &mut Vec<u8>) {
        if !schema.fits(record) {
            return Self::default().write(record, &Arc::new(Schema::numbered(record)), out);
        }
        let known = self.schema.take().filter(|known| Arc::ptr_eq(known, schema));
        let schema = known.unwrap_or_else(|| {
            self.keys = keys(schema);
            Arc::clone(schema)
        });
        self.line(record, &schema, out);
        self.schema = Some(schema);
    }

    fn line(&mut self, record: &Frame<'_>, schema: &Schema, out: &mut Vec<u8>) {
        let mut row = record.row.iter();
        let Self { keys, unnamed, .. } = self;
        for key in keys.iter() {
            out.extend_from_slice(&key.text);
            match &key.value {
                Value::Constant => {}
                Value::Field(field) => cell(out, Cell::of(*field, record, schema)),
                Value::List(field) => match Cell::of(*field, record, schema) {
                    Cell::Doubles(values) => list(out, values),
                    other => cell(out, other),
                },
                Value::Feature => number(out, row.next().unwrap_or(f64::NAN)),
                Value::Category(labels) => category(out, labels, row.next().unwrap_or(f64::NAN), unnamed),
            }
        }
        out.extend_from_slice(b"}\n");
    }
}

/// The keys of a model's lines. The first begins the object with the version of the columns.
fn keys(schema: &Schema) -> Vec<Key> {
    let mut keys = vec![Key {
        text: format!("{{\"schema_version\":{SCHEMA_VERSION}").into_bytes(),
        value: Value::Constant,
    }];
    for column in Columns::of(schema).iter() {
        let mut text = vec![b','];
        render::string(&mut text, &column.name);
        text.push(b':');
        let value = match &column.content {
            Content::Field(Field::Model) => {
                render::string(&mut text, &schema.model);
                Value::Constant
            }
            Content::Field(Field::ModelVersion) => {
                render::string(&mut text, &schema.version);
                Value::Constant
            }
            Content::Field(field) if column.column_type == ColumnType::DoubleList => Value::List(*field),
            Content::Field(field) => Value::Field(*field),
            Content::Feature(_) => Value::Feature,
            Content::Category(_, labels) => Value::Category(labels.clone()),
        };
        keys.push(Key { text, value });
    }
    keys
}

fn cell(out: &mut Vec<u8>, cell: Cell<'_>) {
    match cell {
        Cell::Null => out.extend_from_slice(b"null"),
        Cell::Text(text) => render::string(out, text),
        Cell::Id(id) => {
            let mut text = uuid::Uuid::encode_buffer();
            out.push(b'"');
            out.extend_from_slice(id.hyphenated().encode_lower(&mut text).as_bytes());
            out.push(b'"');
        }
        Cell::Time(time_us) => {
            out.push(b'"');
            write_rfc3339(out, time_us);
            out.push(b'"');
        }
        Cell::Double(value) => number(out, value),
        Cell::Whole(value) => out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes()),
        Cell::Doubles(values) => values.iter().for_each(|value| number(out, value)),
    }
}

/// JSON has no infinity. It is the text that Protocol Buffers, Java and Python read as one; a null would be another
/// value.
fn number(out: &mut Vec<u8>, value: f64) {
    if value.is_infinite() {
        let text: &[u8] = if value > 0.0 { b"\"Infinity\"" } else { b"\"-Infinity\"" };
        return out.extend_from_slice(text);
    }
    render::number(out, value);
}

fn list(out: &mut Vec<u8>, values: Floats<'_>) {
    out.push(b'[');
    for (index, value) in values.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        number(out, value);
    }
    out.push(b']');
}

fn category(out: &mut Vec<u8>, labels: &CategoryLabels, value: f64, unnamed: &mut String) {
    match labels.value(value) {
        CategoryValue::Missing => out.extend_from_slice(b"null"),
        CategoryValue::Named(code) => render::string(out, &labels.names()[code]),
        CategoryValue::Unnamed(value) => {
            labels.unnamed(value, unnamed);
            render::string(out, unnamed);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;
    use crate::record::{CategoryNames, Entry, Extras, FIXED, IdSource, ProtocolName, RecordSource, Role, decode};

    fn schema() -> Schema {
        Schema {
            model_number: 1,
            model: "the \"model\"".into(),
            version: "2".into(),
            sha256: Some("ab".repeat(32)),
            margins: 1,
            predictions: 2,
            features: ["Score", "channel", "x"].map(String::from).to_vec(),
            categories: vec![CategoryNames {
                column: 1,
                names: vec!["ad".into(), "a \"word\"".into()],
            }],
        }
    }

    fn line(schema: Schema, row: &[f64]) -> Json {
        let mut bytes = Vec::new();
        let extras = Extras::of(ProtocolName::Native).with_role(Role::Champion);
        Entry {
            record_id: IdSource::new(0, 0).next(1),
            time_us: 1_764_000_000_123_456,
            model_number: 1,
            shard: 3,
            score: None,
            latency_ns: 1_500,
            lead_id: "lead",
            request_id: "request",
            margins: &[f64::NAN],
            predictions: &[0.25, f64::NEG_INFINITY],
            row,
            source: RecordSource::Local,
            extras: extras.with_reasons("[\"x\"]").unwrap(),
        }
        .encode(&mut bytes);
        let mut out = Vec::new();
        let record = decode(&bytes).unwrap().0;
        Lines::default().write(&record, &Arc::new(schema), &mut out);
        assert!(out.starts_with(b"{\"schema_version\":3,\"record_id\":\"") && out.ends_with(b"}\n"));
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn a_line_has_the_version_and_the_columns_of_the_list() {
        let line = line(schema(), &[f64::INFINITY, 1.0, f64::NAN]);
        let keys: Vec<&str> = line.as_object().unwrap().keys().map(String::as_str).collect();
        let columns = FIXED.iter().map(|column| column.name);
        let expected = ["schema_version"].into_iter().chain(columns);
        let expected: Vec<&str> = expected.chain(["feature.Score", "channel", "x"]).collect();
        assert_eq!(keys, expected);
        for (key, value) in [
            ("time", json!("2025-11-24T16:00:00.123456Z")),
            ("model", json!("the \"model\"")),
            ("margin", json!(null)),
            ("prediction", json!([0.25, "-Infinity"])),
            ("score", json!(null)),
            ("latency_us", json!(1.5)),
            ("shard", json!(3)),
            ("source", json!("local")),
            ("source_reason", json!(null)),
            ("role", json!("champion")),
            ("protocol", json!("native")),
            ("model_sha256", json!("ab".repeat(32))),
            ("reasons", json!("[\"x\"]")),
            ("features_from", json!(null)),
            ("feature.Score", json!("Infinity")),
            ("channel", json!("a \"word\"")),
            ("x", json!(null)),
        ] {
            assert_eq!(line[key], value, "{key}");
        }
        assert_eq!(super::tests::line(schema(), &[0.0, 2.0, 0.0])["channel"], json!("#2"));
        assert_eq!(
            super::tests::line(schema(), &[0.0, f64::NAN, 0.0])["channel"],
            json!(null)
        );
    }

    #[test]
    fn a_record_of_another_model_keeps_its_numbers_under_no_wrong_name() {
        let line = line(schema(), &[7.0, 1.0, 2.0, 3.0]);
        assert_eq!((&line["model"], &line["channel"]), (&json!(""), &Json::Null));
        let values = ["column_0", "column_1", "column_2", "column_3"].map(|name| line[name].as_f64());
        assert_eq!(values, [7.0, 1.0, 2.0, 3.0].map(Some));
    }
}
