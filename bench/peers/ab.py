"""Compares two commits on this machine: both are built, and their servers run in turns.

    perf/ab BEFORE [AFTER] [--rounds 8] [--seconds 2] [--rate 20000] [--arguments "--runtime glommio"]

AFTER is the working tree if it is not given. Each round measures both, the first one taking turns too: requests a
second in a closed loop of 64 connections, and latencies at a fixed rate. Every answer is checked. Printed are the
medians, and of the rounds' ratios the median and the interval that holds the true median in 95 of 100 cases: when it
has 1 in it, nothing was shown. The commits are built into the target folder, so your own
release build is to be made again.
"""

import argparse
import hashlib
import math
import os
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from run import SERVER_CPU, Report, bench, prepare, wrong
from servers import FOLDER, ROOT, TARGET, Running

ENOUGH = 6  # rounds: fewer have no interval of 95 %


def git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


def build(folder: Path, binary: Path) -> Path:
    command = ["cargo", "build", "--release", "--locked", "--package", "quintile", "--bin", "quintile"]
    subprocess.run([*command, "--target-dir", str(TARGET)], cwd=folder, check=True)
    binary.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(TARGET / "release/quintile", binary)
    return binary


def commit_binary(commit: str) -> Path:
    """Built as that commit says: outside of the repository, whose own `.cargo/config.toml` would count otherwise."""
    sha = git("rev-parse", "--short=12", "--verify", f"{commit}^{{commit}}")
    compiler = subprocess.run(["rustc", "--version"], check=True, capture_output=True, text=True).stdout
    key = hashlib.sha256(f"{compiler}{os.environ.get('RUSTFLAGS')}".encode()).hexdigest()[:8]
    binary = FOLDER / "ab" / f"{sha}-{key}" / "quintile"
    if not binary.exists():
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "source"
            git("worktree", "add", "--detach", str(source), sha)
            try:
                build(source, binary)
            finally:
                git("worktree", "remove", "--force", str(source))
    return binary


def once(binary: Path, label: str, seconds: float, rate: int, more: list[str]) -> tuple[Report, Report]:
    with Running("quintile-at", SERVER_CPU, str(binary), "--sink", "none", *more) as running:
        time = ["--time", f"{seconds}s", "--warmup", "500ms"]
        full = bench(running, f"{label}-full", "--connections", "64", *time)
        held = bench(running, f"{label}-held", "--rate", str(rate), *time)
        return full, held


def interval(ratios: list[float]) -> tuple[float, float]:
    """Around the median, by order: distribution-free, from the binomial of one half."""
    ordered, count = sorted(ratios), len(ratios)
    outside, cut = 0.0, 0
    while outside + math.comb(count, cut) / 2**count <= 0.025:
        outside += math.comb(count, cut) / 2**count
        cut += 1
    cut = max(cut - 1, 0)
    return ordered[cut], ordered[count - 1 - cut]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before")
    parser.add_argument("after", nargs="?")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--rate", type=int, default=20_000)
    parser.add_argument("--arguments", default="", help="more of them for both servers")
    options = parser.parse_args()
    if options.rounds < ENOUGH:
        parser.error(f"at least {ENOUGH} rounds: fewer have no interval")
    before = commit_binary(options.before)
    prepare(["quintile"])
    after = commit_binary(options.after) if options.after else build(ROOT, FOLDER / "ab/tree/quintile")
    binaries, more = {"before": before, "after": after}, shlex.split(options.arguments)
    found: dict[str, list[tuple[Report, Report]]] = {name: [] for name in binaries}
    for turn in range(options.rounds):
        for name in sorted(binaries, reverse=turn % 2 == 0):
            found[name].append(once(binaries[name], f"ab-{name}", options.seconds, options.rate, more))
            print(f"round {turn + 1}: {name}: {found[name][-1][0]['rate']:,.0f}/s", file=sys.stderr)

    def row(what: str, which: int, value: Any, unit: str) -> str:
        a, b = ([value(run[which]) for run in found[name]] for name in ("before", "after"))
        ratios = [y / x for x, y in zip(a, b, strict=True)]
        low, high = interval(ratios)
        cells = [f"{statistics.median(a):,.1f} {unit}", f"{statistics.median(b):,.1f} {unit}"]
        return f"| {what} | " + " | ".join(cells) + f" | {statistics.median(ratios):.3f} ({low:.3f} to {high:.3f}) |"

    print(f"| | {options.before} | {options.after or 'working tree'} | after / before |\n|---|---|---|---|")
    print(row("closed loop", 0, lambda report: report["rate"], "/s"))
    for quantile in ("p50", "p99", "p999"):
        print(row(f"{quantile} at {options.rate:,}/s", 1, lambda r, q=quantile: r["latency"][q] / 1e3, "µs"))
    bad = sum(wrong(report) for runs in found.values() for run in runs for report in run)
    print(f"\nwrong or unfinished answers: {bad}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
