//! All rows of a file in memory, with the columns beside the features.

use std::path::Path;

use super::source::{Memory, RowSource};
use super::{Format, Job, Output, ScoreError, open};
use crate::loaded::LoadedModel;

/// Which rows, and what of them.
#[derive(Debug, Clone, Copy)]
pub struct Collect<'c> {
    /// The file or folder.
    pub path: &'c Path,
    /// What it is; none lets the file say so.
    pub format: Option<Format>,
    /// A column whose texts are wanted.
    pub id: Option<&'c str>,
    /// Columns of the file that stand for a feature of another name.
    pub renames: &'c [(String, String)],
}

/// All rows of a file.
#[derive(Debug, Default)]
pub struct Collected {
    /// One row after the other, in column order, NaN for missing.
    pub values: Vec<f64>,
    /// The text of the wanted column in each row.
    pub ids: Vec<String>,
    /// The model's columns in the order of the file's; none where rows have no order.
    pub file_order: Option<Vec<usize>>,
    /// What is worth knowing about the header.
    pub said: Vec<String>,
}

impl Collect<'_> {
    /// Reads them.
    ///
    /// # Errors
    /// As [`Job::run`]; also the first row that cannot be read.
    pub fn run(&self, loaded: &LoadedModel) -> Result<Collected, ScoreError> {
        let mut job = Job::new(loaded, Output::Margin);
        let mut nothing = std::io::empty();
        let rows = open(self.path, self.format, &mut nothing)?;
        job.input = rows.format();
        job.id = self.id;
        job.renames = self.renames;
        let mut source = RowSource::open(&job, rows)?;
        let mut collected = Collected {
            said: source.said().to_vec(),
            file_order: source
                .cells()
                .map(|cells| cells.places.iter().copied().flatten().collect()),
            ..Collected::default()
        };
        let mut memory = Memory::default();
        let mut fault = None;
        while let Some(chunk) = source.next()? {
            chunk.read(loaded, self.id, &mut memory, |_, outcome| {
                match outcome {
                    Ok((row, id)) => {
                        collected.values.extend_from_slice(row);
                        if self.id.is_some() {
                            collected.ids.push(id.unwrap_or_default().to_owned());
                        }
                    }
                    Err(error) => fault = Some(error),
                }
                fault.is_none()
            });
            if let Some(fault) = fault {
                return Err(fault);
            }
        }
        Ok(collected)
    }
}
