"""Every fault beside the checkout: a script each, which makes the fault and says whether the server's promise held."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import cases
import command
from conftest import Note

FAULTS = cases.CASES / "faults"
TIMEOUT_S = 180

# Faults under which this build is known to break a promise. Strict: one that holds must leave this list.
BROKEN: frozenset[str] = frozenset()


def found() -> list[str]:
    return sorted(script.parent.name for script in FAULTS.glob("*/repro.py"))


def parameters() -> list[object]:
    broken = pytest.mark.xfail(reason="does not hold yet", strict=True, raises=AssertionError)
    return [pytest.param(name, marks=broken if name in BROKEN else ()) for name in found()]


@pytest.mark.parametrize("name", parameters())
def test_a_fault_breaks_no_promise(name: str, tmp_path: Path, note: Note) -> None:
    done = subprocess.run(
        [sys.executable, FAULTS / name / "repro.py", command.binary()],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=TIMEOUT_S,
        check=False,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    said = done.stdout.strip()
    if said.startswith("skipped"):
        note(f"NOT CHECKED: the fault {name} was {said}")
        pytest.skip(said)
    assert said.startswith(("holds: ", "FAILS: ")), f"the script itself failed:\n{said}\n{done.stderr[-2000:]}"
    assert done.returncode == 0, said


def test_every_broken_fault_is_there() -> None:
    """A name that is misspelt here would hide nothing and look as if it did."""
    if not found():
        pytest.skip(f"{FAULTS} is absent")
    assert set(found()) >= BROKEN
