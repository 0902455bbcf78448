"""Holds a server at a rate for a long time and says whether memory, p99 and file descriptors stayed flat.

    bench/soak [--minutes 30] [--rate 20000] [--connections 64] [--sink parquet|none]

The server runs on CPU 0 and the load generator on CPU 1, on loopback; every answer is checked. Records go to Parquet
under the target folder, which is emptied at the end. Ends by itself. Exit code 1 when something grew: the last third of
the time against the second one (the first is warming up), medians by more than 5 % for memory and 25 % for p99, and for
descriptors their most by more than 2: files are opened and closed all the time, and a leak adds up.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

from run import CLIENT_CPU, SERVER_CPU, prepare, wrong
from servers import FOLDER, TARGET, Running

SAMPLES = 60
MINUTES_MAX = 24 * 60


def thirds(values: list[float], of: Callable[[list[float]], float] = statistics.median) -> tuple[float, float]:
    """One figure of the second and one of the last third."""
    third = max(1, len(values) // 3)
    return of(values[third : 2 * third] or values), of(values[-third:])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--rate", type=int, default=20_000)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--sink", choices=["parquet", "none"], default="parquet")
    parser.add_argument("--built", action="store_true", help="build nothing before")
    arguments = parser.parse_args()
    if not 0 < arguments.minutes <= MINUTES_MAX:
        parser.error(f"--minutes: accepted: more than 0, at most {MINUTES_MAX}")
    if len(os.sched_getaffinity(0)) < 2:
        parser.error("two CPUs are needed: one for the server, one for the load generator")
    if not arguments.built:
        prepare(["quintile"])
    seconds = 60 * arguments.minutes
    report = FOLDER / "soak.json"
    report.unlink(missing_ok=True)
    data = FOLDER / "soak-data"
    samples: list[dict[str, float]] = []
    with Running("quintile", SERVER_CPU, "--sink", arguments.sink, "--data-dir", str(data)) as running:
        words = ["taskset", "-c", CLIENT_CPU, TARGET / "release/quintile-bench", "run", running.url, *running.peer.load]
        words += ["--rate", arguments.rate, "--connections", arguments.connections, "--time", f"{seconds}s"]
        words += ["--json", report, "--svg", FOLDER / "soak.svg"]
        load = subprocess.Popen([str(word) for word in words])
        began = time.monotonic()
        while load.poll() is None:
            time.sleep(min(seconds / SAMPLES, 10))
            if load.poll() is None and time.monotonic() - began < seconds:
                memory = running.memory_kib()
                samples.append({"descriptors": running.descriptors(), **memory})
    shutil.rmtree(data, ignore_errors=True)
    if not report.exists() or len(samples) < 3:
        print("the load generator did not run long enough, see above", file=sys.stderr)
        return 1
    result = json.loads(report.read_text())
    rows = [
        ("RssAnon, MiB", *thirds([sample["RssAnon"] / 1024 for sample in samples]), lambda anon: 1.05 * anon),
        ("RssFile and RssShmem, MiB", *thirds([(s["RssFile"] + s["RssShmem"]) / 1024 for s in samples]), None),
        ("file descriptors, most", *thirds([sample["descriptors"] for sample in samples], max), lambda most: most + 2),
        ("p99, µs", *thirds([step["p99"] / 1e3 for step in result["steps"] if step["max"]]), lambda p99: 1.25 * p99),
    ]
    grew = False
    for name, before, after, limit in rows:
        verdict = "not judged" if limit is None else "flat" if after <= limit(before) else "GREW"
        grew |= verdict == "GREW"
        print(f"{name:<28} second third {before:>12,.1f}   last third {after:>12,.1f}   {verdict}")
    bad = wrong(result)
    print(f"{result['right']:,} right answers, {bad} wrong or missing, over {result['seconds'] / 60:.1f} minutes")
    print(f"plot: {FOLDER / 'soak.svg'}")
    return int(grew or bad > 0)


if __name__ == "__main__":
    sys.exit(main())
