"""Situations from real use, handed over as files: what a `case.json` expects, and whether a run meets it.

`check` runs a case in its folder and raises `AssertionError` with what it saw. The folder lies beside the checkout
(`../shared/cases`) and is not part of it.
"""

import csv
import io
import json
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

import command
from serving import START_S, STOP_S

CASES = Path(__file__).resolve().parents[2] / "shared" / "cases"
TIMEOUT_S = 60
ROWS_BEFORE_THE_LOG_FILLS = 20

Expect = dict[str, Any]
Run = subprocess.CompletedProcess[str]


def found() -> list[str]:
    """The names of all cases; empty where the folder is absent."""
    return sorted(file.parent.name for file in CASES.glob("*/case.json"))


def check(name: str) -> None:
    """Runs one case. A type of expectation that is not known here fails, so that no case passes unread."""
    folder = CASES / name
    case = json.loads((folder / "case.json").read_text("utf-8"))
    expect = case["expect"]
    assert expect["type"] in CHECKS, f"expectation {expect['type']!r} is none of {', '.join(CHECKS)}"
    CHECKS[expect["type"]](folder, case["args"], expect)


def run(folder: Path, arguments: Iterable[str]) -> Run:
    words = [str(command.binary()), *arguments]
    return subprocess.run(
        words, cwd=folder, capture_output=True, text=True, errors="replace", timeout=TIMEOUT_S, check=False
    )


def close(got: float, wanted: float) -> bool:
    """Equal, or neighbours: 32-bit floats where the expected value is one, as XGBoost's are."""
    narrow = float(np.float32(wanted)) == wanted
    unit = float(np.spacing(np.float32(abs(wanted)))) if narrow else float(np.spacing(abs(wanted)))
    return abs(got - wanted) <= unit


def differences(done: Run, values: list[float]) -> str:
    """What differs between the column that was printed and these values; empty when nothing does."""
    if done.returncode != 0:
        return f"exit {done.returncode}\n{done.stderr[:2000]}"
    header, *lines = done.stdout.splitlines() or [""]
    if header != "prediction":
        return f"header {header!r}"
    if len(lines) != len(values):
        return f"{len(lines)} rows, expected {len(values)}"
    wrong = [
        (row, line, wanted)
        for row, (line, wanted) in enumerate(zip(lines, values, strict=True), 1)
        if not line or not close(float(line), wanted)
    ]
    return "; ".join(f"row {row}: {line}, expected {wanted!r}" for row, line, wanted in wrong)


def predictions(folder: Path, arguments: list[str], expect: Expect) -> None:
    differs = differences(run(folder, arguments), expect["values"])
    assert not differs, differs


def predictions_or_option(folder: Path, arguments: list[str], expect: Expect) -> None:
    """Either as it is, or with an option that the error names."""
    done = run(folder, arguments)
    if not differences(done, expect["values"]):
        return
    option = expect["option"]
    assert done.returncode != 0, f"scored otherwise: {differences(done, expect['values'])}"
    assert option[0] in done.stderr, f"the error does not name {option[0]}:\n{done.stderr[:2000]}"
    predictions(folder, [*arguments, *option], expect)


def scored_or_named(folder: Path, arguments: list[str], expect: Expect) -> None:
    """Either the right predictions, or a refusal that names the cause in one of these words."""
    done = run(folder, arguments)
    differs = differences(done, expect["values"])
    if done.returncode == 0:
        assert not differs, differs
        return
    refused(done)
    said = done.stderr.lower()
    assert any(word.lower() in said for word in expect["stderr"]), f"names none of {expect['stderr']}:\n{said[:2000]}"


def refused(done: Run) -> None:
    """Ended by choice, not by a signal or a panic."""
    assert done.returncode > 0 and done.returncode != 101, f"exit {done.returncode}\n{done.stderr[:2000]}"
    assert "panicked" not in done.stderr, done.stderr[:2000]


def rows_scored(folder: Path, arguments: list[str], expect: Expect) -> None:
    done = run(folder, arguments)
    assert done.returncode == 0, f"exit {done.returncode}\n{done.stderr[:2000]}"
    scored = [row for row in records(done) if any(row.get(name) not in (None, "") for name in ("score", "probability"))]
    assert len(scored) == expect["scores"], f"{len(scored)} rows have a score:\n{done.stdout[:2000]}"


def records(done: Run) -> list[dict[str, Any]]:
    """Rows of CSV or lines of JSON."""
    if done.stdout.startswith("{"):
        return [json.loads(line) for line in done.stdout.splitlines()]
    return list(csv.DictReader(io.StringIO(done.stdout)))


def unique_names(folder: Path, arguments: list[str], expect: Expect) -> None:
    """Each object has each name once, and the rows' own columns come back as they were."""
    done = run(folder, arguments)
    assert done.returncode == 0, f"exit {done.returncode}\n{done.stderr[:2000]}"
    rows = list(csv.DictReader(io.StringIO((folder / "rows.csv").read_text("utf-8"))))
    objects = [json.loads(line, object_pairs_hook=list) for line in done.stdout.splitlines()]
    assert len(objects) == len(rows), done.stdout[:2000]
    for pairs, row in zip(objects, rows, strict=True):
        names = [name for name, _ in pairs]
        assert len(names) == len(set(names)), f"a name twice: {names}"
        for name in expect["keep"]:
            assert float(dict(pairs)[name]) == float(row[name]), (
                f"{name}: {dict(pairs)[name]}, the rows have {row[name]}"
            )
        assert len(names) > len(row), f"no result beside the rows' own columns: {names}"


