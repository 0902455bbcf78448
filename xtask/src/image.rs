//! The image of the release build: the last stage of the Dockerfile around a program that is there already. buildah makes
//! it without a daemon, in a store of its own under the target folder. Where the machine lacks buildah and podman,
//! Debian's packages are installed, which only root may. Without them the run goes on, and says so.

use std::fs;
use std::path::PathBuf;

use crate::step::{self, Outcome, StepError};
use crate::workspace::Workspace;

const PROGRAMS: [&str; 3] = ["podman", "buildah", "runc"];
/// `readelf` and `strip` are in binutils, which comes with the C compiler that the build needs.
const PACKAGES: [&str; 4] = ["podman", "buildah", "runc", "ca-certificates"];

/// What tests/test_image.py runs.
const TAG: &str = "localhost/quintile:test";

/// The stage of the Dockerfile that needs no compiler begins here.
const LAST_STAGE: &str = "FROM scratch\n";

pub(crate) fn build(workspace: &Workspace) -> Result<Outcome, StepError> {
    if !is_there(workspace) {
        if !workspace.finds("apt-get") {
            return Ok(skipped(
                "they are not on PATH and there is no apt-get to install them with",
            ));
        }
        if let Err(error) = install(workspace) {
            return Ok(skipped(&error.to_string()));
        }
    }
    let folder = workspace.image();
    let context = folder.join("context");
    let file = |path: PathBuf| move |source| StepError::File { path, source };
    fs::create_dir_all(&context).map_err(file(context.clone()))?;
    // An older run's store, which a killed test may have left in pieces.
    let store = folder.join("storage");
    if store.exists() {
        fs::remove_dir_all(&store).map_err(file(store.clone()))?;
    }
    step::run(
        workspace
            .command(workspace.root().join("image/root.sh"))
            .arg(workspace.release_binary())
            .arg(folder.join("build/root-of-image")),
    )?;
    let dockerfile = folder.join("Dockerfile");
    fs::write(&dockerfile, last_stage(workspace)?).map_err(file(dockerfile.clone()))?;
    step::run(
        workspace
            .command("buildah")
            .args(["--storage-driver", "vfs", "--root"])
            .arg(&store)
            .arg("--runroot")
            .arg(folder.join("run"))
            .args(["bud", "--isolation", "chroot", "--format", "docker", "--tag", TAG])
            .arg("--build-context")
            .arg(format!("build={}", folder.join("build").display()))
            .args(["--build-arg", concat!("VERSION=", env!("CARGO_PKG_VERSION"))])
            .arg("--file")
            .arg(&dockerfile)
            .arg(&context),
    )?;
    Ok(Outcome::Passed)
}

/// The Dockerfile from its last `FROM` on.
fn last_stage(workspace: &Workspace) -> Result<String, StepError> {
    let path = workspace.root().join("Dockerfile");
    let text = fs::read_to_string(&path).map_err(|source| StepError::File { path, source })?;
    let start = text.find(LAST_STAGE).ok_or(StepError::Missing {
        what: "the line `FROM scratch` of the Dockerfile",
        remedy: "the last stage must begin with it",
    })?;
    Ok(text[start..].to_owned())
}

fn is_there(workspace: &Workspace) -> bool {
    PROGRAMS.iter().all(|program| workspace.finds(program))
}

fn skipped(why: &str) -> Outcome {
    eprintln!("WARNING: no podman, buildah and runc ({why})");
    eprintln!(
        "WARNING: THE TESTS OF THE IMAGE WILL BE SKIPPED. `apt-get install {}` brings what they need.",
        PACKAGES.join(" ")
    );
    Outcome::Incomplete(format!("the image is neither built nor tested: {why}"))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_stage_is_from_scratch_and_copies_from_a_folder() {
        let stage = last_stage(&Workspace::from_environment()).expect("the Dockerfile has one");
        assert_eq!(stage.matches("FROM ").count(), 1, "{stage}");
        assert!(stage.contains("COPY --from=build /root-of-image/ /"), "{stage}");
    }
}
