"""Features out of Snowflake, as Arrow, into a Parquet file of rows for `quintile score`.

Snowflake writes names in capitals, and the connector gives each part of a result the narrowest integers that hold it.
Here a column gets the name that the model has for it, and one type for the whole file.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from snowflake.connector import SnowflakeConnection
from snowflake.connector.constants import FIELD_ID_TO_NAME

from quintile_snowflake import statements
from quintile_snowflake.errors import Refused


def read_rows(connection: SnowflakeConnection, query: str, features: list[str] | None, out: Path) -> int:
    """Runs the query and writes its rows; the number of them. The file appears when it is complete."""
    cursor = connection.cursor()
    cursor.execute(query)
    parts = iter(_parts(cursor))
    first = next(parts)
    names = rename(first.column_names, features)
    schema = pa.schema([(name, stable_type(kind)) for name, kind in zip(names, first.schema.types, strict=True)])
    temporary = out.with_name(f".{out.name}.{os.getpid()}")
    rows = 0
    try:
        with pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
            part: pa.Table | None = first
            while part is not None:
                writer.write_table(shaped(part, schema))
                rows += part.num_rows
                part = next(parts, None)
        temporary.replace(out)
    finally:
        temporary.unlink(missing_ok=True)
    return rows


def _parts(cursor: Any) -> Iterator[pa.Table]:
    """At least one table, for its columns."""
    found = False
    for part in cursor.fetch_arrow_batches():
        found = True
        yield part
    if not found:
        yield pa.schema([_described(column) for column in cursor.description]).empty_table()


def _described(column: Any) -> pa.Field:
    """The field of a result that has no rows, from Snowflake's name of its type."""
    match FIELD_ID_TO_NAME[column.type_code]:
        case "FIXED":
            kind = pa.float64() if column.scale else pa.int64()
        case "REAL":
            kind = pa.float64()
        case "BOOLEAN":
            kind = pa.bool_()
        case "DATE":
            kind = pa.date32()
        case "TIMESTAMP_TZ" | "TIMESTAMP_LTZ":
            kind = pa.timestamp("ns", "UTC")
        case "TIMESTAMP_NTZ" | "TIMESTAMP":
            kind = pa.timestamp("ns")
        case _:
            kind = pa.string()
    return pa.field(column.name, kind)


def select(table: str) -> str:
    return f"SELECT * FROM {statements.identifier(table)}"


def read_features(path: Path) -> list[str]:
    """The model's features, from what `quintile records schema --format json` prints."""
    try:
        columns = json.loads(path.read_text("utf-8"))["columns"]
        return [str(column["feature"]) for column in columns if column["feature"] is not None]
    except OSError as error:
        raise Refused(f"{path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError):
        raise Refused(f"{path}: is not what `quintile records schema --format json` prints") from None


def rename(columns: list[str], features: list[str] | None) -> list[str]:
    """The names of the rows. A feature is found without regard to case, unless two of them differ by case only."""
    if features is None:
        renamed = [name.lower() if name.isupper() else name for name in columns]
    else:
        exact = set(features)
        folded = {
            name.upper(): name for name in features if sum(other.upper() == name.upper() for other in features) == 1
        }
        renamed = [
            name if name in exact else folded.get(name.upper(), name.lower() if name.isupper() else name)
            for name in columns
        ]
        absent = [name for name in features if name not in renamed]
        if absent:
            more = f" and {len(absent) - 10} more" if len(absent) > 10 else ""
            raise Refused(
                f"the query has no column for {', '.join(absent[:10])}{more}; "
                'every feature of the model must be there, e.g. as `NULL::DOUBLE AS "NAME"` where it is always missing'
            )
    twice = sorted({name for name in renamed if renamed.count(name) > 1})
    if twice:
        raise Refused(f"the query has two columns {twice[0]!r}; give one of them another name")
    return renamed


def stable_type(kind: pa.DataType) -> pa.DataType:
    """One type for all parts. Models read numbers as doubles, so decimals become doubles here."""
    if pa.types.is_integer(kind):
        return pa.int64()
    if pa.types.is_decimal(kind) or pa.types.is_floating(kind):
        return pa.float64()
    return kind


def shaped(part: pa.Table, schema: pa.Schema) -> pa.Table:
    """A part of the result with the file's names and types."""
    arrays = []
    for field, column in zip(schema, part.columns, strict=True):
        try:
            arrays.append(column if column.type == field.type else pc.cast(column, field.type, safe=_must_hold(column)))
        except pa.ArrowInvalid as error:
            raise Refused(
                f"column {field.name}: a later part of the result does not fit {field.type}: {error}; "
                "cast it in the query, e.g. with ::DOUBLE"
            ) from None
    return pa.Table.from_arrays(arrays, schema=schema)


def _must_hold(column: pa.ChunkedArray) -> bool:
    """An integer must stay what it is; a decimal becomes the nearest double."""
    return not pa.types.is_decimal(column.type)
