//! Why records cannot be scored again, in words.

use std::path::PathBuf;

/// Why records cannot be scored again.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what each is")]
pub enum ReplayError {
    #[error("list the files in {path}: {source}")]
    List { path: PathBuf, source: std::io::Error },
    #[error("read {path}: {says}")]
    File { path: PathBuf, says: String },
    #[error("{path} is the data folder of a server; its records are in {path}/scores")]
    DataFolder { path: PathBuf },
    #[error(
        "{path} has no files; a folder of records has date=YYYY-MM-DD/hour=HH/….parquet, usually DATA_DIR/scores. A running server \
         writes a file every records.roll_seconds (60), and the last one when it stops"
    )]
    Empty { path: PathBuf },
    #[error("{path} is no file of records: it has no column {column} that holds {accepted}")]
    Column {
        path: PathBuf,
        column: &'static str,
        accepted: &'static str,
    },
    #[error("{path} has no column {column}; records have the columns of docs/records.md and feature.NAME")]
    Segment { path: PathBuf, column: String },
    #[error("{path}: record_id {id} is no UUID")]
    RecordId { path: PathBuf, id: String },
    #[error("the records are of several models: {names}; name one of them by --recorded NAME")]
    Several { names: String },
    #[error("there are no records of {wanted}; there are records of {names} (--recorded NAME or NAME@VERSION)")]
    NoSuch { wanted: String, names: String },
    #[error(
        "{path} has no column {column}, which {model} takes: its records were made by a model without this feature. \
         --recorded NAME@VERSION names records of one version alone"
    )]
    Lacks {
        path: PathBuf,
        column: String,
        model: String,
    },
    #[error("{path} has no scores that were answered ({shadows} of shadows)")]
    NoRows { path: PathBuf, shadows: u64 },
    #[error("{model} takes no features, so there is nothing to score")]
    NoFeatures { model: String },
    #[error("read the outcomes {path}: {says}")]
    Outcomes { path: PathBuf, says: String },
}
