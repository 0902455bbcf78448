//! Files of almost 8 MB that are made to cost as much as they can: loaded, compiled and told about, or refused, within
//! 200 MB. Each is given to the program itself, whose largest resident size the kernel remembers.
//!
//! Some are models that could be real but for their proportions, others are no models at all. Each
//! file's time is printed and not asserted on: a test that does fails on a busy machine.

mod binary;
mod text;
mod topology;

use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Bytes of a file, less than 8 MB.
const FILE_BYTES: usize = 7_990_000;

/// What the process may hold, itself included.
const RESIDENT_BYTES_MAX: u64 = 200_000_000;

/// What the program took.
struct Usage {
    /// The most bytes it held.
    resident: u64,
    cpu_ms: i64,
}

/// A file's name, what becomes of it, and how it is made.
pub(crate) type Shape = (&'static str, Verdict, fn() -> Vec<u8>);

/// Whether a file is a model after all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Model,
    Refused,
}

/// The largest resident size of `quintile inspect` for a file, and what it said.
#[expect(clippy::zombie_processes, reason = "wait4 waits, and tells what the child has used")]
fn inspect(name: &str, bytes: &[u8]) -> (Usage, Verdict, String) {
    assert!(
        (FILE_BYTES / 4..8_000_000).contains(&bytes.len()),
        "{name} has {} bytes",
        bytes.len()
    );
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("hostile-{name}"));
    std::fs::write(&path, bytes).expect("the file is written");
    let mut child = Command::new(env!("CARGO_BIN_EXE_quintile"))
        .arg("inspect")
        .arg(&path)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut said = String::new();
    std::io::Read::read_to_string(&mut child.stderr.take().expect("a pipe"), &mut said).expect("text");
    let (code, usage) = wait(&child);
    let _ = std::fs::remove_file(&path);
    let verdict = match code {
        Some(0) => Verdict::Model,
        Some(1) => Verdict::Refused,
        other => panic!("{name}: the program ended with {other:?}: {said}"),
    };
    (usage, verdict, said)
}

/// Waits for a child: its exit code, and the most bytes it held. No less than this process itself has held, for it
/// began as a copy of it.
#[expect(unsafe_code, reason = "the standard library does not tell what a child has used")]
fn wait(child: &std::process::Child) -> (Option<i32>, Usage) {
    let pid = i32::try_from(child.id()).expect("a process id");
    let mut status = 0;
    // SAFETY: a struct of integers, for which zeros are a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the child is ours and not yet waited for; both pointers are to live variables.
    let waited = unsafe { libc::wait4(pid, &raw mut status, 0, &raw mut usage) };
    assert_eq!(waited, pid, "the child is there to be waited for");
    let code = libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status));
    let usage = Usage {
        resident: u64::try_from(usage.ru_maxrss).expect("a size") * 1024,
        cpu_ms: (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1_000
            + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1_000,
    };
    (code, usage)
}

fn check(shapes: &[Shape]) {
    let mut too_large = Vec::new();
    for (name, expected, make) in shapes {
        let bytes = make();
        let (Usage { resident, cpu_ms }, verdict, said) = inspect(name, &bytes);
        let line = format!(
            "{name}: {} MB, {cpu_ms} ms of CPU for {} bytes: {}",
            resident / 1_000_000,
            bytes.len(),
            said.trim_end()
        );
        eprintln!("{line:.200}");
        assert_eq!(verdict, *expected, "{name}: {said}");
        if resident > RESIDENT_BYTES_MAX {
            too_large.push(line);
        }
    }
    assert!(too_large.is_empty(), "{}", too_large.join("\n"));
}

#[test]
fn json_that_is_no_model() {
    check(&text::NO_MODELS);
}

#[test]
fn xgboost() {
    check(&text::XGBOOST);
}

#[test]
fn xgboost_ubjson() {
    check(&binary::UBJSON);
}

#[test]
fn lightgbm() {
    check(&text::LIGHTGBM);
}

#[test]
fn catboost() {
    check(&text::CATBOOST);
}

#[test]
fn treelite() {
    check(&binary::TREELITE);
}

#[test]
fn onnx() {
    check(&binary::ONNX);
}
