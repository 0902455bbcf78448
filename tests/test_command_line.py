"""The command line as people use it: examples, help, typos, pipes, exit codes, scripts."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import command
from conftest import Note
from serving import Server

DEMO = Path(__file__).resolve().parents[1] / "engine" / "demo" / "demo.ubj"
USAGE, CONFIGURATION = 2, 78
# Serving is another test's; what its examples ask for is checked all the same.
SERVES = re.compile(r"quintile serve\b")
ADDRESS = re.compile(r"(0\.0\.0\.0|127\.0\.0\.1):8080")


def commands(*path: str) -> list[tuple[str, ...]]:
    """Every command that the help lists, those within others too."""
    help_text = command.run(*path, "-h").stdout
    names = re.findall(r"^  ([a-z][\w-]*) ", help_text, re.MULTILINE) if "<COMMAND>" in help_text else []
    return [found for name in names if name != "help" for found in commands(*path, name)] or [path]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the examples name: a model, a configuration, rows in every format, what the model gives for them."""
    folder = tmp_path_factory.mktemp("examples")
    for name in ["model.ubj", "model.txt"]:
        shutil.copy(DEMO, folder / name)
    (folder / "quintile.toml").write_text('[server]\nlisten = "127.0.0.1:0"\n[limits]\nidle_ms = 60_000\n')
    (folder / "other.toml").write_text('name = "other"\n')
    names = [feature["name"] for feature in json.loads(command.run("inspect", "--json").stdout)["features"]]
    rows = [{name: (row * 7 + column * 3) % 11 for column, name in enumerate(names)} for row in range(40)]
    frame = pd.DataFrame(rows)
    frame.insert(0, "lead_id", [f"L{row}" for row in range(len(frame))])
    for name in ["rows", "leads"]:
        frame.to_csv(folder / f"{name}.csv", index=False)
        frame.to_parquet(folder / f"{name}.parquet", index=False)
    predictions = command.score(DEMO, folder / "rows.csv", "prediction")
    np.savetxt(folder / "predictions.csv", predictions)
    np.savetxt(folder / "margins.csv", command.score(DEMO, folder / "rows.csv", "margin"))
    frame.assign(prediction=predictions[:, 0]).to_parquet(folder / "rows.parquet", index=False)
    frame.drop(columns="lead_id").to_json(folder / "leads.ndjson", orient="records", lines=True)
    for path in [".local/share/bash-completion/completions", ".zfunc", ".config/fish/completions", "bin"]:
        (folder / path).mkdir(parents=True)
    (folder / "bin" / "quintile").symlink_to(command.binary())
    server = Server(folder / "model.ubj", folder / "data")
    connection = server.connect()
    for number in range(40):
        assert connection.score(f"L{number}", {"f1": number}).status == 200
    connection.close()
    server.stop()
    for name in ["new.ubj", "old.ubj"]:
        shutil.copy(DEMO, folder / name)
    (folder / "models").mkdir()
    outcomes = "".join(f"L{number},{number % 2}\n" for number in range(40))
    (folder / "converted.csv").write_text("lead_id,outcome\n" + outcomes)
    return folder


def shell(folder: Path, line: str) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
        "HOME": str(folder),
        "QUINTILE_SERVER__LISTEN": "127.0.0.1:0",
    }
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", line],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("path", commands(), ids=" ".join)
def test_every_command_has_three_examples_and_they_run(path: tuple[str, ...], folder: Path, note: Note) -> None:
    text = command.run(*path, "--help").stdout
    examples = re.search(r"^Examples:\n((?:  .*\n?)+)", text, re.MULTILINE)
    assert examples, text
    lines = [line.strip() for line in examples[1].splitlines()]
    assert len(lines) >= 3, lines
    if path == ("healthcheck",):
        return  # test_a_server_is_asked_whether_it_is_ready has the server
    for line in lines:
        (folder / "model.toml").unlink(missing_ok=True)
        if path == ("fit-bands",):
            assert shell(folder, "quintile manifest init model.ubj").returncode == 0
        if path[0] == "models" and ("--server" in line or "s3://" in line):
            continue  # test_model_store has servers and a bucket
        if "man -l" in line and not shutil.which("man"):
            note(f"not run for want of man: {line}")
            continue
        tried = ADDRESS.sub("127.0.0.1:0", SERVES.sub("quintile check", line)).replace("/data/spool", "data/spool")
        # What is timed is another test's.
        tried += " --seconds 1" if path == ("time",) else ""
        done = shell(folder, tried)
        assert done.returncode == 0, f"{line}\n{done.stdout[-1000:]}\n{done.stderr[-1000:]}"


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["scroe", "x.csv"], "score"),
        (["inspct"], "inspect"),
        (["serve", "--modle", "x"], "--model"),
        (["score", "--ouput", "margin", "x.csv"], "--output"),
        (["score", "--output", "margins", "x.csv"], "margin"),
        (["config", "shw"], "show"),
        (["man", "scor"], "score"),
        (["verify", "--model", "x.ubj"], "quintile verify MODEL"),
        (["manifest", "init", "--model", "x.ubj"], "quintile manifest init MODEL"),
        (["drift", "x.ubj"], "quintile drift --model MODEL"),
    ],
    ids=" ".join,
)
def test_typos_are_met_with_what_was_meant(words: list[str], meant: str) -> None:
    done = command.run(*words)
    assert done.returncode == USAGE and not done.stdout, done
    assert meant in done.stderr and len(done.stderr.splitlines()) < 12, done.stderr


