//! Watches the thread that may have to wait for the disk, and the keeper process. It waits for neither.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::keeper::Keepers;
use super::shared::Shared;

const TICK: Duration = Duration::from_millis(50);

/// A disk that has not answered for this time hangs.
const STALLED: Duration = Duration::from_secs(1);

/// Runs until the spool closes.
pub(super) fn run(shared: &Shared, keepers: &Keepers) {
    let mut seen = shared.steps.load(Ordering::Acquire);
    let mut since = Instant::now();
    while !shared.is_closing.load(Ordering::Acquire) {
        std::thread::sleep(TICK);
        keepers.check(shared);
        let steps = shared.steps.load(Ordering::Acquire);
        if steps != seen {
            (seen, since) = (steps, Instant::now());
        }
        let is_late = steps % 2 == 1 && since.elapsed() >= STALLED;
        let waits = is_late && (shared.is_stalled.load(Ordering::Relaxed) || shared.disk_thread.stands());
        if shared.is_stalled.swap(waits, Ordering::Relaxed) == waits {
            continue;
        }
        let path = shared.folder().path.display().to_string();
        if waits {
            shared.count_error();
            tracing::error!(%path, "the spool's disk does not answer; records are kept in memory while there is room");
        } else {
            tracing::info!(%path, "the spool's disk answers again");
        }
    }
}