def instants(folder: Path, arguments: list[str], expect: Expect) -> None:
    """A column has this instant in every row, written in any zone."""
    done = run(folder, arguments)
    assert done.returncode == 0, f"exit {done.returncode}\n{done.stderr[:2000]}"
    cells = [row[expect["column"]] for row in records(done)]
    assert len(cells) == expect["rows"], f"{len(cells)} rows"
    wanted = datetime.fromisoformat(expect["value"])
    for cell in cells:
        assert cell, "an empty cell"
        instant = datetime.fromisoformat(cell)
        assert instant.tzinfo and instant == wanted, f"{cell}, expected {wanted.isoformat()}"


def text(folder: Path, arguments: list[str], expect: Expect) -> None:
    """The exit code, and patterns that the two streams have or have not."""
    unknown = expect.keys() - {"type", "rc", "stdout", "stderr", "not_stdout", "not_stderr"}
    assert not unknown, f"not read: {unknown}"
    done = run(folder, arguments)
    if expect["rc"] == "not 0":
        refused(done)
    else:
        assert done.returncode == expect["rc"], f"exit {done.returncode}\n{done.stderr[:2000]}"
    for stream, said in (("stdout", done.stdout), ("stderr", done.stderr)):
        for pattern in expect.get(stream, []):
            assert re.search(pattern, said), f"{stream} has no {pattern!r}:\n{said[:2000]}"
        for pattern in expect.get(f"not_{stream}", []):
            assert not re.search(pattern, said), f"{stream} has {pattern!r}:\n{said[:2000]}"


def serve(folder: Path, arguments: list[str], expect: Expect) -> None:
    checks: dict[str, Callable[[Path, list[str]], None]] = {"log_full": log_full, "options": options}
    assert expect["check"] in checks, f"check {expect['check']!r} is none of {', '.join(checks)}"
    checks[expect["check"]](folder, arguments)


class Serving:
    """A server whose log is not read; its port is polled until it is ready."""

    def __init__(self, folder: Path, arguments: list[str], log: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        words = [str(command.binary()), "serve", *arguments, "--sink", "none", "--listen", f"127.0.0.1:{self.port}"]
        with open(log, "wb") as stderr:
            self.process = subprocess.Popen(words, cwd=folder, stdout=subprocess.DEVNULL, stderr=stderr)

    def __enter__(self) -> "Serving":
        until = time.monotonic() + START_S
        while time.monotonic() < until:
            assert self.process.poll() is None, f"the server ended with {self.process.returncode}"
            try:
                if self.ask(b"GET /readyz HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.0 200"):
                    return self
            except OSError:
                pass
            time.sleep(0.05)
        self.__exit__()
        raise AssertionError(f"not ready within {START_S} s")

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def ask(self, request: bytes) -> bytes:
        """Everything that comes back until the server closes."""
        answer = b""
        with socket.create_connection(("127.0.0.1", self.port), timeout=START_S) as client:
            client.sendall(request)
            while more := client.recv(1 << 16):
                answer += more
        return answer

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(STOP_S)
        assert code == 0, f"exit code {code} after SIGTERM"


def log_full(folder: Path, arguments: list[str]) -> None:
    """Standard error takes nothing: the server starts, answers, and ends with 0."""
    body = b'{"lead_id":"l1","features":{"age":43,"amount":82.9,"visits":8}}'
    request = b"POST /score HTTP/1.0\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (
        len(body),
        body,
    )
    with Serving(folder, arguments, "/dev/full") as server:
        for _ in range(ROWS_BEFORE_THE_LOG_FILLS):
            answer = server.ask(request)
            assert answer.startswith(b"HTTP/1.0 200"), answer[:500]
        server.stop()


def options(folder: Path, arguments: list[str]) -> None:
    """`OPTIONS` says what each path that exists takes."""
    with Serving(folder, arguments, "/dev/null") as server:
        for path in ("/", "*", "/score", "/score/batch", "/healthz", "/readyz", "/metrics", "/v1/schema", "/docs"):
            for head in (
                f"OPTIONS {path} HTTP/1.0\r\n\r\n",
                f"OPTIONS {path} HTTP/1.1\r\nHost: q\r\nConnection: close\r\n\r\n",
            ):
                answer = server.ask(head.encode())
                start, _, rest = answer.partition(b"\r\n")
                fields, _, body = rest.partition(b"\r\n\r\n")
                assert start.split()[1] in (b"200", b"204"), f"{path}: {answer[:500]!r}"
                allow = re.search(rb"(?im)^allow: (.+?)\r?$", fields)
                assert allow and b"OPTIONS" in allow[1], f"{path}: {answer[:500]!r}"
                assert not body, f"{path}: {answer[:500]!r}"
                if path == "/score":
                    assert b"POST" in allow[1], f"{path}: {answer[:500]!r}"
        absent = server.ask(b"OPTIONS /absent HTTP/1.0\r\n\r\n")
        assert absent.split()[1] == b"404", absent[:500]
        server.stop()


CHECKS: dict[str, Callable[[Path, list[str], Expect], None]] = {
    "predictions": predictions,
    "predictions_or_option": predictions_or_option,
    "scored_or_named": scored_or_named,
    "rows_scored": rows_scored,
    "unique_names": unique_names,
    "instants": instants,
    "text": text,
    "serve": serve,
}
