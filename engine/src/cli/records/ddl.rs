//! The columns as definitions for Glue, Athena and Snowflake.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::description;
use crate::record::{Column, ColumnType, Schema};

/// Characters of a comment that Glue takes.
const COMMENT_CHARS_MAX: usize = 255;

/// Characters of a line of columns.
const LINE_CHARS_MAX: usize = 118;

/// `StorageDescriptor.Columns` of Glue's CreateTable.
pub(super) fn glue(schema: &Schema, columns: &[Column]) -> Value {
    let column = |column: &Column| {
        let comment: String = description(schema, column).chars().take(COMMENT_CHARS_MAX).collect();
        json!({"Name": column.name, "Type": hive(column.column_type), "Comment": comment})
    };
    Value::Array(columns.iter().map(column).collect())
}

/// `CREATE EXTERNAL TABLE` over files as they lie in a bucket.
pub(super) fn athena(columns: &[Column]) -> String {
    let columns = columns
        .iter()
        .map(|column| format!("{} {}", quoted(&column.name, '`'), hive(column.column_type)));
    let mut lines = vec![String::from(" ")];
    for column in columns {
        let line = lines.last_mut().expect("there is always one");
        if line.chars().count() + column.chars().count() + 2 > LINE_CHARS_MAX && line.len() > 1 {
            lines.push(format!("  {column},"));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(line, " {column},");
        }
    }
    let list = lines.join("\n");
    format!(
        "CREATE EXTERNAL TABLE scores (
{}
)
PARTITIONED BY (`date` string, `hour` string)
STORED AS PARQUET
LOCATION 's3://BUCKET/PREFIX/'
TBLPROPERTIES (
  'projection.enabled' = 'true',
  'projection.date.type' = 'date', 'projection.date.format' = 'yyyy-MM-dd', 'projection.date.range' = '2026-01-01,NOW',
  'projection.hour.type' = 'integer', 'projection.hour.range' = '0,23', 'projection.hour.digits' = '2',
  'storage.location.template' = 's3://BUCKET/PREFIX/date=${{date}}/hour=${{hour}}/'
);
",
        list.trim_end_matches(',')
    )
}

/// `CREATE TABLE`. Names are in capitals, so that queries need no quotes, and `COPY INTO … MATCH_BY_COLUMN_NAME =
/// CASE_INSENSITIVE` finds them.
pub(super) fn snowflake(schema: &Schema, columns: &[Column]) -> String {
    let column = |column: &Column| {
        let (name, kind) = (
            quoted(&column.name.to_uppercase(), '"'),
            snowflake_type(column.column_type),
        );
        let not_null = if column.is_nullable { "" } else { " NOT NULL" };
        let comment = description(schema, column).replace('\\', "\\\\").replace('\'', "''");
        format!("  {name} {kind}{not_null} COMMENT '{comment}'")
    };
    let columns: Vec<String> = columns.iter().map(column).collect();
    format!("CREATE TABLE scores (\n{}\n);\n", columns.join(",\n"))
}

/// A name between two marks, each of which is doubled within it.
fn quoted(name: &str, mark: char) -> String {
    format!("{mark}{}{mark}", name.replace(mark, &format!("{mark}{mark}")))
}

fn hive(column_type: ColumnType) -> &'static str {
    match column_type {
        ColumnType::Text => "string",
        ColumnType::Timestamp => "timestamp",
        ColumnType::Double => "double",
        ColumnType::DoubleList => "array<double>",
        ColumnType::Int8 => "tinyint",
        // It has no types without a sign.
        ColumnType::UInt16 => "int",
    }
}

fn snowflake_type(column_type: ColumnType) -> &'static str {
    match column_type {
        ColumnType::Text => "VARCHAR",
        ColumnType::Timestamp => "TIMESTAMP_TZ(6)",
        ColumnType::Double => "DOUBLE",
        ColumnType::DoubleList => "ARRAY",
        ColumnType::Int8 | ColumnType::UInt16 => "SMALLINT",
    }
}
