//! The thread that encodes: gives records to the encoding sinks, to each at its own pace.
//!
//! A failed sink is retried with the same record after a pause, as long as the process is alive; the others continue.
//! The thread runs at low priority: a shard that shares its core must not wait for an encoder.

use std::time::{Duration, Instant};

use super::DeliveryError;
use super::sink::{EncodingSink, SinkError};
use super::sink_reader::{SinkReader, TICK};
use crate::clock::thread_cpu;
use crate::topology;

/// Between two attempts at a sink that fails. A disk that is full for a moment costs no more than this.
const PAUSE: Duration = Duration::from_millis(200);

/// Records that one sink takes before the next has its turn: some milliseconds of encoding.
const TURN_RECORDS: usize = 1024;

/// How often a worker that rests looks whether it may not.
const LOOK: Duration = Duration::from_millis(20);

/// How much of a CPU the worker may use.
///
/// Below two CPUs, shard and worker have one between them. Priorities are no help where a quota ends the turns of both:
/// what the worker burns in a burst, the shard lacks until the next period. So it rests in proportion to what it has
/// worked, unless records have to leave because the spool is filling.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CpuBudget(f64);

impl CpuBudget {
    /// Never rests.
    pub const FULL: Self = Self(1.0);

    /// For a process that has this many CPUs.
    #[must_use]
    pub fn of(cpus: f64) -> Self {
        if cpus >= 2.0 {
            Self::FULL
        } else {
            Self(0.3 * cpus.clamp(0.05, 1.0))
        }
    }

    /// How long to rest after so much CPU time.
    pub(super) fn rest(self, worked: Duration) -> Duration {
        worked.mul_f64(1.0 / self.0 - 1.0)
    }
}

/// One sink and its way to the records.
pub(super) struct SinkTask {
    sink: Box<dyn EncodingSink>,
    lane: SinkReader,
    retry_at: Option<Instant>,
}

/// What a turn has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// There may be more.
    Worked,
    /// Nothing to do at present.
    Idle,
    /// Nothing to do any more: everything is delivered.
    Done,
    /// The deadline has passed before that.
    GaveUp,
}

impl SinkTask {
    pub(super) fn new(sink: Box<dyn EncodingSink>, lane: SinkReader) -> Self {
        let retry_at = None;
        Self { sink, lane, retry_at }
    }

    fn turn(&mut self) -> Turn {
        let now = Instant::now();
        if self.retry_at.is_some_and(|at| at > now) {
            return if self.lane.is_late() { Turn::GaveUp } else { Turn::Idle };
        }
        self.retry_at = None;
        let result = self.work(now);
        let delivery = self.sink.delivered();
        self.lane.counts().files.set(delivery.files);
        self.lane.acknowledge(delivery.end);
        match result {
            Ok(turn) if turn != Turn::Done && self.lane.is_late() => Turn::GaveUp,
            Ok(turn) => {
                self.lane.succeeded();
                turn
            }
            Err(error) => {
                self.lane.failed(&error);
                self.retry_at = Some(now + PAUSE);
                Turn::Idle
            }
        }
    }

    fn work(&mut self, now: Instant) -> Result<Turn, SinkError> {
        let mut taken = 0;
        while taken < TURN_RECORDS && self.sink.wants() {
            let Some(item) = self.lane.peek() else { break };
            match self.sink.take(&item, now) {
                Ok(()) => self.lane.advance(),
                Err(SinkError::Unfit(why)) => self.lane.give_up(&why),
                Err(error) => return Err(error),
            }
            taken += 1;
        }
        if self.sink.due().is_some_and(|due| due <= Instant::now()) {
            self.sink.deliver(Instant::now())?;
        }
        if self.lane.is_tight() {
            // What it holds keeps the spool from using its segments again.
            self.sink.flush()?;
        }
        if taken > 0 {
            return Ok(Turn::Worked);
        }
        if self.lane.is_ending() && self.lane.is_finished() {
            self.sink.flush()?;
            // A sink that hands over to a task has delivered when that says so.
            if self.sink.delivered().end >= self.lane.number() {
                return Ok(Turn::Done);
            }
        }
        Ok(Turn::Idle)
    }
}

/// Works until every sink has everything or the deadline has passed; returns what is left in which sink.
pub(super) fn run(mut posts: Vec<SinkTask>, pace: CpuBudget) -> Vec<DeliveryError> {
    topology::yield_to_shards();
    let mut left = Vec::new();
    while !posts.is_empty() {
        let mut worked = false;
        let before = thread_cpu();
        posts.retain_mut(|post| match post.turn() {
            Turn::Done => false,
            Turn::GaveUp => {
                left.push(DeliveryError::new(&post.lane));
                false
            }
            turn => {
                worked |= turn == Turn::Worked;
                true
            }
        });
        if !worked {
            std::thread::sleep(TICK);
        } else {
            let mut rest = pace.rest(thread_cpu().saturating_sub(before));
            let must_go_on = || posts.iter().any(|post| post.lane.is_tight() || post.lane.is_ending());
            while !rest.is_zero() && !must_go_on() {
                std::thread::sleep(LOOK.min(rest));
                rest = rest.saturating_sub(LOOK);
            }
        }
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rests_are_in_proportion() {
        let worked = Duration::from_millis(3);
        assert_eq!(CpuBudget::of(2.0), CpuBudget::FULL);
        assert_eq!(CpuBudget::FULL.rest(worked), Duration::ZERO);
        // 3 ms of 10 are three tenths.
        assert!(CpuBudget::of(1.0).rest(worked).abs_diff(Duration::from_millis(7)) < Duration::from_micros(1));
        assert_eq!(CpuBudget::of(1.5), CpuBudget::of(1.0));
        assert!(CpuBudget::of(0.25).rest(worked).abs_diff(Duration::from_millis(37)) < Duration::from_micros(1));
        assert_eq!(CpuBudget::of(0.01), CpuBudget::of(0.05));
    }
}
