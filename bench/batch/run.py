"""What a batch costs the requests beside it, and how fast it is: one shard on CPU 0, all clients on CPU 1.

    cargo build --release --package quintile --package quintile-bench
    python3 bench/batch/run.py                           # epoll and glommio, three rounds
    python3 bench/batch/run.py --runtimes epoll --rounds 5 --seconds 5 --rate 4000

Each round measures, one after the other: single requests at a fixed rate (latency from when each was due); the same
while batches of 10,000 leads run back to back on one connection; batches alone; single requests in a closed loop.
Records go to Parquet, encoded on the same CPU, or with `--sink none` nowhere. The clients of batches run at idle
priority, so that they do not take the CPU from the clock of the others.
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
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve() / "release"
MODEL = ROOT / "engine" / "demo" / "demo.ubj"
LEADS, FEATURES = 10_000, 50


def batch() -> bytes:
    """Leads as clients send them: three in ten features are missing or null."""
    rng = random.Random(7)
    leads = []
    for number in range(LEADS):
        there = [f"f{feature}" for feature in range(1, FEATURES + 1) if rng.random() > 0.2]
        features = {name: None if rng.random() < 0.1 else round(rng.uniform(0, 100), 4) for name in there}
        leads.append({"lead_id": f"lead-{number}", "features": features})
    return json.dumps({"leads": leads}, separators=(",", ":")).encode()


class Batches:
    """Sends the same batch over and over on one connection, in a process of its own."""

    def __init__(self, port: int, body: Path) -> None:
        words = [sys.executable, __file__, "--client", str(port), str(body)]
        self.process = subprocess.Popen(
            ["taskset", "-c", "1", "chrt", "--idle", "0", *words], stdout=subprocess.PIPE, text=True
        )

    def stop(self) -> float:
        """Leads a second."""
        self.process.send_signal(signal.SIGTERM)
        out, _ = self.process.communicate(timeout=30)
        if self.process.returncode:
            sys.exit(f"the client of batches ended with {self.process.returncode}")
        return float(out)


def client(port: int, path: Path) -> None:
    """Until SIGTERM: then the leads a second of all batches that were answered whole go to stdout."""
    body = path.read_bytes()
    head = f"POST /score/batch HTTP/1.1\r\nhost: q\r\ncontent-length: {len(body)}\r\n\r\n".encode()
    over = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: over.set())
    peer = socket.create_connection(("127.0.0.1", port))
    done, began = 0, time.perf_counter()
    while not over.is_set():
        peer.sendall(head + body)
        tail = b""
        # The end of a chunked answer; no result has these bytes in it.
        while not tail.endswith(b"0\r\n\r\n"):
            piece = peer.recv(1 << 20)
            if not piece:
                sys.exit("the server closed the connection")
            tail = (tail + piece)[-4096:]
        if f'"scored":{LEADS},"failed":0'.encode() not in tail:
            sys.exit(f"a batch failed: {tail[-500:]!r}")
        done += LEADS
    print(done / (time.perf_counter() - began))


def serve(runtime: str, sink: str, data: str) -> tuple[subprocess.Popen[str], int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = [TARGET / "quintile", "serve", "--listen", f"127.0.0.1:{port}", "--runtime", runtime, "--shards", "1"]
    words += ["--sink", sink, "--data-dir", data, "--log", "json"]
    server = subprocess.Popen(["taskset", "-c", "0", *map(str, words)], stderr=subprocess.PIPE, text=True)
    assert server.stderr is not None
    for line in server.stderr:
        if '"ready"' in line:
            threading.Thread(target=server.stderr.read, daemon=True).start()
            return server, port
    sys.exit("the server did not start")


def single(port: int, seconds: float, rate: int | None) -> dict[str, float]:
    with tempfile.NamedTemporaryFile(suffix=".json") as report:
        words = ["run", f"http://127.0.0.1:{port}", "--model", MODEL, "--time", f"{seconds}s", "--warmup", "1s"]
        words += ["--connections", 16, "--json", report.name]
        words += ["--rate", rate, "--pacing", "timer"] if rate else []
        command = ["taskset", "-c", "1", TARGET / "quintile-bench", *words]
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
        if done.returncode:
            sys.exit(done.stdout + done.stderr)
        return json.loads(Path(report.name).read_text())


def main() -> None:
    if sys.argv[1:2] == ["--client"]:
        return client(int(sys.argv[2]), Path(sys.argv[3]))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runtimes", nargs="+", default=["epoll", "glommio"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--rate", type=int, default=2000)
    parser.add_argument("--sink", default="parquet", help="none shows what the encoding on the same CPU takes")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "batch.json"
        path.write_bytes(batch())
        for runtime in given.runtimes:
            rows = [measure(runtime, path, f"{folder}/{runtime}-{turn}", given) for turn in range(given.rounds)]
            show(runtime, rows)


def measure(runtime: str, path: Path, data: str, given: argparse.Namespace) -> dict[str, float]:
    server, port = serve(runtime, given.sink, data)
    row = {}
    try:
        for name in ("alone", "beside"):
            batches = Batches(port, path) if name == "beside" else None
            report = single(port, given.seconds, given.rate)
            for quantile in ("p50", "p99", "p999"):
                row[f"{name} {quantile}"] = report["latency"][quantile] / 1e3
            if batches:
                row["beside leads/s"] = batches.stop()
        batches = Batches(port, path)
        time.sleep(given.seconds)
        row["batch leads/s"] = batches.stop()
        row["single leads/s"] = single(port, given.seconds, None)["rate"]
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(timeout=60)
    return row


def show(runtime: str, rows: list[dict[str, float]]) -> None:
    for name in rows[0]:
        values = [row[name] for row in rows]
        unit = "us" if "p" in name.split()[-1] and "/s" not in name else ""
        spread = " ".join(f"{value:,.0f}" for value in values)
        print(f"{runtime:8} {name:15} {statistics.median(values):12,.0f} {unit:2}  ({spread})", flush=True)


if __name__ == "__main__":
    main()
