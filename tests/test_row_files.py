"""Files of rows as other programs write them: every codec, type, zone and folder, with the writer as the oracle."""

import csv
import datetime
import decimal
import gzip
import io
import json
from pathlib import Path
from typing import Any

import duckdb
import lightgbm as lgb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

import command
from exact import assert_bit_equal

ROWS, NAMES = 200, ["age", "amount", "visits"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Splits on numbers with two digits behind the point, so that a neighbour of the right double is another leaf."""
    path = tmp_path_factory.mktemp("model") / "model.txt"
    rows = values()
    label = rows[:, 0] + np.where(rows[:, 1] > 12.34, 3.0, 0.0) + rows[:, 2]
    params = {"num_leaves": 31, "num_threads": 1, "verbosity": -1, "min_data_in_leaf": 2, "objective": "regression"}
    lgb.train(params, lgb.Dataset(rows, label, feature_name=NAMES), 20).save_model(path)
    return path


def values() -> NDArray[np.float64]:
    rng = np.random.Generator(np.random.PCG64(11))
    return np.column_stack([rng.integers(18, 90, ROWS), np.round(rng.gamma(2, 9, ROWS), 2), rng.integers(0, 40, ROWS)])


def expected(model: Path, rows: Any) -> NDArray[np.float64]:
    return lgb.Booster(model_file=model).predict(np.asarray(rows, dtype=np.float64), raw_score=True)


def table(**columns: Any) -> pa.Table:
    rows = values()
    return pa.table({name: pa.array(rows[:, at]) for at, name in enumerate(NAMES)} | columns)


def check(model: Path, rows: Path, **options: str) -> None:
    assert_bit_equal(command.score(model, rows, **options), expected(model, values()), np.float64)


@pytest.mark.parametrize("codec", ["none", "snappy", "gzip", "brotli", "lz4", "zstd"])
@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_every_codec_of_parquet(codec: str, version: str, model: Path, tmp_path: Path) -> None:
    rows = tmp_path / "rows.parquet"
    pq.write_table(table(), rows, compression=codec, data_page_version=version, row_group_size=64)
    check(model, rows)


@pytest.mark.parametrize("codec", ["uncompressed", "snappy", "gzip", "brotli", "lz4_raw", "lz4", "zstd"])
def test_codecs_as_duckdb_writes_them(codec: str, model: Path, tmp_path: Path) -> None:
    rows, source = tmp_path / "rows.parquet", table()  # noqa: F841
    duckdb.sql(f"copy source to '{rows}' (format parquet, codec '{codec}')")
    check(model, rows)


def test_decimals_of_every_storage(model: Path, tmp_path: Path) -> None:
    amounts = [decimal.Decimal(f"{value:.2f}") for value in values()[:, 1]]
    for precision in (6, 9, 10, 18, 19, 38, 39, 76):
        kind = pa.decimal128 if precision <= 38 else pa.decimal256
        rows = tmp_path / f"rows-{precision}.parquet"
        for as_integer in (False, True):
            data = table().set_column(1, "amount", pa.array(amounts, kind(precision, 2)))
            pq.write_table(data, rows, store_decimal_as_integer=as_integer)
            check(model, rows)
    rows, source = tmp_path / "duck.parquet", table()  # noqa: F841
    for width in (4, 9, 18, 38):
        columns = f"age, amount::decimal({max(width, 6)}, 2) as amount, visits::decimal({width}, 0) as visits"
        duckdb.sql(f"copy (select {columns} from source) to '{rows}' (format parquet)")
        check(model, rows)


@pytest.mark.parametrize(
    "kind", ["float16", "float32", "int8", "int16", "uint8", "uint16", "uint32", "uint64", "int64"]
)
def test_numbers_of_every_type(kind: str, model: Path, tmp_path: Path) -> None:
    rows, data = tmp_path / "rows.parquet", values().astype(kind)
    pq.write_table(pa.table({name: pa.array(data[:, at]) for at, name in enumerate(NAMES)}), rows)
    assert_bit_equal(command.score(model, rows), expected(model, data), np.float64)


ZONES = [None, "UTC", "+02:00", "-05:30", "Europe/Berlin", "America/New_York"]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", ZONES)
def test_times_come_back_as_the_instants_they_are(unit: str, zone: str | None, model: Path, tmp_path: Path) -> None:
    start = np.datetime64("2026-03-29T00:59:58", unit)
    times = pa.array(start + np.arange(ROWS).astype(f"timedelta64[{unit}]") * 7, pa.timestamp(unit, zone))
    rows = tmp_path / "rows.parquet"
    pq.write_table(table(created=times), rows)
    written = [np.datetime64(time, "ns") for time in texts(model, rows, "csv", "created", zone)]
    assert written == [np.datetime64(time, "ns") for time in np.asarray(times.cast(pa.timestamp(unit)))]
    assert texts(model, rows, "csv", "created", zone) == texts(model, rows, "ndjson", "created", zone)
    again = tmp_path / "again.parquet"
    done = command.run("score", "--model", model, rows, "--out", again)
    assert done.returncode == 0, done.stderr
    instants = [pq.read_table(file)["created"].cast(pa.timestamp("ns", zone and "UTC")) for file in (again, rows)]
    assert instants[0].equals(instants[1])


def texts(model: Path, rows: Path, to: str, column: str, zone: str | None) -> list[str]:
    """The column's texts as instants in UTC, without the zone that each must have."""
    found = []
    for text in column_of(model, rows, to, column):
        if zone is None:
            assert text[-1].isdigit() and "+" not in text, text
            found.append(text)
        elif text.endswith("Z"):
            found.append(text[:-1])
        else:
            moment, offset = text[:-6], datetime.datetime.strptime(text[-6:], "%z").utcoffset()
            assert offset is not None
            found.append(str(np.datetime64(moment, "ns") - np.timedelta64(offset, "ns")))
    return found


def column_of(model: Path, rows: Path, to: str, column: str) -> list[Any]:
    done = command.run("score", "--model", model, rows, "--to", to)
    assert done.returncode == 0, done.stderr
    if to == "csv":
        return [line[column] for line in csv.DictReader(io.StringIO(done.stdout))]
    return [json.loads(line)[column] for line in done.stdout.splitlines()]


def test_other_types_come_back_as_text(model: Path, tmp_path: Path) -> None:
    day = datetime.date(2026, 3, 1)
    columns: dict[str, tuple[pa.Array, str, Any]] = {
        "day": (pa.array([day] * ROWS), "2026-03-01", "2026-03-01"),
        "clock": (pa.array([datetime.time(12, 30, 5, 250_000)] * ROWS), "12:30:05.250", "12:30:05.250"),
        "took": (pa.array([datetime.timedelta(seconds=-90, microseconds=1)] * ROWS), "-PT89.999999S", "-PT89.999999S"),
        "money": (pa.array([decimal.Decimal("12.50")] * ROWS, pa.decimal128(10, 2)), "12.50", 12.5),
        "text": (pa.array(['a"ü,;'] * ROWS, pa.large_string()), 'a"ü,;', 'a"ü,;'),
        "view": (
            pa.array(["a longer text than a view holds"] * ROWS, pa.string_view()),
            "a longer text than a view holds",
            "a longer text than a view holds",
        ),
        "bytes": (pa.array([b"text"] * ROWS, pa.binary()), "text", "text"),
        "kind": (pa.array(["b"] * ROWS).dictionary_encode(), "b", "b"),
        "nothing": (pa.nulls(ROWS), "", None),
        "list": (pa.array([[1, None, 3]] * ROWS), "[1,null,3]", [1, None, 3]),
        "struct": (pa.array([{"a": 1, "b": "x"}] * ROWS), '{"a":1,"b":"x"}', {"a": 1, "b": "x"}),
        "map": (pa.array([[("k", 1)]] * ROWS, pa.map_(pa.string(), pa.int32())), '{"k":1}', {"k": 1}),
        "flag": (pa.array([True] * ROWS), "true", True),
        "half": (pa.array(np.full(ROWS, 0.5, np.float16)), "0.5", 0.5),
    }
    rows = tmp_path / "rows.parquet"
    pq.write_table(table(**{name: array for name, (array, *_) in columns.items()}), rows)
    for name, (_, text, value) in columns.items():
        assert column_of(model, rows, "csv", name) == [text] * ROWS, name
        assert column_of(model, rows, "ndjson", name) == [value] * ROWS, name


def test_what_has_no_text_is_an_error_and_no_empty_cell(model: Path, tmp_path: Path) -> None:
    rows, out = tmp_path / "rows.parquet", tmp_path / "out.csv"
    source = table()  # noqa: F841
    duckdb.sql(f"copy (select *, interval '1 month' as every from source) to '{rows}' (format parquet)")
    assert '"every"' in command.refusal("score", "--model", model, rows, "--out", out)
    assert not out.exists(), "refused before anything is written"
    pq.write_table(table(raw=pa.array([b"\xff\xfe"] * ROWS, pa.binary())), rows)
    assert 'row 1, column "raw" holds bytes that are no UTF-8 text' in command.refusal(
        "score", "--model", model, rows, "--to", "csv"
    )


def test_times_of_96_bits(model: Path, tmp_path: Path) -> None:
    moments = [datetime.datetime(2026, 3, 1, 12, 30, 5, 250_000), datetime.datetime(2100, 1, 1)] * (ROWS // 2)
    rows = tmp_path / "rows.parquet"
    pq.write_table(table(at=pa.array(moments, pa.timestamp("us"))), rows, use_deprecated_int96_timestamps=True)
    assert column_of(model, rows, "csv", "at")[:2] == ["2026-03-01T12:30:05.250", "2100-01-01T00:00:00"]


def test_a_uuid_comes_back_as_one(model: Path, tmp_path: Path) -> None:
    rows, source = tmp_path / "rows.parquet", table()  # noqa: F841
    lead = "0190f6c1-2f2e-7c39-8063-0f4bf4172e43"
    duckdb.sql(f"copy (select *, '{lead}'::uuid as lead from source) to '{rows}' (format parquet)")
    assert column_of(model, rows, "csv", "lead") == [lead] * ROWS
    assert column_of(model, rows, "ndjson", "lead") == [lead] * ROWS


@pytest.mark.parametrize("partitions", [[], ["country"], ["country", "city"]])
def test_a_folder_of_parts_is_one_table(partitions: list[str], model: Path, tmp_path: Path) -> None:
    country = pa.array(["DE", None, "a/b =%"] * (ROWS // 3) + ["DE"] * (ROWS % 3))
    data = table(country=country, city=pa.array([f"c{row % 2}" for row in range(ROWS)]), number=pa.array(range(ROWS)))
    folder, out = tmp_path / "rows", tmp_path / "out.parquet"
    for start in range(0, ROWS, 50):
        pq.write_to_dataset(data.slice(start, 50), folder, partition_cols=partitions or None)
    (folder / "_SUCCESS").touch()
    (folder / ".part.parquet.crc").write_bytes(b"crc\0")
    (folder / "_temporary").mkdir()
    (folder / "_temporary" / "half.parquet").write_bytes(b"PAR1")
    done = command.run("score", "--model", model, folder, "--out", out)
    assert done.returncode == 0, done.stderr
    scored = pq.ParquetFile(out).read().sort_by("number")
    assert scored["number"].to_pylist() == list(range(ROWS))
    assert scored["country"].to_pylist() == country.to_pylist()
    assert scored["city"].to_pylist() == data["city"].to_pylist()
    assert scored["error"].null_count == ROWS
    assert_bit_equal(np.asarray(scored["prediction"]), expected(model, values()), np.float64)


def test_parts_that_do_not_fit_are_refused_by_name(model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "rows"
    folder.mkdir()
    assert "no files of rows" in command.refusal("score", "--model", model, folder)
    pq.write_table(table(note=pa.array(["x"] * ROWS)), folder / "a.parquet")
    pq.write_table(table(), folder / "b.parquet")
    done = command.run("score", "--model", model, folder, "--to", "csv")
    assert done.returncode == 0, done.stderr
    notes = [line["note"] for line in csv.DictReader(io.StringIO(done.stdout))]
    assert notes == ["x"] * ROWS + [""] * ROWS
    pq.write_table(table().drop_columns(["visits"]), folder / "b.parquet")
    assert 'b.parquet: the part has no column "visits"' in command.refusal("score", "--model", model, folder)
    pq.write_table(table(note=pa.array(range(ROWS))), folder / "b.parquet")
    assert "one type" in command.refusal("score", "--model", model, folder, "--out", tmp_path / "out.parquet")


def test_csv_as_excel_and_pandas_write_it(model: Path, tmp_path: Path) -> None:
    frame = pd.DataFrame(values(), columns=NAMES)
    for name, options in {
        "semicolons.csv": {"sep": ";"},
        "german.csv": {"sep": ";", "decimal": ",", "lineterminator": "\r\n", "encoding": "utf-8-sig"},
        "unicode.txt": {"sep": "\t", "encoding": "utf-16"},
        "tabs.tsv": {"sep": "\t"},
        "pipes.csv": {"sep": "|"},
        "mac.csv": {"lineterminator": "\r"},
        "rows.csv.gz": {},
        "rows.csv.zst": {"compression": None},
    }.items():
        if name.endswith(".zst"):
            compressed = pa.Codec("zstd").compress(frame.to_csv(index=False).encode(), asbytes=True)
            (tmp_path / name).write_bytes(compressed)
        else:
            frame.to_csv(tmp_path / name, index=False, **options)
        check(model, tmp_path / name)
    for suffix in ("bz2", "xz", "zip"):
        frame.to_csv(tmp_path / f"rows.csv.{suffix}", index=False)
        said = command.refusal("score", "--model", model, tmp_path / f"rows.csv.{suffix}")
        assert {"bz2": "bzip2", "xz": "xz", "zip": "zip archive"}[suffix] in said


def test_json_as_pandas_writes_it(model: Path, tmp_path: Path) -> None:
    frame = pd.DataFrame(values(), columns=NAMES)
    for name, options in {"records.json": {}, "indented.json": {"indent": 2}, "lines.jsonl": {"lines": True}}.items():
        frame.to_json(tmp_path / name, orient="records", **options)
        check(model, tmp_path / name)
        packed = tmp_path / f"{name}.gz"
        packed.write_bytes(gzip.compress((tmp_path / name).read_bytes()))
        check(model, packed)
