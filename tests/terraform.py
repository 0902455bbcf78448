"""Terraform on a copy of `infra/`, and a stand-in of AWS for what it asks before it plans."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
INFRA = ROOT / "infra"
TIMEOUT_S = 300
# Where machines without the internet keep providers.
PLUGINS = [Path("/opt/tf-plugins"), *Path("/usr/share").glob("terraform/plugins")]
BACKEND = 'terraform {\n  backend "local" {}\n}\n'


def tool(name: str) -> Path:
    """A program of this environment."""
    path = Path(sys.executable).parent / name
    assert path.is_file(), f"{path} is absent: tests/requirements-deploy.txt pins it"
    return path


def run(
    *words: object, folder: Path = ROOT, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in words],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
        env={**os.environ, **(environment or {})},
    )


def variables(endpoint: str | None = None) -> dict[str, str]:
    """No settings of this machine, no look for updates, and no way to a real account."""
    found = {
        "TF_CLI_CONFIG_FILE": os.devnull,
        "CHECKPOINT_DISABLE": "1",
        "TF_IN_AUTOMATION": "1",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    return found if endpoint is None else {**found, "AWS_ENDPOINT_URL": endpoint}


class Checkout:
    """A copy of `infra/`, so that a run leaves nothing in the sources and several can go on at once."""

    def __init__(self, folder: Path, below: str = ".") -> None:
        ignored = shutil.ignore_patterns(".terraform", "*.tfstate*", "*.bin")
        shutil.copytree(INFRA, folder, ignore=ignored)
        self.folder = folder / below

    def terraform(self, *words: object, endpoint: str | None = None) -> subprocess.CompletedProcess[str]:
        return run("terraform", *words, folder=self.folder, environment=variables(endpoint))

    def init(self, *options: str) -> str | None:
        """None, or why the provider cannot be had here."""
        plugins = [f"-plugin-dir={folder}" for folder in PLUGINS if folder.is_dir()][:1]
        done = self.terraform("init", "-no-color", *plugins, *options)
        return None if done.returncode == 0 else done.stderr.strip()

    def local_state(self) -> None:
        (self.folder / "backend_override.tf").write_text(BACKEND)

    def plan(self, environment: str, endpoint: str) -> list[dict[str, Any]]:
        """Every resource that it would make: address, type, values."""
        path = f"{environment}.bin"
        done = self.terraform(
            *["plan", "-no-color", "-input=false", f"-var-file=envs/{environment}.tfvars", f"-out={path}"],
            endpoint=endpoint,
        )
        assert done.returncode == 0, done.stderr
        shown = json.loads(self.terraform("show", "-json", path).stdout)
        return list(resources(shown["planned_values"]["root_module"]))


def resources(module: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from module.get("resources", [])
    for child in module.get("child_modules", []):
        yield from resources(child)


@contextmanager
def stand_in(log: Path) -> Iterator[str]:
    """moto on a free port; its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    with log.open("wb") as output:
        process = subprocess.Popen(
            [tool("moto_server"), "-H", "127.0.0.1", "-p", str(port)], stdout=output, stderr=subprocess.STDOUT
        )
    try:
        for _ in range(300):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert process.poll() is None, log.read_text()
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()
