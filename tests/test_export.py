"""`quintile spool export`: every record of a spool as a line, beside a running server and after its death."""

import json
import math
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import command
from delivery import DEMO, NAMES, leads, until
from serving import Server, keepers, score_all

Start = Callable[..., Server]
COUNT = 120
BODY = 4096


def lines(text: str) -> list[dict[str, Any]]:
    assert not text or text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


def export(*words: str | Path) -> list[dict[str, Any]]:
    done = command.run("spool", "export", *words)
    assert done.returncode == 0, done.stderr
    return lines(done.stdout)


def spool_of_killed(running: Server, data: Path) -> Path:
    """Kills a server, and waits until its keeper process has written what was in memory."""
    running.kill()
    until(lambda: not keepers(data), "the keeper process ends")
    return data / "spool"


@pytest.fixture
def left(server: Start, tmp_path: Path) -> Path:
    """The spool of a server that was killed before it delivered anything."""
    running = server(DEMO)
    score_all(running, leads(COUNT), 1)
    return spool_of_killed(running, tmp_path / "data")


def test_what_a_dead_process_has_left_is_exported_as_it_was_answered(server: Start, tmp_path: Path) -> None:
    running = server(DEMO)
    sent = leads(COUNT)
    answers = score_all(running, sent, 1)
    spool = spool_of_killed(running, tmp_path / "data")
    before = {path.name: path.read_bytes() for path in spool.glob("*.segment")}
    rows = export(spool)
    assert [row["lead_id"] for row in rows] == [answer["lead_id"] for answer in answers]
    for row, answer, lead in zip(rows, answers, sent, strict=True):
        assert (row["schema_version"], row["source"], row["source_reason"]) == (3, "local", None)
        assert (row["prediction"], row["score"]) == (answer["probability"], answer["score"])
        assert {name: row[name] for name in NAMES if row[name] is not None} == lead
    assert before == {path.name: path.read_bytes() for path in spool.glob("*.segment")}, "it was changed"
    # The next process delivers them all the same.
    new = server(DEMO)
    assert new.logged("spool")["recovered"] == COUNT
    new.stop()


