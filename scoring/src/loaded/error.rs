//! Why a model cannot be served: the step that failed, and on which file.

use std::io;
use std::path::{Path, PathBuf};

use quintile_model::{BuildError, FormatError, GoldenFault, ManifestError};

use crate::loaded::bundle::BundleError;

/// Why a model cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file that cannot be read.
    #[error("read {path}: {source}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// A path at which there is nothing.
    #[error("read {path}: there is no such file{}", near(.neighbour.as_deref(), .folder))]
    Absent {
        /// Which path.
        path: PathBuf,
        /// The folder a relative path was looked for in; empty for an absolute one.
        folder: PathBuf,
        /// A file that was probably meant.
        neighbour: Option<PathBuf>,
    },
    /// A folder where a model file is needed.
    #[error("read {path}: it is a folder, not a model file{}", inside(.models))]
    Folder {
        /// Which folder.
        path: PathBuf,
        /// Files in it that may be models, a few of them.
        models: Vec<PathBuf>,
    },
    /// A model folder of another server that cannot be served.
    #[error("read the model folder {path}: {source}")]
    Bundle {
        /// Which folder or archive.
        path: PathBuf,
        /// Why not.
        source: BundleError,
    },
    /// A folder that says something else of its model than the model file.
    #[error("{path}: {message}")]
    Contradicted {
        /// Which folder.
        path: PathBuf,
        /// What does not fit.
        message: String,
    },
    /// A manifest that is no text.
    #[error("read the manifest {path}: byte {offset} is not UTF-8")]
    ManifestText {
        /// Which file.
        path: PathBuf,
        /// The first byte that is wrong, from 0.
        offset: usize,
    },
    /// A file that is no model we can evaluate exactly.
    #[error("load {path}: {source}")]
    Format {
        /// Which file.
        path: PathBuf,
        /// What is wrong, and where.
        source: FormatError,
    },
    /// A manifest with faults of its own.
    #[error("read the manifest {path}: {source}")]
    Manifest {
        /// Which file.
        path: PathBuf,
        /// All faults, with line and column.
        source: ManifestError,
    },
    /// Model, manifest and options that do not fit.
    #[error("build {path}: {source}")]
    Build {
        /// The model file.
        path: PathBuf,
        /// What does not fit.
        source: BuildError,
    },
    /// A golden row that is not met.
    #[error("check {path}: {source}; {}", .change.advice(.path))]
    Golden {
        /// The model file.
        path: PathBuf,
        /// Which row, and both numbers.
        source: GoldenFault,
        /// Whether the model file has changed since the manifest was written.
        change: FileChange,
    },
}

/// Whether a model file is the one that its manifest was written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileChange {
    /// It is another file.
    Changed,
    /// It is the same.
    Same,
    /// The manifest does not say.
    Unknown,
}

impl FileChange {
    /// From the digest that the manifest has, and that of the file.
    #[must_use]
    pub fn of(written_for: Option<&str>, sha256: &str) -> Self {
        match written_for {
            None => Self::Unknown,
            Some(digest) if digest.eq_ignore_ascii_case(sha256) => Self::Same,
            Some(_) => Self::Changed,
        }
    }

    /// What a golden row that is not met means, and what to do.
    fn advice(self, path: &Path) -> String {
        let renew = format!("quintile manifest init {} ROWS --renew", path.display());
        match self {
            Self::Changed => {
                format!("the model file has changed since its manifest was written: after retraining, run {renew}")
            }
            Self::Same => {
                "the model file is the one that the manifest was written for, so the row was changed, or its numbers are \
                 those of another model or of another --trees"
                    .to_owned()
            }
            Self::Unknown => {
                format!("if the model file has changed since these rows were written, as after retraining, run {renew}")
            }
        }
    }
}

fn near(neighbour: Option<&Path>, folder: &Path) -> String {
    match neighbour {
        Some(path) => format!("; did you mean {}?", path.display()),
        None if folder.as_os_str().is_empty() => String::new(),
        None => format!(" in {}", folder.display()),
    }
}

fn inside(models: &[PathBuf]) -> String {
    if models.is_empty() {
        return String::new();
    }
    let names: Vec<_> = models.iter().map(|path| path.display().to_string()).collect();
    format!("; did you mean {}?", names.join(" or "))
}
