"""What is done to a server. Each scenario gets a folder of its own and a random source, and returns a line about it."""

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from disks import Disk
from oracle import compare, deliver
from process import STOP_S, Clients, Difference, Server, keepers, wait_for_keepers

# How soon records are delivered: never in this life, or over and over, so that some die between a file and its place.
ROLL_S = (3600, 3600, 1, 0.2)


class Skipped(Exception):
    """This machine does not allow it."""


@dataclass
class Scene:
    """What every scenario needs."""

    binary: Path
    folder: Path
    runtime: str
    chance: random.Random

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def server(self, data: Path | None = None, before: tuple[str, ...] = (), **settings: object) -> Server:
        settings.setdefault("RECORDS__ROLL_SECONDS", self.chance.choice(ROLL_S))
        return Server(self.binary, data or self.data, self.runtime, before, **settings)

    def while_busy(self, seconds: float = 1.0) -> None:
        time.sleep(self.chance.uniform(0.02, seconds))


def kill_at_random(scene: Scene) -> str:
    """kill -9 over and over, sometimes of the keeper process first; the next process starts at once."""
    answered: dict[int, float] = {}
    lives = scene.chance.randrange(1, 5)
    for life in range(lives):
        server = scene.server()
        if not server.is_up:
            raise Difference(f"life {life} does not start\n{server.tail()}")
        clients = Clients(server, 1_000_000 * life)
        scene.while_busy()
        if scene.chance.randrange(2):
            _replace_keeper(scene.data)
            scene.while_busy(0.3)
        server.kill()
        answered |= clients.end()
    return f"{lives} lives, {deliver(scene.binary, scene.data, scene.runtime, answered)}"


def _replace_keeper(data: Path) -> None:
    """Kills the keeper process and waits for another: with neither of both alive, memory is gone."""
    old = keepers(data)
    for pid in old:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    until = time.monotonic() + 60
    while not set(keepers(data)) - set(old):
        if time.monotonic() > until:
            raise Difference("no other keeper process within 60 s after one was killed")
        time.sleep(0.02)


CALLS = (
    "openat",
    "pwrite64,pwritev",
    "fsync,fdatasync",
    "rename,renameat,renameat2",
    "fallocate,ftruncate",
    "unlink,unlinkat",
    "mkdir,mkdirat",
)
ERRORS = ("EIO", "ENOSPC", "EACCES", "EMFILE", "ENOMEM")


