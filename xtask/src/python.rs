//! The Python environment of the tests: a venv in the target directory with the pinned packages.
//!
//! A copy of the requirements lies in the venv, written last: it is made anew when they differ, and also when an
//! earlier attempt was cut short or the machine's Python went away under it.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;

use crate::step::{self, Outcome, StepError};
use crate::workspace::Workspace;

pub(crate) fn set_up(workspace: &Workspace) -> Result<Outcome, StepError> {
    if is_current(workspace)? {
        eprintln!("{} is up to date", workspace.venv().display());
        return Ok(Outcome::Passed);
    }
    check_python(workspace)?;
    step::run(
        workspace
            .command("python3")
            .args(["-m", "venv", "--clear"])
            .arg(workspace.venv()),
    )?;
    let mut pip = workspace.command(workspace.venv_python());
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
        "--requirement",
    ]);
    step::run(pip.arg(workspace.requirements()))?;
    let copy = installed(workspace);
    fs::copy(workspace.requirements(), &copy).map_err(|source| StepError::File { path: copy, source })?;
    Ok(Outcome::Passed)
}

fn is_current(workspace: &Workspace) -> Result<bool, StepError> {
    let path = workspace.requirements();
    let wanted = fs::read(&path).map_err(|source| StepError::File { path, source })?;
    let same = fs::read(installed(workspace)).is_ok_and(|present| present == wanted);
    Ok(same && succeeds(workspace, workspace.venv_python(), "import pytest, xgboost"))
}

fn check_python(workspace: &Workspace) -> Result<(), StepError> {
    let python = || PathBuf::from("python3");
    if !succeeds(workspace, python(), "import sys; sys.exit(sys.version_info < (3, 11))") {
        return Err(StepError::Missing {
            what: "python3 (3.11 or later)",
            remedy: "install it, e.g. `apt-get install python3`",
        });
    }
    if !succeeds(workspace, python(), "import venv, ensurepip") {
        return Err(StepError::Missing {
            what: "the venv module of python3",
            remedy: "install it, e.g. `apt-get install python3-venv`",
        });
    }
    Ok(())
}

fn succeeds(workspace: &Workspace, python: PathBuf, code: &str) -> bool {
    let mut command = workspace.command(python);
    command.args(["-c", code]).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn installed(workspace: &Workspace) -> PathBuf {
    workspace.venv().join("requirements.installed.txt")
}
