"""The Parquet files that a server leaves behind: what is visible while it writes, and what is in them at the end."""

import re
import threading
import time
from pathlib import Path
from typing import Self

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

LAYOUT = re.compile(r"date=\d{4}-\d{2}-\d{2}/hour=([01]\d|2[0-3])/[^/._][^/]*\.parquet")
POLL_S = 0.01


class Watcher:
    """Looks at a folder over and over: what is seen there must be a finished file in its place, and stay as it is."""

    def __init__(self, folder: Path) -> None:
        self.faults: list[str] = []
        self._folder = folder
        self._seen: dict[Path, int] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watch-records", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._look()

    def _watch(self) -> None:
        while not self._stop.wait(POLL_S):
            self._look()

    def _look(self) -> None:
        for path in self._folder.rglob("*"):
            if not path.is_dir():
                self._judge(path)

    def _judge(self, path: Path) -> None:
        name = path.relative_to(self._folder).as_posix()
        try:
            size = path.stat().st_size
            if self._seen.setdefault(path, size) != size:
                self.faults.append(f"{name} changed its size from {self._seen[path]} to {size}")
            elif not LAYOUT.fullmatch(name):
                self.faults.append(f"{name} is not date=YYYY-MM-DD/hour=HH/*.parquet")
            elif not is_complete(path):
                self.faults.append(f"{name} was visible before it was complete")
        except FileNotFoundError:
            self.faults.append(f"{name} was there and went away")


def is_complete(path: Path) -> bool:
    """A Parquet file begins and ends with the same four bytes; the closing ones are written last."""
    with path.open("rb") as file:
        first = file.read(4)
        file.seek(-4, 2)
        return first == file.read(4) == b"PAR1"


def read(folder: Path) -> tuple[pa.Schema, pd.DataFrame]:
    """All records, each with the partition it was found in; every file must have the same columns."""
    files = sorted(folder.rglob("*.parquet"))
    assert files, f"no Parquet file under {folder}"
    tables = [pq.read_table(file, partitioning=None) for file in files]
    for file, table in zip(files, tables, strict=True):
        assert table.schema.equals(tables[0].schema), f"{file} has other columns"
        assert table.num_rows > 0, f"{file} is empty"
    frames = [table.to_pandas().assign(partition=partition(file)) for file, table in zip(files, tables, strict=True)]
    return tables[0].schema, pd.concat(frames, ignore_index=True)


def partition(file: Path) -> pd.Timestamp:
    day, hour = file.parent.parent.name.removeprefix("date="), file.parent.name.removeprefix("hour=")
    return pd.Timestamp(f"{day} {hour}:00", tz="UTC")


def now() -> pd.Timestamp:
    return pd.Timestamp(time.time(), unit="s", tz="UTC")
