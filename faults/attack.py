"""Attacks a server that has little memory, and looks what becomes of it and of a client beside the attack.

Each attack meets a server of its own in a memory cgroup. What must hold: the server lives, the client beside is
answered 200 or 503, and what the attack has taken is given back when it is over. With `--strict` also: the 99th
percentile of the client beside is at most twice what it was in the quiet seconds before. That is for a machine with
nothing else to do.
"""

import argparse
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

from attacks import ATTACKS
from process import Difference, Server, features
from run import runtimes

# Quiet, under attack, and until everything is given back.
QUIET_S, ATTACK_S, AFTER_S = 4, 10, 30
USED_AFTER_MAX = 4 << 20
# The client beside and the server come before whatever else this machine does. In the field attackers have other CPUs.
NICE_BESIDE, NICE_SERVER, NICE_ATTACK = -20, -19, -10


class Skipped(Exception):
    """This machine does not allow it."""


class Cgroup:
    """A memory cgroup of version 1 or 2; its processes may have so many bytes."""

    def __init__(self, limit: int) -> None:
        name = f"quintile-attack-{os.getpid()}"
        first = Path("/sys/fs/cgroup/memory")
        self.folder = (first if first.is_dir() else Path("/sys/fs/cgroup")) / name
        self.names = (
            ("memory.limit_in_bytes", "memory.max_usage_in_bytes") if first.is_dir() else ("memory.max", "memory.peak")
        )
        try:
            self.folder.mkdir()
            (self.folder / self.names[0]).write_text(str(limit))
        except OSError as error:
            self.remove()
            raise Skipped(f"this user may not make a memory cgroup: {error}") from None

    def enter(self) -> None:
        (self.folder / "cgroup.procs").write_text(str(os.getpid()))

    def peak(self) -> int:
        try:
            return int((self.folder / self.names[1]).read_text())
        except OSError:
            return 0

    def remove(self) -> None:
        for _ in range(100):
            with suppress(OSError):
                self.folder.rmdir()
                return
            time.sleep(0.05)


def prioritise(level: int) -> None:
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, level)


def start(binary: Path, data: Path, runtime: str, cgroup: Cgroup) -> Server:
    """A server that has been in the cgroup since before it began."""

    def enter() -> None:
        cgroup.enter()
        prioritise(NICE_SERVER)

    server = Server(binary, data, runtime, preexec=enter, RECORDS__SPOOL_BYTES=64 << 20)
    if not server.is_up:
        raise Difference(f"does not start\n{server.tail()}")
    return server


def beside(server: Server, seconds: float) -> tuple[dict[str, int], list[float]]:
    """Scores one lead after another: how often each status came, and how long each took in milliseconds."""
    statuses, times, connection = {}, [], None
    until, number = time.monotonic() + seconds, 0
    while time.monotonic() < until:
        number += 1
        body, began = json.dumps({"lead_id": f"q{number}", "features": features(number)}), time.perf_counter()
        try:
            connection = connection or http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
            connection.request("POST", "/score", body, {"content-type": "application/json"})
            response = connection.getresponse()
            response.read()
            status = str(response.status)
        except (OSError, http.client.HTTPException) as error:
            connection, status = None, type(error).__name__
        statuses[status] = statuses.get(status, 0) + 1
        times.append(1e3 * (time.perf_counter() - began))
        time.sleep(0.002)
    return statuses, times


def percentile(times: list[float], part: float) -> float:
    return sorted(times)[min(len(times) - 1, int(len(times) * part))]


def given_back(server: Server) -> float:
    """Bytes of the budget that are in use when it has had time to give them back."""
    until = time.monotonic() + AFTER_S
    while True:
        used = server.metric("quintile_memory_used_bytes")
        if used <= USED_AFTER_MAX or time.monotonic() > until:
            return used
        time.sleep(0.5)


def play(binary: Path, name: str, runtime: str, cgroup: Cgroup, is_strict: bool) -> str:
    folder = Path(tempfile.mkdtemp(prefix="quintile-attack-"))
    server = start(binary, folder / "data", runtime, cgroup)
    try:
        _, quiet = beside(server, QUIET_S)
        words = [sys.executable, __file__, "--binary", binary, "--attack", name, "--attacker", server.port]
        attacker = subprocess.Popen([str(word) for word in words])
        statuses, busy = beside(server, ATTACK_S)
        attacker.wait(60)
        if not server.is_running():
            raise Difference(f"{name} ended the server\n{server.tail()}")
        used, refused = given_back(server), server.metric("quintile_memory_refused_total")
        server.check_log()
        if set(statuses) - {"200", "503"}:
            raise Difference(f"{name}: a client beside got {statuses}")
        if used > USED_AFTER_MAX:
            raise Difference(f"{name}: {used:.0f} bytes are not given back after {AFTER_S} s")
        before, during = percentile(quiet, 0.99), percentile(busy, 0.99)
        line = (
            f"{name}: peak {cgroup.peak() >> 20} MiB, refused {refused:.0f}; beside {statuses}, "
            f"p99 {before:.2f} -> {during:.2f} ms, most {max(busy):.0f} ms"
        )
        if is_strict and during > 2 * before:
            raise Difference(f"{line}: more than twice")
        return line
    finally:
        server.kill()
        shutil.rmtree(folder, ignore_errors=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", type=Path, required=True)
    parser.add_argument("--limit", type=int, default=128, help="MiB of memory of the server")
    parser.add_argument("--runtime", action="append", choices=["epoll", "glommio"], help="default: those that run here")
    parser.add_argument("--attack", action="append", choices=list(ATTACKS), help="default: all")
    parser.add_argument("--strict", action="store_true")
    parser.add_argument("--attacker", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.attacker:
        prioritise(NICE_ATTACK)
        ended = threading.Event()
        threading.Timer(ATTACK_S - 1, ended.set).start()
        held = ATTACKS[asked.attack[0]](asked.attacker, ended)
        ended.wait()
        del held
        os._exit(0)
    prioritise(NICE_BESIDE)
    failures = 0
    for runtime in asked.runtime or runtimes():
        for name in asked.attack or ATTACKS:
            try:
                cgroup = Cgroup(asked.limit << 20)
            except Skipped as skipped:
                print(f"SKIPPED: {skipped}".upper())
                return 0
            try:
                print(
                    f"held: {runtime}, {play(asked.binary.resolve(), name, runtime, cgroup, asked.strict)}", flush=True
                )
            except Difference as difference:
                failures += 1
                print(f"FAILS: {runtime}, {difference}", flush=True)
            finally:
                cgroup.remove()
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"attacks in {asked.limit} MiB: {failures} failed; load of the machine {load}", flush=True)
    return 1 if failures else 0


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    sys.exit(main())
