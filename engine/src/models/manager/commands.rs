//! What operators ask for. A decision is kept in the store before it is put into force, so that of two who decide at
//! once one is told; the answer comes when every shard has what was decided.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use super::{Manager, Model, Request, Waiting};
use crate::models::decisions::{Decisions, RolledBack};
use crate::models::loader::LoadRefusal;
use crate::models::store::StoreError;
use crate::models::store::number;

/// What is asked.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Load a version; without one, look at the store and load what the configuration names.
    Load {
        /// The model.
        name: String,
        /// Its version.
        version: Option<String>,
    },
    /// Unload a version; without one, all that are not in use.
    Unload {
        /// The model.
        name: String,
        /// Its version.
        version: Option<String>,
    },
    /// Set aliases, all at one instant.
    Aliases {
        /// The model.
        name: String,
        /// Versions by alias; none takes an alias away.
        aliases: BTreeMap<String, Option<String>>,
    },
    /// Make the champion of before champion again.
    RollBack {
        /// The model.
        name: String,
    },
    /// Set the split.
    Split {
        /// The model.
        name: String,
        /// Percent by alias.
        shares: Vec<(String, f64)>,
    },
    /// Set the shadow, or end it.
    Shadow {
        /// The model.
        name: String,
        /// The version, and the part of the leads.
        shadow: Option<(String, f64)>,
    },
    /// The comparison of a new champion with the one before is over: whether it is taken back.
    Compared {
        /// The model.
        name: String,
        /// The number of the comparison.
        number: u64,
        /// How far apart the predictions are, when that is too far.
        too_far: Option<(f64, u64)>,
    },
    /// Look at the store now.
    Look,
}

/// Why something is not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The status of the answer.
    pub status: u16,
    /// A word for programs.
    pub code: &'static str,
    /// For people.
    pub reason: String,
}

/// What came of a command.
pub type Reply = Result<(), Refusal>;

impl Refusal {
    pub(super) fn new(status: u16, code: &'static str, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self { status, code, reason }
    }

    pub(super) fn draining() -> Self {
        Self::new(503, "draining", "the process ends")
    }

    fn unknown(name: &str) -> Self {
        Self::new(404, "unknown_model", format!("the store has no model {name:?}"))
    }

    pub(super) fn invalid(reason: impl Into<String>) -> Self {
        Self::new(422, "invalid_request", reason)
    }

    pub(super) fn conflict(reason: impl Into<String>) -> Self {
        Self::new(409, "conflict", reason)
    }
}

impl From<&LoadRefusal> for Refusal {
    fn from(refusal: &LoadRefusal) -> Self {
        let (status, code) = if refusal.is_memory {
            (507, "no_memory")
        } else {
            (422, "not_loaded")
        };
        Self::new(status, code, refusal.reason.clone())
    }
}

impl Manager {
    /// Does what is asked, and answers unless a load has to end first.
    pub(super) fn serve(&mut self, request: Request) {
        let Request { command, reply } = request;
        match command {
            Command::Load { name, version } => self.load(&name, version.as_deref(), false, reply),
            Command::RollBack { name } => match self.rolled_back_to(&name) {
                Ok(version) => self.load(&name, Some(&version.to_string()), true, reply),
                Err(refusal) => drop(reply.send(Err(refusal))),
            },
            other => drop(reply.send(self.decide(other))),
        }
    }

    fn decide(&mut self, command: Command) -> Reply {
        let (name, decisions) = match command {
            Command::Unload { name, version } => {
                let decisions = self.unloaded(&name, version.as_deref())?;
                (name, decisions)
            }
            Command::Aliases { name, aliases } => {
                let decisions = self.aliased(&name, &aliases)?;
                (name, decisions)
            }
            Command::Split { name, shares } => {
                let decisions = self.split(&name, &shares)?;
                (name, decisions)
            }
            Command::Shadow { name, shadow } => {
                let decisions = self.shadowed(&name, shadow)?;
                (name, decisions)
            }
            Command::Compared { name, number, too_far } => return self.compared(&name, number, too_far),
            Command::Look => {
                self.look();
                return Ok(());
            }
            // Those that may have to wait are served before.
            Command::Load { .. } | Command::RollBack { .. } => return Ok(()),
        };
        self.keep(&name, decisions)?;
        self.settle();
        Ok(())
    }

