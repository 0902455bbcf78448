"""docs/http.md knows every path, status and code of the source, and no others; its examples are answered as it says."""

import json
import re
import subprocess
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any

from serving import Server

ROOT = Path(__file__).resolve().parents[1]
HTTP = ROOT / "engine" / "src" / "http"
READ = ROOT / "scoring" / "src" / "read"
DOCS = (ROOT / "docs" / "http.md").read_text()
WORD = r'"([a-z_]+)"'
# What the http crate calls otherwise than Python.
STATUSES = {status.name: status.value for status in HTTPStatus} | {
    "PAYLOAD_TOO_LARGE": 413,
    "UNPROCESSABLE_ENTITY": 422,
}


def body_of(text: str, start: str) -> str:
    """From `start` to the brace that closes at the same depth as its line."""
    line = next(line for line in text.splitlines() if start in line)
    indent = line[: len(line) - len(line.lstrip())]
    return text[text.index(start) :].split(f"\n{indent}}}\n", 1)[0]


def codes(path: Path, start: str) -> set[str]:
    found = set(re.findall(WORD, body_of(path.read_text(), start)))
    assert found, f"no code in {start} of {path}"
    return found


def section(title: str) -> str:
    return DOCS.split(f"# {title}\n", 1)[1].split("\n#", 1)[0]


def examples() -> list[tuple[str, str]]:
    """Commands of the page and what it says that they are answered."""
    return re.findall(r"```\n((?:curl|printf)[^`]+)```\n```json\n([^`]+)```", DOCS)


def test_every_example_is_answered_as_it_says(server: Callable[..., Server]) -> None:
    running = server(ROOT / "engine" / "demo" / "demo.ubj")
    assert len(examples()) == 3
    for command, told in examples():
        command = command.replace("localhost:8080", f"{running.host}:{running.port}")
        done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
        assert values(done.stdout) == values(told), command


def values(text: str) -> list[Any]:
    """The JSON values of a text, without what differs from run to run."""
    found, at = [], 0
    while text[at:].strip():
        at += len(text[at:]) - len(text[at:].lstrip())
        value, at = json.JSONDecoder().raw_decode(text, at)
        found.append(settled(value))
    return found


def settled(value: Any) -> Any:
    if isinstance(value, list):
        return [settled(item) for item in value]
    if isinstance(value, dict):
        changing = {"probability": 0, "request_id": "", "latency_us": {}}
        return {key: changing.get(key, settled(item)) for key, item in value.items()}
    return value


def test_every_status_and_code_is_in_the_table() -> None:
    table = body_of((HTTP / "error.rs").read_text(), "fn status(&self)")
    of_source = set(re.findall(rf"StatusCode::(\w+),\s*{WORD}", table))
    wanted = {(str(STATUSES[name]), code) for name, code in of_source}
    assert len(wanted) > 10
    assert {code for _, code in wanted} == codes(HTTP / "error.rs", "fn status(&self)"), "a code without its status"
    told = set(re.findall(r"^\| (\d{3}) \| `([a-z_]+)` \|", section("Errors"), re.MULTILINE))
    assert told == wanted


def test_every_code_of_a_lead_is_told() -> None:
    told = set(re.findall(r"`([a-z_]+)`", section("Errors")))
    assert codes(READ / "batch" / "mod.rs", "fn code(self)") <= told


def test_every_fault_is_in_the_table() -> None:
    told = set(re.findall(r"^\| `([a-z_]+)` \|", section("Faults of an `invalid_request`"), re.MULTILINE))
    assert told == codes(READ / "faults.rs", "fn code(&self)")


def test_every_path_is_in_the_table() -> None:
    routes = body_of((HTTP / "admit.rs").read_text(), "fn find(http: &HttpShard")
    paths = set(re.findall(r'^ +"(/[^"]*)"', routes, re.MULTILINE))
    pages = body_of((HTTP / "pages" / "mod.rs").read_text(), "fn at(path: &str")
    paths |= set(re.findall(r'^ +"(/[^"]*)"', pages, re.MULTILINE))
    paths |= set(re.findall(r'(?:ours|packed)\(\s*"(/[^"]*)"', (HTTP / "pages" / "files.rs").read_text()))
    told = {
        path for row in re.findall(r"^\|((?: `/[^`]*`,?)+) \|", DOCS, re.MULTILINE) for path in row.split("`")[1::2]
    }
    assert paths == told
