"""What happens to a spool under a running server, and to its small files: no answer is lost without a word."""

import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import command
from serving import Server, keepers

DEMO = Path(__file__).resolve().parents[1] / "engine" / "demo" / "demo.ubj"
Start = Callable[..., Server]
# Nothing is delivered before the process ends.
KEEP = {"RECORDS__ROLL_SECONDS": 3600}
WAIT_S = 30


def ask(server: Server, first: int, count: int) -> list[str]:
    connection = server.connect()
    leads = [f"lead-{number}" for number in range(first, first + count)]
    for number, lead in enumerate(leads, first):
        assert connection.score(lead, {"f1": number}).status == 200
    connection.close()
    return leads


def recorded(data: Path) -> dict[str, float]:
    """Each lead's feature f1, which is its number."""
    rows = [
        row
        for path in (data / "scores").rglob("*.parquet")
        for row in pq.read_table(path, columns=["lead_id", "f1"], partitioning=None).to_pylist()
    ]
    return {row["lead_id"]: row["f1"] for row in rows}


def check(data: Path, answered: list[str]) -> None:
    found = recorded(data)
    missing = set(answered) - set(found)
    assert not missing, f"{len(missing)} of {len(answered)} have no record"
    assert all(number == int(lead.rsplit("-", 1)[1]) for lead, number in found.items())


def wait_for(what: str, condition: Callable[[], bool]) -> None:
    until = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < until, f"waited {WAIT_S} s for: {what}"
        time.sleep(0.02)


def deliver(server: Start, data: Path, answered: list[str]) -> Server:
    """The next process, which delivers what the one before has left."""
    following = server(DEMO)
    following.stop()
    check(data, answered)
    return following


@pytest.mark.parametrize("gone", ["data", "spool", "moved"])
def test_a_folder_that_goes_is_made_anew(server: Start, tmp_path: Path, gone: str) -> None:
    data = tmp_path / "data"
    running = server(DEMO, settings=KEEP)
    ask(running, 0, 50)
    if gone == "moved":
        (data / "spool").rename(data / "elsewhere")
    else:
        # Aside first, and again until it is gone: the server makes files in a folder while it is emptied.
        aside = tmp_path / "gone"
        (data if gone == "data" else data / "spool").rename(aside)
        wait_for("an empty folder", lambda: shutil.rmtree(aside, ignore_errors=True) or not aside.exists())
    wait_for("the folder", lambda: any("has its folder again" in line for line in running.log))
    answered = ask(running, 1000, 200)
    assert any('"ERROR"' in line and "removed or replaced" in line for line in running.log)
    # The text of /metrics is renewed twice a second.
    wait_for("the metric", lambda: running.metrics()["quintile_spool_writable"] == 1)
    # It belongs to this process again: no other process gets it.
    words = [str(command.binary()), "serve", "--listen", "127.0.0.1:0", "--data-dir", str(data), "--log", "text"]
    second = subprocess.run(
        words,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "QUINTILE_SERVER__ADMIN": "none"},
    )
    assert second.returncode == 1 and "in use by another process" in second.stderr
    running.kill()
    deliver(server, data, answered)


@pytest.mark.parametrize("gone", ["spool", "models"])
def test_what_goes_just_before_the_server_dies_is_made_anew(server: Start, tmp_path: Path, gone: str) -> None:
    """By the server or, when it dies first, by its keeper process: one of both, as it happens."""
    data, answered = tmp_path / "data", []
    for life in range(4):
        running = server(DEMO, settings=KEEP)
        answered += ask(running, 1000 * life, 50)
        folder = data / "spool" if gone == "spool" else data / "spool" / "models"
        folder.rename(tmp_path / f"gone-{life}")
        time.sleep(0.05 * life)
        running.kill()
        wait_for("the keeper process", lambda: not keepers(data))
        deliver(server, data, answered)


CALLS = {"openat": "EACCES ENFILE EMFILE EIO ENOMEM", "pread64": "EIO"}


