"""`quintile verify` beside the libraries: equal numbers are equal, each planted difference is found and named."""

import json
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import pytest
import xgboost
from numpy.typing import NDArray

import command

ROWS = 400
Numbers = NDArray[Any]


def table(seed: int = 1) -> pd.DataFrame:
    dice = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "age": dice.integers(18, 90, ROWS).astype(float),
            "amount": dice.uniform(0, 200, ROWS).round(2),
            "visits": dice.integers(0, 12, ROWS).astype(float),
            "income": dice.normal(40, 15, ROWS).round(1),
        }
    )


def labels(frame: pd.DataFrame, classes: int = 2) -> Numbers:
    values = frame["age"] / 90 + frame["amount"].fillna(120) / 200 - frame["visits"] / 12 + frame["income"] / 80
    return np.digitize(values, np.quantile(values, np.linspace(0, 1, classes + 1)[1:-1]))


def train(frame: pd.DataFrame, path: Path, missing: float = np.nan, **parameters: Any) -> xgboost.Booster:
    settings = {"objective": "binary:logistic", "max_depth": 4, "eta": 0.3, **parameters}
    classes = settings.get("num_class", 2)
    matrix = xgboost.DMatrix(frame, labels(frame.replace(missing, np.nan), classes), missing=missing)
    booster = xgboost.train(settings, matrix, 20)
    booster.save_model(path)
    return booster


def write(values: Numbers, path: Path) -> Path:
    np.savetxt(path, values, fmt="%.17g", delimiter=",")
    return path


def verify(model: Path, rows: Path, expect: Path | str, *flags: str) -> tuple[int, dict[str, Any]]:
    done = command.run("verify", model, "--rows", rows, "--expect", expect, "--json", *flags)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def findings(model: Path, rows: Path, expect: Path | str, *flags: str) -> dict[str, Any]:
    """What is said of rows that are not equal: the first finding."""
    code, said = verify(model, rows, expect, *flags)
    assert code == 1 and not said["is_equal"], said
    assert said["findings"], said
    return {**said["findings"][0], "rows": said["rows"], "differences": said["differences"]}


def test_equal_numbers_are_equal_whatever_they_stand_in(tmp_path: Path) -> None:
    frame, model = table(), tmp_path / "m.ubj"
    booster = train(frame, model)
    predictions = booster.predict(xgboost.DMatrix(frame))
    frame.to_csv(tmp_path / "rows.csv", index=False)
    frame.assign(p=predictions).to_csv(tmp_path / "with.csv", index=False)
    frame.assign(p=predictions).to_parquet(tmp_path / "with.parquet", index=False)
    pd.Series(predictions, name="prediction").to_csv(tmp_path / "p.csv", index=False)
    for rows, expect in [("rows.csv", tmp_path / "p.csv"), ("with.csv", "p"), ("with.parquet", "p")]:
        code, said = verify(model, tmp_path / rows, expect)
        assert (code, said["equal"], said["compared_with"]) == (0, ROWS, "prediction"), said
        assert not said["findings"] and not said["differences"]
    margins = booster.predict(xgboost.DMatrix(frame), output_margin=True)
    code, said = verify(model, tmp_path / "rows.csv", write(margins, tmp_path / "m.csv"))
    assert (code, said["compared_with"]) == (0, "margin"), "what fits best is found out, and said"
    both = np.column_stack([1 - predictions, predictions])
    code, said = verify(model, tmp_path / "rows.csv", write(both, tmp_path / "both.csv"))
    assert (code, said["compared_with"]) == (0, "both_classes")


def test_one_unit_is_told_from_more(tmp_path: Path) -> None:
    frame, model = table(), tmp_path / "m.ubj"
    predictions = train(frame, model).predict(xgboost.DMatrix(frame))
    frame.to_csv(tmp_path / "rows.csv", index=False)
    predictions[3] = np.nextafter(predictions[3], np.float32(1))
    predictions[7] += np.float32(0.01)
    code, said = verify(model, tmp_path / "rows.csv", write(predictions, tmp_path / "p.csv"))
    assert code == 1
    assert (said["equal"], said["one_unit"], said["beyond"]) == (ROWS - 2, 1, 1)
    assert [difference["row"] for difference in said["differences"]] == [4, 8]
    predictions[7] -= np.float32(0.01)
    frame[:5].to_csv(tmp_path / "five.csv", index=False)
    code, said = verify(model, tmp_path / "five.csv", write(predictions[:5], tmp_path / "p.csv"), "--ulps", "1")
    assert (code, said["one_unit"]) == (0, 1)


def test_columns_shuffled(tmp_path: Path) -> None:
    frame, model = table(), tmp_path / "m.ubj"
    booster = train(frame, model)
    shuffled = frame[["income", "age", "visits", "amount"]]
    shuffled.to_csv(tmp_path / "rows.csv", index=False)
    by_position = booster.predict(xgboost.DMatrix(shuffled.to_numpy()), validate_features=False)
    found = findings(model, tmp_path / "rows.csv", write(by_position, tmp_path / "p.csv"))
    assert (found["cause"], found["equal"]) == ("column_order", ROWS)
    assert "position" in found["what"]
    assert "compares" in found["differences"][0]["parting"], "the node at which the row takes another branch"


