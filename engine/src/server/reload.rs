//! Another configuration and another model, put into force while requests are answered.
//!
//! ```text
//!  SIGHUP ─▶ thread "reload" ─▶ thread "reload-look" (nice +10): read the configuration ─▶ load, build, golden rows ─▶
//!                │                  number in the spool; any fault: all are logged, and nothing has changed
//!                ▼
//!            Mail::Registry, Mail::Limits ─▶ every shard, between two requests ─▶ side: metrics
//! ```
//! This has threads of its own and does not run on `worker`: a model takes seconds to compile, and `worker` must encode
//! records in this time. `reload` itself reads no file, so that one that cannot be read (a network mount that hangs)
//! does not stop the next attempt. It keeps the old model until it has the last reference, so that no shard frees it.
//!
//! While an attempt is younger than [`SUPERSEDE`], signals wait for its end; then a signal begins another one beside
//! it. The results of attempts are applied in the order in which the attempts began, so the last signal wins. An
//! attempt that takes longer than `limits.reload_ms` is abandoned: its thread may hang for ever, and there are at most
//! [`ATTEMPTS_MAX`].

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded, never, unbounded};

use super::attempt::{self, Attempt, AttemptEnd, AttemptError, AttemptFn, AttemptInput, AttemptOutcome, AttemptResult};
use super::attempt::{AttemptSettings, Scope};
use super::parts::ModelNumbers;
use super::publish::Publisher;
use super::security::SecurityInForce;
use super::{ServeError, announce, spawn};
use crate::config::change::{Change, InForce};
use crate::config::origins::SettingOrigins;
use crate::config::{Fault, Flags, Settings};
use crate::models::{Command, ModelVersion, ModelsHandle, Registry, SlotNumbers};
use crate::shard::mailbox::Mail;
use crate::side::Reload;
use crate::topology;

/// How often it is looked whether an old model can go, or an attempt has taken too long.
const LOOK: Duration = Duration::from_millis(100);

/// An attempt that is older than this may hang: the next signal does not wait for it.
const SUPERSEDE: Duration = Duration::from_secs(2);

/// Attempts under way at once, those that hang included. Each may hold a model.
const ATTEMPTS_MAX: usize = 4;

/// How the configuration is read again, and what of it lies outside of the server.
#[derive(Debug)]
pub(crate) struct ReloadSource {
    /// The flags of the command line; files and variables are read again.
    pub(crate) flags: Flags,
    /// The settings of the start.
    pub(crate) told: SettingOrigins,
    /// Makes another filter of log lines the one in force.
    pub(crate) set_log_level: fn(&str),
}

/// What reloading needs of the server.
pub(super) struct ReloadParts {
    pub(super) settings: Settings,
    pub(super) again: ReloadSource,
    /// The model in force; none where models come from a store.
    pub(super) version: Option<Arc<ModelVersion>>,
    /// Who keeps the models of a store.
    pub(super) models: Option<ModelsHandle>,
    pub(super) slots: SlotNumbers,
    pub(super) numbers: Option<ModelNumbers>,
    pub(super) publisher: Publisher,
    pub(super) security: Option<SecurityInForce>,
}

/// Starts the thread that reloads when it is asked to.
///
/// # Errors
/// When the thread cannot be started.
pub(super) fn start(parts: ReloadParts, asked: Receiver<()>) -> Result<(), ServeError> {
    let mut reloader = Reloader::new(parts, Arc::new(attempt::look));
    let (changed, files) = bounded(1);
    if let Some(security) = &mut reloader.parts.security {
        security.watch(&changed);
    }
    spawn("reload", move || reloader.run(asked, files))?;
    Ok(())
}

/// The thread `reload`: waits for signals, starts attempts, and puts what they found into force.
struct Reloader {
    parts: ReloadParts,
    in_force: InForce,
    /// Models that other threads may still hold.
    retired: Vec<Arc<ModelVersion>>,
    look: Arc<AttemptFn>,
    attempts: Vec<Attempt>,
    /// Of the last attempt that began, and of the last whose result was taken.
    begun: u64,
    taken: u64,
    /// What waits for an attempt of its own: a signal, or files that have changed.
    asked: Option<Scope>,
    done: (Sender<AttemptEnd>, Receiver<AttemptEnd>),
}

impl Reloader {
    fn new(parts: ReloadParts, look: Arc<AttemptFn>) -> Self {
        Self {
            in_force: InForce::new(&parts.again.told),
            parts,
            retired: Vec::new(),
            look,
            attempts: Vec::new(),
            begun: 0,
            taken: 0,
            asked: None,
            done: unbounded(),
        }
    }

