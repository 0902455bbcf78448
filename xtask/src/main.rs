//! `cargo xtask`: the project's own tasks. Plain std, so that it builds in a second on an empty machine.
//!
//! `main` reads the command line; `suite` says which steps a test run has and in which order; `groups` is the table of
//! Python tests; `step` runs steps and prints how long each took; `python`, `promtool` and `chromium` set up what does
//! not come with Rust.

mod arm;
mod chromium;
mod faults;
mod fuzz;
mod groups;
mod image;
mod promtool;
mod python;
mod step;
mod suite;
mod workspace;

use std::process::ExitCode;

use workspace::Workspace;

const USAGE: &str = "\
usage: cargo xtask test [--quick | --all | --group NAME ...]
       cargo xtask faults [--seed N] [--minutes M | --rounds N] [--scenario NAME] [--binary PATH]
       cargo xtask fuzz TARGET SECONDS
       cargo xtask arm [ARGUMENTS...]
       cargo xtask image

  test                 set up what the tests need, then run what belongs to every run; stops at the first that fails,
                       tells how long each step took and what was not run
  test --quick         without the release build and the Python tests
  test --all           what is too heavy for every run as well
  test --group NAME    one group of the Python tests, or one of the heavy tasks; may be given several times
  faults               run the program under faults and damage its spool, for so many minutes or rounds; without a seed with
                       one that is printed, without a binary with a release build
  fuzz                 run a fuzz target, a folder of fuzz/seeds, under libFuzzer; needs a C++ compiler
  arm                  run the model's tests for 64-bit Arm under emulation, with these arguments of `cargo test` or
                       those of the kernels; downloads 300 MB of Debian's packages into the target folder, and installs
                       nothing
  image                put the release build into an image, as the Dockerfile's last stage does, and test it under podman;
                       installs Debian's podman and buildah where it may and they are absent

groups:
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["test"] => suite::every_run(&Workspace::from_environment()),
        ["test", "--quick"] => suite::quick(&Workspace::from_environment()),
        ["test", "--all"] => suite::all(&Workspace::from_environment()),
        ["test", ref flags @ ..] => match group_names(flags) {
            Some(names) => groups(&names),
            None => usage(),
        },
        ["faults", ref flags @ ..] => match faults::FaultsArgs::read(flags) {
            Some(asked) => faults::run(&Workspace::from_environment(), &asked),
            None => usage(),
        },
        ["fuzz", target, seconds] => fuzz::run(&Workspace::from_environment(), target, seconds),
        ["image"] => groups(&["image"]),
        ["arm", ref arguments @ ..] => arm::run(&Workspace::from_environment(), arguments),
        ["help" | "--help" | "-h"] => {
            usage();
            ExitCode::SUCCESS
        }
        _ => usage(),
    }
}

fn groups(names: &[&str]) -> ExitCode {
    suite::groups(&Workspace::from_environment(), names).unwrap_or_else(|error| {
        eprintln!("{error}");
        ExitCode::from(2)
    })
}

/// The names in `--group NAME --group NAME`.
fn group_names<'a>(flags: &[&'a str]) -> Option<Vec<&'a str>> {
    let pairs = flags.chunks(2).map(|pair| match *pair {
        ["--group", name] => Some(name),
        _ => None,
    });
    pairs.collect()
}

fn usage() -> ExitCode {
    eprintln!("{USAGE}{}", suite::list());
    ExitCode::from(2)
}
