//! Every row of a file on the calling thread, for commands that learn from rows.

use std::io;
use std::path::Path;

use super::source::{Memory, RowSource};
use super::{Format, Job, Output, ScoreError, open};
use crate::loaded::LoadedModel;

/// A file of rows.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'p> {
    /// Where it is.
    pub path: &'p Path,
    /// What it is; none lets its name say so.
    pub input: Option<Format>,
    /// Texts that are missing values beside the usual ones.
    pub missing: &'p [String],
}

impl Rows<'_> {
    /// Gives each row to `take`, in column order, NaN for missing.
    ///
    /// # Errors
    /// As [`Job::run`].
    pub fn each(&self, loaded: &LoadedModel, mut take: impl FnMut(&[f64])) -> Result<(), ScoreError> {
        self.each_with(loaded, None, |row, _| take(row))
    }

    /// The same with the text of a column of the file.
    ///
    /// # Errors
    /// As [`Job::run`].
    pub(crate) fn each_with(
        &self,
        loaded: &LoadedModel,
        column: Option<&str>,
        mut take: impl FnMut(&[f64], Option<&str>),
    ) -> Result<(), ScoreError> {
        let mut job = Job::new(loaded, Output::Margin);
        job.missing = self.missing;
        job.id = column;
        job.skips_blank_rows = true;
        let mut no_stdin = io::empty();
        let rows = open(self.path, self.input, &mut no_stdin)?;
        job.input = rows.format();
        let mut source = RowSource::open(&job, rows)?;
        let mut memory = Memory::default();
        let mut fault = None;
        while let Some(chunk) = source.next()? {
            chunk.read(loaded, column, &mut memory, |_, outcome| {
                match outcome {
                    Ok((row, text)) => take(row, text),
                    Err(ScoreError::BlankRow { .. }) => {}
                    Err(error) => fault = Some(error),
                }
                fault.is_none()
            });
            if let Some(fault) = fault {
                return Err(fault);
            }
        }
        Ok(())
    }
}
