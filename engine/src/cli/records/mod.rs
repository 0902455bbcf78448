//! `quintile records schema`: the columns of a model's records, for the programs that read them. Made of the list that
//! makes the records themselves.

mod ddl;

use std::path::PathBuf;

use clap::ValueEnum;
use quintile_scoring::loaded::LoadedModel;
use serde_json::{Value, json};

use super::{Exit, Streams, report};
use crate::config::{Flags, Settings};
use crate::record::{BESIDE, Column, ColumnType, Columns, Content, FIXED, SCHEMA_VERSION, Schema};

pub(crate) const SCHEMA_EXAMPLES: &str = "Examples:
  quintile records schema
  quintile records schema --model model.ubj --format glue > columns.json
  quintile records schema --config quintile.toml --format athena";

/// `records`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum RecordsCommand {
    /// Print the columns of a model's records
    ///
    /// Without --model it is the model that serve would serve, by the same file and variables.
    #[command(after_long_help = SCHEMA_EXAMPLES)]
    Schema(SchemaArgs),
    /// Print the table of columns in docs/records.md
    #[command(hide = true)]
    Docs,
}

/// `records schema`.
#[derive(Debug, clap::Args)]
pub(crate) struct SchemaArgs {
    /// The model, with its manifest beside it; without it the one that the configuration names, or the demo
    #[arg(short = 'm', long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// A TOML file with settings, as serve reads it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// For whom
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "json")]
    format: SchemaFormat,
}

/// How the columns are written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum SchemaFormat {
    /// A list with types, what each column is, and categories
    Json,
    /// Columns of a Glue table (StorageDescriptor.Columns)
    Glue,
    /// CREATE TABLE of Snowflake
    Snowflake,
    /// CREATE EXTERNAL TABLE of Athena, with partition projection
    Athena,
}

/// `quintile records …`.
pub(crate) fn run(command: &RecordsCommand, streams: &mut Streams<'_>) -> Exit {
    match command {
        RecordsCommand::Schema(args) => schema(args, streams),
        RecordsCommand::Docs => report::print(&markdown(), streams),
    }
}

fn schema(args: &SchemaArgs, streams: &mut Streams<'_>) -> Exit {
    let flags = Flags {
        config: args.config.clone(),
        values: args.model.iter().map(|model| ("model", model.into())).collect(),
    };
    let settings = match Settings::of_process(&flags) {
        Ok(settings) => settings,
        Err(error) => return report::configuration(&error, streams),
    };
    let loaded = match LoadedModel::load(settings.model.as_deref(), settings.options, 0) {
        Err(fault) if settings.scoring.asks_sagemaker() => LoadedModel::outline(settings.model.as_deref(), fault, 0),
        loaded => loaded,
    };
    match loaded {
        Ok(loaded) => report::print(&text(&Schema::of(&loaded), args.format), streams),
        Err(error) => report::model(&error, streams),
    }
}

fn text(schema: &Schema, format: SchemaFormat) -> String {
    let columns = Columns::of(schema);
    match format {
        SchemaFormat::Json => format!("{:#}\n", document(schema, &columns)),
        SchemaFormat::Glue => format!("{:#}\n", ddl::glue(schema, &columns)),
        SchemaFormat::Snowflake => ddl::snowflake(schema, &columns),
        SchemaFormat::Athena => ddl::athena(&columns),
    }
}

/// Everything that is known of the columns.
fn document(schema: &Schema, columns: &[Column]) -> Value {
    let column = |column: &Column| {
        let (feature, categories) = match &column.content {
            Content::Field(_) => (None, None),
            Content::Feature(number) => (schema.features.get(*number), None),
            Content::Category(number, labels) => (schema.features.get(*number), Some(labels.names())),
        };
        json!({
            "name": column.name,
            "type": type_name(column.column_type),
            "nullable": column.is_nullable,
            "description": description(schema, column),
            "feature": feature,
            "categories": categories,
        })
    };
    json!({
        "schema_version": SCHEMA_VERSION,
        "model": {"name": schema.model, "version": schema.version, "sha256": schema.sha256},
        "columns": columns.iter().map(column).collect::<Vec<_>>(),
        "partitions": [
            {"name": BESIDE[0], "type": "string", "description": "the day of time, YYYY-MM-DD, in the file's path"},
            {"name": BESIDE[1], "type": "string", "description": "the hour of time, 00 to 23, in the file's path"},
        ],
    })
}

fn type_name(column_type: ColumnType) -> &'static str {
    match column_type {
        ColumnType::Text => "string",
        ColumnType::Timestamp => "timestamp",
        ColumnType::Double => "double",
        ColumnType::DoubleList => "list of double",
        ColumnType::Int8 => "int8",
        ColumnType::UInt16 => "uint16",
    }
}

/// A sentence about a column.
fn description(schema: &Schema, column: &Column) -> String {
    match &column.content {
        Content::Field(field) => {
            let fixed = FIXED.iter().find(|fixed| fixed.field == *field);
            fixed.map_or("", |fixed| fixed.description).replace('`', "")
        }
        Content::Feature(number) => feature(schema, *number, &column.name, "null if missing"),
        Content::Category(number, _) => {
            let text = "the category's name; null if missing; # and a number is a code without a name";
            feature(schema, *number, &column.name, text)
        }
    }
}

fn feature(schema: &Schema, number: usize, column: &str, text: &str) -> String {
    match schema.features.get(number) {
        Some(feature) if feature != column => format!("the feature {feature}: {text}"),
        _ => text.into(),
    }
}

/// The table of columns in `docs/records.md`.
fn markdown() -> String {
    let mut out = String::from("| column | type | what |\n|---|---|---|\n");
    for column in FIXED {
        let mut kind = match column.column_type {
            ColumnType::Text => "string",
            ColumnType::Timestamp => "timestamp, microseconds, UTC",
            ColumnType::Double | ColumnType::DoubleList => "double",
            ColumnType::Int8 => "8-bit integer",
            ColumnType::UInt16 => "16-bit integer",
        }
        .to_owned();
        if matches!(column.name, "margin" | "prediction") {
            kind += ", or list of them for models of several outputs";
        }
        if column.is_nullable {
            kind += ", or null";
        }
        out += &format!("| `{}` | {kind} | {} |\n", column.name, column.description);
    }
    out + "| each feature by its name | double or null | the value that the model got; null if missing |\n\
           | each feature whose categories the model names | string or null | the category's name; null if missing |\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documents_have_the_columns_of_the_list() {
        let page = include_str!("../../../../docs/records.md");
        assert!(
            page.contains(&markdown()),
            "put this into docs/records.md:\n{}",
            markdown()
        );
        let loaded = LoadedModel::load(None, quintile_model::Options::default(), 0).unwrap();
        let athena = text(&Schema::of(&loaded), SchemaFormat::Athena);
        assert!(page.contains(&athena), "put this into docs/records.md:\n{athena}");
        assert!(page.contains(&format!("Schema version {SCHEMA_VERSION} ")));
    }
}
