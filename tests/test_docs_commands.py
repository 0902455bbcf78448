"""Every block of commands in the README and in `docs/` runs, or says above itself why it does not:
`<!-- untested: why -->`.

What another test runs as it stands is left to that test; the rest runs here, each block in a folder where a server with
the demo model has left records, while another one runs.
"""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import command
import test_http_docs
import test_quickstart
import test_records
from serving import Server

ROOT = Path(__file__).resolve().parents[1]
DEMO = ROOT / "engine" / "demo" / "demo.ubj"
FENCE = re.compile(r"^ *```(?P<language>\w*)\n(?P<text>.*?)^ *```$", re.MULTILINE | re.DOTALL)
UNTESTED = re.compile(r"^ *<!-- untested: (?P<why>.+) -->$")
DRAWN = re.compile("[─│▶◀]")
NO_COMMANDS = {"json", "text", "toml"}
TIMEOUT_S = 60


class Block(NamedTuple):
    page: str
    line: int
    text: str
    untested: str | None

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(page: Path) -> Iterator[Block]:
    """Fenced blocks but data, text and drawings: what a reader would type."""
    text = page.read_text("utf-8")
    for found in FENCE.finditer(text):
        if found["language"] in NO_COMMANDS or DRAWN.search(found["text"]):
            continue
        above = text[: found.start()].splitlines()
        mark = UNTESTED.match(above[-1]) if above else None
        yield Block(str(page.relative_to(ROOT)), len(above) + 1, found["text"], mark["why"] if mark else None)


PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]
BLOCKS = [block for page in PAGES for block in blocks(page)]


def elsewhere(block: Block) -> bool:
    """Whether another test runs it as it stands."""
    match block.page:
        case "docs/quickstart.md":
            return block.text in test_quickstart.script()
        case "docs/http.md":
            return block.text in [command for command, _ in test_http_docs.examples()]
        case "docs/records.md":
            return block.text in test_records.queries()
    return False


HERE = [block for block in BLOCKS if block.untested is None and not elsewhere(block)]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str, str]]:
    """A folder with `data` in it, and where a server's two listeners are."""
    folder = tmp_path_factory.mktemp("docs")
    with Server(DEMO, folder / "data") as server:
        connection = server.connect()
        for lead in ("123", "124"):
            assert connection.score(lead, {"f1": 5.0}).status == 200
        connection.close()
        server.stop()
    admin = f"127.0.0.1:{free_port()}"
    with Server(DEMO, folder / "other", settings={"SERVER__ADMIN": admin}) as server:
        yield folder, f"{server.host}:{server.port}", admin


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize("block", HERE, ids=str)
def test_a_block_of_commands_runs(block: Block, place: tuple[Path, str, str], tmp_path: Path) -> None:
    folder, address, admin = place
    for name, program in (("quintile", command.binary()), ("python3", sys.executable)):
        (tmp_path / name).symlink_to(program)
    text = block.text.replace("localhost:8080", address).replace("127.0.0.1:9901", admin)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", text.replace("seconds=10", "seconds=1")],
        cwd=folder,
        env={
            **os.environ,
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
            # The interpreter is found by its link, its packages by this.
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path.endswith("site-packages")),
            "QUINTILE_SERVER__LISTEN": "127.0.0.1:0",
        },
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, f"exit {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    assert done.stdout or list(folder.glob("flame.*")), "it did nothing that can be seen"


def test_blocks_are_found() -> None:
    """A pattern that found nothing would let everything pass."""
    assert len(BLOCKS) > 40, len(BLOCKS)
    assert len(HERE) >= 5, [str(block) for block in HERE]
    assert all(len(block.untested or "not at all") >= 8 for block in BLOCKS), "a reason is a few words"
