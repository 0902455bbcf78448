//! Which CPUs the process may run on, how shards are spread over them, and pinning a thread to one.

use std::collections::HashSet;
use std::io;
use std::path::Path;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// One logical CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cpu {
    /// Its number.
    pub id: usize,
    /// The lowest number of the CPUs that share its core. Its own where the system does not say.
    pub core: usize,
}

/// Of 20 levels; 10 leaves a shard on the same core about nine tenths of it.
const NICE: i32 = 10;

/// Lowers the calling thread's priority, for work that a shard on the same core must not wait for. To Linux a thread is
/// a process. Refused in odd sandboxes, where we go on without.
pub fn yield_to_shards() {
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        tracing::debug!(%error, "the thread keeps its priority");
    }
}

/// The CPUs the calling thread may run on, ascending. `root` is `/` but in tests.
///
/// # Errors
/// The system's: a machine of more than 1,024 CPUs, for one.
pub fn current(root: &Path) -> io::Result<Vec<Cpu>> {
    let set = sched_getaffinity(None)?;
    let ids = (0..CpuSet::MAX_CPU).filter(|&id| set.is_set(id));
    Ok(ids
        .map(|id| Cpu {
            id,
            core: core(root, id),
        })
        .collect())
}

/// The lowest sibling of a CPU, from a list as `0,4` or `0-1`.
fn core(root: &Path, id: usize) -> usize {
    let file = format!("sys/devices/system/cpu/cpu{id}/topology/thread_siblings_list");
    let list = std::fs::read_to_string(root.join(file)).unwrap_or_default();
    let first = list.split(['-', ',']).next().unwrap_or_default();
    first.trim().parse().unwrap_or(id)
}

/// The order in which shards take CPUs: one of each core before a second of any, because two shards on one core halve
/// each other; and the lowest number last, because interrupts land there and the side thread will find it free.
#[must_use]
pub fn spread(cpus: &[Cpu]) -> Vec<usize> {
    let Some((first, others)) = cpus.split_first() else {
        return Vec::new();
    };
    let mut cores = HashSet::from([first.core]);
    let (alone, second): (Vec<Cpu>, Vec<Cpu>) = others.iter().partition(|cpu| cores.insert(cpu.core));
    let order = alone.iter().chain(&second).chain([first]);
    order.map(|cpu| cpu.id).collect()
}

/// Pins the calling thread to one CPU. Callers log an error and go on: an unpinned shard is slower, not wrong.
///
/// # Errors
/// When the CPU does not exist, is not this process's, or the system forbids the call.
pub fn pin_current_thread(cpu: usize) -> io::Result<()> {
    if cpu >= CpuSet::MAX_CPU {
        let message = format!("CPU {cpu} is beyond the {} that can be named", CpuSet::MAX_CPU);
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    let mut set = CpuSet::new();
    set.set(cpu);
    Ok(sched_setaffinity(None, &set)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cpus(ids_and_cores: &[(usize, usize)]) -> Vec<Cpu> {
        ids_and_cores.iter().map(|&(id, core)| Cpu { id, core }).collect()
    }

    #[test]
    fn cores_before_their_second_threads_and_the_first_cpu_last() {
        assert_eq!(spread(&cpus(&[(0, 0), (1, 1), (2, 2)])), [1, 2, 0]);
        assert_eq!(
            spread(&cpus(&[(0, 0), (1, 0), (2, 2), (3, 2), (4, 4), (5, 4)])),
            [2, 4, 1, 3, 5, 0]
        );
        assert_eq!(spread(&cpus(&[(0, 0), (1, 1), (4, 0), (5, 1)])), [1, 4, 5, 0]);
        assert_eq!(spread(&cpus(&[(7, 3)])), [7]);
        assert!(spread(&[]).is_empty());
    }

    #[test]
    fn a_thread_is_pinned_and_impossible_cpus_are_soft_errors() {
        // A thread of its own: the affinity of the test runner's must stay as it is.
        let pinned = std::thread::Builder::new().name("pin".into()).spawn(|| {
            let allowed = current(Path::new("/")).unwrap();
            let last = allowed.last().unwrap().id;
            pin_current_thread(last).unwrap();
            let now: Vec<_> = current(Path::new("/")).unwrap().iter().map(|cpu| cpu.id).collect();
            assert_eq!(now, [last]);
            assert!(pin_current_thread(1023).is_err());
            assert!(pin_current_thread(usize::MAX).is_err());
        });
        pinned.unwrap().join().unwrap();
    }

    #[test]
    fn siblings_come_from_lists_and_ranges() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/topology/siblings");
        assert_eq!([0, 1, 2, 3, 4].map(|id| core(&root, id)), [0, 0, 2, 0, 4]);
    }
}
