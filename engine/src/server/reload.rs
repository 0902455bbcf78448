//! Another configuration and another model, put into force while requests are answered.
//!
//! ```text
//!  SIGHUP ─▶ thread "reload" (nice +10): read the configuration ─▶ load, build, golden rows ─▶ number in the spool
//!                │ any fault: all are logged, and nothing has changed
//!                ▼
//!            Mail::Model, Mail::Limits ─▶ every shard, between two requests ─▶ side: metrics
//! ```
//! A thread of its own, not side's worker: a model takes seconds to compile, and records are encoded meanwhile. It keeps
//! the old model until nobody else has it, so that no shard is the one to free it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded};
use quintile_scoring::loaded::Served;

use super::parts::{self, Registry};
use super::{ServeError, announce, spawn};
use crate::accept::Place;
use crate::config::change::{Change, InForce};
use crate::config::told::Tellings;
use crate::config::{Fault, Flags, Settings};
use crate::shard::mailbox::Mail;
use crate::side::{News, Reload};
use crate::topology;

/// How often it is looked whether an old model can go.
const LOOK: Duration = Duration::from_millis(100);

/// A shard takes a model within a turn of its loop; one that has ended never does.
const TAKEN: Duration = Duration::from_secs(5);

/// How the configuration is read again, and what of it lies outside of the server.
#[derive(Debug)]
pub(crate) struct Again {
    /// The flags of the command line: files and variables are looked at anew.
    pub(crate) flags: Flags,
    /// What was told at the start.
    pub(crate) told: Tellings,
    /// Makes another filter of log lines the one in force.
    pub(crate) set_log_level: fn(&str),
}

/// What reloading needs of the server.
pub(super) struct Parts {
    pub(super) settings: Settings,
    pub(super) again: Again,
    pub(super) served: Arc<Served>,
    pub(super) shards: Vec<Place>,
    pub(super) registry: Option<Registry>,
    pub(super) side: News,
    pub(super) ready: Arc<AtomicBool>,
}

/// Asks for reloads. The thread ends with it.
#[derive(Debug)]
pub(super) struct Reloads {
    ask: Sender<()>,
}

impl Reloads {
    pub(super) fn start(parts: Parts) -> Result<Self, ServeError> {
        // One may wait behind the one under way: it will see whatever there is by then.
        let (ask, asked) = bounded(1);
        let in_force = InForce::new(&parts.again.told);
        let thread = Reloader {
            parts,
            in_force,
            retired: Vec::new(),
        };
        spawn("reload", move || thread.run(&asked))?;
        Ok(Self { ask })
    }

    /// Has the configuration and the model looked at, now or when what is under way is done.
    pub(super) fn ask(&self) {
        match self.ask.try_send(()) {
            Ok(()) => {}
            Err(TrySendError::Full(())) => tracing::info!("a reload waits already, and will see this too"),
            Err(TrySendError::Disconnected(())) => tracing::error!("the thread that reloads has ended: restart"),
        }
    }
}

/// See the head of this file.
struct Reloader {
    parts: Parts,
    in_force: InForce,
    /// Models that somebody may still have.
    retired: Vec<Arc<Served>>,
}

/// What is to take the place of what is in force.
struct Next {
    settings: Settings,
    told: Tellings,
    changes: Vec<Change>,
    /// None when the model is as it was.
    served: Option<Served>,
}

