//! How still a machine is: what a thread that only looks at the clock sees of everything that runs instead of it. Tails
//! measured beside that contain it: a server that is stopped for two milliseconds answers no request in this time. It
//! is an upper bound, for a thread that never sleeps has to wait more readily than one that does.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use crate::responder::try_pin;
use crate::units::{NANOSECONDS, count, nanoseconds, time};

/// Shorter ones are interrupts, which every machine has.
const SHORTEST_NS: u64 = 20_000;

/// Stalls are classified by these. Unit: nanoseconds.
const LONG_NS: [u64; 2] = [100_000, 500_000];

/// Gaps between two looks at the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stalls {
    /// Of 20 µs or more.
    pub all: u64,
    /// Of 100 and of 500 µs or more.
    pub long: [u64; LONG_NS.len()],
    /// Unit: nanoseconds.
    pub longest_ns: u64,
    /// All together. Unit: nanoseconds.
    pub sum_ns: u64,
}

impl Stalls {
    fn gap(&mut self, ns: u64) {
        if ns < SHORTEST_NS {
            return;
        }
        self.all += 1;
        for (long, limit) in self.long.iter_mut().zip(LONG_NS) {
            *long += u64::from(ns >= limit);
        }
        self.longest_ns = self.longest_ns.max(ns);
        self.sum_ns += ns;
    }
}

/// Reads the clock of each CPU for this time, on all of them at once.
///
/// # Errors
/// When no thread can be had, or none may stay on one of the CPUs.
pub fn watch(cpus: &[usize], length: Duration) -> io::Result<Vec<(usize, Stalls)>> {
    let threads: Vec<_> = cpus
        .iter()
        .map(|&cpu| thread::Builder::new().spawn(move || watch_one(cpu, length)))
        .collect::<io::Result<_>>()?;
    let found = threads
        .into_iter()
        .map(|thread| {
            thread
                .join()
                .unwrap_or_else(|_| Err(io::Error::other("a thread panicked")))
        })
        .collect::<io::Result<Vec<_>>>()?;
    Ok(cpus.iter().copied().zip(found).collect())
}

fn watch_one(cpu: usize, length: Duration) -> io::Result<Stalls> {
    try_pin(cpu)?;
    let mut stalls = Stalls::default();
    let began = Instant::now();
    let mut last = began;
    while last - began < length {
        let now = Instant::now();
        stalls.gap(nanoseconds(now - last));
        last = now;
    }
    Ok(stalls)
}

/// A table of what was seen.
#[must_use]
pub fn render(found: &[(usize, Stalls)], length: Duration) -> String {
    let mut text = format!(
        "{:>4} {:>12} {:>12} {:>12} {:>12} {:>14}\n",
        "CPU", "over 20 µs", "over 100 µs", "over 500 µs", "longest", "share of time"
    );
    for (cpu, stalls) in found {
        let share = 100.0 * stalls.sum_ns as f64 / (length.as_secs_f64() * NANOSECONDS);
        text.push_str(&format!(
            "{cpu:>4} {:>12} {:>12} {:>12} {:>12} {share:>12.2} %\n",
            count(stalls.all),
            count(stalls.long[0]),
            count(stalls.long[1]),
            time(stalls.longest_ns),
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_told_apart_by_length() {
        let mut stalls = Stalls::default();
        for ns in [30, 19_999, 20_000, 99_999, 100_000, 499_999, 500_000, 2_000_000] {
            stalls.gap(ns);
        }
        assert_eq!((stalls.all, stalls.long), (6, [4, 2]));
        assert_eq!((stalls.longest_ns, stalls.sum_ns), (2_000_000, 3_219_998));
        let table = render(&[(3, stalls)], Duration::from_secs(1));
        assert_eq!(table.lines().count(), 2);
        assert!(table.contains("2.00 ms") && table.contains("0.32 %"), "{table}");
    }
}
