"""Draws docs/images/terminal.svg from what the program really prints: python3 docs/terminal.py target/release/quintile

The commands run in a fresh folder, the server on a port that the system picks and the picture shows as 8080. What a
picture has no room for is cut off at the right.
"""

import os
import socket
import subprocess
import sys
import tempfile
import time
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parent
COLUMNS, LINE, LETTER = 108, 19, 8.4
MARGIN, BAR = 18, 34

LEAD = '{"lead_id": "123", "features": {"f1": 5, "f2": 11, "f5": 4}}'
FAULTY = '{"lead_id": "124", "features": {"f1": "many", "f51": 1}}'
SESSION = [
    "quintile inspect leads.ubj | head -n 9",
    "quintile manifest init leads.ubj leads.csv && grep -A1 quintiles leads.toml",
    "quintile serve --model leads.ubj &",
    f"curl -s localhost:8080/score --json '{LEAD}'",
    f"curl -s localhost:8080/score --json '{FAULTY}'",
    "quintile score --model leads.ubj leads.csv | cut -d, -f1,2,52- | head -n 4",
]


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def prepare(folder: Path, program: Path) -> None:
    (folder / "quintile").symlink_to(program)
    (folder / "leads.ubj").write_bytes((ROOT.parent / "engine" / "demo" / "demo.ubj").read_bytes())
    names = ["lead_id"] + [f"f{column}" for column in range(1, 51)]
    rows = [[f"L{row}"] + [str((row * 37 + column * 11) % 90 / 8) for column in range(50)] for row in range(2000)]
    lines = [names, *rows]
    (folder / "leads.csv").write_text("".join(",".join(line) + "\n" for line in lines))


def session(program: Path) -> list[tuple[str, str]]:
    """Each command with what it printed."""
    port = free_port()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder, program)
        environment = {
            "PATH": f"{folder}:{os.environ['PATH']}",
            "QUINTILE_SERVER__LISTEN": f"127.0.0.1:{port}",
            "QUINTILE_LOG__FORMAT": "text",
            "NO_COLOR": "1",
        }
        server = None
        said = []
        try:
            for command in SESSION:
                line = command.replace("8080", str(port))
                if line.endswith("&"):
                    words = line.removesuffix("&").split()
                    words[0] = str(program)
                    server = subprocess.Popen(words, cwd=folder, env=environment, stderr=subprocess.DEVNULL)
                    ask = [program, "healthcheck"]
                    while subprocess.run(ask, env=environment, capture_output=True, check=False).returncode:
                        time.sleep(0.05)
                    said.append((command, ""))
                    continue
                done = subprocess.run(
                    ["bash", "-c", line], cwd=folder, env=environment, capture_output=True, text=True, check=True
                )
                said.append((command, (done.stdout + "\n").rstrip("\n")))
        finally:
            if server:
                server.terminate()
                server.wait()
    return said


def lines(said: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The lines of the picture, each with its class."""
    drawn: list[tuple[str, str]] = []
    for command, output in said:
        if drawn:
            drawn.append(("", "out"))
        drawn.append((f"$ {command}", "cmd"))
        for line in output.splitlines():
            # An answer is one long line: it is folded as a terminal would.
            folded = [line[at : at + COLUMNS] for at in range(0, min(len(line), 4 * COLUMNS), COLUMNS)] or [""]
            drawn.extend((part, "out") for part in folded)
    return drawn


def svg(drawn: list[tuple[str, str]]) -> str:
    width, height = round(COLUMNS * LETTER + 2 * MARGIN), BAR + len(drawn) * LINE + MARGIN
    rows = [
        f'<text x="{MARGIN}" y="{BAR + (number + 1) * LINE - 5}" class="{kind}">{escape(text[: COLUMNS + 2])}</text>'
        for number, (text, kind) in enumerate(drawn)
        if text
    ]
    dots = "".join(f'<circle cx="{MARGIN + 20 * dot}" cy="17" r="5.5" fill="#4b5263"/>' for dot in range(3))
    style = (
        "text{font:14px ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace;white-space:pre}"
        ".cmd{fill:#98c379}.out{fill:#d7dae0}"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="A terminal session with quintile">\n<style>{style}</style>\n'
        f'<rect width="{width}" height="{height}" rx="9" fill="#1e222a"/>{dots}\n' + "\n".join(rows) + "\n</svg>\n"
    )


if __name__ == "__main__":
    (ROOT / "images" / "terminal.svg").write_text(svg(lines(session(Path(sys.argv[1]).resolve()))), encoding="utf-8")
