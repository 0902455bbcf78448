use std::sync::Mutex;

use crossbeam_channel::bounded;

use quintile_scoring::loaded::LoadedModel;

use super::super::signals::Lifecycle;
use super::*;
use crate::accept::ShardEntry;
use crate::limits::Limits;
use crate::shard::mailbox::{Mailbox, mailbox};
use crate::side::ReloadNotifier;

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

fn reloader(version: Arc<ModelVersion>, look: Arc<AttemptFn>) -> (Reloader, Mailbox) {
    let (address, mailbox) = mailbox();
    let mut slots = SlotNumbers::default();
    slots.take();
    let parts = ReloadParts {
        settings: Settings::default(),
        again: ReloadSource {
            flags: Flags::default(),
            told: SettingOrigins::default(),
            set_log_level: |_| (),
        },
        version: Some(version),
        models: None,
        slots,
        numbers: None,
        publisher: Publisher {
            shards: vec![ShardEntry {
                address,
                gauges: Arc::default(),
            }],
            side: ReloadNotifier::nowhere(),
            // There is no shard to take a model, so there is none to wait for.
            life: Arc::new(Lifecycle::new(&Limits::default())),
        },
        security: None,
    };
    (Reloader::new(parts, look), mailbox)
}

/// The model at the start.
fn first() -> Arc<ModelVersion> {
    Arc::new(ModelVersion::alone(0, 1, version(1)))
}

fn version(number: u32) -> LoadedModel {
    LoadedModel::demo_with(&format!("version = \"{number}\""))
}

fn found(loaded: Option<LoadedModel>) -> AttemptOutcome {
    AttemptOutcome {
        settings: Settings::default(),
        told: Some(SettingOrigins::default()),
        loaded,
        security: None,
    }
}

/// Attempts that wait until the test says what each has found.
struct Scripted {
    look: Arc<AttemptFn>,
    /// What each attempt that began is to find, in the order in which they began.
    answers: Receiver<Sender<Option<LoadedModel>>>,
}

impl Scripted {
    fn new() -> Self {
        let (begun, answers) = unbounded();
        let begun = Mutex::new(begun);
        let look = move |_: &AttemptInput| {
            let (answer, wanted) = bounded(1);
            begun
                .lock()
                .expect("nobody panics with it")
                .send(answer)
                .expect("the test runs");
            Ok(found(wanted.recv().expect("the test answers")))
        };
        Self {
            look: Arc::new(look),
            answers,
        }
    }

    fn begun(&self) -> Sender<Option<LoadedModel>> {
        self.answers.recv_timeout(PATIENCE).expect("an attempt begins")
    }
}

impl Reloader {
    fn take_next(&mut self) {
        let (number, result) = self.done.1.recv_timeout(PATIENCE).expect("an attempt ends");
        self.end(number, result);
    }

    /// As if so much time had passed since each attempt began.
    fn age(&mut self, by: Duration) {
        for attempt in &mut self.attempts {
            attempt.began = attempt.began.checked_sub(by).expect("the clock began long ago");
        }
    }

    fn counts(&self) -> [u64; 3] {
        self.parts.publisher.side.reloads()
    }

    fn signal(&mut self) {
        self.ask(Scope::Everything);
        self.give_up();
        self.begin();
    }
}

#[test]
fn an_old_model_is_freed_here_and_not_before_every_shard_has_let_go() {
    let loaded = first();
    let (mut reloader, mailbox) = reloader(Arc::clone(&loaded), Scripted::new().look);
    let (old, of_shard) = (Arc::downgrade(&loaded), loaded);
    let next = found(Some(version(2)));
    assert_eq!(reloader.put_into_force(next, Instant::now()), Reload::Swapped);
    let Some(Mail::Registry(change)) = mailbox.try_next() else {
        panic!("the shard has no letter");
    };
    assert_eq!(change.registry.champion().version, "2");
    reloader.free();
    assert!(old.upgrade().is_some(), "the shard still has it");
    // What a shard does when it swaps is not the end of the model.
    drop(of_shard);
    assert!(old.upgrade().is_some(), "the shard would have freed it");
    reloader.free();
    assert!(old.upgrade().is_none() && reloader.retired.is_empty());
    // Its memory goes too, and its slot is another model's next.
    let Some(Mail::Registry(change)) = mailbox.try_next() else {
        panic!("the shard has no second letter");
    };
    assert_eq!((change.emptied, reloader.parts.slots.take().0), (vec![0], 0));
}

