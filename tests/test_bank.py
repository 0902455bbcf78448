"""15,000 leads over HTTP on each runtime: every answer equals XGBoost's, and every answered score is in the records."""

import csv
import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import xgboost as xgb
from numpy.typing import NDArray

import records
from conftest import DATA, Note
from exact import assert_bit_equal, assert_within
from serving import Features, Server, io_uring_allowed, score_all

CSV = DATA / "bank-marketing-15k.csv"
ROWS, CONNECTIONS, SHARDS = 15_000, 6, 2
TARGET = "term_deposit_subscription"
RECORD_COLUMNS = {"lead_id", "score", "margin", "model", "model_version", "request_id", "record_id"}
RECORD_COLUMNS |= {"latency_us", "shard", "time"}

if not CSV.is_file():
    pytest.skip(f"THE BANK DATA IS NOT THERE ({CSV}): serving is not checked", allow_module_level=True)


@dataclass(frozen=True)
class Bank:
    """The data as a table of numbers, the model trained on it, and what XGBoost itself answers."""

    model: Path
    names: list[str]
    table: NDArray[np.float64]
    margin: NDArray[np.float32]
    probability: NDArray[np.float32]

    def features(self, row: int) -> Features:
        """Missing values go as null in even rows and are left out in odd ones."""
        pairs = zip(self.names, self.table[row].tolist(), strict=True)
        return {name: None if x != x else x for name, x in pairs if x == x or row % 2 == 0}


@pytest.fixture(scope="module", params=["codes", "categories"])
def bank(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bank:
    names, types, table, label = load()
    if request.param == "codes":
        types = ["q"] * len(names)
    data = xgb.DMatrix(table, label, feature_names=names, feature_types=types, enable_categorical=True)
    params = {"objective": "binary:logistic", "max_depth": 6, "eta": 0.1, "seed": 1, "nthread": 1}
    model = tmp_path_factory.mktemp("bank") / f"bank-{request.param}.ubj"
    booster = xgb.train(params, data, num_boost_round=120)
    booster.save_model(model)
    return Bank(model, names, table, booster.predict(data, output_margin=True), booster.predict(data))


def load() -> tuple[list[str], list[str], NDArray[np.float64], NDArray[np.float64]]:
    """Words become codes in alphabetical order; `unknown` and "not contacted before" (-1 days) become missing."""
    with CSV.open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file, delimiter=";"))
    assert len(lines) == ROWS
    names = [name for name in lines[0] if name != TARGET]
    is_number = {name: all(line[name].lstrip("-").isdigit() for line in lines) for name in names}
    columns = [numbers(lines, name) if is_number[name] else codes(lines, name) for name in names]
    label = np.array([line[TARGET] == "yes" for line in lines], dtype=float)
    return names, ["q" if is_number[name] else "c" for name in names], np.column_stack(columns), label


def numbers(lines: list[dict[str, str]], name: str) -> NDArray[np.float64]:
    column = np.array([float(line[name]) for line in lines])
    return np.where(column == -1, np.nan, column) if name == "days_since_last_contact" else column


def codes(lines: list[dict[str, str]], name: str) -> NDArray[np.float64]:
    words = sorted({line[name] for line in lines} - {"unknown"})
    return np.array([words.index(line[name]) if line[name] in words else np.nan for line in lines])


@pytest.mark.parametrize("runtime", ["epoll", "glommio"])
def test_every_answer_is_exact_and_recorded(
    bank: Bank, runtime: str, server: Callable[..., Server], tmp_path: Path, note: Note
) -> None:
    if runtime == "glommio" and not io_uring_allowed():
        note("NOT CHECKED: the glommio runtime, for this machine denies io_uring")
        pytest.skip("IO_URING IS DENIED HERE: the glommio runtime is not checked")
    folder = tmp_path / "data" / "scores"
    before = records.now()
    with records.Watcher(folder) as watcher:
        running = server(bank.model, runtime=runtime, shards=SHARDS)
        answers = score_all(running, [bank.features(row) for row in range(ROWS)], CONNECTIONS)
        running.stop()
    assert not watcher.faults, "\n".join(watcher.faults[:10])

    off = check_answers(bank, answers)
    note(f"bank ({bank.model.stem}, {runtime}): {off} of {ROWS} probabilities are one ulp off, margins exact")
    schema, found = records.read(folder)
    check_schema(bank, schema)
    check_records(bank, answers, found)
    check_times(found, before, records.now())


