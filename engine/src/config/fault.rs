//! A fault of a configuration: what is wrong, where, and what would be right.

use std::fmt;
use std::path::{Path, PathBuf};

use super::origins::SettingOrigins;
use quintile_model::{BuildError, ManifestError};
use quintile_scoring::loaded::LoadError;

/// Faults that are printed: ten times as many as there are keys. A file with more is no configuration.
const FAULTS_MAX: usize = 500;

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
    /// What was probably meant, or what to do next.
    pub hint: Option<String>,
    /// The key that it leaves unknown, as `server.listen`, or the section; none when it is no key of ours.
    pub key: Option<String>,
}

impl Fault {
    /// A fault of a key's value.
    #[must_use]
    pub(crate) fn of_key(key: &str, message: impl fmt::Display) -> Self {
        Self {
            source: SettingSource::Setting(key.into()),
            message: message.to_string(),
            hint: None,
            key: Some(key.into()),
        }
    }

    /// The same with what to do next.
    #[must_use]
    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same at the place where its key is set, if anybody set it.
    #[must_use]
    pub(crate) fn at_its_origin(mut self, told: &SettingOrigins) -> Self {
        if let (SettingSource::Setting(key), Some(source)) =
            (&self.source, self.key.as_deref().and_then(|key| told.source(key)))
        {
            self.message = format!("{key}: {}", self.message);
            self.source = source.clone();
        }
        self
    }

    /// Whether nobody knows what a key was to be, for the fault is in its value, its section's name, or the whole file.
    pub(crate) fn leaves_open(&self, key: &str) -> bool {
        match (&self.key, &self.source) {
            (Some(faulty), _) => {
                key == faulty
                    || key
                        .strip_prefix(faulty.as_str())
                        .is_some_and(|rest| rest.starts_with('.'))
            }
            (None, SettingSource::File { .. } | SettingSource::Unread { .. }) => true,
            (None, _) => false,
        }
    }

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
                key: None,
            });
            faults.collect()
        };
        match error {
            LoadError::Manifest { path, source } => list(path, source),
            LoadError::Build {
                path,
                source: BuildError::Manifest(source),
            } => list(&path.with_extension("toml"), source),
            LoadError::Build {
                source: BuildError::Kernel(why),
                ..
            } => vec![
                Self::of_key("model.kernel", why)
                    .with_hint("auto takes the fastest that can run here: quintile version"),
            ],
            LoadError::Build {
                source: BuildError::Best(why),
                ..
            } => vec![Self::of_key("model.trees", why)],
            other => vec![Self::of_key("model.path", other)],
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
    /// A title and a line for each fault.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, plural) = (self.faults.len(), if self.faults.len() == 1 { "" } else { "s" });
        write!(f, "the configuration has {count} fault{plural}:")?;
        for fault in self.faults.iter().take(FAULTS_MAX) {
            write!(f, "\n  {fault}")?;
        }
        match count.saturating_sub(FAULTS_MAX) {
            0 => Ok(()),
            more => write!(f, "\n  and {more} more"),
        }
    }
}

impl std::error::Error for ConfigError {}
