"""Draws what a server does under load: a flame graph as SVG, and a list of the functions on top.

    perf/flamegraph [--rate 20000] [--seconds 10] [--runtime epoll] [--out flamegraph.svg] [--sink none]

Starts a release server (500 trees of depth 6, one shard, CPU 0), drives it with quintile-bench at the rate (CPU 1; 0
is as fast as it goes) and samples all its threads by `perf record -e cpu-clock`, kernel included. Our code keeps
frame pointers (`.cargo/config.toml`), so stacks are whole without DWARF. Where perf may not be used,
`/debug/flamegraph` draws from inside.
"""

import argparse
import shutil
import subprocess
import sys
import time
from pathlib import Path

from run import CLIENT_CPU, SERVER_CPU, prepare
from servers import FOLDER, ROOT, TARGET, Running

HERTZ = 997  # a prime: not in step with what happens at round intervals


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=int, default=20_000)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--runtime", default="epoll")
    parser.add_argument("--sink", default="none")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--out", type=Path, default=FOLDER / "flamegraph.svg")
    parser.add_argument("--built", action="store_true", help="build nothing before")
    arguments = parser.parse_args()
    if not shutil.which("perf"):
        parser.error("perf is not installed; Debian has it as linux-perf")
    if not arguments.built:
        prepare(["quintile"])
        build = ["cargo", "build", "--release", "--locked", "--package", "quintile-perf", "--bin", "flamegraph"]
        subprocess.run(build, cwd=ROOT, check=True)
    data = FOLDER / "perf.data"
    more = ["--sink", arguments.sink, "--runtime", arguments.runtime, "--data-dir", str(FOLDER / "flame-data")]
    with Running("quintile", SERVER_CPU, *more) as running:
        words = ["taskset", "-c", str(CLIENT_CPU), TARGET / "release/quintile-bench", "run", running.url]
        words += [*running.peer.load, "--connections", arguments.connections, "--time", f"{arguments.seconds + 2}s"]
        words += ["--rate", arguments.rate] if arguments.rate else []
        load = subprocess.Popen([str(word) for word in words], stdout=subprocess.PIPE, text=True)
        time.sleep(1.5)
        record = ["perf", "record", "-e", "cpu-clock", "-F", str(HERTZ), "--call-graph", "fp", "-o", str(data)]
        record += ["-p", str(running.process.pid), "--", "sleep", str(arguments.seconds)]
        done = subprocess.run(record, capture_output=True, text=True)
        said, _ = load.communicate()
        if done.returncode:
            print(done.stderr, file=sys.stderr)
            return 1
        if load.returncode:
            print(said, file=sys.stderr)
            return 1
    script = subprocess.Popen(["perf", "script", "-i", str(data)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    rate = f"{arguments.rate:,} requests/s" if arguments.rate else "a closed loop"
    title = f"quintile on {arguments.runtime}, {rate}, {arguments.connections} connections, sink {arguments.sink}"
    draw = [str(TARGET / "release/flamegraph"), str(arguments.out), title]
    drawn = subprocess.run(draw, stdin=script.stdout)
    script.stdout.close()
    script.wait()
    print(f"\nplot: {arguments.out}")
    return drawn.returncode


if __name__ == "__main__":
    sys.exit(main())