#[test]
fn signals_during_a_reload_become_one_that_follows() {
    let script = Scripted::new();
    let (mut reloader, _mailbox) = reloader(first(), Arc::clone(&script.look));
    (0..100).for_each(|_| reloader.signal());
    let first = script.begun();
    assert_eq!((reloader.attempts.len(), reloader.asked), (1, Some(Scope::Everything)));
    first.send(Some(version(2))).expect("it waits");
    reloader.take_next();
    reloader.begin();
    script.begun().send(None).expect("it waits");
    reloader.take_next();
    reloader.begin();
    assert!(reloader.attempts.is_empty() && script.answers.is_empty());
    assert_eq!(
        (
            reloader.counts(),
            reloader.parts.version.as_ref().expect("a model").version.as_str()
        ),
        ([1, 1, 0], "2")
    );
}

#[test]
fn one_that_hangs_is_overtaken_given_up_and_told() {
    let script = Scripted::new();
    let (mut reloader, _mailbox) = reloader(first(), Arc::clone(&script.look));
    reloader.signal();
    let hangs = script.begun();
    reloader.age(SUPERSEDE);
    reloader.signal();
    script.begun().send(Some(version(3))).expect("it waits");
    reloader.take_next();
    assert_eq!(
        (
            reloader.counts(),
            reloader.parts.version.as_ref().expect("a model").version.as_str()
        ),
        ([1, 0, 0], "3")
    );
    reloader.age(reloader.parts.settings.limits.reload);
    reloader.give_up();
    reloader.give_up();
    assert_eq!(reloader.counts(), [1, 0, 1], "told once");
    hangs.send(Some(version(2))).expect("it waits");
    reloader.take_next();
    assert_eq!(
        (
            reloader.counts(),
            reloader.parts.version.as_ref().expect("a model").version.as_str()
        ),
        ([1, 0, 1], "3")
    );
    assert!(reloader.attempts.is_empty());
}

#[test]
fn a_storm_of_signals_over_a_file_system_that_hangs_is_bounded() {
    let script = Scripted::new();
    let (mut reloader, _mailbox) = reloader(first(), Arc::clone(&script.look));
    for _ in 0..ATTEMPTS_MAX + 3 {
        reloader.signal();
        reloader.age(SUPERSEDE);
    }
    assert_eq!((reloader.attempts.len(), reloader.counts()), (ATTEMPTS_MAX, [0, 0, 0]));
    reloader.age(reloader.parts.settings.limits.reload);
    reloader.signal();
    // Each of those that hang, and the one that was not begun.
    assert_eq!((reloader.attempts.len(), reloader.counts()), (ATTEMPTS_MAX, [0, 0, 5]));
    // One comes back: the next signal is served again.
    script.begun().send(None).expect("it waits");
    reloader.take_next();
    reloader.signal();
    assert_eq!(reloader.attempts.len(), ATTEMPTS_MAX);
}

/// The later signal saw the model that is in force, when it began; the earlier one has brought another one since.
#[test]
fn a_model_that_is_as_it_was_is_looked_at_again_when_it_is_not_any_more() {
    let script = Scripted::new();
    let (mut reloader, _mailbox) = reloader(first(), Arc::clone(&script.look));
    reloader.signal();
    let first = script.begun();
    reloader.age(SUPERSEDE);
    reloader.signal();
    let second = script.begun();
    first.send(Some(version(2))).expect("it waits");
    reloader.take_next();
    second.send(None).expect("it waits");
    reloader.take_next();
    reloader.begin();
    script.begun().send(Some(version(1))).expect("it waits");
    reloader.take_next();
    assert_eq!(
        (
            reloader.counts(),
            reloader.parts.version.as_ref().expect("a model").version.as_str()
        ),
        ([2, 0, 0], "1")
    );
}
