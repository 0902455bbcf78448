//! `cargo xtask`: the project's own tasks. Plain std, so that it builds in a second on an empty machine.
//!
//! `main` reads the command line; `suite` says which steps a test run has and in which order; `step` runs them and
//! tells how long each took; `python`, `promtool` and `chromium` set up what does not come with Rust.

mod arm;
mod chromium;
mod fuzz;
mod promtool;
mod python;
mod step;
mod suite;
mod workspace;

use std::process::ExitCode;

use suite::Extent;
use workspace::Workspace;

const USAGE: &str = "\
usage: cargo xtask test [--quick]
       cargo xtask fuzz TARGET SECONDS
       cargo xtask arm [ARGUMENTS...]

  test           set up what the tests need, then run every check; stops at the first that fails
  test --quick   without the release build and the Python tests
  fuzz           run a fuzz target, a folder of fuzz/seeds, under libFuzzer; needs a C++ compiler
  arm            run the model's tests for 64-bit Arm under emulation, with these arguments of `cargo test` or those of the
                 kernels; downloads 300 MB of Debian's packages into the target folder, and installs nothing";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["test"] => suite::run(&Workspace::from_environment(), Extent::Full),
        ["test", "--quick"] => suite::run(&Workspace::from_environment(), Extent::Quick),
        ["fuzz", target, seconds] => fuzz::run(&Workspace::from_environment(), target, seconds),
        ["arm", ref arguments @ ..] => arm::run(&Workspace::from_environment(), arguments),
        ["help" | "--help" | "-h"] => {
            eprintln!("{USAGE}");
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
    }
}
