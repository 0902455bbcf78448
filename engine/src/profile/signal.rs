//! The signal handler, the timers that call it, and the slots that it leaves stacks in. All of the profiler's `unsafe`.
//!
//! The handler interrupts a thread at any point, even in an allocation. So it allocates nothing, takes no lock, and
//! calls only functions that are safe there: system calls and the clock. It reads unknown memory with
//! `process_vm_readv` of this process, which fails where a direct read would crash: code without frame pointers (libc,
//! assembly) may leave anything in the register.

#![expect(
    unsafe_code,
    reason = "signal handlers and timers are the C library's, and stacks are reached by address"
)]

use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering};

/// Return addresses of a stack, at most. What is beyond is cut off at the root.
pub(super) const DEPTH_MAX: usize = 128;

/// Samples that wait for the recorder. At 199 a second of CPU time and a look every 50 ms, 10 are enough for each CPU.
const SLOTS: usize = 512;

/// Frames further apart than this are none.
const FRAME_BYTES_MAX: u64 = 1 << 20;

/// Where the handler leaves stacks.
pub(super) struct Slots {
    slots: Box<[Slot]>,
    next: AtomicUsize,
    /// Samples without a free slot.
    pub(super) lost: AtomicU64,
    /// Time in the handler, all in all. Unit: nanoseconds.
    pub(super) handler_ns: AtomicU64,
}

struct Slot {
    state: AtomicU32,
    thread: AtomicU32,
    /// Expirations of the timer that this stands for.
    weight: AtomicU32,
    depth: AtomicUsize,
    frames: [AtomicU64; DEPTH_MAX],
}

const FREE: u32 = 0;
const TAKEN: u32 = 1;
const FULL: u32 = 2;

/// Null without a recording.
static SLOTS_NOW: AtomicPtr<Slots> = AtomicPtr::new(ptr::null_mut());

/// Handlers that may hold the pointer.
static INSIDE: AtomicUsize = AtomicUsize::new(0);

impl Slots {
    pub(super) fn new() -> Self {
        let slot = |_| Slot {
            state: AtomicU32::new(FREE),
            thread: AtomicU32::new(0),
            weight: AtomicU32::new(0),
            depth: AtomicUsize::new(0),
            frames: [const { AtomicU64::new(0) }; DEPTH_MAX],
        };
        Self {
            slots: (0..SLOTS).map(slot).collect(),
            next: AtomicUsize::new(0),
            lost: AtomicU64::new(0),
            handler_ns: AtomicU64::new(0),
        }
    }

    /// Hands over and frees what has been left: the thread's number, how many expirations of its timer came to this,
    /// and its stack, innermost address first.
    pub(super) fn drain(&self, mut each: impl FnMut(u32, u32, &[u64])) {
        let mut frames = [0; DEPTH_MAX];
        for slot in &self.slots {
            if slot.state.load(Ordering::Acquire) != FULL {
                continue;
            }
            let depth = slot.depth.load(Ordering::Relaxed);
            for (to, from) in frames.iter_mut().zip(&slot.frames[..depth]) {
                *to = from.load(Ordering::Relaxed);
            }
            let (thread, weight) = (slot.thread.load(Ordering::Relaxed), slot.weight.load(Ordering::Relaxed));
            each(thread, weight, &frames[..depth]);
            slot.state.store(FREE, Ordering::Release);
        }
    }

    fn leave(&self, thread: u32, weight: u32, registers: Registers) {
        let number = self.next.fetch_add(1, Ordering::Relaxed) % SLOTS;
        let slot = &self.slots[number];
        let got = slot
            .state
            .compare_exchange(FREE, TAKEN, Ordering::Acquire, Ordering::Relaxed);
        if got.is_err() {
            self.lost.fetch_add(weight.into(), Ordering::Relaxed);
            return;
        }
        let mut depth = 0;
        walk(registers, read_frame, |address| {
            slot.frames[depth].store(address, Ordering::Relaxed);
            depth += 1;
            depth < DEPTH_MAX
        });
        slot.thread.store(thread, Ordering::Relaxed);
        slot.weight.store(weight, Ordering::Relaxed);
        slot.depth.store(depth, Ordering::Relaxed);
        slot.state.store(FULL, Ordering::Release);
    }
}

/// Where a thread was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Registers {
    instruction: u64,
    frame: u64,
}

/// Gives the instruction's address and then return addresses, innermost first, until `each` has enough. `read` has the
/// two words at an address: the caller's frame pointer and the return address, on x86-64 and on 64-bit Arm alike.
fn walk(registers: Registers, read: impl Fn(u64) -> Option<[u64; 2]>, mut each: impl FnMut(u64) -> bool) {
    let mut frame = registers.frame;
    if !each(registers.instruction) {
        return;
    }
    while frame != 0 && frame.is_multiple_of(8) {
        let Some([caller, address]) = read(frame) else { return };
        // Stacks grow down: a caller's frame is above. This also ends every loop.
        if address == 0 || !each(address) || caller <= frame || caller - frame > FRAME_BYTES_MAX {
            return;
        }
        frame = caller;
    }
}

