"""`quintile drift`: quiet on rows like those of training, loud on planted changes, and every number as defined."""

import json
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xgboost as xgb
from scipy import stats
from scipy.spatial import distance

import command
from serving import Server

ROWS = 4000
CURRENT = 1000


def rows(seed: int, count: int) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    table = pd.DataFrame(
        {
            "visits": random.poisson(3, count).astype(float),
            "minutes": random.exponential(5, count),
            "amount": np.where(random.random(count) < 0.5, 0.0, random.lognormal(3, 1, count)),
            "source": random.choice(["ad", "organic", "referral"], count, p=[0.5, 0.3, 0.2]),
            "region": random.choice(["east", "west"], count),
        }
    )
    table.loc[random.random(count) < 0.3, "minutes"] = np.nan
    return table


def features(table: pd.DataFrame) -> pd.DataFrame:
    categories = pd.CategoricalDtype(["ad", "organic", "referral"])
    return table[["visits", "minutes", "amount", "source"]].astype({"source": categories})


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drift")
    table = rows(1, ROWS)
    chance = 0.05 + 0.05 * table.visits + 0.2 * (table.source == "referral")
    data = xgb.DMatrix(features(table), np.random.default_rng(0).random(ROWS) < chance, enable_categorical=True)
    model = xgb.train({"objective": "binary:logistic", "max_depth": 3, "nthread": 1}, data, 20)
    model.save_model(folder / "leads.ubj")
    table.to_csv(folder / "training.csv", index=False)
    done = command.run("manifest", "init", folder / "leads.ubj", folder / "training.csv")
    assert done.returncode == 0, done.stderr
    return folder / "leads.ubj"


def drift(model: Path, current: Path, *flags: object, code: int = 0) -> dict[str, Any]:
    done = command.run("drift", "--model", model, "--current", current, "--format", "json", *flags)
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


def saved(folder: Path, table: pd.DataFrame) -> Path:
    table.to_csv(folder / "current.csv", index=False)
    return folder / "current.csv"


def statuses(found: dict[str, Any]) -> dict[str, str]:
    return {column["name"]: column["status"] for column in found["features"]}


def test_a_profile_is_in_the_manifest_and_is_that_of_the_rows(trained: Path, tmp_path: Path) -> None:
    profile = tomllib.loads(trained.with_suffix(".toml").read_text())["profile"]
    table = rows(1, ROWS)
    assert profile["rows"] == ROWS
    for name in ["visits", "minutes", "amount"]:
        column, values = profile["features"][name], table[name]
        assert 1 <= len(column["edges"]) <= 32 and column["missing"] == values.isna().sum()
        bins = np.searchsorted(column["edges"], values.dropna(), side="right")
        assert column["counts"] == np.bincount(bins, minlength=len(column["edges"]) + 1).tolist()
    source = profile["features"]["source"]
    assert source["counts"] == [int((table.source == name).sum()) for name in source["categories"]]
    assert sum(profile["prediction"]["counts"]) == ROWS
    # A profile and the rows it was made of are one reference.
    current = saved(tmp_path, rows(2, CURRENT))
    assert drift(trained, current) == drift(trained, current, "--reference", trained.parent / "training.csv")
    assert drift(trained, current) == drift(trained, current, "--reference", trained.with_suffix(".toml"))
    # A new one comes of new rows.
    rows(3, 500).to_csv(tmp_path / "new.csv", index=False)
    (tmp_path / "leads.ubj").write_bytes(trained.read_bytes())
    (tmp_path / "leads.toml").write_text(trained.with_suffix(".toml").read_text())
    renewed = command.run("manifest", "init", tmp_path / "leads.ubj", tmp_path / "new.csv", "--renew")
    assert renewed.returncode == 0, renewed.stderr
    text = (tmp_path / "leads.toml").read_text()
    assert tomllib.loads(text)["profile"]["rows"] == 500 and text.count("[profile]") == 1


