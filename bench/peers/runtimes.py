"""Both runtimes beside each other: requests a second, latencies and CPU time a request by number of connections.

    python3 bench/peers/runtimes.py [--rounds 2] [--seconds 2] [--connections 1,8,64,1000] [--rate 20000]

One shard on CPU 0, the load generator on CPU 1, rounds interleaved, every answer checked. CPU time is that of the whole
server process, from /proc, over the requests it answered meanwhile.
"""

import argparse
import os
import statistics
import subprocess
import sys
from typing import Any

from run import SERVER_CPU, bench, milliseconds, prepare, wrong
from servers import FOLDER, TARGET, NotStarted, Running

BACKENDS = {"epoll": "quintile", "glommio": "quintile-glommio"}


def cpu_seconds(process: int) -> float:
    with open(f"/proc/{process}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def once(running: Running, label: str, connections: int, seconds: float, *words: str) -> dict[str, Any]:
    before = cpu_seconds(running.process.pid)
    words = ("--connections", str(connections), "--time", f"{seconds}s", "--warmup", "300ms", *words)
    report = bench(running, label, *words)
    used = cpu_seconds(running.process.pid) - before
    return report | {"cpu_us": 1e6 * used / max(1, report["right"] + report["warmup"])}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--connections", default="1,8,64,1000")
    parser.add_argument("--rate", type=int, default=20_000)
    parser.add_argument("--built", action="store_true", help="build nothing before")
    arguments = parser.parse_args()
    if not arguments.built:
        prepare(["quintile"])
    counts = [int(count) for count in arguments.connections.split(",")]
    found: dict[tuple[str, int], list[tuple[dict[str, Any], dict[str, Any]]]] = {}
    for turn in range(arguments.rounds):
        for backend, peer in BACKENDS.items():
            try:
                with Running(peer, SERVER_CPU) as running:
                    for count in counts:
                        full = once(running, f"runtime-{backend}-{count}-full-{turn}", count, arguments.seconds)
                        rate = ("--rate", str(arguments.rate))
                        held = once(running, f"runtime-{backend}-{count}-rate-{turn}", count, arguments.seconds, *rate)
                        found.setdefault((backend, count), []).append((full, held))
            except NotStarted as reason:
                print(f"{backend}: void: {reason}", file=sys.stderr)
    heads = [
        "connections",
        "runtime",
        "requests/s, closed loop",
        "CPU a request",
        f"p50 at {arguments.rate:,}/s",
        "p99",
    ]
    heads += ["p99.9", "CPU a request", "wrong or unfinished"]
    print("| " + " | ".join(heads) + " |\n" + "|---" * len(heads) + "|")
    for count in counts:
        for backend in BACKENDS:
            if not (runs := found.get((backend, count))):
                continue

            def middle(which: int, value: Any, runs: list[Any] = runs) -> float:
                return statistics.median(value(run[which]) for run in runs)

            cells = [f"{middle(0, lambda r: r['rate']):,.0f}", f"{middle(0, lambda r: r['cpu_us']):.2f} µs"]
            cells += [milliseconds(middle(1, lambda r, q=q: r["latency"][q])) for q in ("p50", "p99", "p999")]
            cells += [f"{middle(1, lambda r: r['cpu_us']):.2f} µs", str(sum(wrong(r) for run in runs for r in run))]
            print(f"| {count:,} | {backend} | " + " | ".join(cells) + " |")
    last = arguments.rounds - 1
    reports = [FOLDER / f"runtime-{backend}-64-rate-{last}.json" for backend in BACKENDS]
    if all(report.exists() for report in reports):
        svg = FOLDER / "runtimes.svg"
        words = [TARGET / "release/quintile-bench", "plot", *reports, "--svg", svg, "--title"]
        words += [f"{arguments.rate:,} requests/s, 64 connections"]
        subprocess.run([str(word) for word in words], check=True)
        print(f"\nplot: {svg}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
