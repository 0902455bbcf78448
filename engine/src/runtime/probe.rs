//! Whether io_uring can be used here. This is checked before glommio is used, because glommio panics instead of
//! returning an error.
//!
//! Docker's, containerd's and Fargate's seccomp profiles answer `EPERM` or `ENOSYS`, small containers have little
//! locked memory, old kernels lack operations. Each of these is reported and is no reason to end.

use std::panic::AssertUnwindSafe;
use std::{io, thread};

use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

use super::Backend;
use super::glommio::Glommio;

/// Locked memory that one glommio executor asks for. Unit: bytes.
pub const LOCKED_BYTES_MIN: u64 = 512 << 10;

/// The thread that tries a whole executor. The panic hook keeps silent about it (see [`is_trial`]).
const TRIAL_THREAD: &str = "io-uring-trial";

/// Why io_uring cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IoUringError {
    /// The kernel or a seccomp filter refuses the system call.
    #[error("io_uring_setup answers {0} ({hint})", hint = hint(*.0))]
    Setup(Errno),
    /// `RLIMIT_MEMLOCK` is too low.
    #[error("locked memory is limited to {limit} bytes, and {needed} are needed for {shards} shards (ulimit -l)")]
    LockedMemory {
        /// The limit, in bytes.
        limit: u64,
        /// What the shards need, in bytes.
        needed: u64,
        /// How many shards.
        shards: usize,
    },
    /// The system calls are allowed, but an executor does not start.
    #[error("a trial run failed: {0}")]
    Trial(String),
}

fn hint(errno: Errno) -> &'static str {
    match errno {
        Errno::PERM => "denied by a seccomp filter or by kernel.io_uring_disabled, as on Fargate and in Docker",
        Errno::NOSYS => "no such system call: an old kernel, or a seccomp filter",
        Errno::NOMEM => "too little locked memory, see ulimit -l",
        Errno::MFILE | Errno::NFILE => "out of file descriptors, see ulimit -n",
        _ => "unexpected",
    }
}

/// Asks the limits, the kernel, and at last glommio itself.
///
/// # Errors
/// The first thing that stands in the way.
pub fn io_uring(shards: usize) -> Result<(), IoUringError> {
    ring().map_err(IoUringError::Setup)?;
    let needed = LOCKED_BYTES_MIN.saturating_mul(shards as u64);
    // `None` is "unlimited".
    if let Some(limit) = getrlimit(Resource::Memlock).current.filter(|&limit| limit < needed) {
        return Err(IoUringError::LockedMemory { limit, needed, shards });
    }
    trial()
}

#[expect(
    unsafe_code,
    reason = "rustix passes the parameters through as the kernel takes them"
)]
fn ring() -> Result<(), Errno> {
    let mut params = rustix::io_uring::io_uring_params::default();
    // SAFETY: default parameters name no descriptor and no memory of ours; the kernel only writes into `params`. The
    // ring's descriptor is owned and closed on return.
    unsafe { rustix::io_uring::io_uring_setup(4, &mut params) }.map(drop)
}

/// Starts an executor and lets it finish. What it panics with becomes the reason.
fn trial() -> Result<(), IoUringError> {
    let run = || std::panic::catch_unwind(AssertUnwindSafe(|| Glommio::run(async {})));
    let handle = thread::Builder::new()
        .name(TRIAL_THREAD.into())
        .spawn(run)
        .map_err(failed)?;
    match handle.join() {
        Ok(Ok(Ok(()))) => Ok(()),
        Ok(Ok(Err(error))) => Err(IoUringError::Trial(error.reason)),
        Ok(Err(panic)) | Err(panic) => Err(IoUringError::Trial(message(panic.as_ref()))),
    }
}

fn failed(error: io::Error) -> IoUringError {
    IoUringError::Trial(error.to_string())
}

/// Whether the current thread is a trial, whose panic is an answer and no fault.
#[must_use]
pub fn is_trial() -> bool {
    thread::current().name() == Some(TRIAL_THREAD)
}

fn message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("panicked")
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locked_memory_is_counted_for_all_shards() {
        // No machine lets a process lock this much; "unlimited" is the one exception.
        match io_uring(usize::MAX) {
            Err(IoUringError::LockedMemory { shards, .. }) => assert_eq!(shards, usize::MAX),
            Err(IoUringError::Setup(_)) | Ok(()) => {}
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn every_reason_says_what_to_look_at() {
        for errno in [Errno::PERM, Errno::NOSYS, Errno::NOMEM, Errno::MFILE] {
            let text = IoUringError::Setup(errno).to_string();
            assert!(
                text.starts_with("io_uring_setup answers") && text.ends_with(')'),
                "{text}"
            );
        }
    }
}
