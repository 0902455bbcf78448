"""What each Fargate task size serves: the server in a cgroup with the size's CPU quota and memory limit.

    perf/task-sizes [--sizes 0.25,0.5,1,2] [--sinks none,parquet] [--p99 10ms] [--seconds 2]

For each size it searches the highest rate whose p99 stays under the limit, holds 80 % of it, and says how often the
quota throttled the server meanwhile. The server is on CPU 0 and the load generator on CPU 1; a size of more than one
vCPU takes both, so its figure is a lower bound on this machine. Prices come from perf/prices.json.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from run import CLIENT_CPU, prepare
from servers import FOLDER, ROOT, TARGET, Running

CGROUPS = Path("/sys/fs/cgroup")
PERIOD_US = 100_000  # what Docker and Fargate use
MEMORY_GIB = {0.25: 0.5, 0.5: 1, 1: 2, 2: 4}  # the smallest that Fargate gives with so many vCPUs
HELD_SHARE = 0.8


class Group:
    """A cgroup with a quota, of whichever version the machine has; gone at the end."""

    def __init__(self, vcpus: float, memory_gib: float) -> None:
        name = f"quintile-{os.getpid()}"
        quota, memory = str(int(vcpus * PERIOD_US)), str(int(memory_gib * 2**30))
        if (CGROUPS / "cgroup.controllers").exists():
            self.folders = [CGROUPS / name]
            limits = {"cpu.max": f"{quota} {PERIOD_US}", "memory.max": memory}
        else:
            self.folders = [CGROUPS / "cpu" / name, CGROUPS / "memory" / name]
            limits = {"cpu.cfs_period_us": str(PERIOD_US), "cpu.cfs_quota_us": quota, "memory.limit_in_bytes": memory}
        for folder in self.folders:
            folder.mkdir()
            for file, value in limits.items():
                if (folder / file).exists():
                    (folder / file).write_text(value)

    def add(self, process: int) -> None:
        for folder in self.folders:
            (folder / "cgroup.procs").write_text(str(process))

    def throttled(self) -> tuple[int, int]:
        """Periods so far, and how many of them ended with the quota used up."""
        lines = (self.folders[0] / "cpu.stat").read_text().split("\n")
        counts = {key: int(value) for key, value in (line.split() for line in lines if line)}
        return counts["nr_periods"], counts["nr_throttled"]

    def remove(self) -> None:
        for folder in self.folders:
            folder.rmdir()


def load(url: str, words: list[str], report: Path) -> dict[str, Any]:
    report.unlink(missing_ok=True)
    command = ["taskset", "-c", CLIENT_CPU, TARGET / "release/quintile-bench", *words[:1], url, *words[1:]]
    done = subprocess.run([str(word) for word in [*command, "--json", report]], capture_output=True, text=True)
    if not report.exists():
        raise SystemExit(done.stderr)
    return json.loads(report.read_text())


def measure(vcpus: float, sink: str, p99: str, seconds: float) -> dict[str, Any]:
    group = Group(vcpus, MEMORY_GIB[vcpus])
    data = FOLDER / "task-data"
    try:
        # Inside the group from its first instruction on: the server looks at the quota when it starts.
        own = os.getpid()
        group.add(own)
        cpus = 0 if vcpus <= 1 else "0,1"
        try:
            running = Running("quintile-auto", cpus, "--sink", sink, "--data-dir", str(data))
        finally:
            for folder in group.folders:
                (folder.parent / "cgroup.procs").write_text(str(own))
        with running:
            common = ["--model", str(running.peer.load[1]), "--warmup", "500ms", "--pacing", "timer"]
            common += ["--time", f"{seconds}s"]
            search = ["search", *common, "--p99", p99, "--from", "500", "--resolution", "0.05"]
            best = load(running.url, search, FOLDER / "task-search.json")["search"]["best"]
            if best is None:
                return {"vcpus": vcpus, "sink": sink, "best": None}
            before = group.throttled()
            hold = ["run", *common, "--rate", f"{HELD_SHARE * best:.0f}"]
            held = load(running.url, hold, FOLDER / f"task-{vcpus}-{sink}.json")
            after = group.throttled()
            periods = max(1, after[0] - before[0])
            return {
                "vcpus": vcpus,
                "sink": sink,
                "best": best,
                "held": held["latency"],
                "throttled": (after[1] - before[1]) / periods,
                "memory": running.memory_kib(),
                "start_s": running.start_s,
            }
    finally:
        group.remove()


def dollars(prices: dict[str, Any], vcpus: float, rate: float) -> float:
    """Of 10^9 scores at the held rate."""
    hour = vcpus * prices["vcpu_hour"] + MEMORY_GIB[vcpus] * prices["gib_hour"]
    return hour / (HELD_SHARE * rate * 3600) * 1e9


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="0.25,0.5,1,2")
    parser.add_argument("--sinks", default="none,parquet")
    parser.add_argument("--p99", default="10ms")
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--built", action="store_true", help="build nothing before")
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        parser.error("making cgroups needs root")
    if not arguments.built:
        prepare(["quintile"])
    prices = json.loads((ROOT / "perf/prices.json").read_text())
    heads = ["vCPU", "GiB", "sink", f"requests/s, p99 < {arguments.p99}", "at 80 % of it: p50", "p99", "p99.9"]
    heads += ["periods throttled", "RssAnon", "$ a billion, x86", "$ a billion, arm64"]
    print("| " + " | ".join(heads) + " |\n" + "|---" * len(heads) + "|", flush=True)
    for size in arguments.sizes.split(","):
        for sink in arguments.sinks.split(","):
            found = measure(float(size), sink, arguments.p99, arguments.seconds)
            head = f"| {size} | {MEMORY_GIB[float(size)]:g} | {sink} "
            if found["best"] is None:
                print(head + "| none" + " |" * 8, flush=True)
                continue
            held = [f"{found['held'][q] / 1e6:.2f} ms" for q in ("p50", "p99", "p999")]
            cost = [f"{dollars(prices[kind], float(size), found['best']):.2f}" for kind in ("x86_64", "arm64")]
            cells = [f"{found['best']:,.0f}", *held, f"{found['throttled']:.0%}"]
            cells += [f"{found['memory']['RssAnon'] / 1024:.1f} MiB", *cost]
            print(head + "| " + " | ".join(cells) + " |", flush=True)
    print(f"\nprices: {prices['what']}, {prices['date']}; the arm64 column assumes the x86 figure")
    return 0


if __name__ == "__main__":
    sys.exit(main())
