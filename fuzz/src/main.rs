//! One binary for all targets under libFuzzer. The environment names the target, for libFuzzer owns the arguments.

#![no_main]

use std::sync::OnceLock;
use std::time::Duration;

use libfuzzer_sys::{Corpus, fuzz_mutator, fuzz_target, fuzzer_mutate};
use quintile_fuzz::mutate::{Random, tokens, worded};
use quintile_fuzz::{TARGETS, Target, target};
use rustix::time::{ClockId, clock_gettime};

/// Of this thread's own time, for one input: a file of 8 MB may take a second, and none here has a hundredth of that.
/// What grows with the square of a file's size shows.
const TIME_MAX: Duration = Duration::from_millis(500);

#[expect(
    clippy::disallowed_methods,
    reason = "the ban sends readers to the engine's configuration; libFuzzer owns the arguments"
)]
fn chosen() -> &'static Target {
    static TARGET: OnceLock<&Target> = OnceLock::new();
    TARGET.get_or_init(|| {
        let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
        let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
        target(&name).unwrap_or_else(|| panic!("FUZZ_TARGET is {name:?}: choose one of {}", names.join(", ")))
    })
}

fn cpu_time() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(now).unwrap_or_default()
}

fuzz_target!(|bytes: &[u8]| -> Corpus {
    let before = cpu_time();
    let is_ours = (chosen().run)(bytes);
    let took = cpu_time() - before;
    assert!(took < TIME_MAX, "{} bytes took {took:?}", bytes.len());
    if is_ours { Corpus::Keep } else { Corpus::Reject }
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    static WORDS: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    let words = WORDS.get_or_init(|| chosen().words());
    let mut random = Random::new(seed);
    let changed = match random.below(4) {
        0 => return fuzzer_mutate(data, size, max_size),
        1 => worded(&data[..size], words, &mut random),
        _ if chosen().is_text => tokens(&data[..size], words, &mut random),
        _ => return fuzzer_mutate(data, size, max_size),
    };
    let length = changed.len().min(max_size).min(data.len());
    data[..length].copy_from_slice(&changed[..length]);
    length
});
