//! The rows of a file, as the model sees them, without scoring them.

use std::path::Path;

use super::source::{Memory, RowSource};
use super::{Format, Job, Output, ScoreError, open};
use crate::loaded::LoadedModel;

/// Rows of a file, one after the other, with a value for each column.
#[derive(Debug, Default)]
pub struct Gathered {
    /// One row after the other, in column order.
    pub values: Vec<f64>,
    /// Whether the file has more rows than were taken.
    pub has_more: bool,
    /// What is worth knowing about the header.
    pub said: Vec<String>,
}

/// Reads the first `rows_max` rows of a file, or of standard input for `-`.
///
/// # Errors
/// As `quintile score` has them.
pub fn gather(
    loaded: &LoadedModel,
    (path, format): (&Path, Option<Format>),
    rows_max: usize,
    stdin: &mut dyn std::io::Read,
) -> Result<Gathered, ScoreError> {
    let mut job = Job::new(loaded, Output::Margin);
    let rows = open(path, format, stdin)?;
    job.input = rows.format();
    let mut source = RowSource::open(&job, rows)?;
    let schema = loaded.model.schema();
    let values_max = schema.len().saturating_mul(rows_max);
    let mut gathered = Gathered {
        said: source.said().to_vec(),
        ..Gathered::default()
    };
    let mut memory = Memory::default();
    let mut fault = None;
    while let Some(chunk) = source.next()? {
        chunk.read(loaded, None, &mut memory, |_, outcome| {
            match outcome {
                Ok((row, _)) if gathered.values.len() < values_max => gathered.values.extend_from_slice(row),
                Ok(_) => gathered.has_more = true,
                Err(error) => fault = Some(error),
            }
            fault.is_none() && !gathered.has_more
        });
        if let Some(fault) = fault {
            return Err(fault);
        }
        if gathered.has_more {
            break;
        }
    }
    Ok(gathered)
}
