"""`quintile inspect` beside what the training libraries say of the same models."""

import json
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest
import treelite
import xgboost as xgb
from sklearn.ensemble import RandomForestRegressor

from command import run

NAMES = ["age", "visits", "spent", "unused", "where"]


def table() -> tuple[pd.DataFrame, np.ndarray]:
    rng = np.random.Generator(np.random.PCG64(11))
    rows = pd.DataFrame(rng.normal(size=(600, 4)), columns=NAMES[:4])
    rows["unused"] = 0.0
    rows["where"] = pd.Categorical(rng.choice(["web", "phone", "fair"], size=600))
    signal = rows["age"] + 2 * (rows["where"] == "web") - rows["visits"] ** 2
    return rows, signal.to_numpy()


def inspected(path: Path) -> dict[str, Any]:
    done = run("inspect", "--json", path)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def by_feature(told: dict[str, Any], what: str) -> dict[str, float]:
    """As XGBoost has it: features that are not used are not there."""
    return {feature["name"]: feature[what] for feature in told["features"] if feature["splits"]}


@pytest.mark.parametrize("booster", ["gbtree", "dart"])
@pytest.mark.parametrize("suffix", ["json", "ubj"])
def test_tells_xgboosts_importances(booster: str, suffix: str, tmp_path: Path) -> None:
    rows, signal = table()
    label = np.digitize(signal, [-1, 1])
    data = xgb.DMatrix(rows, label, enable_categorical=True)
    params = {"booster": booster, "objective": "multi:softprob", "num_class": 3, "max_depth": 4, "nthread": 1}
    path = tmp_path / f"model.{suffix}"
    xgb.train(params, data, 8).save_model(path)
    loaded = xgb.Booster(model_file=path)
    told = inspected(path)
    assert by_feature(told, "splits") == loaded.get_score(importance_type="weight")
    assert by_feature(told, "gain") == pytest.approx(loaded.get_score(importance_type="total_gain"), rel=1e-5)
    assert sum(by_feature(told, "gain_share").values()) == pytest.approx(1)
    nodes = loaded.trees_to_dataframe()
    assert (told["trees"], told["nodes"]) == (24, len(nodes))
    assert told["leaves"] == (nodes["Feature"] == "Leaf").sum() and told["depth"] == 4
    assert told["written_by"] == f"XGBoost {xgb.__version__}"
    assert told["features"][4]["category_names"] == ["fair", "phone", "web"]


@pytest.mark.parametrize("params", [{"objective": "binary"}, {"objective": "regression", "linear_tree": True}])
def test_tells_lightgbms_importances(params: dict[str, Any], tmp_path: Path) -> None:
    rows, signal = table()
    label = signal > 0 if params["objective"] == "binary" else signal
    path = tmp_path / "model.txt"
    lgb.train({**params, "num_leaves": 13, "num_threads": 1, "verbosity": -1}, lgb.Dataset(rows, label), 12).save_model(
        path
    )
    loaded = lgb.Booster(model_file=path)
    told = inspected(path)
    assert [feature["splits"] for feature in told["features"]] == loaded.feature_importance("split").tolist()
    gains = [feature["gain"] for feature in told["features"]]
    assert gains == pytest.approx(loaded.feature_importance("gain").tolist(), rel=1e-12)
    nodes = loaded.trees_to_dataframe()
    assert (told["trees"], told["nodes"]) == (12, len(nodes))
    assert told["leaves"] == nodes["split_feature"].isna().sum()
    assert told["depth"] == nodes["node_depth"].max() - 1
    assert told["written_by"] == "LightGBM, format v4"


def test_says_when_a_file_has_no_gain(tmp_path: Path) -> None:
    rows, signal = table()
    forest = RandomForestRegressor(5, max_depth=3, random_state=1).fit(rows[NAMES[:3]].to_numpy(), signal)
    path = tmp_path / "model.tl"
    treelite.sklearn.import_model(forest).serialize(str(path))
    told = inspected(path)
    splits = sum((tree.tree_.feature >= 0).sum() for tree in forest.estimators_)
    assert sum(feature["splits"] for feature in told["features"]) == splits
    assert told["written_by"] == f"Treelite {treelite.__version__}"
    done = run("inspect", path)
    if told["gain"] is None:
        assert "the file does not say what the splits gained in training" in done.stdout
    else:
        assert sum(feature["gain_share"] for feature in told["features"]) == pytest.approx(1)


@pytest.mark.parametrize(
    ("format", "first"),
    [("table", "file "), ("csv", "column,name,kind,categories,unseen,splits,gain_share"), ("json", '{"file":')],
)
def test_prints_each_format(format: str, first: str, tmp_path: Path) -> None:
    rows, signal = table()
    path = tmp_path / "model.ubj"
    xgb.train({"nthread": 1}, xgb.DMatrix(rows, signal, enable_categorical=True), 3).save_model(path)
    done = run("inspect", "--format", format, path)
    assert done.returncode == 0 and done.stdout.startswith(first), done.stdout[:200]
    if format == "table":
        row = done.stdout.split("where", 1)[1].split("\n", 1)[0]
        assert row.split()[:2] == ["3", "categories"] and done.stdout.count(" %") == 5
