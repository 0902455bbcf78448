"""Every test that docs/specification.md names is there."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SPECIFICATION = ROOT / "docs" / "specification.md"
NAMED = re.compile(r"`([\w./-]+\.(rs|py))::(\w+)`")


def test_every_promise_has_its_test() -> None:
    named = NAMED.findall(SPECIFICATION.read_text())
    assert len(named) > 50, "the specification has lost its tests"
    absent = [f"{path}::{name}" for path, ending, name in named if not has_test(ROOT / path, ending, name)]
    assert not absent, "\n".join(absent)


def has_test(path: Path, ending: str, name: str) -> bool:
    # A Rust test may be made by a macro that runs it on both runtimes, so its attribute is not looked for.
    word = {"rs": "fn", "py": "def"}[ending]
    return path.is_file() and re.search(rf"^ *{word} {name}\(", path.read_text(), re.MULTILINE) is not None
