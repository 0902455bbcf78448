//! A fault of a configuration: what is wrong, where, and what would be right.

use std::fmt;
use std::path::{Path, PathBuf};

use quintile_model::{BuildError, ManifestError};
use quintile_scoring::loaded::LoadError;
use quintile_scoring::text::Screen;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SettingSource {
    /// A place in the file: line and column count from 1, columns in characters.
    File {
        /// Which file.
        path: PathBuf,
        /// Line.
        line: usize,
        /// Column.
        column: usize,
    },
    /// A file that could not be read at all.
    Unread {
        /// Which file.
        path: PathBuf,
        /// What named it: `--config` or `QUINTILE_CONFIG`.
        named_by: &'static str,
    },
    /// An environment variable.
    Variable(String),
    /// A flag, as `--shards`.
    Flag(String),
    /// A key, as `records.s3_url`, that should have been set anywhere.
    Setting(String),
}

impl fmt::Display for SettingSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line, column } => write!(f, "{}:{line}:{column}", path.display()),
            Self::Unread { path, named_by } => write!(f, "{} ({named_by})", path.display()),
            Self::Variable(name) => f.write_str(name),
            Self::Flag(name) | Self::Setting(name) => f.write_str(name),
        }
    }
}

/// One fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where.
    pub source: SettingSource,
    /// What is wrong, and what is accepted.
    pub message: String,
    /// What was probably meant.
    pub hint: Option<String>,
}

impl Fault {
    /// Why a model cannot be served: a manifest's faults one by one, everything else as it is.
    #[must_use]
    pub fn of_model(error: &LoadError) -> Vec<Self> {
        let list = |path: &Path, error: &ManifestError| {
            let faults = error.faults.iter().map(|fault| Self {
                source: SettingSource::File {
                    path: path.to_path_buf(),
                    line: fault.place.line,
                    column: fault.place.column,
                },
                message: fault.message.clone(),
                hint: None,
            });
            faults.collect()
        };
        match error {
            LoadError::Manifest { path, source } => list(path, source),
            LoadError::Build {
                path,
                source: BuildError::Manifest(source),
            } => list(&path.with_extension("toml"), source),
            other => vec![Self {
                source: SettingSource::Setting("model.path".into()),
                message: other.to_string(),
                hint: None,
            }],
        }
    }

    /// A line in the log, with the words that `check` prints.
    pub(crate) fn log(&self) {
        let (place, hint) = (self.source.to_string(), self.hint.as_deref());
        tracing::error!(place, hint, "{}", self.message);
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.source, self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

/// All faults of a configuration: those of the file in the order of its lines, then variables, then flags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// At least one.
    pub faults: Vec<Fault>,
}

impl ConfigError {
    /// Whether nothing but flags is wrong: a slip on the command line rather than a broken set-up.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        self.faults
            .iter()
            .all(|fault| matches!(fault.source, SettingSource::Flag(_)))
    }
}

impl fmt::Display for ConfigError {
    /// A title and a line for each fault, as many as fit on a screen.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, plural) = (self.faults.len(), if self.faults.len() == 1 { "" } else { "s" });
        let title = format!("the configuration has {count} fault{plural}:");
        Screen::new(title, self.faults.iter().map(Fault::to_string)).fmt(f)
    }
}

impl std::error::Error for ConfigError {}