@pytest.mark.parametrize(("call", "error"), [(call, error) for call in CALLS for error in CALLS[call].split()])
def test_a_file_that_cannot_be_read_at_the_start_is_no_damage(
    server: Start, tmp_path: Path, call: str, error: str
) -> None:
    if not shutil.which("strace"):
        pytest.skip("NOT CHECKED: there is no strace to make system calls fail")
    data = tmp_path / "data"
    running = server(DEMO, settings=KEEP)
    answered = ask(running, 0, 50)
    running.kill()
    wait_for("the keeper process", lambda: not keepers(data))
    segments = [path for path in (data / "spool").glob("*.segment") if path.read_bytes()[4096:4100] != bytes(4)]
    # The first calls of each thread that concern the file. The tracer is no parent, so that signals reach the server.
    inject = f"inject={call}:error={error}:when=1..3"
    before = ["strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}"]
    before += [word for path in segments for name in (str(path), path.name) for word in ("-P", name)]
    following = server(DEMO, before=[*before, "-e", inject], settings={"RECORDS__ROLL_SECONDS": 0.3})
    postponed = any("cannot be read now" in line for line in following.log)
    assert not list((data / "spool").glob("*.damaged")), following.log
    wait_for("its records", lambda: following.metrics()[RECORDED] >= len(answered) or not postponed)
    following.stop()
    deliver(server, data, answered)
    assert postponed, "a call about the file has failed"


RECORDED = 'quintile_records_delivered_total{sink="parquet"}'


