//! Keeps the memory of this process, which has keys and records, out of files: no core dumps, and no debugger of the same
//! user. Root still sees everything.

use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};

/// Turns core dumps off, for this process and those that it starts.
pub(super) fn turn_off() {
    // Where the kernel hands dumps to a program (core_pattern with a pipe), the limit alone would not stop them.
    let undumpable = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    let none = Rlimit {
        current: Some(0),
        maximum: getrlimit(Resource::Core).maximum,
    };
    if let Err(error) = undumpable.and_then(|()| setrlimit(Resource::Core, none)) {
        tracing::warn!(%error, "core dumps are as they were");
    }
}
