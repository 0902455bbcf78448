//! File descriptors: as many as the system gives, and how many connections they are enough for.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::limits::{HEALTH_CONNECTIONS, WAITING_CONNECTIONS};

/// What the process has open beside connections: libraries, the log, files of sinks, the spool, the listener for
/// operators.
const OTHERS: u64 = 192;

/// What a shard has open beside connections: its reactor's, and files of the spool.
const OTHERS_OF_SHARD: u64 = 32;

/// Raises the soft limit of open descriptors to the hard one; what holds then, none for no limit.
pub(super) fn raise() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::warn!(%error, "the limit of open files is as it was (ulimit -n)");
        }
    }
    getrlimit(Resource::Nofile).current
}

/// For how many connections the descriptors are enough, at most the wanted number.
pub(super) fn connections(limit: Option<u64>, wanted: usize, shards: usize) -> usize {
    let Some(limit) = limit else { return wanted };
    let kept = (HEALTH_CONNECTIONS + WAITING_CONNECTIONS) as u64;
    let others = OTHERS + OTHERS_OF_SHARD * shards as u64 + kept;
    // Of few descriptors a quarter goes to connections: what the process needs at least is about forty.
    let left = limit.saturating_sub(others).max(limit / 4).max(1);
    let connections = usize::try_from(left).unwrap_or(usize::MAX).min(wanted);
    if connections < wanted {
        tracing::warn!(
            open_files_max = limit,
            connections_max = wanted,
            connections,
            "fewer connections than limits.connections_max: the limit of open files is too low for it (ulimit -n)"
        );
    }
    connections
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_descriptors_for_the_rest() {
        assert_eq!(connections(None, 10_000, 4), 10_000);
        assert_eq!(connections(Some(1 << 20), 10_000, 4), 10_000);
        assert_eq!(connections(Some(1024), 10_000, 4), 1024 - 192 - 4 * 32 - 80);
        assert_eq!(connections(Some(64), 10_000, 1), 16);
        assert_eq!(connections(Some(64), 8, 1), 8);
        assert_eq!(connections(Some(0), 8, 1), 1);
    }

    #[test]
    fn the_soft_limit_becomes_the_hard_one() {
        assert_eq!(raise(), getrlimit(Resource::Nofile).maximum);
    }
}
