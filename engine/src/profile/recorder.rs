//! One recording: a timer for each thread, and counts of the stacks that it gave.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::signal::{Armed, Timer, can_read_stacks};
use crate::clock::process_cpu;

/// Between two looks at the slots and at the list of threads.
const TICK: Duration = Duration::from_millis(50);

/// Stacks that differ, at most; what comes after is counted as cut off. Bounds memory to about 50 MB.
const STACKS_MAX: usize = 50_000;

static IS_RECORDING: AtomicBool = AtomicBool::new(false);

/// Why there is no recording.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProfileError {
    /// One at a time.
    #[error("another recording is under way; try again when it has ended")]
    Busy,
    /// Of the handler.
    #[error("install the signal's handler: {0}")]
    Handler(io::Error),
    /// Of all threads.
    #[error("start a timer on any thread's CPU clock: {0}")]
    Timer(io::Error),
}

/// What the threads did.
#[derive(Debug, Default)]
pub(crate) struct Recording {
    /// Threads by number.
    pub(crate) threads: Vec<String>,
    /// Samples by thread's number and stack, innermost address first.
    pub(crate) stacks: HashMap<(u32, Box<[u64]>), u64>,
    /// All samples, each counted as often as its timer had expired.
    pub(crate) samples: u64,
    /// Stacks that were walked for them.
    pub(crate) walks: u64,
    /// Samples that had no room.
    pub(crate) lost: u64,
    /// Samples a second of CPU time.
    pub(crate) hertz: u32,
    /// How long it was looked.
    pub(crate) wall: Duration,
    /// CPU time of the whole process in this time.
    pub(crate) cpu: Duration,
    /// Of that, in the handler.
    pub(crate) handler: Duration,
    /// Threads at the end that no timer could be had for.
    pub(crate) unseen: usize,
    /// Whether the system lets stacks be read.
    pub(crate) has_callers: bool,
    /// No other recording starts until this one is drawn, because drawing takes more memory than sampling.
    _alone: Option<RecorderLock>,
}

/// Samples every thread of this process for this time, or until `is_abandoned`. Blocks; the thread that calls it is
/// sampled too.
///
/// # Errors
/// Another recording, or a system that has no such timers.
pub(crate) fn record(length: Duration, hertz: u32, is_abandoned: impl Fn() -> bool) -> Result<Recording, ProfileError> {
    let alone = RecorderLock::new().ok_or(ProfileError::Busy)?;
    let armed = Armed::new().map_err(ProfileError::Handler)?;
    let mut recording = Recording {
        hertz,
        has_callers: can_read_stacks(),
        _alone: Some(alone),
        ..Recording::default()
    };
    let (began, cpu_before) = (Instant::now(), process_cpu());
    let mut timers = Timers::default();
    timers.refresh(&mut recording, hertz);
    if let (true, Some(error)) = (timers.running.is_empty(), timers.error.take()) {
        return Err(ProfileError::Timer(error));
    }
    while began.elapsed() < length && !is_abandoned() {
        thread::sleep(TICK.min(length.saturating_sub(began.elapsed())));
        collect(&armed, &mut recording);
        timers.refresh(&mut recording, hertz);
    }
    recording.unseen = timers.unseen;
    drop(timers);
    recording.wall = began.elapsed();
    recording.cpu = process_cpu().saturating_sub(cpu_before);
    collect(&armed, &mut recording);
    let slots = armed.slots();
    recording.handler = Duration::from_nanos(slots.handler_ns.load(Ordering::Relaxed));
    recording.lost += slots.lost.load(Ordering::Relaxed);
    Ok(recording)
}

fn collect(armed: &Armed, recording: &mut Recording) {
    armed.slots().drain(|thread, weight, frames| {
        recording.samples += u64::from(weight);
        recording.walks += 1;
        if recording.stacks.len() >= STACKS_MAX && !recording.stacks.contains_key(&(thread, frames.into())) {
            recording.lost += u64::from(weight);
            return;
        }
        *recording.stacks.entry((thread, frames.into())).or_default() += u64::from(weight);
    });
}

#[derive(Default)]
struct Timers {
    /// By thread, with its number.
    running: HashMap<i32, (Timer, usize)>,
    /// At the last look, threads that have none.
    unseen: usize,
    error: Option<io::Error>,
}

