"""The OpenAPI document: valid, true of the running server, and the same from the command line."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

import command
from serving import Server

ROOT = Path(__file__).resolve().parents[1]
DEMO = ROOT / "engine" / "demo" / "demo.ubj"
FIXTURES = ROOT / "model" / "tests" / "fixtures"
# Examples of an operation and phase: they vary every keyword of a feature, and take half a minute in all.
EXAMPLES = 25

RULES = """
name = "ruled"
version = "2"
description = "Every kind of rule"
owner = "leads@example.com"
[features.f1]
type = "integer"
range = [0, 100]
unit = "visits"
required = true
[features.f2]
type = "boolean"
[features.f3]
categories = ["ad", "organic", "event"]
required = true
[features.f4]
range = [-1.5, 2.5]
label = "Share"
[features.f5]
type = "category"
"""


def ruled(folder: Path) -> Path:
    model = folder / "ruled.ubj"
    model.write_bytes(DEMO.read_bytes())
    model.with_suffix(".toml").write_text(RULES)
    return model


def models(folder: Path) -> dict[str, Path]:
    return {
        "demo": DEMO,
        "ruled": ruled(folder),
        "names": FIXTURES / "category-names.json",
        "classes": FIXTURES / "objective-multi-softprob.json",
    }


@pytest.mark.parametrize("name", ["demo", "ruled", "names", "classes"])
def test_the_document_is_valid_and_the_same_without_a_server(
    name: str, tmp_path: Path, server: Callable[..., Server]
) -> None:
    model = models(tmp_path)[name]
    printed = command.run("openapi", model)
    assert printed.returncode == 0, printed.stderr
    document = json.loads(printed.stdout)
    OpenAPIV31SpecValidator(document).validate()
    connection = server(model, sink="none").connect()
    served = connection.request("GET", "/openapi.json")
    assert served.json() == document
    lead = document["components"]["examples"]["Lead"]["value"]
    told = document["components"]["examples"]["ScoreAnswer"]["value"]
    answer = connection.score(lead["lead_id"], lead["features"])
    assert answer.status == 200, answer.body
    same = ["lead_id", "score", "probability", "prediction", "predictions", "model"]
    assert [answer.json().get(key) for key in same] == [told.get(key) for key in same]


@pytest.mark.parametrize("name", ["demo", "ruled", "names"])
def test_schemathesis_finds_nothing(name: str, tmp_path: Path, server: Callable[..., Server]) -> None:
    """Requests that the document allows are answered as it says, and all others are refused as it says."""
    running = server(models(tmp_path)[name], sink="none")
    words = [sys.executable, "-m", "schemathesis.cli", "run", f"http://{running.host}:{running.port}/openapi.json"]
    words += ["--checks", "all", "--max-examples", str(EXAMPLES), "--seed", "1", "--no-color", "--workers", "1"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