def test_help_is_short_and_long() -> None:
    short, long = (command.run("serve", flag).stdout for flag in ("-h", "--help"))
    assert len(short) < len(long) and "Examples:" not in short and "QUINTILE_SERVER__LISTEN" in short
    assert command.run().returncode == USAGE
    assert "78" in command.run("--help").stdout
    headings = re.findall(r"^([A-Z][\w ]*):$", command.run("score", "-h").stdout, re.MULTILINE)
    assert headings == ["Arguments", "Options", "Model", "Results", "Rows"], headings
    assert re.findall(r"^([A-Z][\w ]*):$", command.run("-h").stdout, re.MULTILINE)[:2] == ["Serve", "Score files"]


def test_versions() -> None:
    assert json.loads(command.run("--version", "--format", "json").stdout)["kernels"]
    short, long, told = (command.run(*words).stdout for words in (["-V"], ["--version"], ["version", "--json"]))
    assert short.count("\n") == 1 and short.startswith("quintile ")
    facts = json.loads(told)
    assert facts["version"] in short and facts["commit"] in short and facts["target"] in short
    assert long == short, "one line, however it is asked for; quintile version has the rest"
    table = command.run("version").stdout
    names = {kernel["name"] for kernel in facts["kernels"]}
    assert {"reference", "scalar", "avx2", "avx512", "avx512bw", "neon"} <= names
    assert facts["runtime"] in ("epoll", "glommio")
    assert all(kernel["usable"] == (kernel["why_not"] is None) for kernel in facts["kernels"])
    assert "kernels" in table and facts["runtime_why"] in table


def test_shells_and_manual() -> None:
    for name in ["bash", "zsh", "fish"]:
        text = command.run("completions", name).stdout
        assert "healthcheck" in text and "fit-bands" in text
    check = subprocess.run(
        ["bash", "-n"], input=command.run("completions", "bash").stdout, text=True, capture_output=True, check=False
    )
    assert check.returncode == 0, check.stderr
    page = command.run("man").stdout
    assert page.startswith((".ie", ".TH")) and "EXIT STATUS" in page and "\\fB78\\fR" in page
    assert "output" in command.run("man", "score").stdout


def test_a_reader_that_goes_away_is_no_failure(folder: Path) -> None:
    many = "for i in $(seq 400); do tail -n +2 rows.csv; done | cat <(head -n 1 rows.csv) -"
    for line in [
        "quintile inspect --all --json | head -c 20",
        f"({many}) | quintile score --output margin - | head -n 2",
        "quintile man | head -n 1",
        *(
            f"quintile {words} | head -c 1"
            for words in [
                "--help",
                "--version",
                "version --json",
                "check",
                "config show",
                "config schema",
                "completions zsh",
                "spool inspect",
                "manifest init model.ubj --out -",
                "time --seconds 1",
            ]
        ),
    ]:
        done = shell(folder, f"set +o pipefail; {{ {line}; }}; echo ${{PIPESTATUS[0]}}")
        said = [line for line in done.stderr.splitlines() if not line.startswith("quintile: note: ")]
        assert not said, f"{line}\n{done.stderr}"
    line = f"({many}) > many.csv; quintile score many.csv 2>/dev/null | head -n 1 > /dev/null; echo ${{PIPESTATUS[0]}}"
    assert shell(folder, f"set +o pipefail; {line}").stdout.strip() == "0"


def test_a_server_is_asked_whether_it_is_ready(server: Callable[..., Server]) -> None:
    running = server(DEMO)
    address = f"{running.host}:{running.port}"
    done = command.run("healthcheck", address)
    assert (done.returncode, done.stdout) == (0, "200\n"), done
    assert command.run("healthcheck", address, "--path", "/healthz").returncode == 0
    done = command.run("healthcheck", address, "--path", "/nothing")
    assert done.returncode == 1 and "answers 404" in done.stderr
    # The listening port itself is not free, and check says so.
    done = command.run("check", "--listen", address, "--json")
    checks = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    assert done.returncode == CONFIGURATION and not checks["listen"]["ok"] and checks["model"]["ok"]
    done = command.run("healthcheck", address, "--wait", "1m")
    assert (done.returncode, done.stdout, done.stderr) == (0, "200\n", ""), done
    running.stop()
    assert command.run("healthcheck", address, "--timeout-ms", "500").returncode == 1
    done = command.run("healthcheck", address, "--wait", "200ms")
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1, done


