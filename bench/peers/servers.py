"""How each server of the comparison is started, found ready, looked at and stopped. Each runs on one CPU."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
FOLDER = TARGET / "peers"
MODEL = FOLDER / "xgboost-500x6.json"
START_S = 60
FEATURES = 50


class NotStarted(Exception):
    """Voids a column of the table, with this reason in it."""


@dataclass
class Peer:
    name: str
    command: list[str]
    ready: str = "/readyz"
    score: str = "/score"
    # What quintile-bench sends, and how closely it looks at the answers.
    load: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def venv(name: str) -> Path:
    """A peer's own environment under the target folder, from its pinned requirements; made once."""
    folder = FOLDER / f"venv-{name}"
    wanted = (HERE / f"{name}.txt").read_text()
    stamp = folder / "requirements.installed.txt"
    if not stamp.exists() or stamp.read_text() != wanted:
        print(f"installing {name} under {folder}", file=sys.stderr)
        subprocess.run(["python3", "-m", "venv", "--clear", folder], check=True)
        pip = [folder / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        done = subprocess.run([*pip, "--requirement", HERE / f"{name}.txt"], capture_output=True, text=True)
        if done.returncode != 0:
            raise NotStarted(f"its packages do not install: {done.stderr.strip().splitlines()[-1]}")
        stamp.write_text(wanted)
    return folder / "bin"


def quintile(name: str, binary: Path, port: int, *more: str, shards: str | None = "1") -> Peer:
    words = [binary, "serve", "--listen", f"127.0.0.1:{port}", "--log", "json", "--model", MODEL]
    words += more or ["--sink", "none"]
    words += ["--shards", shards] if shards else []
    command = [str(word) for word in words]
    exact = ["--model", str(MODEL)]
    return Peer(name, command, load=[*exact, "--status-only"] if name.startswith("static") else exact)


def build(name: str, port: int, *more: str) -> Peer:
    release = TARGET / "release"
    leads = ["--model", str(MODEL)]
    environment = {"PEER_MODEL": str(MODEL)}
    match name:
        case "quintile":
            return quintile(name, release / "quintile", port, *more)
        case "quintile-auto":  # as many shards as it finds room for
            return quintile(name, release / "quintile", port, *more, shards=None)
        case "quintile-at":  # another build; its path comes first
            return quintile(name, Path(more[0]), port, *more[1:])
        case "quintile-glommio":
            return quintile(name, release / "quintile", port, "--sink", "none", "--runtime", "glommio")
        case "static":
            return quintile(name, release / "examples/static_responder", port)
        case "static-glommio":
            return quintile(name, release / "examples/static_responder", port, "--sink", "none", "--runtime", "glommio")
        case "bare-hyper":
            command = [str(release / "examples/bare_hyper"), f"127.0.0.1:{port}"]
            return Peer(name, command, load=[*leads, "--status-only"])
        case "fastapi":
            words = "-m uvicorn fastapi_app:app --workers 1 --loop uvloop --http httptools --no-access-log"
            command = [str(venv(name) / "python"), *words.split(), "--log-level", "warning"]
            command += ["--port", str(port), "--app-dir", str(HERE)]
            return Peer(name, command, load=leads, environment=environment)
        case "bentoml":
            command = [str(venv(name) / "bentoml"), "serve", "bentoml_service:Leads", "--port", str(port)]
            command += ["--host", "127.0.0.1", "--working-dir", str(HERE)]
            home = {"BENTOML_HOME": str(FOLDER / "bentoml"), "BENTOML_DO_NOT_TRACK": "1"}
            return Peer(name, command, load=leads, environment=environment | home)
        case "mlserver":
            folder = mlserver_folder(port)
            command = [str(venv(name) / "mlserver"), "start", str(folder)]
            bodies = ["--bodies", str(FOLDER / "v2.ndjson")]
            return Peer(name, command, ready="/v2/health/ready", score="/v2/models/leads/infer", load=bodies)
    raise ValueError(name)


def mlserver_folder(port: int) -> Path:
    """One process (`parallel_workers` 0), no metrics endpoint, the open inference protocol."""
    folder = FOLDER / "mlserver"
    folder.mkdir(parents=True, exist_ok=True)
    settings = {"host": "127.0.0.1", "http_port": port, "grpc_port": free_port(), "metrics_endpoint": None}
    settings |= {"parallel_workers": 0, "debug": False, "use_structured_logging": False}
    (folder / "settings.json").write_text(json.dumps(settings))
    model = {"name": "leads", "implementation": "mlserver_xgboost.XGBoostModel", "parameters": {"uri": str(MODEL)}}
    (folder / "model-settings.json").write_text(json.dumps(model))
    return folder


class Running:
    """A started server; `start_s` is the time from its start until it said that it is ready."""

    def __init__(self, name: str, cpu: int | str, *more: str) -> None:
        port = free_port()
        self.peer = build(name, port, *more)
        self.url = f"http://127.0.0.1:{port}"
        environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"} | self.peer.environment
        self.log = FOLDER / f"{name}.log"
        with self.log.open("w") as log:
            began = time.perf_counter()
            self.process = subprocess.Popen(
                ["taskset", "-c", str(cpu), *self.peer.command],
                stdout=log,
                stderr=log,
                env=environment,
                cwd=FOLDER,
                start_new_session=True,
            )
        try:
            self.wait_ready(began)
        except NotStarted:
            self.stop()
            raise
        self.start_s = time.perf_counter() - began

    def wait_ready(self, began: float) -> None:
        while time.perf_counter() - began < START_S:
            if self.process.poll() is not None:
                raise NotStarted(f"it ended with {self.process.returncode}: {self.last_words()}")
            try:
                # The bare example has no such path, and answers all alike.
                # The address is our own, made of a port.
                with urllib.request.urlopen(self.url + self.peer.ready, timeout=2):  # nosec B310
                    return
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                time.sleep(0.002)
        raise NotStarted(f"not ready within {START_S} s: {self.last_words()}")

    def last_words(self) -> str:
        lines = [line.strip() for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
        return lines[-1][:160] if lines else "it said nothing"

    def memory_kib(self) -> dict[str, int]:
        """Resident memory by kind, of the server and its children."""
        sums: dict[str, int] = {}
        for process in [self.process.pid, *children(self.process.pid)]:
            status = Path(f"/proc/{process}/status")
            for kind, kib in re.findall(r"^(RssAnon|RssFile|RssShmem):\s+(\d+) kB", status.read_text(), re.MULTILINE):
                sums[kind] = sums.get(kind, 0) + int(kib)
        return sums

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def stop(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
            try:
                self.process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()

    def __enter__(self) -> "Running":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def children(process: int) -> list[int]:
    try:
        found = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    except OSError:
        return []
    direct = [int(child) for child in found]
    return direct + [grandchild for child in direct for grandchild in children(child)]