def test_every_number_is_what_its_definition_says(trained: Path, tmp_path: Path) -> None:
    table = rows(4, CURRENT)
    table["visits"] += 1
    table.loc[:99, "source"] = "fax"
    found = drift(trained, saved(tmp_path, table), "--segment", "region", "--segment", "source")
    for column in [*found["features"], found["prediction"]]:
        before, after = column["reference"], column["current"]
        p, q = np.array(before["counts"]), np.array(after["counts"])
        n, m = p.sum(), q.sum()
        p_half, q_half = (p + 0.5) / (n + 0.5 * len(p)), (q + 0.5) / (m + 0.5 * len(q))
        assert column["psi"] == pytest.approx(np.sum((q_half - p_half) * np.log(q_half / p_half)), rel=1e-9)
        assert column["psi_bias"] == pytest.approx((len(p) - 1) * (1 / n + 1 / m), rel=1e-12)
        assert column["js"] == pytest.approx(distance.jensenshannon(p, q, base=2), rel=1e-9, abs=1e-12)
        assert column["ks"] == pytest.approx(np.abs(np.cumsum(p / n) - np.cumsum(q / m)).max(), rel=1e-9)
        used = p + q > 0
        test = stats.chi2_contingency(np.array([p[used], q[used]]), correction=False)
        assert column["chi2"] == pytest.approx(test.statistic, rel=1e-9) and column["chi2_df"] == test.dof
        assert column["chi2_p"] == pytest.approx(test.pvalue, rel=1e-6, abs=1e-300)
        if "name" not in column:
            continue
        shares = before["missing"] / before["rows"], after["missing"] / after["rows"]
        pooled = (before["missing"] + after["missing"]) / (before["rows"] + after["rows"])
        deviation = np.sqrt(pooled * (1 - pooled) * (1 / before["rows"] + 1 / after["rows"]))
        expected = 2 * stats.norm.sf(abs(shares[0] - shares[1]) / deviation) if deviation else 1
        assert column["missing_p"] == pytest.approx(expected, rel=1e-6)
        assert after["rows"] == m + after["missing"] + after["unknown"] == CURRENT
    source = found["features"][3]
    assert source["current"]["unknown"] == 100 and source["status"] == "drift" and found["status"] == "drift"
    assert statuses(found)["visits"] == "drift" and statuses(found)["amount"] == "ok"
    # A lead of a category that XGBoost refuses has no prediction.
    assert found["prediction"]["current"]["rows"] == CURRENT - 100
    regions = {segment["value"]: segment for segment in found["segments"] if segment["column"] == "region"}
    assert sum(segment["rows"] for segment in regions.values()) == CURRENT
    best = max(segment["rate"] for segment in regions.values())
    for segment in regions.values():
        assert segment["rate"] == segment["selected"] / segment["rows"]
        assert segment["ratio"] == pytest.approx(segment["rate"] / best)
        interval = stats.binomtest(segment["selected"], segment["rows"]).proportion_ci(method="wilson")
        assert segment["interval"] == pytest.approx([interval.low, interval.high], rel=1e-9)
    sources = {segment["value"]: segment["rows"] for segment in found["segments"] if segment["column"] == "source"}
    assert sources["unknown"] == 100 and set(sources) == {"ad", "organic", "referral", "unknown"}


def test_clean_rows_are_quiet_and_planted_changes_are_found(trained: Path, tmp_path: Path) -> None:
    for seed in range(100, 130):
        found = drift(trained, saved(tmp_path, rows(seed, 500)), "--fail-on", "drift")
        assert found["status"] in ("ok", "watch"), found
    assert drift(trained, saved(tmp_path, rows(99, 60)))["status"] == "too_few"
    table = rows(200, 500)
    planted = {
        "a unit": ("amount", table.amount * 1000),
        "half a deviation": ("visits", table.visits + 1),
        "missing": ("minutes", table.minutes.where(np.arange(500) % 3 > 0)),
        "a new category": ("source", table.source.where(np.arange(500) % 10 > 0, "fax")),
    }
    for what, (name, values) in planted.items():
        found = drift(trained, saved(tmp_path, table.assign(**{name: values})), "--fail-on", "drift", code=1)
        drifted = {column for column, status in statuses(found).items() if status == "drift"}
        assert drifted == {name}, (what, statuses(found))


def test_records_are_compared_as_the_rows_that_made_them(trained: Path, tmp_path: Path) -> None:
    table = rows(7, 400)
    with Server(trained, tmp_path / "data") as running:
        given = table.drop(columns="region").astype(object).where(table.drop(columns="region").notna(), None)
        leads = [{"lead_id": str(number), "features": row} for number, row in enumerate(given.to_dict("records"))]
        connection = running.connect()
        for start in range(0, 400, 100):
            body = json.dumps({"leads": leads[start : start + 100]}).encode()
            assert connection.request("POST", "/score/batch", body).status == 200
        connection.close()
        running.stop()
    of_rows = drift(trained, saved(tmp_path, table), "--segment", "source")
    of_records = drift(trained, tmp_path / "data" / "scores", "--segment", "source")
    assert of_records == of_rows


def test_faults_say_what_would_be_accepted(trained: Path, tmp_path: Path) -> None:
    current = saved(tmp_path, rows(5, 300))
    (tmp_path / "bare.ubj").write_bytes(trained.read_bytes())
    for arguments, says in [
        (("--model", tmp_path / "bare.ubj", "--current", current), "manifest init MODEL ROWS --renew"),
        (("--model", trained, "--current", tmp_path / "none.csv"), "none.csv"),
        (("--model", trained, "--current", current, "--segment", "country"), "country"),
        (("--model", trained, "--current", current, "--reference", tmp_path / "none.toml"), "none.toml"),
    ]:
        done: subprocess.CompletedProcess[str] = command.run("drift", *arguments)
        assert done.returncode == 1 and says in done.stderr, done.stderr