impl Timers {
    /// Starts timers for threads that have none, and removes those whose thread has ended.
    fn refresh(&mut self, recording: &mut Recording, hertz: u32) {
        let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
        let threads: Vec<i32> = tasks
            .filter_map(|task| task.file_name().to_str()?.parse().ok())
            .collect();
        self.running.retain(|thread, _| threads.contains(thread));
        self.unseen = 0;
        for thread in threads {
            if let Some(&(_, number)) = self.running.get(&thread) {
                // It has its name from itself, a moment after it has begun.
                if let Some(name) = name(thread) {
                    recording.threads[number] = name;
                }
                continue;
            }
            let number = recording.threads.len();
            match Timer::start(thread, u32::try_from(number).unwrap_or(u32::MAX), hertz) {
                Ok(timer) => {
                    self.running.insert(thread, (timer, number));
                    recording
                        .threads
                        .push(name(thread).unwrap_or_else(|| format!("thread {thread}")));
                }
                // It may have ended just now.
                Err(error) => {
                    self.unseen += 1;
                    self.error = Some(error);
                }
            }
        }
    }
}

/// As `top -H` shows it. None of one that has ended.
fn name(thread: i32) -> Option<String> {
    let name = fs::read_to_string(format!("/proc/self/task/{thread}/comm")).ok()?;
    Some(name.trim().to_owned())
}

/// The proof that there is no other recording.
#[derive(Debug)]
struct RecorderLock;

impl RecorderLock {
    fn new() -> Option<Self> {
        (!IS_RECORDING.swap(true, Ordering::AcqRel)).then_some(Self)
    }
}

impl Drop for RecorderLock {
    fn drop(&mut self) {
        IS_RECORDING.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use std::hint::black_box;

    use super::*;
    use crate::profile::{HAS_FRAME_POINTERS, folded};

    #[inline(never)]
    fn burns_all_the_time(until: &AtomicBool) -> u64 {
        let mut sum = 0_u64;
        while !until.load(Ordering::Relaxed) {
            for number in 0..1000_u64 {
                sum = black_box(sum.wrapping_mul(3).wrapping_add(number));
            }
        }
        sum
    }

    struct Ends<'a>(&'a AtomicBool);

    impl Drop for Ends<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    /// One test, because one recording at a time is made.
    #[test]
    fn what_a_thread_does_is_found_by_name_and_others_wait_their_turn() {
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            let burner = thread::Builder::new().name("burner".into());
            burner
                .spawn_scoped(scope, || burns_all_the_time(&done))
                .expect("a thread");
            // Also when an assertion fails: the scope waits for its threads.
            let _ends = Ends(&done);
            // CPU time, not wall time: on a machine that is busy it goes on until there are samples.
            let mut burnt = 0;
            for _ in 0..100 {
                let recording = record(Duration::from_millis(300), 199, || false).expect("nobody else records");
                let lines = folded(&recording, false);
                let of_burner = |line: &&String| line.starts_with("burner;") && line.contains("burns_all_the_time");
                burnt = lines.iter().filter(of_burner).count();
                assert!(
                    recording.threads.contains(&"burner".to_owned()),
                    "{:?}",
                    recording.threads
                );
                assert_eq!(recording.stacks.values().sum::<u64>(), recording.samples);
                // A timer expires once in 1/199 s of CPU time; each thread may be one off.
                let expected = recording.cpu.as_secs_f64() * 199.0;
                let threads = recording.threads.len() as f64;
                let taken = (recording.samples + recording.lost) as f64;
                assert!(taken <= expected + threads + 2.0, "{taken} of {expected}");
                if burnt > 0 && HAS_FRAME_POINTERS {
                    // Below it there is its caller: the stack was walked.
                    let line = lines.iter().find(of_burner).expect("counted");
                    assert!(line.matches(';').count() > 2, "{line}");
                }
                if burnt > 0 {
                    break;
                }
            }
            assert!(burnt > 0);
            assert!(
                record(Duration::ZERO, 99, || false)
                    .expect("nobody else records")
                    .has_callers
            );
            let inner = record(Duration::from_secs(60), 99, || {
                assert!(matches!(record(Duration::ZERO, 99, || false), Err(ProfileError::Busy)));
                true
            });
            assert!(inner.expect("given up at once").wall < Duration::from_secs(60));
        });
    }
}
