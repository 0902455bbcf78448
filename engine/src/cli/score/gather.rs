//! The rows of a file, as the model sees them, without scoring them.

use super::source::{Chunk, Source};
use super::workers::LINE_BYTES;
use super::{Format, Input, Job, Output, ScoreError, format_of, open};
use crate::score::Workspace;
use crate::served::Served;
use std::path::Path;

/// Rows of a file, one after the other, with a value for each column.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    pub(crate) values: Vec<f64>,
    /// Whether the file has more rows than were taken.
    pub(crate) has_more: bool,
    /// What is worth knowing about the header.
    pub(crate) said: Vec<String>,
}

/// Reads the first `rows_max` rows of a file, or of standard input for `-`.
///
/// # Errors
/// As `quintile score` has them.
pub(crate) fn gather(
    served: &Served,
    (path, format): (&Path, Option<Format>),
    rows_max: usize,
    stdin: &mut dyn std::io::Read,
) -> Result<Gathered, ScoreError> {
    let mut job = Job::new(served, Output::Margin);
    job.input = format.or_else(|| format_of(path)).unwrap_or(Format::Csv);
    let input: Input<'_> = open(path, stdin)?;
    let mut source = Source::open(&job, input)?;
    let schema = served.model.schema();
    let values_max = schema.len().saturating_mul(rows_max);
    let mut gathered = Gathered {
        said: source.said().to_vec(),
        ..Gathered::default()
    };
    let mut row = vec![f64::NAN; schema.len()];
    let mut workspace = None;
    while let Some(chunk) = source.next()? {
        let mut take = |row: &[f64]| match gathered.values.len() < values_max {
            true => gathered.values.extend_from_slice(row),
            false => gathered.has_more = true,
        };
        match chunk {
            Chunk::Cells(cells) => cells.read(schema, &mut row, |row, _| take(row))?,
            Chunk::Batch(batch) => batch.read(schema, |row, _| take(row))?,
            Chunk::Lines(lines) => {
                let workspace = workspace.get_or_insert_with(|| Workspace::new(served, LINE_BYTES));
                lines.read(served, None, workspace, |workspace, _| take(workspace.row()))?;
            }
        }
        if gathered.has_more {
            break;
        }
    }
    Ok(gathered)
}
