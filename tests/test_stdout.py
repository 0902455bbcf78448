"""The `stdout` sink: every answer is a line, and nothing else is on standard output."""

import json
from collections.abc import Callable
from pathlib import Path

from delivery import DEMO, answered, assert_delivered
from serving import Server


def test_every_answer_is_a_line_on_standard_output(server: Callable[..., Server], tmp_path: Path) -> None:
    output = tmp_path / "out.ndjson"
    running = server(DEMO, sink="stdout", output=output)
    answers = answered(running, 300)
    running.stop()
    assert_delivered([json.loads(line) for line in output.read_text().splitlines()], answers)
