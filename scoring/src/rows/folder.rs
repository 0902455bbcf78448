//! A folder of Parquet parts as Spark, Athena and others write one: which files are parts, and the values in their
//! folders' names (`country=DE/part-0.parquet`).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Parts of a folder at most: each has its end read before the first result.
const PARTS_MAX: usize = 100_000;

/// Folders within folders at most; links may go in circles.
const DEPTH_MAX: usize = 16;

/// Hive's name for null.
const HIVE_NULL: &str = "__HIVE_DEFAULT_PARTITION__";

/// A file of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FolderPart {
    pub(crate) path: PathBuf,
    /// Columns that its folders' names state, outermost first; none is null.
    pub(crate) partitions: Vec<(String, Option<String>)>,
}

/// The files of a folder, in the order of their names. What begins with `_` or `.` is no part, nor is a checksum.
pub(crate) fn parts(folder: &Path) -> io::Result<Vec<FolderPart>> {
    let mut parts = Vec::new();
    collect(folder, &[], DEPTH_MAX, &mut parts)?;
    Ok(parts)
}

fn collect(
    folder: &Path,
    partitions: &[(String, Option<String>)],
    depth: usize,
    parts: &mut Vec<FolderPart>,
) -> io::Result<()> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder)? {
        paths.push(entry?.path());
    }
    paths.sort();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if fs::metadata(&path)?.is_dir() {
            let partition = partition(&name);
            // A column's name may begin with an underscore.
            if name.starts_with('.') || (name.starts_with('_') && partition.is_none()) {
                continue;
            }
            if depth == 0 {
                let says = format!("{}: folders are nested more than {DEPTH_MAX} deep", path.display());
                return Err(io::Error::other(says));
            }
            let inner: Vec<_> = partitions.iter().cloned().chain(partition).collect();
            collect(&path, &inner, depth - 1, parts)?;
        } else if !name.starts_with(['_', '.']) && !name.ends_with(".crc") {
            if parts.len() == PARTS_MAX {
                return Err(io::Error::other(format!("the folder has more than {PARTS_MAX} files")));
            }
            let partitions = partitions.to_vec();
            parts.push(FolderPart { path, partitions });
        }
    }
    Ok(())
}

/// `country=DE`: a column and its value.
fn partition(folder: &str) -> Option<(String, Option<String>)> {
    let (column, value) = folder.split_once('=').filter(|(column, _)| !column.is_empty())?;
    let value = (value != HIVE_NULL).then(|| decoded(value));
    Some((decoded(column), value))
}

/// A name without its percent signs: `a%2Fb` is `a/b`.
fn decoded(name: &str) -> String {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let Some((&byte, behind)) = rest.split_first() {
        let digits = behind.get(..2).filter(|_| byte == b'%');
        let value = digits.and_then(|digits| {
            let digits = std::str::from_utf8(digits)
                .ok()
                .filter(|digits| !digits.starts_with('+'))?;
            u8::from_str_radix(digits, 16).ok()
        });
        bytes.push(value.unwrap_or(byte));
        rest = if value.is_some() { &behind[2..] } else { behind };
    }
    String::from_utf8(bytes).unwrap_or_else(|_| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_names_state_columns() {
        let of = |folder: &str| partition(folder);
        let some = |column: &str, value: &str| Some((column.to_owned(), Some(value.to_owned())));
        assert_eq!(of("country=DE"), some("country", "DE"));
        assert_eq!(of("a%3Db=x%2Fy%20%C3%BC=z"), some("a=b", "x/y ü=z"));
        assert_eq!(of("p=100%"), some("p", "100%"));
        assert_eq!(of("p=%+1"), some("p", "%+1"));
        assert_eq!(of("p="), some("p", ""));
        assert_eq!(of("p=__HIVE_DEFAULT_PARTITION__"), Some(("p".to_owned(), None)));
        assert_eq!(of("2026"), None);
        assert_eq!(of("=x"), None);
    }
}
