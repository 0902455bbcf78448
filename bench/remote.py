"""What leads that wait for SageMaker cost those that are scored here, and how long a shard takes to notice an answer.

    QUINTILE_BIN=target/release/quintile BENCH_BIN=target/release/quintile-bench PYTHONPATH=tests \\
        target/venv/bin/python bench/remote.py [PAIRS [SECONDS [RATE]]]

One shard and its side thread on CPU 0; the load, fifty clients that wait half a second each, and the endpoint that
keeps them waiting on CPU 1. First pairs at a fixed rate of local leads, with the fifty and without, in turn, and the
interval of the differences. Then local leads as fast as they go, and the `wake` of the `server-timing` of each remote
answer: from side sending it to the shard's task reading it.
"""

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from delivery import DEMO
from serving import Server, io_uring_allowed
from stand_in import CREDENTIALS, REGION

PAIRS = int(sys.argv[1]) if len(sys.argv) > 1 else 10
SECONDS = float(sys.argv[2]) if len(sys.argv) > 2 else 4
RATE = int(sys.argv[3]) if len(sys.argv) > 3 else 5_000
REMOTE = 50
DELAY_S = 0.5
LOCAL = "x-quintile-scorer: local"
# Student's t at 97.5 % for so many degrees of freedom.
T = {2: 4.303, 4: 2.776, 9: 2.262, 14: 2.145, 19: 2.093}


class Endpoint:
    """Answers every call with a prediction, half a second late."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        ready = threading.Event()
        threading.Thread(target=self._run, args=(ready,), daemon=True).start()
        ready.wait()

    def _run(self, ready: threading.Event) -> None:
        async def serve() -> None:
            server = await asyncio.start_server(answer, "127.0.0.1", 0)
            self.port = server.sockets[0].getsockname()[1]
            ready.set()
            await server.serve_forever()

        self.loop.run_until_complete(serve())


async def read_message(
    reader: asyncio.StreamReader,
) -> tuple[dict[str, str], bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
    pairs = (line.partition(": ") for line in head[1:] if line)
    headers = {name.lower(): value for name, _, value in pairs}
    return headers, await reader.readexactly(int(headers.get("content-length", 0)))


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            await read_message(reader)
            await asyncio.sleep(DELAY_S)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/csv\r\nContent-Length: 3\r\n\r\n0.5")
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


class Waiting:
    """Fifty clients whose leads the endpoint scores, one after another; the wakes that their answers tell, in ms."""

    def __init__(self, loop: asyncio.AbstractEventLoop, running: Server) -> None:
        self.wakes: list[float] = []
        self._running = running
        self._stop = False
        self._clients = asyncio.run_coroutine_threadsafe(self._all(), loop)

    async def _all(self) -> None:
        await asyncio.gather(*(self._client() for _ in range(REMOTE)))

    async def _client(self) -> None:
        reader, writer = await asyncio.open_connection(self._running.host, self._running.port)
        body = b'{"lead_id":"remote","features":{"f1":1}}'
        head = (
            f"POST /score HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        while not self._stop:
            writer.write(head.encode() + body)
            headers, content = await read_message(reader)
            assert json.loads(content)["source"] == "sagemaker", content
            timing = headers["server-timing"]
            self.wakes += [float(part.partition("dur=")[2]) for part in timing.split(", ") if part.startswith("wake")]
        writer.close()

    def end(self) -> list[float]:
        self._stop = True
        self._clients.result(timeout=30)
        return self.wakes


def load(running: Server, *more: str) -> dict[str, int]:
    with tempfile.NamedTemporaryFile() as report:
        words = [os.environ["BENCH_BIN"], "run", f"http://{running.host}:{running.port}"]
        words += ["--header", LOCAL, "--time", f"{SECONDS}s", "--json", report.name, *more]
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
        return json.loads(Path(report.name).read_text())["latency"]


def start(endpoint: Endpoint, runtime: str, data: str) -> Server:
    environment = {
        **CREDENTIALS,
        "AWS_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "QUINTILE_AWS__ENDPOINT": f"http://127.0.0.1:{endpoint.port}",
        "QUINTILE_SCORING__PRIMARY": "sagemaker",
        "QUINTILE_SCORING__ENDPOINT": "leads",
        "QUINTILE_SCORING__DEADLINE_MS": "5000",
    }
    running = Server(DEMO, Path(data), runtime=runtime, sink="none", environment=environment)
    for task in Path(f"/proc/{running.pid}/task").iterdir():
        os.sched_setaffinity(int(task.name), {0})
    return running


def quantile(values: list[float], share: float) -> float:
    return sorted(values)[min(int(len(values) * share), len(values) - 1)]


def measure(endpoint: Endpoint, runtime: str) -> None:
    with tempfile.TemporaryDirectory() as data, start(endpoint, runtime, data) as running:
        alone: list[float] = []
        beside: list[float] = []
        for pair in range(PAIRS):
            for remote in (False, True) if pair % 2 == 0 else (True, False):
                waiting = Waiting(endpoint.loop, running) if remote else None
                latency = load(running, "--rate", str(RATE), "--connections", "16")
                (beside if remote else alone).append(latency["p99"] / 1e3)
                if waiting:
                    waiting.end()
        differences = [b - a for a, b in zip(alone, beside, strict=True)]
        mean = statistics.mean(differences)
        half = T.get(PAIRS - 1, 2.0) * statistics.stdev(differences) / PAIRS**0.5
        print(
            f"{runtime}: p99 of {RATE} local leads a second: median {statistics.median(alone):.0f} µs alone, "
            f"{statistics.median(beside):.0f} µs beside {REMOTE} remote ones; mean difference {mean:+.1f} µs, "
            f"from {mean - half:+.1f} to {mean + half:+.1f}"
        )
        waiting = Waiting(endpoint.loop, running)
        load(running, "--connections", "64")
        wakes = waiting.end()
        print(
            f"{runtime}: wake on a shard that is saturated: p50 {quantile(wakes, 0.5):.3f} ms, "
            f"p99 {quantile(wakes, 0.99):.3f} ms, longest {max(wakes):.3f} ms of {len(wakes)}"
        )


def main() -> None:
    os.sched_setaffinity(0, {1})
    endpoint = Endpoint()
    for runtime in ("epoll", "glommio") if io_uring_allowed() else ("epoll",):
        measure(endpoint, runtime)


if __name__ == "__main__":
    main()
