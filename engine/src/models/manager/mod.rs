//! Keeps the models of a store: looks what is there, loads and frees, and puts into force what operators decide.
//!
//! ```text
//! store ─ look, every poll_seconds ─▶ what should be loaded ─▶ loader threads ─▶ a new registry ─▶ every shard
//! operators ── Command ──▶ decisions in the store (one of two wins) ──────────────────┘        answered when all have it
//! ```
//! One thread, `models`, which no shard waits for. A version that does not load changes nothing but its own state.

mod commands;
mod decide;
mod look;
mod overview;
mod registry;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, unbounded};
use quintile_model::Options;
use quintile_scoring::loaded::describe::Text;
use serde_json::Value;

use super::decisions::Decisions;
use super::loader::{self, EnterRecords, LoadEnd, LoadOrder};
use super::registry::{ModelVersion, Registry};
use super::slots::SlotNumbers;
use super::store::{ModelStore, StoreError};
use crate::config::models::ModelsSettings;

pub use commands::{Command, Refusal, Reply};

/// Models that are loaded at once. More would take the CPU from each other.
const LOADS_MAX: usize = 2;

/// How often it is looked whether a model can be freed.
const FREE_LOOK: Duration = Duration::from_millis(100);

/// Gives every shard a registry, with the versions that are new in it and the slots that are empty; true when all have
/// taken it.
pub type PublishFn = dyn FnMut(&Arc<Registry>, &[Arc<ModelVersion>], &[usize]) -> bool + Send;

/// Why a store cannot be served at the start.
#[derive(Debug, thiserror::Error)]
pub enum StoreStartError {
    /// It cannot be read.
    #[error("models.store: {0}")]
    Store(#[from] StoreError),
    /// It has several models, and none is named.
    #[error("models.default is needed to say which model POST /score means; the store has {0}")]
    NoDefault(String),
    /// The default model has no version that can be served.
    #[error("models.default: {name} has no version that can be served: {why}")]
    NoChampion {
        /// Its name.
        name: String,
        /// What is wrong with each version.
        why: String,
    },
}

/// A question to the manager, and the way back.
#[derive(Debug)]
struct Request {
    command: Command,
    reply: tokio::sync::oneshot::Sender<Reply>,
}

/// Speaks to the manager.
#[derive(Debug, Clone)]
pub struct ModelsHandle {
    requests: Sender<Request>,
    overview: Arc<Mutex<Arc<Value>>>,
}

impl ModelsHandle {
    /// Asks for a change; the answer comes when every shard has it, or when it is refused.
    pub async fn ask(&self, command: Command) -> Reply {
        let (reply, answer) = tokio::sync::oneshot::channel();
        // A manager that has ended drops the way back, which is an answer too.
        let _ = self.requests.send(Request { command, reply });
        answer.await.unwrap_or_else(|_| Err(Refusal::draining()))
    }

    /// Says something that needs no answer.
    pub fn tell(&self, command: Command) {
        let (reply, _) = tokio::sync::oneshot::channel();
        let _ = self.requests.send(Request { command, reply });
    }

