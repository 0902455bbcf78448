"""How fast one core ships records to a delivery stream.

    QUINTILE_BIN=target/release/quintile PYTHONPATH=tests target/venv/bin/python bench/firehose.py [RECORDS]

Records pile up while the stream is away; then a stand-in that only counts (`tests/stand_in.py --fast`) comes up. What
is measured is the CPU time of the server's side thread until all are delivered: encoding, signing, sending, and what
the thread does besides. The server answers nothing meanwhile.
"""

import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from delivery import DEMO, leads
from serving import Server, score_all
from stand_in import CREDENTIALS, REGION

RECORDS = int(sys.argv[1]) if len(sys.argv) > 1 else 60_000
TESTS = Path(__file__).resolve().parents[1] / "tests"
DELIVERED = 'quintile_records_delivered_total{sink="firehose"}'


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def side_seconds(running: Server) -> float:
    """CPU time of the thread `side`."""
    for task in Path(f"/proc/{running.pid}/task").iterdir():
        if (task / "comm").read_text().strip() == "side":
            fields = (task / "stat").read_text().rpartition(")")[2].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    raise AssertionError("no thread is called side")


def peak_mib(running: Server) -> float:
    lines = Path(f"/proc/{running.pid}/status").read_text().splitlines()
    (peak,) = [line.split()[1] for line in lines if line.startswith("VmHWM")]
    return int(peak) / 1024


def main() -> None:
    port = free_port()
    environment = {
        **CREDENTIALS,
        "AWS_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "QUINTILE_AWS__ENDPOINT": f"http://127.0.0.1:{port}",
        "QUINTILE_RECORDS__FIREHOSE_STREAM": "scores",
        "QUINTILE_RECORDS__SPOOL_BYTES": str(1 << 30),
    }
    with (
        tempfile.TemporaryDirectory() as data,
        Server(DEMO, Path(data), sink="firehose", environment=environment) as running,
    ):
        some = leads(2_000)
        for _ in range(RECORDS // len(some)):
            score_all(running, some, 4)
        already, cpu = running.metrics()[DELIVERED], side_seconds(running)
        assert already == 0, "nothing can be delivered yet"
        stand_in = subprocess.Popen(
            [sys.executable, TESTS / "stand_in.py", "--fast", str(port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert stand_in.stdout
        stand_in.stdout.readline()
        while running.metrics()[DELIVERED] < RECORDS:
            time.sleep(0.05)
        cpu = side_seconds(running) - cpu
        stand_in.terminate()
        print(f"{RECORDS} records in {cpu:.2f} s of the side thread's CPU: {RECORDS / cpu:.0f} a second")
        print(f"largest resident size of the server: {peak_mib(running):.0f} MiB")
        running.kill()


if __name__ == "__main__":
    main()
