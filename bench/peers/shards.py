"""How evenly connections spread over shards: requests and latencies of each, by number of connections.

    python3 bench/peers/shards.py [--runtime epoll] [--connections 2,8,64,1000] [--rate 10000] [--seconds 3]

Two shards and the load generator share all CPUs of the machine, so latencies say how the shards differ and not how
fast they are: the load generator sleeps between requests (`--pacing timer`) and the rate is well below what they can
do.
"""

import argparse
import sys

from run import CLIENT_CPU, SERVER_CPU, bench, milliseconds, prepare, wrong
from servers import Running

BOTH = f"{SERVER_CPU},{CLIENT_CPU}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runtime", default="epoll")
    parser.add_argument("--connections", default="2,8,64,1000")
    parser.add_argument("--rate", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--built", action="store_true", help="build nothing before")
    arguments = parser.parse_args()
    if not arguments.built:
        prepare(["quintile"])
    print("| connections | shard | requests | share | p50 | p99 | wrong or unfinished |\n" + "|---" * 7 + "|")
    bad = 0
    for count in arguments.connections.split(","):
        with Running(
            "quintile-auto", BOTH, "--sink", "none", "--shards", "2", "--runtime", arguments.runtime
        ) as running:
            words = ["--connections", count, "--rate", str(arguments.rate), "--time", f"{arguments.seconds}s"]
            report = bench(running, f"shards-{count}", *words, "--pacing", "timer", "--by-shard", cpus=BOTH)
            for shard in report["shards"]:
                latency = shard["latency"]
                cells = [count, shard["shard"], f"{shard['requests']:,}", f"{shard['requests'] / report['right']:.1%}"]
                cells += [milliseconds(latency["p50"]), milliseconds(latency["p99"]), wrong(report)]
                print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)
            bad += wrong(report)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
