//! How many shards a process runs and on which CPUs.
//!
//! ```text
//! sched affinity ─────────────┐
//! cgroup quotas, v1 and v2 ───┤                    ┌─ cpus   the least of them
//! ECS task metadata ──────────┼─▶ Inputs ─ decide ─┼─ shards max(1, floor(cpus)), or what the operator says
//! --cpus, --shards ───────────┘                    └─ pins   only where every shard and side have a CPU to run on
//! ```
//!
//! `server` calls [`Topology::detect`] once, before any thread starts, and logs its one line. [`decide`] is pure;
//! functions that read the system take a root path, so that tests can use recorded trees of files.

pub mod affinity;
pub mod cgroup;
pub mod memory;
pub mod metadata;

use std::fmt;
use std::path::Path;

pub use affinity::{Cpu, pin_current_thread, yield_to_shards};
pub use cgroup::Quota;
pub use memory::MemoryLimit;
use metadata::TaskLimits;

use crate::limits::SHARDS_MAX;

/// How long the task metadata endpoint may take in all. It is a link-local address: a healthy one takes milliseconds.
const METADATA_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(1);

/// What the operator and the environment say of CPUs.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct CpuSettings<'a> {
    /// The CPUs that may be used.
    pub cpus: Option<f64>,
    /// The shards that are wanted.
    pub shards: Option<usize>,
    /// Where ECS says what its task may use.
    pub metadata_uri: Option<&'a str>,
}

/// Everything the decision rests on.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Inputs {
    /// The CPUs this process may run on, ascending; empty when the system did not say.
    pub affinity: Vec<Cpu>,
    /// The least quota of all visible cgroups.
    pub quota: Option<Quota>,
    /// The vCPUs of the ECS task.
    pub task_cpus: Option<f64>,
    /// What the operator allows.
    pub cpus: Option<f64>,
    /// How many shards the operator wants.
    pub shards: Option<usize>,
    /// The least memory limit; none when nothing states one.
    pub memory: Option<MemoryLimit>,
    /// What could not be read, a sentence each. It counts as no limit.
    pub warnings: Vec<String>,
}

/// What was decided, and from what.
#[derive(Debug, Clone, PartialEq)]
pub struct Topology {
    /// CPUs' worth of time that this process has.
    pub cpus: f64,
    /// Shards to run: 1 to [`SHARDS_MAX`].
    pub shards: usize,
    /// The CPU of each shard; none when they are not pinned.
    pub pins: Option<Vec<usize>>,
    /// Why they are pinned, or why not.
    pub pinning: String,
    /// What it was decided from.
    pub inputs: Inputs,
}

impl Topology {
    /// Reads this machine and decides.
    #[must_use]
    pub fn detect(settings: &CpuSettings<'_>) -> Self {
        let root = Path::new("/");
        let mut warnings = Vec::new();
        let affinity = affinity::current(root).unwrap_or_else(|error| {
            warnings.push(format!("cannot read the CPUs this process may run on: {error}"));
            Vec::new()
        });
        let mut found = cgroup::quota(root);
        warnings.append(&mut found.warnings);
        let task = settings.metadata_uri.map_or_else(TaskLimits::default, |uri| {
            metadata::task_limits(uri, METADATA_TIMEOUT).unwrap_or_else(|error| {
                warnings.push(format!("ECS task metadata at {uri:?}: {error}"));
                TaskLimits::default()
            })
        });
        let memory = memory::limit(root, task.memory_bytes, &mut warnings);
        decide(Inputs {
            affinity,
            quota: found.least,
            task_cpus: task.cpus,
            cpus: settings.cpus,
            shards: settings.shards,
            memory,
            warnings,
        })
    }
}

/// Decides. Limits that are no positive number count as none.
#[must_use]
pub fn decide(inputs: Inputs) -> Topology {
    let quota = inputs.quota.as_ref().map(|quota| quota.cpus);
    let affinity = match inputs.affinity.len() {
        0 => None,
        // A set of CPUs has at most 1,024 members.
        count => u32::try_from(count).ok().map(f64::from),
    };
    let limits = [affinity, quota, inputs.task_cpus, inputs.cpus];
    let usable = limits
        .into_iter()
        .flatten()
        .filter(|cpus| cpus.is_finite() && *cpus > 0.0);
    // Nothing at all is known only where even the affinity cannot be read: one shard is never wrong.
    let cpus = usable.reduce(f64::min).unwrap_or(1.0);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "positive, and the cast saturates before the clamp"
    )]
    let whole = cpus.floor() as usize;
    let shards = inputs.shards.unwrap_or(whole).clamp(1, SHARDS_MAX);
    let (pins, pinning) = pins(&inputs, shards);
    Topology {
        cpus,
        shards,
        pins,
        pinning,
        inputs,
    }
}

/// Pinned shards cannot move away from a busy CPU. So they are pinned only to CPUs that are this process's to use, and
/// only when one is left over: side, the acceptor and the kernel's interrupts need it.
fn pins(inputs: &Inputs, shards: usize) -> (Option<Vec<usize>>, String) {
    let available = inputs.affinity.len();
    let quota = [inputs.quota.as_ref().map(|quota| quota.cpus), inputs.task_cpus];
    let binding = quota
        .into_iter()
        .flatten()
        .find(|&cpus| u32::try_from(available).is_ok_and(|count| cpus < f64::from(count)));
    if let Some(cpus) = binding {
        let reason = format!("a quota of {cpus} CPUs on {available} means that they are shared with neighbours");
        return (None, reason);
    }
    if available < shards + 1 {
        let reason = format!("shards take all there is (affinity {available}), which leaves the side thread none");
        return (None, reason);
    }
    let pins = affinity::spread(&inputs.affinity).into_iter().take(shards).collect();
    (
        Some(pins),
        "every shard has a CPU and one is left for the side thread".into(),
    )
}

impl fmt::Display for Topology {
    /// One line with every input and the result.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |cpus: Option<f64>| cpus.map_or_else(|| "none".into(), |cpus| cpus.to_string());
        let inputs = &self.inputs;
        write!(f, "shards {}, CPUs {}; from ", self.shards, self.cpus)?;
        match inputs.affinity.len() {
            0 => f.write_str("affinity unknown")?,
            count => write!(f, "affinity {count}")?,
        }
        match &inputs.quota {
            Some(Quota { cpus, file }) => write!(f, ", cgroup quota {cpus} ({file})")?,
            None => f.write_str(", cgroup quota none")?,
        }
        let shards = inputs.shards.map_or_else(|| "none".into(), |shards| shards.to_string());
        let (task, cpus) = (number(inputs.task_cpus), number(inputs.cpus));
        write!(f, ", ECS task limit {task}, --cpus {cpus}, --shards {shards}; ")?;
        match &self.pins {
            Some(pins) => write!(f, "pinned to CPUs {pins:?}: {}", self.pinning),
            None => write!(f, "not pinned: {}", self.pinning),
        }
    }
}

#[cfg(test)]
mod tests;
