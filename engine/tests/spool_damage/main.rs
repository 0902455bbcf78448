//! Random damage to the files of a spool whose process has died: flipped bits, pages of zeros or of other files, files
//! that are cut, longer, gone, swapped or no files at all. The next process must deliver each record as it was written,
//! or say that something is damaged; never a record under another model, name or value.
//!
//! A run has a few hundred damages with one seed. `cargo xtask faults` sets the environment for more:
//! `QUINTILE_DAMAGES`, how many; `QUINTILE_DAMAGE_SECONDS`, instead of it, for how long; `QUINTILE_DAMAGE_SEED`, the
//! first of the numbers that the damages are made of. Each damage is of one number, and a failure says which.

#![expect(clippy::unwrap_used, reason = "helpers of a test fail it as the test does")]

mod base;
mod damage;
mod oracle;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base::Base;
use oracle::{Logged, Verdict};

/// Damages of a run by default.
const DAMAGES: u64 = 400;

/// Damages at once: closing a spool waits for its threads, so more than there are CPUs.
const THREADS: u64 = 16;

/// If the next process has not started, delivered and ended in this time after a damage, it hangs.
const HUNG: Duration = Duration::from_secs(120);

/// Failures after which no more are looked for.
const FAILURES_MAX: usize = 20;

/// Small numbers from a seed: xorshift after splitmix64, so that neighbouring seeds have nothing in common.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        let mut x = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
        x = (x ^ x >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ x >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        Self((x ^ x >> 31) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Below `end`, which is not zero.
    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).expect("below a usize")
    }

    fn one_of<'a, T>(&mut self, among: &'a [T]) -> &'a T {
        &among[self.below(among.len())]
    }
}

/// A folder in memory where there is one, gone at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let memory = Path::new("/dev/shm");
        let place = if memory.is_dir() {
            memory.to_path_buf()
        } else {
            std::env::temp_dir()
        };
        let path = place.join(format!("quintile-damage-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[expect(clippy::disallowed_methods, reason = "of the test's own runs, not of the program")]
fn number_from(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{variable} must be a whole number, but is `{text}`")),
    )
}

/// What all threads of a run share.
struct Run {
    bases: Vec<Base>,
    first: u64,
    end: Option<u64>,
    until: Option<Instant>,
    next: AtomicU64,
    lost: AtomicUsize,
    told: AtomicU64,
    failures: Mutex<Vec<String>>,
    /// What each thread is at, and since when.
    at: Vec<Mutex<Option<(u64, Instant)>>>,
    running: AtomicUsize,
}

impl Run {
    fn is_over(&self, number: u64) -> bool {
        let is_late = self.until.is_some_and(|until| Instant::now() >= until);
        let is_last = self.end.is_some_and(|end| number >= end);
        is_late || is_last || self.failures.lock().unwrap().len() >= FAILURES_MAX
    }

    fn work(&self, thread: usize, folder: &Path, logged: &Logged) {
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if self.is_over(number) {
                return;
            }
            let seed = self.first.wrapping_add(number);
            *self.at[thread].lock().unwrap() = Some((seed, Instant::now()));
            let mut what = String::new();
            let tried = catch_unwind(AssertUnwindSafe(|| self.try_one(seed, folder, logged, &mut what)));
            *self.at[thread].lock().unwrap() = None;
            let failure = match tried {
                Ok(Ok(verdict)) => {
                    self.lost.fetch_add(verdict.missing, Ordering::Relaxed);
                    self.told.fetch_add(u64::from(verdict.is_told), Ordering::Relaxed);
                    continue;
                }
                Ok(Err(failure)) => failure,
                Err(_) => "a panic, see above".to_owned(),
            };
            let text = format!("{what}: {failure}\n  {}\n  {}", logged.tail(), repeat(seed));
            eprintln!("FAILS: {text}");
            self.failures.lock().unwrap().push(text);
        }
    }

    fn try_one(&self, seed: u64, folder: &Path, logged: &Logged, what: &mut String) -> Result<Verdict, String> {
        let (base, damaged, mut random) = self.made_of(seed);
        what.clone_from(&damaged.what);
        oracle::check(base, &damaged, folder, logged, &mut random)
    }

    fn made_of(&self, seed: u64) -> (&Base, damage::Damaged, Random) {
        let mut random = Random::new(seed);
        let base = random.one_of(&self.bases);
        let damaged = damage::Damaged::new(base, &mut random);
        (base, damaged, random)
    }

    /// Ends the process, with what repeats it, when a thread hangs.
    fn watch(&self) {
        while self.running.load(Ordering::Acquire) > 0 {
            std::thread::sleep(Duration::from_millis(20));
            for at in &self.at {
                let Some((seed, since)) = *at.lock().unwrap() else {
                    continue;
                };
                if since.elapsed() > HUNG {
                    eprintln!(
                        "FAILS: {}: the next process hangs\n  {}",
                        self.made_of(seed).1.what,
                        repeat(seed)
                    );
                    std::process::exit(1);
                }
            }
        }
    }
}

fn repeat(seed: u64) -> String {
    format!(
        "again: QUINTILE_DAMAGE_SEED={seed} QUINTILE_DAMAGES=1 cargo test -p quintile --locked --test spool_damage -- --nocapture"
    )
}

#[test]
fn what_is_damaged_is_told_and_what_is_not_is_delivered() {
    let first = number_from("QUINTILE_DAMAGE_SEED").unwrap_or(2026);
    let seconds = number_from("QUINTILE_DAMAGE_SECONDS");
    let end = number_from("QUINTILE_DAMAGES").or_else(|| seconds.is_none().then_some(DAMAGES));
    let place = Folder::new("run");
    let bases = (0..base::VARIANTS).map(|variant| Base::new(variant, &place.0.join(format!("base-{variant}"))));
    let run = Run {
        bases: bases.collect(),
        first,
        end,
        until: seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds)),
        next: AtomicU64::new(0),
        lost: AtomicUsize::new(0),
        told: AtomicU64::new(0),
        failures: Mutex::default(),
        at: (0..THREADS).map(|_| Mutex::default()).collect(),
        running: AtomicUsize::new(0),
    };
    let threads = THREADS.min(end.unwrap_or(THREADS)).max(1);
    run.running.store(usize::try_from(threads).unwrap(), Ordering::Release);
    std::thread::scope(|scope| {
        for thread in 0..usize::try_from(threads).unwrap() {
            let (run, place) = (&run, &place);
            let name = format!("damage-{thread}");
            let work = move || {
                let logged = Arc::new(Logged::default());
                oracle::logging(&logged, || run.work(thread, &place.0.join(thread.to_string()), &logged));
                run.running.fetch_sub(1, Ordering::Release);
            };
            std::thread::Builder::new()
                .name(name)
                .spawn_scoped(scope, work)
                .unwrap();
        }
        run.watch();
    });
    let tried = run.next.into_inner().min(end.unwrap_or(u64::MAX));
    let failures = run.failures.into_inner().unwrap();
    println!(
        "{tried} damages from seed {first}: {} told, {} records lost and told, {} failures",
        run.told.into_inner(),
        run.lost.into_inner(),
        failures.len()
    );
    assert!(
        failures.is_empty(),
        "{} failures:\n{}",
        failures.len(),
        failures.join("\n")
    );
}
