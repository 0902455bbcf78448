//! Parts of a table of Parquet before they are read: which columns the table has, where each part has them, and whether
//! the model and the results can take them. A file alone is a table of one part.

use std::collections::HashSet;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow_schema::{DataType, Field};

use super::folder::{self, FolderPart};
use super::header::{Cells, HeaderError};
use super::parquet_file::ParquetFile;
use super::{Format, Job, Output, ScoreError, column_names, numbers, values};
use crate::missing_texts::MissingTexts;
use crate::text::excerpt;

/// A table whose parts were opened and fit the model.
pub(super) struct OpenTable {
    pub(super) parts: Vec<Part>,
    pub(super) cells: Cells,
    /// Which cell of a row each column that is read is.
    pub(super) taken: Arc<[usize]>,
    /// The columns' types in results.
    pub(super) fields: Vec<Field>,
}

/// A file that was not read yet.
pub(super) struct Part {
    pub(super) file: ParquetFile,
    /// Where each column that is taken comes from.
    pub(super) origins: Arc<[Origin]>,
}

/// Where a column of a part comes from.
#[derive(Debug, Clone)]
pub(super) enum Origin {
    /// The file, by the column's number in it.
    File(usize),
    /// The same, to be written as text: bytes that are a UUID.
    Uuid(usize),
    /// The name of the part's folder.
    Folder(Option<String>),
    /// The part does not have it.
    Nowhere,
}

/// A file, with its name where there are several.
struct NamedFile {
    file: ParquetFile,
    name: String,
    partitions: Vec<(String, Option<String>)>,
}

impl NamedFile {
    fn origin(&self, name: &str) -> Origin {
        match self.file.fields().iter().position(|field| field.name() == name) {
            Some(column) => Origin::File(column),
            None => match self.partitions.iter().find(|(column, _)| column == name) {
                Some((_, value)) => Origin::Folder(value.clone()),
                None => Origin::Nowhere,
            },
        }
    }

    /// An error of this file.
    fn says(&self, error: ScoreError) -> ScoreError {
        match self.name.is_empty() {
            true => error,
            false => ScoreError::Part {
                name: self.name.clone(),
                error: Box::new(error),
            },
        }
    }
}

impl OpenTable {
    pub(super) fn open(file: File, job: &Job<'_>) -> Result<Self, ScoreError> {
        let file = NamedFile {
            file: ParquetFile::open(file)?,
            name: String::new(),
            partitions: Vec::new(),
        };
        Self::of_files(vec![file], job)
    }

    /// Opens every part of a folder.
    pub(super) fn open_folder(folder: &Path, job: &Job<'_>) -> Result<Self, ScoreError> {
        let mut files = Vec::new();
        for FolderPart { path, partitions } in folder::parts(folder).map_err(ScoreError::Read)? {
            let name = path.strip_prefix(folder).unwrap_or(&path).display().to_string();
            let file = File::open(&path).map_err(ScoreError::Read).and_then(ParquetFile::open);
            let file = file.map_err(|error| ScoreError::Part {
                name: name.clone(),
                error: Box::new(error),
            })?;
            files.push(NamedFile { file, name, partitions });
        }
        if files.is_empty() {
            return Err(ScoreError::EmptyFolder);
        }
        Self::of_files(files, job)
    }

    fn of_files(mut files: Vec<NamedFile>, job: &Job<'_>) -> Result<Self, ScoreError> {
        let names = union(&files)?;
        let mut cells = Cells::new(job.renamed(names), job.loaded.model.schema(), job.id)?;
        cells.missing = MissingTexts::new(job.missing);
        let is_taken =
            |&cell: &usize| job.output == Output::Rows || cells.places[cell].is_some() || cells.id == Some(cell);
        let taken: Arc<[usize]> = (0..cells.names.len()).filter(is_taken).collect();
        let mut all_origins = Vec::with_capacity(files.len());
        let is_alone = files.len() == 1;
        let is_text = job.output != Output::Rows || job.to != Format::Parquet;
        for named in &mut files {
            let column_of = |cell: usize| match is_alone && cell < named.file.fields().len() {
                // Two columns of a file may have one name.
                true => Origin::File(cell),
                false => named.origin(&cells.names[cell]),
            };
            let as_text = |origin: Origin| match origin {
                Origin::File(column) if is_text && named.file.is_uuid(column) => Origin::Uuid(column),
                origin => origin,
            };
            let origins: Vec<Origin> = taken.iter().map(|&cell| as_text(column_of(cell))).collect();
            check(named, &origins, &taken, &cells, job).map_err(|error| named.says(error))?;
            let models: HashSet<usize> = taken
                .iter()
                .zip(&origins)
                .filter_map(|(&cell, origin)| match origin {
                    Origin::File(column) if cells.places[cell].is_some() => Some(*column),
                    _ => None,
                })
                .collect();
            named.file.refine(|column| models.contains(&column));
            all_origins.push(Arc::<[Origin]>::from(origins));
        }
        let fields = fields(&files, &all_origins, &taken, &cells, job.to)?;
        let parts = files.into_iter().zip(all_origins).map(|(named, origins)| Part {
            file: named.file,
            origins,
        });
        Ok(Self {
            parts: parts.collect(),
            cells,
            taken,
            fields,
        })
    }
}