def test_a_dead_disk_is_told_and_refuses_and_comes_back(server: Start, tmp_path: Path) -> None:
    """Every call that writes fails with EIO for a while: told once a second, counted, and `when_full` decides."""
    if not shutil.which("strace"):
        pytest.skip("NOT CHECKED: there is no strace to make system calls fail")
    data = tmp_path / "data"
    running = server(DEMO, settings={**KEEP, "RECORDS__SPOOL_BYTES": 1 << 20})
    answered = ask(running, 0, 50)
    calls = "pwrite64,pwritev,fallocate,ftruncate,fsync,fdatasync,unlinkat,renameat,mkdir"
    words = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={calls}", "-e", f"inject={calls}:error=EIO"]
    tracer = subprocess.Popen([*words, "-p", str(running.pid)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    connection, number = running.connect(), 1000
    try:
        wait_for("the tracer", lambda: traced(running.pid) or tracer.poll() is not None)
        assert tracer.poll() is None, "strace may not trace another process here"
        answered += ask(running, 900, 1)
        wait_for("the fault", lambda: running.metrics()["quintile_spool_writable"] == 0)
        until = time.monotonic() + WAIT_S
        while (answer := connection.score(f"lead-{number}", {"f1": number})).status == 200:
            answered.append(f"lead-{number}")
            number += 1
            assert time.monotonic() < until, "its memory is used up, and nothing is refused"
        assert answer.status == 503
        errors = running.metrics()["quintile_spool_errors_total"]
        wait_for("further attempts", lambda: running.metrics()["quintile_spool_errors_total"] > errors)
        assert connection.request("GET", "/healthz").status == 200
        assert connection.request("GET", "/readyz").status == 503
    finally:
        tracer.terminate()
        tracer.wait()
    told = [line for line in running.log if '"ERROR"' in line and "the spool cannot be written" in line]
    assert told and len(told) <= WAIT_S + 1, f"{len(told)} lines"
    while connection.score(f"lead-{number}", {"f1": number}).status != 200:
        time.sleep(0.05)
    answered.append(f"lead-{number}")
    wait_for("the end of it", lambda: running.metrics()["quintile_spool_writable"] == 1)
    running.kill()
    deliver(server, data, answered)


def test_a_disk_that_becomes_read_only_is_told_as_one_state(server: Start, tmp_path: Path) -> None:
    """As ext4 does after an error, even while files are open. It does not come and go."""
    data, image = tmp_path / "data", tmp_path / "disk"
    data.mkdir()
    image.touch()
    os.truncate(image, 64 << 20)

    def run(*words: str | Path) -> bool:
        return (
            shutil.which(words[0]) is not None
            and subprocess.run(words, capture_output=True, check=False).returncode == 0
        )

    if not (run("mkfs.ext4", "-q", "-F", image) and run("mount", "-o", "loop,errors=remount-ro", image, data)):
        pytest.skip("NOT CHECKED: this user may not mount a file as a disk")
    try:
        running = server(DEMO, settings={**KEEP, "RECORDS__SPOOL_BYTES": 1 << 20})
        ask(running, 0, 20)
        major, minor = os.major(data.stat().st_dev), os.minor(data.stat().st_dev)
        device = Path(f"/sys/dev/block/{major}:{minor}").resolve().name
        Path(f"/sys/fs/ext4/{device}/trigger_fs_error").write_text("1")
        ask(running, 100, 5)
        wait_for("the fault", lambda: running.metrics()["quintile_spool_writable"] == 0)
        errors = running.metrics()["quintile_spool_errors_total"]
        while running.metrics()["quintile_spool_errors_total"] < errors + 5:
            assert running.metrics()["quintile_spool_writable"] == 0, "it comes and goes"
            time.sleep(0.02)
        assert not any("can be written again" in line for line in running.log)
        connection = running.connect()
        until = time.monotonic() + WAIT_S
        while (answer := connection.score("lead", {"f1": 1})).status == 200:
            assert time.monotonic() < until, "its memory is used up, and nothing is refused"
        assert (answer.status, connection.request("GET", "/readyz").status) == (503, 503)
        running.kill()
    finally:
        for keeper in keepers(data):
            os.kill(keeper, signal.SIGKILL)
        run("umount", "-l", data)


def test_server_and_keeper_that_die_together_keep_what_is_in_the_files(server: Start, tmp_path: Path) -> None:
    data = tmp_path / "data"
    running = server(DEMO, settings=KEEP)
    answered = ask(running, 0, 100)
    [keeper] = keepers(data)

    def is_written() -> bool:
        return any(answered[-1].encode() in path.read_bytes() for path in (data / "spool").glob("*.segment"))

    wait_for("the last record in its file", is_written)
    # Stopped first, so that neither sees the other die.
    for pid in (running.pid, keeper):
        os.kill(pid, signal.SIGSTOP)
    os.kill(keeper, signal.SIGKILL)
    running.kill()
    deliver(server, data, answered)


def test_a_drain_that_does_not_end_is_ended(server: Start, tmp_path: Path) -> None:
    """A call of the spool's that never comes back: the drain ends all the same, and the records stay."""
    if not shutil.which("strace"):
        pytest.skip("NOT CHECKED: there is no strace to hold up system calls")
    data = tmp_path / "data"
    running = server(DEMO, settings={**KEEP, "LIMITS__DRAIN_MS": 1000})
    answered = ask(running, 0, 50)
    words = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync,fdatasync"]
    words += ["-e", "inject=fsync,fdatasync:delay_enter=300s", "-p", str(running.pid)]
    tracer = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for("the tracer", lambda: traced(running.pid) or tracer.poll() is not None)
        assert tracer.poll() is None, "strace may not trace another process here"
        os.kill(running.pid, signal.SIGTERM)
        # The delivery may take 20 s. Only then is the time of the drain over.
        for _ in range(4):
            with suppress(AssertionError):
                wait_for("its end", lambda: any("has not ended in time" in line for line in running.log))
                break
    finally:
        # What its tracer holds up does not end before the tracer does, like a thread that waits for a dead disk.
        tracer.kill()
        tracer.wait()
    assert running.wait(WAIT_S) == 1 and any("has not ended in time" in line for line in running.log), running.log[-5:]
    wait_for("the keeper process", lambda: not keepers(data))
    deliver(server, data, answered)


def traced(pid: int) -> bool:
    return "TracerPid:\t0\n" not in Path(f"/proc/{pid}/status").read_text()


def test_a_foreign_spool_in_its_place_is_kept_and_not_mixed(server: Start, tmp_path: Path) -> None:
    data = tmp_path / "data"
    first = server(DEMO, settings=KEEP)
    theirs = ask(first, 0, 20)
    first.kill()
    wait_for("the keeper process", lambda: not keepers(data))
    (data / "spool").rename(tmp_path / "foreign")
    running = server(DEMO, settings=KEEP)
    (data / "spool").rename(tmp_path / "own")
    (tmp_path / "foreign").rename(data / "spool")
    wait_for("the folder", lambda: any("has its folder again" in line for line in running.log))
    answered = ask(running, 1000, 50)
    running.kill()
    deliver(server, data, answered)
    assert not set(theirs) & set(recorded(data))
    [aside] = (data / "spool").glob("*.aside")
    shown = command.run("spool", "export", aside)
    assert [json.loads(line)["lead_id"] for line in shown.stdout.splitlines()] == theirs


@pytest.mark.parametrize("how", ["removed", "cut"])
def test_files_that_go_are_written_anew(server: Start, tmp_path: Path, how: str) -> None:
    data = tmp_path / "data"
    running = server(DEMO, settings=KEEP)
    answered = ask(running, 0, 100)
    for path in (data / "spool").glob("*.segment"):
        path.unlink() if how == "removed" else os.truncate(path, 5000)
    for path in (data / "spool" / "models").iterdir():
        path.unlink()
    wait_for("new files", lambda: any("written again under another name" in line for line in running.log))
    wait_for("descriptions", lambda: (data / "spool" / "models" / "1.toml").exists())
    answered += ask(running, 100, 100)
    running.kill()
    deliver(server, data, answered)


def test_a_keeper_process_that_dies_is_started_again_and_none_is_left(server: Start, tmp_path: Path) -> None:
    data = tmp_path / "data"
    running = server(DEMO, settings=KEEP)
    [keeper] = keepers(data)
    for ignored in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(keeper, ignored)
    assert keepers(data) == [keeper]
    os.kill(keeper, signal.SIGKILL)
    wait_for("another keeper process", lambda: keepers(data) not in ([], [keeper]))
    answered = ask(running, 0, 100)
    running.kill()
    wait_for("the end of the keeper process", lambda: not keepers(data))
    following = deliver(server, data, answered)
    assert not following.is_running() and not keepers(data)


def test_a_spool_without_its_first_pages_is_delivered(server: Start, tmp_path: Path) -> None:
    data = tmp_path / "data"
    running = server(DEMO, settings=KEEP)
    answered = ask(running, 0, 100)
    running.kill()
    wait_for("the keeper process", lambda: not keepers(data))
    for path in (data / "spool").glob("*.segment"):
        with path.open("r+b") as file:
            file.write(bytes(4096))
    deliver(server, data, answered)


@pytest.mark.parametrize("copies", [1, 2])
def test_a_damaged_description_is_told_and_costs_nothing(server: Start, tmp_path: Path, copies: int) -> None:
    data = tmp_path / "data"
    running = server(DEMO, settings=KEEP)
    answered = ask(running, 0, 50)
    running.kill()
    wait_for("the keeper process", lambda: not keepers(data))
    models = data / "spool" / "models"
    whole = (models / "1.toml").read_bytes()
    for ending in ("toml", "copy")[:copies]:
        (models / f"1.{ending}").write_bytes(whole.replace(b'"f1"', b'"g1"', 1))
    following = server(DEMO)
    if copies == 1:
        following.stop()
        check(data, answered)
        return
    assert any('"ERROR"' in line and "put aside" in line for line in following.log)
    later = ask(following, 1000, 10)
    following.stop()
    assert set(recorded(data)) == set(later), "none under a wrong name"
    # An operator who has the description puts it back, and gives the file its old name.
    for ending in ("toml", "copy"):
        (models / f"1.{ending}").write_bytes(whole)
    for path in (data / "spool").glob("*.damaged"):
        path.rename(path.with_suffix(".segment"))
    deliver(server, data, answered + later)


def test_a_frozen_disk_holds_no_page_and_loses_nothing(server: Start, tmp_path: Path) -> None:
    data, image = tmp_path / "data", tmp_path / "disk"
    data.mkdir()
    image.write_bytes(b"")
    os.truncate(image, 128 << 20)

    def run(*words: str) -> bool:
        return (
            shutil.which(words[0]) is not None
            and subprocess.run(words, capture_output=True, check=False).returncode == 0
        )

    if not (run("mkfs.ext4", "-q", "-F", str(image)) and run("mount", "-o", "loop", str(image), str(data))):
        pytest.skip("NOT CHECKED: this user may not mount a file as a disk")
    frozen = threading.Event()
    try:
        running = server(DEMO, settings={**KEEP, "RECORDS__SPOOL_BYTES": 1 << 20})
        answered = ask(running, 0, 100)
        os.sync()
        assert run("fsfreeze", "-f", str(data))
        frozen.set()
        connection = running.connect()
        number = 1000
        while (answer := connection.score(f"lead-{number}", {"f1": number})).status == 200:
            answered.append(f"lead-{number}")
            number += 1
            assert number < 100_000, "memory without end"
        assert answer.status == 503
        assert connection.request("GET", "/healthz").status == 200
        assert connection.request("GET", "/metrics").status == 200
        assert connection.request("GET", "/readyz").status == 503
        wait_for("a line about it", lambda: any("does not answer" in line for line in running.log))
        assert run("fsfreeze", "-u", str(data))
        frozen.clear()
        wait_for("room again", lambda: connection.score("lead-99", {"f1": 99}).status == 200)
        running.stop()
        check(data, answered)
    finally:
        if frozen.is_set():
            run("fsfreeze", "-u", str(data))
        run("umount", "-l", str(data))