    fn run(mut self, mut asked: Receiver<()>, mut files: Receiver<()>) {
        topology::yield_to_shards();
        let done = self.done.1.clone();
        loop {
            let pause = match self.retired.is_empty() && self.attempts.is_empty() {
                true => Duration::from_secs(600),
                false => LOOK,
            };
            crossbeam_channel::select! {
                recv(asked) -> signal => match signal {
                    Ok(()) => self.ask(Scope::Everything),
                    // No thread receives signals any more.
                    Err(_) => asked = never(),
                },
                recv(files) -> changed => match changed {
                    Ok(()) => self.ask(Scope::Files),
                    // There are none to look at.
                    Err(_) => files = never(),
                },
                recv(done) -> ended => {
                    // This struct has a sender.
                    if let Ok((number, result)) = ended {
                        self.end(number, result);
                    }
                }
                default(pause) => {}
            }
            self.free();
            self.give_up();
            self.begin();
            if let Some(security) = &mut self.parts.security {
                security.tick(&self.parts.publisher);
            }
        }
    }

    /// Releases models that no other thread holds.
    fn free(&mut self) {
        let is_free = |old: &mut Arc<ModelVersion>| Arc::strong_count(old) == 1;
        let freed: Vec<usize> = self.retired.extract_if(.., is_free).map(|old| old.slot).collect();
        if freed.is_empty() {
            return;
        }
        let parts = &mut self.parts;
        if let Some(version) = &parts.version {
            parts.publisher.publish(&registry_of(version), &[], &freed);
        }
        for slot in freed {
            parts.slots.free(slot);
        }
    }

    fn ask(&mut self, scope: Scope) {
        self.asked = self.asked.max(Some(scope));
        if let Some(youngest) = self.attempts.last().filter(|youngest| is_young(youngest)) {
            let since_ms = millis(youngest.began);
            tracing::info!(
                since_ms,
                "a reload is under way: another one follows it, or begins beside it when it hangs"
            );
        }
    }

    /// Attempts that take too long are logged, counted, and then ignored.
    fn give_up(&mut self) {
        let limit = self.parts.settings.limits.reload;
        for attempt in &mut self.attempts {
            if !attempt.is_given_up && attempt.began.elapsed() > limit {
                attempt.is_given_up = true;
                let message = format!(
                    "reading the configuration and the model has taken longer than {} ms: given up",
                    limit.as_millis()
                );
                refused(&[Fault::of_key("limits.reload_ms", message)]);
                self.parts.publisher.side.reloaded(Reload::Refused);
            }
        }
    }

    /// Begins an attempt for a signal that waits for one, unless one is under way that may be trusted to end.
    fn begin(&mut self) {
        let Some(scope) = self.asked.filter(|_| !self.attempts.iter().any(is_young)) else {
            return;
        };
        if self.attempts.len() >= ATTEMPTS_MAX {
            if self.attempts.iter().all(|attempt| attempt.is_given_up) {
                self.asked = None;
                self.refuse(format!(
                    "{ATTEMPTS_MAX} reloads hang, and no more are begun: the configuration or the model cannot be read"
                ));
            }
            return;
        }
        self.asked = None;
        self.begun += 1;
        match scope {
            Scope::Everything => tracing::info!("reloading the configuration and the model"),
            Scope::Files => tracing::info!("a file or a secret of [tls] or [auth] has changed: reading them"),
        }
        let input = AttemptInput {
            scope,
            settings: self.parts.settings.clone(),
            flags: self.parts.again.flags.clone(),
            version: self.parts.version.clone(),
            numbers: self.parts.numbers.clone(),
            secrets: self
                .parts
                .security
                .as_ref()
                .map(SecurityInForce::secrets)
                .unwrap_or_default(),
        };
        match Attempt::start(self.begun, input, Arc::clone(&self.look), self.done.0.clone()) {
            Ok(attempt) => self.attempts.push(attempt),
            Err(error) => self.refuse(format!("start the thread reload-look: {error}")),
        }
    }

    fn refuse(&self, message: String) {
        refused(&[Fault::of_key("server", message)]);
        self.parts.publisher.side.reloaded(Reload::Refused);
    }

