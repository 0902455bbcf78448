"""`kill -9` at random moments, many times, on one data folder: every lead that got a 200 is in the files.

KILL_ROUNDS says how often; without it, twenty times.
"""

import http.client
import json
import os
import random
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow.parquet as pq

from conftest import Note
from serving import Server

DEMO = Path(__file__).resolve().parents[1] / "engine" / "demo" / "demo.ubj"
ROUNDS = int(os.environ.get("KILL_ROUNDS", "20"))
CLIENTS = 4
LIFE_S = (0.02, 0.6)
# Some lives write files many times, so that some are killed between a file and its acknowledgement.
ROLL_S = (0.1, 0.25, 1, 60)


@dataclass
class Life:
    """One process, from its start to its death."""

    recovered: int
    answered: list[str] = field(default_factory=list)
    sent: int = 0


def client(server: Server, name: str, life: Life) -> None:
    """Sends leads one after another until the server is gone. A lead counts when all of its answer has been read."""
    connection = http.client.HTTPConnection(server.host, server.port, timeout=10)
    try:
        for number in range(1_000_000):
            lead = f"{name}-{number}"
            body = json.dumps({"lead_id": lead, "features": {"f1": number, "f2": 2.5, "f20": None}})
            life.sent += 1
            connection.request("POST", "/score", body, {"content-type": "application/json"})
            response = connection.getresponse()
            answer = json.loads(response.read())
            if response.status == 200:
                assert answer["lead_id"] == lead
                life.answered.append(lead)
    except (OSError, http.client.HTTPException):
        pass
    finally:
        connection.close()


def live_and_die(data: Path, number: int, rng: random.Random) -> Life:
    settings = {"RECORDS__ROLL_SECONDS": rng.choice(ROLL_S)}
    with Server(DEMO, data, shards=rng.choice((1, 2)), settings=settings) as server:
        spool = server.logged("spool")
        assert spool is not None, "\n".join(server.log)
        assert spool["damaged_bytes"] == 0 and spool["put_aside"] == 0, spool
        life = Life(spool["recovered"])
        clients = [
            threading.Thread(target=client, args=(server, f"{number}-{thread}", life), name=f"client-{thread}")
            for thread in range(CLIENTS)
        ]
        for thread in clients:
            thread.start()
        time.sleep(rng.uniform(*LIFE_S))
        server.kill()
        for thread in clients:
            thread.join()
    return life


def test_every_answer_survives_kill_9(tmp_path: Path, note: Note) -> None:
    rng = random.Random(2026)
    data = tmp_path / "data"
    lives = [live_and_die(data, number, rng) for number in range(ROUNDS)]
    # The last one has the time to deliver what all of them have left.
    with Server(DEMO, data) as server:
        spool = server.logged("spool")
        assert spool is not None
        recovered = [*(life.recovered for life in lives[1:]), spool["recovered"]]
        server.stop()
    assert not list((data / "spool").glob("*.segment")), "a clean end leaves nothing in the spool"
    assert not list((data / "tmp").glob("*.tmp"))

    records: dict[str, tuple[str, str]] = {}
    copies: dict[str, list[Path]] = {}
    for path in sorted((data / "scores").rglob("*.parquet")):
        table = pq.read_table(path, columns=["record_id", "lead_id", "f1", "f2", "f20"], partitioning=None)
        for row in table.to_pylist():
            # Whole, as it was sent: half a record would have something else.
            assert row["f1"] == int(row["lead_id"].rsplit("-", 1)[1]) and row["f2"] == 2.5 and row["f20"] is None
            copies.setdefault(row["record_id"], []).append(path)
            records[row["record_id"]] = (row["lead_id"], row["lead_id"].split("-", 1)[0])

    answered = [lead for life in lives for lead in life.answered]
    recorded = [lead for lead, _ in records.values()]
    missing = set(answered) - set(recorded)
    assert not missing, f"{len(missing)} of {len(answered)} answered leads have no record, as {sorted(missing)[:5]}"
    assert len(recorded) == len(set(recorded)), "a lead has two records with ids of their own"
    assert len(recorded) <= sum(life.sent for life in lives), "there are records of leads that nobody sent"

    # A file that was in its place but not acknowledged when its process died comes again; ids tell. No process has more
    # than two such files: one for each hour that is open.
    twice = {record: paths for record, paths in copies.items() if len(paths) > 1}
    # Every process that died may have left one such file, and the one after it may have died just so again.
    early = {path for paths in twice.values() for path in paths[:-1]}
    assert len(early) <= 2 * ROUNDS, f"{len(early)} files hold records that came again"
    assert all(len(paths) == len(set(paths)) for paths in twice.values()), "a file holds a record twice"

    restarts = sum(1 for count in recovered if count > 0)
    note(
        f"kill -9: {ROUNDS} times, {len(answered)} answers, all recorded, and {len(recorded) - len(answered)} leads "
        f"whose answer was cut off; {len(twice)} records came twice, told by their ids; {restarts} of "
        f"{len(recovered)} restarts recovered records, {sum(recovered)} in all"
    )
    assert restarts >= 0.9 * len(recovered), f"only {restarts} of {len(recovered)} restarts found records: {recovered}"
    assert answered
