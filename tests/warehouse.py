"""Files of records, and the programs that carry them to Snowflake and back."""

import os
import re
import subprocess
import sys
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "connect" / "snowflake"
DEMO = ROOT / "engine" / "demo" / "demo.ubj"
CATEGORIES = ROOT / "model" / "tests" / "fixtures" / "category-names.ubj"
OUTPUTS = ROOT / "model" / "tests" / "fixtures" / "vector-softprob.json"
TIMEOUT_S = 120

TEXT = ("record_id", "lead_id", "request_id", "model", "model_version")
EMPTY_TEXT = ("source_reason", "role", "protocol", "model_sha256", "reasons", "features_from")
DEMO_FEATURES = [f"f{number}" for number in range(1, 51)]


def program(
    words: Sequence[object], environment: Mapping[str, str], background: bool = False
) -> subprocess.Popen[str] | subprocess.CompletedProcess[str]:
    """`quintile-snowflake` of this checkout."""
    command = [sys.executable, "-m", "quintile_snowflake", *map(str, words)]
    options: dict[str, Any] = {
        "env": {**environment, "PYTHONPATH": str(PACKAGE / "src")},
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
        "text": True,
    }
    if background:
        return subprocess.Popen(command, **options)
    return subprocess.run(command, timeout=TIMEOUT_S, check=False, **options)


def run(environment: Mapping[str, str], *words: object) -> subprocess.CompletedProcess[str]:
    done = program(words, environment)
    assert isinstance(done, subprocess.CompletedProcess)
    return done


def start(environment: Mapping[str, str], *words: object) -> subprocess.Popen[str]:
    process = program(words, environment, background=True)
    assert isinstance(process, subprocess.Popen)
    return process


def summary(done: subprocess.CompletedProcess[str]) -> tuple[int, int, int, int]:
    """Files, records, new records and refused files, as the last line says."""
    found = re.findall(r"(\d+) files with (\d+) records: (\d+) are new in \w+; (\d+) files were refused", done.stderr)
    assert found, done.stderr
    files, records, new, refused = map(int, found[-1])
    return files, records, new, refused


def ids(count: int, first: int = 0) -> list[str]:
    """Unique and in order, as the server's."""
    return [str(uuid.UUID(int=(0x7 << 76) | (0x2 << 62) | number)) for number in range(first, first + count)]


def records(identifiers: Sequence[str]) -> pa.Table:
    """Records as the server's sinks write them; `test_made_records_have_the_servers_columns` holds them to that."""
    rows = len(identifiers)
    text = {name: pa.array([f"{name}-{row}" for row in range(rows)], pa.string()) for name in TEXT}
    text["record_id"] = pa.array(identifiers, pa.string())
    numbers = {name: pa.array([row / 7 for row in range(rows)], pa.float64()) for name in DEMO_FEATURES}
    columns: dict[str, pa.Array] = {
        "record_id": text["record_id"],
        "time": pa.array([1_764_000_000_000_000 + row for row in range(rows)], pa.timestamp("us", "UTC")),
        **{name: text[name] for name in TEXT[1:]},
        "margin": pa.array([row / 3 for row in range(rows)], pa.float64()),
        "prediction": pa.array([row / rows for row in range(rows)], pa.float64()),
        "score": pa.array([row % 5 + 1 for row in range(rows)], pa.int8()),
        "latency_us": pa.array([1.5] * rows, pa.float64()),
        "shard": pa.array([0] * rows, pa.uint16()),
        "source": pa.array(["local"] * rows, pa.string()),
        **{name: pa.nulls(rows, pa.string()) for name in EMPTY_TEXT},
        **numbers,
    }
    required = {*TEXT, "time", "prediction", "latency_us", "shard"}
    schema = pa.schema([pa.field(name, values.type, name not in required) for name, values in columns.items()])
    return pa.table(list(columns.values()), schema=schema)


def write(folder: Path, table: pa.Table, hour: int = 3, name: str | None = None) -> Path:
    """As the sink does: under another name first."""
    place = folder / "date=2025-11-24" / f"hour={hour:02}"
    place.mkdir(parents=True, exist_ok=True)
    path = place / (name or f"20251124T{hour:02}0000000000Z-{table['record_id'][0].as_py()}.parquet")
    temporary = folder.parent / f"{folder.name}-tmp-{os.getpid()}"
    pq.write_table(table, temporary, compression="zstd")
    temporary.replace(path)
    return path
