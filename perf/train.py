"""Trains the models that the kernels are compared on, and writes the rows they are timed with.

Called by `perf/kernels`. Everything follows from fixed seeds; what exists is kept.
"""

import sys
from pathlib import Path

import lightgbm
import numpy
import xgboost

FEATURES = 50
TRAIN_ROWS = 200_000
TIMED_ROWS = 65_536
MISSING_SHARE = 0.1  # of the first half of the columns


def table(rows, seed):
    random = numpy.random.default_rng(seed)
    values = random.normal(size=(rows, FEATURES)).astype(numpy.float32)
    values[:, ::3] = numpy.round(values[:, ::3] * 100) / 100
    signal = (
        values[:, 0] * values[:, 1]
        + numpy.sin(3 * values[:, 2])
        + (values[:, 3] > 0.3) * values[:, 4]
        + values[:, 5:30].sum(axis=1) * 0.2
        + numpy.abs(values[:, 30:50]).sum(axis=1) * 0.1
    )
    label = (signal + random.normal(size=rows) > numpy.median(signal)).astype(numpy.float32)
    missing = random.random(size=values.shape) < MISSING_SHARE
    missing[:, FEATURES // 2 :] = False
    values[missing] = numpy.nan
    return values, label


def train_xgboost(path, trees, depth, values, label):
    parameters = {"objective": "binary:logistic", "max_depth": depth, "eta": 0.1, "tree_method": "hist", "nthread": 2}
    data = xgboost.DMatrix(values, label)
    xgboost.train(parameters, data, num_boost_round=trees).save_model(path)


def train_lightgbm(path, trees, leaves, values, label):
    parameters = {
        "objective": "binary",
        "num_leaves": leaves,
        "learning_rate": 0.1,
        "min_data_in_leaf": 20,
        "num_threads": 2,
        "deterministic": True,
        "verbose": -1,
    }
    data = lightgbm.Dataset(values.astype(numpy.float64), label)
    lightgbm.train(parameters, data, num_boost_round=trees).save_model(path)


MODELS = [
    ("xgboost-100x6", "json", train_xgboost, 100, 6),
    ("xgboost-500x6", "json", train_xgboost, 500, 6),
    ("xgboost-1000x8", "json", train_xgboost, 1000, 8),
    ("lightgbm-500x31", "txt", train_lightgbm, 500, 31),
    ("lightgbm-500x255", "txt", train_lightgbm, 500, 255),
]


CATEGORICAL = 20  # of the columns of the models with categories


def table_of_categories(rows, seed):
    """Codes of 4 to 60 categories in the first columns, numbers in the others; some of both are missing."""
    random = numpy.random.default_rng(seed)
    weights = numpy.random.default_rng(7)
    values = random.normal(size=(rows, FEATURES)).astype(numpy.float32)
    signal = 0.3 * numpy.sin(2 * values[:, CATEGORICAL:]).sum(axis=1)
    for column in range(CATEGORICAL):
        worth = weights.normal(size=weights.integers(4, 60))
        codes = random.integers(0, len(worth), rows)
        values[:, column] = codes
        signal += 0.5 * worth[codes]
    label = (signal + random.normal(size=rows) > numpy.median(signal)).astype(numpy.float32)
    values[random.random(size=values.shape) < MISSING_SHARE] = numpy.nan
    return values, label


def train_categories(folder):
    """Models most of whose splits are sets of categories, in a folder of their own."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "rows.f32").exists():
        table_of_categories(TIMED_ROWS, 4)[0].tofile(folder / "rows.f32")
    values, label = table_of_categories(TRAIN_ROWS // 2, 3)
    path = folder / "xgboost-categories-150x6.json"
    if not path.exists():
        kinds = ["c"] * CATEGORICAL + ["float"] * (FEATURES - CATEGORICAL)
        data = xgboost.DMatrix(values, label, feature_types=kinds, enable_categorical=True)
        parameters = {"objective": "binary:logistic", "max_depth": 6, "eta": 0.1, "tree_method": "hist", "nthread": 2}
        xgboost.train(parameters, data, num_boost_round=150).save_model(path)
        print("trained", path, flush=True)
    path = folder / "lightgbm-categories-150x31.txt"
    if not path.exists():
        data = lightgbm.Dataset(values.astype(numpy.float64), label, categorical_feature=list(range(CATEGORICAL)))
        parameters = {"objective": "binary", "num_leaves": 31, "num_threads": 2, "deterministic": True, "verbose": -1}
        lightgbm.train(parameters, data, num_boost_round=150).save_model(path)
        print("trained", path, flush=True)


def main(folder):
    folder.mkdir(parents=True, exist_ok=True)
    train_categories(folder / "categories")
    rows = folder / "rows.f32"
    if not rows.exists():
        table(TIMED_ROWS, 2)[0].tofile(rows)
    data = None
    for name, suffix, train, trees, size in MODELS:
        path = folder / f"{name}.{suffix}"
        if path.exists():
            continue
        data = data or table(TRAIN_ROWS, 1)
        train(path, trees, size, *data)
        print("trained", path, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
