//! The names of a file's columns, before anybody knows a model's.

use std::io;
use std::path::Path;

use super::csv_rows::Rows;
use super::opening::Opened;
use super::parquet_file::ParquetFile;
use super::{Format, ScoreError, dialect, header, open};

/// The names of the columns of a file, in its order: of CSV and Parquet, none of what has no header.
///
/// # Errors
/// A file that cannot be opened, or is none of rows.
pub fn header_names(path: &Path, flag: Option<Format>) -> Result<Option<Vec<String>>, ScoreError> {
    let mut no_stdin = io::empty();
    Ok(match open(path, flag, &mut no_stdin)? {
        Opened::Csv(mut text) => {
            let mut separator = None;
            if let Some((stated, bytes)) = dialect::stated_line(text.head()) {
                separator = Some(stated);
                text.skip(bytes);
            }
            let separator = separator.unwrap_or_else(|| dialect::separator_of_nothing_known(text.head()));
            let (names, is_utf8) = Rows::new(text, separator, 1).header()?;
            let names: Vec<String> = names.iter().map(|name| name.trim().to_owned()).collect();
            (is_utf8 && !header::is_data(&names)).then_some(names)
        }
        Opened::Parquet(file) => {
            let file = ParquetFile::open(file)?;
            Some(file.fields().iter().map(|field| field.name().clone()).collect())
        }
        Opened::Json { .. } | Opened::Folder(_) => None,
    })
}
