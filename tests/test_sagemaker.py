"""SageMaker as a scorer: its predictions to the last bit, the breaker, the fallbacks, local leads beside slow ones."""

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xgboost as xgb

import records
from conftest import Note
from delivery import DEMO, NAMES, answered, leads, until
from serving import Answer, Connection, Features, Server, io_uring_allowed
from stand_in import BROKEN, RESET, Fault, StandIn

Container = Callable[[bytes, str], tuple[str, str]]
LOCAL = {"x_quintile_scorer": "local"}


@pytest.fixture
def aws() -> Iterator[StandIn]:
    with StandIn() as running:
        yield running


@pytest.fixture(params=["epoll", "glommio"])
def runtime(request: pytest.FixtureRequest, note: Note) -> str:
    if request.param == "glommio" and not io_uring_allowed():
        note("NOT CHECKED: SageMaker on glommio, for io_uring is denied here")
        pytest.skip("io_uring is denied here")
    return request.param


@pytest.fixture
def start(aws: StandIn, server: Callable[..., Server]) -> Callable[..., Server]:
    def running(model: Path = DEMO, runtime: str = "auto", **scoring: str) -> Server:
        settings = {f"scoring__{name}": value for name, value in scoring.items()}
        environment = aws.environment(scoring__endpoint="leads", **settings)
        return server(model, runtime=runtime, sink="none", environment=environment)

    return running


def xgboost_container(model: Path = DEMO) -> Container:
    """What the built-in XGBoost container does with CSV, and one of our own with JSON: empty and null are missing."""
    booster = xgb.Booster(model_file=model)

    def answer(body: bytes, kind: str) -> tuple[str, str]:
        if kind == "text/csv":
            row = [float(cell) if cell else np.nan for cell in body.decode().split(",")]
        else:
            (values,) = json.loads(body)["instances"]
            row = [np.nan if value is None else value for value in values]
        matrix = xgb.DMatrix(np.array([row], dtype=np.float32), feature_names=booster.feature_names)
        score = booster.predict(matrix)[0]
        if kind == "text/csv":
            return str(score), "text/csv"
        return json.dumps({"predictions": [{"score": float(score)}]}), "application/json"

    return answer


def ask(connection: Connection, lead: Features, **headers: str) -> Answer:
    body = json.dumps({"lead_id": "lead", "features": lead}).encode()
    return connection.request("POST", "/score", body, Content_Type="application/json", **headers)


def ask_many(running: Server, asked: list[Features], **headers: str) -> list[dict[str, Any]]:
    connection = running.connect()
    answers = [ask(connection, lead, **headers) for lead in asked]
    connection.close()
    assert {answer.status for answer in answers} == {200}, [a.body for a in answers if a.status != 200][:1]
    return [answer.json() for answer in answers]


@pytest.mark.parametrize("body", ["csv", "json"])
def test_its_predictions_are_ours_to_the_last_bit(aws: StandIn, start, runtime: str, body: str) -> None:
    aws.endpoints["leads"] = xgboost_container()
    running = start(primary="sagemaker", body=body, runtime=runtime)
    sample = leads(60)
    remote, local = ask_many(running, sample), ask_many(running, sample, **LOCAL)
    assert {answer["source"] for answer in remote} == {"sagemaker"}
    assert all("source" not in answer for answer in local)
    both = list(zip(remote, local, strict=True))
    assert all((a["probability"], a["score"]) == (b["probability"], b["score"]) for a, b in both)
    assert len(aws.calls) == 60
    running.stop()


def test_a_late_answer_is_replaced_by_our_own(aws: StandIn, start, runtime: str) -> None:
    aws.endpoints["leads"] = xgboost_container()
    aws.fault = lambda call: Fault(delay_s=1.5)
    running = start(primary="sagemaker", fallback="local", deadline_ms="150", runtime=runtime)
    sample = leads(3)
    remote, local = ask_many(running, sample), ask_many(running, sample, **LOCAL)
    for late, own in zip(remote, local, strict=True):
        assert (late["source"], late["reason"]) == ("local", "no answer within the deadline")
        assert late["probability"] == own["probability"]
    running.stop()


def test_without_a_fallback_a_miss_is_said(aws: StandIn, start) -> None:
    running = start(primary="sagemaker")
    connection = running.connect()
    answer = ask(connection, {"f1": 1.0})
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    error = answer.json()["error"]
    assert error["code"] == "scoring_unavailable"
    assert "Endpoint leads of account 123456789012 not found" in error["message"]
    connection.close()
    running.stop()


def test_failures_that_pass_are_tried_again_within_the_deadline(aws: StandIn, start) -> None:
    aws.endpoints["leads"] = xgboost_container()
    plan = {0: BROKEN, 2: RESET, 4: Fault(status=400, code="ThrottlingException")}
    aws.fault = lambda call: plan.get(call.number % 6)
    running = start(primary="sagemaker", fallback="local", deadline_ms="5000")
    assert {answer["source"] for answer in ask_many(running, leads(9))} == {"sagemaker"}
    assert len(aws.calls) == 18
    until(lambda: running.metrics()['quintile_remote_calls_total{kind="made"}'] == 18, "calls are counted")
    assert running.metrics()['quintile_remote_calls_total{kind="throttled"}'] == 3
    running.stop()


