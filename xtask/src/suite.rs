//! The test run: which steps, in which order. Cheap checks come first, so that a slip is told in seconds.

use std::process::ExitCode;

use crate::step::{self, Outcome, Step, StepError};
use crate::workspace::Workspace;
use crate::{chromium, promtool, python};

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    Full,
    /// What needs neither Python nor an optimised build.
    Quick,
}

const FORMAT: Step = Step {
    name: "formatting",
    run: format,
};
const CLIPPY: Step = Step {
    name: "clippy",
    run: clippy,
};
const VENV: Step = Step {
    name: "Python environment",
    run: python::set_up,
};
const RUFF: Step = Step {
    name: "Python lints",
    run: ruff,
};
const PROMTOOL: Step = Step {
    name: "promtool",
    run: promtool::set_up,
};
const CHROMIUM: Step = Step {
    name: "Chromium",
    run: chromium::set_up,
};
const RELEASE: Step = Step {
    name: "release build",
    run: build_release,
};
const RUST_TESTS: Step = Step {
    name: "Rust tests",
    run: rust_tests,
};
const KERNELS: Step = Step {
    name: "kernels",
    run: kernels,
};
const PYTHON_TESTS: Step = Step {
    name: "Python tests",
    run: python_tests,
};

pub(crate) fn run(workspace: &Workspace, extent: Extent) -> ExitCode {
    match extent {
        Extent::Full => step::run_all(
            workspace,
            &[
                FORMAT,
                CLIPPY,
                VENV,
                RUFF,
                PROMTOOL,
                CHROMIUM,
                RELEASE,
                RUST_TESTS,
                KERNELS,
                PYTHON_TESTS,
            ],
        ),
        Extent::Quick => step::run_all(workspace, &[FORMAT, CLIPPY, PROMTOOL, RUST_TESTS, KERNELS]),
    }
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
    const FOLDERS: [&str; 5] = ["tests", "engine/demo", "perf", "bench/peers", "bench/batch"];
    for check in [&["check"][..], &["format", "--check"]] {
        step::run(
            workspace
                .command(workspace.venv().join("bin/ruff"))
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

fn python_tests(workspace: &Workspace) -> Result<Outcome, StepError> {
    let mut pytest = workspace.command(workspace.venv_python());
    pytest
        .args(["-m", "pytest", "tests"])
        .env("QUINTILE_BIN", workspace.release_binary());
    step::run(&mut pytest).map(|()| Outcome::Passed)
}

fn cargo(workspace: &Workspace, arguments: &[&str]) -> Result<Outcome, StepError> {
    step::run(workspace.cargo().args(arguments)).map(|()| Outcome::Passed)
}
