"""A short run of the fault kit, which `cargo xtask faults` runs for as long as is asked. See docs/faults.md."""

import subprocess
import sys
from pathlib import Path

import command
from conftest import Note

KIT = Path(__file__).resolve().parents[1] / "faults" / "run.py"
SEED = 2026
# One of each scenario: as many as a test run has time for.
ROUNDS = 7
HANGS_S = 1800


def test_answered_is_recorded_or_told_under_faults(note: Note) -> None:
    words = [sys.executable, KIT, "--binary", command.binary(), "--seed", SEED, "--rounds", ROUNDS]
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=HANGS_S, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    lines = done.stdout.splitlines()
    assert sum(line.startswith("held: ") for line in lines) == ROUNDS, done.stdout
    for line in lines:
        if "SKIPPED" in line:
            note(f"NOT CHECKED: {line}")
    note(f"faults: {lines[-1]}")
