//! Reads all layers of the configuration: the file, then variables, then flags.

use std::ffi::{OsStr, OsString};
use std::io::{self, IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};

use super::container;
use super::origins::SettingOrigins;
use super::{ConfigError, Fault, LogFormat, SettingSource, Settings, cross_checks, environment, file, keys};

/// What the command line says.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Flags {
    /// `--config`.
    pub config: Option<PathBuf>,
    /// A flag's name without dashes, as `shards`, and its value.
    pub values: Vec<(&'static str, OsString)>,
}

/// All layers as they were read.
#[derive(Debug)]
pub(crate) struct ReadSettings {
    /// What is right; what is faulty or nobody sets has its default.
    pub(crate) settings: Settings,
    pub(crate) told: SettingOrigins,
    /// Those of the file in the order of its lines, then variables, then flags, then what keys demand of each other.
    pub(crate) faults: Vec<Fault>,
}

impl ReadSettings {
    /// The settings, when nothing is wrong with them.
    pub(crate) fn right(self) -> Result<(Settings, SettingOrigins), ConfigError> {
        if self.faults.is_empty() {
            Ok((self.settings, self.told))
        } else {
            Err(ConfigError { faults: self.faults })
        }
    }
}

impl Settings {
    /// Puts everything together: file, then `variables`, then `flags`. `read` reads the file, `terminal` says whether
    /// log lines go to a person.
    ///
    /// # Errors
    /// All faults, each with its place.
    pub fn load(
        flags: &Flags,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
        read: impl FnOnce(&Path) -> io::Result<Vec<u8>>,
        terminal: bool,
    ) -> Result<Self, ConfigError> {
        let read = Self::read_all(flags, variables, read, terminal);
        read.right().map(|(settings, _)| settings)
    }

    /// As [`Self::load`], with who said what.
    #[cfg(test)]
    pub(crate) fn load_told(
        flags: &Flags,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
        read: impl FnOnce(&Path) -> io::Result<Vec<u8>>,
        terminal: bool,
    ) -> Result<(Self, SettingOrigins), ConfigError> {
        Self::read_all(flags, variables, read, terminal).right()
    }

    /// Reads all layers, and every fault of each. What is faulty has its default in the settings.
    pub(crate) fn read_all(
        flags: &Flags,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
        read: impl FnOnce(&Path) -> io::Result<Vec<u8>>,
        terminal: bool,
    ) -> ReadSettings {
        let variables: Vec<_> = variables.into_iter().collect();
        let value = |wanted: &str| {
            variables
                .iter()
                .find(|(name, _)| name == wanted)
                .map(|(_, value)| value)
        };
        let mut settings = Self {
            log: if terminal { LogFormat::Text } else { LogFormat::Json },
            log_colour: terminal && environment::takes_colour(value),
            ..Self::default()
        };
        let named = match (&flags.config, value(environment::CONFIG)) {
            (Some(path), _) => Some((path.clone(), "--config")),
            (None, Some(path)) => Some((PathBuf::from(path), environment::CONFIG)),
            (None, None) => None,
        };
        let (mut faults, mut told) = (Vec::new(), SettingOrigins::default());
        if let Some((path, named_by)) = named {
            match read(&path) {
                Ok(bytes) => faults.extend(file::apply(&mut settings, &mut told, &path, &bytes)),
                Err(error) => faults.push(unread(path, named_by, &error)),
            }
        }
        faults.extend(environment::apply(&mut settings, &mut told, &variables));
        faults.extend(
            flags
                .values
                .iter()
                .filter_map(|(name, value)| settings.flag(&mut told, name, value)),
        );
        let of_several = cross_checks::faults(&settings, &told, |key| {
            faults.iter().any(|fault| fault.leaves_open(key))
        });
        faults.extend(of_several);
        ReadSettings { settings, told, faults }
    }

    /// The input of this process: the file that it names, its environment, and whether its standard error is a
    /// terminal.
    ///
    /// # Errors
    /// All faults, each with its place.
    pub fn of_process(flags: &Flags) -> Result<Self, ConfigError> {
        Self::load_with_origins(flags).map(|(settings, _)| settings)
    }

    /// As [`Self::of_process`], with who said what.
    pub(crate) fn load_with_origins(flags: &Flags) -> Result<(Self, SettingOrigins), ConfigError> {
        Self::read_of_process(flags).right()
    }

    /// As [`Self::read_all`], of this process.
    pub(crate) fn read_of_process(flags: &Flags) -> ReadSettings {
        #[expect(
            clippy::disallowed_methods,
            reason = "this is the one place that reads the environment"
        )]
        let variables = std::env::vars_os();
        let read = |path: &Path| {
            let mut bytes = Vec::new();
            // One byte more than is accepted shows that there is more.
            let limit = u64::try_from(file::FILE_BYTES_MAX).unwrap_or(u64::MAX);
            quintile_scoring::regular_file::open(path)?
                .take(limit + 1)
                .read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        let mut read = Self::read_all(flags, variables, read, io::stderr().is_terminal());
        let settings = &mut read.settings;
        if settings.model.is_none() && settings.models.store.is_none() {
            settings.model = container::model(container::FOLDERS);
        }
        read
    }

    fn flag(&mut self, told: &mut SettingOrigins, name: &str, value: &OsString) -> Option<Fault> {
        let source = SettingSource::Flag(format!("--{name}"));
        let Some(key) = keys::KEYS.iter().find(|key| key.flag == Some(name)) else {
            let message = "there is no such flag".into();
            return Some(Fault {
                source,
                message,
                hint: None,
                key: None,
            });
        };
        self.take_text(told, key, value, source)
    }

    /// Stores what a flag or a variable says, and remembers that it did.
    pub(super) fn take_text(
        &mut self,
        told: &mut SettingOrigins,
        key: &keys::Key,
        value: &OsStr,
        source: SettingSource,
    ) -> Option<Fault> {
        match key.store_text(self, value) {
            Ok(()) => {
                told.add(key, &value.to_string_lossy(), source);
                None
            }
            Err(wrong) => Some(Fault {
                source,
                message: wrong.message,
                hint: wrong.hint,
                key: Some(key.path()),
            }),
        }
    }
}

/// Whether the environment of this process says that its terminal shows colours.
pub(crate) fn wants_colours() -> bool {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the environment"
    )]
    let variables: Vec<_> = std::env::vars_os().collect();
    environment::takes_colour(|wanted| {
        variables
            .iter()
            .find(|(name, _)| name == wanted)
            .map(|(_, value)| value)
    })
}

fn unread(path: PathBuf, named_by: &'static str, error: &io::Error) -> Fault {
    let is_empty = path.as_os_str().is_empty();
    Fault {
        source: if is_empty {
            SettingSource::Variable(named_by.into())
        } else {
            SettingSource::Unread { path, named_by }
        },
        message: if is_empty {
            "names no file; leave it out".into()
        } else {
            format!("cannot be read: {error}")
        },
        hint: None,
        key: None,
    }
}
