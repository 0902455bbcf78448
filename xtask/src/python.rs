//! Python environments: one for each requirements file, in the target directory, with exactly the packages that the
//! file pins. `requirements.txt` becomes `target/venv`, `requirements-NAME.txt` becomes `target/venv-NAME`.
//!
//! uv makes them, which takes a fraction of pip's time and keeps what it has downloaded in `target/uv`; it is itself
//! pinned and lies in `target/tools/uv`. Where it cannot be had, pip does the same.
//!
//! A copy of the requirements lies in the environment, written last: the environment is made again when they differ,
//! and also when an earlier attempt was cut short or the machine's Python went away under it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::step::{self, Outcome, StepError};
use crate::workspace::Workspace;

const UV: &str = "uv==0.13.9";

/// Makes the environment of a requirements file, a path from the root of the checkout, unless it is there.
pub(crate) fn set_up(workspace: &Workspace, requirements: &str) -> Result<Outcome, StepError> {
    let folder = workspace.environment(requirements);
    let requirements = workspace.root().join(requirements);
    if is_current(workspace, &folder, &requirements)? {
        eprintln!("{} is up to date", folder.display());
        return Ok(Outcome::Passed);
    }
    check_python(workspace)?;
    let outcome = match uv(workspace) {
        Ok(uv) => with_uv(workspace, &uv, &folder, &requirements).map(|()| Outcome::Passed),
        Err(error) => with_pip(workspace, &folder, &requirements)
            .map(|()| Outcome::Noted(format!("made with pip, for there is no uv: {error}"))),
    }?;
    let copy = installed(&folder);
    fs::copy(&requirements, &copy).map_err(|source| StepError::File { path: copy, source })?;
    Ok(outcome)
}

/// The pinned uv, installed now if need be.
fn uv(workspace: &Workspace) -> Result<PathBuf, StepError> {
    let folder = workspace.tools().join("uv");
    let program = folder.join("bin/uv");
    let marker = folder.join(UV);
    if marker.is_file() {
        return Ok(program);
    }
    venv(workspace, &folder)?;
    let mut pip = workspace.command(folder.join("bin/python"));
    step::run(pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
        UV,
    ]))?;
    fs::write(&marker, "").map_err(|source| StepError::File { path: marker, source })?;
    Ok(program)
}

fn with_uv(workspace: &Workspace, uv: &Path, folder: &Path, requirements: &Path) -> Result<(), StepError> {
    let command = || {
        let mut command = workspace.command(uv);
        command.env("UV_CACHE_DIR", workspace.uv_cache());
        command
    };
    step::run(
        command()
            .args(["venv", "--quiet", "--clear", "--python", "python3"])
            .arg(folder),
    )?;
    // The machine's certificates, which pip must use where a company has its own.
    step::run(
        command()
            .args(["pip", "install", "--quiet", "--system-certs", "--no-deps", "--python"])
            .arg(folder.join("bin/python"))
            .arg("--requirement")
            .arg(requirements),
    )
}

fn with_pip(workspace: &Workspace, folder: &Path, requirements: &Path) -> Result<(), StepError> {
    venv(workspace, folder)?;
    let mut pip = workspace.command(folder.join("bin/python"));
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
        "--requirement",
    ]);
    step::run(pip.arg(requirements))
}

fn venv(workspace: &Workspace, folder: &Path) -> Result<(), StepError> {
    step::run(workspace.command("python3").args(["-m", "venv", "--clear"]).arg(folder))
}

fn is_current(workspace: &Workspace, folder: &Path, requirements: &Path) -> Result<bool, StepError> {
    let wanted = fs::read(requirements).map_err(|source| StepError::File {
        path: requirements.to_owned(),
        source,
    })?;
    let same = fs::read(installed(folder)).is_ok_and(|present| present == wanted);
    Ok(same && succeeds(workspace, &folder.join("bin/python"), "import pytest"))
}

fn check_python(workspace: &Workspace) -> Result<(), StepError> {
    let python = Path::new("python3");
    if !succeeds(workspace, python, "import sys; sys.exit(sys.version_info < (3, 11))") {
        return Err(StepError::Missing {
            what: "python3 (3.11 or later)",
            remedy: "install it, e.g. `apt-get install python3`",
        });
    }
    if !succeeds(workspace, python, "import venv, ensurepip") {
        return Err(StepError::Missing {
            what: "the venv module of python3",
            remedy: "install it, e.g. `apt-get install python3-venv`",
        });
    }
    Ok(())
}

fn succeeds(workspace: &Workspace, python: &Path, code: &str) -> bool {
    let mut command = workspace.command(python);
    command.args(["-c", code]).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn installed(folder: &Path) -> PathBuf {
    folder.join("requirements.installed.txt")
}
