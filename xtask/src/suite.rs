//! The test run: which steps, in which order. Cheap checks come first, so that a mistake is reported in seconds; the
//! groups of Python tests come last, each after what it needs.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::groups::{GROUPS, Group, HEAVY, Heavy};
use crate::step::{self, LeftOut, Outcome, StepError, SuiteStep};
use crate::workspace::Workspace;
use crate::{promtool, python};

/// Pins ruff beside the packages of the tests.
const RUFF_REQUIREMENTS: &str = "tests/requirements.txt";

/// Everything that belongs to every run.
pub(crate) fn every_run(workspace: &Workspace) -> ExitCode {
    let mut steps = cheap();
    steps.extend(rust());
    add_groups(&mut steps, &GROUPS.each_ref());
    step::run_all(workspace, &steps, &heavy_left_out())
}

/// What is too heavy for every run as well.
pub(crate) fn all(workspace: &Workspace) -> ExitCode {
    let mut steps = cheap();
    steps.extend(rust());
    add_groups(&mut steps, &GROUPS.each_ref());
    steps.extend(HEAVY.iter().map(heavy));
    step::run_all(workspace, &steps, &[])
}

/// What needs neither Python nor an optimised build.
pub(crate) fn quick(workspace: &Workspace) -> ExitCode {
    let mut steps = vec![SuiteStep::new("formatting", format), SuiteStep::new("clippy", clippy)];
    steps.push(SuiteStep::new("promtool", promtool::set_up));
    steps.extend(rust());
    let left_out = GROUPS.iter().map(|group| LeftOut {
        name: format!("group {}", group.name),
        how: format!("{} (without --quick)", group.about),
    });
    let left_out: Vec<_> = left_out.chain(heavy_left_out()).collect();
    step::run_all(workspace, &steps, &left_out)
}

/// These groups, and what they need.
///
/// # Errors
/// A name that no group has, worded for the user.
pub(crate) fn groups(workspace: &Workspace, names: &[&str]) -> Result<ExitCode, String> {
    let (mut light, mut steps) = (Vec::new(), Vec::new());
    for &name in names {
        if let Some(group) = GROUPS.iter().find(|group| group.name == name) {
            light.push(group);
        } else if let Some(found) = HEAVY.iter().find(|heavy| heavy.name == name) {
            steps.push(heavy(found));
        } else {
            return Err(format!("there is no group `{name}`; the groups are\n{}", list()));
        }
    }
    let mut all = Vec::new();
    if !light.is_empty() {
        add_groups(&mut all, &light);
    }
    all.append(&mut steps);
    Ok(step::run_all(workspace, &all, &[]))
}

/// A line for each group.
pub(crate) fn list() -> String {
    let light = GROUPS
        .iter()
        .map(|group| format!("  {:10} {}", group.name, group.about));
    let heavy = HEAVY
        .iter()
        .map(|heavy| format!("  {:10} with --all: {}", heavy.name, heavy.about));
    light.chain(heavy).collect::<Vec<_>>().join("\n")
}

fn cheap() -> Vec<SuiteStep> {
    vec![
        SuiteStep::new("formatting", format),
        SuiteStep::new("clippy", clippy),
        environment(RUFF_REQUIREMENTS),
        SuiteStep::new("Python lints", ruff),
        SuiteStep::new("promtool", promtool::set_up),
    ]
}

fn rust() -> Vec<SuiteStep> {
    vec![
        SuiteStep::new("Rust tests", rust_tests),
        SuiteStep::new("kernels", kernels),
    ]
}

