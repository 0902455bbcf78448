"""Random LightGBM models over every objective, booster and kind of missing value: margins equal to the last bit."""

from pathlib import Path

import numpy as np
import pytest

import command
from conftest import Note
from exact import assert_bit_equal, assert_within
from random_lightgbm import Recipe, hard_rows, recipes, train

KERNELS = ("auto", "reference", "scalar")


@pytest.mark.parametrize("recipe", recipes(), ids=str)
def test_equals_lightgbm(recipe: Recipe, tmp_path: Path, note: Note) -> None:
    model = tmp_path / "model.txt"
    booster = train(recipe, model)
    values = hard_rows(recipe, booster)
    rows = command.write_rows(tmp_path / "rows.csv", recipe.names, values)
    margin, prediction = booster.predict(values, raw_score=True), booster.predict(values)

    for kernel in KERNELS:
        assert_bit_equal(command.score(model, rows, "margin", kernel=kernel), margin, np.float64)
    off = assert_within(command.score(model, rows, "prediction"), prediction, 1, np.float64)
    if off:
        note(f"{recipe}: {off} of {prediction.size} predictions are one ulp off, margins exact")


def test_recipes_are_distinct_and_cover_what_decides_a_prediction() -> None:
    all_recipes = recipes()
    assert len({str(recipe) for recipe in all_recipes}) == len({recipe.seed for recipe in all_recipes}) == 140
    assert {recipe.boosting for recipe in all_recipes} == {"gbdt", "dart", "rf"}
    assert {recipe.missing for recipe in all_recipes} == {"nan", "none", "zero", "clean"}
