//! How a sink reads its records: a cursor, counts for the metrics, and rate-limited log lines.
//!
//! Both kinds of sinks use it: [`super::worker`] for those that compute, a task of its own on side for those that wait
//! for a network.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::counts::{SinkCounts, Stop};
use super::recent::RecentScores;
use crate::log_limiter::LogLimiter;
use crate::spool::{Cursor, Item};

/// How often a sink that has read everything looks for more.
pub(super) const TICK: Duration = Duration::from_millis(10);

/// Reads records for one sink, counts them, and limits its log lines.
#[derive(Debug)]
pub(super) struct SinkReader {
    cursor: Cursor,
    counts: Arc<SinkCounts>,
    stop: Stop,
    given_up: u64,
    failures: u64,
    log: LogLimiter,
    damage_log: LogLimiter,
    /// Where what is read is shown, if it is.
    recent: Option<Arc<RecentScores>>,
}

impl SinkReader {
    pub(super) fn new(cursor: Cursor, counts: Arc<SinkCounts>, stop: Stop) -> Self {
        Self {
            cursor,
            counts,
            stop,
            given_up: 0,
            failures: 0,
            log: LogLimiter::default(),
            damage_log: LogLimiter::default(),
            recent: None,
        }
    }

    /// Shows what is read from now on.
    pub(super) fn show(&mut self, recent: Arc<RecentScores>) {
        self.recent = Some(recent);
    }

    pub(super) fn name(&self) -> &'static str {
        self.counts.name
    }

    /// The next record, if there is one. Looking again gives the same one, until [`SinkReader::advance`].
    pub(super) fn peek(&mut self) -> Option<Item<'_>> {
        self.cursor.peek()
    }

    /// Goes beyond the record that was looked at: it is the sink's now, until it is acknowledged.
    pub(super) fn advance(&mut self) {
        if let (Some(recent), Some(item)) = (&self.recent, self.cursor.peek()) {
            recent.add(&item.record);
        }
        self.cursor.advance();
    }

    /// Goes beyond the record that was looked at, which will never be delivered: a bug in Quintile.
    pub(super) fn give_up(&mut self, why: &dyn std::fmt::Display) {
        self.cursor.advance();
        self.given_up += 1;
        self.note();
        if self.damage_log.may_log(Instant::now()) {
            let (sink, damaged) = (self.name(), self.counts.damaged.get());
            tracing::error!(sink, %why, damaged, "lost a record");
        }
    }

    /// How many records were read: the number that the next one will have.
    pub(super) fn number(&self) -> u64 {
        self.cursor.number()
    }

    /// Says that every record with a number below `end` is in its place, or in the dead-letter file. With several
    /// batches under way that is the lowest number that is not.
    pub(super) fn acknowledge(&mut self, end: u64) {
        self.cursor.acknowledge(end);
        self.note();
    }

    /// Says that one record is in its place, or in the dead-letter file, though others before it are not: it does not
    /// come again after a crash.
    pub(super) fn mark(&mut self, number: u64) {
        self.cursor.mark(number);
    }

    /// A number for the metrics.
    pub(super) fn counts(&self) -> &SinkCounts {
        &self.counts
    }

    fn note(&mut self) {
        let reached = self.cursor.number() - self.cursor.unacknowledged();
        let lost = self.given_up + self.counts.dead_lettered.get();
        self.counts.delivered.set(reached.saturating_sub(lost));
        self.counts.damaged.set(self.given_up + self.cursor.damaged());
        let oldest_us = self.cursor.oldest_us();
        self.counts.set_oldest(oldest_us);
    }

    /// Something was attempted and failed. It is counted and, at most once a second, logged; the sink tries again.
    pub(super) fn failed(&mut self, error: &dyn std::fmt::Display) {
        self.failures += 1;
        self.counts.failed(error.to_string());
        if self.log.may_log(Instant::now()) {
            let (sink, failures) = (self.name(), self.failures);
            tracing::error!(sink, %error, failures, "records cannot be delivered; they are kept and tried again");
        }
    }

    /// Something succeeded.
    pub(super) fn succeeded(&mut self) {
        if self.failures > 0 {
            tracing::info!(
                sink = self.name(),
                failures = self.failures,
                "records are delivered again"
            );
            self.failures = 0;
        }
    }

    /// The last failure, for the report at the end.
    pub(super) fn last_error(&self) -> Option<String> {
        self.counts.last_error().map(|error| error.text)
    }

    /// Whether the sink has read all there will ever be.
    pub(super) fn is_finished(&mut self) -> bool {
        self.cursor.is_finished()
    }

    /// Whether this sink holds so much of the spool that it should deliver what it has.
    pub(super) fn is_tight(&self) -> bool {
        self.cursor.is_tight()
    }

    /// Whether everything that was read is acknowledged.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "for sinks that wait, of which there is none yet")
    )]
    pub(super) fn is_delivered(&self) -> bool {
        self.cursor.unacknowledged() == 0
    }

    /// Whether the process ends and its deadline has passed: what is not delivered now stays.
    pub(super) fn is_late(&self) -> bool {
        self.stop.has_passed()
    }

    /// Whether the process ends: nothing should wait for more records.
    pub(super) fn is_ending(&self) -> bool {
        self.stop.is_set()
    }
}
