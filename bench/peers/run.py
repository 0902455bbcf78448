"""Compares Quintile with what it replaces and with what limits it: one command, one table, one plot, the goals.

    python3 bench/peers/run.py [--rounds 3] [--seconds 3] [--only NAME,NAME] [--prepare | --built]

Builds what is ours, installs the peers under the target folder (pinned), trains the model (500 trees of depth 6 on 50
features) and then measures: the server on one CPU, the load generator on the other, rounds interleaved, every answer
checked against the model where the peer answers leads. A peer that does not start voids its column and says why.
Needs two CPUs, Rust, Python 3.11 and `taskset`.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from typing import Any

from servers import FOLDER, MODEL, ROOT, TARGET, NotStarted, Running, venv

PEERS = ["quintile", "static", "bare-hyper", "fastapi", "mlserver", "bentoml"]
SERVER_CPU, CLIENT_CPU = 0, 1
STATED_RATE = 300  # the load that the replaced stack states
STATED_SECONDS = 10  # at least: a p99 is thirty requests of three thousand, and would be nine in three seconds
SHARE = 0.7  # of its own maximum
MANY = 1_000  # open connections
Report = dict[str, Any]


def prepare(names: list[str]) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    cargo = ["cargo", "build", "--release", "--locked", "--package"]
    subprocess.run([*cargo, "quintile", "--bin", "quintile"], cwd=ROOT, check=True)
    subprocess.run([*cargo, "quintile-bench"], cwd=ROOT, check=True)
    subprocess.run([*cargo, "quintile", "--example", "bare_hyper"], cwd=ROOT, check=True)
    static = [*cargo, "quintile", "--example", "static_responder", "--features", "static-answer"]
    subprocess.run(static, cwd=ROOT, check=True)
    python = venv("fastapi") / "python"
    subprocess.run([python, ROOT / "bench/peers/model.py", FOLDER], check=True)
    for name in {"mlserver", "bentoml"} & set(names):
        try:
            venv(name)
        except NotStarted as reason:
            print(f"{name}: {reason}", file=sys.stderr)


def bench(running: Running, label: str, *words: str, url: str | None = None, cpus: int | str = CLIENT_CPU) -> Report:
    """One run of the load generator; its report, also when answers were wrong, which the table then says."""
    path = FOLDER / f"{label}.json"
    path.unlink(missing_ok=True)
    command = [
        "taskset",
        "-c",
        str(cpus),
        TARGET / "release/quintile-bench",
        "run",
        url or running.url + running.peer.score,
    ]
    command += [*running.peer.load, *words, "--name", running.peer.name, "--json", path]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if not path.exists():
        raise NotStarted(done.stderr.strip() or f"quintile-bench ended with {done.returncode}")
    return json.loads(path.read_text())


def window_p99(report: Report) -> float:
    """The p99 of the median tenth of a second, which what stops a server for a moment now and then does not reach."""
    return statistics.median(step["p99"] for step in report["steps"] if step["max"])


def wrong(report: Report) -> int:
    return sum(report["failed"].values()) + report["unfinished"]


def saturate(name: str, seconds: float, label: str) -> dict[str, Any]:
    with Running(name, SERVER_CPU) as running:
        memory = running.memory_kib()
        full = bench(running, f"{label}-full", "--connections", "64", "--time", f"{seconds}s", "--warmup", "500ms")
        words = ["--rate", str(STATED_RATE), "--time", f"{max(seconds, STATED_SECONDS)}s", "--warmup", "500ms"]
        stated = bench(running, f"{label}-stated", *words)
        return {
            "start_s": running.start_s,
            "memory": memory,
            "loaded": running.memory_kib(),
            "full": full,
            "stated": stated,
        }


def at_rate(name: str, rate: float, seconds: float, label: str) -> Report:
    with Running(name, SERVER_CPU) as running:
        bench(running, f"{label}-warm", "--count", "20000", "--time", "5s", "--warmup", "0s")
        return bench(running, f"{label}-share", "--rate", f"{rate:.0f}", "--time", f"{seconds}s", "--warmup", "500ms")


def many_connections() -> dict[str, int]:
    """Memory while a thousand connections are open and used."""
    with Running("quintile", SERVER_CPU) as running:
        words = [
            "taskset",
            "-c",
            str(CLIENT_CPU),
            TARGET / "release/quintile-bench",
            "run",
            running.url,
            *running.peer.load,
        ]
        words += ["--rate", "5000", "--connections", str(MANY), "--time", "3s", "--warmup", "0s"]
        load = subprocess.Popen([str(word) for word in words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        most: dict[str, int] = {}
        while load.poll() is None:
            time.sleep(0.05)
            if running.descriptors() > MANY:
                now = running.memory_kib()
                most = {kind: max(kib, most.get(kind, 0)) for kind, kib in now.items()}
        return most


def measure(names: list[str], rounds: int, seconds: float) -> tuple[dict[str, list[dict[str, Any]]], dict[str, str]]:
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    void: dict[str, str] = {}
    for turn in range(rounds):
        for name in names:
            if name in void:
                continue
            try:
                found[name].append(saturate(name, seconds, f"{name}-{turn}"))
            except NotStarted as reason:
                void[name] = str(reason)
            last = found[name][-1] if found[name] else None
            text = f"{last['full']['rate']:,.0f}/s" if last else void[name]
            print(f"round {turn + 1}: {name}: {text}", file=sys.stderr)
    return found, void


def middle(runs: list[dict[str, Any]], value: Any) -> float:
    return statistics.median(value(run) for run in runs)


def rate(run: dict[str, Any]) -> float:
    return run["full"]["rate"]


def milliseconds(ns: float) -> str:
    return f"{ns / 1e6:.3f} ms" if ns < 1e8 else f"{ns / 1e6:,.0f} ms"


def table(found: dict[str, list[dict[str, Any]]], void: dict[str, str]) -> str:
    heads = ["", "requests/s, closed loop", *(f"{q} at {STATED_RATE}/s" for q in ("p50", "p99", "p99.9"))]
    heads += ["start to ready", "RssAnon", "wrong or unfinished"]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for name, runs in found.items():
        if name in void:
            lines.append(f"| {name} | **void**: {void[name]} | | | | | | |")
            continue
        at = [milliseconds(middle(runs, lambda run, q=q: run["stated"]["latency"][q])) for q in ("p50", "p99", "p999")]
        start = f"{1000 * middle(runs, lambda run: run['start_s']):,.0f} ms"
        anon = f"{middle(runs, lambda run: run['loaded']['RssAnon']) / 1024:,.1f} MiB"
        bad = sum(wrong(run["full"]) + wrong(run["stated"]) for run in runs)
        cells = [f"{middle(runs, rate):,.0f}", *at, start, anon, f"{bad}"]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def goals(
    found: dict[str, list[dict[str, Any]]], void: dict[str, str], share: dict[str, list[Report]], many: dict[str, int]
) -> str:
    """Each goal with its figure, and whether it is met."""
    lines = []

    def goal(words: str, figure: float, met: bool, unit: str = "") -> None:
        lines.append(f"{'met    ' if met else 'NOT MET'}  {words}: {figure:,.3f}{unit}")

    ours = found.get("quintile")
    if not ours or "quintile" in void:
        return "nothing to judge: quintile was not measured"
    p99 = middle(ours, lambda run: run["stated"]["latency"]["p99"])
    goal(f"p99 at {STATED_RATE}/s under 1 ms", p99 / 1e6, p99 < 1e6, " ms")
    start = middle(ours, lambda run: run["start_s"]) * 1000
    goal("start to ready under 150 ms", start, start < 150, " ms")
    anon = middle(ours, lambda run: run["loaded"]["RssAnon"]) / 1024
    goal("RssAnon under 64 MiB", anon, anon < 64, " MiB")
    if many:
        goal(
            f"RssAnon with {MANY} connections under 128 MiB",
            many["RssAnon"] / 1024,
            many["RssAnon"] < 128 * 1024,
            " MiB",
        )
    if found.get("static") and "static" not in void:
        ratio = statistics.median(
            a["full"]["rate"] / b["full"]["rate"] for a, b in zip(ours, found["static"], strict=False)
        )
        goal("requests/s at least 0.80 of the static responder's", ratio, ratio >= 0.80)
    if found.get("bare-hyper") and found.get("static") and not {"static", "bare-hyper"} & set(void):
        ratio = middle(found["static"], rate) / middle(found["bare-hyper"], rate)
        goal("the static responder is not slow by accident: at least 0.90 of bare hyper", ratio, ratio >= 0.90)
    if found.get("fastapi") and "fastapi" not in void:
        ratio = middle(ours, rate) / middle(found["fastapi"], rate)
        goal("requests/s at least 50 times FastAPI's", ratio, ratio >= 50)
        ratio = p99 / middle(found["fastapi"], lambda run: run["stated"]["latency"]["p99"])
        goal(f"p99 at {STATED_RATE}/s at most 1/20 of FastAPI's", ratio, ratio <= 1 / 20)
    if share:
        for quantile, limit in (("p99", 1.5), ("p999", 2.0)):
            pairs = zip(share["quintile"], share["static"], strict=True)
            ratio = statistics.median(a["latency"][quantile] / b["latency"][quantile] for a, b in pairs)
            goal(
                f"{quantile} at {SHARE:.0%} of its maximum at most {limit} times the static responder's",
                ratio,
                ratio <= limit,
            )
    return "\n".join(lines)


def plot(found: dict[str, list[dict[str, Any]]], void: dict[str, str]) -> None:
    """Latencies at the stated rate of each peer's last round, over each other."""
    reports = [
        FOLDER / f"{name}-{len(runs) - 1}-stated.json" for name, runs in found.items() if runs and name not in void
    ]
    words = [TARGET / "release/quintile-bench", "plot", *reports, "--svg", FOLDER / "peers.svg"]
    title = f"{STATED_RATE} requests/s, one core, 500 trees of depth 6 on 50 features"
    subprocess.run([str(word) for word in [*words, "--title", title]], check=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--seconds",
        type=float,
        default=3,
        help=f"of each measurement, but at least {STATED_SECONDS} at the stated rate",
    )
    parser.add_argument(
        "--only", default=",".join(PEERS), help="peers, with commas; also quintile-glommio, static-glommio"
    )
    parser.add_argument("--prepare", action="store_true", help="build and install everything, and measure nothing")
    parser.add_argument("--built", action="store_true", help="measure what --prepare has built before")
    arguments = parser.parse_args()
    if len(os.sched_getaffinity(0)) < 2:
        parser.error("two CPUs are needed: one for the server, one for the load generator")
    names = arguments.only.split(",")
    if not arguments.built:
        prepare(names)
    if arguments.prepare:
        return 0
    if not MODEL.exists():
        parser.error(f"{MODEL} was not made")
    found, void = measure(names, arguments.rounds, arguments.seconds)
    share: dict[str, list[Report]] = {}
    many: dict[str, int] = {}
    if found.get("quintile") and "quintile" not in void:
        many = many_connections()
        if found.get("static") and "static" not in void:
            most = SHARE * middle(found["quintile"], rate)
            share = {"quintile": [], "static": []}
            for turn in range(arguments.rounds):
                for name, reports in share.items():
                    reports.append(at_rate(name, most, arguments.seconds, f"{name}-{turn}"))
    print(table(found, void), "\n")
    if many:
        kinds = ", ".join(f"{kind} {kib / 1024:,.1f} MiB" for kind, kib in many.items())
        print(f"quintile with {MANY} connections in use: {kinds}")
    for name, reports in share.items():
        cells = [
            f"{q} {milliseconds(statistics.median(r['latency'][q] for r in reports))}" for q in ("p50", "p99", "p999")
        ]
        cells.append(f"p99 of the median 100 ms {milliseconds(statistics.median(map(window_p99, reports)))}")
        bad = sum(wrong(report) for report in reports)
        print(f"{name} at {reports[0]['rate_asked']:,.0f}/s: {', '.join(cells)}, wrong or unfinished {bad}")
    print("\n" + goals(found, void, share, many))
    plot(found, void)
    print(f"\nplot: {FOLDER / 'peers.svg'}\n\nhow still this machine is:", flush=True)
    subprocess.run([TARGET / "release/quintile-bench", "stalls"], check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
