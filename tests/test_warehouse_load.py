"""Recorded scores into Snowflake: each record stands there exactly once, whatever is in the folder."""

import io
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from prometheus_client.parser import text_string_to_metric_families

from serving import Server, score_all
from stand_in import StandIn
from warehouse import CATEGORIES, DEMO, OUTPUTS, PACKAGE, ids, records, run, start, summary, write
from warehouse_stand_in import Warehouse

Start = Callable[..., Server]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    with Warehouse(tmp_path_factory.mktemp("load") / "snowflake") as running:
        yield running


@pytest.fixture
def warehouse(shared: Warehouse) -> Warehouse:
    shared.reset()
    return shared


@pytest.fixture
def scores(warehouse: Warehouse) -> Warehouse:
    warehouse.create_scores()
    return warehouse


def rows_in_table(warehouse: Warehouse) -> dict[str, dict[str, Any]]:
    """Each row by its record_id, with the columns' names in small letters."""
    with warehouse.connect() as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT * FROM SCORES")
        names = [column.name.lower() for column in cursor.description]
        found = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    by_id = {str(row["record_id"]): row for row in found}
    assert len(by_id) == len(found), "a record stands twice"
    return by_id


def rows_in_files(folder: Path) -> dict[str, dict[str, Any]]:
    found = [row for path in folder.rglob("*.parquet") for row in pq.read_table(path, partitioning=None).to_pylist()]
    return {row["record_id"]: {name.lower(): value for name, value in row.items()} for row in found}


def assert_same(warehouse: Warehouse, folder: Path) -> None:
    """Every column of every record, exactly; a column that a file lacks is null."""
    stored, written = rows_in_table(warehouse), rows_in_files(folder)
    assert stored.keys() == written.keys()
    for key, row in stored.items():
        assert row == {**dict.fromkeys(row), **written[key]}, key


def test_made_records_have_the_servers_columns(server: Start, tmp_path: Path) -> None:
    running = server(DEMO)
    score_all(running, [{"f1": 1.0}], 1)
    running.stop()
    schema = pq.read_schema(next((tmp_path / "data" / "scores").rglob("*.parquet")))
    made = records(ids(1)).schema
    assert made.names == schema.names
    for field in made:
        real = schema.field(field.name)
        assert (real.type, real.nullable) == (field.type, field.nullable), field.name


def test_every_answer_stands_in_the_table(scores: Warehouse, server: Start, tmp_path: Path) -> None:
    running = server(DEMO, settings={"RECORDS__ROLL_SECONDS": 0.2})
    leads = [{"f1": row / 3 if row % 3 else None, "f7": 0.1 * row} for row in range(300)]
    answers = score_all(running, leads, 2)
    running.stop()
    folder = tmp_path / "data" / "scores"
    first = run(scores.environment(), "load", folder)
    assert first.returncode == 0, first.stderr
    files, *counts = summary(first)
    assert counts == [300, 300, 0] and files == len(list(folder.rglob("*.parquet")))
    assert_same(scores, folder)
    stored = {row["lead_id"]: row for row in rows_in_table(scores).values()}
    for number, answer in enumerate(answers):
        row = stored[f"lead-{number}"]
        assert (row["score"], row["prediction"], row["f1"]) == (
            answer["score"],
            answer["probability"],
            leads[number]["f1"],
        )
    second = run(scores.environment(), "load", folder)
    assert summary(second) == (0, 0, 0, 0), "files that are loaded are not looked at again"
    again = run(scores.environment(), "load", folder, "--again", "--batch-files", 2)
    assert summary(again) == (files, 300, 0, 0), "and would change nothing"
    assert_same(scores, folder)


def test_categories_and_missing_values(warehouse: Warehouse, server: Start, tmp_path: Path) -> None:
    warehouse.create_scores(CATEGORIES)
    running = server(CATEGORIES)
    leads = [
        {"where": "comma, too", "number": 1, "code": "-5"},
        {"where": None, "number": 2, "code": "30"},
        {"where": "Zurich", "code": "2"},
        {},
    ]
    score_all(running, leads, 1)
    running.stop()
    assert summary(run(warehouse.environment(), "load", tmp_path / "data" / "scores")) == (1, 4, 4, 0)
    assert_same(warehouse, tmp_path / "data" / "scores")
    stored = {row["lead_id"]: row for row in rows_in_table(warehouse).values()}
    for number, lead in enumerate(leads):
        row = stored[f"lead-{number}"]
        assert {name: row[name] for name in ("where", "number", "code")} == {
            **dict.fromkeys(("where", "number", "code")),
            **lead,
        }


