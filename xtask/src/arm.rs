//! `cargo xtask arm`: runs the model's tests as a 64-bit Arm machine would, under emulation, on an x86-64 Debian
//! machine.
//!
//! The standard library for Arm comes with Debian's own Rust, and so must its compiler; the oldest Debian whose Rust is
//! new enough is the one in development. Nothing is installed: apt, with lists and caches of its own, downloads
//! packages that are unpacked under the target directory:
//!
//! ```text
//! target/arm/apt      apt's lists and packages
//! target/arm/host     rustc with its libraries (its C library too, newer than this machine's), qemu
//! target/arm/arm64    C library that Arm programs are linked with and find when they run
//! target/arm/build    what cargo builds
//! ```
//!
//! Programs are linked by the lld that comes with the machine's own Rust, so no other C compiler is needed.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use crate::step::{self, StepError};
use crate::workspace::Workspace;

const TRIPLE: &str = "aarch64-unknown-linux-gnu";

/// Where Debian has libraries of this machine and of an Arm one.
const HOST_LIBRARIES: &str = "usr/lib/x86_64-linux-gnu";
const ARM_LIBRARIES: &str = "usr/lib/aarch64-linux-gnu";

/// With all that they depend on: the compiler's libraries, and the emulator. The compiler itself would bring a C
/// compiler.
const HOST_PACKAGES: [&str; 2] = ["libstd-rust-dev:amd64", "qemu-user:amd64"];

/// Without what they depend on.
const LONE_PACKAGES: [&str; 5] = [
    "rustc:amd64",
    "libstd-rust-dev:arm64",
    "libc6:arm64",
    "libc6-dev:arm64",
    "libgcc-s1:arm64",
];

/// What is run when no arguments say otherwise: every kernel against the reference, and the files of real models.
const TESTS: [&str; 8] = [
    "--test",
    "kernels_agree",
    "--test",
    "kernels_real",
    "--test",
    "planner",
    "--test",
    "fixtures",
];

/// Sets up and runs `cargo test --package quintile-model` with these arguments, or the tests of kernels.
pub(crate) fn run(workspace: &Workspace, arguments: &[&str]) -> ExitCode {
    match set_up_and_test(workspace, arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Sets up and runs the tests of kernels.
pub(crate) fn test_kernels(workspace: &Workspace) -> Result<(), StepError> {
    set_up_and_test(workspace, &[])
}

fn set_up_and_test(workspace: &Workspace, arguments: &[&str]) -> Result<(), StepError> {
    set_up(workspace)?;
    test(workspace, arguments)
}

fn set_up(workspace: &Workspace) -> Result<(), StepError> {
    if wrapper(workspace).is_file() {
        return Ok(());
    }
    if !workspace.finds("apt-get") || std::env::consts::ARCH != "x86_64" {
        return Err(StepError::Missing {
            what: "apt-get on an x86-64 machine",
            remedy: "this task needs Debian's packages; on an Arm machine `cargo test` does the same",
        });
    }
    let packages = download(workspace)?;
    let [host, arm] = ["host", "arm64"].map(|folder| workspace.arm().join(folder));
    for package in entries(&packages)? {
        if package.extension().is_some_and(|extension| extension == "deb") {
            let is_arm = package.to_string_lossy().ends_with("_arm64.deb");
            let mut unpack = workspace.command("dpkg-deb");
            unpack
                .arg("--extract")
                .arg(&package)
                .arg(if is_arm { &arm } else { &host });
            step::run(&mut unpack)?;
        }
    }
    // The compiler looks for every machine's standard library beside its own.
    let standard = |folder: &Path| folder.join("usr/lib/rustlib").join(TRIPLE);
    act(&standard(&host), |to| fs::rename(standard(&arm), to))?;
    // What a package for developers would bring, with a compiler for Arm.
    act(&arm.join(ARM_LIBRARIES).join("libgcc_s.so"), |link| {
        symlink("libgcc_s.so.1", link)
    })?;
    act(&arm.join("lib"), |link| symlink("usr/lib", link))?;
    // Last, for it says that all is there.
    write_wrapper(workspace, &host)
}

/// Debian's compiler, started with the C library that it was built for.
fn write_wrapper(workspace: &Workspace, host: &Path) -> Result<(), StepError> {
    let libraries = host.join(HOST_LIBRARIES);
    let script = format!(
        "#!/bin/sh\nexec '{}' --library-path '{}' '{}' --sysroot '{}' \"$@\"\n",
        libraries.join("ld-linux-x86-64.so.2").display(),
        libraries.display(),
        host.join("usr/bin/rustc").display(),
        host.join("usr").display()
    );
    act(&wrapper(workspace), |path| {
        fs::write(path, script)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))
    })
}

