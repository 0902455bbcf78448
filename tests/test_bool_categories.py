"""Categories that were booleans in training, as pandas writes them to CSV."""

from pathlib import Path

import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest

import command
from exact import assert_bit_equal


@pytest.mark.parametrize("linear", [False, True])
def test_booleans_are_named_as_pandas_writes_them(linear: bool, tmp_path: Path) -> None:
    rng = np.random.Generator(np.random.PCG64(3))
    asked = pd.Categorical(rng.random(400) < 0.5)
    frame = pd.DataFrame({"asked": asked, "visits": rng.normal(size=400)})
    label = frame["visits"] + asked.codes
    params = {"num_leaves": 9, "num_threads": 1, "verbosity": -1, "min_data_in_leaf": 5, "linear_tree": linear}
    model, rows = tmp_path / "model.txt", tmp_path / "rows.csv"
    lgb.train(params, lgb.Dataset(frame, label), 6).save_model(model)
    frame.to_csv(rows, index=False)
    assert "True" in rows.read_text()
    expected = lgb.Booster(model_file=model).predict(frame, raw_score=True)
    assert_bit_equal(command.score(model, rows), expected, np.float64)
