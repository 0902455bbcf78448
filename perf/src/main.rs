//! Times kernels: ours against each other, and against the engines of other libraries.
//!
//! Called by `perf/kernels`, which trains the models and prepares the engines. Figures are nanoseconds a row.
//! Neighbours on the machine disturb every round alike, because each round runs all engines one after the other; so
//! trust the ratios more than the figures.

#![allow(clippy::print_stdout, reason = "figures are what this program is for")]

mod host;
mod kernels;
mod ours;
mod peers;
mod plan;

use std::path::Path;
use std::process::ExitCode;

const USAGE: &str = "\
usage: quintile-perf kernels FOLDER [NAME [KERNEL]]
       quintile-perf peers PLAN FIGURES ROUNDS

  kernels   our kernels on every model of a folder whose path holds NAME; prints a table
  peers     every engine of a plan (`prepare.py`), interleaved; writes the figures of each round as JSON";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["kernels", folder] => kernels::run(Path::new(folder), "", ""),
        ["kernels", folder, name] => kernels::run(Path::new(folder), name, ""),
        ["kernels", folder, name, kernel] => kernels::run(Path::new(folder), name, kernel),
        ["peers", plan, figures, rounds] => peers::run(Path::new(plan), Path::new(figures), rounds),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("quintile-perf: {error}");
            ExitCode::FAILURE
        }
    }
}
