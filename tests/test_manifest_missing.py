"""`manifest init` on rows whose missing values are written as something else, and what records keep of them."""

import json
import tomllib
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import xgboost as xgb

import command
from serving import Server

COUNT = 500
HOLD = "remove the # if training took it for missing"


def train(folder: Path, missing: float) -> tuple[Path, xgb.Booster, np.ndarray]:
    """A model of two features, the first of which holds `missing` in every fifth row."""
    rng = np.random.Generator(np.random.PCG64(3))
    rows = np.column_stack([rng.integers(1, 60, COUNT).astype(float), rng.integers(0, 9, COUNT).astype(float)])
    label = np.where(np.arange(COUNT) % 5 == 0, 100.0, rows[:, 0]) + rows[:, 1]
    rows[::5, 0] = missing
    data = xgb.DMatrix(rows, label, missing=missing, feature_names=["amount", "visits"])
    booster = xgb.train({"nthread": 1, "max_depth": 3}, data, 5)
    path = folder / "model.ubj"
    booster.save_model(path)
    return path, booster, rows


def predict(booster: xgb.Booster, rows: np.ndarray, missing: float) -> list[float]:
    found = booster.predict(xgb.DMatrix(rows, missing=missing, feature_names=["amount", "visits"]))
    return [float(one) for one in found]


def init(model: Path, *words: str | Path) -> tuple[str, str]:
    done = command.run("manifest", "init", model, *words)
    assert done.returncode == 0, done.stderr
    return model.with_suffix(".toml").read_text(), done.stderr


def test_a_sentinel_is_proposed_and_right_once_its_line_counts(tmp_path: Path) -> None:
    model, booster, rows = train(tmp_path, -999.0)
    table = command.write_rows(tmp_path / "rows.csv", ["amount", "visits"], rows.tolist())
    text, _ = init(model, table, "--strict")
    proposal = f'# missing = -999.0   # {COUNT // 5} of {COUNT} rows of "amount" hold it: {HOLD}'
    assert text.count(HOLD) == 1 and proposal in text, text
    expected = predict(booster, rows, -999.0)
    # A comment changes nothing.
    assert command.score(model, table, "prediction")[:, 0].tolist() != expected
    fitted = text.replace(proposal, proposal.removeprefix("# ")).replace("range = [-999.0, 59.0]\n", "")
    assert fitted.count("range = ") == text.count("range = ") - 1
    model.with_suffix(".toml").write_text(fitted.split("\n# Rows in column order")[0])
    assert command.score(model, table, "prediction")[:, 0].tolist() == expected
    # What is stated is kept, and its golden rows are met.
    again, _ = init(model, table, "--force", "--strict")
    told = tomllib.loads(again)
    assert told["features"]["amount"]["missing"] == [-999.0] and HOLD not in again
    assert told["features"]["amount"]["range"] == [1.0, 59.0]
    assert json.loads(command.run("inspect", model, "--json").stdout)["golden_rows"] == len(told["golden"])
    assert command.score(model, table, "prediction")[:, 0].tolist() == expected


@pytest.mark.parametrize("line", ["missing = 0.0\n", "missing = [0.0, -1.0]\n"])
def test_the_list_of_a_manifest_outlives_a_new_one(line: str, tmp_path: Path) -> None:
    model, booster, rows = train(tmp_path, 0.0)
    model.with_suffix(".toml").write_text(line + "[features.visits]\nmissing = []\n")
    table = command.write_rows(tmp_path / "rows.csv", ["amount", "visits"], rows.tolist())
    before = command.score(model, table, "prediction")[:, 0].tolist()
    told = tomllib.loads(init(model, table, "--force")[0])
    stated = tomllib.loads(line)["missing"]
    assert told["missing"] == (stated if isinstance(stated, list) else [stated])
    assert told["features"]["visits"]["missing"] == []
    assert command.score(model, table, "prediction")[:, 0].tolist() == before
    assert before != predict(booster, rows, -5.0)


@pytest.mark.parametrize("suffix", ["csv", "ndjson"])
def test_texts_for_missing_values_are_taken_for_them_with_a_note(suffix: str, tmp_path: Path) -> None:
    model, booster, rows = train(tmp_path, np.nan)
    texts = ["NA" if place % 2 else "\\N" for place in range(COUNT)]
    cells = [[text if np.isnan(row[0]) else row[0], row[1]] for text, row in zip(texts, rows.tolist(), strict=True)]
    table = tmp_path / f"rows.{suffix}"
    if suffix == "csv":
        table.write_text("amount,visits\n" + "".join(f"{one},{other}\n" for one, other in cells))
    else:
        table.write_text("".join(json.dumps(dict(zip(["amount", "visits"], row, strict=True))) + "\n" for row in cells))
    assert "--missing" in command.refusal("score", "--output", "margin", "--model", model, table)
    text, said = init(model, table)
    flags = r"quintile score --missing '\N' --missing NA"
    assert flags in said and flags in text
    assert f"it was missing in {COUNT // 5} of {COUNT} rows" in text
    done = command.run(
        "score", "--output", "prediction", "--model", model, "--missing", r"\N", "--missing", "NA", table
    )
    assert [float(one) for one in done.stdout.splitlines()[1:]] == predict(booster, rows, np.nan), done.stderr
    # If a flag names them, there is no note.
    _, said = init(model, table, "--force", "--missing", "NA", "--missing", r"\N")
    assert "--missing" not in said
    edges = command.run("fit-bands", model, table, "--missing", "NA", "--missing", r"\N", "--dry-run")
    assert edges.returncode == 0, edges.stderr


def test_a_text_that_is_no_such_text_is_refused(tmp_path: Path) -> None:
    model, _, _ = train(tmp_path, np.nan)
    table = tmp_path / "rows.csv"
    table.write_text("amount,visits\n1,2\nNA,3\nmuch,4\n")
    said = command.refusal("manifest", "init", model, table)
    assert 'row 3 (line 4), column "amount": "much" is no number' in said and "--missing TEXT" in said
    assert not model.with_suffix(".toml").exists()


def test_records_keep_a_number_that_counts_as_missing(tmp_path: Path) -> None:
    model, booster, _ = train(tmp_path, 0.0)
    model.with_suffix(".toml").write_text("missing = 0.0\n")
    sent = [0.0, None, 3.0]
    with Server(model, tmp_path / "data") as server:
        connection = server.connect()
        answers = [
            connection.score(f"lead {place}", {"amount": one, "visits": 4.0}).json() for place, one in enumerate(sent)
        ]
        connection.close()
        server.stop()
    predictions = [answer["prediction"] for answer in answers]
    rows = np.array([[0.0, 4.0], [np.nan, 4.0], [3.0, 4.0]])
    assert predictions == predict(booster, rows, 0.0)
    assert predictions[0] == predictions[1] != predictions[2]
    files = sorted((tmp_path / "data").rglob("*.parquet"))
    records = {one["lead_id"]: one["amount"] for file in files for one in pq.ParquetFile(file).read().to_pylist()}
    assert records == {"lead 0": 0.0, "lead 1": None, "lead 2": 3.0}
