//! Reads what is compared: the rows and the expected numbers.

use std::path::Path;

use super::expected::Expected;
use super::scores::RowTable;
use super::{Finding, VerifyError, VerifyJob};
use crate::loaded::LoadedModel;
use crate::rows::{Collect, Collected, ScoreError};
use crate::text::excerpt;

/// Before the name of a column of the rows, where a file has that name too.
const COLUMN: &str = "column:";

/// All rows and what is expected of each.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) table: RowTable,
    pub(super) expected: Expected,
    /// The model's columns in the order of the file's.
    pub(super) file_order: Option<Vec<usize>>,
    pub(super) notes: Vec<String>,
    /// What had to be renamed before the rows could be read.
    pub(super) renamed: Option<Finding>,
}

pub(super) fn read(loaded: &LoadedModel, job: &VerifyJob<'_>) -> Result<Read, VerifyError> {
    let failed = |source: ScoreError| VerifyError::Rows {
        path: job.rows.to_path_buf(),
        source: Box::new(source),
    };
    let (file, columns) = expected_place(job.expect);
    fn collect(
        loaded: &LoadedModel,
        job: &VerifyJob<'_>,
        id: Option<&str>,
        renames: &[(String, String)],
    ) -> Result<Collected, ScoreError> {
        let collect = Collect {
            path: job.rows,
            format: job.input,
            id,
            renames,
        };
        collect.run(loaded)
    }
    let first = columns.first().copied();
    let (collected, renames) = match collect(loaded, job, first, &[]) {
        Ok(collected) => (collected, Vec::new()),
        Err(ScoreError::Header(error)) if !error.likely().is_empty() => {
            let renames = error.likely().to_vec();
            // What the header lacks is the cause, should another name not help.
            let collected = collect(loaded, job, first, &renames).map_err(|_| failed(ScoreError::Header(error)))?;
            (collected, renames)
        }
        Err(error) => return Err(failed(error)),
    };
    let expected = match file {
        Some(path) => Expected::of_file(path)?,
        None => {
            let mut texts = vec![collected.ids.clone()];
            for &column in &columns[1..] {
                texts.push(collect(loaded, job, Some(column), &renames).map_err(failed)?.ids);
            }
            Expected::of_columns(&texts, &columns)?
        }
    };
    let Collected {
        values,
        file_order,
        said,
        ..
    } = collected;
    Ok(Read {
        table: RowTable {
            values,
            width: loaded.model.schema().len(),
        },
        expected,
        file_order,
        notes: said,
        renamed: renamed(&renames),
    })
}

/// The file or else the columns that hold the expected numbers.
fn expected_place(expect: &str) -> (Option<&Path>, Vec<&str>) {
    let named = expect.strip_prefix(COLUMN);
    let path = Path::new(expect);
    // What looks like a path is one, so that a file that is absent is said to be.
    let is_path = path.is_file() || expect.contains(std::path::MAIN_SEPARATOR) || path.extension().is_some();
    match named {
        None if is_path => (Some(path), Vec::new()),
        _ => (None, named.unwrap_or(expect).split(',').map(str::trim).collect()),
    }
}

fn renamed(renames: &[(String, String)]) -> Option<Finding> {
    if renames.is_empty() {
        return None;
    }
    let pairs = renames.iter();
    let pairs: Vec<String> = pairs
        .map(|(file, model)| format!("{} is {} in the model", excerpt(file), excerpt(model)))
        .collect();
    Some(Finding {
        cause: "column_name",
        what: format!(
            "columns of the rows have other names than the model's features: {}",
            pairs.join(", ")
        ),
        advice: "rename these columns of the rows; as they are, quintile score and serve refuse them".into(),
        equal: 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expected_numbers_are_a_file_or_columns() {
        assert_eq!(expected_place("p.csv"), (Some(Path::new("p.csv")), vec![]));
        assert_eq!(expected_place("./p"), (Some(Path::new("./p")), vec![]));
        assert_eq!(expected_place("prediction"), (None, vec!["prediction"]));
        assert_eq!(expected_place("column:p.csv"), (None, vec!["p.csv"]));
        assert_eq!(expected_place("p0, p1"), (None, vec!["p0", "p1"]));
    }
}
