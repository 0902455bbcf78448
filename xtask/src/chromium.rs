//! Chromium and its driver, in which the tests open our pages. Where the machine lacks them, Debian's packages are
//! installed, which only root may: a browser needs too many libraries to be unpacked beside the machine's own. Without
//! them the run goes on, and says so.

use crate::step::{self, Outcome, StepError};
use crate::workspace::Workspace;

/// The programs and the packages that bring them.
const PROGRAMS: [&str; 2] = ["chromium", "chromedriver"];
const PACKAGES: [&str; 2] = ["chromium", "chromium-driver"];

pub(crate) fn set_up(workspace: &Workspace) -> Result<Outcome, StepError> {
    if is_there(workspace) {
        eprintln!("chromium is there");
        return Ok(Outcome::Passed);
    }
    if !workspace.finds("apt-get") {
        return Ok(skipped("it is not on PATH and there is no apt-get to install it with"));
    }
    match install(workspace) {
        Ok(()) if is_there(workspace) => Ok(Outcome::Passed),
        Ok(()) => Ok(skipped("the packages hold no chromium or no chromedriver")),
        Err(error) => Ok(skipped(&error.to_string())),
    }
}

fn is_there(workspace: &Workspace) -> bool {
    PROGRAMS.iter().all(|program| workspace.finds(program))
}

fn skipped(why: &str) -> Outcome {
    eprintln!("WARNING: no chromium ({why})");
    eprintln!(
        "WARNING: THE TESTS OF THE PAGES IN A BROWSER WILL BE SKIPPED. `apt-get install chromium chromium-driver` brings it."
    );
    Outcome::Incomplete(format!("the pages are not opened in a browser: {why}"))
}

fn install(workspace: &Workspace) -> Result<(), StepError> {
    if packages(workspace).is_err() {
        // The package lists may be empty or old.
        step::run(workspace.command("apt-get").args(["update", "--quiet"]))?;
        packages(workspace)?;
    }
    Ok(())
}

fn packages(workspace: &Workspace) -> Result<(), StepError> {
    step::run(
        workspace
            .command("apt-get")
            .args(["install", "--quiet", "--yes", "--no-install-recommends"])
            .args(PACKAGES)
            .env("DEBIAN_FRONTEND", "noninteractive"),
    )
}
