//! promtool, which judges our `/metrics`. Where the machine lacks it, Debian's package is unpacked into the target
//! directory: nothing is installed and no Prometheus service starts. Without it the run goes on, and says so.

use std::fs;
use std::path::Path;

use crate::step::{self, Outcome, StepError};
use crate::workspace::Workspace;

pub(crate) fn set_up(workspace: &Workspace) -> Result<Outcome, StepError> {
    if workspace.finds("promtool") {
        eprintln!("promtool is there");
        return Ok(Outcome::Passed);
    }
    if !workspace.finds("apt-get") {
        return Ok(skipped("it is not on PATH and there is no apt-get to fetch it with"));
    }
    match fetch(workspace) {
        Ok(()) if workspace.finds("promtool") => Ok(Outcome::Passed),
        Ok(()) => Ok(skipped("Debian's package prometheus holds no promtool")),
        Err(error) => Ok(skipped(&error.to_string())),
    }
}

fn skipped(why: &str) -> Outcome {
    eprintln!("WARNING: no promtool ({why})");
    eprintln!("WARNING: THE TESTS OF THE METRICS FORMAT WILL BE SKIPPED. `apt-get install prometheus` brings it.");
    Outcome::Incomplete(format!("the tests of the metrics format are skipped: {why}"))
}

fn fetch(workspace: &Workspace) -> Result<(), StepError> {
    let folder = workspace.tools();
    let file = |source| StepError::File {
        path: folder.clone(),
        source,
    };
    fs::create_dir_all(&folder).map_err(file)?;
    if download(workspace, &folder).is_err() {
        // The package lists may be empty or old; only root may renew them.
        step::run(workspace.command("apt-get").args(["update", "--quiet"]))?;
        download(workspace, &folder)?;
    }
    for entry in fs::read_dir(&folder).map_err(file)? {
        let package = entry.map_err(file)?.path();
        if package.extension().is_some_and(|extension| extension == "deb") {
            step::run(
                workspace
                    .command("dpkg-deb")
                    .arg("--extract")
                    .arg(&package)
                    .arg(&folder),
            )?;
            fs::remove_file(&package).map_err(file)?;
        }
    }
    Ok(())
}

fn download(workspace: &Workspace, folder: &Path) -> Result<(), StepError> {
    step::run(
        workspace
            .command("apt-get")
            .args(["download", "--quiet", "prometheus"])
            .current_dir(folder),
    )
}
