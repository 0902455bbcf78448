"""What `server.spin_us` gives and costs: latencies and CPU by rate, on both runtimes.

    python3 bench/peers/spin.py [--rounds 3] [--seconds 3] [--rates 300,2000,20000] [--spin-us 0,200,1000]

One shard on CPU 0, the load generator on CPU 1 with eight connections, rounds interleaved, every answer checked. CPU is
the share of one that the whole server had while it was measured.
"""

import argparse
import os
import statistics
import sys
from typing import Any

from run import SERVER_CPU, milliseconds, prepare, wrong
from runtimes import BACKENDS, once
from servers import NotStarted, Running

CONNECTIONS = 8


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--rates", default="300,2000,20000")
    parser.add_argument("--spin-us", default="0,200,1000")
    parser.add_argument("--built", action="store_true", help="build nothing before")
    arguments = parser.parse_args()
    if not arguments.built:
        prepare(["quintile"])
    rates = [int(rate) for rate in arguments.rates.split(",")]
    spins = arguments.spin_us.split(",")
    found: dict[tuple[int, str, str], list[dict[str, Any]]] = {}
    for turn in range(arguments.rounds):
        for spin in spins:
            os.environ["QUINTILE_SERVER__SPIN_US"] = spin
            for backend, peer in BACKENDS.items():
                try:
                    with Running(peer, SERVER_CPU) as running:
                        for rate in rates:
                            label = f"spin-{backend}-{spin}-{rate}-{turn}"
                            report = once(running, label, CONNECTIONS, arguments.seconds, "--rate", str(rate))
                            found.setdefault((rate, spin, backend), []).append(report)
                except NotStarted as reason:
                    print(f"{backend}: void: {reason}", file=sys.stderr)
    print("| requests/s | `spin_us` | runtime | p50 | p99 | p99.9 | CPU | wrong or unfinished |\n" + "|---" * 8 + "|")
    for rate in rates:
        for spin in spins:
            for backend in BACKENDS:
                if not (runs := found.get((rate, spin, backend))):
                    continue
                cells = [f"{rate:,}", spin, backend]
                for quantile in ("p50", "p99", "p999"):
                    cells.append(milliseconds(statistics.median(run["latency"][quantile] for run in runs)))
                cells.append(f"{statistics.median(run['cpu_us'] * rate / 1e6 for run in runs):.0%}")
                print("| " + " | ".join([*cells, str(sum(map(wrong, runs)))]) + " |")
    return 1 if any(wrong(run) for runs in found.values() for run in runs) else 0


if __name__ == "__main__":
    sys.exit(main())
