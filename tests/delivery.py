"""What the tests of sinks share: leads for the demo model, and waiting for what happens on its own time."""

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from serving import Features, Server, score_all
from stand_in import CREDENTIALS

DEMO = Path(__file__).resolve().parents[1] / "engine" / "demo" / "demo.ubj"
NAMES = [f"f{i}" for i in range(1, 51)]
PATIENCE_S = 60


def leads(count: int, seed: int = 0) -> list[Features]:
    """Numbers of every size, a fifth of them missing."""
    generator = np.random.default_rng(seed)
    values = generator.normal(scale=10.0 ** generator.integers(-3, 4, (count, 50)), size=(count, 50))
    missing = generator.random((count, 50)) < 0.2
    rows = np.where(missing, np.nan, values).tolist()
    return [{name: value for name, value in zip(NAMES, row, strict=True) if value == value} for row in rows]


def answered(running: Server, count: int, connections: int = 4, seed: int = 0) -> dict[str, dict[str, Any]]:
    """Scores leads; the answers by request id."""
    answers = score_all(running, leads(count, seed), connections)
    return {answer["request_id"]: answer for answer in answers}


def until(condition: Callable[[], object], what: str) -> None:
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, f"not within {PATIENCE_S} s: {what}"
        time.sleep(0.02)


def assert_delivered(rows: Iterable[dict[str, Any]], answers: dict[str, dict[str, Any]], duplicates: int = 0) -> None:
    """Every answer is in a row with the same numbers; rows that are there twice are the same row, known by its id."""
    by_record: dict[str, dict[str, Any]] = {}
    seen = 0
    for row in rows:
        seen += 1
        assert by_record.setdefault(row["record_id"], row) == row, "two records with one id"
    by_request = {row["request_id"]: row for row in by_record.values()}
    assert len(by_request) == len(by_record), "a lead was recorded twice under two ids"
    assert by_request.keys() == answers.keys()
    assert seen - len(by_record) <= duplicates, f"{seen - len(by_record)} duplicates"
    for request, answer in answers.items():
        row = by_request[request]
        assert (row["lead_id"], row["score"]) == (answer["lead_id"], answer["score"])
        assert row["prediction"] == answer["probability"], "not the same double"


def assert_no_secrets(running: Server) -> None:
    text = "\n".join(running.log)
    assert not [name for name, value in CREDENTIALS.items() if value in text]
