"""The `firehose` sink against moto behind a wrapper that is as strict as Firehose: nothing is ever lost."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import xgboost as xgb

from conftest import Note
from delivery import DEMO, answered, assert_delivered, assert_no_secrets, leads, until
from serving import Server, io_uring_allowed
from stand_in import ANSWER_LOST, BROKEN, RESET, THROTTLED, Fault, StandIn

SINK = '{sink="firehose"}'


@pytest.fixture
def aws() -> Iterator[StandIn]:
    with StandIn() as running:
        running.create_stream("scores", "lake")
        yield running


@pytest.fixture
def start(aws: StandIn, tmp_path: Path) -> Iterator[object]:
    """Starts servers that send to the stand-in; afterwards no log has a secret in it."""
    started: list[Server] = []

    def server(model: Path = DEMO, sink: str = "firehose", **settings: str) -> Server:
        runtime = settings.pop("runtime", "auto")
        settings.setdefault("records__firehose_stream", "scores")
        started.append(
            Server(model, tmp_path / "data", sink=sink, runtime=runtime, environment=aws.environment(**settings))
        )
        return started[-1]

    yield server
    for one in started:
        one.kill()
        assert_no_secrets(one)


def sample(running: Server, name: str) -> float:
    return running.metrics()[f"quintile_{name}{SINK}"]


def delivered(running: Server, count: int) -> None:
    until(lambda: sample(running, "records_delivered_total") >= count, f"{count} records delivered")


@pytest.mark.parametrize("runtime", ["epoll", "glommio"])
def test_every_answer_is_a_line_in_the_stream(aws: StandIn, start, note: Note, runtime: str) -> None:
    if runtime == "glommio" and not io_uring_allowed():
        note("NOT CHECKED: firehose on glommio, for io_uring is denied here")
        pytest.skip("io_uring is denied here")
    running = start(runtime=runtime)
    answers = answered(running, 1_500)
    running.stop()
    rows = aws.rows("lake")
    assert_delivered(rows, answers)
    sent = {f"lead-{number}": lead for number, lead in enumerate(leads(1_500))}
    for row in rows:
        lead = sent[row["lead_id"]]
        assert {f"f{i}": row[f"f{i}"] for i in range(1, 51) if row[f"f{i}"] is not None} == lead
    assert max(aws.batches) <= 500


def test_nothing_secret_is_logged_even_when_everything_is(aws: StandIn, start) -> None:
    running = start(log__level="trace")
    answers = answered(running, 20)
    running.stop()
    assert_delivered(aws.rows("lake"), answers)


def test_what_was_answered_while_the_stream_was_away_is_delivered(aws: StandIn, start) -> None:
    running = start()
    aws.down()
    answers = answered(running, 1_200)
    until(lambda: sample(running, "sink_errors_total") >= 2, "failures are counted")
    until(lambda: sample(running, "records_pending") == 1_200, "all wait")
    assert sample(running, "records_lag_seconds") > 0
    aws.up()
    delivered(running, 1_200)
    until(lambda: sample(running, "records_pending") == 0, "none waits")
    running.stop()
    assert_delivered(aws.rows("lake"), answers)


def test_a_dead_stream_does_not_hold_up_the_local_files(aws: StandIn, start, tmp_path: Path) -> None:
    running = start(sink="parquet,firehose", records__roll_seconds="0.2")
    aws.down()
    answered(running, 200)
    until(lambda: running.metrics()['quintile_records_delivered_total{sink="parquet"}'] == 200, "parquet goes on")
    until(lambda: sample(running, "records_pending") == 200, "all wait")
    aws.up()
    delivered(running, 200)
    running.stop()


def test_every_third_record_failing_is_sent_again_alone(aws: StandIn, start) -> None:
    aws.refuse = lambda number, data: "InternalFailure" if number % 3 == 2 and number < 800 else None
    running = start()
    answers = answered(running, 600)
    delivered(running, 600)
    assert sample(running, "records_retried_total") >= 250
    assert sample(running, "records_throttled_total") == 0
    running.stop()
    assert_delivered(aws.rows("lake"), answers)


def test_throttling_is_seen_apart_from_faults(aws: StandIn, start) -> None:
    aws.fault = lambda call: THROTTLED if call.number < 3 else None
    aws.refuse = lambda number, data: "ServiceUnavailableException" if number % 5 == 0 else None
    running = start()
    answers = answered(running, 400)
    delivered(running, 400)
    metrics = running.metrics()
    throttled = metrics[f"quintile_records_throttled_total{SINK}"]
    assert 80 <= throttled == metrics[f"quintile_records_retried_total{SINK}"]
    running.stop()
    assert_delivered(aws.rows("lake"), answers)


def test_resets_and_lost_answers_lose_nothing(aws: StandIn, start) -> None:
    plan = {0: RESET, 1: ANSWER_LOST, 2: BROKEN, 3: Fault(delay_s=0.3)}
    aws.fault = lambda call: plan.get(call.number % 6)
    running = start()
    answers = {}
    for seed in range(4):
        answers |= answered(running, 150, seed=seed)
    delivered(running, 600)
    running.stop()
    lost = sum(len(json.loads(call.body)["Records"]) for call in aws.calls if call.number % 6 == 1)
    assert_delivered(aws.rows("lake"), answers, duplicates=lost)


def test_a_stop_in_the_middle_of_a_batch_delivers_it(aws: StandIn, start) -> None:
    aws.fault = lambda call: Fault(delay_s=0.5)
    running = start()
    answers = answered(running, 700)
    running.stop()
    assert_delivered(aws.rows("lake"), answers)


def test_a_missing_stream_is_said_and_its_records_wait(aws: StandIn, start) -> None:
    running = start(records__firehose_stream="later")
    answers = answered(running, 50)

    def is_named(sample: str) -> bool:
        return "last_error_info" in sample and "ResourceNotFoundException" in sample

    until(lambda: any(map(is_named, running.metrics())), "the metrics name the error")
    aws.create_stream("later", "lake2")
    delivered(running, 50)
    running.stop()
    assert_delivered(aws.rows("lake2"), answers)


def test_a_record_that_is_too_large_goes_to_the_dead_letters_and_the_rest_on(
    aws: StandIn, start, tmp_path: Path
) -> None:
    names = [f"feature_{i:04d}_" + "x" * 172 for i in range(5_000)]
    generator = np.random.default_rng(1)
    data = xgb.DMatrix(generator.random((40, len(names))), label=generator.random(40), feature_names=names)
    model = tmp_path / "wide.ubj"
    xgb.train({"max_depth": 2}, data, num_boost_round=2).save_model(model)
    running = start(model=model, limits__body_bytes_max="4194304")
    connection = running.connect()
    large = {name: float(value) for name, value in zip(names, generator.random(5_000), strict=True)}
    sent = [("small-1", {}), ("large", large), ("small-2", {names[0]: 0.5})]
    answers = {lead: connection.score(lead, features).json() for lead, features in sent}
    connection.close()
    until(lambda: sample(running, "records_dead_lettered_total") == 1, "one dead letter")
    delivered(running, 2)
    running.stop()
    assert {row["lead_id"] for row in aws.rows("lake")} == {"small-1", "small-2"}
    (line,) = (tmp_path / "data" / "dead_letters" / "firehose.ndjson").read_text().splitlines()
    letter = json.loads(line)
    assert letter["reason"].startswith("RecordTooLarge")
    assert letter["record"]["lead_id"] == "large"
    assert letter["record"]["prediction"] == answers["large"]["prediction"]
    assert {name: letter["record"][name] for name in names} == large


def test_a_record_that_the_stream_refuses_for_ever_goes_to_the_dead_letters(
    aws: StandIn, start, tmp_path: Path
) -> None:
    aws.refuse = lambda number, data: "ValidationException" if b'"lead-7"' in data else None
    running = start()
    answers = answered(running, 40)
    # That others are taken is what proves it the record's own fault.
    answers |= answered(running, 1, seed=9)
    until(lambda: answered(running, 3, seed=8) and sample(running, "records_dead_lettered_total") >= 1, "a dead letter")
    running.stop()
    lines = (tmp_path / "data" / "dead_letters" / "firehose.ndjson").read_text().splitlines()
    letters = [json.loads(line) for line in lines]
    assert [letter["record"]["lead_id"] for letter in letters] == ["lead-7"]
    assert "ValidationException" in letters[0]["reason"]
    gone = {row["request_id"] for row in aws.rows("lake")}
    assert gone >= {request for request, answer in answers.items() if answer["lead_id"] != "lead-7"}


def test_dead_letters_at_their_limit_hold_the_sink_back_and_lose_nothing(aws: StandIn, start, tmp_path: Path) -> None:
    folder = tmp_path / "data" / "dead_letters"
    folder.mkdir(parents=True)
    limit = 16 << 20
    (folder / "firehose-1.ndjson").write_bytes(b"x" * (limit - 100))
    aws.refuse = lambda number, data: "ValidationException" if b'"lead-7"' in data else None
    running = start(records__dead_letter_bytes=str(limit))
    answers = answered(running, 40)

    def is_named(name: str) -> bool:
        return "last_error_info" in name and "records.dead_letter_bytes" in name

    until(lambda: answered(running, 1, seed=9) and any(map(is_named, running.metrics())), "the metrics name the limit")
    assert sample(running, "dead_letter_bytes") == limit - 100
    assert sample(running, "dead_letter_capacity_bytes") == limit
    assert sample(running, "records_dead_lettered_total") == 0
    # Later records wait in the spool until a file is taken away.
    late = answered(running, 30, seed=5)
    time.sleep(0.5)
    assert not late.keys() & {row["request_id"] for row in aws.rows("lake")}
    (folder / "firehose-1.ndjson").unlink()
    # That others are taken is what proves it the record's own fault.
    dead = lambda: answered(running, 1, seed=9) and sample(running, "records_dead_lettered_total") == 2  # noqa: E731
    until(dead, "both are in the file")
    running.stop()
    letters = [json.loads(line) for line in (folder / "firehose.ndjson").read_text().splitlines()]
    assert {letter["record"]["lead_id"] for letter in letters} == {"lead-7"}
    gone = {row["request_id"] for row in aws.rows("lake")} | {letter["record"]["request_id"] for letter in letters}
    assert answers.keys() | late.keys() <= gone
