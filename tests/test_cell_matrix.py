"""What a value means: every type of it by every kind of feature by every source, against both libraries' own frames."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import treelite
import xgboost as xgb
from sklearn.ensemble import RandomForestRegressor

import command
from exact import assert_bit_equal
from serving import Server

COUNT = 400
# What a category was in training.
NAMES: dict[str, list[Any]] = {
    "text": ["a", "b", "c"],
    "integers": [10, 20, 47],
    "zero-one": [0, 1, 2],
    "floats": [1.0, 2.5, 3.0],
    "booleans": [False, True],
    "digits": ["10", "20", "47"],
}
# XGBoost's package takes no float categories and cannot save booleans.
KINDS = {"lightgbm": list(NAMES), "xgboost": ["text", "integers", "zero-one", "digits"]}
INTEGERS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]


def train(library: str, frame: pd.DataFrame, label: Any, path: Path) -> Callable[[pd.DataFrame], Any]:
    """Trains, saves, and gives back what the library itself says of a frame."""
    if library == "xgboost":
        data = xgb.DMatrix(frame, label, enable_categorical=True)
        booster = xgb.train({"max_depth": 3, "max_cat_to_onehot": 1, "nthread": 1}, data, 4)
        booster.save_model(path)
        return lambda rows: booster.predict(xgb.DMatrix(rows, enable_categorical=True), output_margin=True)
    params = {"verbosity": -1, "num_threads": 1, "min_data_in_leaf": 3, "min_data_per_group": 1, "cat_smooth": 0.0}
    booster = lgb.train(params, lgb.Dataset(frame, label), 4)
    booster.save_model(path)
    return lambda rows: lgb.Booster(model_file=path).predict(rows, raw_score=True)


def model(library: str, kind: str, folder: Path) -> tuple[Path, Callable[[pd.DataFrame], Any]]:
    rng = np.random.Generator(np.random.PCG64(7))
    x = rng.normal(size=COUNT)
    if kind == "number":
        frame = pd.DataFrame({"value": rng.integers(0, 4, COUNT).astype(float), "x": x})
        label = frame["value"] * 2 + x
    else:
        codes = rng.integers(0, len(NAMES[kind]), COUNT)
        frame = pd.DataFrame({"value": pd.Categorical.from_codes(codes, categories=NAMES[kind]), "x": x})
        label = (codes * 7 % 5) + 0.1 * x
    frame.loc[::9, "value"] = np.nan
    path = folder / f"{library}-{kind}.{'json' if library == 'xgboost' else 'txt'}"
    return path, train(library, frame, label, path)


def columns(kind: str) -> dict[str, tuple[pa.Array, list[Any]]]:
    """Columns as files hold them, by what they are, each with the training's own values that it means."""
    none: list[Any] = [None]
    if kind == "text":
        words = NAMES[kind] + none
        return {"string": (pa.array(words), words), "dictionary": (pa.array(words).dictionary_encode(), words)}
    if kind == "booleans":
        flags = [True, False, None]
        found = {"bool": (pa.array(flags), flags)}
        for true, false in (("TRUE", "FALSE"), ("true", "false"), ("True", "False")):
            found[f"string {true}"] = (pa.array([true, false, None]), flags)
        found["int8"] = (pa.array([1, 0, None], pa.int8()), flags)
        return found
    if kind == "floats":
        floats = NAMES[kind] + none
        found = {name: (pa.array(floats, name), floats) for name in ("float32", "float64")}
        found["int64"] = (pa.array([1, 3, None], pa.int64()), [1.0, 3.0, None])
        found["string"] = (pa.array(["1.0", "2.5", "3", None]), floats)
        return found
    if kind == "number":
        whole: list[Any] = [0, 1, 2, 3]
        found = {name: (pa.array(whole + none, name), whole + none) for name in INTEGERS}
        found |= {
            name: (pa.array([0.0, 1.5, 2.0, None], name), [0.0, 1.5, 2.0, None]) for name in ("float32", "float64")
        }
        found["bool"] = (pa.array([True, False, None]), [1.0, 0.0, None])
        return found
    values = NAMES[kind]
    whole = [int(value) for value in values]
    found = {name: (pa.array(whole + none, name), values + none) for name in INTEGERS}
    found |= {
        name: (pa.array([float(one) for one in whole] + none, name), values + none) for name in ("float32", "float64")
    }
    found["string"] = (pa.array([str(one) for one in whole] + none), values + none)
    if kind == "zero-one":
        found["bool"] = (pa.array([True, False, None]), [1, 0, None])
    return found


