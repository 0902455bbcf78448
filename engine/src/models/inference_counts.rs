//! What was asked of a version over protocols whose clients ask for such counts. Relaxed atomics: all shards add to them
//! once a request, and they guard no memory.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Counts of a version since it was loaded.
#[derive(Debug, Default)]
pub struct InferenceCounts {
    rows: AtomicU64,
    requests: AtomicU64,
    total_ns: AtomicU64,
    refused: AtomicU64,
    last_ms: AtomicU64,
}

impl InferenceCounts {
    /// Counts an answered request of so many rows.
    pub fn answered(&self, rows: usize, took: Duration) {
        self.rows.fetch_add(rows as u64, Ordering::Relaxed);
        self.requests.fetch_add(1, Ordering::Relaxed);
        let took_ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.total_ns.fetch_add(took_ns, Ordering::Relaxed);
        self.last_ms.store(now_ms(), Ordering::Relaxed);
    }

    /// Counts a request that was refused.
    pub fn refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// Rows, requests, their nanoseconds, refused requests, and the time of the last one in milliseconds since 1970.
    #[must_use]
    pub fn all(&self) -> [u64; 5] {
        let counts = [&self.rows, &self.requests, &self.total_ns, &self.refused, &self.last_ms];
        counts.map(|count| count.load(Ordering::Relaxed))
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
