"""A running `quintile serve`, and keep-alive connections to it."""

import ctypes
import http.client
import json
import os
import queue
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import command

START_S = 30
STOP_S = 60
Features = dict[str, str | float | None]
IO_URING_SETUP = 425  # the same number on x86-64 and aarch64


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Connection:
    """One keep-alive connection; a server that closes it between requests fails the test."""

    def __init__(self, host: str, port: int) -> None:
        self._http = http.client.HTTPConnection(host, port, timeout=30)
        self._http.connect()
        self._socket = self._http.sock

    def request(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        self._http.request(method, path, body=body, headers={k.replace("_", "-"): v for k, v in headers.items()})
        response = self._http.getresponse()
        content = response.read()
        assert self._http.sock is self._socket, "the server closed a keep-alive connection"
        return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, content)

    def score(self, lead_id: str, features: Features) -> Answer:
        body = json.dumps({"lead_id": lead_id, "features": features}, allow_nan=False).encode()
        return self.request("POST", "/score", body, Content_Type="application/json")

    def close(self) -> None:
        self._http.close()


def keepers(data: Path) -> list[int]:
    """Processes that would write this spool's memory to its files."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except (OSError, ValueError):
            continue
        if words[1:3] == [b"spool-keeper", str(data / "spool").encode()]:
            found.append(int(entry.name))
    return found


class Server:
    """A server process: started with `Server(...)`, ready when the constructor returns, stopped by `stop`."""

    def __init__(
        self,
        model: Path | None,
        data: Path,
        runtime: str = "auto",
        shards: int = 1,
        sink: str = "parquet",
        settings: Mapping[str, str | float] | None = None,
        environment: Mapping[str, str] | None = None,
        output: Path | None = None,
        before: Sequence[str] = (),
    ) -> None:
        """`settings` are those without a flag: {"RECORDS__ROLL_SECONDS": 1}. `before` stands before the command."""
        words = [*before, command.binary(), "serve", "--listen", "127.0.0.1:0", "--runtime", runtime]
        words += ["--model", model] if model else []
        words += ["--shards", shards, "--sink", sink, "--data-dir", data, "--log", "json"]
        settings = {"SERVER__ADMIN": "none", **(settings or {})}
        variables = {f"QUINTILE_{name}": str(value) for name, value in settings.items()}
        self.log: list[str] = []
        self._process = subprocess.Popen(
            [str(word) for word in words],
            stdout=output.open("wb") if output else subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env={**os.environ, **variables, **(environment or {})},
        )
        address: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read_log, args=(address,), name="server-log", daemon=True)
        self._reader.start()
        self.host, self.port = self._wait_ready(address)

    @property
    def pid(self) -> int:
        return self._process.pid

    def connect(self) -> Connection:
        return Connection(self.host, self.port)

    def metrics(self) -> dict[str, float]:
        """Every sample of `/metrics` by its name and labels, as they are written there."""
        connection = self.connect()
        text = connection.request("GET", "/metrics").body.decode()
        connection.close()
        lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
        return {name: float(value) for name, _, value in lines}

    def stop(self) -> None:
        """SIGTERM: the server finishes what it has accepted, delivers its records and exits with 0."""
        self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(timeout=STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"still running {STOP_S} s after SIGTERM\n{self._log_tail()}") from None
        self._reader.join(timeout=5)
        assert code == 0, f"exit code {code} after SIGTERM\n{self._log_tail()}"

    def logged(self, message: str) -> dict[str, Any] | None:
        """The fields of the first log line with this message."""
        for line in self.log:
            fields = log_fields(line)
            if fields.get("message") == message:
                return fields
        return None

    def wait(self, timeout: float) -> int:
        """Its exit code."""
        code = self._process.wait(timeout)
        self._reader.join(timeout=5)
        return code

    def is_running(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def _read_log(self, address: queue.Queue[str | None]) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self.log.append(line.rstrip())
            if found := listen_address(line):
                address.put(found)
        address.put(None)

    def _wait_ready(self, address: queue.Queue[str | None]) -> tuple[str, int]:
        try:
            found = address.get(timeout=START_S)
        except queue.Empty:
            found = None
        if found is None:
            self.kill()
            raise AssertionError(f"not ready within {START_S} s\n{self._log_tail()}")
        host, _, port = found.rpartition(":")
        return host.strip("[]"), int(port)

    def _log_tail(self) -> str:
        return "\n".join(self.log[-20:])


def score_all(running: Server, leads: Sequence[Features], connections: int) -> list[dict[str, Any]]:
    """Scores each lead once, dealt to the connections like cards; the answers in the order of the leads."""

    def one_connection(first: int) -> list[tuple[int, dict[str, Any]]]:
        connection = running.connect()
        answers = []
        for row in range(first, len(leads), connections):
            answer = connection.score(f"lead-{row}", leads[row])
            assert answer.status == 200, f"row {row}: {answer.status} {answer.body[:500]!r}"
            answers.append((row, answer.json()))
        connection.close()
        return answers

    with ThreadPoolExecutor(connections) as pool:
        dealt = [pair for part in pool.map(one_connection, range(connections)) for pair in part]
    return [answer for _, answer in sorted(dealt, key=lambda pair: pair[0])]


def log_fields(line: str) -> dict[str, Any]:
    """What a log line says: its body as `message`, and our own attributes by their short names."""
    try:
        entry = json.loads(line)
    except ValueError:
        return {}
    if not isinstance(entry, dict):
        return {}
    attributes = {name.removeprefix("quintile."): value for name, value in entry.get("attributes", {}).items()}
    return {"message": entry.get("body"), **attributes}


def listen_address(line: str) -> str | None:
    """The bound address when this log line says that the server is ready."""
    fields = log_fields(line)
    return fields.get("listen") if fields.get("message") == "ready" else None


def io_uring_allowed() -> bool:
    """Asks the kernel, not the server: container profiles deny io_uring, and then glommio cannot be tested."""
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = libc.syscall(IO_URING_SETUP, 4, ctypes.create_string_buffer(120))
    if descriptor < 0:
        return False
    os.close(descriptor)
    return True