    /// Keeps decisions in the store; of two who decide at once, one is told.
    pub(super) fn keep(&mut self, name: &str, decisions: Decisions) -> Reply {
        let Some(model) = self.models.get(name) else {
            return Err(Refusal::unknown(name));
        };
        if model.decisions == decisions {
            return Ok(());
        }
        let after = model.revision;
        match self.store.write_state(name, after, &decisions.render()) {
            Ok(()) => {
                if let Some(model) = self.models.get_mut(name) {
                    (model.decisions, model.revision) = (decisions, after + 1);
                }
                Ok(())
            }
            Err(error @ StoreError::Conflict) => {
                self.read_decisions_of(name);
                self.settle();
                Err(Refusal::conflict(error.to_string()))
            }
            Err(error) => Err(Refusal::new(500, "not_kept", error.to_string())),
        }
    }

    pub(super) fn known(&self, name: &str) -> Result<&Model, Refusal> {
        self.models.get(name).ok_or_else(|| Refusal::unknown(name))
    }

    /// A version that is ready, by its name.
    pub(super) fn ready(&self, name: &str, version: &str) -> Result<u64, Refusal> {
        let model = self.known(name)?;
        let number = number(version).ok_or_else(|| not_a_version(version))?;
        match model.versions.get(&number) {
            Some(known) if known.ready.is_some() => Ok(number),
            Some(known) => {
                let state = known.state();
                let why = known
                    .failed
                    .as_deref()
                    .map(|why| format!(": {why}"))
                    .unwrap_or_default();
                Err(Refusal::conflict(format!(
                    "version {version} of {name} is {state}, not ready{why}"
                )))
            }
            None => Err(Refusal::conflict(format!("{name} has no version {version}"))),
        }
    }

    fn load(&mut self, name: &str, version: Option<&str>, goes_back: bool, reply: tokio::sync::oneshot::Sender<Reply>) {
        self.look();
        let number = match self.to_be_loaded(name, version) {
            Ok(Some(number)) => number,
            Ok(None) => return drop(reply.send(Ok(()))),
            Err(refusal) => return drop(reply.send(Err(refusal))),
        };
        let kept = match self.models.get(name) {
            Some(model) if !goes_back && version.is_some() => {
                let mut decisions = model.decisions.clone();
                decisions.unloaded.remove(&number);
                decisions.loaded.insert(number);
                self.keep(name, decisions)
            }
            _ => Ok(()),
        };
        if let Err(refusal) = kept {
            return drop(reply.send(Err(refusal)));
        }
        if let Some(known) = self.version_mut(name, number) {
            // The operator asks for another try, and knows that the file is whole.
            known.failed = None;
            known.is_still = true;
            let is_changed = known.ready.is_none() || Some(known.tried) != known.stamp;
            let is_queued = known.is_loading || self.to_load.iter().any(|(own, of)| own == name && *of == number);
            if is_changed && !is_queued {
                self.to_load.push_front((name.to_owned(), number));
            }
        }
        self.waiting.push(Waiting {
            name: name.to_owned(),
            version: number,
            goes_back,
            reply,
        });
        self.begin_loads();
        self.answer_waiting();
    }

    /// The version that a load means; none when all that the configuration names is loaded.
    fn to_be_loaded(&self, name: &str, version: Option<&str>) -> Result<Option<u64>, Refusal> {
        let model = self.known(name)?;
        let Some(version) = version else {
            let named = super::look::named_by(model, &self.settings);
            let missing = |number: &&u64| {
                model
                    .versions
                    .get(number)
                    .is_some_and(|version| version.ready.is_none())
            };
            return Ok(named.iter().rev().find(missing).copied());
        };
        let number = number(version).ok_or_else(|| not_a_version(version))?;
        let is_there = model
            .versions
            .get(&number)
            .is_some_and(|known| known.stamp.is_some() || known.ready.is_some());
        if !is_there {
            return Err(Refusal::new(
                422,
                "not_loaded",
                format!("the store has no version {version} of {name}"),
            ));
        }
        Ok(Some(number))
    }

