"""Scores a Parquet file of many rows with `quintile score` and with XGBoost, and compares what they take and answer.

    python bench/rows/run.py target/release/quintile 10_000_000 --folder /tmp/rows

makes the file (29 MB a million rows; synthetic leads, 50 features, a million rows a seed), scores it in turns with
both, each in a process of its own, prints seconds and peak memory of each, and fails when a margin differs in one bit.
Needs numpy, pandas, pyarrow and xgboost, as tests/requirements.txt pins them.

`--step make`, `quintile`, `xgboost` or `compare` does one of these alone, for machines that must be quiet meanwhile.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "engine" / "demo" / "demo.ubj"
CHUNK = 1_000_000


def make(rows: int, path: Path) -> None:
    """One row group for each seed: the memory for one is enough."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sys.path.insert(0, str(ROOT / "engine" / "demo"))
    import leads

    names = [f"f{number}" for number in range(1, 51)]
    schema = pa.schema([(name, pa.float64()) for name in names])
    with pq.ParquetWriter(path, schema, compression="snappy") as writer:
        for seed in range(-(-rows // CHUNK)):
            count = min(CHUNK, rows - seed * CHUNK)
            values, _ = leads.population(CHUNK, seed)
            # NaN stays NaN: pandas writes it as null, and both are missing to both readers.
            columns = [pa.array(values[:count, column], from_pandas=True) for column in range(len(names))]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))


def timed(words: list[str]) -> str:
    """Runs a command: seconds and the most memory it held."""
    start = time.perf_counter()
    process = subprocess.Popen(words)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    if status:
        sys.exit(f"{words[0]} ended with status {status}")
    cpu = usage.ru_utime + usage.ru_stime
    return f"{seconds:7.2f} s wall {cpu:8.2f} s CPU {usage.ru_maxrss / 1e3:9.1f} MB"


def predict(rows: Path, out: Path, threads: int) -> None:
    """What a user of the Python package does, and what of it is prediction."""
    import pandas as pd
    import xgboost as xgb

    booster = xgb.Booster({"nthread": threads}, model_file=MODEL)
    marks = [time.perf_counter()]
    frame = pd.read_parquet(rows)
    marks.append(time.perf_counter())
    data = xgb.DMatrix(frame, nthread=threads)
    marks.append(time.perf_counter())
    margins = booster.predict(data, output_margin=True)
    marks.append(time.perf_counter())
    np.save(out, margins)
    read, matrix, predicted = np.diff(marks)
    print(
        f"  xgboost {xgb.__version__}: read {read:.2f} s, DMatrix {matrix:.2f} s, predict {predicted:.2f} s", flush=True
    )


def compare(mine: Path, theirs: Path) -> None:
    import pyarrow.parquet as pq

    answers, expected = pq.read_table(mine), np.load(theirs)
    margins = answers["margin"].to_numpy().astype(np.float32)
    if not np.array_equal(margins.view(np.uint32), expected.view(np.uint32)):
        sys.exit("the margins differ")
    print(f"{len(margins):,} margins, all the same bits")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("quintile", type=Path)
    parser.add_argument("rows", type=int)
    parser.add_argument("--folder", type=Path, default=Path("/tmp/quintile-rows"))  # nosec B108: on one's own machine
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--step", choices=["make", "quintile", "xgboost", "compare", "predict"])
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    rows, mine, theirs = (given.folder / name for name in ("rows.parquet", "quintile.parquet", "xgboost.npy"))
    threads = str(given.threads)
    commands = {
        "quintile": [
            *(str(given.quintile), "score", "--output", "margin"),
            *("--threads", threads, str(rows), "--out", str(mine)),
        ],
        "xgboost": [sys.executable, __file__, *sys.argv[1:], "--step", "predict"],
    }
    if given.step == "predict":
        return predict(rows, theirs, given.threads)
    if given.step in (None, "make"):
        make(given.rows, rows)
        print(f"{rows}: {given.rows:,} rows, {rows.stat().st_size / 1e6:,.0f} MB", flush=True)
    for _ in range(given.rounds if given.step is None else 1):
        for name, command in commands.items():
            if given.step in (None, name):
                print(f"{name:9}{timed(command)}", flush=True)
    if given.step in (None, "compare"):
        compare(mine, theirs)


if __name__ == "__main__":
    main()