def test_a_model_with_several_outputs(warehouse: Warehouse, server: Start, tmp_path: Path) -> None:
    warehouse.create_scores(OUTPUTS)
    running = server(OUTPUTS)
    (answer,) = score_all(running, [{}], 1)
    running.stop()
    assert summary(run(warehouse.environment(), "load", tmp_path / "data" / "scores")) == (1, 1, 1, 0)
    (row,) = rows_in_table(warehouse).values()
    (written,) = rows_in_files(tmp_path / "data" / "scores").values()
    assert len(written["prediction"]) == 3 and answer["lead_id"] == row["lead_id"]
    for name in ("margin", "prediction"):
        assert json.loads(str(row[name])) == written[name], "an ARRAY comes as JSON"


def test_duplicates_across_and_within_files(scores: Warehouse, tmp_path: Path) -> None:
    folder = tmp_path / "scores"
    known = ids(30)
    write(folder, records(known[:20]), hour=1)
    write(folder, records(known[10:]), hour=2)
    write(folder, records([*known[:5], *known[:5]]), hour=3)
    done = run(scores.environment(), "load", folder)
    assert summary(done) == (3, 50, 30, 0)
    assert scores.ids() == known
    write(folder, records(known[5:25]), hour=4)
    assert summary(run(scores.environment(), "load", folder)) == (1, 20, 0, 0), "those of an earlier load count too"
    assert scores.ids() == known