def test_check_finds_everything_at_once(tmp_path: Path) -> None:
    config = tmp_path / "q.toml"
    config.write_text("[server]\nshrads = 2\n[limits]\nidle_ms = 1\n")
    done = command.run("check", "--config", config, "--format", "json")
    told = json.loads(done.stdout)
    assert done.returncode == CONFIGURATION and not told["ok"]
    places = {fault["place"]: fault for check in told["checks"] for fault in check["faults"]}
    assert places[f"{config}:2:1"]["hint"] == "did you mean shards?"
    assert "from 100 to" in places[f"{config}:4:11"]["message"]
    shutil.copy(DEMO, tmp_path / "m.ubj")
    (tmp_path / "m.toml").write_text("nmae = 1\n[features.f51]\nlabel = 'x'\n")
    closed = tmp_path / "closed"
    closed.write_text("a file where a folder is needed")
    done = command.run("check", "--model", tmp_path / "m.ubj", "--data-dir", closed / "x", "--listen", "127.0.0.1:0")
    assert done.returncode == CONFIGURATION
    assert f"{tmp_path / 'm.toml'}:1:1: unknown key" in done.stdout and "FAULT  records" in done.stdout, done.stdout
    done = command.run("check", "--config", config, "--format", "csv")
    rows = list(csv.DictReader(done.stdout.splitlines()))
    assert rows[0]["place"] == f"{config}:2:1" and rows[0]["ok"] == "false" and "shards" in rows[0]["hint"]
    done = command.run("check", "--shards", "0")
    assert done.returncode == CONFIGURATION and "--shards: is 0" in done.stdout


def test_config_shows_where_values_come_from(tmp_path: Path) -> None:
    config = tmp_path / "q.toml"
    config.write_text("[server]\nshards = 2\n")
    told = json.loads(command.run("config", "show", "--config", config, "--runtime", "epoll", "--json").stdout)
    values = {key["key"]: (key["value"], key["source"]) for key in told}
    assert values["server.shards"] == ("2", f"{config}:2:10")
    assert values["server.runtime"] == ("epoll", "--runtime")
    assert values["limits.idle_ms"][1] == "default" and values["server.cpus"] == (None, "detected")
    assert values["records.s3_url"] == (None, "unset")
    assert {key["key"]: key["unit"] for key in told}["limits.idle_ms"] == "ms"
    rows = list(csv.DictReader(command.run("config", "show", "--format", "csv").stdout.splitlines()))
    assert {row["key"] for row in rows} == set(values)
    schema = json.loads(command.run("config", "schema").stdout)
    assert set(keys_of(schema)) == set(values)


def keys_of(schema: dict, above: str = "") -> Iterator[str]:
    """The keys of a configuration, of sections within sections too."""
    for name, inner in schema["properties"].items():
        if "properties" in inner:
            yield from keys_of(inner, f"{above}{name}.")
        else:
            yield f"{above}{name}"


def test_rows_come_back_with_score_probability_and_error(folder: Path) -> None:
    frame = pd.read_csv(folder / "leads.csv")
    frame["note"] = 'a "quoted", text'
    text = frame.to_csv(index=False).splitlines()
    text[2] = text[2].replace(",", ",x", 1)
    text.insert(3, "too,short")
    (folder / "odd.csv").write_text("\n".join(text) + "\n")
    done = shell(folder, "quintile score odd.csv")
    assert done.returncode == 0 and "2 of 41 rows have no score" in done.stderr, done.stderr
    scored = list(csv.DictReader(done.stdout.splitlines()))
    assert list(scored[0]) == [*frame.columns, "score", "probability", "error"]
    assert [row["lead_id"] for row in scored][:4] == ["L0", "L1", "too", "L2"] and scored[0][
        "note"
    ] == 'a "quoted", text'
    assert "is no number" in scored[1]["error"] and not scored[1]["score"] and "has 2 cells" in scored[2]["error"]
    assert scored[1]["f1"].startswith("x")
    good = [row for row in scored if not row["error"]]
    exact = command.score(DEMO, folder / "leads.csv", "prediction")[:, 0]
    assert [float(row["probability"]) for row in good] == [value for at, value in enumerate(exact) if at != 1]
    strict = shell(folder, "quintile score --strict odd.csv")
    assert strict.returncode == 1 and "row 2 (line 3)" in strict.stderr
    # A file may be scored twice: the columns of the first time stay, those of the second have other names.
    twice = shell(folder, "quintile score leads.csv > once.csv && quintile score once.csv")
    once = list(csv.DictReader((folder / "once.csv").read_text().splitlines()))
    again = {f"quintile.{name}": name for name in ("score", "probability", "error")}
    expected = [row | {name: row[first] for name, first in again.items()} for row in once]
    assert list(csv.DictReader(twice.stdout.splitlines())) == expected, twice.stderr


