//! A running process draws its own flame graph: what its threads did while they had the CPU.
//!
//! ```text
//!  kernel: a CPU-time timer a thread ──SIGPROF──▶ handler: pc, return addresses ──▶ slot     on the thread itself
//!  recorder: every 50 ms  slots ──▶ stack → count;  timers for new threads                   thread "profile"
//!  at the end: addresses ──symbols──▶ names ──inferno──▶ SVG                               nice +10
//! ```
//! `side::admin` starts a recording. Nothing of this runs before, and there is one recording at a time.
//!
//! Why no crate does the sampling: those that need no privileges arm one timer for the whole process. Linux before 6.4
//! gives its signal to the main thread, which only waits here, and later ones to the thread that runs when it expires.
//! A timer on each thread's own CPU clock counts every thread by what it has used, and costs nothing while the thread
//! sleeps.

mod draw;
mod recorder;
mod signal;
mod symbols;

pub(crate) use self::draw::{folded, svg, told};
pub(crate) use self::recorder::{ProfileError, Recording, record};

/// Whether this program's functions keep frame pointers, along which stacks are walked.
pub(crate) const HAS_FRAME_POINTERS: bool = matches!(env!("BUILD_FRAME_POINTERS").as_bytes(), b"yes");

/// Samples a second of CPU time that may be asked for. A prime, as the default is, so that samples do not keep step
/// with what happens at round intervals.
pub(crate) const HERTZ_MAX: u32 = 199;
pub(crate) const HERTZ: u32 = 99;
