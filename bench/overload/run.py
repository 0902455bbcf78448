"""Goodput beyond capacity: how many requests a second are answered in time when more come than one core can answer,
with and without refusing what has waited too long (limits.queue_ms).

    cargo build --release --bin quintile --bin quintile-bench
    python3 bench/overload/run.py                     # needs xgboost, which makes the model
    python3 bench/overload/run.py --copies 40 --seconds 5 --rounds 3

One shard on CPU 0, the load generator on CPU 1. The model's trees are walked one after the other (`--kernel
reference`), so that a request takes long enough for one core to offer five times as many. Capacity is the rate of a
closed loop. Then, interleaved, requests are due at 1, 2 and 5 times this rate on many connections; goodput counts
answers within `--deadline` of when they were due, as a share of the best. A request that is refused costs the server
too, so the lighter a request is, the more of an overload's cost is refusing: the table says what both take.
"""

import argparse
import json
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve() / "release"
FEATURES = 50
FACTORS = (1, 2, 5)
# Longer than any queue of these connections: nothing is refused.
OFF_MS = 60_000


def heavy_model(path: Path, copies: int) -> None:
    """Deep trees of random rows, each of them several times."""
    import numpy as np
    import xgboost

    rng = np.random.default_rng(7)
    rows = rng.uniform(0, 100, (20_000, FEATURES))
    labels = rng.uniform(size=20_000) < 0.3
    names = [f"f{number}" for number in range(1, FEATURES + 1)]
    data = xgboost.DMatrix(rows, labels, feature_names=names)
    settings = {"objective": "binary:logistic", "max_depth": 10, "tree_method": "hist", "nthread": 1, "seed": 7}
    model = json.loads(xgboost.train(settings, data, 50).save_raw("json"))
    booster = model["learner"]["gradient_booster"]["model"]
    once = booster["trees"]
    booster["trees"] = [{**tree, "id": number} for number, tree in enumerate(once * copies)]
    count = len(booster["trees"])
    booster["tree_info"] = [0] * count
    booster["gbtree_model_param"]["num_trees"] = str(count)
    booster["iteration_indptr"] = list(range(count + 1))
    path.write_text(json.dumps(model))


class Server:
    def __init__(self, model: Path, data: Path, queue_ms: int, runtime: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        words = [TARGET / "quintile", "serve", "--listen", f"127.0.0.1:{self.port}", "--runtime", runtime]
        words += ["--model", model, "--kernel", "reference", "--shards", "1", "--sink", "none"]
        words += ["--data-dir", data, "--log", "json"]
        more = {"QUINTILE_LIMITS__QUEUE_MS": str(queue_ms), "QUINTILE_SERVER__ADMIN": "none"}
        command = ["taskset", "-c", "0", *map(str, words)]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, **more})
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if '"ready"' in line:
                threading.Thread(target=self.process.stderr.read, daemon=True).start()
                return
        sys.exit("the server did not start")

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=60)


def load(port: int, given: argparse.Namespace, connections: int, rate: float | None, body: Path) -> dict[str, object]:
    with tempfile.NamedTemporaryFile(suffix=".json") as report:
        words = ["run", f"http://127.0.0.1:{port}/score", "--payload", body, "--time", f"{given.seconds}s"]
        words += [
            "--warmup",
            "2s",
            "--connections",
            connections,
            "--status-only",
            "--patience",
            "1s",
            "--json",
            report.name,
        ]
        words += ["--rate", f"{rate:.0f}", "--pacing", "timer"] if rate else []
        command = ["taskset", "-c", "1", TARGET / "quintile-bench", *words]
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
        # 3: answers were refused or missing, which is what is counted here.
        if done.returncode not in (0, 3):
            sys.exit(done.stdout + done.stderr)
        return json.loads(Path(report.name).read_text())


def goodput(report: dict[str, object], deadline_ns: float) -> float:
    """Right answers a second, in time."""
    histogram: list[tuple[int, int]] = report["histogram"]  # type: ignore[assignment]
    seconds: float = report["seconds"]  # type: ignore[assignment]
    return sum(count for latency, count in histogram if latency <= deadline_ns) / seconds


def leads(path: Path) -> None:
    rng = random.Random(7)
    features = [{f"f{number}": round(rng.uniform(0, 100), 3) for number in range(1, FEATURES + 1)} for _ in range(200)]
    lines = [json.dumps({"lead_id": f"lead-{number}", "features": row}) for number, row in enumerate(features)]
    path.write_text("\n".join(lines) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--copies", type=int, default=40, help="how often each of 50 trees is in the model")
    parser.add_argument("--connections", type=int, default=1024)
    parser.add_argument("--deadline", type=float, default=250, help="of a good answer, in milliseconds")
    parser.add_argument("--queue-ms", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--runtime", default="epoll")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        heavy_model(folder / "model.json", given.copies)
        leads(folder / "leads.ndjson")
        measure(folder, given)


def measure(folder: Path, given: argparse.Namespace) -> None:
    kinds = {"refusing": given.queue_ms, "not refusing": OFF_MS}
    found: dict[tuple[str, int], list[float]] = {}
    refused: dict[tuple[str, int], list[float]] = {}
    capacity = 0.0
    for turn in range(given.rounds):
        for kind, queue_ms in kinds.items():
            server = Server(folder / "model.json", folder / f"{kind}-{turn}", queue_ms, given.runtime)
            try:
                if not capacity:
                    closed = load(server.port, given, 16, None, folder / "leads.ndjson")
                    capacity = float(closed["rate"])  # type: ignore[arg-type]
                    print(f"capacity {capacity:,.0f}/s: {1e6 / capacity:,.0f} us a request", flush=True)
                for factor in FACTORS:
                    report = load(server.port, given, given.connections, capacity * factor, folder / "leads.ndjson")
                    found.setdefault((kind, factor), []).append(goodput(report, given.deadline * 1e6))
                    failed: dict[str, int] = report["failed"]  # type: ignore[assignment]
                    refused.setdefault((kind, factor), []).append(sum(failed.values()) / float(given.seconds))
            finally:
                server.stop()
    best = max(statistics.median(values) for values in found.values())
    for (kind, factor), values in found.items():
        middle = statistics.median(values)
        spread = " ".join(f"{value:,.0f}" for value in values)
        others = statistics.median(refused[kind, factor])
        in_time = f"{middle:9,.0f}/s in time  {middle / best:5.2f}"
        print(f"{kind:13} {factor} x  {in_time}  {others:9,.0f}/s refused  ({spread})")


if __name__ == "__main__":
    main()