def test_columns_under_wrong_names(tmp_path: Path) -> None:
    frame, model = table(), tmp_path / "m.ubj"
    predictions = train(frame, model).predict(xgboost.DMatrix(frame))
    wrong = frame[["income", "age", "visits", "amount"]].set_axis(list(frame.columns), axis=1)
    wrong.to_csv(tmp_path / "rows.csv", index=False)
    found = findings(model, tmp_path / "rows.csv", write(predictions, tmp_path / "p.csv"))
    assert (found["cause"], found["equal"]) == ("column_order", ROWS)
    assert "age from" in found["what"]


def test_a_misspelt_column(tmp_path: Path) -> None:
    frame, model = table(), tmp_path / "m.ubj"
    predictions = train(frame, model).predict(xgboost.DMatrix(frame))
    frame.rename(columns={"amount": "amuont"}).to_csv(tmp_path / "rows.csv", index=False)
    found = findings(model, tmp_path / "rows.csv", write(predictions, tmp_path / "p.csv"))
    assert (found["cause"], found["equal"]) == ("column_name", ROWS)
    assert "amuont" in found["what"] and "amount" in found["what"]


@pytest.mark.parametrize("marker", [0.0, -999.0])
def test_missing_markers(marker: float, tmp_path: Path) -> None:
    frame, model = table(), tmp_path / "m.ubj"
    frame.loc[::3, ["amount", "visits"]] = marker
    booster = train(frame, model, missing=marker)
    predictions = booster.predict(xgboost.DMatrix(frame, missing=marker))
    frame.to_csv(tmp_path / "rows.csv", index=False)
    found = findings(model, tmp_path / "rows.csv", write(predictions, tmp_path / "p.csv"))
    assert (found["cause"], found["equal"]) == ("missing_marker", ROWS), found
    line = f"missing = {marker!r}"
    assert line in found["advice"] and "m.toml" in found["advice"]
    assert "missing there" in found["differences"][0]["parting"]
    (tmp_path / "m.toml").write_text(line + "\n")
    code, _ = verify(model, tmp_path / "rows.csv", tmp_path / "p.csv")
    assert code == 0, "the advice helps"


def test_input_of_32_bits(tmp_path: Path) -> None:
    frame, model = table(), tmp_path / "m.txt"
    booster = lightgbm.train(
        {"objective": "binary", "verbose": -1, "num_leaves": 31, "min_data_in_leaf": 3},
        lightgbm.Dataset(frame, labels(frame)),
        20,
    )
    booster.save_model(model)
    splits = booster.trees_to_dataframe()
    at = splits[splits["split_feature"] == "amount"]["threshold"].dropna().to_numpy()
    frame.loc[frame.index[: len(at)], "amount"] = at[:ROWS]
    frame.to_csv(tmp_path / "rows.csv", index=False)
    narrowed = frame.astype("float32").astype("float64")
    expect = write(booster.predict(narrowed), tmp_path / "p.csv")
    found = findings(model, tmp_path / "rows.csv", expect)
    assert (found["cause"], found["equal"]) == ("input_32_bits", ROWS), found
    (tmp_path / "m.toml").write_text('input = "float32"\n')
    assert verify(model, tmp_path / "rows.csv", expect)[0] == 0, "the advice helps"


def test_best_iteration(tmp_path: Path) -> None:
    frame, model = table(), tmp_path / "m.ubj"
    other = table(2)
    classifier = xgboost.XGBClassifier(n_estimators=200, early_stopping_rounds=3, max_depth=4, eval_metric="logloss")
    dice = np.random.default_rng(3)
    noisy = np.where(dice.random(ROWS) < 0.3, 1 - labels(frame), labels(frame))
    classifier.fit(frame, noisy, eval_set=[(other, labels(other))], verbose=False)
    classifier.save_model(model)
    frame.to_csv(tmp_path / "rows.csv", index=False)
    expect = write(classifier.predict_proba(frame)[:, 1], tmp_path / "p.csv")
    found = findings(model, tmp_path / "rows.csv", expect)
    assert (found["cause"], found["equal"]) == ("best_iteration", ROWS), found
    assert "--trees best" in found["advice"]
    assert verify(model, tmp_path / "rows.csv", expect, "--trees", "best")[0] == 0, "the advice helps"


def test_margin_for_prediction(tmp_path: Path) -> None:
    frame, model = table(), tmp_path / "m.ubj"
    margins = train(frame, model).predict(xgboost.DMatrix(frame), output_margin=True)
    frame.to_csv(tmp_path / "rows.csv", index=False)
    found = findings(model, tmp_path / "rows.csv", write(margins, tmp_path / "p.csv"), "--of", "prediction")
    assert (found["cause"], found["equal"]) == ("other_quantity", ROWS), found
    assert "margins" in found["what"]


