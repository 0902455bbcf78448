"""The progress line of `quintile score`, on a terminal."""

import os
import pty
import re
import select
import subprocess
from pathlib import Path

import command

NAMES = ",".join(f"f{number}" for number in range(1, 51))
ROWS = (",".join("1" for _ in range(50)) + "\n") * 1000
ROUNDS_MAX = 20_000


def test_a_terminal_sees_how_far_it_is(tmp_path: Path) -> None:
    watched, terminal = pty.openpty()
    out = tmp_path / "out.csv"
    words = [str(command.binary()), "score", "--kernel", "reference", "--out", str(out), "-"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=terminal) as scoring:
        os.close(terminal)
        assert scoring.stdin
        scoring.stdin.write(f"{NAMES}\n".encode())
        seen = b""
        rounds = 0
        # Rows without end, until it has spoken: how long that takes is the machine's business.
        while b"a second" not in seen and rounds < ROUNDS_MAX:
            scoring.stdin.write(ROWS.encode())
            rounds += 1
            if select.select([watched], [], [], 0)[0]:
                seen += os.read(watched, 4096)
        scoring.stdin.close()
        while True:
            try:
                piece = os.read(watched, 4096)
            except OSError:  # Linux says so when the other side is closed.
                break
            if not piece:
                break
            seen += piece
        assert scoring.wait(command.TIMEOUT_S) == 0
    os.close(watched)
    assert re.search(rb"\r[0-9]+ rows, [0-9]+ a second\x1b\[K", seen), seen[:200]
    assert re.search(rb"\r\x1b\[Kquintile: [0-9]+ scored, 0 not, in [^\r]+\r\n$", seen), "the line is gone at the end"
    assert out.read_text().count("\n") == 1 + 1000 * rounds
