"""Every SQL statement, as text. A dry run prints what these functions return, and a load executes it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

KEY = "RECORD_ID"
STAGE = "QUINTILE_LOAD"
_LEFTOVER_HOURS = 24


@dataclass(frozen=True)
class Table:
    """The table of scores, in the session's database and schema."""

    name: str

    @property
    def files(self) -> str:
        """The table that says which files are loaded."""
        return f"{self.name}_FILES"

    def incoming(self, run: str) -> str:
        """Where the rows of one batch stand before they are merged."""
        return f"{self.incoming_prefix}{run}"

    @property
    def incoming_prefix(self) -> str:
        return f"{self.name}_INCOMING_"


@dataclass(frozen=True)
class LoadedFile:
    """A line of the table of files."""

    name: str
    size: int
    rows: int


def identifier(name: str) -> str:
    """A quoted name. Snowflake takes every character in it; a quote is doubled."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A string. Snowflake reads a backslash as the beginning of an escape."""
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def describe(table: str) -> str:
    return f"DESCRIBE TABLE {identifier(table)}"


def create_files(table: Table) -> str:
    return (
        f"CREATE TABLE IF NOT EXISTS {identifier(table.files)} (\n"
        '  "NAME" VARCHAR NOT NULL, "SIZE" NUMBER(38, 0) NOT NULL, "ROW_COUNT" NUMBER(38, 0) NOT NULL,\n'
        '  "LOADED_AT" TIMESTAMP_TZ NOT NULL\n)'
    )


def select_files(table: Table) -> str:
    return f'SELECT "NAME", "SIZE" FROM {identifier(table.files)}'


def is_empty(table: Table) -> str:
    return f"SELECT 1 FROM {identifier(table.name)} LIMIT 1"


def leftovers(table: Table) -> str:
    """Tables of batches whose program died; a batch takes minutes, so a day means that nobody uses them."""
    return (
        'SELECT table_name AS "NAME" FROM information_schema.tables\n'
        "WHERE table_schema = CURRENT_SCHEMA() "
        f"AND STARTSWITH(table_name, {literal(table.incoming_prefix)})\n"
        f"  AND created < DATEADD(hour, -{_LEFTOVER_HOURS}, CURRENT_TIMESTAMP())"
    )


def create_stage() -> str:
    """Lives as long as the session, so that a crash leaves no files behind."""
    return f"CREATE TEMPORARY STAGE IF NOT EXISTS {STAGE}"


def add_columns(table: Table, columns: Mapping[str, str]) -> list[str]:
    return [
        f"ALTER TABLE {identifier(table.name)} ADD COLUMN IF NOT EXISTS {identifier(name)} {kind}"
        for name, kind in columns.items()
    ]


def create_incoming(table: Table, run: str) -> str:
    return f"CREATE OR REPLACE TRANSIENT TABLE {identifier(table.incoming(run))} LIKE {identifier(table.name)}"


def put(folder: str, run: str) -> str:
    """Uploads all files of a local folder."""
    path = literal(f"file://{folder}/*")
    return f"PUT {path} @{STAGE}/{run}/ AUTO_COMPRESS = FALSE OVERWRITE = TRUE"


def copy_uploaded(table: Table, run: str) -> str:
    return _copy(table, run, f"@{STAGE}/{run}/", "") + " PURGE = TRUE"


def copy_external(table: Table, run: str, stage: str, names: Iterable[str]) -> str:
    files = ", ".join(literal(name) for name in names)
    return _copy(table, run, f"@{stage}", f"FILES = ({files}) ")


def _copy(table: Table, run: str, place: str, files: str) -> str:
    # FORCE: what to load is decided by the table of files, not by the memory of COPY, which ends after 64 days.
    return (
        f"COPY INTO {identifier(table.incoming(run))} FROM {place} {files}\n"
        "  FILE_FORMAT = (TYPE = PARQUET USE_LOGICAL_TYPE = TRUE) MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE\n"
        "  ON_ERROR = ABORT_STATEMENT FORCE = TRUE"
    )


def count_incoming(table: Table, run: str) -> str:
    return f"SELECT COUNT(*) FROM {identifier(table.incoming(run))}"


def merge(table: Table, run: str, columns: Sequence[str], bounds: tuple[str, str] | None) -> str:
    """One statement, so it happens whole or not at all; what is there already is passed over.

    With the bounds of the batch's ids Snowflake reads only those parts of the table that can hold one of them.
    """
    names = ", ".join(identifier(name) for name in columns)
    values = ", ".join(f"incoming.{identifier(name)}" for name in columns)
    key = identifier(KEY)
    within = f"\n  AND scores.{key} >= {literal(bounds[0])} AND scores.{key} <= {literal(bounds[1])}" if bounds else ""
    return (
        f"MERGE INTO {identifier(table.name)} AS scores USING (\n"
        f"  SELECT {names}\n  FROM {identifier(table.incoming(run))}\n"
        f"  QUALIFY ROW_NUMBER() OVER (PARTITION BY {key} ORDER BY {key}) = 1\n"
        f") AS incoming ON scores.{key} = incoming.{key}{within}\n"
        f"WHEN NOT MATCHED THEN INSERT ({names})\n  VALUES ({values})"
    )


def count_duplicates(table: Table, bounds: tuple[str, str] | None) -> str:
    key = identifier(KEY)
    where = f" WHERE {key} >= {literal(bounds[0])} AND {key} <= {literal(bounds[1])}" if bounds else ""
    return f"SELECT COUNT(*) - COUNT(DISTINCT {key}) FROM {identifier(table.name)}{where}"


def insert_files(table: Table, files: Iterable[LoadedFile]) -> str:
    lines = ",\n  ".join(f"({literal(file.name)}, {file.size}, {file.rows}, CURRENT_TIMESTAMP())" for file in files)
    return f'INSERT INTO {identifier(table.files)} ("NAME", "SIZE", "ROW_COUNT", "LOADED_AT") VALUES\n  {lines}'


def drop(table: str) -> str:
    return f"DROP TABLE IF EXISTS {identifier(table)}"
