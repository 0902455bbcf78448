//! The columns of records, in one list: those that the server's records have in addition to a model's features. It
//! makes the schema of Parquet files, the keys of lines of JSON, the table in `docs/records.md` and what
//! `quintile records schema` prints; there is no other list of columns. It is in this crate because `/v1/schema` says
//! which column a feature has.

mod labels;
mod names;

pub use self::labels::{CategoryLabels, CategoryValue};

use self::names::column_names;

/// Which columns there are and what they mean: in the metadata of every Parquet file (`quintile.schema_version`) and at
/// the beginning of every line of JSON. A column that comes, goes or changes its name, type or meaning raises it.
pub const SCHEMA_VERSION: u32 = 3;

/// What is beside the columns of a file: in its path, or at the beginning of a line of JSON. No feature's column has
/// one of these names.
pub const BESIDE: [&str; 3] = ["date", "hour", "schema_version"];

/// What the values of a column are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnType {
    /// Text.
    Text,
    /// An instant in microseconds, UTC.
    Timestamp,
    /// A 64-bit float.
    Double,
    /// A list of 64-bit floats.
    DoubleList,
    /// A whole number from 1 to 5.
    Int8,
    /// A whole number from 0 to 65,535.
    UInt16,
}

/// What a column of every model's records holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "FIXED has a sentence about each")]
pub enum Field {
    RecordId,
    Time,
    LeadId,
    RequestId,
    Model,
    ModelVersion,
    Margin,
    Prediction,
    Score,
    LatencyUs,
    Shard,
    Source,
    SourceReason,
    Role,
    Protocol,
    ModelSha256,
    Reasons,
    FeaturesFrom,
}

/// A column that every model's records have.
#[derive(Debug, Clone, Copy)]
pub struct FixedColumn {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub field: Field,
    /// Of a model with one output; margins and predictions of one with several are lists.
    pub column_type: ColumnType,
    /// Whether it may be null.
    pub is_nullable: bool,
    /// Whether its values repeat, so that Parquet keeps each once. Ids do not.
    pub repeats: bool,
    /// A sentence about it, in Markdown.
    pub description: &'static str,
}

const fn column(
    name: &'static str,
    field: Field,
    (column_type, is_nullable, repeats): (ColumnType, bool, bool),
    description: &'static str,
) -> FixedColumn {
    FixedColumn {
        name,
        field,
        column_type,
        is_nullable,
        repeats,
        description,
    }
}

const ID: (ColumnType, bool, bool) = (ColumnType::Text, false, false);
const NAME: (ColumnType, bool, bool) = (ColumnType::Text, false, true);
const WORD: (ColumnType, bool, bool) = (ColumnType::Text, true, true);
const NUMBER: (ColumnType, bool, bool) = (ColumnType::Double, false, false);

/// The columns that every model's records have, in their order.
pub const FIXED: [FixedColumn; 18] = [
    column(
        "record_id",
        Field::RecordId,
        ID,
        "unique, a UUID of version 7; within a shard its order is the order of time",
    ),
    column(
        "time",
        Field::Time,
        (ColumnType::Timestamp, false, false),
        "when the score was made",
    ),
    column("lead_id", Field::LeadId, ID, "the client's name for the lead"),
    column(
        "request_id",
        Field::RequestId,
        ID,
        "the client's `x-request-id`, or one that the server made",
    ),
    column(
        "model",
        Field::Model,
        NAME,
        "the model's name: from the manifest, otherwise from the file name",
    ),
    column(
        "model_version",
        Field::ModelVersion,
        NAME,
        "its version: from the manifest, otherwise the first digits of the file's SHA-256",
    ),
    column(
        "margin",
        Field::Margin,
        (ColumnType::Double, true, false),
        "the raw sum of the trees; null if SageMaker scored, because it does not return the margin",
    ),
    column(
        "prediction",
        Field::Prediction,
        NUMBER,
        "after the objective's transform",
    ),
    column(
        "score",
        Field::Score,
        (ColumnType::Int8, true, true),
        "the band, 1 to 5; null for models without bands",
    ),
    column(
        "latency_us",
        Field::LatencyUs,
        NUMBER,
        "microseconds from the complete body to the answer",
    ),
    column(
        "shard",
        Field::Shard,
        (ColumnType::UInt16, false, true),
        "the number of the server's thread",
    ),
    column("source", Field::Source, WORD, "the scorer: `local` or `sagemaker`"),
    column(
        "source_reason",
        Field::SourceReason,
        WORD,
        "why `source` is `local` although SageMaker is the primary scorer; 256 bytes at most",
    ),
    column(
        "role",
        Field::Role,
        WORD,
        "`champion`, `challenger` or `shadow`, if several versions of a model are served; a `shadow`'s score was not sent to the client",
    ),
    column(
        "protocol",
        Field::Protocol,
        WORD,
        "the protocol of the request: `native` is `/score` and `/score/batch`",
    ),
    column("model_sha256", Field::ModelSha256, WORD, "SHA-256 of the model's file"),
    column(
        "reasons",
        Field::Reasons,
        (ColumnType::Text, true, false),
        "what contributed most to the score, as JSON text",
    ),
    column(
        "features_from",
        Field::FeaturesFrom,
        WORD,
        "the source and age of features that were not in the request, as JSON text",
    ),
];

/// The columns of features: names that neither another column has nor what is beside the columns.
pub fn feature_columns<'a>(features: impl Iterator<Item = &'a str> + Clone) -> Vec<String> {
    let reserved: Vec<&str> = FIXED.iter().map(|column| column.name).chain(BESIDE).collect();
    column_names(&reserved, features)
}

/// Features whose column has another name, with that name.
pub fn renamed_features<'a>(
    features: impl Iterator<Item = &'a str> + Clone,
) -> impl Iterator<Item = (&'a str, String)> {
    let columns = feature_columns(features.clone());
    features.zip(columns).filter(|(feature, column)| feature != column)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_that_move_are_told_with_their_columns() {
        let features = ["x", "Role", "date", "schema_version"];
        let moved: Vec<_> = renamed_features(features.into_iter()).collect();
        let expected = [
            ("Role", "feature.Role"),
            ("date", "feature.date"),
            ("schema_version", "feature.schema_version"),
        ];
        assert_eq!(moved, expected.map(|(feature, column)| (feature, column.to_owned())));
    }
}
