"""Trains the demo model that is embedded in the server: writes demo.ubj and demo.toml beside this file.

    python3 -m venv /tmp/demo && /tmp/demo/bin/pip install -r requirements.txt
    /tmp/demo/bin/python train.py            # writes both files, about half a minute
    /tmp/demo/bin/python train.py --check    # exit 1 unless the committed files are what it would write
    /tmp/demo/bin/python train.py --report   # also prints quality and tree shapes

One thread and fixed seeds: two runs with the pinned versions on the same kind of CPU give the same bytes.
"""

import argparse
import itertools
import json
import sys
import tomllib
from pathlib import Path

import numpy as np
import xgboost as xgb
from numpy.typing import NDArray

from leads import FEATURES, Column, population

HERE = Path(__file__).resolve().parent
VERSION = "1.0.0"
DESCRIPTION = "Demo: 500 trees trained on synthetic sales leads; not for real decisions"
NAMES = list(FEATURES)

TREES = 500
TRAIN_ROWS, BAND_ROWS, TEST_ROWS = 120_000, 200_000, 200_000
TRAIN_SEED, BAND_SEED, TEST_SEED = 1, 2, 3
PARAMS = {
    "objective": "binary:logistic",
    "tree_method": "hist",
    "max_depth": 6,
    "eta": 0.03,  # held-out AUC still rises at tree 500; with 0.1 it falls after tree 148
    "min_child_weight": 8,
    "lambda": 5.0,
    "subsample": 0.7,
    "colsample_bytree": 0.4,
    "seed": 7,
    "nthread": 1,
}


def main() -> int:
    parser = argparse.ArgumentParser(description="Train the embedded demo model.")
    parser.add_argument("--check", action="store_true", help="write nothing; compare with the committed files")
    parser.add_argument("--report", action="store_true", help="print quality and tree shapes")
    args = parser.parse_args()

    booster = train()
    files = {"demo.ubj": bytes(booster.save_raw("ubj")), "demo.toml": manifest(booster).encode()}
    verify(booster, files["demo.toml"].decode())
    if args.report:
        report(booster, tomllib.loads(files["demo.toml"].decode())["edges"])
    return compare(files) if args.check else write(files)


def train() -> xgb.Booster:
    rows, converted = population(TRAIN_ROWS, TRAIN_SEED)
    return xgb.train(PARAMS, matrix(rows, converted), num_boost_round=TREES)


def matrix(rows: Column, label: NDArray[np.int8] | None = None) -> xgb.DMatrix:
    return xgb.DMatrix(rows, label=label, feature_names=NAMES, nthread=1)


def manifest(booster: xgb.Booster) -> str:
    """What the server needs beside the trees: band edges, what each feature means, and rows with known answers."""
    rows, _ = population(BAND_ROWS, BAND_SEED)
    prediction = booster.predict(matrix(rows))
    edges = band_edges(prediction)
    golden = golden_rows(booster, rows, bands(prediction, edges))
    margins = booster.predict(matrix(golden), output_margin=True)
    lines = [
        "# Written by train.py; `train.py --check` proves it. Edges are the quintiles of the predictions for 200,000",
        "# leads that were not trained on. Golden margins are float32, to be met to the last bit.",
        'name = "demo"',
        f'version = "{VERSION}"',
        f'description = "{DESCRIPTION}"',
        f"edges = [{', '.join(repr(edge) for edge in edges)}]",
    ]
    for name, (label, description) in FEATURES.items():
        lines += ["", f"[features.{name}]", f'label = "{label}"', f'description = "{description}"']
    for row, margin in zip(golden, margins, strict=True):
        values = ", ".join(repr(float(value)) for value in row)
        lines += ["", "[[golden]]", f"features = [{values}]", f"margin = [{float(margin)!r}]"]
    return "\n".join(lines) + "\n"


def band_edges(prediction: NDArray[np.float32]) -> list[float]:
    return [round(float(edge), 6) for edge in np.quantile(prediction.astype(np.float64), [0.2, 0.4, 0.6, 0.8])]


def bands(prediction: NDArray[np.float32], edges: list[float]) -> NDArray[np.int64]:
    return 1 + np.searchsorted(edges, prediction.astype(np.float64), side="right")


def golden_rows(booster: xgb.Booster, rows: Column, band: NDArray[np.int64]) -> Column:
    """Per band the lead with the fewest and the one with the most missing values; then rows made to hurt."""
    missing = np.isnan(rows).sum(axis=1)
    chosen = []
    for wanted in range(1, 6):
        members = np.flatnonzero(band == wanted)
        chosen += [rows[members[missing[members].argmin()]], rows[members[missing[members].argmax()]]]
    on_threshold = middle_thresholds(booster)
    below = np.nextafter(on_threshold.astype(np.float32), np.float32(-np.inf)).astype(np.float64)
    return np.array([*chosen, on_threshold, below, np.zeros(len(NAMES)), np.full(len(NAMES), np.nan)])


