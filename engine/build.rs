//! Tells the program which commit and target it was built from; without git it says `unknown`.

use std::process::Command;

fn main() {
    let commit = Command::new("git").args(["rev-parse", "--short=12", "HEAD"]).output();
    let commit = commit.ok().filter(|output| output.status.success());
    let commit = commit.and_then(|output| String::from_utf8(output.stdout).ok());
    println!(
        "cargo::rustc-env=BUILD_COMMIT={}",
        commit.as_deref().map_or("unknown", str::trim)
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
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=../.git/HEAD");
    println!("cargo::rerun-if-changed=../.git/logs/HEAD");
}
