//! `cargo xtask fuzz TARGET SECONDS`: builds the fuzz targets for libFuzzer and runs one of them.
//!
//! Coverage comes from LLVM's own pass, which stable Rust can run; only the sanitizers would need a nightly. What
//! libFuzzer finds worth keeping goes to `target/fuzz/corpus/TARGET`; the committed seeds and the fixtures are read
//! too. An input that fails is left in `target/fuzz/failures/TARGET`: once the fault is mended, it belongs among the
//! seeds.

use std::fs;
use std::process::ExitCode;

use crate::step::{self, StepError};
use crate::workspace::Workspace;

/// What `cargo fuzz` passes, less the sanitizer; overflows and debug assertions count as findings.
const RUSTFLAGS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Cdebug-assertions -Coverflow-checks -Ccodegen-units=4";

/// Bytes of an input: readers see each of their branches in fewer, and libFuzzer tries more of them.
const INPUT_BYTES_MAX: usize = 32 << 10;

/// Builds, and fuzzes a target for so many seconds.
pub(crate) fn run(workspace: &Workspace, target: &str, seconds: &str) -> ExitCode {
    let done = build(workspace).and_then(|()| fuzz(workspace, target, seconds));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Builds, and fuzzes each target for so many seconds.
pub(crate) fn all(workspace: &Workspace, seconds: &str) -> Result<(), StepError> {
    build(workspace)?;
    let seeds = workspace.root().join("fuzz/seeds");
    let list = fs::read_dir(&seeds).and_then(|entries| {
        entries
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect::<Result<Vec<_>, _>>()
    });
    let mut targets = list.map_err(|source| StepError::File { path: seeds, source })?;
    targets.sort_unstable();
    targets.iter().try_for_each(|target| fuzz(workspace, target, seconds))
}

fn build(workspace: &Workspace) -> Result<(), StepError> {
    let mut cargo = workspace.cargo();
    // With a target named, build scripts and macros are not instrumented.
    cargo
        .args([
            "build",
            "--release",
            "--locked",
            "--package",
            "quintile-fuzz",
            "--features",
            "libfuzzer",
        ])
        .args(["--target", &triple()])
        .env("CARGO_TARGET_DIR", workspace.fuzz())
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        .env("RUSTFLAGS", RUSTFLAGS);
    step::run(&mut cargo)
}

/// The machine's own.
fn triple() -> String {
    format!("{}-unknown-linux-gnu", std::env::consts::ARCH)
}

fn fuzz(workspace: &Workspace, target: &str, seconds: &str) -> Result<(), StepError> {
    let seeds = workspace.root().join("fuzz/seeds").join(target);
    if !seeds.is_dir() {
        return Err(StepError::Missing {
            what: "the folder of the target's seeds",
            remedy: "the targets are the folders of fuzz/seeds",
        });
    }
    let corpus = workspace.fuzz().join("corpus").join(target);
    let failures = workspace.fuzz().join("failures").join(target);
    for folder in [&corpus, &failures] {
        fs::create_dir_all(folder).map_err(|source| StepError::File {
            path: folder.clone(),
            source,
        })?;
    }
    let binary = workspace.fuzz().join(triple()).join("release/quintile-fuzz");
    let mut fuzzer = workspace.command(binary);
    fuzzer
        .env("FUZZ_TARGET", target)
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-max_len={INPUT_BYTES_MAX}"))
        // Time and memory are counted by the targets themselves, which other work on the machine does not disturb.
        .args([
            "-timeout=600",
            "-rss_limit_mb=2048",
            "-print_final_stats=1",
            "-use_value_profile=0",
        ])
        .arg(format!("-artifact_prefix={}/", failures.display()))
        .arg(&corpus)
        .arg(&seeds)
        .arg(workspace.root().join("model/tests/fixtures"));
    step::run(&mut fuzzer)
}
