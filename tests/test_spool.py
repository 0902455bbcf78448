"""The spool as an operator meets it: other models, second processes, disks that are full or cannot be written."""

import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import xgboost as xgb

import command
import records
from conftest import Note
from serving import Server

DEMO = Path(__file__).resolve().parents[1] / "engine" / "demo" / "demo.ubj"
Start = Callable[..., Server]


def refused(data: Path, code: int = 1, **variables: str) -> str:
    """The last words of a server that must not start."""
    words = [str(command.binary()), "serve", "--listen", "127.0.0.1:0", "--data-dir", str(data), "--log", "text"]
    environment = {**os.environ, **{f"QUINTILE_{name}": value for name, value in variables.items()}}
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False, env=environment)
    assert done.returncode == code, f"exit {done.returncode}\n{done.stderr}"
    assert "panicked" not in done.stderr
    return done.stderr


@contextmanager
def mounted(folder: Path, *options: str) -> Iterator[None]:
    """A small disk at a folder, or a loud skip."""
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(["mount", "-t", "tmpfs", *options, "tmpfs", str(folder)], capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"NOT CHECKED: this user may not mount a small disk: {done.stderr.decode().strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_two_processes_on_one_spool_are_refused(server: Start, tmp_path: Path) -> None:
    running = server(DEMO)
    said = refused(tmp_path / "data")
    assert "in use by another process" in said and "records.spool_dir" in said, said
    # With a spool of its own it may share the data folder.
    other = server(DEMO, settings={"RECORDS__SPOOL_DIR": str(tmp_path / "other")})
    for one in (running, other):
        assert one.connect().score("lead", {"f1": 1}).status == 200
        one.stop()
    _, frame = records.read(tmp_path / "data" / "scores")
    assert len(frame) == 2


def test_a_read_only_data_folder_is_said_at_the_start(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "-o", "size=64m,ro"):
        said = refused(tmp_path / "disk" / "data")
    assert "disk/data/spool" in said and "Read-only file system" in said, said


def test_a_spool_that_is_too_small_says_what_would_do(tmp_path: Path) -> None:
    said = refused(tmp_path, 78, RECORDS__SPOOL_BYTES="1048576", SERVER__SHARDS="16")
    assert "records.spool_bytes must be at least 4194304" in said, said


def test_a_full_disk_sheds_and_recovers(server: Start, tmp_path: Path) -> None:
    data = tmp_path / "data"
    with mounted(data, "-o", "size=40m"):
        running = server(DEMO, settings={"RECORDS__ROLL_SECONDS": 0.3, "RECORDS__SPOOL_BYTES": 64 << 20})
        ballast = data / "ballast"
        free = os.statvfs(data)
        ballast.write_bytes(b"x" * (free.f_bavail * free.f_frsize - (64 << 10)))
        connection = running.connect()
        answered, shed, number = [], 0, 0
        while shed < 20:
            answer = connection.score(f"lead-{number}", {f"f{column}": number + column / 7 for column in range(1, 51)})
            if answer.status == 200:
                answered.append(f"lead-{number}")
            else:
                assert answer.status == 503 and answer.headers["retry-after"] == "1"
                assert answer.json()["error"]["code"] == "record_queue_full"
                shed += 1
                time.sleep(0.01)
            number += 1
            assert number < 200_000, "the disk is full and nothing is shed"
        metrics = connection.request("GET", "/metrics").body.decode()
        assert "No space left on device" in metrics, "the sink's last error"
        ballast.unlink()
        deadline = time.monotonic() + 30
        while (answer := connection.score(f"lead-{number}", {"f1": 1})).status != 200:
            assert time.monotonic() < deadline, running.log[-5:]
            time.sleep(0.05)
        answered.append(f"lead-{number}")
        running.stop()
        _, frame = records.read(data / "scores")
        assert sorted(frame["lead_id"]) == sorted(answered)


def test_drop_answers_without_a_record_and_counts(server: Start, tmp_path: Path) -> None:
    data = tmp_path / "data"
    running = server(
        DEMO,
        settings={"RECORDS__WHEN_FULL": "drop", "RECORDS__SPOOL_BYTES": 1 << 20, "RECORDS__ROLL_SECONDS": 0.3},
    )
    (data / "scores").rename(data / "aside")
    (data / "scores").write_text("in the way")
    connection = running.connect()
    dropped = 0.0
    for number in range(200_000):
        assert connection.score(f"lead-{number}", {"f1": 1}).status == 200
        if number % 500 == 499:
            time.sleep(0.6)
            metrics = connection.request("GET", "/metrics").body.decode()
            line = next(line for line in metrics.splitlines() if line.startswith("quintile_records_dropped_total "))
            dropped = float(line.split()[1])
            if dropped > 0:
                break
    assert dropped > 0
    (data / "scores").unlink()
    (data / "aside").rename(data / "scores")
    sent = number + 1
    running.stop()
    _, frame = records.read(data / "scores")
    assert 0 < len(frame) < sent
    lines = [line for line in running.log if "answered without a record" in line]
    assert 0 < len(lines) <= sent / 500 * 0.6 + 20, "logged, and not for every one"


def test_sigterm_in_the_middle_of_a_batch_delivers_everything(server: Start, tmp_path: Path) -> None:
    running = server(DEMO, shards=2)
    answered: list[str] = []

    def ask(thread: int) -> None:
        connection = running.connect()
        try:
            for number in range(1_000_000):
                answer = connection.score(f"{thread}-{number}", {"f1": number})
                if answer.status == 200:
                    answered.append(f"{thread}-{number}")
        except (OSError, AssertionError):
            pass  # The server closes when it has answered.
        except Exception as error:
            assert "closed" in str(error).lower() or "remote" in str(error).lower(), error

    clients = [threading.Thread(target=ask, args=(thread,), name=f"client-{thread}") for thread in range(4)]
    for thread in clients:
        thread.start()
    time.sleep(1)
    running.stop()
    for thread in clients:
        thread.join()
    _, frame = records.read(tmp_path / "data" / "scores")
    assert len(answered) > 100
    assert set(answered) <= set(frame["lead_id"]) and frame["record_id"].is_unique
    assert not list((tmp_path / "data" / "spool").glob("*.segment"))


def test_records_of_another_model_are_delivered_as_they_were_made(server: Start, tmp_path: Path, note: Note) -> None:
    rng = np.random.Generator(np.random.PCG64(9))
    rows = rng.normal(size=(200, 3))
    booster = xgb.train(
        {"objective": "binary:logistic", "max_depth": 3, "nthread": 1},
        xgb.DMatrix(rows, rows[:, 0] > 0, feature_names=["age", "größe", "lead_id"]),
        5,
    )
    first = tmp_path / "first.json"
    booster.save_model(first)
    old = server(first, settings={"RECORDS__ROLL_SECONDS": 60})
    connection = old.connect()
    answers = {}
    for number, row in enumerate(rows):
        features = dict(zip(["age", "größe", "lead_id"], map(float, row), strict=True))
        answer = connection.score(f"old-{number}", features)
        assert answer.status == 200
        answers[f"old-{number}"] = answer.json()
    old.kill()
    first.unlink()

    new = server(DEMO)
    assert new.logged("spool")["recovered"] == len(rows)
    assert new.connect().score("new", {"f1": 1}).status == 200
    new.stop()
    frames = {}
    for path in (tmp_path / "data" / "scores").rglob("*.parquet"):
        import pyarrow.parquet as pq

        table = pq.read_table(path, partitioning=None)
        frames.setdefault(table["model"][0].as_py(), []).append(table.to_pandas())
    [old_rows], [new_rows] = frames["first"], frames["demo"]
    assert len(new_rows) == 1 and len(old_rows) == len(rows)
    assert list(old_rows.columns[-3:]) == ["age", "größe", "feature.lead_id"]
    for row in old_rows.to_dict("records"):
        answer = answers[row["lead_id"]]
        assert row["prediction"] == answer["probability"] and row["model_version"] == answer["model"]["version"]
        number = int(row["lead_id"].removeprefix("old-"))
        assert [row["age"], row["größe"], row["feature.lead_id"]] == list(rows[number])
    note(f"{len(rows)} records of a model that is gone were delivered by a process with another one")


def test_what_is_left_in_the_spool_is_shown(server: Start, tmp_path: Path) -> None:
    running = server(DEMO)
    connection = running.connect()
    for number in range(50):
        assert connection.score(f"lead-{number}", {"f1": number, "f2": None}).status == 200
    running.kill()
    spool = tmp_path / "data" / "spool"
    shown = command.run("spool", "inspect", spool, "--json")
    assert shown.returncode == 0, shown.stderr
    segments = json.loads(shown.stdout)["segments"]
    assert sum(segment["records"] for segment in segments) == 50
    assert sum(segment["left"]["parquet"] for segment in segments) == 50
    table = command.run("spool", "inspect", spool)
    assert table.returncode == 0 and "parquet" in table.stdout and "50" in table.stdout, table.stdout
    said = command.refusal("spool", "inspect", tmp_path / "absent")
    assert "absent" in said