    /// An attempt has ended.
    fn end(&mut self, number: u64, result: AttemptResult) {
        let Some(place) = self.attempts.iter().position(|attempt| attempt.number == number) else {
            return;
        };
        let attempt = self.attempts.remove(place);
        let took_ms = millis(attempt.began);
        if attempt.is_given_up || number < self.taken {
            tracing::info!(
                took_ms,
                "a reload that was given up or overtaken has ended: what it found is left out"
            );
            return;
        }
        self.taken = number;
        let outcome = match result {
            // The result is stale: another attempt has applied another model in the meantime.
            Ok(found)
                if found.loaded.is_none()
                    && found.told.is_some()
                    && !is_same(attempt.base.as_ref(), self.parts.version.as_ref()) =>
            {
                self.asked = Some(Scope::Everything);
                return;
            }
            Ok(found) => {
                drop(attempt.base);
                self.put_into_force(found, attempt.began)
            }
            Err(AttemptError::Faults(faults)) => {
                refused(&faults);
                Reload::Refused
            }
            Err(AttemptError::Panicked) => {
                tracing::error!(
                    "not reloaded because of a bug of ours: the configuration and the model are as they were"
                );
                Reload::Refused
            }
        };
        self.parts.publisher.side.reloaded(outcome);
    }

    /// Nothing here fails. A drain that begins now is no reason to stop: shards take messages until their end.
    fn put_into_force(&mut self, next: AttemptOutcome, began: Instant) -> Reload {
        let parts = &mut self.parts;
        if let (Some(security), Some(read)) = (&mut parts.security, next.security) {
            security.replace(read, &parts.publisher);
        }
        let Some(told) = next.told else {
            let took_ms = millis(began);
            tracing::info!(took_ms, "what has changed is in force");
            return Reload::Unchanged;
        };
        let next = AttemptSettings {
            settings: next.settings,
            told,
            loaded: next.loaded,
        };
        self.put_settings_into_force(next, began)
    }

    fn put_settings_into_force(&mut self, next: AttemptSettings, began: Instant) -> Reload {
        let changes = self.in_force.changes(&next.told);
        for change in &changes {
            log(change);
        }
        let parts = &mut self.parts;
        if next.settings.log_level != parts.settings.log_level {
            (parts.again.set_log_level)(&next.settings.log_level);
        }
        if next.settings.limits != parts.settings.limits {
            parts
                .publisher
                .tell_shards(|| Some(Mail::Limits(Box::new(next.settings.limits))));
            parts.publisher.life.set_drain(&next.settings.limits);
        }
        let outcome = match next.loaded {
            Some(loaded) => {
                announce::model(&loaded, true);
                let (slot, number) = parts.slots.take();
                let version = Arc::new(ModelVersion::alone(slot, number, loaded));
                let new = [Arc::clone(&version)];
                if !parts.publisher.publish(&registry_of(&version), &new, &[]) {
                    tracing::warn!("a shard has not taken the model yet: it answers with the old one until it has");
                }
                let to = named(&version);
                if let Some(old) = parts.version.replace(version) {
                    let from = named(&old);
                    tracing::info!(from, to, "another model is served from now on");
                    self.retired.push(old);
                }
                Reload::Swapped
            }
            None => {
                match &parts.version {
                    Some(version) => tracing::info!(model = named(version), "the model is as it was"),
                    None => tracing::info!("the store of models is looked at"),
                }
                if let Some(models) = &parts.models {
                    models.tell(Command::Look);
                }
                Reload::Unchanged
            }
        };
        parts.settings = next.settings;
        self.in_force.adopt(&next.told);
        let restarts = changes.iter().filter(|change| change.takes_restart).count();
        tracing::info!(
            changed = changes.len() - restarts,
            takes_restart = restarts,
            took_ms = millis(began),
            "reloaded"
        );
        outcome
    }
}

fn is_same(one: Option<&Arc<ModelVersion>>, other: Option<&Arc<ModelVersion>>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        (None, None) => true,
        _ => false,
    }
}

/// What shards are told of the one model.
fn registry_of(version: &Arc<ModelVersion>) -> Arc<Registry> {
    Arc::new(Registry::single(Arc::clone(version)))
}

/// Whether it may be trusted to end soon.
fn is_young(attempt: &Attempt) -> bool {
    attempt.began.elapsed() < SUPERSEDE
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// Logs why nothing has changed.
fn refused(faults: &[Fault]) {
    for fault in faults {
        fault.log();
    }
    tracing::error!(
        faults = faults.len(),
        "not reloaded: configuration, model and certificates are as they were"
    );
}

fn named(version: &ModelVersion) -> String {
    format!("{} {}", version.loaded.model.name(), version.version)
}

fn log(change: &Change) {
    let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "not set".into());
    let (key, from, to) = (change.path.as_str(), shown(&change.from), shown(&change.to));
    let source = change
        .source
        .as_ref()
        .map_or_else(|| "default".into(), ToString::to_string);
    if change.takes_restart {
        tracing::warn!(key, from, to, source, "not changed: this key takes a restart");
    } else {
        tracing::info!(key, from, to, source, "changed");
    }
}

#[cfg(test)]
mod tests;
