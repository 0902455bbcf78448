//! `cargo xtask faults`: the program under faults, and its spool under damage, for as long as is asked
//! (docs/faults.md).
//!
//! Half of the time goes to `engine/tests/spool_damage`, which damages files of a spool that no process has, thousands
//! of them; half to `faults/run.py`, which makes system calls, disks and processes fail under a server that answers.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::python;
use crate::step::{self, Outcome, StepError};
use crate::workspace::Workspace;

const REQUIREMENTS: &str = "tests/requirements.txt";

/// What was asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct FaultsArgs {
    seed: Option<u64>,
    minutes: Option<u64>,
    rounds: Option<u64>,
    scenario: Option<String>,
    binary: Option<PathBuf>,
}

impl FaultsArgs {
    /// Reads `--NAME VALUE` pairs; none when there is anything else.
    pub(crate) fn read(flags: &[&str]) -> Option<Self> {
        let mut asked = Self::default();
        for pair in flags.chunks(2) {
            match *pair {
                ["--seed", seed] => asked.seed = Some(seed.parse().ok()?),
                ["--minutes", minutes] => asked.minutes = Some(minutes.parse().ok()?),
                ["--rounds", rounds] => asked.rounds = Some(rounds.parse().ok()?),
                ["--scenario", name] => asked.scenario = Some(name.to_owned()),
                ["--binary", path] => asked.binary = Some(path.into()),
                _ => return None,
            }
        }
        Some(asked)
    }
}

/// Sets up what the kit needs and runs it. The exit code is its own.
pub(crate) fn run(workspace: &Workspace, asked: &FaultsArgs) -> ExitCode {
    match all(workspace, asked) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn all(workspace: &Workspace, asked: &FaultsArgs) -> Result<(), StepError> {
    python::set_up(workspace, REQUIREMENTS)?;
    let binary = match &asked.binary {
        Some(path) => path.clone(),
        None => {
            step::run(workspace.cargo().args(["build", "--release", "--locked"]))?;
            workspace.release_binary()
        }
    };
    // One seed for both, so that the line below repeats all of it.
    let seed = asked.seed.unwrap_or_else(any_seed);
    eprintln!("seed {seed}");
    // Both are run before either is judged: one difference does not hide another.
    let damages = asked
        .minutes
        .map_or(Ok(()), |minutes| damages(workspace, seed, minutes));
    let mut kit = workspace.command(workspace.environment(REQUIREMENTS).join("bin/python"));
    kit.arg("faults/run.py").arg("--binary").arg(binary);
    let seconds = asked.minutes.map(|minutes| 30 * minutes);
    for (flag, value) in [
        ("--seed", Some(seed)),
        ("--seconds", seconds),
        ("--rounds", asked.rounds),
    ] {
        if let Some(value) = value {
            kit.args([flag, &value.to_string()]);
        }
    }
    if let Some(scenario) = &asked.scenario {
        kit.args(["--scenario", scenario]);
    }
    step::run(&mut kit).and(damages)
}

/// Attacks servers that have little memory, on every runtime: a quarter of an hour.
pub(crate) fn attacks(workspace: &Workspace) -> Result<Outcome, StepError> {
    python::set_up(workspace, REQUIREMENTS)?;
    step::run(workspace.cargo().args(["build", "--release", "--locked"]))?;
    for limit in ["128", "512"] {
        let mut kit = workspace.command(workspace.environment(REQUIREMENTS).join("bin/python"));
        kit.arg("faults/attack.py").arg("--binary");
        step::run(kit.arg(workspace.release_binary()).args(["--limit", limit]))?;
    }
    Ok(Outcome::Passed)
}

/// Another seed every time.
fn any_seed() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_secs()
}

fn damages(workspace: &Workspace, seed: u64, minutes: u64) -> Result<(), StepError> {
    let mut test = workspace.cargo();
    test.args(["test", "--locked", "--package", "quintile", "--test", "spool_damage"]);
    test.args(["--", "--nocapture"]);
    test.env("QUINTILE_DAMAGE_SECONDS", (30 * minutes).to_string());
    test.env("QUINTILE_DAMAGE_SEED", seed.to_string());
    step::run(&mut test)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_read_in_pairs() {
        let asked = FaultsArgs::read(&["--seed", "7", "--minutes", "60"]).unwrap();
        assert_eq!((asked.seed, asked.minutes, asked.rounds), (Some(7), Some(60), None));
        for wrong in [&["--seed"][..], &["--seed", "x"], &["--minutes", "-1"], &["seed", "1"]] {
            assert_eq!(FaultsArgs::read(wrong), None, "{wrong:?}");
        }
    }
}