    /// What is served, as of the last change: what `GET /v1/models` says.
    #[must_use]
    pub fn overview(&self) -> Arc<Value> {
        Arc::clone(&self.overview.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// One model and all of its versions.
#[derive(Debug, Default)]
struct Model {
    versions: BTreeMap<u64, Version>,
    decisions: Decisions,
    revision: u64,
    /// Who answers now.
    champion: Option<u64>,
    /// What the split and the shadow were when they got their numbers.
    split: (String, u64),
    shadow: (String, u64),
    /// The champion of before, while the new one is compared with it.
    watch: Option<Watch>,
}

/// A champion of before that scores beside the new one.
#[derive(Debug)]
struct Watch {
    number: u64,
    /// The number of the version that is watched.
    champion: u64,
    old: Arc<ModelVersion>,
}

/// One version.
#[derive(Debug, Default)]
struct Version {
    /// Of what is in the store; none when it is gone from there.
    stamp: Option<u64>,
    is_still: bool,
    is_loading: bool,
    ready: Option<Arc<ModelVersion>>,
    /// The content that `ready` or `failed` is of.
    tried: u64,
    failed: Option<String>,
}

impl Version {
    fn state(&self) -> &'static str {
        match self {
            Self { ready: Some(_), .. } => "ready",
            Self { is_loading: true, .. } => "loading",
            Self { failed: Some(_), .. } => "failed",
            _ => "unloaded",
        }
    }
}

/// Who waits for a version to be loaded.
struct Waiting {
    name: String,
    version: u64,
    /// Whether it becomes champion then, because the operator goes back to it.
    goes_back: bool,
    reply: tokio::sync::oneshot::Sender<Reply>,
}

/// The thread `models`: what it knows of the store, the registry in force, and operators' requests.
pub struct Manager {
    settings: ModelsSettings,
    options: Options,
    store: Box<dyn ModelStore>,
    yield_to_shards: fn(),
    slots: SlotNumbers,
    models: BTreeMap<String, Model>,
    default: String,
    enter: Arc<EnterRecords>,
    publish: Box<PublishFn>,
    /// Versions that somebody may still have.
    retired: Vec<Arc<ModelVersion>>,
    /// Versions that shards have not got yet.
    fresh: Vec<Arc<ModelVersion>>,
    to_load: VecDeque<(String, u64)>,
    loading: BTreeSet<(String, u64)>,
    waiting: Vec<Waiting>,
    loads: (Sender<LoadEnd>, Receiver<LoadEnd>),
    /// Loads since the start, by model and what came of them.
    load_counts: BTreeMap<(String, &'static str), u64>,
    last_number: u64,
    /// The document of all champions, and which those were.
    described: (String, Option<Text>),
    /// What the registry that shards have is made of.
    published: String,
    handle: Option<ModelsHandle>,
    requested: Receiver<Request>,
    overview: Arc<Mutex<Arc<Value>>>,
    look_failed: bool,
}

impl std::fmt::Debug for Manager {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Manager")
            .field("models", &self.models)
            .finish_non_exhaustive()
    }
}

impl Manager {
    /// Reads a store and loads what is to be served from the start. Nothing runs afterwards.
    ///
    /// # Errors
    /// When the default model cannot be served.
    pub fn open(
        settings: ModelsSettings,
        options: Options,
        store: Box<dyn ModelStore>,
        yield_to_shards: fn(),
    ) -> Result<Self, StoreStartError> {
        let (requests, requested) = unbounded();
        let overview: Arc<Mutex<Arc<Value>>> = Arc::default();
        let mut manager = Self {
            handle: Some(ModelsHandle {
                requests,
                overview: Arc::clone(&overview),
            }),
            requested,
            default: settings.default.clone().unwrap_or_default(),
            settings,
            options,
            store,
            yield_to_shards,
            slots: SlotNumbers::default(),
            models: BTreeMap::new(),
            enter: Arc::new(|_| Ok(())),
            publish: Box::new(|_, _, _| true),
            retired: Vec::new(),
            fresh: Vec::new(),
            to_load: VecDeque::new(),
            loading: BTreeSet::new(),
            waiting: Vec::new(),
            loads: unbounded(),
            load_counts: BTreeMap::new(),
            last_number: 0,
            described: (String::new(), None),
            published: String::new(),
            overview,
            look_failed: false,
        };
        manager.look_first()?;
        let names: Vec<String> = manager.models.keys().cloned().collect();
        if manager.settings.default.is_none() {
            match names.as_slice() {
                [only] => manager.default.clone_from(only),
                _ => return Err(StoreStartError::NoDefault(listed(&names))),
            }
        }
        Ok(manager)
    }

    /// Loads everything that is to be served, one after the other, and makes the first registry. `enter` gives records
    /// their numbers.
    ///
    /// # Errors
    /// When the default model has no version that can be served.
    pub fn load_first(&mut self, enter: Arc<EnterRecords>) -> Result<Arc<Registry>, StoreStartError> {
        self.enter = enter;
        self.plan_loads();
        while let Some((name, version)) = self.to_load.pop_front() {
            let Some(order) = self.order(&name, version) else {
                continue;
            };
            let stamp = order.stamp;
            let enter = Arc::clone(&self.enter);
            let mut result = loader::load(&order);
            if let Ok(loaded) = &mut result
                && let Err(reason) = enter(loaded)
            {
                result = Err(loader::LoadRefusal {
                    reason,
                    is_memory: false,
                });
            }
            self.take_load(LoadEnd {
                name,
                version,
                stamp,
                result,
            });
        }
        for model in self.models.values_mut() {
            model.champion = champion_of(model, &self.settings);
        }
        let registry = self.registry().ok_or_else(|| self.no_champion())?;
        self.fresh.clear();
        self.tell_overview();
        Ok(registry)
    }

    fn no_champion(&self) -> StoreStartError {
        let reasons = self.models.get(&self.default).map(|model| {
            let reasons = model.versions.iter().map(|(number, version)| {
                let reason = version.failed.as_deref().unwrap_or_else(|| version.state());
                format!("version {number}: {reason}")
            });
            reasons.collect::<Vec<_>>().join("; ")
        });
        let names: Vec<String> = self.models.keys().cloned().collect();
        let why = match reasons {
            Some(reasons) if !reasons.is_empty() => reasons,
            _ => format!("the store has {}", listed(&names)),
        };
        StoreStartError::NoChampion {
            name: self.default.clone(),
            why,
        }
    }

    /// The way to it. Nobody answers before [`Self::start`].
    ///
    /// # Panics
    /// After the start.
    #[must_use]
    pub fn handle(&self) -> ModelsHandle {
        self.handle.clone().expect("it is asked for before the start")
    }

    /// Runs on a thread of its own from now on, until nobody can ask any more.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub fn start(mut self, publish: Box<PublishFn>) -> std::io::Result<()> {
        self.publish = publish;
        self.handle = None;
        thread::Builder::new().name("models".into()).spawn(move || self.run())?;
        Ok(())
    }

    fn run(mut self) {
        (self.yield_to_shards)();
        let requested = self.requested.clone();
        let loaded = self.loads.1.clone();
        let (mut looked, mut poll) = (Instant::now(), self.settings.next_poll());
        loop {
            let until_look = poll.map(|poll| poll.saturating_sub(looked.elapsed()));
            let mut pause = until_look.unwrap_or(Duration::from_secs(3600));
            if !self.retired.is_empty() {
                pause = pause.min(FREE_LOOK);
            }
            crossbeam_channel::select! {
                recv(requested) -> request => match request {
                    Ok(request) => self.serve(request),
                    // Nobody can ask any more: the process ends.
                    Err(_) => return,
                },
                recv(loaded) -> end => {
                    // This struct has a sender.
                    if let Ok(end) = end {
                        self.loading.remove(&(end.name.clone(), end.version));
                        self.take_load(end);
                        self.settle();
                    }
                }
                default(pause) => {}
            }
            if poll.is_some_and(|poll| looked.elapsed() >= poll) {
                self.look();
                (looked, poll) = (Instant::now(), self.settings.next_poll());
            }
            self.free();
            self.begin_loads();
        }
    }

    /// Lets go of versions that nobody else has.
    fn free(&mut self) {
        let is_free = |old: &mut Arc<ModelVersion>| Arc::strong_count(old) == 1;
        let freed: Vec<usize> = self.retired.extract_if(.., is_free).map(|old| old.slot).collect();
        if freed.is_empty() {
            return;
        }
        if let Some(registry) = self.registry() {
            (self.publish)(&registry, &[], &freed);
        }
        for slot in freed {
            self.slots.free(slot);
        }
    }

    fn next_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }
}

fn listed(names: &[String]) -> String {
    match names {
        [] => "no models".into(),
        names => names.join(", "),
    }
}

/// Who is to answer: what the alias says, or the highest version that is ready of those that the configuration names.
fn champion_of(model: &Model, settings: &ModelsSettings) -> Option<u64> {
    let is_ready = |version: &u64| {
        model
            .versions
            .get(version)
            .is_some_and(|version| version.ready.is_some())
    };
    let current = model.champion.filter(is_ready);
    if let Some(wanted) = model.decisions.aliases.get("champion") {
        return Some(*wanted).filter(is_ready).or(current);
    }
    let named = look::named_by(model, settings);
    let highest = named.iter().rev().find(|version| is_ready(version)).copied();
    let any = || model.versions.keys().rev().find(|version| is_ready(version)).copied();
    // A version that was champion stays it when those that the configuration names are not ready.
    highest.or(current).or_else(any)
}
