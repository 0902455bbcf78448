"""Small models of formats that others write (Treelite, CatBoost, ONNX), with the answers of their own runtimes.

Everything is drawn from a case's own seed, so a failing one can be made again alone.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import catboost
import lightgbm as lgb
import numpy as np
import onnxmltools
import onnxruntime
import treelite
import xgboost as xgb
from numpy.typing import DTypeLike, NDArray
from onnxmltools.convert.common.data_types import FloatTensorType
from skl2onnx import to_onnx
from sklearn import ensemble

import random_lightgbm
import random_models

Table = NDArray[np.float64]
COLUMNS, TRAIN_ROWS, COUNT = 5, 300, 120
CATEGORICAL = 2  # the column of codes, where a case has one
CODES = [*range(40), 0.5, 3.99, -0.5, -1, 1e6, 16777216, 16777218, 2**31, 2**32 - 1, 2**32, 1e30, np.inf, -np.inf]


@dataclass(frozen=True)
class Answers:
    """A saved model, rows under the names the format has, and what the model's own runtime says of them."""

    model: Path
    names: list[str]
    rows: Table
    margin: NDArray[np.floating] | None
    prediction: NDArray[np.floating]
    dtype: DTypeLike


def rows_beside(
    rng: np.random.Generator, thresholds: list[list[float]], dtype: Any, codes: tuple[int, ...] = ()
) -> Table:
    """Rows on thresholds, one float beside them and at the ends of the number line, with missing values."""
    info = np.finfo(dtype)
    ends = np.array([0.0, -0.0, info.tiny, -info.tiny, info.max, -info.max, np.inf, -np.inf], dtype=dtype)
    columns = []
    for column, values in enumerate(thresholds):
        on = np.unique(np.array(values, dtype=dtype))
        beside = [np.nextafter(on, dtype(np.inf)), np.nextafter(on, dtype(-np.inf))]
        pool = np.concatenate([on, on, *beside, ends, rng.normal(size=5).astype(dtype)])
        columns.append(rng.choice(CODES if column in codes else pool, COUNT))
    rows = np.column_stack(columns).astype(np.float64)
    rows[rng.random(rows.shape) < 0.12] = np.nan
    rows[0] = np.nan
    return rows


def training(rng: np.random.Generator) -> tuple[Table, Table]:
    table = rng.normal(size=(TRAIN_ROWS, COLUMNS))
    table[:, CATEGORICAL] = rng.integers(0, 30, TRAIN_ROWS)
    table[:, 3] = np.round(table[:, 3])
    return table, table[:, 0] + table[:, CATEGORICAL] % 3 + table[:, 3] / 3 + 0.3 * rng.normal(size=TRAIN_ROWS)


def sklearn_models(seed: int, depth: int, trees: int) -> Iterator[tuple[str, Any, tuple[int, ...]]]:
    """Fitted forests and boosters, each with its columns of codes."""
    x, signal = training(np.random.Generator(np.random.PCG64(seed)))
    two, three, several = (signal > 1).astype(int), np.digitize(signal, [0.5, 1.5]), np.stack([signal, -signal], 1)
    missing = np.where(np.random.default_rng(seed).random(x.shape) < 0.1, np.nan, x)
    one = {"max_depth": depth, "random_state": seed}
    some = {"n_estimators": trees, **one}
    hist = {"max_iter": trees, "categorical_features": [CATEGORICAL], **one}
    yield "forest-two", ensemble.RandomForestClassifier(**some).fit(x, two), ()
    yield "forest-three", ensemble.ExtraTreesClassifier(**some).fit(x, three), ()
    yield "forest-classes", ensemble.RandomForestClassifier(**some).fit(x, np.stack([two, three], 1)), ()
    yield "forest-targets", ensemble.RandomForestRegressor(**some).fit(x, several), ()
    yield "boosting-two", ensemble.GradientBoostingClassifier(**some).fit(x, two), ()
    yield "boosting-three", ensemble.GradientBoostingClassifier(**some).fit(x, three), ()
    yield "boosting-regressor", ensemble.GradientBoostingRegressor(**some).fit(x, signal), ()
    yield "isolation", ensemble.IsolationForest(n_estimators=trees, random_state=seed).fit(x), ()
    yield "hist-two", ensemble.HistGradientBoostingClassifier(**hist).fit(missing, two), (CATEGORICAL,)
    yield "hist-three", ensemble.HistGradientBoostingClassifier(**hist).fit(missing, three), (CATEGORICAL,)
    yield (
        "hist-poisson",
        ensemble.HistGradientBoostingRegressor(loss="poisson", **hist).fit(missing, np.abs(signal)),
        (),
    )


