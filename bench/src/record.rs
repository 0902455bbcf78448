//! What a worker writes down: histograms, counts, and a few of the answers that were wrong. Nothing here allocates
//! while a run lasts but for those few, and a histogram for each shard when its first answer comes.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

use crate::units::nanoseconds;

/// The longest latency that is recorded. Unit: nanoseconds (one hour).
const LONGEST_NS: u64 = 3_600_000_000_000;

/// Steps of time at most, for the plot.
const STEPS_MAX: u64 = 240;

/// The shortest step. Unit: nanoseconds.
const STEP_NS_MIN: u64 = 100_000_000;

/// Wrong answers kept as text.
const SAMPLES_MAX: usize = 5;

/// Latencies in nanoseconds, to three digits.
#[must_use]
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST_NS, 3).expect("the bounds are constants that hdrhistogram takes")
}

/// A step of the run.
#[derive(Debug)]
pub struct RunStep {
    /// Latencies of the requests that were due in it, to two digits.
    pub latency: Histogram<u32>,
    /// How many of them failed or were not answered.
    pub failed: u64,
}

/// What is recorded, and from when on.
#[derive(Debug)]
pub struct Recorder {
    warmup_ns: u64,
    step_ns: u64,
    /// From when a request was due to when its answer was there.
    pub latency: Histogram<u64>,
    /// From when a request was sent: what a load generator reports that waits for its server.
    pub service: Histogram<u64>,
    /// How late requests were sent although a connection was free: our own fault.
    pub lag: Histogram<u64>,
    /// Requests that had to wait until a connection was free: the server's doing, and in `latency`.
    pub queued: u64,
    /// Requests of the warm-up that were answered or failed.
    pub warmup: u64,
    /// Requests without an answer at the end, in `latency` with the time they had waited.
    pub unfinished: u64,
    /// Failures by kind.
    pub failures: BTreeMap<&'static str, u64>,
    /// Some of them, in words.
    pub samples: Vec<String>,
    /// Connections opened again after the start.
    pub reconnects: u64,
    /// Latencies by the shard that answered, where it is asked for.
    pub shards: BTreeMap<u8, Histogram<u64>>,
    /// The run in steps.
    pub steps: Vec<RunStep>,
}

impl Recorder {
    /// For a run that lasts from `warmup_ns` to `end_ns`.
    #[must_use]
    pub fn new(warmup_ns: u64, end_ns: u64) -> Self {
        let length = end_ns.saturating_sub(warmup_ns);
        let step_ns = (length.div_ceil(STEPS_MAX)).max(STEP_NS_MIN);
        let steps = length.div_ceil(step_ns).clamp(1, STEPS_MAX);
        let step = |_| RunStep {
            latency: Histogram::new_with_bounds(1_000, LONGEST_NS, 2).expect("constants that hdrhistogram takes"),
            failed: 0,
        };
        Self {
            warmup_ns,
            step_ns,
            latency: histogram(),
            service: histogram(),
            lag: histogram(),
            queued: 0,
            warmup: 0,
            unfinished: 0,
            failures: BTreeMap::new(),
            samples: Vec::new(),
            reconnects: 0,
            shards: BTreeMap::new(),
            steps: (0..steps).map(step).collect(),
        }
    }

    /// Length of a step. Unit: nanoseconds.
    #[must_use]
    pub fn step_ns(&self) -> u64 {
        self.step_ns
    }

    fn step(&mut self, due_ns: u64) -> &mut RunStep {
        let index = (due_ns - self.warmup_ns) / self.step_ns;
        let last = self.steps.len() - 1;
        &mut self.steps[usize::try_from(index).unwrap_or(last).min(last)]
    }

    fn counts(&mut self, due_ns: u64) -> bool {
        let counts = due_ns >= self.warmup_ns;
        self.warmup += u64::from(!counts);
        counts
    }

    /// A right answer.
    pub fn right(&mut self, due_ns: u64, sent_ns: u64, done_ns: u64) {
        if self.counts(due_ns) {
            self.latency.saturating_record(done_ns - due_ns);
            self.service.saturating_record(done_ns - sent_ns);
            self.step(due_ns).latency.saturating_record(done_ns - due_ns);
        }
    }

