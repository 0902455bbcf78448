//! Numbers that side's threads and `finish` share, and the moment at which all must have ended.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::recent::RecentScores;
use super::remote_counts::RemoteCounts;
use crate::budget::Budget;
use crate::spool::{Gauges, Spool};
use crate::telemetry::SecurityGauges;

/// What happened to the records. Read for metrics and at the end.
#[derive(Debug)]
pub(super) struct Counts {
    /// Where records wait; none without sinks.
    pub(super) spool: Option<Gauges>,
    /// What was found at the start.
    pub(super) recovered: u64,
    /// Of remote scoring, if there is any.
    pub(super) remote: Option<RemoteCounts>,
    /// What requests hold and may hold.
    pub(super) budget: Option<Arc<Budget>>,
    /// Reloads by result, as [`super::reload_notifier::Reload::NAMES`].
    pub(super) reloads: [Count; 3],
    /// One for each sink.
    pub(super) sinks: Vec<Arc<SinkCounts>>,
    /// What is known of certificates.
    pub(super) security: Arc<SecurityGauges>,
    /// The last scores, where the status says them.
    pub(super) recent: Option<Arc<RecentScores>>,
}

impl Counts {
    pub(super) fn new(sinks: &[&'static str], spool: Option<&Spool>) -> Self {
        let recovered = |sink| spool.and_then(|spool| spool.found().records.get(sink)).copied();
        let counts = |&sink: &&'static str| Arc::new(SinkCounts::new(sink, recovered(sink).unwrap_or(0)));
        Self {
            spool: spool.map(Spool::gauges),
            recovered: spool.map_or(0, |spool| spool.found().any),
            reloads: Default::default(),
            sinks: sinks.iter().map(counts).collect(),
            remote: None,
            budget: None,
            security: Arc::default(),
            recent: None,
        }
    }

    /// Records of this process and those that were found at the start.
    pub(super) fn total(&self) -> u64 {
        self.recovered + self.appended()
    }

    fn appended(&self) -> u64 {
        self.spool.as_ref().map_or(0, Gauges::appended)
    }

    /// Not delivered by a sink, for any reason.
    pub(super) fn left(&self, sink: &SinkCounts) -> u64 {
        let owed = self.appended() + sink.recovered;
        owed.saturating_sub(sink.delivered.get() + sink.dead_lettered.get())
    }

    /// Still to be delivered by a sink.
    pub(super) fn pending(&self, sink: &SinkCounts) -> u64 {
        self.left(sink).saturating_sub(sink.damaged.get())
    }
}

/// A number with one writer.
#[derive(Debug, Default)]
pub(super) struct Count(AtomicU64);

impl Count {
    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    pub(super) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }
}

/// What happened to the records in one sink.
#[derive(Debug)]
pub(super) struct SinkCounts {
    pub(super) name: &'static str,
    /// Of another process, found at the start.
    recovered: u64,
    /// In their place.
    pub(super) delivered: Count,
    /// Sent again after they were refused.
    pub(super) retried: Count,
    /// Those of them that the place was too busy for.
    pub(super) throttled: Count,
    /// Refused for ever, and written to the sink's dead-letter file.
    pub(super) dead_lettered: Count,
    /// Of the sink's dead-letter files, and what they may have; 0 for a sink without any.
    pub(super) dead_letter_bytes: Count,
    pub(super) dead_letter_bytes_max: Count,
    /// Not readable: a bug in Quintile or a fault of the disk.
    pub(super) damaged: Count,
    /// Attempts that failed.
    pub(super) errors: Count,
    /// Files or objects that are complete and in their place.
    pub(super) files: Count,
    /// When the oldest record that is not delivered was made, in microseconds since 1970; [`NOTHING`] when all are.
    oldest_us: AtomicI64,
    last_error: Mutex<Option<LastError>>,
}

/// The last failure of a sink.
#[derive(Debug, Clone)]
pub(super) struct LastError {
    pub(super) at: SystemTime,
    pub(super) text: String,
}

const NOTHING: i64 = i64::MAX;

impl SinkCounts {
    fn new(name: &'static str, recovered: u64) -> Self {
        Self {
            name,
            recovered,
            delivered: Count::default(),
            retried: Count::default(),
            throttled: Count::default(),
            dead_lettered: Count::default(),
            dead_letter_bytes: Count::default(),
            dead_letter_bytes_max: Count::default(),
            damaged: Count::default(),
            errors: Count::default(),
            files: Count::default(),
            oldest_us: AtomicI64::new(NOTHING),
            last_error: Mutex::default(),
        }
    }

    pub(super) fn failed(&self, text: String) {
        self.errors.add(1);
        let at = SystemTime::now();
        *self.last() = Some(LastError { at, text });
    }

    pub(super) fn last_error(&self) -> Option<LastError> {
        self.last().clone()
    }

    fn last(&self) -> MutexGuard<'_, Option<LastError>> {
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_oldest(&self, time_us: Option<i64>) {
        self.oldest_us.store(time_us.unwrap_or(NOTHING), Ordering::Relaxed);
    }

    /// How old the oldest record is that is not delivered.
    pub(super) fn lag(&self) -> Duration {
        let oldest_us = match self.oldest_us.load(Ordering::Relaxed) {
            NOTHING => return Duration::ZERO,
            oldest_us => u64::try_from(oldest_us).unwrap_or(0),
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        now.saturating_sub(Duration::from_micros(oldest_us))
    }
}

/// Tells all threads that the end has come, and by when.
#[derive(Debug, Clone, Default)]
pub(super) struct Stop(Arc<OnceLock<Instant>>);

impl Stop {
    pub(super) fn at(&self, deadline: Instant) {
        // The first deadline stands.
        let _ = self.0.set(deadline);
    }

    pub(super) fn is_set(&self) -> bool {
        self.0.get().is_some()
    }

    pub(super) fn has_passed(&self) -> bool {
        self.0.get().is_some_and(|&deadline| Instant::now() >= deadline)
    }
}

/// Ends the threads of a side that is dropped without being finished, for example when a later part of the start fails.
#[derive(Debug)]
pub(super) struct StopOnDrop(pub(super) Stop);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.at(Instant::now() + Duration::from_secs(5));
    }
}
