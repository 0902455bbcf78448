"""Trains the model that all peers serve, and writes the same leads in the open inference protocol's shape.

The table is that of `perf/train.py`: 500 trees of depth 6 on 50 features, from fixed seeds. What exists is kept.
"""

import json
import sys
from pathlib import Path

import numpy as np
import xgboost as xgb

FEATURES, TRAIN_ROWS, BODIES = 50, 200_000, 4_096


def table(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    values = random.normal(size=(rows, FEATURES)).astype(np.float32)
    values[:, ::3] = np.round(values[:, ::3] * 100) / 100
    signal = (
        values[:, 0] * values[:, 1]
        + np.sin(3 * values[:, 2])
        + (values[:, 3] > 0.3) * values[:, 4]
        + values[:, 5:30].sum(axis=1) * 0.2
        + np.abs(values[:, 30:50]).sum(axis=1) * 0.1
    )
    label = (signal + random.normal(size=rows) > np.median(signal)).astype(np.float32)
    missing = random.random(size=values.shape) < 0.1
    missing[:, FEATURES // 2 :] = False
    values[missing] = np.nan
    return values, label


def main(folder: Path) -> None:
    model = folder / "xgboost-500x6.json"
    if not model.exists():
        values, label = table(TRAIN_ROWS, 1)
        parameters = {"objective": "binary:logistic", "max_depth": 6, "eta": 0.1, "tree_method": "hist"}
        xgb.train(parameters, xgb.DMatrix(values, label), num_boost_round=500).save_model(model)
    bodies = folder / "v2.ndjson"
    if not bodies.exists():
        # The protocol has no missing numbers, so these leads have none.
        rows = np.nan_to_num(table(BODIES, 2)[0])
        with bodies.open("w") as out:
            for row in rows.tolist():
                data = {"name": "leads", "shape": [1, FEATURES], "datatype": "FP32", "data": [round(x, 6) for x in row]}
                out.write(json.dumps({"inputs": [data]}, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
