"""What would bring each of 1,000 real leads to another score: every change that is told is scored, and gives what was
told. Their reasons add up to the margin."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import real_leads
from conftest import DATA
from serving import Server

if not real_leads.tables():
    pytest.skip(f"THE LEADS ARE NOT THERE ({DATA}): changes are not checked on real leads", allow_module_level=True)

LEADS, TARGET = 500, 4


def plain(value: Any) -> Any:
    """A cell as JSON has it."""
    if pd.isna(value):
        return None
    return value if isinstance(value, str) else float(value)


@pytest.mark.parametrize("which", ["xgboost-leads", "lightgbm-bank"])
def test_every_change_is_confirmed_by_scoring_it(which: str, tmp_path: Path, server: Callable[..., Server]) -> None:
    library, _, table = which.partition("-")
    trained = real_leads.LIBRARIES[library](table, tmp_path)
    names = list(trained.frame)
    tables = [f"[features.{json.dumps(name)}]\nactionable = true\n" for name in names]
    # The quintiles of the predictions: some leads have each score.
    edges = pd.Series(trained.prediction.astype(float)).quantile([0.2, 0.4, 0.6, 0.8]).tolist()
    trained.model.with_suffix(".toml").write_text(f"edges = {edges}\n" + "".join(tables))
    running = server(trained.model, sink="none")
    connection = running.connect()

    def ask(query: str, features: dict[str, Any]) -> Any:
        body = json.dumps({"lead_id": "x", "features": features}).encode()
        answer = connection.request("POST", f"/score{query}", body, Content_Type="application/json")
        assert answer.status == 200, answer
        return answer.json()

    changed, pairs, nothing = 0, 0, 0
    for number in range(LEADS):
        features = {name: plain(value) for name, value in trained.frame.iloc[number].items()}
        answer = ask(f"?target={TARGET}&explain=3", features)
        explained = answer["explained"]
        margin = math.fsum(
            [reason["contribution"] for reason in answer["reasons"]] + [explained["bias"], explained["others"]]
        )
        assert margin == pytest.approx(float(trained.margin[number]), abs=1e-5)
        before, found = answer["score"], answer["target"]
        if before == TARGET:
            assert not found["changes"]
            continue
        nothing += not found["changes"]
        for change in found["changes"]:
            other = dict(features)
            for feature in change["features"]:
                assert feature["to"] != features[feature["feature"]]
                other[feature["feature"]] = feature["to"]
            scored = ask("", other)
            assert (scored["score"], scored["probability"]) == (change["score"], change["prediction"]), change["text"]
            assert scored["score"] >= TARGET if before < TARGET else scored["score"] <= TARGET
            changed, pairs = changed + 1, pairs + (len(change["features"]) == 2)
    connection.close()
    print(f"{which}: {LEADS} leads, {changed} changes confirmed, {pairs} of two features, {nothing} leads without")
    assert changed > LEADS / 2