/// The columns that a part's file has itself.
pub(super) fn in_file(origins: &[Origin]) -> impl Iterator<Item = usize> {
    origins.iter().filter_map(|origin| match origin {
        Origin::File(column) | Origin::Uuid(column) => Some(*column),
        Origin::Folder(_) | Origin::Nowhere => None,
    })
}

/// The names of all columns, those of the first part first.
fn union(files: &[NamedFile]) -> Result<Vec<String>, ScoreError> {
    if let [alone] = files
        && alone.partitions.is_empty()
    {
        return Ok(alone.file.fields().iter().map(|field| field.name().clone()).collect());
    }
    let (mut names, mut seen) = (Vec::new(), HashSet::new());
    for named in files {
        let own = || named.file.fields().iter().map(|field| field.name().as_str());
        if let Some(name) = column_names::twice(own()) {
            return Err(named.says(HeaderError::Twice { name: excerpt(name) }.into()));
        }
        let stated = named.partitions.iter().map(|(column, _)| column.as_str());
        for name in own().chain(stated) {
            if seen.insert(name.to_owned()) {
                names.push(name.to_owned());
            }
        }
    }
    Ok(names)
}

/// Whether a part has what the model takes, in types that it takes, and a text for what is written as text.
fn check(
    named: &NamedFile,
    origins: &[Origin],
    taken: &[usize],
    cells: &Cells,
    job: &Job<'_>,
) -> Result<(), ScoreError> {
    let schema = job.loaded.model.schema();
    for (&cell, origin) in taken.iter().zip(origins) {
        let place = cells.places[cell];
        let is_id = cells.id == Some(cell);
        let field = match origin {
            Origin::File(column) | Origin::Uuid(column) => &named.file.fields()[*column],
            Origin::Nowhere if place.is_some() || is_id => {
                return Err(ScoreError::PartLacks {
                    column: excerpt(&cells.names[cell]),
                });
            }
            Origin::Folder(_) | Origin::Nowhere => continue,
        };
        let is_value = |column| numbers::is_value(field.data_type(), schema.categories(column).is_some());
        if !place.is_none_or(is_value) || (is_id && !values::is_writable(field.data_type())) {
            return Err(ScoreError::Column {
                name: excerpt(field.name()),
                holds: excerpt(&field.data_type().to_string()),
            });
        }
        if job.output == Output::Rows && job.to != Format::Parquet && !values::is_writable(field.data_type()) {
            return Err(ScoreError::NoText {
                name: excerpt(field.name()),
                holds: excerpt(&field.data_type().to_string()),
                to: job.to.name(),
            });
        }
    }
    named.file.check_codecs(&in_file(origins).collect::<Vec<_>>())
}

/// The types of the columns that are read: one for all parts where they are written as Parquet.
fn fields(
    files: &[NamedFile],
    all_origins: &[Arc<[Origin]>],
    taken: &[usize],
    cells: &Cells,
    to: Format,
) -> Result<Vec<Field>, ScoreError> {
    let mut fields = Vec::with_capacity(taken.len());
    for (index, &cell) in taken.iter().enumerate() {
        let mut found: Option<(DataType, &str)> = None;
        let mut is_nullable = false;
        for (named, origins) in files.iter().zip(all_origins) {
            let data_type = match &origins[index] {
                Origin::File(column) => {
                    let field = &named.file.fields()[*column];
                    is_nullable |= field.is_nullable();
                    field.data_type().clone()
                }
                Origin::Uuid(_) => {
                    is_nullable = true;
                    DataType::Utf8
                }
                Origin::Folder(value) => {
                    is_nullable |= value.is_none();
                    DataType::Utf8
                }
                Origin::Nowhere => DataType::Null,
            };
            is_nullable |= data_type == DataType::Null;
            match &found {
                Some((before, part))
                    if *before != data_type && data_type != DataType::Null && to == Format::Parquet =>
                {
                    return Err(ScoreError::PartTypes {
                        column: excerpt(&cells.names[cell]),
                        part: (*part).to_owned(),
                        holds: before.to_string(),
                        other: named.name.clone(),
                        other_holds: data_type.to_string(),
                    });
                }
                None if data_type != DataType::Null => found = Some((data_type, named.name.as_str())),
                _ => {}
            }
        }
        let data_type = found.map_or(DataType::Null, |(data_type, _)| data_type);
        fields.push(Field::new(&cells.names[cell], data_type, is_nullable));
    }
    Ok(fields)
}
