//! The groups of Python tests, and what is too heavy for every run: two tables.
//!
//! A group is what `cargo xtask test --group NAME` runs: some files of `tests/`, in the environment that its
//! requirements pin. Groups with the same requirements share an environment; a foreign program whose packages conflict
//! with those of the others gets a file of its own. To add a group, add a row and list its files. A file that no row
//! lists runs in [`REST`].

use crate::step::{Outcome, StepError};
use crate::workspace::Workspace;
use crate::{arm, chromium, faults, fuzz, image, promtool};

type Run = fn(&Workspace) -> Result<Outcome, StepError>;

/// Some of the Python tests, run together.
pub(crate) struct Group {
    pub(crate) name: &'static str,
    /// What a reader of the list should know.
    pub(crate) about: &'static str,
    /// Pins every package, those that others depend on too; from the root of the checkout.
    pub(crate) requirements: &'static str,
    /// Files of `tests/`.
    pub(crate) files: &'static [&'static str],
    /// Programs that are set up first, each under the name of its step.
    pub(crate) needs: &'static [(&'static str, Run)],
    /// What it takes at most, with packages downloaded and the program built. A longer run is reported, but is no
    /// failure.
    pub(crate) minutes: u64,
}

const REQUIREMENTS: &str = "tests/requirements.txt";
/// checkov wants older packages than the libraries that score.
const DEPLOY_REQUIREMENTS: &str = "tests/requirements-deploy.txt";
/// fakesnow wants an older connector, and that older packages.
const WAREHOUSE_REQUIREMENTS: &str = "tests/requirements-warehouse.txt";
/// Clients of other servers bring packages of their own.
const CLIENTS_REQUIREMENTS: &str = "tests/requirements-clients.txt";
const PROMTOOL: (&str, Run) = ("promtool", promtool::set_up);
const CHROMIUM: (&str, Run) = ("Chromium", chromium::set_up);
const IMAGE: (&str, Run) = ("image", image::build);

/// Every group, in the order in which a run of all has them.
pub(crate) const GROUPS: [Group; 11] = [
    Group {
        name: "cases",
        about: "situations from real use, from ../shared/cases",
        requirements: REQUIREMENTS,
        files: &["test_cases.py"],
        needs: &[],
        minutes: 3,
    },
    Group {
        name: "faults",
        about: "kill -9, failing system calls and disks, and the faults of ../shared/cases/faults",
        requirements: REQUIREMENTS,
        files: &[
            "test_attacks.py",
            "test_fault_reproductions.py",
            "test_faults.py",
            "test_kill.py",
            "test_spool_faults.py",
        ],
        needs: &[],
        minutes: 6,
    },
    Group {
        name: "libraries",
        about: "bit-exactness against XGBoost, LightGBM, scikit-learn, CatBoost and ONNX",
        requirements: REQUIREMENTS,
        files: &[
            "test_bank.py",
            "test_bool_categories.py",
            "test_categories.py",
            "test_changes.py",
            "test_exact.py",
            "test_export.py",
            "test_first_hour.py",
            "test_folders.py",
            "test_outputs.py",
            "test_parity.py",
            "test_perf.py",
            "test_random_exports.py",
            "test_random_lightgbm.py",
            "test_random_models.py",
        ],
        needs: &[],
        minutes: 8,
    },
    Group {
        name: "aws",
        about: "Firehose, S3, SageMaker and credentials, against moto and stand-ins on loopback",
        requirements: REQUIREMENTS,
        files: &[
            "test_credentials.py",
            "test_firehose.py",
            "test_model_store.py",
            "test_s3.py",
            "test_sagemaker.py",
            "test_stand_in.py",
        ],
        needs: &[],
        minutes: 5,
    },
    Group {
        name: "clients",
        about: "clients of Triton, KServe, SageMaker and MLflow, unchanged",
        requirements: CLIENTS_REQUIREMENTS,
        files: &["test_clients.py", "test_grpc_clients.py"],
        needs: &[],
        minutes: 6,
    },
    Group {
        name: "security",
        about: "TLS, API keys, tokens and secrets, as Python's ssl, openssl, curl and moto see them",
        requirements: REQUIREMENTS,
        files: &["test_secrets.py", "test_security.py"],
        needs: &[],
        minutes: 4,
    },
    Group {
        name: "browser",
        about: "our pages in Chromium",
        requirements: REQUIREMENTS,
        files: &["test_pages.py", "test_explore.py"],
        needs: &[CHROMIUM],
        minutes: 3,
    },
    Group {
        name: "deploy",
        about: "Terraform over mocks and a stand-in, workflows, scripts, load tests (needs terraform and its provider)",
        requirements: DEPLOY_REQUIREMENTS,
        files: &[
            "test_deploy_queries.py",
            "test_deploy_static.py",
            "test_deploy_terraform.py",
            "test_load.py",
        ],
        needs: &[],
        minutes: 5,
    },
    Group {
        name: "warehouse",
        about: "recorded scores into Snowflake and features out of it, against fakesnow and moto",
        requirements: WAREHOUSE_REQUIREMENTS,
        files: &[
            "test_warehouse_kill.py",
            "test_warehouse_load.py",
            "test_warehouse_login.py",
            "test_warehouse_read.py",
            "test_warehouse_routes.py",
        ],
        needs: &[],
        minutes: 4,
    },
    Group {
        name: "image",
        about: "the image of the release build under podman: hardened, full, without a network, stopped under load",
        requirements: REQUIREMENTS,
        files: &["test_image.py"],
        needs: &[IMAGE],
        minutes: 2,
    },
    REST,
];