def test_a_file_and_filters(left: Path, tmp_path: Path) -> None:
    done = command.run("spool", "export", left, "--out", tmp_path / "all.ndjson")
    assert done.returncode == 0 and not done.stdout and f"{COUNT} records" in done.stderr, done
    rows = lines((tmp_path / "all.ndjson").read_text())
    assert len(rows) == COUNT
    assert len(export(left, "--sink", "parquet")) == COUNT
    assert [row["lead_id"] for row in export(left, "--lead-id", "lead-7")] == ["lead-7"]
    middle = rows[COUNT // 2]["time"]
    assert export(left, "--since", middle) == [row for row in rows if row["time"] >= middle]
    assert export(left, "--since", "1h") == export(left, "--since", "2020-01-01") == rows
    assert not export(left, "--since", "2999-01-01T00:00:00Z")
    assert "2026-11-24" in command.refusal("spool", "export", left, "--since", "yesterday")
    assert "firehose" in command.refusal("spool", "export", left, "--sink", "firehoes")
    assert "absent" in command.refusal("spool", "export", tmp_path / "absent")


def test_examples_of_the_help_run(left: Path, tmp_path: Path) -> None:
    for page in (("spool",), ("spool", "inspect"), ("spool", "export")):
        text = command.run(*page, "--help").stdout
        examples = [line.split()[1:] for line in text.splitlines() if line.startswith("  quintile spool")]
        assert len(examples) >= 3
        for words in examples:
            words = [str(left) if word == "/data/spool" else word for word in words]
            done = subprocess.run(
                [str(command.binary()), *words], cwd=tmp_path, capture_output=True, timeout=60, check=False
            )
            assert done.returncode == 0, (words, done.stderr)


def test_a_reader_that_goes_away_is_no_failure(left: Path) -> None:
    for _ in range(3):
        line = f"'{command.binary()}' spool export '{left}' | head -n 1"
        done = subprocess.run(["bash", "-o", "pipefail", "-c", line], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, ""), done
        assert len(lines(done.stdout)) == 1


def test_damage_is_reported_and_the_rest_exported(left: Path) -> None:
    (segment,) = [path for path in left.glob("*.segment") if path.read_bytes()[BODY : BODY + 4] != bytes(4)]
    content = bytearray(segment.read_bytes())
    length = int.from_bytes(content[BODY : BODY + 4], "little")
    content[BODY + length + 100] ^= 0xFF
    segment.write_bytes(content)
    done = command.run("spool", "export", left)
    assert done.returncode == 1 and f"{segment.name}: {length} bytes are damaged" in done.stderr, done.stderr
    assert [row["lead_id"] for row in lines(done.stdout)] == [f"lead-{i}" for i in range(COUNT) if i != 1]


def test_a_record_that_was_finished_and_is_wiped_is_damage(left: Path) -> None:
    (segment,) = [path for path in left.glob("*.segment") if path.read_bytes()[BODY : BODY + 4] != bytes(4)]
    content = bytearray(segment.read_bytes())
    place = BODY
    for _ in range(COUNT - 1):
        place += int.from_bytes(content[place : place + 4], "little")
    length = int.from_bytes(content[place : place + 4], "little")
    content[place : place + 4] = bytes(4)
    segment.write_bytes(content)
    done = command.run("spool", "export", left)
    # The file says how far it was written, so this is no record that the process died in.
    assert done.returncode == 1 and f"{segment.name}: {length} bytes are damaged" in done.stderr, done.stderr
    assert len(lines(done.stdout)) == COUNT - 1


def test_a_record_that_its_process_died_in_is_no_damage(left: Path) -> None:
    (segment,) = [path for path in left.glob("*.segment") if path.read_bytes()[BODY : BODY + 4] != bytes(4)]
    content = bytearray(segment.read_bytes())
    place = BODY
    while length := int.from_bytes(content[place : place + 4], "little"):
        place += length
    # All of a record but its length, which is written last.
    content[place + 4 : place + 100] = b"x" * 96
    segment.write_bytes(content)
    done = command.run("spool", "export", left)
    assert done.returncode == 0 and "is not finished" in done.stderr, done.stderr
    assert len(lines(done.stdout)) == COUNT


def test_records_of_a_model_that_is_not_known_keep_their_numbers(left: Path) -> None:
    known = export(left)
    for path in (left / "models").iterdir():
        path.unlink()
    done = command.run("spool", "export", left)
    assert done.returncode == 0 and f"{COUNT} records are of a model" in done.stderr
    rows = lines(done.stdout)
    for row, other in zip(rows, known, strict=True):
        assert row["record_id"] == other["record_id"] and row["prediction"] == other["prediction"]
        assert [row[f"column_{i}"] for i in range(50)] == [other[name] for name in NAMES]


def test_a_running_server_is_not_disturbed_and_its_disk_only_read(server: Start, tmp_path: Path) -> None:
    # So small that segments are used again all the time.
    running = server(DEMO, settings={"RECORDS__ROLL_SECONDS": 0.1, "RECORDS__SPOOL_BYTES": 1 << 20})
    spool = tmp_path / "data" / "spool"
    seen: dict[str, Any] = {}
    scored = 0
    for seed in range(8):
        scored += len(score_all(running, leads(400, seed), 2))
        done = command.run("spool", "export", spool)
        assert done.returncode == 0, done.stderr
        for row in lines(done.stdout):
            assert seen.setdefault(row["record_id"], row) == row
            assert math.isfinite(row["prediction"])
    delivered = 'quintile_records_delivered_total{sink="parquet"}'
    until(lambda: running.metrics()[delivered] == scored, "all are delivered")
    assert not export(spool, "--sink", "parquet")
    running.stop()


def test_a_spool_that_may_not_be_written_is_read(left: Path) -> None:
    if os.geteuid() == 0:
        done = subprocess.run(["mount", "--bind", "-o", "ro", str(left), str(left)], capture_output=True, check=False)
        remount = ["mount", "-o", "remount,bind,ro", str(left)]
        if done.returncode or subprocess.run(remount, capture_output=True, check=False).returncode:
            pytest.skip("NOT CHECKED: this user may not mount a folder for reading only")
    else:
        for path in left.glob("*.segment"):
            path.chmod(0o444)
    try:
        assert len(export(left)) == COUNT
    finally:
        if os.geteuid() == 0:
            subprocess.run(["umount", "-l", str(left)], check=True)
