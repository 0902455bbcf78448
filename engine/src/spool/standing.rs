//! Whether a thread of this process waits in the kernel, as for a disk that does not answer, or only for a CPU: on a
//! machine that has too much to do, a thread may do nothing for seconds although its disk is well.

use std::sync::atomic::{AtomicI32, Ordering};

/// The thread that writes, as the kernel knows it. Zero until it runs.
#[derive(Debug, Default)]
pub(super) struct Thread(AtomicI32);

impl Thread {
    /// Says that it is the caller.
    pub(super) fn is_here(&self) {
        let own = rustix::thread::gettid().as_raw_nonzero().get();
        self.0.store(own, Ordering::Release);
    }

    /// Whether it waits for something else than a CPU.
    pub(super) fn stands(&self) -> bool {
        let tid = self.0.load(Ordering::Acquire);
        let stat = std::fs::read_to_string(format!("/proc/self/task/{tid}/stat"));
        // `TID (NAME) STATE …`, where a name may have any character.
        let state = stat.ok().and_then(|stat| stat.rsplit_once(") ")?.1.chars().next());
        state != Some('R')
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::sync::mpsc;
    use std::thread;
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn a_thread_that_computes_does_not_stand() {
        let (computes, waits, is_over) = (Thread::default(), Thread::default(), AtomicBool::new(false));
        let (go, may_go) = mpsc::channel::<()>();
        thread::scope(|scope| {
            scope.spawn(|| {
                computes.is_here();
                while !is_over.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
            let waits = &waits;
            scope.spawn(move || {
                waits.is_here();
                let _ = may_go.recv();
            });
            let until = Instant::now() + Duration::from_secs(60);
            while computes.stands() || !waits.stands() || waits.0.load(Ordering::Acquire) == 0 {
                assert!(Instant::now() < until, "both are seen as they are");
                thread::sleep(Duration::from_millis(1));
            }
            is_over.store(true, Ordering::Relaxed);
            drop(go);
        });
    }
}
