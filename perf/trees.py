"""The trees of an XGBoost JSON or a LightGBM text file in one plain form, for the engines that read neither file.

Rows are single precision, so every test can be put as `value < threshold` with a single-precision threshold and still
send each row the same way as the library does: LightGBM's `value <= t` is `value < the least single above t`.
"""

import json
import struct
from pathlib import Path
from typing import NamedTuple

import numpy

LEAF = -1
MAGIC = b"QTREES1\n"


class Tree(NamedTuple):
    """One tree; all arrays have a place for each node, and the root is node 0."""

    feature: numpy.ndarray  # LEAF for a leaf
    threshold: numpy.ndarray  # float32; `value < threshold` goes left
    default_left: numpy.ndarray
    left: numpy.ndarray
    right: numpy.ndarray
    value: numpy.ndarray  # float64, of a leaf


class Trees(NamedTuple):
    """A model: the margin of a row is `base` and the sum of one leaf of each tree."""

    features: int
    base: float
    trees: list[Tree]

    def write(self, path: Path) -> None:
        """Writes what `native/trees.h` reads: counts, where each tree begins, then one array after the other."""
        starts = numpy.cumsum([0, *(len(tree.feature) for tree in self.trees)]).astype(numpy.uint32)
        with path.open("wb") as file:
            file.write(MAGIC + struct.pack("<IIId", len(self.trees), int(starts[-1]), self.features, self.base))
            starts.tofile(file)
            for column, kind in zip(Tree._fields, ("<i4", "<f4", "u1", "<i4", "<i4", "<f8"), strict=True):
                numpy.concatenate([getattr(tree, column) for tree in self.trees]).astype(kind).tofile(file)


def read(path: Path) -> Trees:
    """Reads a model by its suffix: `.json` of XGBoost, `.txt` of LightGBM; binary objectives without categories."""
    return _xgboost(path) if path.suffix == ".json" else _lightgbm(path)


def _xgboost(path: Path) -> Trees:
    learner = json.loads(path.read_text(encoding="utf-8"))["learner"]
    parameters = learner["learner_model_param"]
    probability = numpy.float32(json.loads(parameters["base_score"])[0])
    base = -numpy.log(numpy.float32(1) / probability - numpy.float32(1))
    trees = []
    for one in learner["gradient_booster"]["model"]["trees"]:
        left = numpy.array(one["left_children"])
        leaf = left == LEAF
        conditions = numpy.array(one["split_conditions"], dtype=numpy.float32)
        trees.append(
            Tree(
                feature=numpy.where(leaf, LEAF, one["split_indices"]),
                threshold=numpy.where(leaf, numpy.float32(0), conditions),
                default_left=numpy.array(one["default_left"], dtype=bool),
                left=left,
                right=numpy.array(one["right_children"]),
                value=numpy.where(leaf, conditions, 0).astype(numpy.float64),
            )
        )
    return Trees(int(parameters["num_feature"]), float(base), trees)


def _lightgbm(path: Path) -> Trees:
    head, *blocks = path.read_text(encoding="utf-8").split("\n\nend of trees")[0].split("\nTree=")
    features = int(_field(head, "max_feature_idx")) + 1
    return Trees(features, 0.0, [_lightgbm_tree(block) for block in blocks])


def _lightgbm_tree(block: str) -> Tree:
    def numbers(name: str, kind: type) -> numpy.ndarray:
        return numpy.array(_field(block, name).split(), dtype=kind)

    values = numbers("leaf_value", numpy.float64)
    tests = len(values) - 1
    decisions = numbers("decision_type", numpy.int64)
    if (decisions & 1).any():
        raise ValueError("a categorical split: only numbers are compared here")
    threshold = numbers("threshold", numpy.float64)
    single = threshold.astype(numpy.float32)
    single = numpy.where(single > threshold, numpy.nextafter(single, numpy.float32(-numpy.inf)), single)
    # Missing type 2 is NaN with a direction of its own; without it NaN counts as 0.
    own = (decisions >> 2) & 3 == 2
    default_left = numpy.where(own, decisions & 2 != 0, threshold >= 0)
    children = [numbers(name, numpy.int64) for name in ("left_child", "right_child")]
    # A child of -1 is leaf 0, and so on; here leaves come after all tests.
    children = [numpy.where(child < 0, tests - 1 - child, child) for child in children]
    leaves = numpy.full(len(values), LEAF)
    return Tree(
        feature=numpy.concatenate([numbers("split_feature", numpy.int64), leaves]),
        threshold=numpy.concatenate([numpy.nextafter(single, numpy.float32(numpy.inf)), leaves * 0]).astype(
            numpy.float32
        ),
        default_left=numpy.concatenate([default_left, leaves > 0]),
        left=numpy.concatenate([children[0], leaves]),
        right=numpy.concatenate([children[1], leaves]),
        value=numpy.concatenate([numpy.zeros(tests), values]),
    )


def _field(block: str, name: str) -> str:
    return next(line for line in block.splitlines() if line.startswith(name + "=")).partition("=")[2]
