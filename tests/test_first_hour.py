"""The first hour of somebody who has a table and a library: train, describe, check, serve, prove, and train again."""

import json
import re
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest
import treelite
import xgboost as xgb
from skl2onnx import to_onnx
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

import command
from serving import Server

ROWS = 2000
COUNTED_S = 30
ADVICE = re.compile(r"# ([a-z_]+ = .+)$")


def leads(seed: int = 1) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    table = pd.DataFrame(
        {
            "lead_id": [f"L{number}" for number in range(ROWS)],
            "visits": random.poisson(3, ROWS),
            "minutes": random.exponential(5, ROWS).round(2),
            "source": random.choice(["ad", "organic", "referral"], ROWS),
        }
    )
    chance = 0.05 + 0.03 * table.visits + 0.2 * (table.source == "referral")
    table["converted"] = (random.random(ROWS) < chance).astype(int)
    return table


def features(table: pd.DataFrame) -> pd.DataFrame:
    return table[["visits", "minutes", "source"]].astype({"source": "category"})


def numbers(table: pd.DataFrame) -> pd.DataFrame:
    return table[["visits", "minutes"]].assign(referral=(table.source == "referral").astype(int))


def save_xgboost(folder: Path, seed: int = 1) -> Path:
    table = leads(seed)
    table.to_csv(folder / "leads.csv", index=False)
    data = xgb.DMatrix(features(table), table.converted, enable_categorical=True)
    model = xgb.train({"objective": "binary:logistic", "max_depth": 4, "nthread": 1}, data, 20)
    model.save_model(folder / "leads.ubj")
    pd.Series(model.predict(data), name="p").to_csv(folder / "expected.csv", index=False)
    return folder / "leads.ubj"


def save_lightgbm(folder: Path) -> Path:
    table = leads()
    spelled = features(table).rename(columns={"visits": "Total Visits", "minutes": "Time on site"})
    spelled.assign(lead_id=table.lead_id).to_csv(folder / "leads.csv", index=False)
    model = lgb.train({"objective": "binary", "verbose": -1}, lgb.Dataset(spelled, table.converted), 20)
    model.save_model(folder / "leads.txt")
    pd.Series(model.predict(spelled), name="p").to_csv(folder / "expected.csv", index=False)
    return folder / "leads.txt"


def save_forest(folder: Path) -> Path:
    table = leads()
    rows = numbers(table)
    rows.assign(lead_id=table.lead_id).to_csv(folder / "leads.csv", index=False)
    model = RandomForestClassifier(30, max_depth=8, random_state=1).fit(rows, table.converted)
    treelite.sklearn.import_model(model).serialize(str(folder / "leads.tl"))
    pd.DataFrame(model.predict_proba(rows)).to_csv(folder / "expected.csv", index=False)
    return folder / "leads.tl"


def save_stopped_early(folder: Path) -> Path:
    table = leads()
    table.to_csv(folder / "leads.csv", index=False)
    rows, split = features(table), ROWS * 3 // 4
    model = xgb.XGBClassifier(
        n_estimators=200, early_stopping_rounds=5, learning_rate=0.5, enable_categorical=True, n_jobs=1
    )
    evaluated = [(rows[split:], table.converted[split:])]
    model.fit(rows[:split], table.converted[:split], eval_set=evaluated, verbose=False)
    assert model.best_iteration < model.get_booster().num_boosted_rounds() - 1
    model.save_model(folder / "leads.ubj")
    pd.DataFrame(model.predict_proba(rows)).to_csv(folder / "expected.csv", index=False)
    return folder / "leads.ubj"


def done(*words: str | Path) -> str:
    """What a command that succeeds prints, on both streams."""
    result = command.run(*words)
    assert result.returncode == 0, f"{words}\n{result.stdout}\n{result.stderr}"
    return result.stdout + result.stderr


def init(model: Path, *words: str | Path) -> str:
    done("manifest", "init", model, *words)
    return model.with_suffix(".toml").read_text()


def asked(running: Server, path: str, body: object) -> tuple[int, Any]:
    """The status of a request, and its answer."""
    connection = running.connect()
    answer = connection.request("POST", path, json.dumps(body).encode(), Content_Type="application/json")
    connection.close()
    return answer.status, answer.json()


def post(running: Server, path: str, body: object) -> Any:
    """The answer to a request that is taken."""
    status, answer = asked(running, path, body)
    assert status == 200, answer
    return answer


