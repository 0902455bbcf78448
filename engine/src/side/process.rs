//! What the kernel reports about this process, for the `process_*` metrics. Values that cannot be read are left out.

use std::fs;

use rustix::process::{Resource, getrlimit};

use crate::clock::process_cpu;

/// Cheap to read: memory, descriptors and time of this process.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Process {
    pub(super) resident_bytes: Option<u64>,
    pub(super) virtual_bytes: Option<u64>,
    pub(super) anonymous_bytes: Option<u64>,
    /// Of files, and of memory that file systems like tmpfs consist of.
    pub(super) file_bytes: Option<u64>,
    pub(super) open_fds: Option<usize>,
    pub(super) max_fds: Option<u64>,
    pub(super) cpu_seconds: f64,
}

impl Process {
    /// Lists a descriptor for each connection, so not for every answer.
    pub(super) fn look() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        Self {
            resident_bytes: kilobytes(&status, "VmRSS:"),
            virtual_bytes: kilobytes(&status, "VmSize:"),
            anonymous_bytes: kilobytes(&status, "RssAnon:"),
            file_bytes: kilobytes(&status, "RssFile:").and_then(|file| Some(file + kilobytes(&status, "RssShmem:")?)),
            // The folder that is being read is one of them.
            open_fds: fs::read_dir("/proc/self/fd")
                .ok()
                .map(|entries| entries.count().saturating_sub(1)),
            max_fds: getrlimit(Resource::Nofile).current,
            cpu_seconds: process_cpu().as_secs_f64(),
        }
    }
}

fn kilobytes(status: &str, field: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    let number: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(number * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_there() {
        let process = Process::look();
        assert!(process.resident_bytes.unwrap() > 1 << 20);
        assert!(process.virtual_bytes >= process.resident_bytes);
        let parts = process.anonymous_bytes.unwrap() + process.file_bytes.unwrap();
        assert!(parts > 1 << 20);
        assert!(process.open_fds.unwrap() >= 3);
        assert!(process.cpu_seconds > 0.0);
    }

    #[test]
    fn fields_that_are_not_there_are_left_out() {
        assert_eq!(kilobytes("VmRSS:\t  12 kB\n", "VmRSS:"), Some(12_288));
        assert_eq!(kilobytes("VmRSS:\t  12 MB\n", "VmRSS:"), None);
        assert_eq!(kilobytes("", "VmRSS:"), None);
    }
}