impl Reloader {
    fn run(mut self, asked: &Receiver<()>) {
        topology::yield_to_shards();
        loop {
            let next = match self.retired.is_empty() {
                true => asked.recv().map_err(|_| RecvTimeoutError::Disconnected),
                false => asked.recv_timeout(LOOK),
            };
            match next {
                Ok(()) => self.reload(),
                Err(RecvTimeoutError::Timeout) => self.free(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Lets go of models that nobody else has.
    fn free(&mut self) {
        self.retired.retain(|old| Arc::strong_count(old) > 1);
    }

    fn reload(&mut self) {
        tracing::info!("reloading the configuration and the model");
        let began = Instant::now();
        let outcome = match catch_unwind(AssertUnwindSafe(|| self.prepare())) {
            Ok(Ok(next)) => self.put_into_force(next, began),
            Ok(Err(faults)) => {
                for fault in &faults {
                    fault.log();
                }
                tracing::error!(
                    faults = faults.len(),
                    "not reloaded: the configuration and the model are as they were"
                );
                Reload::Refused
            }
            // The hook has said where.
            Err(_) => {
                tracing::error!(
                    "not reloaded because of a bug of ours: the configuration and the model are as they were"
                );
                Reload::Refused
            }
        };
        self.parts.side.reloaded(outcome);
    }

    /// Everything that can fail.
    fn prepare(&self) -> Result<Next, Vec<Fault>> {
        let Parts {
            settings,
            again,
            served: old,
            registry,
            ..
        } = &self.parts;
        let (new, told) = Settings::of_process_told(&again.flags).map_err(|error| error.faults)?;
        let mut settings = settings.clone();
        settings.adopt(&new);
        let mut served = parts::load(&settings).map_err(|error| error.faults())?;
        let is_another = !served.is_same_as(old);
        if is_another {
            // Made here, so that no shard has to.
            served.descriptions();
        }
        if let Some(registry) = registry.as_ref().filter(|_| is_another) {
            registry.enter(&mut served).map_err(|error| error.faults())?;
        }
        Ok(Next {
            settings,
            changes: self.in_force.changes(&told),
            told,
            served: is_another.then_some(served),
        })
    }

    /// Nothing here fails. A drain that begins meanwhile is no reason to stop: shards take letters to their end.
    fn put_into_force(&mut self, next: Next, began: Instant) -> Reload {
        for change in &next.changes {
            log(change);
        }
        let parts = &mut self.parts;
        if next.settings.log_level != parts.settings.log_level {
            (parts.again.set_log_level)(&next.settings.log_level);
        }
        if next.settings.limits != parts.settings.limits {
            parts.tell_shards(|| Mail::Limits(Box::new(next.settings.limits)));
        }
        let outcome = match next.served {
            Some(served) => {
                announce::model(&served);
                let served = Arc::new(served);
                if !parts.hand_over(&served) {
                    tracing::warn!("a shard has not taken the model yet: it answers with the old one until it has");
                }
                parts.side.serves(Arc::clone(&served));
                let old = std::mem::replace(&mut parts.served, Arc::clone(&served));
                let (from, to) = (named(&old), named(&served));
                tracing::info!(from, to, "another model is served from now on");
                self.retired.push(old);
                Reload::Swapped
            }
            None => {
                tracing::info!(model = named(&parts.served), "the model is as it was");
                Reload::Unchanged
            }
        };
        parts.settings = next.settings;
        self.in_force.adopt(&next.told);
        let restarts = next.changes.iter().filter(|change| change.takes_restart).count();
        tracing::info!(
            changed = next.changes.len() - restarts,
            takes_restart = restarts,
            took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
            "reloaded"
        );
        outcome
    }
}

impl Parts {
    /// Gives a model to every shard, and waits until each has taken it; false when one has not in [`TAKEN`], or when the
    /// process drains meanwhile.
    fn hand_over(&self, served: &Arc<Served>) -> bool {
        let taken = |place: &Place| place.gauges.models.load(Ordering::Acquire);
        let before: Vec<usize> = self.shards.iter().map(taken).collect();
        self.tell_shards(|| Mail::Model(Arc::clone(served)));
        let until = Instant::now() + TAKEN;
        while self
            .shards
            .iter()
            .map(taken)
            .zip(&before)
            .any(|(now, before)| now == *before)
        {
            if !self.ready.load(Ordering::Relaxed) || Instant::now() >= until {
                return false;
            }
            thread::sleep(Duration::from_millis(1));
        }
        true
    }

    /// A letter to each shard. A full mailbox empties within a moment; one that does not belongs to a shard that has
    /// ended, and then the process drains.
    fn tell_shards(&self, letter: impl Fn() -> Mail) {
        for shard in &self.shards {
            let mut mail = letter();
            while let Err(back) = shard.address.send(mail) {
                if !self.ready.load(Ordering::Relaxed) {
                    break;
                }
                mail = back;
                thread::sleep(Duration::from_millis(1));
            }
        }
    }
}

fn named(served: &Served) -> String {
    format!("{} {}", served.model.name(), served.model.version())
}

fn log(change: &Change) {
    let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "found out at start".into());
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
mod tests {
    use super::*;
    use crate::shard::mailbox::mailbox;

    #[test]
    fn an_old_model_is_freed_here_and_not_before_every_shard_has_let_go() {
        let (address, mailbox) = mailbox();
        let served = Arc::new(Served::demo_with("version = \"1\""));
        let mut reloader = Reloader {
            in_force: InForce::new(&Tellings::default()),
            retired: Vec::new(),
            parts: Parts {
                settings: Settings::default(),
                again: Again {
                    flags: Flags::default(),
                    told: Tellings::default(),
                    set_log_level: |_| (),
                },
                served: Arc::clone(&served),
                shards: vec![Place {
                    address,
                    gauges: Arc::default(),
                }],
                registry: None,
                side: News::nowhere(),
                // Nobody is there to take a model, so nobody is waited for.
                ready: Arc::new(AtomicBool::new(false)),
            },
        };
        let (old, of_shard) = (Arc::downgrade(&served), served);
        let next = Next {
            settings: Settings::default(),
            told: Tellings::default(),
            changes: Vec::new(),
            served: Some(Served::demo_with("version = \"2\"")),
        };
        assert_eq!(reloader.put_into_force(next, Instant::now()), Reload::Swapped);
        let Some(Mail::Model(new)) = mailbox.try_next() else {
            panic!("the shard has no letter");
        };
        assert_eq!(new.model.version(), "2");
        reloader.free();
        assert!(old.upgrade().is_some(), "the shard still has it");
        // What a shard does when it swaps is not the end of the model.
        drop(of_shard);
        assert!(old.upgrade().is_some(), "the shard would have freed it");
        reloader.free();
        assert!(old.upgrade().is_none() && reloader.retired.is_empty());
    }
}
