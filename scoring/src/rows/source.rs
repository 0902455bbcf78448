//! Rows from a file or stream, a chunk at a time.

use std::collections::HashSet;

use arrow_schema::{DataType, Field};

use super::dialect::Dialect;
use super::header::Cells;
use super::opening::{Opened, Text};
use super::parquet_parts::OpenTable;
use super::{Job, ScoreError, batches, lines, table};
use crate::loaded::LoadedModel;
use crate::read::Workspace;

/// Bytes of a chunk, give or take a row: enough that handing it over costs nothing, few enough for a cache.
pub(super) const CHUNK_BYTES: usize = 256 << 10;

/// Rows of a chunk at most, so that a narrow file also keeps all workers busy.
pub(super) const CHUNK_ROWS: usize = 4096;

/// Bytes of a line that its reader expects; a longer one is read too, but allocates.
const LINE_BYTES: usize = 64 << 10;

/// Where a row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row {
    /// Which row, from 1; the header is 0.
    pub(super) row: u64,
    /// The line it begins on, from 1.
    pub(super) line: u64,
}

/// Some rows, not read any further than it takes to tell them apart.
pub(super) enum Chunk {
    Cells(table::Chunk),
    Lines(lines::Chunk),
    Batch(batches::Chunk),
}

/// A row and its id, or why there is none.
pub(super) type Outcome<'r> = Result<(&'r [f64], Option<&'r str>), ScoreError>;

/// What reading takes, one for each thread.
#[derive(Default)]
pub(super) struct Memory {
    row: Vec<f64>,
    /// For lines of JSON only.
    workspace: Option<Workspace>,
}

impl Chunk {
    /// Gives every row to `take`, with its place in the chunk, until it answers false.
    pub(super) fn read(
        &self,
        loaded: &LoadedModel,
        key: Option<&str>,
        memory: &mut Memory,
        take: impl FnMut(usize, Outcome<'_>) -> bool,
    ) {
        let schema = loaded.model.schema();
        match self {
            Self::Cells(cells) => {
                memory.row.resize(schema.len(), f64::NAN);
                cells.read(schema, &mut memory.row, take);
            }
            Self::Batch(batch) => batch.read(schema, take),
            Self::Lines(lines) => {
                let workspace = memory
                    .workspace
                    .get_or_insert_with(|| Workspace::new(loaded, LINE_BYTES));
                lines.read(loaded, key, workspace, take);
            }
        }
    }

    /// Where a row of the chunk is. Rows of Parquet have no line.
    pub(super) fn place(&self, row: usize) -> Row {
        match self {
            Self::Cells(chunk) => chunk.place(row),
            Self::Lines(chunk) => chunk.place(row),
            Self::Batch(chunk) => chunk.place(row),
        }
    }

    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Cells(chunk) => chunk.bytes(),
            Self::Lines(chunk) => chunk.bytes(),
            Self::Batch(chunk) => chunk.bytes(),
        }
    }
}

/// Rows of any format.
pub(super) enum RowSource<'i> {
    Cells(table::Table<Text<'i>>),
    Lines(lines::Lines<Text<'i>>),
    Batches(batches::Batches),
}

impl<'i> RowSource<'i> {
    /// Reads the header, where there is one.
    pub(super) fn open(job: &Job<'_>, rows: Opened<'i>) -> Result<Self, ScoreError> {
        Ok(match rows {
            Opened::Csv(text) => Self::Cells(table::Table::open(text, job)?),
            Opened::Json { text, is_array } => Self::Lines(lines::Lines::open(text, is_array, job)),
            Opened::Parquet(file) => Self::Batches(batches::Batches::new(OpenTable::open(file, job)?)),
            Opened::Folder(folder) => Self::Batches(batches::Batches::new(OpenTable::open_folder(&folder, job)?)),
        })
    }

    /// How the cells of CSV are written.
    pub(super) fn dialect(&self) -> Option<Dialect> {
        match self {
            Self::Cells(table) => Some(table.dialect()),
            Self::Lines(_) | Self::Batches(_) => None,
        }
    }

    /// What is worth knowing about the header.
    pub(super) fn said(&self) -> &[String] {
        self.cells().map_or(&[], |cells| &cells.said)
    }

    /// What the cells of a row are, where rows have cells.
    pub(super) fn cells(&self) -> Option<&Cells> {
        match self {
            Self::Cells(table) => Some(table.cells()),
            Self::Batches(batches) => Some(batches.cells()),
            Self::Lines(_) => None,
        }
    }

    /// The names that the first lines of JSON have.
    pub(super) fn members(&self) -> HashSet<String> {
        match self {
            Self::Lines(lines) => lines.members(),
            Self::Cells(_) | Self::Batches(_) => HashSet::new(),
        }
    }

    /// The columns as Parquet has them: those of CSV are text.
    pub(super) fn fields(&self) -> Vec<Field> {
        match self {
            Self::Batches(batches) => batches.fields().to_vec(),
            Self::Cells(table) => {
                let names = table.cells().names.iter();
                names.map(|name| Field::new(name, DataType::Utf8, true)).collect()
            }
            Self::Lines(_) => Vec::new(),
        }
    }

    /// The next rows. After an error nothing more may be asked for.
    pub(super) fn next(&mut self) -> Result<Option<Chunk>, ScoreError> {
        Ok(match self {
            Self::Cells(table) => table.next()?.map(Chunk::Cells),
            Self::Lines(lines) => lines.next()?.map(Chunk::Lines),
            Self::Batches(batches) => batches.next()?.map(Chunk::Batch),
        })
    }
}
