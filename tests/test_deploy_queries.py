"""Athena's named queries, run on the demo model's records: translated to DuckDB's words, since Athena is not here."""

from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest
import sqlglot

from serving import Server
from terraform import INFRA

QUERIES = sorted((INFRA / "modules/records/queries").glob("*.sql"))
LEADS = 200


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> duckdb.DuckDBPyConnection:
    """`scores` as the Glue table shows it: with `date` and `hour` as texts. Lead 7 comes three times."""
    data = tmp_path_factory.mktemp("records") / "data"
    with Server(None, data) as server:
        connection = server.connect()
        for number in range(LEADS):
            assert (
                connection.score(f"lead-{number % 198}", {"f1": float(number % 40), "f2": 3.0, "f5": 1.0}).status == 200
            )
        for visits in (0.0, 40.0):
            assert connection.score("lead-7", {"f1": visits, "f5": visits, "f13": 1.0}).status == 200
        connection.close()
        server.stop()
    found = duckdb.connect()
    source = f"read_parquet('{data}/scores/**/*.parquet', hive_partitioning = true, hive_types_autocast = 0)"
    found.execute(f"CREATE VIEW scores AS SELECT * FROM {source}")
    return found


@pytest.mark.parametrize("path", QUERIES, ids=lambda path: path.stem)
def test_a_query_answers(path: Path, records: duckdb.DuckDBPyConnection) -> None:
    text = path.read_text()
    assert text.startswith("-- ") and "role <> 'shadow'" in text
    (translated,) = sqlglot.transpile(text, read="athena", write="duckdb")
    rows = records.execute(translated).fetchall()
    match path.stem:
        case "duplicates":
            assert rows == [(0,)]
        case "one-lead":
            assert len(rows) == 3
        case "newest":
            assert len(rows) == 10
        case "day":
            assert len(rows) == LEADS + 2
        case "scores-by-hour":
            assert sum(row[2] for row in rows) == LEADS + 2
        case _:
            assert rows


def test_queries_on_all_days_name_a_day() -> None:
    """Athena bills by what it reads; one lead's history alone may read everything."""
    assert len(QUERIES) == 10
    assert [path.stem for path in QUERIES if "date " not in path.read_text()] == ["one-lead"]


def test_the_view_is_real(records: duckdb.DuckDBPyConnection, note: Callable[[str], None]) -> None:
    (kind,) = records.execute("SELECT typeof(date) FROM scores LIMIT 1").fetchone() or (None,)
    assert kind == "VARCHAR"
    note(f"{len(QUERIES)} named queries of Athena ran in DuckDB's words; Athena itself was not asked")
