//! Which files of records there are, in the order of their ids, and which of them are asked for.
//!
//! Only the ends of the files are read, and little is kept of each: a month of files a minute is 43,000 of them.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray as _;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::file::metadata::ParquetMetaData;
use uuid::Uuid;

use super::rows::ModelRows;
use super::{ReplayError, ReplayJob};
use crate::rows::folder;
use crate::text::excerpt;

/// Names that an error lists one by one.
const NAMES_MAX: usize = 8;

/// A file of records.
#[derive(Debug)]
pub(super) struct RecordFile {
    pub(super) path: PathBuf,
    pub(super) rows: u64,
    pub(super) groups: usize,
    /// The range of its records' ids.
    pub(super) first: u128,
    pub(super) last: u128,
    /// Names and versions of the models whose records it has.
    models: BTreeSet<(String, String)>,
    /// A column that a model takes and the file does not have, with the model's name.
    lacks: Option<(String, String)>,
}

/// All files that are asked for.
#[derive(Debug)]
pub(super) struct RecordFiles {
    files: Vec<RecordFile>,
    selected: Selection,
    rows_of_others: u64,
}

/// Which models' records are asked for.
#[derive(Debug, Clone)]
pub(super) struct Selection {
    /// None is every name.
    name: Option<String>,
    version: Option<String>,
}

impl Selection {
    pub(super) fn has(&self, name: &str, version: &str) -> bool {
        self.name.as_deref().is_none_or(|own| own == name) && self.version.as_deref().is_none_or(|own| own == version)
    }
}

impl RecordFiles {
    pub(super) fn open(job: &ReplayJob<'_>) -> Result<Self, ReplayError> {
        let models: Vec<ModelRows<'_>> = [Some(job.new), job.against]
            .into_iter()
            .flatten()
            .map(ModelRows::new)
            .collect();
        if let Some(model) = models.iter().find(|model| model.is_empty()) {
            return Err(ReplayError::NoFeatures { model: model.name() });
        }
        let mut files = opened(job.scores, &models)?;
        let selected = select(job, &files)?;
        let all: u64 = files.iter().map(|file| file.rows).sum();
        files.retain(|file| file.models.iter().any(|(name, version)| selected.has(name, version)));
        if let Some((path, (column, model))) = files.iter().find_map(|file| Some((&file.path, file.lacks.as_ref()?))) {
            return Err(ReplayError::Lacks {
                path: path.clone(),
                column: excerpt(column),
                model: model.clone(),
            });
        }
        let own: u64 = files.iter().map(|file| file.rows).sum();
        Ok(Self {
            files,
            selected,
            rows_of_others: all - own,
        })
    }

    /// The files of every model.
    pub(super) fn of_all_models(scores: &Path) -> Result<Self, ReplayError> {
        Ok(Self {
            files: opened(scores, &[])?,
            selected: Selection {
                name: None,
                version: None,
            },
            rows_of_others: 0,
        })
    }

    pub(super) fn selected(&self) -> &Selection {
        &self.selected
    }

    pub(super) fn len(&self) -> usize {
        self.files.len()
    }

    /// Rows of all files that are read.
    pub(super) fn rows(&self) -> u64 {
        self.files.iter().map(|file| file.rows).sum()
    }

    /// Rows of the files that are not read.
    pub(super) fn rows_of_others(&self) -> u64 {
        self.rows_of_others
    }

    pub(super) fn ranges(&self) -> Vec<(u128, u128)> {
        self.files.iter().map(|file| (file.first, file.last)).collect()
    }

    /// Every row group: the file's number, the file, the group's number in it.
    pub(super) fn groups(&self) -> impl Iterator<Item = (usize, &RecordFile, usize)> {
        let files = self.files.iter().enumerate();
        files.flat_map(|(number, file)| (0..file.groups).map(move |group| (number, file, group)))
    }
}

