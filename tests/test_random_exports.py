"""Random Treelite, CatBoost and ONNX models: bit-equal with GTIL and CatBoost, within one ulp of onnxruntime."""

from pathlib import Path

import numpy as np
import pytest

import command
from conftest import Note
from exact import assert_bit_equal, assert_within
from random_exports import LOSSES, Answers, catboost_answers, onnx_answers, treelite_answers

KERNELS = ("reference", "scalar")


def compare(name: str, answers: Answers, folder: Path, note: Note) -> None:
    rows = command.write_rows(folder / "rows.csv", answers.names, answers.rows)
    if answers.margin is not None:
        for kernel in KERNELS:
            assert_bit_equal(command.score(answers.model, rows, "margin", kernel=kernel), answers.margin, answers.dtype)
    for kernel in KERNELS:
        scored = command.score(answers.model, rows, "prediction", kernel=kernel)
        off = assert_within(scored, answers.prediction, 1, answers.dtype)
    if off:
        note(f"{name}: {off} of {np.size(answers.prediction)} predictions are one ulp off")


@pytest.mark.parametrize("seed", range(4))
def test_equals_gtil(seed: int, tmp_path: Path, note: Note) -> None:
    for name, answers in treelite_answers(seed, tmp_path):
        compare(f"treelite {seed} {name}", answers, tmp_path, note)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("seed", range(5))
def test_equals_catboost(loss: str, seed: int, tmp_path: Path, note: Note) -> None:
    number = 12 * seed + list(LOSSES).index(loss)
    compare(f"catboost {seed} {loss}", catboost_answers(number, loss, tmp_path), tmp_path, note)


@pytest.mark.parametrize("seed", range(6))
def test_is_within_one_ulp_of_onnxruntime(seed: int, tmp_path: Path, note: Note) -> None:
    for name, answers in onnx_answers(seed, tmp_path):
        compare(f"onnx {seed} {name}", answers, tmp_path, note)
