"""How far the spool's files are behind the answers: from a lead's 200 until its record is in the file.

    python bench/spool_lag.py --binary target/release/quintile [--leads 3000] [--runtime epoll]

One client posts leads at random moments and looks at the file again and again, so the figure includes its own loop of
some microseconds. What the server has not written there when it dies is written by its keeper process.
"""

import argparse
import http.client
import json
import os
import platform
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

BODY = 4096
GAP_MS = 8
START_S = 60


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def start(binary: Path, data: Path, port: int, runtime: str) -> subprocess.Popen[bytes]:
    words = [
        binary,
        "serve",
        "--listen",
        f"127.0.0.1:{port}",
        "--data-dir",
        data,
        "--shards",
        "1",
        "--runtime",
        runtime,
    ]
    variables = {"QUINTILE_SERVER__ADMIN": "none", "QUINTILE_RECORDS__ROLL_SECONDS": "3600"}
    process = subprocess.Popen(
        [str(word) for word in words], stderr=subprocess.DEVNULL, env={**os.environ, **variables}
    )
    until = time.monotonic() + START_S
    while time.monotonic() < until and process.poll() is None:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port)
            connection.request("GET", "/readyz")
            if connection.getresponse().status == 200:
                return process
        except OSError:
            time.sleep(0.02)
    raise SystemExit("the server does not start")


def in_use(spool: Path) -> int:
    """The file that the first record came into."""
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        for path in spool.glob("*.segment"):
            file = os.open(path, os.O_RDONLY)
            if os.pread(file, 4, BODY) != bytes(4):
                return file
            os.close(file)
    raise SystemExit("no record comes into a file")


def lags(port: int, spool: Path, leads: int) -> list[float]:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    file, place, found = None, BODY, []
    for number in range(leads):
        body = json.dumps({"lead_id": f"lead-{number}", "features": {"f1": number}})
        connection.request("POST", "/score", body, {"content-type": "application/json"})
        response = connection.getresponse()
        response.read()
        answered = time.perf_counter()
        assert response.status == 200, response.status
        file = in_use(spool) if file is None else file
        while (length := os.pread(file, 4, place)) == bytes(4):
            pass
        found.append(1e3 * (time.perf_counter() - answered))
        place += int.from_bytes(length, "little")
        time.sleep(random.uniform(0, GAP_MS / 1e3))
    return sorted(found[1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", type=Path, required=True)
    parser.add_argument("--leads", type=int, default=3000, help="they must fit into one segment")
    parser.add_argument("--runtime", choices=["epoll", "glommio"], default="epoll")
    asked = parser.parse_args()
    folder, port = Path(tempfile.mkdtemp(prefix="quintile-lag-")), free_port()
    process = start(asked.binary, folder, port, asked.runtime)
    try:
        found = lags(port, folder / "spool", asked.leads)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)
    quantiles = {name: found[min(len(found) - 1, int(part * len(found)))] for name, part in QUANTILES.items()}
    shown = ", ".join(f"{name} {value:.2f}" for name, value in quantiles.items())
    cpu = next(
        line.partition(": ")[2] for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    )
    print(f"{len(found)} records, milliseconds behind the answer: {shown}, max {found[-1]:.2f}")
    print(f"{cpu.strip()}, {os.cpu_count()} CPUs, Linux {platform.release()}, load {os.getloadavg()[0]:.1f}")


QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999}

if __name__ == "__main__":
    main()
