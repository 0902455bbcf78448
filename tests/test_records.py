"""docs/records.md: its queries run on a server's files, and its tables say what is in them."""

import re
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from serving import Server, score_all

ROOT = Path(__file__).resolve().parents[1]
DEMO = ROOT / "engine" / "demo" / "demo.ubj"
PAGE = (ROOT / "docs" / "records.md").read_text(encoding="utf-8")
LEADS = 300
ATHENA = {
    "string": pa.string(),
    "timestamp": pa.timestamp("us", tz="UTC"),
    "double": pa.float64(),
    "tinyint": pa.int8(),
    "int": pa.uint16(),
}


def queries() -> list[str]:
    duck = PAGE.split("## Reading them with DuckDB")[1].split("## Reading them with Athena")[0]
    return re.findall(r"```sql\n(.*?)```", duck, re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `data` in it, as the page's queries expect."""
    folder = tmp_path_factory.mktemp("records")
    leads = [{"f1": row % 7, "f2": row / 3, "f8": None if row % 4 == 0 else row / 10} for row in range(LEADS)]
    with Server(DEMO, folder / "data", shards=2) as server:
        score_all(server, leads, connections=3)
        # Again with other features, so that some bands change.
        score_all(server, [{"f1": 9, "f2": 1e3, "f5": 40} for _ in range(LEADS // 2)], connections=1)
        server.stop()
    return folder


def test_ten_queries_run_as_they_stand(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    view, *rest = queries()
    assert len(rest) == 10
    database = duckdb.connect()
    database.execute(view)
    total = LEADS + LEADS // 2
    answers = [database.execute(query).df() for query in rest]
    newest, lead, bands, versions, latency, missing, means, changed, twice, copied = answers
    assert len(newest) == 10 and newest["time"].is_monotonic_decreasing
    assert len(lead) == 2
    assert bands["leads"].sum() == total and set(bands["score"]) <= {1, 2, 3, 4, 5}
    assert versions["leads"].tolist() == [total] and versions["model"].tolist() == ["demo"]
    assert latency["longest"][0] >= latency["p50_p99_p999"][0][0] > 0
    of = dict(zip(missing["feature"], missing["missing"], strict=True))
    assert len(of) == 50 and of["f1"] == 0 and of["f3"] == 1
    assert of["f8"] == pytest.approx((LEADS / 4 + LEADS / 2) / total)
    assert means["leads"].sum() == total
    assert (changed["times"] == 2).all()
    assert twice["duplicates"].tolist() == [0]
    assert copied["Count"].tolist() == [total]
    assert len((folder / "data" / "day.csv").read_text().splitlines()) == total + 1


def test_duplicates_are_gone_in_the_view(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for copy in range(2):
        for path in (folder / "data" / "scores").rglob("*.parquet"):
            target = tmp_path / path.relative_to(folder).with_name(f"{copy}-{path.name}")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    database = duckdb.connect()
    database.execute(queries()[0])
    total = LEADS + LEADS // 2
    assert database.execute("SELECT count(*) FROM scores").fetchone() == (total,)
    assert database.execute(queries()[9]).fetchone() == (total,)


def test_the_page_has_the_columns_that_are_there(folder: Path) -> None:
    schemas = [pq.read_schema(path) for path in (folder / "data" / "scores").rglob("*.parquet")]
    assert all(schema.equals(schemas[0]) for schema in schemas)
    table = PAGE.split("Schema version 3")[1].split("## Reading")[0]
    named = re.findall(r"`(\w+)`", "\n".join(re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)))
    assert named == schemas[0].names[:18]
    ddl = re.search(r"CREATE EXTERNAL TABLE scores \((.*?)\n\)", PAGE, re.DOTALL)
    assert ddl is not None
    columns = [column.split() for column in ddl.group(1).replace("`", "").replace("\n", " ").split(",")]
    assert [name for name, _ in columns] == schemas[0].names
    assert [ATHENA[kind] for _, kind in columns] == schemas[0].types


def test_files_say_which_schema_they_have(folder: Path) -> None:
    for path in (folder / "data" / "scores").rglob("*.parquet"):
        metadata = pq.read_metadata(path)
        assert metadata.metadata[b"quintile.schema_version"] == b"3"
        assert metadata.created_by.startswith("quintile ")
