"""Random models over every built-in objective and kind of tree: margins to the last bit, predictions within one ulp."""

from pathlib import Path

import pytest

import command
from conftest import Note
from exact import assert_bit_equal, assert_within
from random_models import Recipe, hard_rows, matrix, recipes, train

KERNELS = ("auto", "reference", "scalar")


@pytest.mark.parametrize("recipe", recipes(), ids=str)
def test_equals_xgboost(recipe: Recipe, tmp_path: Path, note: Note) -> None:
    model = tmp_path / f"model.{recipe.format}"
    booster = train(recipe, model)
    values = hard_rows(recipe, model)
    data = matrix(recipe, values)
    rows = command.write_rows(tmp_path / "rows.csv", recipe.names, values)
    margin, prediction = booster.predict(data, output_margin=True), booster.predict(data)

    for kernel in KERNELS:
        assert_bit_equal(command.score(model, rows, "margin", kernel=kernel), margin)
    off = assert_within(command.score(model, rows, "prediction"), prediction, 1)
    if off:
        note(f"{recipe}: {off} of {prediction.size} predictions are one ulp off, margins exact")


def test_recipes_are_distinct_and_cover_what_decides_a_prediction() -> None:
    all_recipes = recipes()
    assert len({str(recipe) for recipe in all_recipes}) == len({recipe.seed for recipe in all_recipes}) == 130
    assert {recipe.tree_method for recipe in all_recipes} == {"hist", "approx", "exact"}
    assert {recipe.depth for recipe in all_recipes} >= {1, 2, 3, 4, 5, 6, 8}