def wait_for_metric(running: Server, sample: str, value: float) -> None:
    """Metrics are rendered twice a second."""
    end = time.monotonic() + COUNTED_S
    while (found := running.metrics().get(sample)) != value:
        assert time.monotonic() < end, f"{sample} is {found}, not {value}"
        time.sleep(0.1)


def verified(model: Path, *words: str) -> str:
    rows, expected = model.parent / "leads.csv", model.parent / "expected.csv"
    said = done("verify", model, "--rows", rows, "--expect", expected, *words)
    assert re.search(rf"equal to the last bit +{ROWS}\n", said), said
    return said


@pytest.mark.parametrize(
    ("save", "flags", "lead"),
    [
        (save_xgboost, [], {"visits": 4, "minutes": 2.5, "source": "referral"}),
        (save_lightgbm, [], {"Total Visits": 4, "Time_on_site": 2.5, "source": "referral"}),
        (save_forest, ["--names", "visits,minutes,referral"], {"visits": 4, "minutes": 2.5, "referral": 1}),
    ],
    ids=["xgboost", "lightgbm", "forest"],
)
def test_from_training_to_proof(
    save: Callable[[Path], Path], flags: list[str], lead: dict[str, object], tmp_path: Path
) -> None:
    model = save(tmp_path)
    text = init(model, tmp_path / "leads.csv", *flags, "--expect", tmp_path / "expected.csv")
    told = tomllib.loads(text)
    assert {row["source"] for row in told["golden"]} == {"library"} and len(told["golden"]) >= 3
    assert "nothing is demanded of requests" in text and "\nrange = " not in text
    assert "golden rows met" in done("check", "--model", model) and "Quintile's own" not in done("inspect", model)
    verified(model)
    with Server(model, tmp_path / "data", sink="none") as running:
        answer = post(running, "/score", {"lead_id": "a", "features": lead})
        assert answer["score"] in range(1, 6) and 0 < answer["probability"] < 1, answer
        wide = {**lead, next(iter(lead)): 400}
        (found,) = post(running, "/score?unusual=1", {"lead_id": "b", "features": wide})["unusual"]
        assert found["value"] == 400 and found["seen"][0] == 0 and found["seen"][1] < 20
        batch = {"leads": [{"lead_id": "c", "features": lead}, {"lead_id": "d", "features": wide}]}
        first, second = post(running, "/score/batch?unusual=1", batch)["results"]
        assert first["unusual"] == [] and first["unusual_total"] == 0 and second["unusual"] == [found]
        assert "unusual" not in post(running, "/score", {"lead_id": "b", "features": wide})
        wait_for_metric(running, f'quintile_unusual_values_total{{feature="{found["feature"]}"}}', 3)
        running.stop()


def test_a_classifier_that_stopped_early_says_its_flag(tmp_path: Path) -> None:
    model = save_stopped_early(tmp_path)
    for said in [done("check", "--model", model), done("inspect", model)]:
        assert "--trees best" in said and 'model.trees = "best"' in said, said
    verified(model, "--trees", "best")
    all_trees = command.run("verify", model, "--rows", tmp_path / "leads.csv", "--expect", tmp_path / "expected.csv")
    assert all_trees.returncode == 1 and "--trees best" in all_trees.stdout
    # The golden rows that init writes are of all trees, and no proof of fewer; edges are those of the trees that serve.
    of_all = tomllib.loads(init(model, tmp_path / "leads.csv"))
    of_best = tomllib.loads(init(model, tmp_path / "leads.csv", "--force", "--trees", "best"))
    assert of_best["edges"] != of_all["edges"]
    assert {row.get("trees") for row in of_all["golden"]} == {None} and {row["trees"] for row in of_best["golden"]} == {
        "best"
    }
    # Rows of other trees prove nothing, and that is said.
    assert "were not compared" in done("check", "--model", model) and "0 golden rows met" in done(
        "check", "--model", model
    )
    manifest = model.with_suffix(".toml")
    assert f"{len(of_best['golden'])} golden rows met" in done("check", "--model", model, "--trees", "best")
    manifest.write_text(re.sub(r"(?m)^margin = \[.*\]", "margin = [0.125]", manifest.read_text(), count=1))
    changed = command.run("check", "--model", model, "--trees", "best")
    assert changed.returncode == 78 and "golden row 1" in changed.stdout, changed.stdout
    said = command.run("manifest", "init", model, tmp_path / "leads.csv", "--force")
    assert said.returncode == 0 and "--trees best" in said.stderr, said.stderr
    fitted = done("fit-bands", model, tmp_path / "leads.csv", "--trees", "best", "--dry-run")
    assert all(repr(edge) in fitted for edge in of_best["edges"]), fitted
    done("check", "--model", model)
    done("check", "--model", model, "--trees", "best")
    verified(model, "--trees", "best")
    all_trees = command.run("verify", model, "--rows", tmp_path / "leads.csv", "--expect", tmp_path / "expected.csv")
    assert all_trees.returncode == 1 and "--trees best" in all_trees.stdout