def failing_calls(scene: Scene) -> str:
    """System calls fail, or take their time, while it answers; it is stopped or killed under the fault or after it."""
    if not shutil.which("strace"):
        raise Skipped("there is no strace to make system calls fail: apt-get install strace")
    calls = scene.chance.choice(CALLS)
    first, step = scene.chance.randrange(1, 40), scene.chance.choice(("", "+", "+", "+2", "+7"))
    how = scene.chance.choice((*(f"error={error}" for error in ERRORS), "delay_enter=200000", "delay_enter=1500000"))
    words = (
        "strace",
        "-f",
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        f"trace={calls}",
        "-e",
        f"inject={calls}:{how}:when={first}{step}",
    )
    server = scene.server(RECORDS__ROLL_SECONDS=scene.chance.choice((3600, 0.5)))
    if not server.is_up:
        raise Difference(f"does not start\n{server.tail()}")
    clients = Clients(server, 0)
    scene.while_busy(0.5)
    tracer = subprocess.Popen([*words, "-p", str(server.pid())], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    scene.while_busy(4)
    end = scene.chance.choice(("stop", "stop under it", "kill", "kill under it"))
    if tracer.poll() is not None and server.is_running():
        server.kill()
        clients.end()
        raise Skipped("strace may not trace another process here")
    if end in ("stop", "kill"):
        tracer.terminate()
        tracer.wait(60)
        scene.while_busy(1)
    if not server.is_running():
        raise Difference(f"{how} of {calls} from call {first}{step} ended it\n{server.tail()}")
    if end.startswith("stop"):
        server.stop()
    else:
        server.kill()
    tracer.terminate()
    tracer.wait(60)
    answered = clients.end()
    about = deliver(scene.binary, scene.data, scene.runtime, answered)
    return f"{how} of {calls} from call {first}{step}, {end}: {about}"


def failing_start(scene: Scene) -> str:
    """System calls fail from the start on: it starts, or ends and says why; what was left before is not lost by it."""
    if not shutil.which("strace"):
        raise Skipped("there is no strace to make system calls fail: apt-get install strace")
    server = scene.server(RECORDS__ROLL_SECONDS=3600)
    clients = Clients(server, 0)
    scene.while_busy()
    server.kill()
    answered = clients.end()
    wait_for_keepers(scene.data)
    calls, error = scene.chance.choice(CALLS), scene.chance.choice(ERRORS)
    first, step = scene.chance.randrange(1, 120), scene.chance.choice(("", "+", "+3"))
    words = (
        "strace",
        "-f",
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        f"trace={calls}",
        "-e",
        f"inject={calls}:error={error}:when={first}{step}",
    )
    second = scene.server(before=words, RECORDS__ROLL_SECONDS=0.5)
    if second.is_up:
        clients = Clients(second, 1_000_000)
        scene.while_busy(2)
        second.stop() if scene.chance.randrange(2) else second.kill()
        answered |= clients.end()
        ended = "started"
    else:
        ended = f"ended with {second.process.wait(60)}"
        said = second.tail()
        if "panicked" in said or not said.strip():
            raise Difference(f"{error} of {calls} from call {first}{step}: {ended}, and says `{said}`")
    about = deliver(scene.binary, scene.data, scene.runtime, answered)
    return f"{error} of {calls} from call {first}{step} at the start: {ended}; {about}"


def damaged_files(scene: Scene) -> str:
    """Bytes of a dead spool's files change. `engine/tests/spool_damage` has thousands of these."""
    server = scene.server(RECORDS__ROLL_SECONDS=3600)
    clients = Clients(server, 0)
    scene.while_busy(0.6)
    server.kill()
    answered = clients.end()
    wait_for_keepers(scene.data)
    files = [path for path in sorted((scene.data / "spool").rglob("*")) if path.is_file() and path.stat().st_size]
    done = []
    for _ in range(scene.chance.choice((1, 1, 3))):
        path = scene.chance.choice(files)
        content = bytearray(path.read_bytes())
        used = len(content.rstrip(b"\0")) or len(content)
        at = scene.chance.choice((scene.chance.randrange(min(len(content), 4096)), scene.chance.randrange(used)))
        size = scene.chance.choice((1, 64, 4096))
        content[at : at + size] = (
            scene.chance.randbytes(len(content[at : at + size]))
            if scene.chance.randrange(2)
            else bytes(len(content[at : at + size]))
        )
        path.write_bytes(content)
        done.append(f"{size} bytes of {path.name} at {at}")
    return f"{', '.join(done)}: {deliver(scene.binary, scene.data, scene.runtime, answered, may_be_told=True)}"


def folder_goes(scene: Scene) -> str:
    """The spool's folder is removed or moved while it answers: told, made anew, and what is answered then is kept."""
    server = scene.server(RECORDS__ROLL_SECONDS=3600)
    clients = Clients(server, 0)
    scene.while_busy()
    spool, how = scene.data / "spool", scene.chance.choice(("removed", "moved", "data removed"))
    if how == "moved":
        spool.rename(scene.folder / "elsewhere")
    else:
        shutil.rmtree(spool if how == "removed" else scene.data, ignore_errors=True)
    until = time.monotonic() + 60
    while not any("has its folder again" in line for line in server.lines("INFO", "WARN", "ERROR")):
        if time.monotonic() > until:
            raise Difference(f"the folder was {how}, and is not there again after 60 s\n{server.tail()}")
        time.sleep(0.05)
    clients.end()
    if not any("removed or replaced" in line for line in server.lines("ERROR")):
        raise Difference(f"the folder was {how}, and no error says so\n{server.tail()}")
    later = Clients(server, 1_000_000)
    scene.while_busy()
    server.kill()
    answered = later.end()
    return f"{how}: {deliver(scene.binary, scene.data, scene.runtime, answered)}"


def small_disk(scene: Scene) -> str:
    """A disk of its own that is full, read-only or stands still, for a while."""
    how = scene.chance.choice(("full", "read-only", "frozen"))
    with Disk(scene.folder / "disk.img", scene.data, Skipped) as disk:
        server = scene.server(RECORDS__SPOOL_BYTES=2 << 20, RECORDS__ROLL_SECONDS=scene.chance.choice((3600, 0.5)))
        if not server.is_up:
            raise Difference(f"does not start\n{server.tail()}")
        clients = Clients(server, 0)
        scene.while_busy()
        with disk.fault(how):
            scene.while_busy(4)
            end = scene.chance.choice(("later", "later", "stop", "kill"))
            # What ends under the fault cannot deliver; the next process must.
            if end != "later" and server.is_running():
                os.kill(server.pid(), signal.SIGTERM if end == "stop" else signal.SIGKILL)
                # The kernel ends no process before its threads that wait for a frozen disk.
                if how != "frozen":
                    server.process.wait(STOP_S)
        if end != "later":
            server.process.wait(STOP_S)
        if end == "later":
            scene.while_busy(2)
            server.stop() if scene.chance.randrange(2) else server.kill()
        answered = clients.end()
        about = deliver(scene.binary, scene.data, scene.runtime, answered)
    return f"{how}, {end}: {about}"


def stop_while_busy(scene: Scene) -> str:
    """SIGTERM at a random instant of its life, also before it is ready: exit 0, and nothing is left."""
    server = scene.server()
    clients = Clients(server, 0)
    scene.while_busy(0.5)
    code = server.stop()
    answered = clients.end()
    if code != 0:
        raise Difference(f"exit code {code} after SIGTERM\n{server.tail()}")
    if missing := compare(scene.data, answered):
        raise Difference(f"{len(missing)} of {len(answered)} answered leads have no record after a clean end")
    return f"{len(answered)} answered"


SCENARIOS: tuple[Callable[[Scene], str], ...] = (
    kill_at_random,
    failing_calls,
    failing_start,
    damaged_files,
    folder_goes,
    small_disk,
    stop_while_busy,
)