def test_the_circuit_opens_probes_and_closes(aws: StandIn, start, runtime: str) -> None:
    running = start(primary="sagemaker", fallback="local", runtime=runtime)
    sample = leads(30)
    answers = ask_many(running, sample)
    assert {answer["source"] for answer in answers} == {"local"}
    assert "not found" in answers[0]["reason"]
    assert answers[-1]["reason"] == "the circuit is open after failures"
    assert len(aws.calls) == 5, "five failures open it, and then nobody is asked"
    until(lambda: running.metrics()['quintile_remote_circuit{state="open"}'] == 1, "the metrics say so")
    aws.endpoints["leads"] = xgboost_container()
    until(lambda: ask_many(running, sample[:1])[0]["source"] == "sagemaker", "a probe succeeds")
    until(lambda: {a["source"] for a in ask_many(running, sample)} == {"sagemaker"}, "the circuit closes")
    until(lambda: running.metrics()['quintile_remote_circuit{state="closed"}'] == 1, "the metrics say so")
    running.stop()


def test_local_leads_are_answered_while_fifty_slow_ones_wait(aws: StandIn, start, runtime: str) -> None:
    """On one shard: if a local lead waited behind a remote one, this would never end."""
    container, release = xgboost_container(), threading.Event()

    def slow(body: bytes, kind: str) -> tuple[str, str]:
        release.wait(30)
        return container(body, kind)

    aws.endpoints["leads"] = slow
    aws.fault = lambda call: release.wait(30) and None
    running = start(primary="sagemaker", deadline_ms="40000", runtime=runtime)
    with ThreadPoolExecutor(50) as pool:
        waiting = [pool.submit(ask_many, running, [lead]) for lead in leads(50)]
        until(lambda: len(aws.calls) == 50, "fifty calls are under way")
        local = ask_many(running, leads(200, seed=1), **LOCAL)
        assert len(local) == 200 and not any(one.done() for one in waiting)
        release.set()
        answers = [answer for one in waiting for answer in one.result()]
    assert {answer["source"] for answer in answers} == {"sagemaker"}
    running.stop()


def test_more_questions_than_may_wait_are_not_asked(aws: StandIn, start) -> None:
    release = threading.Event()
    aws.endpoints["leads"] = lambda body, kind: ("0.5", "text/csv")
    aws.fault = lambda call: release.wait(30) and None
    running = start(primary="sagemaker", fallback="local", deadline_ms="20000", calls_max="2")
    with ThreadPoolExecutor(20) as pool:
        asked = [pool.submit(ask_many, running, [lead]) for lead in leads(20)]
        until(lambda: sum(one.done() for one in asked) >= 10, "those that find no room are answered")
        release.set()
        answers = [answer for one in asked for answer in one.result()]
    reasons = [answer.get("reason") for answer in answers]
    assert reasons.count("too many questions are under way") >= 10
    assert len(aws.calls) == reasons.count(None) > 0
    running.stop()


def test_a_model_that_cannot_be_evaluated_here_is_served_from_its_manifest(aws: StandIn, start, tmp_path: Path) -> None:
    aws.endpoints["leads"] = xgboost_container()
    (tmp_path / "broken.ubj").write_bytes(b"{L\x00")
    features = "".join(f"[features.{name}]\n" for name in NAMES)
    (tmp_path / "broken.toml").write_text(f'name = "leads"\nversion = "3"\nedges = [0.1, 0.2, 0.3, 0.4]\n{features}')
    running = start(model=tmp_path / "broken.ubj", fallback="sagemaker")
    assert any("cannot be evaluated here" in line for line in running.log)
    sample = leads(20)
    booster = xgb.Booster(model_file=DEMO)
    rows = np.array([[lead.get(name, np.nan) for name in NAMES] for lead in sample], dtype=np.float32)
    expected = booster.predict(xgb.DMatrix(rows, feature_names=NAMES))
    for answer, score in zip(ask_many(running, sample), expected, strict=True):
        assert (answer["source"], answer["model"]) == ("sagemaker", {"name": "leads", "version": "3"})
        assert np.float32(answer["prediction"]) == score
        assert answer["score"] == 1 + sum(answer["prediction"] >= edge for edge in (0.1, 0.2, 0.3, 0.4))
    # What can be wrong with a request is still found here.
    connection = running.connect()
    assert ask(connection, {"f51": 1.0}).status == 422
    connection.close()
    running.stop()


def test_with_the_local_model_loaded_its_fallback_is_never_asked(aws: StandIn, start) -> None:
    running = start(primary="local", fallback="sagemaker")
    answers = answered(running, 30)
    assert all("source" not in answer for answer in answers.values())
    assert not aws.calls
    running.stop()


def test_records_say_who_scored_and_why(aws: StandIn, server: Callable[..., Server], tmp_path: Path) -> None:
    aws.endpoints["leads"] = xgboost_container()
    environment = aws.environment(scoring__endpoint="leads", scoring__primary="sagemaker", scoring__fallback="local")
    running = server(DEMO, sink="parquet", environment=environment)
    sample = leads(6)
    remote, local = ask_many(running, sample[:2]), ask_many(running, sample[2:4], **LOCAL)
    aws.fault = lambda call: Fault(status=400, code="ValidationError", message="not this one")
    missed = ask_many(running, sample[4:])
    running.stop()
    _, frame = records.read(tmp_path / "data" / "scores")
    frame = frame.astype(object).where(frame.notna(), None)
    said = {row["request_id"]: (row["source"], row["source_reason"]) for row in frame.to_dict("records")}
    assert {said[answer["request_id"]] for answer in remote} == {("sagemaker", None)}
    assert {said[answer["request_id"]] for answer in local} == {("local", None)}
    for answer in missed:
        assert answer["source"] == "local" and said[answer["request_id"]] == ("local", answer["reason"])
