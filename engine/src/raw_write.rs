//! Writing to a descriptor that is shared with other processes, by a thread that may wait.

use std::os::fd::BorrowedFd;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

/// Writes everything, however long that takes.
///
/// # Errors
/// The first error, and how many bytes were written before it.
pub(crate) fn write_all(output: BorrowedFd<'_>, bytes: &[u8]) -> Result<(), (Errno, usize)> {
    let mut written = 0;
    while written < bytes.len() {
        match rustix::io::write(output, &bytes[written..]) {
            Ok(0) => return Err((Errno::IO, written)),
            Ok(more) => written += more,
            Err(Errno::INTR) => {}
            // Another process that shares the descriptor has made it non-blocking.
            Err(Errno::AGAIN) => {
                let _ = poll(&mut [PollFd::new(&output, PollFlags::OUT)], None);
            }
            Err(errno) => return Err((errno, written)),
        }
    }
    Ok(())
}
