"""The Python of `docs/models-in-motion.md` computes the places that its table states."""

import re
from pathlib import Path

PAGE = Path(__file__).resolve().parents[1] / "docs" / "models-in-motion.md"
ROW = re.compile(r"^\| `([^`]+)` \| `([^`]+)` \| `([0-9a-f]{16})` \| ([0-9.]+) \|$", re.MULTILINE)


def test_places_are_those_of_the_table() -> None:
    text = PAGE.read_text("utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    names: dict = {}
    exec(compile(code, str(PAGE), "exec"), names)
    rows = ROW.findall(text)
    assert len(rows) == 5
    for model, lead_id, digest, place in rows:
        assert names["place"](model, lead_id) == float(place) == (int(digest, 16) >> 11) / 2**53
