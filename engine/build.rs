//! Tells the program which commit and target it was built from; without git it says `unknown`. Has the debug
//! information of an optimised build compressed.

use std::process::Command;

fn main() {
    println!(
        "cargo::rustc-env=BUILD_COMMIT={}",
        commit().as_deref().map_or("unknown", str::trim)
    );
    #[expect(
        clippy::disallowed_methods,
        reason = "cargo tells a build script its target by a variable"
    )]
    let target = std::env::var("TARGET").unwrap_or_else(|_| "unknown".into());
    println!("cargo::rustc-env=BUILD_TARGET={target}");
    #[expect(clippy::disallowed_methods, reason = "as above")]
    let flags = std::env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    let keeps = flags.contains("force-frame-pointers") && !flags.contains("force-frame-pointers=no");
    println!(
        "cargo::rustc-env=BUILD_FRAME_POINTERS={}",
        if keeps { "yes" } else { "no" }
    );
    #[expect(clippy::disallowed_methods, reason = "as above")]
    let is_optimised = std::env::var("PROFILE").is_ok_and(|profile| profile == "release");
    if is_optimised {
        // What resolves names for flame graphs reads it as it is: the backtrace crate, perf, gdb.
        println!("cargo::rustc-link-arg-bins=-Wl,--compress-debug-sections=zlib");
    }
    println!("cargo::rerun-if-env-changed=BUILD_COMMIT");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=../.git/HEAD");
    println!("cargo::rerun-if-changed=../.git/logs/HEAD");
}

/// What the variable says, where the sources are built without their history; else what git says.
fn commit() -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "an image's build tells it by a variable")]
    let told = std::env::var("BUILD_COMMIT").ok().filter(|commit| !commit.is_empty());
    told.or_else(|| {
        let output = Command::new("git").args(["rev-parse", "--short=12", "HEAD"]).output();
        let output = output.ok().filter(|output| output.status.success())?;
        String::from_utf8(output.stdout).ok()
    })
}
