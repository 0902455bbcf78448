"""`kill -9` in the middle of a load: the next run brings every record into the table, each once."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from warehouse import ids, records, run, start, summary, write
from warehouse_stand_in import Warehouse

# A figure for the documents is made with 1000000; a run of all tests takes fewer.
RECORDS = int(os.environ.get("WAREHOUSE_RECORDS", "12000"))
FILE_RECORDS = RECORDS // 40

PLACES = [
    ("PUT", "before", False),
    ("COPY INTO", "after", False),
    ("MERGE", "before", False),
    ("MERGE", "before", True),
    ("MERGE", "after", True),
    ("INSERT INTO", "before", False),
    ("INSERT INTO", "after", False),
    ("DROP", "before", False),
]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    with Warehouse(tmp_path_factory.mktemp("kill") / "snowflake") as running:
        yield running


@pytest.fixture
def warehouse(shared: Warehouse) -> Warehouse:
    shared.reset()
    shared.create_scores()
    return shared


@pytest.mark.parametrize(("statement", "when", "late"), PLACES)
def test_killed_at_a_statement(warehouse: Warehouse, statement: str, when: str, late: bool, tmp_path: Path) -> None:
    """What the dead program had sent may still happen: before the next run, or only after it (`late`)."""
    folder = tmp_path / "scores"
    known = ids(60)
    for part in range(6):
        write(folder, records(known[part * 10 : part * 10 + 10]), hour=part)
    warehouse.fault(statement, hold=when)
    process = start(warehouse.environment(), "load", folder, "--batch-files", "2")
    warehouse.wait_held(process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    if not late:
        warehouse.release()
    done = run(warehouse.environment(), "load", folder, "--batch-files", "2")
    assert done.returncode == 0, done.stderr
    if late:
        warehouse.release()
        time.sleep(0.3)
    assert warehouse.ids() == known
    noted = warehouse.execute("SELECT COUNT(DISTINCT NAME) FROM SCORES_FILES")
    assert noted[0][0] == 6, "and every file is noted"


def test_killed_again_and_again(warehouse: Warehouse, tmp_path: Path) -> None:
    folder = tmp_path / "scores"
    known = ids(RECORDS)
    for number, first in enumerate(range(0, RECORDS, FILE_RECORDS)):
        write(folder, records(known[first : first + FILE_RECORDS]), hour=number % 24)
    # A crash of the server leaves the records of a complete file in another one too.
    write(folder, records(known[FILE_RECORDS // 2 : FILE_RECORDS * 3 // 2]), hour=5, name="again.parquet")
    words = ["load", folder, "--batch-files", "4"]
    for statement in ("COPY INTO", "MERGE", "INSERT INTO", "DROP"):
        # One batch goes through, and the next one is hit.
        warehouse.fault(statement, hold="after", skip=1)
        process = start(warehouse.environment(), *words)
        warehouse.wait_held(process)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        warehouse.release()
    stood = len(warehouse.ids())
    # The batches that were noted, and the one whose MERGE was done when its program died.
    assert stood == len(set(warehouse.ids())) and 0 < stood < RECORDS
    began = time.monotonic()
    done = run(warehouse.environment(), *words)
    assert done.returncode == 0, done.stderr
    print(
        f"{RECORDS} records, {FILE_RECORDS} a file; the last run took {time.monotonic() - began:.1f} s", summary(done)
    )
    assert summary(done)[2] == RECORDS - stood, "the runs before brought some, and this one the rest"
    assert warehouse.ids() == known
