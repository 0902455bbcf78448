"""The files of records: in a folder or in a bucket, as the sinks `parquet` and `s3` write them.

Both sinks make a file visible when it is complete. What has another name than theirs is passed over, and what has their
name but is not whole (another program's copy that is still running) is refused until it is.
"""

import io
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Protocol

import boto3
import botocore.exceptions
import pyarrow as pa
import pyarrow.parquet as pq

from quintile_snowflake.errors import Incomplete, Refused, SourceAway
from quintile_snowflake.statements import KEY

_NAME = re.compile(r"(?:.*/)?date=(?P<date>\d{4}-\d{2}-\d{2})/hour=\d{2}/[^/._][^/]*\.parquet")
_MAGIC = b"PAR1"
_TAIL_BYTES = 1 << 16


@dataclass(frozen=True)
class RecordFile:
    """A file, by its path below the source."""

    name: str
    size: int
    modified: float


@dataclass(frozen=True)
class Footer:
    """What a file says about its content."""

    rows: int
    columns: dict[str, pa.DataType]
    bounds: tuple[str, str] | None
    """The least and the greatest record_id, or what lies beyond them."""


class Source(Protocol):
    """Where files of records are."""

    def files(self, since: date | None) -> list[RecordFile]:
        """All complete-looking files from this day on, oldest first."""

    def tail(self, file: RecordFile, length: int) -> bytes:
        """The last bytes of a file."""

    def fetch(self, file: RecordFile, to: Path) -> None:
        """Makes the file readable under this path."""


def open_source(text: str) -> Source:
    """A folder, or `s3://BUCKET/PREFIX`."""
    if text.startswith("s3://"):
        bucket, _, prefix = text.removeprefix("s3://").partition("/")
        if not bucket:
            raise Refused(f"{text}: names no bucket; s3://BUCKET/PREFIX is what it must be")
        return Bucket(bucket, prefix.strip("/"))
    folder = Path(text).absolute()
    if not folder.is_dir():
        raise Refused(f"{text}: is not a folder; DATA_DIR/scores of a server or s3://BUCKET/PREFIX is accepted")
    return Folder(folder)


class Folder:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def files(self, since: date | None) -> list[RecordFile]:
        return sorted(self._walk(since), key=lambda file: file.name)

    def _walk(self, since: date | None) -> Iterator[RecordFile]:
        for folder, _, names in os.walk(self._folder):
            for name in names:
                path = Path(folder, name)
                relative = path.relative_to(self._folder).as_posix()
                if not is_wanted(relative, since):
                    continue
                try:
                    status = path.stat()
                except FileNotFoundError:
                    continue  # removed since it was listed
                yield RecordFile(relative, status.st_size, status.st_mtime)

    def tail(self, file: RecordFile, length: int) -> bytes:
        with self._folder.joinpath(file.name).open("rb") as stream:
            stream.seek(-min(length, file.size), io.SEEK_END)
            return stream.read()

    def fetch(self, file: RecordFile, to: Path) -> None:
        to.symlink_to(self._folder / file.name)


class Bucket:
    def __init__(self, bucket: str, prefix: str) -> None:
        self._client: Any = boto3.client("s3")
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""

    def files(self, since: date | None) -> list[RecordFile]:
        with self._told(self._prefix):
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=self._prefix)
            entries = [entry for page in pages for entry in page.get("Contents", [])]
        found = []
        for entry in entries:
            name = str(entry["Key"]).removeprefix(self._prefix)
            if is_wanted(name, since):
                found.append(RecordFile(name, int(entry["Size"]), entry["LastModified"].timestamp()))
        return sorted(found, key=lambda file: file.name)

    def tail(self, file: RecordFile, length: int) -> bytes:
        if file.size == 0:
            return b""  # a range of nothing is an error
        first = max(0, file.size - length)
        key = self._prefix + file.name
        with self._told(key):
            content = self._client.get_object(Bucket=self._bucket, Key=key, Range=f"bytes={first}-")["Body"].read()
        assert isinstance(content, bytes)
        return content

    def fetch(self, file: RecordFile, to: Path) -> None:
        key = self._prefix + file.name
        with self._told(key), to.open("wb") as stream:
            shutil.copyfileobj(self._client.get_object(Bucket=self._bucket, Key=key)["Body"], stream, 1 << 20)

    @contextmanager
    def _told(self, key: str) -> Iterator[None]:
        """botocore's many errors as one of ours, with the place; an object that is gone as a file that is gone."""
        place = f"s3://{self._bucket}/{key}"
        try:
            yield
        except botocore.exceptions.ClientError as error:
            if error.response.get("Error", {}).get("Code") == "NoSuchKey":
                raise FileNotFoundError(f"{place}: is gone") from None
            raise SourceAway(f"{place}: {error}") from None
        except botocore.exceptions.BotoCoreError as error:
            raise SourceAway(f"{place}: {error}") from None


def is_wanted(name: str, since: date | None) -> bool:
    """Whether a path below the source is that of a file of records, of this day or later."""
    found = _NAME.fullmatch(name)
    return found is not None and (since is None or found["date"] >= since.isoformat())


def read_footer(source: Source, file: RecordFile) -> Footer:
    """Reads only the end of a file."""
    tail = source.tail(file, _TAIL_BYTES)
    if len(tail) < 12 or not tail.endswith(_MAGIC):
        raise Incomplete(f"{file.name}: does not end as a Parquet file does; it is looked at again when it has changed")
    needed = int.from_bytes(tail[-8:-4], "little") + 8
    if needed > file.size:
        raise Incomplete(f"{file.name}: says that its last {needed} bytes describe it, but has {file.size} bytes")
    if needed > len(tail):
        tail = source.tail(file, needed)
    try:
        metadata = pq.read_metadata(io.BytesIO(tail))
        schema = metadata.schema.to_arrow_schema()
    except (pa.ArrowException, OSError) as error:
        raise Incomplete(f"{file.name}: is not readable as Parquet: {error}") from None
    return Footer(
        metadata.num_rows,
        {field.name: field.type for field in schema},
        _bounds(metadata),
    )


def _bounds(metadata: Any) -> tuple[str, str] | None:
    """From the statistics of all row groups; they may be cut short, but never inside the true bounds."""
    names = [metadata.schema.column(index).path.lower() for index in range(metadata.num_columns)]
    if KEY.lower() not in names:
        return None
    column = names.index(KEY.lower())
    groups = [metadata.row_group(index).column(column).statistics for index in range(metadata.num_row_groups)]
    if not groups or not all(group is not None and group.has_min_max for group in groups):
        return None
    return min(str(group.min) for group in groups), max(str(group.max) for group in groups)
