"""`quintile quality`: recorded scores joined with outcomes, measured as scikit-learn and scipy measure."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

import command
from serving import Server

ROOT = Path(__file__).resolve().parents[1]
DEMO = ROOT / "engine" / "demo" / "demo.ubj"
LEADS = 300


@pytest.fixture(scope="module")
def scores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Records of leads, each scored twice with other values."""
    folder = tmp_path_factory.mktemp("quality") / "data"
    random = np.random.default_rng(1)
    with Server(DEMO, folder) as running:
        connection = running.connect()
        for _ in range(2):
            features = [
                {f"f{column}": float(value) for column, value in enumerate(row, 1)}
                for row in random.poisson(3, (LEADS, 50))
            ]
            leads = [{"lead_id": f"L{number}", "features": row} for number, row in enumerate(features)]
            body = json.dumps({"leads": leads}).encode()
            assert connection.request("POST", "/score/batch", body).status == 200
        connection.close()
        running.stop()
    return folder / "scores"


def quality(scores: Path, outcomes: Path, *flags: object) -> dict[str, Any]:
    done = command.run("quality", "--scores", scores, "--outcomes", outcomes, "--format", "json", *flags)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def recorded(scores: Path) -> pd.DataFrame:
    return pd.read_parquet(scores).sort_values("record_id").reset_index(drop=True)


def save(folder: Path, table: pd.DataFrame) -> Path:
    table.to_csv(folder / "outcomes.csv", index=False)
    return folder / "outcomes.csv"


def measured(found: dict[str, Any], truth: np.ndarray, prediction: np.ndarray) -> None:
    assert found["auc"] == pytest.approx(roc_auc_score(truth, prediction), rel=1e-12)
    assert found["brier"] == pytest.approx(brier_score_loss(truth, prediction), rel=1e-12)
    assert found["log_loss"] == pytest.approx(log_loss(truth, prediction), rel=1e-9)
    low, high = found["auc_interval"]
    assert low < found["auc"] < high


def test_outcomes_are_joined_with_the_last_score_and_measured(scores: Path, tmp_path: Path) -> None:
    last = recorded(scores).groupby("lead_id").last()
    truth = np.random.default_rng(2).random(LEADS) < np.clip(last.prediction, 0.05, 0.9)
    outcomes = pd.DataFrame({"lead_id": last.index, "outcome": truth.astype(int)})
    more = pd.DataFrame({"lead_id": ["L3", "X1", "X2"], "outcome": [1, 0, 1]})
    found = quality(scores, save(tmp_path, pd.concat([outcomes, more])))
    assert (found["joined"], found["unmatched"], found["duplicates"]) == (LEADS, 2, 1)
    measured(found, truth, last.prediction.to_numpy())
    assert [band["score"] for band in found["bands"]] == [1, 2, 3, 4, 5]
    for band in found["bands"]:
        own = last.score == band["score"]
        assert band["rows"] == own.sum()
        if own.any():
            assert band["mean_prediction"] == pytest.approx(last.prediction[own].mean(), rel=1e-12)
            assert band["rate"] == truth[own].mean()
            interval = stats.binomtest(int(truth[own].sum()), int(own.sum())).proportion_ci(method="wilson")
            assert band["interval"] == pytest.approx([interval.low, interval.high], rel=1e-9)


def test_an_outcome_goes_with_the_score_before_it(scores: Path, tmp_path: Path) -> None:
    table = recorded(scores)
    first, last = table.groupby("lead_id").first(), table.groupby("lead_id").last()
    truth = np.random.default_rng(3).random(LEADS) < 0.3
    between = first.time.max() + (last.time.min() - first.time.max()) / 2
    outcomes = pd.DataFrame({"lead_id": first.index, "outcome": truth.astype(int), "time": between.isoformat()})
    measured(quality(scores, save(tmp_path, outcomes)), truth, first.prediction.to_numpy())
    early = outcomes.assign(time="2020-01-01")
    found = quality(scores, save(tmp_path, early))
    assert (found["joined"], found["unmatched"], found["auc"]) == (0, LEADS, None)
    # Both outcomes of a lead count, each with its own score.
    both = pd.concat([outcomes, outcomes.assign(time="2199-01-01 00:00")])
    found = quality(scores, save(tmp_path, both))
    assert found["joined"] == 2 * LEADS and found["duplicates"] == 0


def test_segments_are_measured_apart(scores: Path, tmp_path: Path) -> None:
    last = recorded(scores).groupby("lead_id").last()
    truth = np.random.default_rng(4).random(LEADS) < 0.4
    found = quality(
        scores,
        save(tmp_path, pd.DataFrame({"lead_id": last.index, "outcome": truth.astype(int)})),
        "--segment",
        "score",
    )
    segments = {segment["value"]: segment for segment in found["segments"]}
    for score, own in last.groupby("score"):
        chosen = truth[last.index.get_indexer(own.index)]
        assert (segments[str(score)]["rows"], segments[str(score)]["converted"]) == (len(own), chosen.sum())


def test_faults_say_where_and_what_would_be_accepted(scores: Path, tmp_path: Path) -> None:
    for text, says in [
        ("id,outcome\na,1\n", "lead_id and outcome"),
        ("lead_id,outcome\na,1\nb,maybe\n", "line 3"),
        ("lead_id,outcome,time\na,1,30.11.2026\n", "2026-11-30T12:00:00"),
    ]:
        (tmp_path / "bad.csv").write_text(text)
        done = command.run("quality", "--scores", scores, "--outcomes", tmp_path / "bad.csv")
        assert done.returncode == 1 and says in done.stderr, done.stderr
    done = command.run("quality", "--scores", tmp_path, "--outcomes", tmp_path / "bad.csv")
    assert done.returncode == 1