/// The release build, environments and programs once each, then the groups.
fn add_groups(steps: &mut Vec<SuiteStep>, groups: &[&'static Group]) {
    let mut add = |step: SuiteStep| {
        if !steps.iter().any(|present| present.name() == step.name()) {
            steps.push(step);
        }
    };
    add(SuiteStep::new("release build", build_release));
    for &group in groups {
        add(environment(group.requirements));
        for &(name, run) in group.needs {
            add(SuiteStep::new(name, run));
        }
        add(SuiteStep::group(format!("group {}", group.name), move |workspace| {
            python_tests(workspace, group)
        }));
    }
}

fn environment(requirements: &'static str) -> SuiteStep {
    SuiteStep::new(format!("environment of {requirements}"), move |workspace| {
        python::set_up(workspace, requirements)
    })
}

fn heavy(heavy: &'static Heavy) -> SuiteStep {
    SuiteStep::new(format!("heavy {}", heavy.name), heavy.run)
}

fn heavy_left_out() -> Vec<LeftOut> {
    let how = |heavy: &Heavy| format!("{}; `cargo xtask test --all` or `--group {}`", heavy.about, heavy.name);
    let left_out = HEAVY.iter().map(|heavy| LeftOut {
        name: format!("heavy {}", heavy.name),
        how: how(heavy),
    });
    left_out.collect()
}

fn format(workspace: &Workspace) -> Result<Outcome, StepError> {
    cargo(workspace, &["fmt", "--all", "--check"])
}

fn clippy(workspace: &Workspace) -> Result<Outcome, StepError> {
    cargo(
        workspace,
        &[
            "clippy",
            "--workspace",
            "--all-targets",
            "--locked",
            "--",
            "-D",
            "warnings",
        ],
    )
}

fn ruff(workspace: &Workspace) -> Result<Outcome, StepError> {
    const FOLDERS: [&str; 10] = [
        "connect",
        "tests",
        "load",
        "faults",
        "engine/demo",
        "perf",
        "bench",
        "docs",
        "model/tests/fixtures",
        "scoring/src/comparison/tests",
    ];
    for check in [&["check"][..], &["format", "--check"]] {
        step::run(
            workspace
                .command(workspace.environment(RUFF_REQUIREMENTS).join("bin/ruff"))
                .args(check)
                .arg("--no-cache")
                .args(FOLDERS),
        )?;
    }
    Ok(Outcome::Passed)
}

fn build_release(workspace: &Workspace) -> Result<Outcome, StepError> {
    cargo(workspace, &["build", "--release", "--locked"])
}

fn rust_tests(workspace: &Workspace) -> Result<Outcome, StepError> {
    cargo(workspace, &["test", "--workspace", "--locked"])
}

/// Says which kernels this machine let the tests exercise: they pass over what its CPU lacks.
fn kernels(workspace: &Workspace) -> Result<Outcome, StepError> {
    let mut test = workspace.cargo();
    test.args([
        "test",
        "--quiet",
        "--locked",
        "--package",
        "quintile-model",
        "--test",
        "planner",
    ]);
    test.args(["--", "--exact", "--nocapture", "what_this_machine_exercises"]);
    let said = step::read(&mut test)?;
    let after = |label: &str| {
        said.lines()
            .find_map(|line| Some(line.split_once(label)?.1.trim().to_owned()))
    };
    let exercised = after("KERNELS EXERCISED:").ok_or(StepError::Missing {
        what: "the list of kernels",
        remedy: "what_this_machine_exercises in model/tests/planner.rs prints it",
    })?;
    Ok(match after("lacks their instructions:") {
        Some(lacking) if !lacking.is_empty() => Outcome::Incomplete(format!(
            "exercised {exercised}; not {lacking}, whose instructions this CPU lacks"
        )),
        _ => Outcome::Noted(format!("exercised {exercised}, all there are")),
    })
}

fn python_tests(workspace: &Workspace, group: &Group) -> Result<Outcome, StepError> {
    let began = Instant::now();
    let mut pytest = workspace.command(workspace.environment(group.requirements).join("bin/python"));
    pytest
        // Real processes, clocks and sockets on a machine that others use too: what fails is tried once more, and the
        // summary says what failed at first.
        .args(["-m", "pytest", "--durations=5", "--reruns=1", "-rsR"])
        .args(group.arguments())
        .env("QUINTILE_BIN", workspace.release_binary());
    step::run(&mut pytest)?;
    let is_long = began.elapsed() > Duration::from_secs(60 * group.minutes);
    Ok(if is_long {
        Outcome::Noted(format!("took longer than the {} minutes that it should", group.minutes))
    } else {
        Outcome::Passed
    })
}

fn cargo(workspace: &Workspace, arguments: &[&str]) -> Result<Outcome, StepError> {
    step::run(workspace.cargo().args(arguments)).map(|()| Outcome::Passed)
}