/// Downloads all packages; returns the folder that they lie in.
fn download(workspace: &Workspace) -> Result<PathBuf, StepError> {
    let apt = workspace.arm().join("apt");
    let packages = apt.join("packages");
    for folder in ["lists/partial", "packages/partial", "state"] {
        act(&apt.join(folder), |path| fs::create_dir_all(path))?;
    }
    act(&apt.join("state/status"), |path| fs::write(path, ""))?;
    let sources = format!(
        "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] {} unstable main\n",
        mirror(workspace)?
    );
    act(&apt.join("sources.list"), |path| fs::write(path, sources))?;
    let settings = format!(
        "Dir::State \"{root}/state\";\nDir::State::lists \"{root}/lists\";\nDir::State::status \"{root}/state/status\";\n\
         Dir::Cache \"{root}\";\nDir::Cache::archives \"{root}/packages\";\nDir::Etc::sourcelist \"{root}/sources.list\";\n\
         Dir::Etc::sourceparts \"/dev/null\";\nAPT::Architectures {{ \"amd64\"; \"arm64\"; }};\n\
         APT::Install-Recommends \"false\";\nDebug::NoLocking \"true\";\n",
        root = apt.display()
    );
    let configuration = apt.join("apt.conf");
    act(&configuration, |path| fs::write(path, settings))?;
    let get = |words: &[&str]| {
        let mut command = workspace.command("apt-get");
        command.env("APT_CONFIG", &configuration).current_dir(&packages);
        step::run(command.args(words))
    };
    get(&["update", "--quiet"])?;
    get(&[&["install", "--quiet", "--yes", "--download-only"], &HOST_PACKAGES[..]].concat())?;
    get(&[&["download", "--quiet"], &LONE_PACKAGES[..]].concat())?;
    Ok(packages)
}

/// Where the machine's own packages of Debian come from.
fn mirror(workspace: &Workspace) -> Result<String, StepError> {
    let mut command = workspace.command("apt-get");
    command.args(["indextargets", "--format", "$(REPO_URI)"]);
    let said = step::read(command.args(["Created-By: Packages", "Label: Debian", "Component: main"]))?;
    said.lines().next().map(str::to_owned).ok_or(StepError::Missing {
        what: "a package list of Debian",
        remedy: "run `apt-get update` once",
    })
}

fn test(workspace: &Workspace, arguments: &[&str]) -> Result<(), StepError> {
    let [host, arm] = ["host", "arm64"].map(|folder| workspace.arm().join(folder));
    let libraries = arm.join(ARM_LIBRARIES);
    let mut flags = vec![
        "-Clinker-flavor=ld".to_owned(),
        format!("-Clink-arg=--sysroot={}", arm.display()),
        format!("-Clink-arg=-L{}", libraries.display()),
        "-Clink-arg=--dynamic-linker=/lib/ld-linux-aarch64.so.1".to_owned(),
    ];
    // A C compiler would add these by itself.
    flags.extend(["crt1.o", "crti.o", "crtn.o"].map(|file| format!("-Clink-arg={}", libraries.join(file).display())));
    let emulator = host.join("usr/bin/qemu-aarch64");
    let mut cargo = workspace.cargo();
    cargo
        .env("CARGO_TARGET_DIR", workspace.arm().join("build"))
        .env("RUSTC", wrapper(workspace))
        .env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", linker(workspace)?)
        // Separated by a character that no path has.
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"))
        .env(
            "CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER",
            format!("{} -L {}", emulator.display(), arm.display()),
        )
        .args(["test", "--locked", "--package", "quintile-model", "--target", TRIPLE]);
    match arguments {
        [] => cargo.args(TESTS).args(["--", "--nocapture"]),
        _ => cargo.args(arguments),
    };
    step::run(&mut cargo)
}

/// The lld of the machine's own Rust.
fn linker(workspace: &Workspace) -> Result<PathBuf, StepError> {
    let root = step::read(
        Command::new("rustc")
            .args(["--print", "sysroot"])
            .current_dir(workspace.root()),
    )?;
    let path = "lib/rustlib/x86_64-unknown-linux-gnu/bin/gcc-ld/ld.lld";
    let linker = Path::new(root.trim()).join(path);
    linker.is_file().then_some(linker).ok_or(StepError::Missing {
        what: "ld.lld among the files of Rust",
        remedy: "rustup's toolchains have it",
    })
}

fn wrapper(workspace: &Workspace) -> PathBuf {
    workspace.arm().join("rustc")
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, StepError> {
    let list = fs::read_dir(folder).and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
    list.map_err(|source| StepError::File {
        path: folder.to_owned(),
        source,
    })
}

/// Does something with a path, and names it when that fails.
fn act(path: &Path, action: impl FnOnce(&Path) -> std::io::Result<()>) -> Result<(), StepError> {
    action(path).map_err(|source| StepError::File {
        path: path.to_owned(),
        source,
    })
}