/// Every file that no other group lists.
pub(crate) const REST: Group = Group {
    name: "server",
    about: "the command line, the server and its documents",
    requirements: REQUIREMENTS,
    files: &[],
    needs: &[PROMTOOL],
    minutes: 8,
};

/// What runs with `--all` only, or when it is named.
pub(crate) struct Heavy {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) run: Run,
}

pub(crate) const HEAVY: [Heavy; 3] = [
    Heavy {
        name: "arm",
        about: "the model's tests for 64-bit Arm under emulation (half an hour, 300 MB of Debian's packages)",
        run: |workspace| arm::test_kernels(workspace).map(|()| Outcome::Passed),
    },
    Heavy {
        name: "fuzz",
        about: "every fuzz target for a minute",
        run: |workspace| fuzz::all(workspace, "60").map(|()| Outcome::Passed),
    },
    Heavy {
        name: "attacks",
        about: "every attack of faults/attack.py in 128 and 512 MiB, on both runtimes (a quarter of an hour, needs root)",
        run: faults::attacks,
    },
];

impl Group {
    /// What pytest is given: the group's files, or all but those of other groups.
    pub(crate) fn arguments(&self) -> Vec<String> {
        if self.name != REST.name {
            return self.files.iter().map(|file| format!("tests/{file}")).collect();
        }
        let others = GROUPS.iter().flat_map(|group| group.files);
        let ignored = others.map(|file| format!("--ignore=tests/{file}"));
        std::iter::once("tests".to_owned()).chain(ignored).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_file_is_there_and_in_one_group() {
        let tests = Workspace::from_environment().root().join("tests");
        let mut seen = HashSet::new();
        for group in &GROUPS {
            for file in group.files {
                assert!(tests.join(file).is_file(), "{}: tests/{file} is absent", group.name);
                assert!(seen.insert(file), "tests/{file} is in two groups");
            }
            assert_eq!(group.files.is_empty(), group.name == REST.name, "{}", group.name);
        }
    }

    #[test]
    fn names_are_told_apart() {
        let names = GROUPS
            .iter()
            .map(|group| group.name)
            .chain(HEAVY.iter().map(|heavy| heavy.name));
        let mut seen = HashSet::new();
        assert!(names.into_iter().all(|name| seen.insert(name)));
    }

    #[test]
    fn requirements_are_there() {
        let root = Workspace::from_environment().root().to_path_buf();
        for group in &GROUPS {
            assert!(root.join(group.requirements).is_file(), "{}", group.requirements);
        }
    }
}