def frame_of(kind: str, meant: list[Any], x: list[float]) -> pd.DataFrame:
    if kind == "number":
        return pd.DataFrame({"value": pd.array(meant, dtype="Float64").to_numpy(float, na_value=np.nan), "x": x})
    return pd.DataFrame({"value": pd.Categorical(meant, categories=NAMES[kind]), "x": x})


def sources(table: pa.Table, folder: Path) -> dict[str, Path]:
    paths = {name: folder / f"rows.{name}" for name in ("csv", "ndjson", "parquet")}
    table.to_pandas(types_mapper=pd.ArrowDtype).to_csv(paths["csv"], index=False)
    paths["ndjson"].write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()))
    pq.write_table(table, paths["parquet"])
    return paths


CASES = [(library, kind) for library, kinds in KINDS.items() for kind in ["number", *kinds]]


@pytest.mark.parametrize(("library", "kind"), CASES)
def test_a_value_means_the_same_in_every_file(library: str, kind: str, tmp_path: Path) -> None:
    path, predict = model(library, kind, tmp_path)
    dtype = np.float32 if library == "xgboost" else np.float64
    for name, (values, meant) in columns(kind).items():
        x = [0.25 * place for place in range(len(meant))]
        expected = predict(frame_of(kind, meant, x))
        assert len(set(np.asarray(expected).tolist())) > 1, "rows that all score the same show nothing"
        for source, rows in sources(pa.table({"value": values, "x": x}), tmp_path).items():
            try:
                assert_bit_equal(command.score(path, rows), expected, dtype)
            except AssertionError as error:
                raise AssertionError(f"{library}, {kind} as {name} in {source}: {error}") from error


@pytest.mark.parametrize(("library", "kind"), CASES)
def test_and_in_every_request(library: str, kind: str, tmp_path: Path, server: Callable[..., Server]) -> None:
    path, predict = model(library, kind, tmp_path)
    connection = server(path, sink="none").connect()
    for name, (values, meant) in columns(kind).items():
        x = [0.25 * place for place in range(len(meant))]
        expected = predict(frame_of(kind, meant, x))
        for place, value in enumerate(values.to_pylist()):
            answer = connection.score("a", {"value": value, "x": x[place]})
            if isinstance(value, bool) and kind in ("number", "zero-one"):
                # The model calls this feature a number, and /v1/schema says so.
                assert answer.status == 422, (name, answer.body)
                continue
            assert answer.status == 200, (name, value, answer.body)
            assert answer.json()["prediction"] == float(expected[place]), (library, kind, name, value)
    connection.close()


@pytest.mark.parametrize("library", list(KINDS))
def test_what_names_nothing_is_refused_or_missing_as_the_library_does(library: str, tmp_path: Path) -> None:
    path, predict = model(library, "integers", tmp_path)
    unseen = pa.table({"value": pa.array([10, 1], pa.int64()), "x": [0.5, 0.5]})
    for source, rows in sources(unseen, tmp_path).items():
        if library == "xgboost":
            assert "no category of this feature" in command.refusal(
                "score", "--output", "margin", "--model", path, rows
            ), source
        else:
            assert_bit_equal(
                command.score(path, rows), predict(frame_of("integers", [10, None], [0.5, 0.5])), np.float64
            )


