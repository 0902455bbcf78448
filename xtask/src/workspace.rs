//! Where things are: the checkout, the target directory, the cargo that runs us. The only place that reads the
//! environment.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The checkout that this xtask was built from.
pub(crate) struct Workspace {
    root: PathBuf,
    target: PathBuf,
    cargo: OsString,
    search_path: OsString,
}

impl Workspace {
    #[expect(
        clippy::disallowed_methods,
        reason = "the ban sends readers to the engine's configuration, which this tool must not depend on"
    )]
    pub(crate) fn from_environment() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .expect("xtask lies in a folder of the checkout")
            .to_path_buf();
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
        Self {
            // Cargo takes a relative path from where it was called, and so did the user who wrote it.
            target: std::path::absolute(&target).unwrap_or(target),
            root,
            cargo: std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()),
            search_path: std::env::var_os("PATH").unwrap_or_default(),
        }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// What fuzzing builds and finds.
    pub(crate) fn fuzz(&self) -> PathBuf {
        self.target.join("fuzz")
    }

    /// A compiler, an emulator and a build for 64-bit Arm.
    pub(crate) fn arm(&self) -> PathBuf {
        self.target.join("arm")
    }

    /// The image and what it is made of.
    pub(crate) fn image(&self) -> PathBuf {
        self.target.join("image")
    }

    /// Where the packages of a requirements file lie: `tests/requirements-x.txt` has `venv-x`.
    pub(crate) fn environment(&self, requirements: &str) -> PathBuf {
        let file = Path::new(requirements)
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy();
        self.target.join(file.replacen("requirements", "venv", 1))
    }

    /// What uv has downloaded.
    pub(crate) fn uv_cache(&self) -> PathBuf {
        self.target.join("uv")
    }

    /// Unpacked programs that the machine does not have; on the search path of every command that we run.
    pub(crate) fn tools(&self) -> PathBuf {
        self.target.join("tools")
    }

    pub(crate) fn release_binary(&self) -> PathBuf {
        self.target.join("release/quintile")
    }

    pub(crate) fn cargo(&self) -> Command {
        self.command(&self.cargo)
    }

    /// A command that starts at the root of the checkout and finds our unpacked tools after the machine's own.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(&self.root)
            .env("CARGO_TARGET_DIR", &self.target)
            .env("PATH", self.search_path_with_tools());
        command
    }

    /// Whether a command run by [`Workspace::command`] would find this program.
    pub(crate) fn finds(&self, program: &str) -> bool {
        std::env::split_paths(&self.search_path_with_tools()).any(|folder| folder.join(program).is_file())
    }

    fn search_path_with_tools(&self) -> OsString {
        let machine = std::env::split_paths(&self.search_path);
        let all = machine.chain([self.tools().join("usr/bin")]);
        std::env::join_paths(all).unwrap_or_else(|_| self.search_path.clone())
    }
}