def test_a_file_that_is_not_whole_is_left_until_it_is(scores: Warehouse, tmp_path: Path) -> None:
    folder = tmp_path / "scores"
    known = ids(30)
    whole = write(folder, records(known[:10]), hour=1)
    half = write(folder, records(known[10:20]), hour=2)
    content = half.read_bytes()
    half.write_bytes(content[: len(content) // 2])
    empty = write(folder, records(known[20:]), hour=3)
    last = empty.read_bytes()
    empty.write_bytes(b"")
    # What other programs leave beside finished files: none of it is a file of records.
    for name in (f".{half.name}.Xy12", f"_{half.name}", f"{half.name}.tmp", "notes.txt"):
        (half.parent / name).write_bytes(b"not Parquet")
    (folder / "tmp").mkdir()
    (folder / "tmp" / whole.name).write_bytes(b"not Parquet")
    done = run(scores.environment(), "load", folder)
    assert done.returncode == 1 and summary(done) == (1, 10, 10, 2), done.stderr
    assert f"{half.name}: does not end as a Parquet file does" in done.stderr
    assert scores.ids() == known[:10]
    half.write_bytes(content)
    empty.write_bytes(last)
    done = run(scores.environment(), "load", folder)
    assert done.returncode == 0 and summary(done) == (2, 20, 20, 0), done.stderr
    assert scores.ids() == known


def test_damage_in_the_middle_spoils_one_file_only(scores: Warehouse, tmp_path: Path) -> None:
    folder = tmp_path / "scores"
    known = ids(3000)
    for part in range(3):
        path = write(folder, records(known[part * 1000 : part * 1000 + 1000]), hour=part)
        if part == 1:
            content = bytearray(path.read_bytes())
            content[100:4000] = bytes(3900)
            path.write_bytes(content)
    done = run(scores.environment(), "load", folder)
    assert done.returncode == 1 and summary(done) == (2, 2000, 2000, 1), done.stderr
    assert "hour=01" in done.stderr and "Snowflake did not take it" in done.stderr
    assert scores.ids() == known[:1000] + known[2000:]


def test_a_new_feature_becomes_a_column(scores: Warehouse, tmp_path: Path) -> None:
    folder = tmp_path / "scores"
    known = ids(20)
    write(folder, records(known[:10]), hour=1)
    wider = records(known[10:]).append_column("f51", pa.array([None, *map(float, range(9))], pa.float64()))
    wider = wider.append_column("region", pa.array(["north", None] * 5).dictionary_encode())
    write(folder, wider, hour=2)
    refused = run(scores.environment(), "load", folder, "--refuse-new-columns")
    assert refused.returncode == 1 and summary(refused) == (1, 10, 10, 1)
    assert "lacks: F51, REGION" in refused.stderr
    done = run(scores.environment(), "load", folder)
    assert done.returncode == 0 and summary(done) == (1, 10, 10, 0), done.stderr
    assert_same(scores, folder)
    # A server with the older model goes on beside the new one.
    write(folder, records(ids(5, 20)), hour=4)
    assert summary(run(scores.environment(), "load", folder)) == (1, 5, 5, 0)
    assert_same(scores, folder)


def test_a_column_of_another_type_is_refused(scores: Warehouse, tmp_path: Path) -> None:
    folder = tmp_path / "scores"
    known = ids(20)
    table = records(known[:10])
    place = table.column_names.index("f1")
    write(folder, table.set_column(place, "f1", pa.array(["red"] * 10)), hour=1)
    write(folder, records(known[10:]), hour=2)
    write(folder, pa.table({"name": known}), hour=3, name="foreign.parquet")
    done = run(scores.environment(), "load", folder)
    assert done.returncode == 1 and summary(done) == (1, 10, 10, 2), done.stderr
    assert "column f1 is string, but F1 of table SCORES is FLOAT" in done.stderr
    assert "foreign.parquet: has no column record_id" in done.stderr
    assert scores.ids() == known[10:]


def test_a_folder_that_grows(scores: Warehouse, tmp_path: Path) -> None:
    folder, metrics = tmp_path / "scores", tmp_path / "load.prom"
    known = ids(500)
    write(folder, records(known[:50]), hour=0)
    words = ["load", folder, "--watch", "--interval", 0.05, "--metrics-file", metrics, "--batch-files", 3]
    process = start(scores.environment(), *words)
    try:
        for part in range(1, 10):
            write(folder, records(known[part * 50 : part * 50 + 50]), hour=part)
            if part == 5:
                broken = write(folder, records(ids(5, 900)), hour=20)
                broken.write_bytes(broken.read_bytes()[:-10])
            time.sleep(0.1)
        wait_for(lambda: sample(metrics, "records_inserted_total") == 500, process)
        wait_for(lambda: sample(metrics, "files_waiting") == 1, process)
        assert sample(metrics, "files_loaded_total") == 10 and sample(metrics, "records_read_total") == 500
        assert sample(metrics, "files_refused_total") == 1 and sample(metrics, "oldest_waiting_timestamp_seconds") > 1e9
        broken.unlink()
        wait_for(lambda: sample(metrics, "files_waiting") == 0, process)
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=30)
        assert process.returncode == 1, "one file was refused meanwhile"
        assert "does not end as a Parquet file does" in said
    finally:
        process.kill()
    assert scores.ids() == known
    assert_no_leftovers(scores)


def sample(path: Path, name: str) -> float:
    if not path.exists():
        return -1
    families = text_string_to_metric_families(path.read_text())
    found = {one.name: one.value for family in families for one in family.samples}
    return found[f"quintile_snowflake_{name}"]


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    until = time.monotonic() + 60
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until, "it did not come to this"
        time.sleep(0.05)


def assert_no_leftovers(warehouse: Warehouse) -> None:
    tables = [row[0] for row in warehouse.execute("SELECT table_name FROM information_schema.tables")]
    assert not [name for name in tables if "INCOMING" in name]


def test_a_watch_outlives_snowflakes_errors(scores: Warehouse, tmp_path: Path) -> None:
    folder, metrics = tmp_path / "scores", tmp_path / "load.prom"
    known = ids(20)
    write(folder, records(known[:10]), hour=1)
    scores.fault("MERGE", error={"code": "000606", "message": "No active warehouse selected."})
    words = ["load", folder, "--watch", "--interval", 0.05, "--metrics-file", metrics]
    process = start(scores.environment(), *words)
    try:
        wait_for(lambda: sample(metrics, "records_inserted_total") == 10, process)
        assert 'quintile_snowflake_errors_total{kind="load"} 1.0' in metrics.read_text()
        write(folder, records(known[10:]), hour=2)
        wait_for(lambda: sample(metrics, "records_inserted_total") == 20, process)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        process.kill()
    assert "No active warehouse" in process.communicate()[1]
    assert scores.ids() == known
    once = start(scores.environment(), "load", folder, "--again")
    scores.fault("MERGE", error={"code": "000606", "message": "No active warehouse selected."})
    assert once.wait(60) == 1, "without --watch the error ends it"
    assert "No active warehouse" in once.communicate()[1]


def test_a_bucket_through_the_program(scores: Warehouse, server: Start, tmp_path: Path) -> None:
    with StandIn() as aws:
        aws.client("s3").create_bucket(Bucket="lake")
        running = server(DEMO, sink="s3", environment=aws.environment(records__s3_url="s3://lake/leads/v1/"))
        score_all(running, [{"f1": float(row)} for row in range(200)], 1)
        running.stop()
        aws.client("s3").put_object(Bucket="lake", Key="leads/v1/readme.txt", Body=b"not a record")
        half = "leads/v1/date=2025-11-24/hour=01/half.parquet"
        aws.client("s3").put_object(Bucket="lake", Key=half, Body=b"PAR1 and then nothing")
        environment = scores.environment(**aws.environment(), AWS_ENDPOINT_URL=aws.url, AWS_DEFAULT_REGION="us-east-1")
        done = run(environment, "load", "s3://lake/leads/v1")
        assert done.returncode == 1 and summary(done)[1:] == (200, 200, 1), done.stderr
        assert "half.parquet" in done.stderr
        aws.client("s3").delete_object(Bucket="lake", Key="leads/v1/readme.txt")
        aws.client("s3").delete_object(Bucket="lake", Key=half)
        tables = [pq.read_table(io.BytesIO(body)) for body in aws.objects("lake").values()]
        expected = {key for table in tables for key in table["record_id"].to_pylist()}
        assert set(scores.ids()) == expected and len(scores.ids()) == 200
        assert summary(run(environment, "load", "s3://lake/leads/v1/")) == (0, 0, 0, 0)
        for words in ([], ["--dry-run"]):
            absent = run(environment, "load", "s3://nowhere/leads", *words)
            assert absent.returncode in (1, 2) and "s3://nowhere/leads/: " in absent.stderr, absent.stderr
            assert "Traceback" not in absent.stderr


def test_a_bucket_that_is_away_is_asked_again(scores: Warehouse, tmp_path: Path) -> None:
    metrics = tmp_path / "load.prom"
    path = write(tmp_path / "scores", records(ids(10)))
    with StandIn() as aws:
        aws.client("s3").create_bucket(Bucket="lake")
        environment = scores.environment(
            **aws.environment(), AWS_ENDPOINT_URL=aws.url, AWS_DEFAULT_REGION="us-east-1", AWS_MAX_ATTEMPTS="1"
        )
        words = ["load", "s3://lake", "--watch", "--interval", 0.1, "--metrics-file", metrics]
        process = start(environment, *words)
        try:
            wait_for(lambda: sample(metrics, "files_waiting") == 0, process)
            aws.down()
            wait_for(lambda: 'errors_total{kind="load"} 1.0' in metrics.read_text(), process)
            aws.up()
            key = path.relative_to(tmp_path / "scores").as_posix()
            aws.client("s3").put_object(Bucket="lake", Key=key, Body=path.read_bytes())
            wait_for(lambda: sample(metrics, "records_inserted_total") == 10, process)
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        finally:
            process.kill()
    assert scores.ids() == ids(10)


def test_an_external_stage_is_read_where_it_is(scores: Warehouse, tmp_path: Path) -> None:
    folder = tmp_path / "scores"
    known = ids(30)
    for part in range(3):
        write(folder, records(known[part * 10 : part * 10 + 10]), hour=part)
    scores.execute(f"CREATE STAGE LAKE URL = 'file://{folder}/' FILE_FORMAT = (TYPE = PARQUET)")
    done = run(scores.environment(), "load", folder, "--external-stage", "LAKE", "--batch-files", 2, "--verbose")
    assert done.returncode == 0 and summary(done) == (3, 30, 30, 0), done.stderr
    assert "PUT" not in re.findall(r"DEBUG (\w+)", done.stderr)
    assert_same(scores, folder)
    again = run(scores.environment(), "load", folder, "--external-stage", "LAKE", "--again")
    assert summary(again) == (3, 30, 0, 0)


def test_the_sql_of_a_dry_run_loads_by_hand(scores: Warehouse, tmp_path: Path) -> None:
    folder = tmp_path / "scores with 'quotes'"
    known = ids(30)
    for part in range(3):
        write(folder, records(known[part * 10 : part * 10 + 10]), hour=part)
    (folder / "date=2025-11-24" / "hour=05").mkdir()
    (folder / "date=2025-11-24" / "hour=05" / "half.parquet").write_bytes(b"PAR1")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SNOWFLAKE_")}
    done = run(environment, "load", folder, "--dry-run")
    assert done.returncode == 1 and "-- not loaded: date=2025-11-24/hour=05/half.parquet" in done.stdout, done.stderr
    # The program puts links to the files into one folder.
    batch = tmp_path / "batch"
    batch.mkdir()
    for path in folder.rglob("2025*.parquet"):
        (batch / path.name).symlink_to(path)
    with scores.connect() as connection:
        for statement in re.sub(r"^--.*\n", "", done.stdout, flags=re.MULTILINE).split(";\n"):
            if statement.strip():
                connection.cursor().execute(statement.replace("FOLDER_OF_THE_BATCH", str(batch)))
    assert scores.ids() == known
    assert summary(run(scores.environment(), "load", folder, "--since", "2025-11-25")) == (0, 0, 0, 0)
    done = run(scores.environment(), "load", folder)
    assert summary(done) == (0, 0, 0, 1), "the statements noted what they loaded"
    external = run(environment, "load", folder, "--dry-run", "--external-stage", "LAKE")
    assert "FROM @LAKE FILES = (" in external.stdout and "PUT" not in external.stdout


def test_tables_that_are_not_as_they_must_be(warehouse: Warehouse, tmp_path: Path) -> None:
    folder = tmp_path / "scores"
    write(folder, records(ids(10)))
    done = run(warehouse.environment(), "load", folder)
    assert done.returncode == 2 and "there is no table SCORES" in done.stderr
    assert "quintile records schema --format snowflake" in done.stderr
    warehouse.execute("CREATE TABLE OTHER (A VARCHAR)")
    done = run(warehouse.environment(), "load", folder, "--table", "OTHER")
    assert done.returncode == 2 and "has no column RECORD_ID" in done.stderr
    warehouse.create_scores()
    assert summary(run(warehouse.environment(), "load", folder)) == (1, 10, 10, 0)
    # Somebody empties the table to begin anew: what is noted about files no longer holds.
    warehouse.execute("DELETE FROM SCORES")
    done = run(warehouse.environment(), "load", folder)
    assert summary(done) == (1, 10, 10, 0) and "is empty, so all files are loaded again" in done.stderr
    # Another program inserted what stands there: it is told, not hidden.
    warehouse.execute("INSERT INTO SCORES SELECT * FROM SCORES WHERE SCORE = 1")
    done = run(warehouse.environment(), "load", folder, "--again")
    assert done.returncode == 1 and "holds 2 records more than once" in done.stderr, done.stderr


@pytest.mark.parametrize("source", ["nowhere", "s3://", "s3:///x"])
def test_a_source_that_is_none(source: str, tmp_path: Path) -> None:
    done = run(dict(os.environ), "load", source if source.startswith("s3") else tmp_path / source, "--dry-run")
    assert done.returncode == 2 and "s3://BUCKET/PREFIX" in done.stderr
    assert "Traceback" not in done.stderr


def test_types_hold() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", os.devnull],
        cwd=PACKAGE,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_made_ids_are_in_order() -> None:
    assert all(a < b for a, b in itertools.pairwise(ids(300)))
