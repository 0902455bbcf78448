"""Files of records into the table of scores, so that each record stands there exactly once.

A batch goes through these statements, each of which commits by itself:

    PUT the files into a stage of the session      (not with an external stage)
    CREATE an empty table like that of the scores  its name is used once
    COPY INTO it
    MERGE it into the scores on record_id          the only statement that changes the scores
    INSERT the names of the files into the table of files

Whatever dies in between, the next run finds the files without a name in the table of files, and repeats the batch; the
MERGE passes over what is there. The table of files saves work and decides nothing. There is no transaction over several
statements: a client that died inside one would hold the table's lock until its session ends, which takes hours.
"""

import logging
import math
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
from snowflake.connector import SnowflakeConnection
from snowflake.connector.errors import DatabaseError, ProgrammingError

from quintile_snowflake import statements
from quintile_snowflake.errors import Duplicates, FileRefused, Refused
from quintile_snowflake.metrics import Metrics
from quintile_snowflake.source import Footer, RecordFile, Source, read_footer
from quintile_snowflake.statements import LoadedFile, Table

_ABSENT = 2003
_RETRY_SECONDS = 600.0
_LOG = logging.getLogger("quintile_snowflake")


@dataclass(frozen=True)
class Options:
    table: Table
    external_stage: str | None
    add_columns: bool
    batch_files: int
    batch_bytes: int
    since: date | None
    again: bool


@dataclass
class Result:
    """What a round did."""

    files: int = 0
    read: int = 0
    inserted: int = 0
    refused: int = 0


class Loader:
    """One session with Snowflake, and what it knows of the table."""

    def __init__(
        self,
        connection: SnowflakeConnection,
        source: Source,
        options: Options,
        metrics: Metrics,
    ) -> None:
        self._cursor = connection.cursor()
        self._source = source
        self._options = options
        self._table = options.table
        self._metrics = metrics
        self._columns = self._describe()
        self._refused: dict[RecordFile, float] = {}
        self._loaded: set[tuple[str, int]] = set()
        self._run = uuid.uuid4().hex[:12]
        self._batches = 0
        self._prepare()

    def pending(self) -> list[RecordFile]:
        """Files that are not loaded, oldest first; one that was refused comes again when it has changed."""
        files = self._source.files(self._options.since)
        waiting = [file for file in files if (file.name, file.size) not in self._loaded]
        self._metrics.waiting.set(len(waiting))
        self._metrics.oldest.set(min((file.modified for file in waiting), default=0))
        now = time.monotonic()
        return [file for file in waiting if self._refused.get(file, 0) <= now]

    def load(
        self,
        batch: Sequence[RecordFile],
        progress: Callable[[RecordFile], None],
        result: Result,
    ) -> None:
        """Loads these files together; those that cannot be are told, and the others are loaded."""
        self._load_batch(batch, result)
        for file in batch:
            progress(file)

    def _describe(self) -> dict[str, str]:
        """The table's columns and their types."""
        try:
            rows = self._execute(statements.describe(self._table.name))
        except ProgrammingError as error:
            if error.errno != _ABSENT:
                raise
            raise Refused(
                f"there is no table {self._table.name} in this schema, or the role may not see it; "
                "`quintile records schema --format snowflake` prints the statement that creates it"
            ) from None
        columns = {str(row[0]): str(row[1]) for row in rows}
        if statements.KEY not in columns:
            raise Refused(f"table {self._table.name}: has no column {statements.KEY}, so it is no table of scores")
        return columns

    def _prepare(self) -> None:
        self._execute(statements.create_files(self._table))
        if not self._options.external_stage:
            self._execute(statements.create_stage())
        for (name,) in self._execute(statements.leftovers(self._table)):
            self._execute(statements.drop(str(name)))
        known = self._execute(statements.select_files(self._table))
        if known and not self._execute(statements.is_empty(self._table)):
            _LOG.warning("table %s is empty, so all files are loaded again", self._table.name)
        elif not self._options.again:
            self._loaded = {(str(name), int(size)) for name, size in known}

    def _load_batch(self, batch: Sequence[RecordFile], result: Result) -> None:
        began = time.monotonic()
        readable = list(self._readable(batch, result))
        if not readable:
            return
        try:
            inserted = self._merge(readable)
        except FileRefused as error:
            if len(readable) > 1:
                # One of them is at fault; each by itself shows which.
                for file, _ in readable:
                    self._load_batch([file], result)
                return
            file = readable[0][0]
            self._refuse(file, f"{file.name}: {error}", result, _RETRY_SECONDS)
            return
        rows = sum(footer.rows for _, footer in readable)
        result.files += len(readable)
        result.read += rows
        result.inserted += inserted
        self._metrics.files.inc(len(readable))
        self._metrics.read.inc(rows)
        self._metrics.inserted.inc(inserted)
        self._metrics.batch.observe(time.monotonic() - began)

    def _readable(self, batch: Sequence[RecordFile], result: Result) -> Iterator[tuple[RecordFile, Footer]]:
        for file in batch:
            try:
                footer = read_footer(self._source, file)
                self._check_columns(file, footer)
            except FileNotFoundError:
                _LOG.warning("%s: was removed before it could be loaded", file.name)
            except FileRefused as error:
                self._refuse(file, str(error), result)
            else:
                yield file, footer

    def _refuse(self, file: RecordFile, why: str, result: Result, again: float = math.inf) -> None:
        """Leaves a file out until it has changed, or until so many seconds have passed."""
        _LOG.error("%s", why)
        self._refused[file] = time.monotonic() + again
        self._metrics.refused.inc()
        result.refused += 1

    def _check_columns(self, file: RecordFile, footer: Footer) -> None:
        wanted = {name.upper(): (name, kind) for name, kind in footer.columns.items()}
        if statements.KEY not in wanted:
            raise FileRefused(f"{file.name}: has no column record_id, so it is no file of records")
        for name, (written, kind) in wanted.items():
            present = self._columns.get(name)
            if present is not None and not fits(kind, present):
                raise FileRefused(
                    f"{file.name}: column {written} is {kind}, but {name} of table {self._table.name} is {present}; "
                    "load records of a model whose features changed their type into a table of their own"
                )
        if new := [written for name, (written, _) in wanted.items() if name not in self._columns]:
            self._add_columns(
                file,
                {name.upper(): snowflake_type(footer.columns[name]) for name in new},
            )

    def _add_columns(self, file: RecordFile, new: dict[str, str]) -> None:
        if not self._options.add_columns:
            raise FileRefused(
                f"{file.name}: has columns that table {self._table.name} lacks: {', '.join(sorted(new))}; "
                "add them, or leave out --refuse-new-columns"
            )
        for statement in statements.add_columns(self._table, new):
            self._execute(statement)
        _LOG.info("table %s got columns: %s", self._table.name, ", ".join(sorted(new)))
        self._columns.update(new)

    def _merge(self, files: Sequence[tuple[RecordFile, Footer]]) -> int:
        """The batch itself; the number of records that were not there yet."""
        self._batches += 1
        run = f"{self._run}_{self._batches}"
        self._execute(statements.create_incoming(self._table, run))
        try:
            self._copy(run, [file for file, _ in files])
            rows = sum(footer.rows for _, footer in files)
            arrived = int(self._execute(statements.count_incoming(self._table, run))[0][0])
            if arrived != rows:
                raise FileRefused(f"{arrived} records arrived of {rows}")
            bounds = joined_bounds([footer for _, footer in files])
            merged = self._execute(statements.merge(self._table, run, list(self._columns), bounds))
            twice = int(self._execute(statements.count_duplicates(self._table, bounds))[0][0])
            if twice:
                raise Duplicates(
                    f"table {self._table.name} holds {twice} records more than once; did another program write to it? "
                    "See docs/snowflake.md"
                )
            done = [LoadedFile(file.name, file.size, footer.rows) for file, footer in files]
            self._execute(statements.insert_files(self._table, done))
            self._loaded.update((file.name, file.size) for file in done)
            return int(merged[0][0])
        finally:
            self._drop(self._table.incoming(run))

    def _copy(self, run: str, files: Sequence[RecordFile]) -> None:
        if stage := self._options.external_stage:
            self._copy_statement(statements.copy_external(self._table, run, stage, [file.name for file in files]))
            return
        with tempfile.TemporaryDirectory(prefix="quintile-") as folder:
            for number, file in enumerate(files):
                try:
                    self._source.fetch(file, Path(folder, f"{number:05}.parquet"))
                except FileNotFoundError:
                    raise FileRefused("was removed before it could be loaded") from None
            self._execute(statements.put(folder, run))
            self._copy_statement(statements.copy_uploaded(self._table, run))

    def _copy_statement(self, statement: str) -> None:
        """Only this one fails because of what is in a file; the others fail because of the session."""
        try:
            self._execute(statement)
        except ProgrammingError as error:
            raise FileRefused(f"Snowflake did not take it: {error}") from None

    def _drop(self, table: str) -> None:
        try:
            self._execute(statements.drop(table))
        except DatabaseError as error:
            # The next run drops it; the error that led here must not be hidden by this one.
            _LOG.warning("table %s stays for now: %s", table, error)

    def _execute(self, statement: str) -> list[Any]:
        _LOG.debug("%s", statement)
        return list(self._cursor.execute(statement).fetchall())  # type: ignore[union-attr]


