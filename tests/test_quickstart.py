"""docs/quickstart.md: every line, as a reader who types it in would see it."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import command

QUICKSTART = Path(__file__).resolve().parents[1] / "docs" / "quickstart.md"
BLOCK = re.compile(r"^```(python|sh)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TIMEOUT_S = 180


def script() -> str:
    """The blocks in their order: Python is saved under the name in its first line, the rest is for a shell."""
    lines = ["set -e", "trap 'kill $(jobs -p) 2>/dev/null || true' EXIT"]
    for kind, text in BLOCK.findall(QUICKSTART.read_text(encoding="utf-8")):
        if kind == "sh":
            lines.append(text)
            continue
        name = re.match(r"# (\w+\.py)\n", text)
        assert name, f"a block of Python without a file's name: {text[:60]}"
        lines.append(f"cat > {name[1]} <<'END'\n{text}END")
    return "\n".join(lines)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def test_every_line_runs_and_does_what_it_says(tmp_path: Path) -> None:
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    (bin_folder / "quintile").symlink_to(command.binary())
    (bin_folder / "python3").symlink_to(sys.executable)
    port = free_port()
    folder = tmp_path / "work"
    folder.mkdir()
    environment = {
        "PATH": f"{bin_folder}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "QUINTILE_SERVER__LISTEN": f"127.0.0.1:{port}",
        # The interpreter is found by its link, its packages by this.
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path.endswith("site-packages")),
    }
    text = script().replace("localhost:8080", f"localhost:{port}")
    assert text.count("quintile ") >= 12 and text.count("curl ") == 5
    done = subprocess.run(
        ["bash", "-c", text],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    said = f"{done.stdout[-6000:]}\n{done.stderr[-3000:]}"
    assert done.returncode == 0, said
    for expected in [
        "binary:logistic",
        "3 categories",
        "[features.visits]",
        "ok     model",
        '"lead_id":"L1","score":',
        "range = [0.0, 1",
        '"unusual":[{"feature":"visits","value":400.0,"seen":[0.0,',
        '"code":"wrong_type","pointer":"/features/visits"',
        'did you mean \\"source\\"?',
        "lead_id,visits,minutes,source,converted,score,probability,error",
    ]:
        assert expected in done.stdout, f"{expected}\n{said}"
    assert done.stdout.count('"lead_id":"L1","score":') == 3
    assert len(re.findall(r"equal to the last bit +5000\n", done.stdout)) == 3, said
