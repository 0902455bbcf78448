//! Runs steps one after the other, stops at the first failure, and prints how long each took and what was not run.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::workspace::Workspace;

/// A group that has not started by then is not run: the machines of hosted runs are taken away after 90 minutes.
const GROUPS_START_UNTIL: Duration = Duration::from_secs(70 * 60);

type Run = dyn Fn(&Workspace) -> Result<Outcome, StepError>;

/// One line of the summary: a name and what to do. `Ok` may carry a warning that the summary repeats.
pub(crate) struct SuiteStep {
    name: String,
    run: Box<Run>,
    is_group: bool,
}

impl SuiteStep {
    pub(crate) fn new(
        name: impl Into<String>,
        run: impl Fn(&Workspace) -> Result<Outcome, StepError> + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            run: Box::new(run),
            is_group: false,
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// One that the run can do without when it is late.
    pub(crate) fn group(
        name: impl Into<String>,
        run: impl Fn(&Workspace) -> Result<Outcome, StepError> + 'static,
    ) -> Self {
        Self {
            is_group: true,
            ..Self::new(name, run)
        }
    }
}

/// What is not part of a run, and how to run it.
pub(crate) struct LeftOut {
    pub(crate) name: String,
    pub(crate) how: String,
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

struct Timed<'a> {
    name: &'a str,
    took: Duration,
    /// `None` of a group for which it was too late.
    result: Option<Result<Outcome, StepError>>,
}

/// Runs the steps in order; the exit code is a failure when one of them failed.
pub(crate) fn run_all(workspace: &Workspace, steps: &[SuiteStep], left_out: &[LeftOut]) -> ExitCode {
    let done = run_until_failure(workspace, steps, GROUPS_START_UNTIL);
    print_summary(&done, &steps[done.len()..], left_out);
    if done.iter().any(|step| matches!(step.result, Some(Err(_)))) {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

fn run_until_failure<'a>(
    workspace: &Workspace,
    steps: &'a [SuiteStep],
    groups_start_until: Duration,
) -> Vec<Timed<'a>> {
    let began = Instant::now();
    let mut done = Vec::with_capacity(steps.len());
    for (index, step) in steps.iter().enumerate() {
        eprintln!("\n[{}/{}] {}", index + 1, steps.len(), step.name);
        let started = Instant::now();
        let is_late = step.is_group && began.elapsed() >= groups_start_until;
        if is_late {
            eprintln!("NOT RUN: it is too late to start a group");
        }
        let result = (!is_late).then(|| (step.run)(workspace));
        let failed = matches!(result, Some(Err(_)));
        done.push(Timed {
            name: &step.name,
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

fn print_summary(done: &[Timed<'_>], rest: &[SuiteStep], left_out: &[LeftOut]) {
    eprintln!("\nsummary");
    for step in done {
        let seconds = step.took.as_secs_f64();
        match &step.result {
            Some(Ok(Outcome::Passed)) => eprintln!("  ok       {seconds:7.1} s  {}", step.name),
            Some(Ok(Outcome::Noted(what))) => eprintln!("  ok       {seconds:7.1} s  {}: {what}", step.name),
            Some(Ok(Outcome::Incomplete(why))) => eprintln!("  PARTIAL  {seconds:7.1} s  {}: {why}", step.name),
            Some(Err(error)) => eprintln!("  FAILED   {seconds:7.1} s  {}: {error}", step.name),
            None => eprintln!("  NOT RUN             {}: too late to start a group", step.name),
        }
    }
    for step in rest {
        eprintln!("  NOT RUN             {}: a step before it failed", step.name);
    }
    for LeftOut { name, how } in left_out {
        eprintln!("  NOT RUN             {name}: {how}");
    }
    let total: Duration = done.iter().map(|step| step.took).sum();
    eprintln!("  total    {:7.1} s", total.as_secs_f64());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passes() -> SuiteStep {
        SuiteStep::new("passes", |workspace| call(workspace, "true"))
    }

    fn fails() -> SuiteStep {
        SuiteStep::new("fails", |workspace| call(workspace, "false"))
    }

    fn call(workspace: &Workspace, program: &str) -> Result<Outcome, StepError> {
        run(&mut workspace.command(program)).map(|()| Outcome::Passed)
    }

    /// What became of each step: `None` where it was too late, else the error if there was one.
    fn results(steps: &[SuiteStep], groups_start_until: Duration) -> Vec<Option<Option<String>>> {
        let done = run_until_failure(&Workspace::from_environment(), steps, groups_start_until);
        done.into_iter()
            .map(|step| step.result.map(|result| result.err().map(|error| error.to_string())))
            .collect()
    }

    #[test]
    fn stops_at_the_first_failure() {
        let failed = Some("`false` ended with exit status: 1".to_owned());
        let steps = [passes(), fails(), passes()];
        assert_eq!(results(&steps, Duration::MAX), [Some(None), Some(failed)]);
    }

    #[test]
    fn a_late_group_is_passed_over_and_what_is_no_group_is_not() {
        let steps = [SuiteStep::group("late", |_| panic!("it was started")), passes()];
        assert_eq!(results(&steps, Duration::ZERO), [None, Some(None)]);
        let in_time = [SuiteStep::group("in time", |workspace| call(workspace, "true"))];
        assert_eq!(results(&in_time, Duration::MAX), [Some(None)]);
    }

    #[test]
    fn an_absent_program_is_named() {
        let absent = [SuiteStep::new("absent", |workspace| {
            call(workspace, "quintile-no-such-program")
        })];
        let error = results(&absent, Duration::MAX).remove(0).flatten();
        let error = error.expect("there is no such program");
        assert!(
            error.starts_with("could not start `quintile-no-such-program`"),
            "{error}"
        );
    }
}