def test_batches_answer_what_single_leads_are_answered(
    bank: Bank, server: Callable[..., Server], tmp_path: Path
) -> None:
    """Lists and lines, plain and compressed: the same numbers in the same order, each recorded with its row."""
    running = server(bank.model, shards=1)
    leads = [{"lead_id": f"lead-{row}", "features": bank.features(row)} for row in range(4000)]
    alone = score_all(running, [lead["features"] for lead in leads], 1)
    expected = [{key: answer[key] for key in ("lead_id", "score", "probability")} for answer in alone]
    connection = running.connect()
    for compress in (bytes, gzip.compress):
        coding = "identity" if compress is bytes else "gzip"
        body = compress(json.dumps({"leads": leads}).encode())
        answer = connection.request("POST", "/score/batch", body, Content_Encoding=coding)
        assert answer.status == 200, answer.body[:500]
        assert answer.json()["results"] == expected
        body = compress("".join(json.dumps(lead) + "\n" for lead in leads).encode())
        kind = "application/x-ndjson"
        answer = connection.request("POST", "/score/batch", body, Content_Type=kind, Content_Encoding=coding)
        assert [json.loads(line) for line in answer.body.splitlines()] == expected
    connection.close()
    running.stop()
    _, found = records.read(tmp_path / "data" / "scores")
    assert (found["lead_id"].value_counts() == 5).all()
    rows = found["lead_id"].str.removeprefix("lead-").astype(int)
    assert len(found) == 5 * 4000
    assert_bit_equal(found["margin"].map(scalar).to_numpy(dtype=float), bank.margin[rows])
    np.testing.assert_array_equal(found[bank.names].to_numpy(dtype=float), bank.table[rows])


def check_answers(bank: Bank, answers: list[dict[str, Any]]) -> int:
    """Returns how many probabilities are one ulp beside XGBoost's."""
    assert [answer["lead_id"] for answer in answers] == [f"lead-{row}" for row in range(ROWS)]
    assert len({answer["request_id"] for answer in answers}) == ROWS
    assert len({json.dumps(answer["model"]) for answer in answers}) == 1
    for stage in ("parse", "score", "total"):
        assert all(answer["latency_us"][stage] >= 0 for answer in answers)
    probability = np.array([answer["probability"] for answer in answers])
    scores = np.array([answer["score"] for answer in answers])
    assert set(scores.tolist()) <= {1, 2, 3, 4, 5}
    assert np.all(np.diff(scores[np.argsort(probability, kind="stable")]) >= 0), "a likelier lead got a lower score"
    return assert_within(probability, bank.probability, 1)


def check_schema(bank: Bank, schema: pa.Schema) -> None:
    for name in bank.names:
        assert schema.field(name).type == pa.float64(), f"{name} is {schema.field(name).type}"
    assert pa.types.is_timestamp(schema.field("time").type), schema.field("time").type
    absent = RECORD_COLUMNS - set(schema.names)
    assert not absent, f"missing columns: {absent}"


def check_records(bank: Bank, answers: list[dict[str, Any]], found: pd.DataFrame) -> None:
    assert len(found) == ROWS
    assert found["record_id"].nunique() == ROWS
    assert found["lead_id"].nunique() == ROWS
    ordered = found.set_index("lead_id").loc[[f"lead-{row}" for row in range(ROWS)]]
    assert_bit_equal(ordered["margin"].map(scalar).to_numpy(dtype=float), bank.margin)
    np.testing.assert_array_equal(ordered[bank.names].to_numpy(dtype=float), bank.table)
    assert ordered["score"].tolist() == [answer["score"] for answer in answers]
    assert ordered["request_id"].map(str).tolist() == [answer["request_id"] for answer in answers]
    assert set(ordered["model"]) == {answers[0]["model"]["name"]}
    assert set(ordered["model_version"]) == {answers[0]["model"]["version"]}
    assert (ordered["latency_us"] > 0).all()
    assert set(ordered["shard"]) == set(range(SHARDS)), "six connections did not reach both shards"


def scalar(margin: Any) -> float:
    """A model with one output may be recorded as a number or as a list of one."""
    return float(np.asarray(margin).reshape(1)[0])


def check_times(found: pd.DataFrame, before: pd.Timestamp, after: pd.Timestamp) -> None:
    times = pd.to_datetime(found["time"], utc=True)
    slack = pd.Timedelta(milliseconds=1)  # a recorded time may be cut to milliseconds
    assert times.between(before - slack, after + slack).all(), f"{times.min()} to {times.max()}"
    assert (times.dt.floor("h") == found["partition"]).all(), "a record lies in another hour's folder"
    for _, of_shard in found.assign(time=times).sort_values("record_id").groupby("shard"):
        assert (of_shard["time"].diff().dropna() >= -slack).all(), "record ids do not follow time"