def treelite_models(seed: int, scratch: Path) -> Iterator[tuple[str, treelite.Model, tuple[int, ...]]]:
    """What Treelite imports from scikit-learn, and a few of the other generators' recipes."""
    for name, model, codes in sklearn_models(seed, depth=1 + seed % 6, trees=2 + seed):
        yield name, treelite.sklearn.import_model(model), codes
    for recipe in random_models.recipes()[seed % 7 :: 7]:
        # Treelite reads no linear booster, which has no trees.
        if recipe.booster == "gblinear":
            continue
        path = scratch / "model.json"
        random_models.train(recipe, path).save_model(path)
        codes = random_models.CATEGORICAL if recipe.categorical else ()
        yield f"xgboost-{recipe}", treelite.frontend.load_xgboost_model(str(path)), codes
    for recipe in random_lightgbm.recipes()[seed % 7 :: 7]:
        # Treelite reads neither linear leaves nor a name with an equals sign.
        if not recipe.linear and recipe.names is random_lightgbm.PLAIN_NAMES:
            booster = random_lightgbm.train(recipe, scratch / "model.txt")
            codes = random_lightgbm.CATEGORICAL if recipe.categorical else ()
            yield f"lightgbm-{recipe}", treelite.frontend.from_lightgbm(booster), codes


def treelite_answers(seed: int, scratch: Path) -> Iterator[tuple[str, Answers]]:
    for number, (name, model, codes) in enumerate(treelite_models(seed, scratch)):
        # The dump leaves infinite thresholds out.
        dump = json.loads(model.dump_as_json(pretty_print=False).replace('"threshold":,', '"threshold":Infinity,'))
        dtype = np.dtype(dump["threshold_type"]).type
        thresholds: list[list[float]] = [[] for _ in range(dump["num_feature"])]
        for tree in dump["trees"]:
            for node in tree["nodes"]:
                if node.get("node_type") == "numerical_test_node":
                    thresholds[node["split_feature_id"]].append(node["threshold"])
        rows = rows_beside(np.random.Generator(np.random.PCG64([seed, number])), thresholds, dtype, codes)
        path = scratch / "model.tl"
        model.serialize(path)
        margin, prediction = (
            treelite.gtil.predict(model, rows.astype(dtype), pred_margin=raw) for raw in (True, False)
        )
        yield name, Answers(path, [f"f{i}" for i in range(len(thresholds))], rows, margin, prediction, dtype)


# loss -> what CatBoost's own classes predict for it
LOSSES = {
    "Logloss": "Probability",
    "CrossEntropy": "Probability",
    "MultiClass": "Probability",
    "MultiClassOneVsAll": "Probability",
    "MultiLogloss": "Probability",
    "Poisson": "Exponent",
    "Tweedie:variance_power=1.5": "Exponent",
    "RMSE": "RawFormulaVal",
    "MAE": "RawFormulaVal",
    "Quantile:alpha=0.3": "RawFormulaVal",
    "MultiRMSE": "RawFormulaVal",
    "MultiQuantile:alpha=0.1,0.5,0.9": "RawFormulaVal",
}


def catboost_answers(seed: int, loss: str, scratch: Path) -> Answers:
    rng = np.random.Generator(np.random.PCG64(seed))
    x, signal = training(rng)
    has_missing = seed % 3 != 0
    if has_missing:
        x[rng.random(x.shape) < 0.1] = np.nan
    labels = {
        "Logloss": signal > 1,
        "CrossEntropy": 1 / (1 + np.exp(-signal)),
        "MultiLogloss": np.stack([signal > 0, signal > 1], 1).astype(int),
        "MultiRMSE": np.stack([signal, -signal], 1),
        "Poisson": rng.poisson(np.exp(signal / 4)),
        "Tweedie": np.exp(signal / 4),
    }
    kind = loss.partition(":")[0]
    label = np.digitize(signal, [0.5, 1.5]) if kind.startswith("MultiClass") else labels.get(kind, signal)
    policies = ["SymmetricTree"] if kind == "MultiRMSE" else ["SymmetricTree", "Depthwise", "Lossguide"]
    params = {
        "loss_function": loss,
        "grow_policy": policies[seed % len(policies)],
        "iterations": (1, 3, 17, 60)[seed % 4],
        "depth": 1 + seed % 7,
        "nan_mode": ("Min", "Max")[seed % 2],
        "random_seed": seed,
        "thread_count": 1,
        "verbose": 0,
        "allow_writing_files": False,
    }
    model = catboost.CatBoost(params).fit(x, label)
    path = scratch / "model.json"
    model.save_model(path, format="json")
    borders = [feature["borders"] for feature in json.loads(path.read_text())["features_info"]["float_features"]]
    rows = rows_beside(rng, borders, np.float32)
    if not has_missing:
        rows = np.nan_to_num(rows, posinf=1e30, neginf=-1e30)
    margin = model.predict(rows, prediction_type="RawFormulaVal")
    prediction = model.predict(rows, prediction_type=LOSSES[loss])
    if kind in ("Logloss", "CrossEntropy"):
        prediction = prediction[:, 1]
    return Answers(path, [str(i) for i in range(len(borders))], rows, margin, prediction, np.float64)