def test_expected_numbers_of_a_german_excel_are_read(tmp_path: Path) -> None:
    model = save_xgboost(tmp_path)
    texts = [line.replace(".", ",") for line in (tmp_path / "expected.csv").read_text().splitlines()]
    (tmp_path / "expected.csv").write_text("\n".join(texts))
    verified(model)
    rows = leads().assign(p=texts[1:])
    rows.to_csv(tmp_path / "excel.csv", sep=";", decimal=",", index=False)
    done("verify", model, "--rows", tmp_path / "excel.csv", "--expect", "p")
    # Without a name above it nobody can know whether 0,5 is one number or two.
    (tmp_path / "bare.csv").write_text("\n".join(texts[1:]))
    bare = command.run("verify", model, "--rows", tmp_path / "leads.csv", "--expect", tmp_path / "bare.csv")
    assert bare.returncode == 1 and "may be one number or two" in bare.stderr, bare.stderr


def test_a_manifest_is_renewed_after_training_again(tmp_path: Path) -> None:
    model, rows = save_xgboost(tmp_path), tmp_path / "leads.csv"
    text = init(model, rows)
    written = tomllib.loads(text)
    assert {row["source"] for row in written["golden"]} == {"quintile"} and "version" not in written
    assert "Quintile's own numbers" in done("check", "--model", model)
    mine = text.replace('# label = "A name for people"', 'label = "Visits" # mine', 1)
    mine = mine.replace("[features.minutes]", "# Of one session.\n[features.minutes]\nrange = [0, 86400] # my own", 1)
    model.with_suffix(".toml").write_text('version = "sha256-0123456789ab"\n' + mine)
    save_xgboost(tmp_path, seed=2)
    refused = command.run("check", "--model", model).stdout
    assert "the model file has changed since its manifest was written" in refused and "--renew" in refused, refused
    again = init(model, rows, "--renew")
    told = tomllib.loads(again)
    assert 'label = "Visits" # mine' in again and "# Of one session.\n" in again and "[0, 86400] # my own" in again
    assert "version" not in told and told["edges"] != written["edges"] and told["golden"] != written["golden"]
    assert told["init"]["model_sha256"] != written["init"]["model_sha256"]
    assert told["features"]["visits"]["seen"] == [0.0, float(leads(2).visits.max())]
    assert f"rows from 1 to 5.\nedges = {told['edges']}" in again.replace("\n\n", "\n")
    done("check", "--model", model)
    verified(model)
    # Proofs that are lost are named.
    init(model, rows, "--force", "--expect", tmp_path / "expected.csv")
    lost = command.run("manifest", "init", model, rows, "--renew")
    assert lost.returncode == 0 and "had the training library's numbers" in lost.stderr, lost.stderr
    init(model, rows, "--force")
    # Edges that a person wrote stay.
    model.with_suffix(".toml").write_text(re.sub(r"(?m)^edges = .*$", "edges = [0.1, 0.2, 0.3, 0.4]", again, count=1))
    save_xgboost(tmp_path, seed=3)
    kept = init(model, rows, "--renew")
    assert tomllib.loads(kept)["edges"] == [0.1, 0.2, 0.3, 0.4]
    # So does all of it where nothing has changed.
    assert init(model, rows, "--renew") == kept
    # And without --renew the new one has what people wrote of features.
    fresh = tomllib.loads(init(model, rows, "--force"))
    assert fresh["features"]["visits"]["label"] == "Visits" and "range" not in fresh["features"]["minutes"]


def test_strict_demands_and_renews_what_it_demanded(tmp_path: Path) -> None:
    model, rows = save_xgboost(tmp_path), tmp_path / "leads.csv"
    text = init(model, rows, "--strict")
    visits = tomllib.loads(text)["features"]["visits"]
    assert visits["range"] == visits["seen"] and visits["type"] == "integer"
    assert "demanded of every request: widen what may be exceeded" in text
    save_xgboost(tmp_path, seed=2)
    again = tomllib.loads(init(model, rows, "--renew"))["features"]["visits"]
    assert again["range"] == again["seen"] == [0.0, float(leads(2).visits.max())]