/// Two words of this process's memory, or nothing where there is none.
fn read_frame(address: u64) -> Option<[u64; 2]> {
    let mut words = [0_u64; 2];
    let to = libc::iovec {
        iov_base: words.as_mut_ptr().cast(),
        iov_len: size_of_val(&words),
    };
    let from = libc::iovec {
        iov_base: ptr::with_exposed_provenance_mut(usize::try_from(address).ok()?),
        iov_len: size_of_val(&words),
    };
    // SAFETY: `to` is `words`, which outlives the call; of `from` the kernel checks every byte.
    let read = unsafe { libc::process_vm_readv(libc::getpid(), &raw const to, 1, &raw const from, 1, 0) };
    (usize::try_from(read) == Ok(size_of_val(&words))).then_some(words)
}

/// Whether the system lets this process read its own memory by that call, which a sandbox may deny.
pub(super) fn can_read_stacks() -> bool {
    let words = [1_u64, 2];
    read_frame(words.as_ptr().expose_provenance() as u64) == Some(words)
}

/// SIGPROF's handler, for ever once it is installed: a signal may be on its way when a recording ends, and without a
/// handler it would end the process.
extern "C" fn on_signal(_: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the address of this thread's own errno.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: as above; read and put back, because the thread may be about to look at it.
    let kept = unsafe { *errno };
    // Before the pointer is read, so that `Armed::drop` either sees this handler or has taken the pointer from it.
    INSIDE.fetch_add(1, Ordering::SeqCst);
    // SAFETY: null, or slots that live until no handler is inside.
    if let Some(slots) = unsafe { SLOTS_NOW.load(Ordering::SeqCst).as_ref() } {
        let began = clock_ns();
        // SAFETY: with SA_SIGINFO both are valid while the handler runs.
        let (sent, registers) = unsafe { (&*info, registers(&*context.cast())) };
        // A timer's signal; a signal from another source has a user's code.
        if sent.si_code == libc::SI_TIMER {
            // SAFETY: a timer's signal carries the value that the timer was made with.
            let number = unsafe { sent.si_value() }.sival_ptr.addr();
            // SAFETY: a timer's signal has the count of expirations that came while it was waiting. The kernel looks at
            // CPU clocks at its ticks only, so with 100 of them a second a faster timer expires several times at once.
            let overrun = unsafe { sent.si_overrun() };
            let weight = 1 + u32::try_from(overrun).unwrap_or(0);
            slots.leave(u32::try_from(number).unwrap_or(u32::MAX), weight, registers);
        }
        slots
            .handler_ns
            .fetch_add(clock_ns().saturating_sub(began), Ordering::Relaxed);
    }
    INSIDE.fetch_sub(1, Ordering::SeqCst);
    // SAFETY: as above.
    unsafe { *errno = kept };
}

#[cfg(target_arch = "x86_64")]
fn registers(context: &libc::ucontext_t) -> Registers {
    let general = |number: libc::c_int| {
        let value = usize::try_from(number)
            .ok()
            .and_then(|number| context.uc_mcontext.gregs.get(number));
        value.map_or(0, |value| value.cast_unsigned())
    };
    Registers {
        instruction: general(libc::REG_RIP),
        frame: general(libc::REG_RBP),
    }
}

#[cfg(target_arch = "aarch64")]
fn registers(context: &libc::ucontext_t) -> Registers {
    Registers {
        instruction: context.uc_mcontext.pc,
        frame: context.uc_mcontext.regs[29],
    }
}

/// CPU time of this thread: others may have the CPU while a handler runs.
fn clock_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    now.tv_sec.cast_unsigned() * 1_000_000_000 + now.tv_nsec.cast_unsigned()
}

/// Slots that handlers leave stacks in, until it is dropped. There is one at a time: the recorder sees to that.
pub(super) struct Armed(*mut Slots);

impl Armed {
    /// Installs the handler and lets it see the slots.
    pub(super) fn new() -> io::Result<Self> {
        // SAFETY: all zeroes is a valid sigaction.
        let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
        action.sa_sigaction = on_signal as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART | libc::SA_ONSTACK;
        // SAFETY: a complete action whose handler is safe to run anywhere, as described above.
        if unsafe { libc::sigaction(libc::SIGPROF, &raw const action, ptr::null_mut()) } != 0 {
            return Err(io::Error::last_os_error());
        }
        let slots = Box::into_raw(Box::new(Slots::new()));
        SLOTS_NOW.store(slots, Ordering::SeqCst);
        Ok(Self(slots))
    }

    pub(super) fn slots(&self) -> &Slots {
        // SAFETY: ours until `drop`; everything in it is atomic.
        unsafe { &*self.0 }
    }
}

