//! Runs steps one after the other, stops at the first failure, and prints how long each took.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::workspace::Workspace;

/// One line of the summary: a name and what to do. `Ok` may carry a warning that the summary repeats.
pub(crate) struct Step {
    pub(crate) name: &'static str,
    pub(crate) run: fn(&Workspace) -> Result<Outcome, StepError>,
}

/// How a step that did not fail went.
pub(crate) enum Outcome {
    Passed,
    /// Nothing failed, and this is worth a place in the summary.
    Noted(String),
    /// Nothing failed, but less was checked than a reader of a green run would think.
    Incomplete(String),
}

/// What failed, worded so that the reader knows what to do next.
#[derive(Debug)]
pub(crate) enum StepError {
    Start { command: String, source: io::Error },
    Exit { command: String, status: ExitStatus },
    File { path: PathBuf, source: io::Error },
    Missing { what: &'static str, remedy: &'static str },
}

impl fmt::Display for StepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start { command, source } => write!(f, "could not start `{command}`: {source}"),
            Self::Exit { command, status } => write!(f, "`{command}` ended with {status}"),
            Self::File { path, source } => write!(f, "{}: {source}", path.display()),
            Self::Missing { what, remedy } => write!(f, "{what} is missing: {remedy}"),
        }
    }
}

struct Timed {
    name: &'static str,
    took: Duration,
    result: Result<Outcome, StepError>,
}

/// Runs the steps in order; the exit code is a failure when one of them failed.
pub(crate) fn run_all(workspace: &Workspace, steps: &[Step]) -> ExitCode {
    let done = run_until_failure(workspace, steps);
    print_summary(&done, steps);
    if done.iter().any(|step| step.result.is_err()) {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

fn run_until_failure(workspace: &Workspace, steps: &[Step]) -> Vec<Timed> {
    let mut done = Vec::with_capacity(steps.len());
    for (index, step) in steps.iter().enumerate() {
        eprintln!("\n[{}/{}] {}", index + 1, steps.len(), step.name);
        let started = Instant::now();
        let result = (step.run)(workspace);
        let failed = result.is_err();
        done.push(Timed {
            name: step.name,
            took: started.elapsed(),
            result,
        });
        if failed {
            break;
        }
    }
    done
}

/// Runs a command to its end, with our own standard streams.
pub(crate) fn run(command: &mut Command) -> Result<(), StepError> {
    let text = shown(command);
    eprintln!("$ {text}");
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(StepError::Exit { command: text, status }),
        Err(source) => Err(StepError::Start { command: text, source }),
    }
}

/// Runs a command to its end and gives what it wrote to standard output.
pub(crate) fn read(command: &mut Command) -> Result<String, StepError> {
    let text = shown(command);
    eprintln!("$ {text}");
    match command.stderr(Stdio::inherit()).output() {
        Ok(output) if output.status.success() => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        Ok(output) => Err(StepError::Exit {
            command: text,
            status: output.status,
        }),
        Err(source) => Err(StepError::Start { command: text, source }),
    }
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

fn print_summary(done: &[Timed], steps: &[Step]) {
    eprintln!("\nsummary");
    for step in done {
        let seconds = step.took.as_secs_f64();
        match &step.result {
            Ok(Outcome::Passed) => eprintln!("  ok       {seconds:7.1} s  {}", step.name),
            Ok(Outcome::Noted(what)) => eprintln!("  ok       {seconds:7.1} s  {}: {what}", step.name),
            Ok(Outcome::Incomplete(why)) => eprintln!("  PARTIAL  {seconds:7.1} s  {}: {why}", step.name),
            Err(error) => eprintln!("  FAILED   {seconds:7.1} s  {}: {error}", step.name),
        }
    }
    for step in &steps[done.len()..] {
        eprintln!("  not run             {}", step.name);
    }
    let total: Duration = done.iter().map(|step| step.took).sum();
    eprintln!("  total    {:7.1} s", total.as_secs_f64());
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSES: Step = Step {
        name: "passes",
        run: |workspace| call(workspace, "true"),
    };
    const FAILS: Step = Step {
        name: "fails",
        run: |workspace| call(workspace, "false"),
    };
    const ABSENT: Step = Step {
        name: "absent",
        run: |workspace| call(workspace, "quintile-no-such-program"),
    };

    fn call(workspace: &Workspace, program: &str) -> Result<Outcome, StepError> {
        run(&mut workspace.command(program)).map(|()| Outcome::Passed)
    }

    fn errors(steps: &[Step]) -> Vec<Option<String>> {
        let done = run_until_failure(&Workspace::from_environment(), steps);
        done.into_iter()
            .map(|step| step.result.err().map(|error| error.to_string()))
            .collect()
    }

    #[test]
    fn stops_at_the_first_failure() {
        let failed = Some("`false` ended with exit status: 1".to_owned());
        assert_eq!(errors(&[PASSES, FAILS, PASSES]), [None, failed]);
    }

    #[test]
    fn an_absent_program_is_named() {
        let error = errors(&[ABSENT]).remove(0).expect("there is no such program");
        assert!(
            error.starts_with("could not start `quintile-no-such-program`"),
            "{error}"
        );
    }
}
