"""The whole way under load: a delivery stream that is away for a while, and one that fails on and off while the server
is killed. Every id that a client got a 200 for is in the stream.

OUTAGE_S says how long the stream is away (without it 5 seconds), END_TO_END_KILLS how often the server is killed (3).
"""

import json
import os
import random
import threading
import time
from collections import Counter
from pathlib import Path

from conftest import Note
from delivery import DEMO, until
from serving import Server
from stand_in import ANSWER_LOST, BROKEN, RESET, THROTTLED, Call, Fault, StandIn
from test_kill import Life, client

OUTAGE_S = float(os.environ.get("OUTAGE_S", "5"))
KILLS = int(os.environ.get("END_TO_END_KILLS", "3"))
LIFE_S = (2.0, 5.0)
CLIENTS = 4
# What may be on its way to the stream when the process dies: four calls of 500 records.
IN_FLIGHT_MAX = 2_000
SINK = '{sink="firehose"}'


class Load:
    """Clients that send leads one after another until they are stopped, or until the server is gone."""

    def __init__(self, server: Server, name: str) -> None:
        self.life = Life(0)
        self._threads = [
            threading.Thread(target=client, args=(server, f"{name}-{number}", self.life), name=f"client-{number}")
            for number in range(CLIENTS)
        ]
        for thread in self._threads:
            thread.start()

    def join(self) -> list[str]:
        for thread in self._threads:
            thread.join()
        return self.life.answered


def delivered_ids(aws: StandIn) -> tuple[Counter[str], set[str]]:
    """How often each record's id was taken, and the leads that were."""
    rows = [json.loads(record) for record in aws.delivered]
    return Counter(row["record_id"] for row in rows), {row["lead_id"] for row in rows}


def test_a_stream_that_is_away_under_load_gets_everything_later(tmp_path: Path, note: Note) -> None:
    with StandIn() as aws:
        aws.create_stream("scores", "lake")
        environment = aws.environment(records__firehose_stream="scores")
        running = Server(DEMO, tmp_path / "data", sink="firehose", environment=environment)
        load = Load(running, "outage")
        time.sleep(1)
        aws.down()
        began = time.monotonic()
        pending, lag = 0.0, 0.0
        while time.monotonic() - began < OUTAGE_S:
            time.sleep(0.25)
            metrics = running.metrics()
            assert metrics["quintile_shed_total"] == 0, "the spool holds more than this"
            pending = max(pending, metrics[f"quintile_records_pending{SINK}"])
            lag = max(lag, metrics[f"quintile_records_lag_seconds{SINK}"])
        assert lag >= OUTAGE_S - 2
        aws.up()
        up = time.monotonic()
        caught_up = lambda: running.metrics()[f"quintile_records_pending{SINK}"] < pending / 20  # noqa: E731
        until(caught_up, "it catches up while more comes")
        took = time.monotonic() - up
        running.stop()
        answered = load.join()
        ids, leads = delivered_ids(aws)
    assert set(answered) <= leads
    assert max(ids.values()) == 1, "nothing comes twice without a crash"
    note(
        f"Firehose away for {OUTAGE_S:.0f} s under load: {len(answered)} answers, none refused, up to {pending:.0f} "
        f"waited, the oldest {lag:.1f} s; caught up {took:.1f} s after it was back; all {len(ids)} delivered once"
    )


def faults(rng: random.Random) -> dict[str, object]:
    """A stream that is well for a moment and then is not, in one of several ways."""
    third = lambda number, data: "InternalFailure" if number % 3 == 2 else None  # noqa: E731
    busy = lambda number, data: "ServiceUnavailableException" if number % 7 == 0 else None  # noqa: E731
    well = lambda number, data: None  # noqa: E731
    calls: list[Fault | None] = [None, None, None, THROTTLED, BROKEN, RESET, Fault(delay_s=0.3)]

    def fault(call: Call) -> Fault | None:
        return rng.choice(calls) if rng.random() < 0.3 else None

    return {"refuse": rng.choice([third, third, busy, well]), "fault": rng.choice([fault, lambda call: None])}


def change(aws: StandIn, rng: random.Random, stop: threading.Event) -> None:
    """Lets the stream fail on and off."""
    while not stop.wait(rng.uniform(0.2, 0.8)):
        for name, value in faults(rng).items():
            setattr(aws, name, value)
        if rng.random() < 0.15:
            aws.down()
            stop.wait(0.4)
            aws.up()


def test_every_answer_reaches_a_failing_stream_over_kill_9(tmp_path: Path, note: Note) -> None:
    rng = random.Random(6)
    answered: list[str] = []
    recovered: list[int] = []
    sent = 0
    with StandIn() as aws:
        aws.create_stream("scores", "lake")
        environment = aws.environment(records__firehose_stream="scores")
        stop = threading.Event()
        weather = threading.Thread(target=change, args=(aws, rng, stop), name="weather")
        weather.start()
        for number in range(KILLS):
            running = Server(DEMO, tmp_path / "data", sink="firehose", environment=environment)
            recovered.append(running.logged("spool")["recovered"])
            load = Load(running, str(number))
            time.sleep(rng.uniform(*LIFE_S))
            running.kill()
            answered += load.join()
            sent += load.life.sent
        last = Server(DEMO, tmp_path / "data", sink="firehose", environment=environment)
        recovered.append(last.logged("spool")["recovered"])
        stop.set()
        weather.join()
        aws.fault, aws.refuse = lambda call: None, lambda number, data: None
        until(lambda: last.metrics()[f"quintile_records_pending{SINK}"] == 0, "all is delivered")
        last.stop()
        ids, leads = delivered_ids(aws)
    assert not (tmp_path / "data" / "dead_letters" / "firehose.ndjson").exists()
    missing = set(answered) - leads
    assert not missing, f"{len(missing)} of {len(answered)} answered leads were not delivered"
    duplicates = sum(ids.values()) - len(ids)
    assert len(ids) <= sent and len(leads) == len(ids), "ids of their own for one lead"
    assert duplicates <= KILLS * IN_FLIGHT_MAX, f"{duplicates} records came twice: more than was on its way"
    note(
        f"a failing stream and {KILLS} kill -9: {len(answered)} answers, all delivered; {duplicates} of {len(ids)} "
        f"records came twice; recovered from the spool: {recovered}"
    )


def test_a_lost_answer_is_the_only_other_way_to_come_twice(tmp_path: Path) -> None:
    """The service takes a call and its answer is lost: that call's records are sent again, and those only."""
    with StandIn() as aws:
        aws.create_stream("scores", "lake")
        aws.fault = lambda call: ANSWER_LOST if call.number == 1 else None
        running = Server(
            DEMO, tmp_path / "data", sink="firehose", environment=aws.environment(records__firehose_stream="scores")
        )
        load = Load(running, "lost")
        time.sleep(1.5)
        running.stop()
        answered = load.join()
        ids, leads = delivered_ids(aws)
        lost = len(json.loads(aws.calls[1].body)["Records"])
    assert set(answered) <= leads
    assert sum(ids.values()) - len(ids) == lost
