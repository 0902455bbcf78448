"""Runs the program under faults, one scenario after another, until the time is over: `cargo xtask faults` calls it.

What is done and what must hold stands in docs/faults.md. Each round has a number of its own, of which everything random
in it is made; a round that fails prints the command that repeats it.
"""

import argparse
import ctypes
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from contextlib import suppress
from pathlib import Path

from process import Difference
from scenarios import SCENARIOS, Scene, Skipped

IO_URING_SETUP = 425  # the same number on x86-64 and aarch64


def runtimes() -> list[str]:
    """Those that this machine allows."""
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = libc.syscall(IO_URING_SETUP, 4, ctypes.create_string_buffer(120))
    if descriptor < 0:
        return ["epoll"]
    os.close(descriptor)
    return ["epoll", "glommio"]


def end_all(folder: Path) -> None:
    """Ends what a round that failed has left running: processes whose command names its folder."""
    for entry in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            if os.fsencode(folder) in (entry / "cmdline").read_bytes():
                os.kill(int(entry.name), signal.SIGKILL)


def play(binary: Path, seed: int, only: str | None, among: list[str]) -> tuple[str, str, bool]:
    """One round: the scenario's name, a line about it, and whether it held."""
    chance = random.Random(seed)
    # One after another, so that as many rounds as there are scenarios have each of them.
    named = [scenario for scenario in SCENARIOS if scenario.__name__ == only]
    scenario, runtime = named[0] if named else SCENARIOS[seed % len(SCENARIOS)], chance.choice(among)
    folder = Path(tempfile.mkdtemp(prefix="quintile-faults-"))
    try:
        line = scenario(Scene(binary, folder, runtime, chance))
        return scenario.__name__, f"{runtime}, {line}", True
    except Skipped as skipped:
        return scenario.__name__, f"SKIPPED: {skipped}".upper(), True
    except Difference as difference:
        return scenario.__name__, f"{runtime}, {difference}", False
    except Exception:
        return scenario.__name__, f"{runtime}, the kit itself failed: {traceback.format_exc()}", False
    finally:
        end_all(folder)
        shutil.rmtree(folder, ignore_errors=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--seconds", type=float, default=None, help="no round begins later")
    parser.add_argument("--rounds", type=int, default=None)
    parser.add_argument("--scenario", choices=[scenario.__name__ for scenario in SCENARIOS])
    asked = parser.parse_args()
    first = asked.seed if asked.seed is not None else random.SystemRandom().randrange(1 << 31)
    until = time.monotonic() + asked.seconds if asked.seconds is not None else None
    rounds = asked.rounds if asked.rounds is not None else (1 if until is None else 1 << 31)
    among, counts, failures = runtimes(), Counter(), 0
    print(f"faults: {asked.binary}, seed {first}, runtimes {' and '.join(among)}", flush=True)
    for number in range(rounds):
        if until is not None and time.monotonic() >= until:
            break
        name, line, held = play(asked.binary.resolve(), first + number, asked.scenario, among)
        counts[f"{name}{' skipped' if line.startswith('SKIPPED') else ''}"] += 1
        print(f"{'held' if held else 'FAILS'}: {first + number} {name}: {line}", flush=True)
        if not held:
            failures += 1
            only = f" --scenario {name}" if asked.scenario else ""
            print(f"  again: cargo xtask faults --seed {first + number} --rounds 1{only}", flush=True)
    print(f"{sum(counts.values())} rounds, {failures} failed: {dict(counts)}", flush=True)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
