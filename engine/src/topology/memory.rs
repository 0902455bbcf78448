//! The least memory limit of this process: its cgroups and their visible ancestors, the ECS task, the machine.
//!
//! An absent value is no limit; a value that cannot be understood is a warning and no limit.

use std::fmt;
use std::path::Path;

use super::cgroup::{Controller, Version, groups, read};

/// A limit and what states it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryLimit {
    /// Bytes.
    pub bytes: u64,
    /// Where it was found: a file, or in words.
    pub source: String,
}

impl fmt::Display for MemoryLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes ({})", self.bytes, self.source)
    }
}

/// The least limit below `root`, which is `/` but in tests; none where nothing states one. Adds to `warnings` what
/// could not be read.
#[must_use]
pub fn limit(root: &Path, task_bytes: Option<u64>, warnings: &mut Vec<String>) -> Option<MemoryLimit> {
    let mut limits = Vec::new();
    for (version, folder) in groups(root, Controller::Memory, warnings) {
        let name = match version {
            Version::V1 => "memory.limit_in_bytes",
            Version::V2 => "memory.max",
        };
        let file = format!("{}/{name}", folder.trim_end_matches('/'));
        let Some(text) = read(root, &file, warnings) else {
            continue;
        };
        match text.trim() {
            "max" => {}
            text => match text.parse() {
                Ok(bytes) if bytes > 0 => limits.push(MemoryLimit { bytes, source: file }),
                _ => warnings.push(format!("{file} holds no limit: {text:.40?}")),
            },
        }
    }
    if let Some(bytes) = task_bytes {
        let source = "ECS task limit".into();
        limits.push(MemoryLimit { bytes, source });
    }
    if let Some(bytes) = machine(root, warnings) {
        let source = "memory of the machine".into();
        limits.push(MemoryLimit { bytes, source });
    }
    limits.into_iter().min_by_key(|limit| limit.bytes)
}

/// Resident memory of this process that is not of files; 0 where the system does not say.
#[must_use]
pub fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    kilobytes(&status, "RssAnon:").unwrap_or(0)
}

/// The bytes of a line that says how many kilobytes.
fn kilobytes(text: &str, field: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(field))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

/// Physical memory.
fn machine(root: &Path, warnings: &mut Vec<String>) -> Option<u64> {
    kilobytes(&read(root, "/proc/meminfo", warnings)?, "MemTotal:")
}
