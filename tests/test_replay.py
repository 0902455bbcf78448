"""`quintile replay` on records that a server has left of real leads: scores come out again, a difference is found."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sklearn.metrics
import xgboost as xgb
from numpy.typing import NDArray

import command
import real_leads
from serving import Server, score_all

LEADS, HALF_ROUNDS = 400, real_leads.ROUNDS // 2
EDGES = [0.2, 0.4, 0.6, 0.8]

pytestmark = pytest.mark.skipif(not real_leads.tables(), reason="the tables of real leads are absent")


class Recorded:
    """The records of a server, and the model that made them."""

    def __init__(self, folder: Path) -> None:
        self.trained = real_leads.xgboost_model("bank", folder)
        self.model = self.trained.model
        with Server(self.model, folder / "data", shards=2) as server:
            score_all(server, [self.trained.features(row) for row in range(LEADS)], connections=3)
            server.stop()
        self.scores = folder / "data" / "scores"
        self.half = folder / "half.ubj"
        frame, label = real_leads.load("bank")
        train, _ = real_leads.split(frame)
        rows = xgb.DMatrix(real_leads.as_categories(train), label[: len(train)], enable_categorical=True)
        settings = {"objective": "binary:logistic", "max_depth": 3, "nthread": 1}
        xgb.train(settings, rows, HALF_ROUNDS).save_model(self.half)

    def half_predictions(self) -> NDArray[np.float64]:
        rows = real_leads.as_categories(self.trained.frame[:LEADS], reverse=True)
        booster = xgb.Booster(model_file=self.half)
        return booster.predict(xgb.DMatrix(rows, enable_categorical=True)).astype(np.float64)

    def table(self) -> pa.Table:
        return pa.concat_tables(pq.read_table(file, partitioning=None) for file in self.scores.rglob("*.parquet"))


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    return Recorded(tmp_path_factory.mktemp("replay"))


def replay(scores: Path, model: Path, *flags: str | Path) -> tuple[int, dict[str, Any]]:
    done = command.run("replay", "--scores", scores, "--model", model, "--json", *flags)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def refused(scores: Path, model: Path, *flags: str | Path) -> str:
    done = command.run("replay", "--scores", scores, "--model", model, *flags)
    assert done.returncode == 1 and not done.stdout, done.stdout
    return str(done.stderr)


def write(folder: Path, *tables: pa.Table) -> Path:
    folder.mkdir()
    for number, table in enumerate(tables):
        pq.write_table(table, folder / f"{number}.parquet", row_group_size=150)
    return folder


def changed(table: pa.Table, column: str, change: Callable[[list[Any]], list[Any]]) -> pa.Table:
    place, field = table.schema.get_field_index(column), table.schema.field(column)
    values = pa.array(change(table[column].to_pylist()), field.type)
    return table.set_column(place, field, values)


def test_every_recorded_score_comes_out_again(recorded: Recorded) -> None:
    code, said = replay(recorded.scores, recorded.model)
    assert (code, said["is_reproduced"], said["rows"]) == (0, True, LEADS), said
    assert said["reproduction"] == {"equal": LEADS, "differing": 0, "refused": 0, "elsewhere": 0, "differences": []}
    assert said["comparison"] is None, "a model beside itself says nothing"
    text = command.run("replay", "--scores", recorded.scores, "--model", recorded.model)
    assert f"Reproduced: all {LEADS} recorded scores come out again, equal to the last bit" in text.stdout


@pytest.mark.parametrize("column", ["margin", "prediction"])
def test_one_bit_is_found(recorded: Recorded, tmp_path: Path, column: str) -> None:
    def plant(values: list[Any]) -> list[Any]:
        return [float(np.nextafter(value, 2)) if row == 200 else value for row, value in enumerate(values)]

    table = recorded.table()
    code, said = replay(write(tmp_path / "scores", changed(table, column, plant)), recorded.model)
    assert (code, said["reproduction"]["equal"], said["reproduction"]["differing"]) == (1, LEADS - 1, 1), said
    [difference] = said["reproduction"]["differences"]
    was = table[column][200].as_py()
    assert difference == {
        "record_id": table["record_id"][200].as_py(),
        "lead_id": table["lead_id"][200].as_py(),
        "what": column,
        "output": 0,
        "recorded": float(np.nextafter(was, 2)),
        "now": was,
    }


def test_a_changed_category_or_value_is_found(recorded: Recorded, tmp_path: Path) -> None:
    table = recorded.table()
    months = table["last_contact_month"].to_pylist()
    other = changed(table, "last_contact_month", lambda values: [*values[:-1], None])
    assert months[-1] is not None
    code, said = replay(write(tmp_path / "scores", other), recorded.model)
    assert code == 1 and said["reproduction"]["differing"] == 1, said


def test_another_model_is_compared_as_the_libraries_do(recorded: Recorded, tmp_path: Path) -> None:
    champion = recorded.trained.prediction[:LEADS].astype(np.float64)
    other = recorded.half_predictions()
    is_converted = np.random.default_rng(3).uniform(0, 1, LEADS) < champion
    known = np.arange(LEADS) % 4 != 0
    rows = pd.DataFrame({"lead_id": [f"lead-{row}" for row in range(LEADS)], "won": is_converted.astype(int)})
    rows["won"] = rows["won"].astype(object).where(known, "")
    rows.to_csv(tmp_path / "won.csv", index=False)
    code, said = replay(recorded.scores, recorded.half, "--outcomes", tmp_path / "won.csv")
    assert code == 0 and said["reproduction"] is None, said
    found = said["comparison"]
    assert (found["rows"], found["unscored"], found["not_numbers"]) == (LEADS, 0, 0)
    off = np.abs(other - champion)
    assert found["max_abs_difference"] == off.max()
    assert found["mean_abs_difference"] == pytest.approx(off.mean(), rel=1e-12)
    bands = [1 + np.digitize(values, EDGES) for values in (champion, other)]
    assert found["bands"] == sklearn.metrics.confusion_matrix(*bands, labels=[1, 2, 3, 4, 5]).tolist()
    assert found["moved_down"] == int(((bands[0] >= 4) & (bands[1] <= 3)).sum())
    auc = found["auc"]
    assert (auc["converted"], auc["not_converted"]) == (
        int(is_converted[known].sum()),
        int((~is_converted[known]).sum()),
    )
    for name, values in [("champion", champion), ("other", other)]:
        expected = sklearn.metrics.roc_auc_score(is_converted[known], values[known])
        assert auc[name] == pytest.approx(expected, abs=1e-12)
    assert auc["interval_95"][0] <= auc["difference"] <= auc["interval_95"][1] and auc["is_exact"]
    assert said["other"].startswith("half ") and said["champion"].startswith("xgboost-bank ")
    assert found["line"].startswith("May it be promoted? ") and "only 400 rows" in found["line"]


def test_a_model_without_names_of_categories_takes_no_names(recorded: Recorded, tmp_path: Path) -> None:
    sliced = tmp_path / "sliced.ubj"
    xgb.Booster(model_file=recorded.model)[:HALF_ROUNDS].save_model(sliced)
    code, said = replay(recorded.scores, sliced)
    assert (code, said["comparison"]["rows"], said["comparison"]["unscored"]) == (0, 0, LEADS), said
    assert "holds names of categories, and the model takes numbers" in said["first_refusal"]["reason"]


def test_two_models_beside_each_other_and_the_recorded_one_still_proves_itself(recorded: Recorded) -> None:
    code, said = replay(recorded.scores, recorded.half, "--against", recorded.model, "--threads", "3")
    assert (code, said["reproduction"]["equal"]) == (0, LEADS), said
    _, beside_records = replay(recorded.scores, recorded.half)
    assert said["comparison"] == beside_records["comparison"], "what was recorded is what the model says"


def test_shadows_and_second_copies_are_left_out(recorded: Recorded, tmp_path: Path) -> None:
    table = recorded.table()
    roles = changed(table, "role", lambda values: ["shadow" if row < 50 else "champion" for row in range(len(values))])
    folder = write(tmp_path / "scores", roles, table.slice(300))
    # A copy of a whole file under another name, as a process leaves it that died before it acknowledged.
    shutil.copy(folder / "1.parquet", folder / "2.parquet")
    code, said = replay(folder, recorded.model)
    again = 2 * (LEADS - 300)
    assert (code, said["rows"], said["shadows"], said["duplicates"]) == (0, LEADS - 50, 50, again), said


def test_models_in_one_folder_are_told_apart(recorded: Recorded, tmp_path: Path) -> None:
    table = recorded.table()
    later = changed(table.slice(100), "model_version", lambda values: ["2"] * len(values))
    later = changed(later, "model_sha256", lambda values: ["0" * 64] * len(values))
    folder = write(tmp_path / "scores", table.slice(0, 100), later)
    code, said = replay(folder, recorded.model)
    assert (code, said["reproduction"]["equal"], said["comparison"]["rows"]) == (0, 100, LEADS - 100), said
    assert said["comparison"]["equal"] == LEADS - 100
    version = table["model_version"][0].as_py()
    _, said = replay(folder, recorded.model, "--recorded", f"xgboost-bank@{version}")
    assert (said["rows"], said["of_other_models"]) == (100, LEADS - 100), said
    other = changed(table, "model", lambda values: ["calls"] * len(values))
    folder = write(tmp_path / "two", table, other)
    assert '"calls", "xgboost-bank"; name one of them by --recorded' in refused(folder, recorded.half)
    assert 'no records of "cals"; there are records of "calls@' in refused(folder, recorded.half, "--recorded", "cals")
    _, said = replay(folder, recorded.model)
    assert said["rows"] == said["reproduction"]["equal"] == LEADS, "the records of its own name"


def test_records_of_older_versions_are_read(recorded: Recorded, tmp_path: Path) -> None:
    """Without what version 3 brought: no SHA-256, and categories as codes."""
    columns = ["role", "protocol", "model_sha256", "reasons", "features_from", "source", "source_reason"]
    table = recorded.table().drop_columns(columns)
    train, _ = real_leads.split(real_leads.load("bank")[0])
    for name, dtype in real_leads.as_categories(train).dtypes.items():
        if isinstance(dtype, pd.CategoricalDtype):
            codes = {category: float(code) for code, category in enumerate(dtype.categories)}
            values = pa.array([codes.get(value) for value in table[name].to_pylist()], pa.float64())
            table = table.set_column(table.schema.get_field_index(name), name, values)
    folder = write(tmp_path / "scores", table)
    code, said = replay(folder, recorded.model)
    assert (code, said["reproduction"]["equal"]) == (0, LEADS), said
    assert "told by its name and version" in said["notes"][0]
    code, said = replay(folder, recorded.half)
    assert (code, said["comparison"]["unscored"]) == (0, LEADS), said
    assert "holds codes of categories, which only the recorded model knows" in said["first_refusal"]["reason"]


def test_what_cannot_be_replayed_is_said(recorded: Recorded, tmp_path: Path) -> None:
    table = recorded.table()
    said = refused(write(tmp_path / "lacks", table.drop_columns(["customer_age"])), recorded.model)
    assert 'has no column "customer_age", which the model xgboost-bank' in said and "--recorded NAME@VERSION" in said
    (tmp_path / "empty").mkdir()
    assert "has no files; a folder of records has date=" in refused(tmp_path / "empty", recorded.model)
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "a.parquet").write_text("no Parquet", encoding="utf-8")
    assert "a.parquet" in refused(tmp_path / "text", recorded.model)
    pq.write_table(pa.table({"customer_age": [1.0]}), tmp_path / "rows.parquet")
    assert "is no file of records: it has no column model" in refused(tmp_path / "rows.parquet", recorded.model)
    shadows = changed(table, "role", lambda values: ["shadow"] * len(values))
    said = refused(write(tmp_path / "shadows", shadows), recorded.model)
    assert f"has no scores that were answered ({LEADS} of shadows)" in said
    (tmp_path / "won.csv").write_text("lead_id,won\na,maybe\n", encoding="utf-8")
    assert 'line 2: "maybe" is no outcome' in refused(
        recorded.scores, recorded.half, "--outcomes", tmp_path / "won.csv"
    )


def test_a_model_of_several_outputs_comes_out_again(tmp_path: Path) -> None:
    dice = np.random.default_rng(5)
    frame = pd.DataFrame({name: dice.normal(0, 1, 300).round(2) for name in ["a", "Score", "c"]})
    label = np.digitize(frame["a"] + frame["c"], [-0.5, 0.5])
    model = tmp_path / "classes.ubj"
    settings = {"objective": "multi:softprob", "num_class": 3, "max_depth": 3}
    xgb.train(settings, xgb.DMatrix(frame, label), 5).save_model(model)
    with Server(model, tmp_path / "data") as server:
        score_all(server, frame[:60].to_dict("records"), connections=2)
        server.stop()
    code, said = replay(tmp_path / "data" / "scores", model)
    assert (code, said["reproduction"]["equal"]) == (0, 60), said
    [file] = (tmp_path / "data" / "scores").rglob("*.parquet")
    planted = changed(
        pq.read_table(file, partitioning=None),
        "prediction",
        lambda values: [*values[:-1], [*values[-1][:2], float(np.nextafter(values[-1][2], 2))]],
    )
    code, said = replay(write(tmp_path / "planted", planted), model)
    [difference] = said["reproduction"]["differences"]
    assert (code, difference["what"], difference["output"]) == (1, "prediction", 2), said
