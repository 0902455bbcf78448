"""The routes into Snowflake that need no program of ours: what fakesnow can run, run; all else marked."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pytest

import command
from warehouse import PACKAGE, ids, records, write
from warehouse_stand_in import Warehouse

sys.path.insert(0, str(PACKAGE / "src"))

from quintile_snowflake.load import fits, snowflake_type

SNOWPIPE = PACKAGE / "sql" / "snowpipe.sql"
EXTERNAL = PACKAGE / "sql" / "external_table.sql"


class Statement(NamedTuple):
    mark: str
    text: str

    @property
    def is_tried(self) -> bool:
        return self.mark.startswith("tried")


def statements(path: Path) -> list[Statement]:
    found = []
    for part in path.read_text().split(";\n"):
        comments = re.findall(r"^-- ?(.*)$", part, re.MULTILINE)
        text = re.sub(r"^--.*\n", "", part, flags=re.MULTILINE).strip()
        if text:
            marks = [line for line in comments if re.match("(not )?tried(,|:|$)", line)]
            assert len(marks) == 1, f"{path.name}: say whether this was tried: {text[:60]}"
            found.append(Statement(marks[0], text))
    return found


@pytest.fixture
def warehouse(tmp_path: Path) -> Iterator[Warehouse]:
    with Warehouse(tmp_path / "snowflake") as running:
        yield running


def starting(path: Path, words: str) -> Statement:
    return next(statement for statement in statements(path) if statement.text.startswith(words))


def test_snowpipe(warehouse: Warehouse, tmp_path: Path) -> None:
    folder = tmp_path / "scores"
    known = ids(30)
    write(folder, records(known[:20]), hour=1)
    schema = command.run("records", "schema", "--format", "snowflake").stdout.strip().removesuffix(";")
    warehouse.execute(schema.replace("CREATE TABLE scores", "CREATE TABLE SCORES_LOADED", 1))
    stage = starting(SNOWPIPE, "CREATE STAGE")
    assert stage.is_tried
    there = stage.text.replace("s3://BUCKET/PREFIX/", f"file://{folder}/date=2025-11-24/hour=01")
    warehouse.execute(there.replace("STORAGE_INTEGRATION = QUINTILE_BUCKET", ""))
    copy = starting(SNOWPIPE, "CREATE PIPE").text.partition(" AS\n")[2]
    assert copy.startswith("COPY INTO SCORES_LOADED")
    warehouse.execute(copy)
    # What a crash of a server leaves: records of a file that is there already.
    write(folder, records(known[10:]), hour=1, name="second.parquet")
    warehouse.execute(copy)
    assert warehouse.execute("SELECT COUNT(*) FROM SCORES_LOADED")[0][0] == 40, "files are remembered, records are not"
    view = starting(SNOWPIPE, "CREATE VIEW")
    assert view.is_tried
    warehouse.execute(view.text)
    assert [row[0] for row in warehouse.execute("SELECT RECORD_ID FROM SCORES_ONCE ORDER BY RECORD_ID")] == known


def test_an_external_table(warehouse: Warehouse) -> None:
    table = starting(EXTERNAL, "CREATE EXTERNAL TABLE").text
    columns = re.findall(r'^  "(\w+)" (\w+) AS (?:\(VALUE:(\w+)::(\w+)\)|TO_DATE)', table, re.MULTILINE)
    of_files = records(ids(1)).schema
    for name, kind, value, cast in columns[1:]:
        assert name == value.upper() and kind == cast and value in of_files.names
    plain = ", ".join(f'"{name}" {kind}' for name, kind, _, _ in columns)
    warehouse.execute(f"CREATE TABLE SCORES_IN_BUCKET ({plain})")
    lines = [("a", 1, "NULL"), ("a", 1, "NULL"), ("b", 1, "'champion'"), ("c", 2, "'shadow'")]
    for key, score, role in lines:
        warehouse.execute(
            f"""INSERT INTO SCORES_IN_BUCKET ("DATE", "RECORD_ID", "SCORE", "ROLE")
                VALUES ('2025-11-24', '{key}', {score}, {role})"""
        )
    view, query = starting(EXTERNAL, "CREATE VIEW"), starting(EXTERNAL, "SELECT")
    assert view.is_tried and query.is_tried
    warehouse.execute(view.text)
    assert [row[1:] for row in warehouse.execute(query.text)] == [(1, 2)]


def test_what_is_tried_is_run_here() -> None:
    both = [*statements(SNOWPIPE), *statements(EXTERNAL)]
    tried = [statement.text for statement in both if statement.is_tried]
    begin = ["CREATE STAGE", "CREATE VIEW SCORES_ONCE", "CREATE VIEW ANSWERED", 'SELECT "DATE"']
    assert [text.startswith(word) for text, word in zip(tried, begin, strict=True)] == [True] * 4


def test_columns_of_new_kinds_are_what_the_schema_prints() -> None:
    """A column that a load adds has the type that `quintile records schema --format snowflake` gives it."""
    printed = command.run("records", "schema", "--format", "snowflake").stdout
    kinds = dict(re.findall(r'^  "(\w+)" (\w+(?:\(\d+\))?)', printed, re.MULTILINE))
    for field in records(ids(1)).schema:
        kind = kinds[field.name.upper()]
        if not pa.types.is_integer(field.type):
            assert snowflake_type(field.type) == kind, field.name
        assert fits(field.type, "NUMBER(38,0)" if kind == "SMALLINT" else kind), field.name
