"""Every model of the parity suite answers as its own library did, and what cannot be served is refused.

The suite lies outside the repository, in ../shared/parity; its README says what the fields of a case mean.
"""

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import command
from conftest import PARITY, Note
from exact import Floats, assert_bit_equal, assert_within

Case = dict[str, Any]
KERNELS = ("reference", "scalar")
PEER_TOLERANCE = 1e-5  # as published values allow, see the suite's README
TREES_IN_PUBLISHED_DART = 10

if not PARITY.is_dir():
    pytest.skip(f"THE PARITY SUITE IS NOT THERE ({PARITY}): parity is not checked", allow_module_level=True)


def label(case: Case) -> str:
    return f"{case['name']}.{case['format'].removeprefix('xgboost-')}"


def read(path: str) -> bytes:
    content = (PARITY / path).read_bytes()
    return gzip.decompress(content) if path.endswith(".gz") else content


INDEX: list[Case] = json.loads(read("index.json"))
NATIVE = [case for case in INDEX if case["origin"] != "peer-peer"]
PUBLISHED = [case for case in INDEX if case["origin"] == "peer-peer"]
REFUSED = sorted({entry["path"] for entry in json.loads(read("refuse.json"))})


def test_the_suite_is_complete() -> None:
    """A changed index must not silently empty a list below."""
    assert [len(cases) for cases in (NATIVE, PUBLISHED, REFUSED)] == [82, 26, 48]


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("case", NATIVE, ids=label)
def test_equals_the_training_library(case: Case, kernel: str, tmp_path: Path, note: Note) -> None:
    model, rows = unpacked(case, tmp_path), named_rows(case, tmp_path)
    options = {"kernel": kernel, "trees": "best" if case["name"].endswith("@best") else "all"}
    dtype = np.dtype(case["dtype"])
    assert_bit_equal(command.score(model, rows, "margin", **options), expected(case["expect_margin_path"]), dtype)
    prediction = expected(case["expect_pred_path"])
    if case["format"] == "catboost-json":
        prediction = prediction[:, 1:]  # the probability of the second class; its complement stands before it
    off = assert_within(command.score(model, rows, "prediction", **options), prediction, 1, dtype)
    if off:
        note(f"{label(case)} ({kernel}): {off} of {prediction.size} predictions are one ulp off, margins exact")


@pytest.mark.parametrize("case", PUBLISHED, ids=label)
def test_agrees_with_numbers_that_others_published(case: Case, tmp_path: Path) -> None:
    model, rows = unpacked(case, tmp_path), named_rows(case, tmp_path)
    if "first 10 trees only" in case["notes"]:
        model = truncated(model, TREES_IN_PUBLISHED_DART)
    tolerance = max(PEER_TOLERANCE, 2 * case["max_scaled_diff_vs_current_native"])
    for output, path in (("margin", case.get("expect_margin_path")), ("prediction", case.get("expect_pred_path"))):
        if path:
            wanted = expected(path)
            np.testing.assert_allclose(command.score(model, rows, output), wanted, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("path", REFUSED)
def test_what_is_no_model_of_ours_is_refused(path: str, tmp_path: Path) -> None:
    model = tmp_path / Path(path).name.removesuffix(".gz")
    model.write_bytes(read(path))
    rows = command.write_rows(tmp_path / "rows.csv", ["f0", "f1"], [[1.0, 2.0]])
    command.refusal("score", "--output", "margin", "--model", model, rows)


def unpacked(case: Case, folder: Path) -> Path:
    if not case["model_path"].endswith(".gz"):
        return PARITY / case["model_path"]
    model = folder / Path(case["model_path"]).name.removesuffix(".gz")
    model.write_bytes(read(case["model_path"]))
    return model


def named_rows(case: Case, folder: Path) -> Path:
    """The rows under the names the model has: formats without names number their features."""
    path = PARITY / case["rows_path"]
    names = {"treelite-checkpoint": "f{}", "catboost-json": "{}"}.get(case["format"])
    if names is None:
        return path
    header, *lines = csv.reader(path.read_text().splitlines())
    renamed = folder / "rows.csv"
    with renamed.open("w", newline="") as file:
        csv.writer(file).writerows([[names.format(i) for i in range(len(header))], *lines])
    return renamed


def expected(path: str) -> Floats:
    return np.loadtxt(PARITY / path, delimiter=",", ndmin=2)


def truncated(model: Path, count: int) -> Path:
    """The same model with its first trees only; only for models with one tree a round."""
    document = json.loads(model.read_bytes())
    booster = document["learner"]["gradient_booster"]
    inner = booster.get("gbtree", booster)["model"]
    inner["gbtree_model_param"]["num_trees"] = str(count)
    for holder, key in ((inner, "trees"), (inner, "tree_info"), (booster, "weight_drop"), (inner, "weight_drop")):
        if key in holder:
            holder[key] = holder[key][:count]
    if "iteration_indptr" in inner:
        inner["iteration_indptr"] = inner["iteration_indptr"][: count + 1]
    shorter = model.with_name(f"first-{count}.json")
    shorter.write_text(json.dumps(document))
    return shorter
