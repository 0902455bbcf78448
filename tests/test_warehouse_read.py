"""Features out of Snowflake: the rows that `quintile score` gets are those that were put in."""

import json
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import command
from warehouse import CATEGORIES, DEMO, DEMO_FEATURES, PACKAGE, run
from warehouse_stand_in import Warehouse

sys.path.insert(0, str(PACKAGE / "src"))

from quintile_snowflake.errors import Refused
from quintile_snowflake.read import rename, shaped, stable_type


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    with Warehouse(tmp_path_factory.mktemp("read") / "snowflake") as running:
        yield running


@pytest.fixture
def warehouse(shared: Warehouse) -> Warehouse:
    shared.reset()
    return shared


def columns_of(model: Path, folder: Path) -> Path:
    """What `--features` takes."""
    done = command.run("records", "schema", "--model", model, "--format", "json")
    assert done.returncode == 0, done.stderr
    path = folder / "columns.json"
    path.write_text(done.stdout)
    return path


def put(warehouse: Warehouse, table: str, rows: pa.Table, folder: Path) -> None:
    """Through Parquet and COPY, as data comes into Snowflake."""
    stage = folder / table
    stage.mkdir()
    pq.write_table(rows, stage / "rows.parquet")
    warehouse.execute(f"CREATE OR REPLACE STAGE IN_{table} URL = 'file://{stage}/' FILE_FORMAT = (TYPE = PARQUET)")
    warehouse.execute(
        f"COPY INTO {table} FROM @IN_{table} FILES = ('rows.parquet') FILE_FORMAT = (TYPE = PARQUET) "
        "MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE"
    )


def demo_rows(count: int) -> pa.Table:
    columns = {"lead_id": pa.array([f"lead-{row}" for row in range(count)])}
    for number, name in enumerate(DEMO_FEATURES, 1):
        values = [None if (row + number) % 7 == 0 else (row * number) % 50 / 3 for row in range(count)]
        columns[name] = pa.array(values, pa.float64())
    return pa.table(columns)


def scored(rows: Path, model: Path, out: Path) -> pa.Table:
    done = command.run("score", rows, "--model", model, "--out", out, "--strict")
    assert done.returncode == 0, done.stderr
    return pq.read_table(out)


def test_rows_are_those_that_were_put_in(warehouse: Warehouse, tmp_path: Path) -> None:
    rows = demo_rows(2000)
    features = ", ".join(f"F{number} DOUBLE" for number in range(1, 51))
    warehouse.execute(f"CREATE TABLE LEADS (LEAD_ID VARCHAR, {features})")
    put(warehouse, "LEADS", rows, tmp_path)
    out = tmp_path / "leads.parquet"
    done = run(
        warehouse.environment(), "read", "--query", "SELECT * FROM LEADS ORDER BY F1 NULLS FIRST, LEAD_ID",
        "--features", columns_of(DEMO, tmp_path), "--out", out,
    )  # fmt: skip
    assert done.returncode == 0 and "2000 rows" in done.stderr, done.stderr
    read = pq.read_table(out)
    assert read.column_names == rows.column_names, "with the model's names, not Snowflake's"
    assert read.sort_by("lead_id").equals(rows.sort_by("lead_id"))
    direct = tmp_path / "direct.parquet"
    pq.write_table(rows, direct)
    ours = scored(out, DEMO, tmp_path / "a.parquet").sort_by("lead_id")
    theirs = scored(direct, DEMO, tmp_path / "b.parquet").sort_by("lead_id")
    assert ours.equals(theirs) and len(set(ours["score"].to_pylist())) > 1
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")], "no half file is left"


def test_categories_go_by_name(warehouse: Warehouse, tmp_path: Path) -> None:
    rows = pa.table(
        {
            "lead_id": ["a", "b", "c", "d"],
            "where": ["comma, too", None, "Zurich", None],
            "number": pa.array([1.0, 2.0, None, None], pa.float64()),
            "code": ["-5", "30", "2", None],
        }
    )
    warehouse.execute('CREATE TABLE LEADS (LEAD_ID VARCHAR, "WHERE" VARCHAR, NUMBER DOUBLE, CODE VARCHAR)')
    put(warehouse, "LEADS", rows, tmp_path)
    out = tmp_path / "leads.parquet"
    columns = columns_of(CATEGORIES, tmp_path)
    done = run(warehouse.environment(), "read", "--table", "LEADS", "--features", columns, "--out", out)
    assert done.returncode == 0, done.stderr
    assert pq.read_table(out).sort_by("lead_id").equals(rows)
    direct = tmp_path / "direct.parquet"
    pq.write_table(rows, direct)
    ours = scored(out, CATEGORIES, tmp_path / "a.parquet").sort_by("lead_id")
    assert ours.equals(scored(direct, CATEGORIES, tmp_path / "b.parquet"))