def test_classes_reversed(tmp_path: Path) -> None:
    frame, model = table(), tmp_path / "m.ubj"
    booster = train(frame, model, objective="multi:softprob", num_class=3)
    probabilities = booster.predict(xgboost.DMatrix(frame))
    frame.to_csv(tmp_path / "rows.csv", index=False)
    found = findings(model, tmp_path / "rows.csv", write(probabilities[:, ::-1], tmp_path / "p.csv"))
    assert (found["cause"], found["equal"]) == ("class_order", ROWS)
    assert "reversed" in found["what"]
    binary = tmp_path / "b.ubj"
    prediction = train(frame, binary).predict(xgboost.DMatrix(frame))
    found = findings(binary, tmp_path / "rows.csv", write(np.float32(1) - prediction, tmp_path / "p.csv"))
    assert (found["cause"], found["equal"]) == ("class_order", ROWS)


def test_categories_in_another_order(tmp_path: Path) -> None:
    frame, model = table(), tmp_path / "m.txt"
    names = np.array(["web", "fair", "call", "mail"])
    frame["source"] = pd.Categorical(names[np.random.default_rng(4).integers(0, 4, ROWS)], categories=list(names))
    target = (frame["source"].cat.codes.isin([0, 3]) ^ (frame["age"] > 50)).astype(int)
    booster = lightgbm.train(
        {"objective": "binary", "verbose": -1, "min_data_in_leaf": 5, "min_data_per_group": 5, "cat_smooth": 1},
        lightgbm.Dataset(frame, target),
        20,
    )
    booster.save_model(model)
    frame.to_csv(tmp_path / "rows.csv", index=False)
    codes = frame["source"].astype("str").astype("category").cat.codes
    expect = write(booster.predict(frame.assign(source=codes).to_numpy().astype(float)), tmp_path / "p.csv")
    found = findings(model, tmp_path / "rows.csv", expect)
    assert (found["cause"], found["equal"]) == ("category_order", ROWS), found


def test_another_models_file(tmp_path: Path) -> None:
    frame, model = table(), tmp_path / "m.ubj"
    train(frame, model)
    other = train(frame, tmp_path / "other.ubj", max_depth=2, seed=7).predict(xgboost.DMatrix(frame))
    frame.to_csv(tmp_path / "rows.csv", index=False)
    found = findings(model, tmp_path / "rows.csv", write(other, tmp_path / "p.csv"))
    assert found["cause"] == "unexplained" and "another model" in found["what"]


def test_rows_in_another_order_and_numbers_with_few_digits(tmp_path: Path) -> None:
    frame, model = table(), tmp_path / "m.ubj"
    predictions = train(frame, model).predict(xgboost.DMatrix(frame))
    frame.to_csv(tmp_path / "rows.csv", index=False)
    found = findings(model, tmp_path / "rows.csv", write(predictions[::-1], tmp_path / "p.csv"))
    assert found["cause"] == "row_order"
    np.savetxt(tmp_path / "p.csv", predictions, fmt="%.4g")
    found = findings(model, tmp_path / "rows.csv", tmp_path / "p.csv")
    assert found["cause"] == "rounded_text" and "%.9g" in found["advice"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("0.5\n", "there are 400 rows and 1 rows of expected numbers"),
        ("0.5\nx\n", "line 2"),
        ("1,2,3\n" * ROWS, "3 expected numbers a row fit nothing"),
        ("", "there are no numbers"),
        ("1\n1,2\n", "it has 2 numbers, the lines above have 1"),
    ],
)
def test_numbers_that_do_not_fit_are_named(content: str, says: str, tmp_path: Path) -> None:
    frame, model = table(), tmp_path / "m.ubj"
    train(frame, model)
    frame.to_csv(tmp_path / "rows.csv", index=False)
    (tmp_path / "p.csv").write_text(content)
    done = command.run("verify", model, "--rows", tmp_path / "rows.csv", "--expect", tmp_path / "p.csv")
    assert done.returncode == 1 and says in done.stderr, done.stderr
    done = command.run("verify", model, "--rows", tmp_path / "rows.csv", "--expect", "nothing")
    assert done.returncode == 1 and "nothing" in done.stderr


def test_people_read_what_was_found(tmp_path: Path) -> None:
    frame, model = table(), tmp_path / "m.ubj"
    frame.loc[::3, "amount"] = -999.0
    predictions = train(frame, model, missing=-999.0).predict(xgboost.DMatrix(frame, missing=-999.0))
    frame.to_csv(tmp_path / "rows.csv", index=False)
    done = command.run(
        "verify", model, "--rows", tmp_path / "rows.csv", "--expect", write(predictions, tmp_path / "p.csv")
    )
    assert done.returncode == 1
    for words in [
        "400 rows",
        "equal to the last bit",
        "The first rows that differ",
        "all 400 rows are equal",
        "m.toml",
    ]:
        assert words in done.stdout, done.stdout
