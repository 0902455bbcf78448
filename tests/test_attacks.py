"""Two attacks of `faults/attack.py`, in a memory cgroup where that is allowed. `cargo xtask test --all` runs all."""

import subprocess
import sys
from pathlib import Path

import pytest

import command
from conftest import Note

KIT = Path(__file__).resolve().parents[1] / "faults" / "attack.py"
HANGS_S = 900


@pytest.mark.parametrize("attack", ["600 bodies without an end", "400 slow readers of a page"])
def test_an_attack_ends_no_server_and_shuts_nobody_out(attack: str, note: Note) -> None:
    words = [sys.executable, KIT, "--binary", command.binary(), "--limit", 128, "--attack", attack]
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=HANGS_S, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    lines = done.stdout.splitlines()
    if any(line.startswith("SKIPPED") for line in lines):
        note(f"NOT CHECKED: {lines[-1]}")
        return
    assert any(line.startswith("held: ") for line in lines), done.stdout
