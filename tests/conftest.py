"""Fixtures for all tests, and a closing section that says what a green run did not check."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from serving import Server

NOTES = pytest.StashKey[list[str]]()
PARITY = Path(__file__).resolve().parents[2] / "shared" / "parity"
DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
CASES = Path(__file__).resolve().parents[2] / "shared" / "cases"

Note = Callable[[str], None]


def pytest_configure(config: pytest.Config) -> None:
    config.stash[NOTES] = []


@pytest.fixture
def note(request: pytest.FixtureRequest) -> Note:
    """Adds a line to the closing section of the run."""
    return request.config.stash[NOTES].append


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Starts servers with their data in this test's own folder; none outlives the test."""
    started: list[Server] = []

    def start(model: Path | None, **options: Any) -> Server:
        started.append(Server(model, tmp_path / "data", **options))
        return started[-1]

    yield start
    for one in started:
        one.kill()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    notes = config.stash[NOTES]
    for folder in (PARITY, DATA, CASES):
        if not folder.is_dir():
            notes.append(f"NOT CHECKED: {folder} is absent; every test that needs it was skipped")
    if notes:
        terminalreporter.section("notes")
        for line in notes:
            terminalreporter.line(line)
