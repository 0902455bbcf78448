"""The `quintile` command line, as a test calls it."""

import csv
import io
import os
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

TIMEOUT_S = 60


def binary() -> Path:
    """The program under test; without it nothing here means anything, so its absence is a failure, not a skip."""
    path = os.environ.get("QUINTILE_BIN")
    assert path, "QUINTILE_BIN is not set: run `cargo xtask test`, or point it at a built quintile"
    assert Path(path).is_file(), f"QUINTILE_BIN={path}: no such file"
    return Path(path).resolve()


def run(*arguments: object, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    words = [str(binary()), *map(str, arguments)]
    all_of_it = {**os.environ, **(environment or {})}
    return subprocess.run(
        words, capture_output=True, text=True, errors="replace", timeout=TIMEOUT_S, check=False, env=all_of_it
    )


def score(model: Path, rows: Path, output: str = "margin", **options: str) -> NDArray[np.float64]:
    """What `quintile score` prints: one line a row, one column an output. Checks the header and the number format."""
    flags = [word for name, value in options.items() for word in (f"--{name}", value)]
    done = run("score", "--model", model, "--output", output, *flags, rows)
    assert done.returncode == 0, f"exit {done.returncode}\n{done.stderr}"
    header, *lines = list(csv.reader(io.StringIO(done.stdout)))
    assert header in ([output], [f"{output}_{i}" for i in range(len(header))]), f"header {header}"
    return np.array([[float(cell) for cell in line] for line in lines]).reshape(len(lines), len(header))


def refusal(*arguments: str | Path) -> str:
    """Runs a command that must be refused: an error of at most a screen, by choice and not by a crash."""
    done = run(*arguments)
    assert done.returncode > 0, f"exit {done.returncode}, expected a refusal\n{done.stdout[:500]}\n{done.stderr[:2000]}"
    assert "panicked" not in done.stderr and done.returncode != 101, f"a panic:\n{done.stderr[:2000]}"
    assert done.stderr.strip(), "refused without a word on stderr"
    assert len(done.stderr) <= 2000 and done.stderr.count("\n") <= 24, f"more than a screen:\n{done.stderr[:4000]}"
    return done.stderr


def write_rows(path: Path, names: Sequence[str], rows: Iterable[Iterable[float]]) -> Path:
    """Writes rows so that every number reads back as the same double; both spellings of missing are used."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        for number, row in enumerate(rows):
            missing = "nan" if number % 2 else ""
            writer.writerow([missing if value != value else repr(float(value)) for value in row])
    return path