def test_integers_beyond_a_double_stay_apart(tmp_path: Path) -> None:
    large = 2**53
    codes = np.arange(300) % 3
    frame = pd.DataFrame({"value": pd.Categorical.from_codes(codes, [large, large + 1, 5]), "x": np.zeros(300)})
    path = tmp_path / "model.txt"
    predict = train("lightgbm", frame, codes * 3.0, path)
    values = [large, large + 1, 5]
    table = pa.table({"value": pa.array(values, pa.int64()), "x": [0.0, 0.0, 0.0]})
    expected = predict(pd.DataFrame({"value": pd.Categorical(values, categories=values), "x": 0.0}))
    for rows in sources(table, tmp_path).values():
        assert_bit_equal(command.score(path, rows), expected, np.float64)


@pytest.mark.parametrize("marker", [0.0, -999.0, 0.1])
def test_numbers_that_count_as_missing(marker: float, tmp_path: Path, server: Callable[..., Server]) -> None:
    rng = np.random.Generator(np.random.PCG64(5))
    values = rng.choice([marker, 1.0, 2.0, 3.0], (500, 2))
    booster = xgb.train(
        {"nthread": 1}, xgb.DMatrix(values, values.sum(axis=1), missing=marker, feature_names=["a", "b"]), 4
    )
    path = tmp_path / "model.json"
    booster.save_model(path)
    path.with_suffix(".toml").write_text(f"missing = [{marker!r}]\n")
    rows = np.array([[marker, 1.0], [2.0, marker], [-marker, 3.0], [float(np.float32(marker)), 2.0], [3.0, 2.0]])
    expected = booster.predict(xgb.DMatrix(rows, missing=marker, feature_names=["a", "b"]))
    table = pa.table({"a": rows[:, 0], "b": rows[:, 1]})
    for source in sources(table, tmp_path).values():
        assert_bit_equal(command.score(path, source), expected, np.float32)
    connection = server(path, sink="none").connect()
    for row, one in zip(rows.tolist(), expected, strict=True):
        answer = connection.score("a", {"a": row[0], "b": row[1]})
        assert answer.json()["prediction"] == float(one)
    connection.close()


def test_texts_that_are_missing_only_where_they_are_listed(tmp_path: Path) -> None:
    path, predict = model("xgboost", "number", tmp_path)
    rows = tmp_path / "rows.csv"
    rows.write_text("value,x\n1,0.5\nNA,0.5\n\\N,0.5\n")
    assert "--missing" in command.refusal("score", "--output", "margin", "--model", path, rows)
    done = command.run("score", "--output", "margin", "--model", path, "--missing", "NA", "--missing", r"\N", rows)
    expected = predict(frame_of("number", [1.0, None, None], [0.5] * 3))
    assert [float(line) for line in done.stdout.splitlines()[1:]] == [float(one) for one in expected], done.stderr


def test_inputs_of_32_bits_as_scikit_learn_has_them(tmp_path: Path) -> None:
    """Rows on thresholds: what is typed as a double falls on either side of one, scikit-learn rounds it first."""
    rng = np.random.Generator(np.random.PCG64(11))
    train_rows = (rng.integers(-60, 60, (400, 3)) / 20.0).astype(np.float32)
    label = train_rows[:, 0] * 3 + train_rows[:, 1] + rng.normal(size=400) * 0.1
    forest = RandomForestRegressor(20, max_depth=7, random_state=1).fit(train_rows, label)
    path = tmp_path / "forest.tl"
    treelite.sklearn.import_model(forest).serialize(str(path))
    thresholds = np.unique(np.concatenate([tree.tree_.threshold for tree in forest.estimators_]))
    # A double a hair beside a threshold rounds onto it, or onto its neighbour.
    near = np.concatenate([thresholds, thresholds + 1e-12, thresholds - 1e-12])
    rows = np.stack([near, np.roll(near, 1), np.roll(near, 2)], axis=1)
    table = command.write_rows(tmp_path / "rows.csv", ["f0", "f1", "f2"], rows.tolist())
    expected = forest.predict(rows)
    assert not np.allclose(command.score(path, table, "prediction")[:, 0], expected, rtol=1e-9), (
        "64 bits are enough here"
    )
    path.with_suffix(".toml").write_text('input = "float32"\n')
    assert np.allclose(command.score(path, table, "prediction")[:, 0], expected, rtol=1e-12)
    assert "float32, as the manifest says" in command.run("inspect", path).stdout