def middle_thresholds(booster: xgb.Booster) -> Column:
    """For each feature the median of its thresholds: a value that sits exactly on a split."""
    return np.array([values[len(values) // 2] for values in thresholds(booster)])


def thresholds(booster: xgb.Booster) -> list[Column]:
    """The distinct thresholds of each feature, ascending."""
    conditions = np.concatenate([tree["split_conditions"] for tree in trees(booster)]).astype(np.float32)
    inner = np.concatenate([tree["left_children"] for tree in trees(booster)]) != -1
    column = np.concatenate([tree["split_indices"] for tree in trees(booster)])
    return [np.unique(conditions[inner & (column == j)]).astype(np.float64) for j in range(len(NAMES))]


def trees(booster: xgb.Booster) -> list[dict]:
    return json.loads(booster.save_raw("json"))["learner"]["gradient_booster"]["model"]["trees"]


def verify(booster: xgb.Booster, text: str) -> None:
    """Reads the manifest as the server will and refuses to go on when a promise of it does not hold."""
    parsed = tomllib.loads(text)
    edges = parsed["edges"]
    assert len(edges) == 4 and all(a < b for a, b in itertools.pairwise(edges)), edges
    assert list(parsed["features"]) == NAMES
    rows = np.array([entry["features"] for entry in parsed["golden"]])
    margins = np.array([entry["margin"][0] for entry in parsed["golden"]])
    assert np.array_equal(booster.predict(matrix(rows), output_margin=True).astype(np.float64), margins)
    assert set(bands(booster.predict(matrix(rows)), edges)) == {1, 2, 3, 4, 5}
    fresh, _ = population(TEST_ROWS, TEST_SEED)
    share = np.bincount(bands(booster.predict(matrix(fresh)), edges), minlength=6)[1:] / TEST_ROWS
    assert np.all(np.abs(share - 0.2) < 0.005), share


def report(booster: xgb.Booster, edges: list[float]) -> None:
    for title, rows, seed in (("trained on", TRAIN_ROWS, TRAIN_SEED), ("held out", TEST_ROWS, TEST_SEED)):
        values, converted = population(rows, seed)
        prediction = booster.predict(matrix(values))
        print(f"{title:>10}: AUC {auc(prediction, converted):.4f}, log loss {log_loss(prediction, converted):.4f}")
    by_band = bands(prediction, edges)
    for band in range(1, 6):  # of the held-out leads, which come last above
        members = by_band == band
        print(f"{f'score {band}':>10}: {members.mean():6.2%} of leads, {converted[members].mean():6.2%} converted")
    print(f"    missing: {np.isnan(values).mean():.1%} of the values; converted: {converted.mean():.1%}")
    distinct = [len(values) for values in thresholds(booster)]
    nodes = sum(len(tree["left_children"]) for tree in trees(booster))
    depths = np.array([depth(tree) for tree in booster.get_dump()])
    print(f"      trees: {len(depths)}, of depth 6: {(depths == 6).sum()}, nodes: {nodes}")
    print(f" thresholds: {sum(distinct)} on {len(distinct)} features, most on one: {max(distinct)}")
    print(f"      bytes: {len(booster.save_raw('ubj'))}")


def depth(dump: str) -> int:
    """The text dump indents one tab a level."""
    return max(len(line) - len(line.lstrip("\t")) for line in dump.splitlines())


def auc(prediction: NDArray[np.float32], converted: NDArray[np.int8]) -> float:
    order = np.argsort(prediction, kind="stable")
    ranks = np.empty(len(order))
    ranks[order] = np.arange(1, len(order) + 1)
    positives = int(converted.sum())
    return (ranks[converted == 1].sum() - positives * (positives + 1) / 2) / (positives * (len(order) - positives))


def log_loss(prediction: NDArray[np.float32], converted: NDArray[np.int8]) -> float:
    likelihood = np.where(converted == 1, prediction, 1.0 - prediction.astype(np.float64))
    return float(-np.log(likelihood).mean())


def write(files: dict[str, bytes]) -> int:
    for name, content in files.items():
        (HERE / name).write_bytes(content)
        print(f"wrote {name}: {len(content)} bytes")
    return 0


def compare(files: dict[str, bytes]) -> int:
    stale = [name for name, content in files.items() if (HERE / name).read_bytes() != content]
    print(f"not what train.py writes: {', '.join(stale)}" if stale else "both files are what train.py writes")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