def batches(files: Sequence[RecordFile], files_max: int, bytes_max: int) -> Iterator[list[RecordFile]]:
    """As many files as may go together; a file larger than the limit goes alone."""
    batch: list[RecordFile] = []
    size = 0
    for file in files:
        if batch and (len(batch) >= files_max or size + file.size > bytes_max):
            yield batch
            batch, size = [], 0
        batch.append(file)
        size += file.size
    if batch:
        yield batch


def joined_bounds(footers: Sequence[Footer]) -> tuple[str, str] | None:
    """The bounds of all; none if a file states none."""
    found = [footer.bounds for footer in footers if footer.bounds is not None]
    if len(found) != len(footers) or not found:
        return None
    return min(low for low, _ in found), max(high for _, high in found)


def snowflake_type(kind: pa.DataType) -> str:
    """The type of a column that is new, as `quintile records schema --format snowflake` has it."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_floating(kind):
        return "DOUBLE"
    if pa.types.is_integer(kind):
        return "NUMBER(38, 0)"
    if pa.types.is_timestamp(kind):
        return "TIMESTAMP_TZ(6)"
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return "ARRAY"
    return "VARCHAR"


def fits(kind: pa.DataType, column: str) -> bool:
    """Whether values of a file may go into a column, going by the names that DESCRIBE prints."""
    column = column.partition("(")[0].upper()
    accepted = {
        "DOUBLE": {"FLOAT", "DOUBLE", "REAL"},
        "NUMBER(38, 0)": {"NUMBER", "DECIMAL", "FLOAT", "DOUBLE"},
        "TIMESTAMP_TZ(6)": {"TIMESTAMP_TZ", "TIMESTAMP_LTZ", "TIMESTAMP_NTZ"},
        "ARRAY": {"ARRAY", "VARIANT"},
        "VARCHAR": {"VARCHAR", "TEXT", "STRING"},
    }
    return column in accepted[snowflake_type(kind)] | {"VARIANT"}