    /// The right answer was this shard's.
    pub fn of_shard(&mut self, shard: u8, due_ns: u64, done_ns: u64) {
        if due_ns >= self.warmup_ns {
            let latency = self.shards.entry(shard).or_insert_with(histogram);
            latency.saturating_record(done_ns - due_ns);
        }
    }

    /// When a request was sent, and whether a connection had been free for it all the time.
    pub fn sent(&mut self, due_ns: u64, sent_ns: u64, was_free: bool) {
        if due_ns >= self.warmup_ns {
            if was_free {
                self.lag.saturating_record(sent_ns - due_ns);
            } else {
                self.queued += 1;
            }
        }
    }

    /// No answer, or not a right one.
    pub fn failed(&mut self, due_ns: u64, kind: &'static str, words: impl FnOnce() -> String) {
        // Failures of the warm-up are reported too: a server that fails then is not warm.
        let _ = self.counts(due_ns);
        *self.failures.entry(kind).or_default() += 1;
        if self.samples.len() < SAMPLES_MAX {
            self.samples.push(words());
        }
        if due_ns >= self.warmup_ns {
            self.step(due_ns).failed += 1;
        }
    }

    /// A request without an answer at the end of all patience: it would have taken longer than this.
    pub fn unfinished(&mut self, due_ns: u64, now_ns: u64) {
        if due_ns >= self.warmup_ns {
            self.unfinished += 1;
            self.latency.saturating_record(now_ns - due_ns);
            let step = self.step(due_ns);
            step.latency.saturating_record(now_ns - due_ns);
            step.failed += 1;
        }
    }

    /// Adds what another worker has recorded of the same run.
    pub fn add(&mut self, other: &Self) {
        for (mine, theirs) in [
            (&mut self.latency, &other.latency),
            (&mut self.service, &other.service),
            (&mut self.lag, &other.lag),
        ] {
            mine.add(theirs).expect("the bounds are the same");
        }
        for (mine, theirs) in self.steps.iter_mut().zip(&other.steps) {
            mine.latency.add(&theirs.latency).expect("the bounds are the same");
            mine.failed += theirs.failed;
        }
        for (&shard, theirs) in &other.shards {
            let mine = self.shards.entry(shard).or_insert_with(histogram);
            mine.add(theirs).expect("the bounds are the same");
        }
        self.queued += other.queued;
        self.warmup += other.warmup;
        self.unfinished += other.unfinished;
        self.reconnects += other.reconnects;
        for (kind, count) in &other.failures {
            *self.failures.entry(kind).or_default() += count;
        }
        let room = SAMPLES_MAX - self.samples.len();
        self.samples.extend(other.samples.iter().take(room).cloned());
    }

    /// Failures of all kinds.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.failures.values().sum()
    }
}

/// The CPU time of the calling thread. Unit: nanoseconds.
#[must_use]
pub fn thread_cpu_ns() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    std::time::Duration::try_from(time).map_or(0, nanoseconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn the_warm_up_is_left_out() {
        let mut recorder = Recorder::new(SECOND, 3 * SECOND);
        recorder.right(SECOND - 1, SECOND, SECOND + 5);
        recorder.right(SECOND, SECOND + 10, SECOND + 30);
        assert_eq!((recorder.warmup, recorder.latency.len()), (1, 1));
        assert_eq!((recorder.latency.max(), recorder.service.max()), (30, 20));
    }

    #[test]
    fn steps_cover_the_run_and_sum_to_it() {
        let mut one = Recorder::new(0, 1_000 * SECOND);
        let mut two = Recorder::new(0, 1_000 * SECOND);
        assert!(one.steps.len() as u64 <= STEPS_MAX);
        for second in 0..1_000 {
            let recorder = if second % 2 == 0 { &mut one } else { &mut two };
            recorder.right(second * SECOND, second * SECOND, second * SECOND + 5_000);
        }
        two.unfinished(999 * SECOND, 1_005 * SECOND);
        two.failed(0, "closed", || "words".into());
        one.add(&two);
        assert_eq!(one.latency.len(), 1_001);
        assert!(one.latency.max() >= 6 * SECOND, "what was not answered has waited");
        assert_eq!(one.steps.iter().map(|step| step.latency.len()).sum::<u64>(), 1_001);
        assert_eq!(one.steps.iter().map(|step| step.failed).sum::<u64>(), 2);
        assert_eq!((one.failures(), one.unfinished, one.samples.len()), (1, 1, 1));
    }
}