def onnx_models(seed: int) -> Iterator[tuple[str, Any]]:
    depth, trees = 1 + seed % 6, 2 + seed
    for name, model, codes in sklearn_models(seed, depth, trees):
        # Several outputs of classes and paths of isolation are other graphs; hist models do not convert.
        if not codes and name not in ("forest-classes", "isolation", "hist-poisson"):
            yield f"sklearn-{name}", to_onnx(model, np.zeros((1, COLUMNS), dtype=np.float32))
    x, signal = training(np.random.Generator(np.random.PCG64(seed)))
    two, three = (signal > 1).astype(int), np.digitize(signal, [0.5, 1.5])
    given = {"initial_types": [("X", FloatTensorType([None, COLUMNS]))]}
    some = {"n_estimators": trees, "max_depth": depth}
    yield "xgboost-two", onnxmltools.convert_xgboost(xgb.XGBClassifier(**some).fit(x, two), **given)
    yield "xgboost-three", onnxmltools.convert_xgboost(xgb.XGBClassifier(**some).fit(x, three), **given)
    yield "xgboost-regressor", onnxmltools.convert_xgboost(xgb.XGBRegressor(**some).fit(x, signal), **given)
    some |= {"num_leaves": 2**depth, "verbose": -1, "min_child_samples": 3, "min_data_per_group": 1, "cat_smooth": 1}
    classifier = lgb.LGBMClassifier(**some).fit(x, two, categorical_feature=[CATEGORICAL])
    yield "lightgbm-category", onnxmltools.convert_lightgbm(classifier, **given)
    yield (
        "lightgbm-three",
        onnxmltools.convert_lightgbm(lgb.LGBMClassifier(**some).fit(x, three), zipmap=False, **given),
    )
    counts = lgb.LGBMRegressor(**some, objective="poisson").fit(x, np.abs(signal))
    yield "lightgbm-poisson", onnxmltools.convert_lightgbm(counts, **given)


def onnx_answers(seed: int, scratch: Path) -> Iterator[tuple[str, Answers]]:
    for number, (name, model) in enumerate(onnx_models(seed)):
        path = scratch / "model.onnx"
        path.write_bytes(model.SerializeToString())
        thresholds: list[list[float]] = [[] for _ in range(COLUMNS)]
        for node in model.graph.node:
            fields = {attribute.name: attribute for attribute in node.attribute}
            if "nodes_modes" in fields:
                parts = (fields["nodes_featureids"].ints, fields["nodes_values"].floats, fields["nodes_modes"].strings)
                for column, value, mode in zip(*parts, strict=True):
                    if mode != b"LEAF":
                        thresholds[column].append(value)
        rows = rows_beside(np.random.Generator(np.random.PCG64([seed, number])), thresholds, np.float32)
        # On several threads onnxruntime adds partial sums, in an order that depends on the number of rows.
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        out = session.run(None, {session.get_inputs()[0].name: rows.astype(np.float32)})[-1]
        if isinstance(out, list):
            out = np.array([[row[label] for label in sorted(row)] for row in out], dtype=np.float32)
        out = out.reshape(len(rows), -1)
        # A binary classifier's prediction is the probability of the second class.
        prediction = out[:, 1:] if out.shape[1] == 2 and "targets" not in name else out
        yield name, Answers(path, [f"f{i}" for i in range(COLUMNS)], rows, None, prediction, np.float32)