def small_models(folder: Path) -> list[tuple[Path, list[str]]]:
    """Models of every kind of output, with the rows' columns."""
    table, rows = leads(), numbers(leads())
    three = make_classification(ROWS, 4, n_informative=3, n_redundant=0, n_classes=3, random_state=1)
    names = list(rows.columns)
    models = []

    def of_xgboost(name: str, objective: str, label: object, **more: object) -> None:
        parameters = {"objective": objective, "max_depth": 3, "nthread": 1, **more}
        model = xgb.train(parameters, xgb.DMatrix(rows, label), 5)
        model.save_model(folder / f"{name}.ubj")
        models.append((folder / f"{name}.ubj", names))

    of_xgboost("logistic", "binary:logistic", table.converted)
    of_xgboost("squares", "reg:squarederror", table.minutes)
    of_xgboost("counts", "count:poisson", table.visits)
    of_xgboost("classes", "multi:softprob", table.visits.clip(upper=2), num_class=3)
    of_xgboost("class", "multi:softmax", table.visits.clip(upper=2), num_class=3)
    of_xgboost("quantiles", "reg:quantileerror", table.minutes, quantile_alpha=np.array([0.1, 0.5, 0.9]))
    forest = RandomForestClassifier(5, max_depth=4, random_state=1).fit(*three)
    treelite.sklearn.import_model(forest).serialize(str(folder / "three.tl"))
    pd.DataFrame(three[0]).add_prefix("c").to_csv(folder / "three.csv", index=False)
    models.append((folder / "three.tl", ["c0", "c1", "c2", "c3"]))
    onnx = to_onnx(forest, three[0][:1].astype(np.float32), options={"zipmap": False})
    (folder / "onnx.onnx").write_bytes(onnx.SerializeToString())
    models.append((folder / "onnx.onnx", ["c0", "c1", "c2", "c3"]))
    regressor = RandomForestRegressor(5, max_depth=4, random_state=1).fit(rows, table.minutes)
    treelite.sklearn.import_model(regressor).serialize(str(folder / "regressor.tl"))
    models.append((folder / "regressor.tl", names))
    rows.to_csv(folder / "rows.csv", index=False)
    return models


def test_no_advice_is_refused(tmp_path: Path) -> None:
    applied = 0
    for model, names in small_models(tmp_path):
        table = tmp_path / ("three.csv" if names[0] == "c0" else "rows.csv")
        for words in [[], [table], [table, "--strict"]]:
            text = init(model, *words, "--force")
            done("check", "--model", model)
            lines = text.splitlines()
            for number, line in enumerate(lines):
                advice = ADVICE.match(line)
                if not advice:
                    continue
                changed = [*lines[:number], advice[1], *lines[number + 1 :]]
                model.with_suffix(".toml").write_text("\n".join(changed))
                checked = command.run("check", "--model", model)
                assert checked.returncode == 0, f"{model.name}: {advice[1]}\n{checked.stdout}"
                applied += 1
            model.with_suffix(".toml").unlink()
    assert applied > 150, applied


def test_votes_of_classes_are_probabilities_with_bands(tmp_path: Path) -> None:
    models = {model.stem: model for model, _ in small_models(tmp_path)}
    for name in ["three", "onnx"]:
        told = json.loads(done("inspect", models[name], "--json").split("\nquintile")[0])
        assert told["bands"] is None
        text = init(models[name], tmp_path / "three.csv")
        assert tomllib.loads(text)["names"] == ["c0", "c1", "c2", "c3"]
        assert "# probability_output = 2" in text
        models[name].with_suffix(".toml").write_text(text.replace("# probability_output = 2", "probability_output = 2"))
        again = init(models[name], tmp_path / "three.csv", "--renew")
        assert len(tomllib.loads(again)["edges"]) == 4
        scored = done("score", "--model", models[name], tmp_path / "three.csv").splitlines()
        assert scored[0] == "c0,c1,c2,c3,score,probability,error"


def test_names_are_asked_for_where_nothing_has_them(tmp_path: Path) -> None:
    model = save_forest(tmp_path)
    said = command.refusal("manifest", "init", model, tmp_path / "leads.csv")
    assert "--names visits,minutes,referral" in said and "4 columns (visits, minutes, referral, lead_id)" in said, said
    # The rows' header, where it has as many.
    numbers(leads()).to_csv(tmp_path / "rows.csv", index=False)
    told = tomllib.loads(init(model, tmp_path / "rows.csv"))
    assert told["names"] == ["visits", "minutes", "referral"] and told["input"] == "float32"
    assert "names are 2, but" in command.run("check", "--model", bad_manifest(model, 'names = ["a", "b"]\n')).stdout


