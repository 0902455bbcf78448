//! One attempt to read the configuration and the model, on a thread of its own, because their file system may not
//! answer.
//!
//! It changes only the spool's list of models, in which a number may stay unused.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use crossbeam_channel::Sender;
use quintile_scoring::loaded::LoadedModel;

use super::parts::{self, ModelNumbers};
use super::secrets::{Lookup, SecretCache};
use super::security::Security;
use crate::config::origins::SettingOrigins;
use crate::config::{Fault, Flags, Settings};
use crate::models::ModelVersion;
use crate::topology;

/// What is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Scope {
    /// The files that the settings in force name, of certificates and keys.
    Files,
    /// The configuration, and all that it names.
    Everything,
}

/// What an attempt starts from.
#[derive(Debug, Clone)]
pub(super) struct AttemptInput {
    pub(super) scope: Scope,
    pub(super) settings: Settings,
    pub(super) flags: Flags,
    /// The model in force; none where models come from a store.
    pub(super) version: Option<Arc<ModelVersion>>,
    pub(super) numbers: Option<ModelNumbers>,
    /// Secrets that were fetched.
    pub(super) secrets: Arc<SecretCache>,
}

/// What was found, and may take the place of what is in force.
pub(super) struct AttemptOutcome {
    pub(super) settings: Settings,
    /// None when the configuration was not read.
    pub(super) told: Option<SettingOrigins>,
    /// None when the model is as it was.
    pub(super) loaded: Option<LoadedModel>,
    /// None in tests of other things.
    pub(super) security: Option<Security>,
}

/// The part of it that is the configuration's.
pub(super) struct AttemptSettings {
    pub(super) settings: Settings,
    pub(super) told: SettingOrigins,
    pub(super) loaded: Option<LoadedModel>,
}

/// Why nothing was found.
pub(super) enum AttemptError {
    Faults(Vec<Fault>),
    /// A bug in Quintile; the panic hook has reported where.
    Panicked,
}

pub(super) type AttemptResult = Result<AttemptOutcome, AttemptError>;

/// The number of an attempt, and its result.
pub(super) type AttemptEnd = (u64, AttemptResult);

/// How it is looked; another one in tests.
pub(super) type AttemptFn = dyn Fn(&AttemptInput) -> Result<AttemptOutcome, Vec<Fault>> + Send + Sync;

/// An attempt under way.
#[derive(Debug)]
pub(super) struct Attempt {
    /// From 1; a later one has a higher number.
    pub(super) number: u64,
    pub(super) began: Instant,
    /// The model in force at its start.
    pub(super) base: Option<Arc<ModelVersion>>,
    /// It has taken longer than it may, and what it finds does not count any more.
    pub(super) is_given_up: bool,
}

impl Attempt {
    /// Starts one; `done` gets its number and its result.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub(super) fn start(
        number: u64,
        input: AttemptInput,
        look: Arc<AttemptFn>,
        done: Sender<AttemptEnd>,
    ) -> io::Result<Self> {
        let base = input.version.clone();
        let run = move || {
            topology::yield_to_shards();
            let found = catch_unwind(AssertUnwindSafe(|| look(&input)));
            // Before the result is sent: its receiver frees the old model.
            drop(input);
            let result = match found {
                Ok(found) => found.map_err(AttemptError::Faults),
                Err(_) => Err(AttemptError::Panicked),
            };
            let _ = done.send((number, result));
        };
        thread::Builder::new().name("reload-look".into()).spawn(run)?;
        Ok(Self {
            number,
            began: Instant::now(),
            base,
            is_given_up: false,
        })
    }
}

/// Everything of a reload that can fail.
pub(super) fn look(input: &AttemptInput) -> Result<AttemptOutcome, Vec<Fault>> {
    if input.scope == Scope::Files {
        return Ok(AttemptOutcome {
            settings: input.settings.clone(),
            told: None,
            loaded: None,
            security: Some(Security::read(&input.settings, &input.secrets, Lookup::Kept)?),
        });
    }
    let (new, told) = Settings::load_with_origins(&input.flags).map_err(|error| error.faults)?;
    let mut settings = input.settings.clone();
    settings.adopt(&new);
    let security = Security::read(&settings, &input.secrets, Lookup::Fresh).map_err(|faults| {
        let located = faults.into_iter().map(|fault| fault.at_its_origin(&told));
        located.collect::<Vec<_>>()
    })?;
    Ok(AttemptOutcome {
        loaded: look_at_model(input, &settings)?,
        settings,
        told: Some(told),
        security: Some(security),
    })
}

/// The model, when it is another one.
fn look_at_model(input: &AttemptInput, settings: &Settings) -> Result<Option<LoadedModel>, Vec<Fault>> {
    let Some(version) = &input.version else {
        return Ok(None);
    };
    let mut loaded = parts::load(settings).map_err(|error| error.faults())?;
    if loaded.is_same_as(&version.loaded) {
        return Ok(None);
    }
    parts::make_ready(&loaded, settings);
    if let Some(numbers) = &input.numbers {
        numbers.enter(&mut loaded).map_err(|error| error.faults())?;
    }
    Ok(Some(loaded))
}