def test_numbers_of_snowflake(warehouse: Warehouse, tmp_path: Path) -> None:
    warehouse.execute("CREATE TABLE LEADS (N NUMBER(38, 0), D NUMBER(12, 2), X FLOAT, B BOOLEAN, T VARCHAR)")
    warehouse.execute(
        "INSERT INTO LEADS VALUES (1, 1.25, 'Infinity'::FLOAT, TRUE, 'a'), (NULL, NULL, NULL, NULL, NULL), "
        "(9007199254740993, -0.01, 1e-300, FALSE, '')"
    )
    out = tmp_path / "leads.parquet"
    done = run(warehouse.environment(), "read", "--table", "LEADS", "--out", out)
    assert done.returncode == 0, done.stderr
    read = pq.read_table(out)
    assert read.schema.types == [pa.int64(), pa.float64(), pa.float64(), pa.bool_(), pa.string()]
    assert read.to_pydict() == {
        "n": [1, None, 9007199254740993],
        "d": [1.25, None, -0.01],
        "x": [float("inf"), None, 1e-300],
        "b": [True, None, False],
        "t": ["a", None, ""],
    }


def test_nothing_is_a_file_without_rows(warehouse: Warehouse, tmp_path: Path) -> None:
    warehouse.execute("CREATE TABLE LEADS (LEAD_ID VARCHAR, F1 DOUBLE)")
    out = tmp_path / "leads.parquet"
    done = run(warehouse.environment(), "read", "--table", "LEADS", "--out", out)
    assert done.returncode == 0, done.stderr
    read = pq.read_table(out)
    assert read.num_rows == 0 and read.column_names == ["lead_id", "f1"]


def test_queries_that_do_not_do(warehouse: Warehouse, tmp_path: Path) -> None:
    warehouse.execute("CREATE TABLE LEADS (LEAD_ID VARCHAR, F1 DOUBLE)")
    columns, out = columns_of(DEMO, tmp_path), tmp_path / "leads.parquet"
    broken = tmp_path / "broken.json"
    broken.write_text(json.dumps({"columns": [{"name": "x"}]}))
    for words, said in (
        (["--table", "LEADS", "--features", columns], "has no column for f2, f3"),
        (["--table", "NOPE"], "does not exist"),
        (["--query", 'SELECT F1, F1 AS "f1" FROM LEADS'], "two columns 'f1'"),
        (["--table", "LEADS", "--features", broken], "is not what `quintile records schema --format json` prints"),
        (["--table", "LEADS", "--features", tmp_path / "none.json"], "No such file"),
    ):
        done = run(warehouse.environment(), "read", *words, "--out", out)
        assert done.returncode == 2 and said in done.stderr, (words, done.stderr)
        assert not out.exists() and "Traceback" not in done.stderr
    done = run(warehouse.environment(), "read", "--table", "LEADS", "--out", tmp_path / "none" / "leads.parquet")
    assert done.returncode == 2 and "No such file" in done.stderr and "Traceback" not in done.stderr


def test_names() -> None:
    assert rename(["LEAD_ID", "F1", "mixedCase"], None) == ["lead_id", "f1", "mixedCase"]
    assert rename(["LEAD_ID", "F1", "MIXEDCASE"], ["f1", "mixedCase"]) == ["lead_id", "f1", "mixedCase"]
    # Two features that differ by case only must be written as they are.
    assert rename(["a", "A"], ["a", "A"]) == ["a", "A"]
    with pytest.raises(Refused, match="no column for A"):
        rename(["a"], ["a", "A"])
    many = [f"f{number}" for number in range(30)]
    with pytest.raises(Refused, match="and 19 more"):
        rename(["f0"], many)


def test_parts_of_a_result_get_one_type() -> None:
    """The connector gives each part the narrowest integers that hold it, and decimals to those that none holds."""
    parts = [pa.table({"n": pa.array([1], pa.int8())}), pa.table({"n": pa.array([70_000], pa.int32())})]
    schema = pa.schema([("n", stable_type(parts[0].schema.types[0]))])
    assert [shaped(part, schema)["n"].to_pylist() for part in parts] == [[1], [70_000]]
    decimals = pa.table({"n": pa.array([Decimal("1.5")], pa.decimal128(20, 2))})
    assert stable_type(decimals.schema.types[0]) == pa.float64()
    assert shaped(decimals, pa.schema([("n", pa.float64())]))["n"].to_pylist() == [1.5]
    with pytest.raises(Refused, match="column n: a later part"):
        shaped(pa.table({"n": ["text"]}), schema)