impl Drop for Armed {
    fn drop(&mut self) {
        SLOTS_NOW.store(ptr::null_mut(), Ordering::SeqCst);
        while INSIDE.load(Ordering::SeqCst) != 0 {
            std::thread::yield_now();
        }
        // SAFETY: made by `Box::into_raw`; a handler that saw the pointer was counted before, and none is left.
        drop(unsafe { Box::from_raw(self.0) });
    }
}

/// A timer that signals a thread each time it has used so much CPU time.
pub(super) struct Timer(libc::timer_t);

impl Timer {
    /// For the thread with this id of this process; its samples carry `number`.
    pub(super) fn start(thread: i32, number: u32, hertz: u32) -> io::Result<Self> {
        // The kernel's encoding of a thread's CPU clock (include/linux/posix-timers_types.h: CPUCLOCK_PERTHREAD_MASK |
        // CPUCLOCK_SCHED), which is what pthread_getcpuclockid gives to those who have a pthread_t.
        let clock = (!thread << 3) | 6;
        // SAFETY: all zeroes is a valid sigevent.
        let mut event: libc::sigevent = unsafe { MaybeUninit::zeroed().assume_init() };
        event.sigev_notify = libc::SIGEV_THREAD_ID;
        event.sigev_signo = libc::SIGPROF;
        event.sigev_notify_thread_id = thread;
        event.sigev_value.sival_ptr = ptr::without_provenance_mut(number as usize);
        let mut timer = ptr::null_mut();
        // SAFETY: both are valid for the call.
        if unsafe { libc::timer_create(clock, &raw mut event, &raw mut timer) } != 0 {
            return Err(io::Error::last_os_error());
        }
        let timer = Self(timer);
        let every = libc::timespec {
            tv_sec: 0,
            tv_nsec: 1_000_000_000 / libc::c_long::from(hertz),
        };
        let times = libc::itimerspec {
            it_interval: every,
            it_value: every,
        };
        // SAFETY: our own timer and a complete value.
        if unsafe { libc::timer_settime(timer.0, 0, &raw const times, ptr::null_mut()) } != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(timer)
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        // SAFETY: ours, and deleted once. Its thread may have ended: then there is nothing left to signal.
        unsafe { libc::timer_delete(self.0) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stack of words from `base` on.
    fn memory(base: u64, words: &[u64]) -> impl Fn(u64) -> Option<[u64; 2]> {
        move |address| {
            let at = usize::try_from(address.checked_sub(base)? / 8).ok()?;
            words.get(at..at + 2)?.try_into().ok()
        }
    }

    fn walked(words: &[u64], frame: u64) -> Vec<u64> {
        let mut addresses = Vec::new();
        let registers = Registers { instruction: 7, frame };
        walk(registers, memory(0x1000, words), |address| {
            addresses.push(address);
            addresses.len() < 4
        });
        addresses
    }

    #[test]
    fn frames_are_followed_upwards_and_no_further_than_they_go() {
        assert_eq!(walked(&[0x1010, 11, 0x1020, 12, 0, 13], 0x1000), [7, 11, 12, 13]);
        assert_eq!(walked(&[0x1010, 11, 0x1010, 12], 0x1000), [7, 11, 12], "onto itself");
        assert_eq!(walked(&[0x1010, 11, 0x1000, 12], 0x1000), [7, 11, 12], "down");
        assert_eq!(walked(&[0x1011, 11], 0x1000), [7, 11], "not aligned");
        assert_eq!(walked(&[0x1010, 11], 0x1000), [7, 11], "out of memory");
        assert_eq!(walked(&[0x10_1010, 11], 0x1000), [7, 11], "far away");
        assert_eq!(walked(&[0x1010, 0], 0x1000), [7], "the root");
        assert_eq!(walked(&[], 0), [7]);
        assert_eq!(walked(&[], u64::MAX - 7), [7]);
        let deep = [0x1010, 11, 0x1020, 12, 0x1030, 13, 0x1040, 14, 0, 15];
        assert_eq!(walked(&deep, 0x1000), [7, 11, 12, 13], "enough");
    }

    #[test]
    fn memory_that_is_not_there_is_no_crash() {
        assert_eq!(read_frame(8), None);
        assert_eq!(read_frame(u64::MAX - 7), None);
        assert!(can_read_stacks());
    }

    #[test]
    fn slots_that_are_full_are_counted_and_come_free() {
        let slots = Slots::new();
        let registers = Registers {
            instruction: 7,
            frame: 0,
        };
        for number in 0..SLOTS + 3 {
            slots.leave(u32::try_from(number).unwrap(), 2, registers);
        }
        assert_eq!(slots.lost.load(Ordering::Relaxed), 6);
        let mut threads = Vec::new();
        slots.drain(|thread, weight, frames| {
            assert_eq!((weight, frames), (2, &[7][..]));
            threads.push(thread as usize);
        });
        assert_eq!(threads, (0..SLOTS).collect::<Vec<_>>());
        slots.drain(|_, _, _| panic!("they are free"));
    }
}
