"""A server under fault, clients that remember what it answered, and a thread that checks its health in the meantime."""

import http.client
import json
import os
import random
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

# Only to tell what hangs from what is slow: nothing here measures time.
START_S = 60
ANSWER_S = 30
STOP_S = 120
KEEPER_S = 60

FEATURES = ("f1", "f2", "f5")


class Difference(Exception):
    """A promise that was not kept."""


def features(number: int) -> dict[str, float]:
    """The features of lead `number`: they follow from its number, so that a record can be checked by itself."""
    chance = random.Random(number)
    return {"f1": float(number), "f2": chance.randrange(40) / 2, "f5": float(chance.randrange(20))}


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def keepers(data: Path) -> list[int]:
    """Processes that write this spool's memory to its files when its server has died."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except (OSError, ValueError):
            continue
        if words[1:3] == [b"spool-keeper", os.fsencode(data / "spool")]:
            found.append(int(entry.name))
    return found


def wait_for_keepers(data: Path) -> None:
    until = time.monotonic() + KEEPER_S
    while keepers(data):
        if time.monotonic() > until:
            raise Difference(f"the keeper process of a dead server still runs after {KEEPER_S} s")
        time.sleep(0.02)


class Server:
    """One process. `before` are words in front of its command, such as a tracer's."""

    def __init__(
        self,
        binary: Path,
        data: Path,
        runtime: str,
        before: tuple[str, ...] = (),
        preexec: Callable[[], None] | None = None,
        **settings: object,
    ) -> None:
        self.port, self.data = free_port(), data
        self.log = data.parent / f"log-{time.monotonic_ns()}"
        words = [*before, binary, "serve", "--listen", f"127.0.0.1:{self.port}", "--data-dir", data, "--log", "json"]
        words += ["--shards", "2", "--runtime", runtime]
        variables = {"SERVER__ADMIN": "none", **settings}
        environment = {**os.environ, **{f"QUINTILE_{name}": str(value) for name, value in variables.items()}}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [str(word) for word in words],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                env=environment,
                preexec_fn=preexec,
            )
        until = time.monotonic() + START_S
        self.is_up = False
        while not self.is_up and self.is_running():
            if time.monotonic() > until:
                self.process.kill()
                raise Difference(f"neither answers nor ends within {START_S} s of its start\n{self.tail()}")
            try:
                self.is_up = self.status("/healthz") == 200
            except (OSError, http.client.HTTPException):
                time.sleep(0.02)

    def is_running(self) -> bool:
        return self.process.poll() is None

    def status(self, path: str) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_S)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            response.read()
            return response.status
        finally:
            connection.close()

    def metric(self, name: str) -> float:
        """The sum of a metric's samples."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_S)
        try:
            connection.request("GET", "/metrics")
            lines = connection.getresponse().read().decode().splitlines()
        finally:
            connection.close()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith((f"{name} ", f"{name}{{")))

    def pid(self) -> int:
        """The server's own, also under a tracer."""
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        is_tracer = (
            b"serve" in Path(f"/proc/{pid}/cmdline").read_bytes()
            and b"strace" in Path(f"/proc/{pid}/cmdline").read_bytes()
        )
        return int(children[0]) if is_tracer and children else pid

    def lines(self, *levels: str) -> list[str]:
        """What the log says at these levels."""
        said = []
        for line in self.log.read_text(errors="replace").splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if isinstance(entry, dict) and entry.get("severity_text") in levels:
                said.append(f"{entry.get('body')} {entry.get('attributes')}")
        return said

    def tail(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-8:])

    def kill(self) -> None:
        if self.is_running():
            os.kill(self.pid(), signal.SIGKILL)
        self.process.wait(STOP_S)

    def stop(self) -> int:
        """SIGTERM: its exit code, in bounded time."""
        if self.is_running():
            os.kill(self.pid(), signal.SIGTERM)
        try:
            return self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Difference(f"still runs {STOP_S} s after SIGTERM\n{self.tail()}") from None

    def check_log(self) -> None:
        text = self.log.read_text(errors="replace")
        if "panicked" in text or '"FATAL"' in text:
            raise Difference(f"a panic in the log\n{self.tail()}")


class Clients:
    """Ask for leads one after another; `answered` has the prediction of each lead that came back with 200."""

    def __init__(self, server: Server, first: int, count: int = 3) -> None:
        self.server, self.number = server, first
        self.answered: dict[int, float] = {}
        self.statuses: dict[int, int] = {}
        self.health: list[str] = []
        self.lock, self.ended = threading.Lock(), threading.Event()
        targets = [self._ask] * count + [self._look]
        self.threads = [threading.Thread(target=target, name=f"client-{place}") for place, target in enumerate(targets)]
        for thread in self.threads:
            thread.start()

    def _ask(self) -> None:
        connection = None
        while not self.ended.is_set():
            with self.lock:
                number, self.number = self.number, self.number + 1
            body = json.dumps({"lead_id": f"lead-{number}", "features": features(number)})
            try:
                connection = connection or http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=ANSWER_S)
                connection.request("POST", "/score", body, {"content-type": "application/json"})
                response = connection.getresponse()
                answer = json.loads(response.read())
            except TimeoutError:
                self._note(0)
                connection = None
                continue
            except (OSError, http.client.HTTPException, ValueError):
                connection = None
                time.sleep(0.01)
                continue
            with self.lock:
                if response.status == 200:
                    self.answered[number] = answer["probability"]
            self._note(response.status)
            if response.status != 200:
                time.sleep(0.005)

    def _note(self, status: int) -> None:
        with self.lock:
            self.statuses[status] = self.statuses.get(status, 0) + 1

    def _look(self) -> None:
        """A live process answers health checks, for any fault of its disk."""
        while not self.ended.wait(0.2):
            try:
                status = self.server.status("/healthz")
                if status != 200:
                    self.health.append(f"/healthz said {status}")
                self.server.status("/metrics")
            except TimeoutError:
                self.health.append(f"no page within {ANSWER_S} s")
            except (OSError, http.client.HTTPException):
                # It ends, or was killed: the scenario knows which.
                pass

    def end(self) -> dict[int, float]:
        self.ended.set()
        for thread in self.threads:
            thread.join(2 * ANSWER_S)
        odd = {status for status in self.statuses if status not in (200, 503)}
        if odd:
            words = "0 is no answer in time" if 0 in odd else "only 200 and 503 may come"
            raise Difference(f"statuses {self.statuses}: {words}\n{self.server.tail()}")
        if self.health:
            raise Difference(f"{len(self.health)} times: {self.health[0]}\n{self.server.tail()}")
        self.server.check_log()
        return self.answered
