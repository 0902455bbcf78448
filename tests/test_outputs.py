"""Models of several outputs over HTTP: a list of predictions in the library's order, and lists in the records."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import pytest
import xgboost as xgb
from numpy.typing import DTypeLike, NDArray

import records
from exact import assert_bit_equal, assert_within
from serving import Server, score_all

ROWS, NAMES = 300, ["f0", "f1", "f2", "f3"]
Answers = tuple[Path, NDArray[np.floating], NDArray[np.floating], DTypeLike]


def table() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    rng = np.random.Generator(np.random.PCG64(5))
    rows = rng.normal(size=(ROWS, len(NAMES))) * [1.0, 1e-3, 1e30, 50.0]
    rows[rng.random(rows.shape) < 0.1] = np.nan
    return rows, np.nan_to_num(rows[:, 0]) + rng.normal(size=ROWS) / 3


def lightgbm_classes(folder: Path, objective: str) -> Answers:
    rows, signal = table()
    params = {"objective": objective, "num_class": 3, "num_threads": 1, "seed": 1, "verbosity": -1}
    data = lgb.Dataset(rows, np.digitize(signal, [-0.5, 0.5]), feature_name=NAMES)
    path = folder / "model.txt"
    lgb.train(params, data, 10).save_model(path)
    booster = lgb.Booster(model_file=path)
    return path, booster.predict(rows, raw_score=True), booster.predict(rows), np.float64


def xgboost_vectors(folder: Path, objective: str) -> Answers:
    rows, signal = table()
    label = np.digitize(signal, [-0.5, 0.5]) if objective.startswith("multi") else np.stack([signal, -signal], 1)
    params: dict[str, Any] = {"objective": objective, "multi_strategy": "multi_output_tree", "tree_method": "hist"}
    params |= {"num_class": 3} if objective.startswith("multi") else {}
    path = folder / "model.ubj"
    data = xgb.DMatrix(rows, label, feature_names=NAMES, nthread=1)
    xgb.train({**params, "nthread": 1, "seed": 1}, data, 10).save_model(path)
    booster = xgb.Booster(model_file=path)
    return path, booster.predict(data, output_margin=True), booster.predict(data), np.float32


@pytest.mark.parametrize(
    ("train", "objective"),
    [
        (lightgbm_classes, "multiclass"),
        (lightgbm_classes, "multiclassova"),
        (xgboost_vectors, "multi:softprob"),
        (xgboost_vectors, "reg:squarederror"),
    ],
)
def test_predictions_are_a_list(
    train: Callable[[Path, str], Answers], objective: str, server: Callable[..., Server], tmp_path: Path
) -> None:
    model, margin, prediction, dtype = train(tmp_path, objective)
    running = server(model)
    features = [dict(zip(NAMES, (None if x != x else x for x in row), strict=True)) for row in table()[0].tolist()]
    answers = score_all(running, features, 2)
    running.stop()
    assert all(answer["score"] is None and not {"probability", "prediction"} & set(answer) for answer in answers)
    assert_within(np.array([answer["predictions"] for answer in answers]), prediction, 1, dtype)
    _, found = records.read(tmp_path / "data" / "scores")
    found = found.set_index("lead_id").loc[[f"lead-{row}" for row in range(ROWS)]]
    assert_bit_equal(np.stack(found["margin"].to_list()), margin, dtype)
    assert found["score"].isna().all()