    /// Answers those who wait for a version that is ready now.
    pub(super) fn answer_waiting(&mut self) {
        let mut is_back = false;
        for waiting in std::mem::take(&mut self.waiting) {
            let known = self
                .models
                .get(&waiting.name)
                .and_then(|model| model.versions.get(&waiting.version));
            let is_loading = self.loading.contains(&(waiting.name.clone(), waiting.version))
                || self.to_load.contains(&(waiting.name.clone(), waiting.version));
            let reply = match known {
                Some(known) if known.ready.is_some() && !is_loading => Ok(()),
                Some(_) if is_loading => {
                    self.waiting.push(waiting);
                    continue;
                }
                Some(known) => Err(Refusal::new(
                    422,
                    "not_loaded",
                    known.failed.clone().unwrap_or_default(),
                )),
                None => Err(Refusal::unknown(&waiting.name)),
            };
            let reply = match reply {
                Ok(()) if waiting.goes_back => {
                    is_back = true;
                    self.go_back(&waiting.name)
                }
                reply => reply,
            };
            let _ = waiting.reply.send(reply);
        }
        if is_back {
            self.begin_loads();
        }
    }

    pub(super) fn refuse_waiting(&mut self, name: &str, version: u64, refusal: &LoadRefusal) {
        let is_it = |waiting: &mut Waiting| waiting.name == name && waiting.version == version;
        let refused: Vec<Waiting> = self.waiting.extract_if(.., is_it).collect();
        for waiting in refused {
            let _ = waiting.reply.send(Err(Refusal::from(refusal)));
        }
        // It was not loaded, so there is nothing to hold on to.
        let Some(model) = self
            .models
            .get(name)
            .filter(|model| model.decisions.loaded.contains(&version))
        else {
            return;
        };
        let mut decisions = model.decisions.clone();
        decisions.loaded.remove(&version);
        if let Err(error) = self.keep(name, decisions) {
            tracing::warn!(
                model = name,
                version,
                reason = error.reason,
                "a load that failed stays written down"
            );
        }
    }

    /// The version that going back leads to.
    fn rolled_back_to(&self, name: &str) -> Result<u64, Refusal> {
        let before = self.known(name)?.decisions.before.last();
        before
            .copied()
            .ok_or_else(|| Refusal::conflict(format!("{name} has had no other champion")))
    }

    /// Makes the champion of before, which is loaded, champion again.
    fn go_back(&mut self, name: &str) -> Reply {
        let mut decisions = self.known(name)?.decisions.clone();
        let Some(to) = decisions.before.pop() else {
            return Err(Refusal::conflict(format!("{name} has had no other champion")));
        };
        decisions.aliases.insert("champion".into(), to);
        decisions.unloaded.remove(&to);
        self.keep(name, decisions)?;
        self.settle();
        Ok(())
    }

    /// A new champion was compared with the one before.
    fn compared(&mut self, name: &str, number: u64, too_far: Option<(f64, u64)>) -> Reply {
        let Some(model) = self.models.get_mut(name) else {
            return Ok(());
        };
        let Some(watch) = model.watch.take_if(|watch| watch.number == number) else {
            return Ok(());
        };
        let champion = model.champion.filter(|champion| {
            let ready = model.versions.get(champion).and_then(|version| version.ready.as_ref());
            ready.is_some_and(|ready| ready.number == watch.champion)
        });
        let (Some((psi, rows)), Some(from), Ok(to)) = (too_far, champion, watch.old.version.parse::<u64>()) else {
            tracing::info!(
                model = name,
                "the new champion's predictions are near those of the one before"
            );
            self.settle();
            return Ok(());
        };
        tracing::error!(
            model = name,
            from,
            to,
            prediction_psi = psi,
            rows,
            "the new champion's predictions are far from those of the one before on the same rows: it is taken back"
        );
        let mut decisions = model.decisions.clone();
        if decisions.before.last() == Some(&to) {
            decisions.before.pop();
        }
        decisions.aliases.insert("champion".into(), to);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        decisions.rolled_back = Some(RolledBack {
            from,
            to,
            prediction_psi: psi,
            rows,
            at_unix_s: now.as_secs(),
        });
        self.keep(name, decisions)?;
        self.settle();
        Ok(())
    }
}

pub(super) fn not_a_version(version: &str) -> Refusal {
    Refusal::invalid(format!("{version:?} is no version; accepted: a whole number, as \"2\""))
}