def bad_manifest(model: Path, text: str) -> Path:
    model.with_suffix(".toml").write_text(text)
    return model


def test_edges_beyond_every_prediction_are_a_fault(tmp_path: Path) -> None:
    model = save_xgboost(tmp_path)
    said = command.refusal("inspect", bad_manifest(model, "edges = [10, 20, 40, 60]\n"))
    assert "edge 0 is 10" in said and "edges = [0.1, 0.2, 0.4, 0.6]" in said, said


def test_numbers_that_the_library_did_not_give_are_no_proof(tmp_path: Path) -> None:
    model, rows = save_xgboost(tmp_path), tmp_path / "leads.csv"
    expected = pd.read_csv(tmp_path / "expected.csv")
    expected.iloc[5] += 0.25
    expected.to_csv(tmp_path / "wrong.csv", index=False)
    said = command.refusal("manifest", "init", model, rows, "--expect", tmp_path / "wrong.csv")
    assert f"1 of {ROWS} rows have other predictions" in said and "quintile verify" in said, said
    assert not model.with_suffix(".toml").exists()


def test_both_spellings_of_a_name_and_never_both_at_once(tmp_path: Path) -> None:
    model = save_lightgbm(tmp_path)
    rows = pd.read_csv(tmp_path / "leads.csv")
    expected = command.score(model, tmp_path / "leads.csv", "prediction")
    rows.columns = [name.replace(" ", "_") for name in rows.columns]
    rows.to_csv(tmp_path / "under.csv", index=False)
    rows.rename(columns={"Total_Visits": "Total Visits"}).to_parquet(tmp_path / "mixed.parquet", index=False)
    rows.rename(columns={"Total_Visits": "Total Visits"}).to_json(
        tmp_path / "rows.ndjson", orient="records", lines=True
    )
    for name in ["under.csv", "mixed.parquet", "rows.ndjson"]:
        assert np.array_equal(command.score(model, tmp_path / name, "prediction"), expected), name
    rows["Total Visits"] = 0
    rows.to_csv(tmp_path / "both.csv", index=False)
    said = command.refusal("score", "--model", model, tmp_path / "both.csv")
    assert '"Total_Visits" and "Total Visits" are both the model\'s feature' in said, said
    with Server(model, tmp_path / "data", sink="none") as running:
        both = {"Total Visits": 1, "Total_Visits": 1}
        status, answer = asked(running, "/score", {"lead_id": "a", "features": both})
        assert status == 422 and answer["error"]["faults"][0]["code"] == "duplicate_key", answer
        running.stop()


def test_a_table_from_excel_comes_back_as_excel_reads_it(tmp_path: Path) -> None:
    model = save_xgboost(tmp_path)
    text = "visits;minutes;source;Ort\r\n3;1,5;ad;Köln\r\n4;0,25; ad;Wien\r\n;;;\r\n"
    rows, out = tmp_path / "excel.csv", tmp_path / "scored.csv"
    for encoding, mark in [("utf-8-sig", b"\xef\xbb\xbf"), ("utf-16", b"\xef\xbb\xbf"), ("utf-8", b"visits")]:
        rows.write_bytes(("sep=;\r\n" + text).encode(encoding) if encoding == "utf-8-sig" else text.encode(encoding))
        said = done("score", "--model", model, rows, "--out", out)
        assert said.splitlines()[-1] == f"quintile: 1 scored, 2 not, in {out}", said
        scored = out.read_bytes()
        assert scored.startswith(mark) and scored.count(b"\r\n") == scored.count(b"\n"), scored[:60]
        assert scored.startswith(b"\xef\xbb\xbfsep=;\r\n") == (encoding == "utf-8-sig")
        opened = pd.read_csv(out, sep=";", decimal=",", skiprows=int(encoding == "utf-8-sig"), encoding="utf-8-sig")
        assert opened.Ort[0] == "Köln" and opened.score[0] in range(1, 6)
        assert '" ad" is no category' in opened.error[1] and "without the spaces around it it is one" in opened.error[1]
        assert opened.error[2] == "is blank: none of its cells has a value"
    assert "and no workbook: write" in command.refusal("score", "--model", model, rows, "--out", tmp_path / "x.xlsx")
    assert "a table of text (CSV)" in command.refusal("inspect", tmp_path / "leads.csv")