def test_rows_come_back_in_their_own_format(folder: Path) -> None:
    expected = command.score(DEMO, folder / "leads.csv", "prediction")[:, 0].tolist()
    assert shell(folder, "quintile score leads.parquet --out back.parquet").returncode == 0
    given, back = pd.read_parquet(folder / "leads.parquet"), pd.read_parquet(folder / "back.parquet")
    pd.testing.assert_frame_equal(back[given.columns], given)
    assert back["probability"].tolist() == expected and back["error"].isna().all()
    lines = shell(folder, "quintile score leads.ndjson").stdout.splitlines()
    objects = [json.loads(line) for line in lines]
    assert [value["probability"] for value in objects] == expected and objects[0]["error"] is None
    assert list(objects[0])[-3:] == ["score", "probability", "error"] and objects[3]["f2"] == given["f2"][3]
    (folder / "odd.ndjson").write_text('{"f1": 1}\n{"f1": "x"}\nno json\n{"f1": 2}\n')
    objects = [json.loads(line) for line in shell(folder, "quintile score odd.ndjson").stdout.splitlines()]
    assert "must be a number" in objects[1]["error"] and objects[1]["f1"] == "x" and objects[2]["line"] == "no json"
    assert objects[3]["score"] in range(1, 6) and objects[3]["f1"] == 2
    for line in ["leads.csv --to parquet --out c.parquet", "leads.csv --to ndjson", "leads.parquet --to csv"]:
        done = shell(folder, f"quintile score {line}")
        assert done.returncode == 0, done.stderr
    assert pd.read_parquet(folder / "c.parquet")["probability"].tolist() == expected
    rows = list(csv.DictReader(shell(folder, "quintile score leads.parquet --to csv").stdout.splitlines()))
    assert [float(row["probability"]) for row in rows] == expected and rows[5]["lead_id"] == "L5"


def test_manifests_are_written_and_refitted(folder: Path) -> None:
    model = folder / "own.ubj"
    shutil.copy(DEMO, model)
    place = folder / "own.toml"
    assert shell(folder, "quintile manifest init own.ubj leads.csv --strict").returncode == 0
    told = tomllib.loads(place.read_text())
    frame = pd.read_csv(folder / "leads.csv")
    assert len(told["features"]) == 50 and told["features"]["f3"]["type"] == "integer"
    assert told["features"]["f3"]["range"] == [frame["f3"].min(), frame["f3"].max()]
    again = shell(folder, "quintile manifest init own.ubj")
    assert again.returncode == 1 and "--renew takes what rows say" in again.stderr and "--force" in again.stderr
    # It loads, its golden rows are met, and each score is a fifth of the rows.
    assert json.loads(command.run("inspect", model, "--json").stdout)["golden_rows"] == len(told["golden"]) == 5
    scored = list(csv.DictReader(shell(folder, "quintile score --model own.ubj leads.csv").stdout.splitlines()))
    counts = pd.Series([row["score"] for row in scored]).value_counts()
    assert counts.max() - counts.min() <= 4, counts
    # Fitting changes the edges and nothing else.
    before = place.read_text().replace(f"edges = {told['edges']}", "edges = [0.1, 0.2, 0.3, 0.4] # mine", 1)
    assert "# mine" in before
    place.write_text(before)
    assert shell(folder, "quintile fit-bands own.ubj leads.csv --dry-run").returncode == 0
    assert place.read_text() == before
    assert shell(folder, "quintile fit-bands own.ubj leads.csv").returncode == 0
    assert place.read_text() == before.replace("[0.1, 0.2, 0.3, 0.4]", str(told["edges"]))
    shutil.copy(DEMO, folder / "loose.ubj")
    loose = shell(folder, "quintile manifest init loose.ubj leads.csv --loose --out -").stdout
    assert "\n# range = " in loose and tomllib.loads(loose)["features"]["f3"].get("range") is None


def test_results_are_on_stdout_and_the_rest_is_not(folder: Path) -> None:
    done = shell(folder, "quintile score leads.csv --output margin 2>/dev/null")
    assert done.stdout.startswith("margin\n") and done.stdout.count("\n") == 41
    assert "\x1b" not in shell(folder, "quintile score nothing.csv; quintile inspect; quintile serve --shards x").stderr
    assert sys.stdout is not None
