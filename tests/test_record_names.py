"""Columns of records: names that differ in more than case, categories by name, and `quintile records schema`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import command
from serving import Server, log_fields, score_all

Start = Callable[..., Server]
ROOT = Path(__file__).resolve().parents[1]
FIXTURES = ROOT / "model" / "tests" / "fixtures"
ODD = ["source", "Source", "score", "Date"]


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """A model whose features are named like columns of records, and like each other."""
    text = (FIXTURES / "objective-binary-logistic.json").read_text(encoding="utf-8")
    names = f'"feature_names":{json.dumps(ODD)}'
    assert text.count('"feature_names":[]') == 1
    model = tmp_path / "odd.json"
    model.write_text(text.replace('"feature_names":[]', names), encoding="utf-8")
    return model


def recorded(folder: Path) -> pa.Table:
    """All records of a folder; an hour may end in the meantime."""
    files = sorted((folder / "data" / "scores").rglob("*.parquet"))
    return pa.concat_tables([pq.read_table(path, partitioning=None) for path in files], promote_options="default")


def exported(folder: Path) -> list[dict[str, Any]]:
    done = command.run("spool", "export", folder / "data" / "spool")
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_features_named_like_columns_get_other_names_and_it_is_told(server: Start, odd: Path, tmp_path: Path) -> None:
    running = server(odd)
    score_all(running, [dict(zip(ODD, [1.5, 2.5, 3.5, 4.5], strict=True))], 1)
    (told,) = [fields for fields in map(log_fields, running.log) if "record_column" in str(fields.get("message"))]
    assert told["count"] == 4 and '"Source" is "feature.Source.2"' in told["features"], told
    schema = running.connect().request("GET", "/v1/schema").json()
    columns = {feature["name"]: feature["record_column"] for feature in schema["features"]}
    assert columns == {
        "source": "feature.source",
        "Source": "feature.Source.2",
        "score": "feature.score",
        "Date": "feature.Date",
    }
    (line,) = exported(tmp_path)
    running.stop()
    table = recorded(tmp_path)
    assert len({name.lower() for name in table.column_names}) == len(table.column_names)
    assert list(line) == ["schema_version", *table.column_names]
    for feature, value in zip(ODD, [1.5, 2.5, 3.5, 4.5], strict=True):
        assert table[columns[feature]].to_pylist() == [value] and line[columns[feature]] == value
    assert (line["source"], line["protocol"], line["role"]) == ("local", "native", None)
    # DuckDB ignores the case of names too, and finds each.
    path = str(next((tmp_path / "data" / "scores").rglob("*.parquet")))
    found = duckdb.sql(f"""SELECT "feature.source", "feature.Source.2", source FROM '{path}'""").fetchall()
    assert found == [(1.5, 2.5, "local")]


def test_categories_are_recorded_by_name(server: Start, tmp_path: Path) -> None:
    running = server(FIXTURES / "category-names.ubj")
    leads = [
        {"where": "comma, too", "number": 1, "code": "-5"},
        {"where": None, "number": 2, "code": 30},
        {"where": "Zurich", "code": "2"},
    ]
    score_all(running, leads, 1)
    lines = exported(tmp_path)
    running.stop()
    table = recorded(tmp_path)
    kind = pa.dictionary(pa.int32(), pa.string())
    assert (table.schema.field("where").type, table.schema.field("number").type) == (kind, pa.float64())
    expected = [("comma, too", 1.0, "-5"), (None, 2.0, "30"), ("Zurich", None, "2")]
    assert list(zip(*(table[name].to_pylist() for name in ("where", "number", "code")), strict=True)) == expected
    assert [(line["where"], line["number"], line["code"]) for line in lines] == expected
    digests = set(table["model_sha256"].to_pylist())
    assert len(digests) == 1 and len(digests.pop()) == 64


@pytest.mark.parametrize("form", ["json", "glue", "athena", "snowflake"])
def test_every_format_of_the_schema_has_the_columns_of_the_files(
    server: Start, odd: Path, tmp_path: Path, form: str
) -> None:
    running = server(odd)
    score_all(running, [{"score": 1}], 1)
    running.stop()
    names = recorded(tmp_path).column_names
    done = command.run("records", "schema", "--model", odd, "--format", form)
    assert done.returncode == 0, done.stderr
    if form == "json":
        document = json.loads(done.stdout)
        assert document["schema_version"] == 3 and document["model"]["name"] == "odd"
        assert [column["name"] for column in document["columns"]] == names
        assert [column["feature"] for column in document["columns"]][-4:] == ODD
    elif form == "glue":
        columns = json.loads(done.stdout)
        assert [column["Name"] for column in columns] == names
        assert all(set(column) == {"Name", "Type", "Comment"} and len(column["Comment"]) <= 255 for column in columns)
    else:
        mark = {"athena": "`", "snowflake": '"'}[form]
        listed = done.stdout.split("(\n", 1)[1].split("\n)", 1)[0].split(mark)[1::2]
        assert [name.lower() for name in listed] == [name.lower() for name in names]


def test_the_configured_model_is_the_default(odd: Path, tmp_path: Path) -> None:
    config = tmp_path / "quintile.toml"
    config.write_text(f'[model]\npath = "{odd}"\n')
    of_config = command.run("records", "schema", "--config", config)
    of_demo = command.run("records", "schema")
    assert json.loads(of_config.stdout)["model"]["name"] == "odd"
    assert json.loads(of_demo.stdout)["model"]["name"] == "demo"
    assert "absent.ubj" in command.refusal("records", "schema", "--model", tmp_path / "absent.ubj")
