"""What happens to a spool under a running server, and to its small files: no answer is lost without a word."""

import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable
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
        # Aside first: the server makes files in a folder while it is emptied.
        (data if gone == "data" else data / "spool").rename(tmp_path / "gone")
        shutil.rmtree(tmp_path / "gone")
    wait_for("the folder", lambda: any("has its folder again" in line for line in running.log))
    answered = ask(running, 1000, 200)
    assert any('"ERROR"' in line and "removed or replaced" in line for line in running.log)
    # The text of /metrics is renewed twice a second.
    wait_for("the metric", lambda: running.metrics()["quintile_spool_writable"] == 1)
    # It is this one's again: nobody else gets it.
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
    # Whoever has the description puts it back, and the file under its old name.
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