/// The files of a folder, or one file, in the order of their ids.
fn opened(scores: &Path, models: &[ModelRows<'_>]) -> Result<Vec<RecordFile>, ReplayError> {
    let list = |source| ReplayError::List {
        path: scores.to_path_buf(),
        source,
    };
    if scores.join("spool").is_dir() && scores.join("scores").is_dir() {
        return Err(ReplayError::DataFolder {
            path: scores.to_path_buf(),
        });
    }
    let paths = match std::fs::metadata(scores).map_err(list)?.is_dir() {
        true => folder::parts(scores)
            .map_err(list)?
            .into_iter()
            .map(|part| part.path)
            .collect(),
        false => vec![scores.to_path_buf()],
    };
    let files: Result<Vec<RecordFile>, _> = paths.into_iter().map(|path| RecordFile::open(path, models)).collect();
    let mut files = files?;
    if files.is_empty() {
        return Err(ReplayError::Empty {
            path: scores.to_path_buf(),
        });
    }
    files.sort_by(|one, other| (one.first, &one.path).cmp(&(other.first, &other.path)));
    Ok(files)
}

/// The records that were named, or those of the only model there is, or of the new model's name.
fn select(job: &ReplayJob<'_>, files: &[RecordFile]) -> Result<Selection, ReplayError> {
    let models: BTreeSet<&(String, String)> = files.iter().flat_map(|file| &file.models).collect();
    let names: BTreeSet<&str> = models.iter().map(|(name, _)| name.as_str()).collect();
    if let Some(wanted) = job.recorded {
        // A name may have an @ in it, too.
        let split = wanted.rsplit_once('@').filter(|_| !names.contains(wanted));
        let selected = Selection {
            name: Some(split.map_or(wanted, |(name, _)| name).to_owned()),
            version: split.map(|(_, version)| version.to_owned()),
        };
        if models.iter().any(|(name, version)| selected.has(name, version)) {
            return Ok(selected);
        }
        let versions = models.iter().map(|(name, version)| format!("{name}@{version}"));
        return Err(ReplayError::NoSuch {
            wanted: excerpt(wanted),
            names: listed(versions),
        });
    }
    let own = job.new.model.name();
    let name = match names.iter().copied().next() {
        Some(only) if names.len() == 1 => only,
        _ if names.contains(own) => own,
        None => {
            return Err(ReplayError::NoRows {
                path: job.scores.to_path_buf(),
                shadows: 0,
            });
        }
        Some(_) => {
            return Err(ReplayError::Several {
                names: listed(names.into_iter().map(str::to_owned)),
            });
        }
    };
    Ok(Selection {
        name: Some(name.to_owned()),
        version: None,
    })
}

fn listed(names: impl Iterator<Item = String>) -> String {
    let names: Vec<String> = names.map(|name| excerpt(&name)).collect();
    let shown = names
        .iter()
        .take(NAMES_MAX)
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(", ");
    match names.len().saturating_sub(NAMES_MAX) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// What a library says of a file.
pub(super) fn fault(path: &Path, error: &dyn std::fmt::Display) -> ReplayError {
    ReplayError::File {
        path: path.to_path_buf(),
        says: excerpt(&error.to_string()),
    }
}

/// Opens a file and reads its end.
pub(super) fn open(path: &Path) -> Result<(File, ArrowReaderMetadata), ReplayError> {
    let file = File::open(path).map_err(|error| fault(path, &error))?;
    // A file's own types: what a library has told beside them, as dictionaries, is text.
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let metadata = ArrowReaderMetadata::load(&file, options).map_err(|error| fault(path, &error))?;
    Ok((file, metadata))
}

/// Reads those of the wanted columns that a row group has.
pub(super) fn read_group<'c>(
    file: &RecordFile,
    group: usize,
    wanted: impl Iterator<Item = &'c str>,
    batch_rows: usize,
) -> Result<ParquetRecordBatchReader, ReplayError> {
    let (opened, metadata) = open(&file.path)?;
    let fields = metadata.schema().fields();
    let places: Vec<usize> = wanted.filter_map(|column| Some(fields.find(column)?.0)).collect();
    let mask = ProjectionMask::roots(metadata.parquet_schema(), places);
    let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(opened, metadata)
        .with_projection(mask)
        .with_row_groups(vec![group])
        .with_batch_size(batch_rows)
        .build();
    reader.map_err(|error| fault(&file.path, &error))
}

impl RecordFile {
    fn open(path: PathBuf, models: &[ModelRows<'_>]) -> Result<Self, ReplayError> {
        let (file, metadata) = open(&path)?;
        let parquet = metadata.metadata();
        let ids = text_range(parquet, "record_id");
        let id = |text: &str| Uuid::parse_str(text).ok().map(|id| id.as_u128());
        let range = ids.and_then(|(least, greatest)| Some((id(&least)?, id(&greatest)?)));
        // Without statistics a file may have any ids.
        let (first, last) = range.unwrap_or((0, u128::MAX));
        let fields = metadata.schema().fields();
        let lacks = models
            .iter()
            .find_map(|model| Some((model.lacks(fields)?.to_owned(), model.name())));
        let (rows, groups) = (parquet.file_metadata().num_rows(), parquet.num_row_groups());
        let only = |column| text_range(parquet, column).filter(|(least, greatest)| least == greatest);
        let models = match (only("model"), only("model_version")) {
            (Some((name, _)), Some((version, _))) => BTreeSet::from([(name, version)]),
            _ => models_in(file, metadata, &path)?,
        };
        Ok(Self {
            rows: u64::try_from(rows).unwrap_or(0),
            path,
            groups,
            first,
            last,
            models,
            lacks,
        })
    }
}

/// The least and the greatest text of a column, where every row group says both exactly.
fn text_range(parquet: &ParquetMetaData, column: &str) -> Option<(String, String)> {
    let mut range: Option<(String, String)> = None;
    for group in parquet.row_groups() {
        let mut columns = group.columns().iter();
        let chunk = columns.find(|chunk| chunk.column_path().parts() == [column])?;
        let statistics = chunk
            .statistics()
            .filter(|known| known.min_is_exact() && known.max_is_exact())?;
        let text = |bytes: Option<&[u8]>| String::from_utf8(bytes?.to_vec()).ok();
        let (least, greatest) = (text(statistics.min_bytes_opt())?, text(statistics.max_bytes_opt())?);
        range = Some(match range {
            Some((before, behind)) => (before.min(least), behind.max(greatest)),
            None => (least, greatest),
        });
    }
    range
}

/// The models of a file that has those of several, row by row.
fn models_in(
    file: File,
    metadata: ArrowReaderMetadata,
    path: &Path,
) -> Result<BTreeSet<(String, String)>, ReplayError> {
    let columns = ["model", "model_version"];
    let absent = |column| ReplayError::Column {
        path: path.to_path_buf(),
        column,
        accepted: "text",
    };
    let fields = metadata.schema().fields().clone();
    let mut places = Vec::new();
    for column in columns {
        places.push(fields.find(column).ok_or_else(|| absent(column))?.0);
    }
    let mask = ProjectionMask::roots(metadata.parquet_schema(), places);
    let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata)
        .with_projection(mask)
        .build();
    let mut models = BTreeSet::new();
    for batch in reader.map_err(|error| fault(path, &error))? {
        let batch: RecordBatch = batch.map_err(|error| fault(path, &error))?;
        let text = |column| {
            batch
                .column_by_name(column)
                .and_then(|array| array.as_string_opt::<i32>())
        };
        let [names, versions] = columns.map(text);
        let (Some(names), Some(versions)) = (names, versions) else {
            return Err(absent(columns[0]));
        };
        for (name, version) in names.iter().zip(versions.iter()) {
            let (name, version) = (name.unwrap_or_default(), version.unwrap_or_default());
            if !models
                .iter()
                .any(|(known, of): &(String, String)| known == name && of == version)
            {
                models.insert((name.to_owned(), version.to_owned()));
            }
        }
    }
    Ok(models)
}
